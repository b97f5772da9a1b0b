"""What only a GPU can show: every method computes there what it computes on the CPU, and no step waits for it.

Run these with ``pytest -m gpu``. Without a GPU they run on the CPU and compare it with itself, which tests the tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.training.model import Classifier
from benchmarks.training.precision import autocast
from tests.support import tiny

pytestmark = pytest.mark.gpu
DEVICE = torch.device("cuda") if torch.cuda.is_available() else tiny.CPU
EACH = pytest.mark.parametrize(("name", "modality"), tiny.PAIRS)


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """Convolutions in float32, which a GPU rounds to TF32 by default."""
    allowed, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


def data(modality: str, count: int) -> tuple[Tensor, Tensor]:
    return tiny.inputs(modality, count), torch.arange(count) % 3


def passes(
    name: str, modality: str, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and gradients of one pass without random numbers, on the CPU."""
    model: Classifier = tiny.trained(name, modality).to(device).eval()
    x, y = (each.to(device) for each in data(modality, 4))
    with autocast(device, dtype):
        logits = model(x)
    cross_entropy(logits.float(), y).backward()
    grads = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
    return logits.detach().float().cpu(), grads


@EACH
def test_logits_and_gradients_are_those_of_the_cpu(name: str, modality: str) -> None:
    (here, own), (there, other) = passes(name, modality, tiny.CPU), passes(name, modality, DEVICE)
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)
    assert set(own) == set(other) != set()
    for key, gradient in own.items():
        torch.testing.assert_close(other[key], gradient, rtol=1e-3, atol=1e-4)


@EACH
def test_bfloat16_gives_the_logits_of_float32_within_its_precision(name: str, modality: str) -> None:
    (exact, _), (rounded, grads) = passes(name, modality, DEVICE), passes(name, modality, DEVICE, torch.bfloat16)
    assert (rounded - exact).norm() <= 0.1 * exact.norm()
    assert all(gradient.isfinite().all() for gradient in grads.values())


@EACH
def test_three_steps_leave_finite_weights(name: str, modality: str) -> None:
    samples = data(modality, 12)
    trainer = tiny.trainer_of(name, modality, lambda split: samples, device=DEVICE, batch_size=4, warmup_epochs=0)
    trainer.stage("steps", epochs=1, lr=1e-3, split="train")
    state = trainer.model.trained_state()
    assert state and all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.skipif(DEVICE == tiny.CPU, reason="only CUDA says that the host waits")
@EACH
def test_a_step_does_not_wait_for_the_gpu(name: str, modality: str) -> None:
    model = tiny.trained(name, modality).to(DEVICE).train()
    x, y = (each.to(DEVICE) for each in data(modality, 4))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)
    for strict in (False, True):  # the first step makes the state of the optimizer
        torch.cuda.set_sync_debug_mode("error" if strict else "default")
        try:
            model.method.loss(model, x, y, cross_entropy).backward()
            optimizer.step()
            optimizer.zero_grad()
        finally:
            torch.cuda.set_sync_debug_mode("default")
