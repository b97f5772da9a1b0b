"""A training step never waits for the device: no number is read from it, whatever the method."""

from typing import Any, Self, cast

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.training.train import Trainer
from methods.parts import smoa
from tests.support import tiny

READS = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "_unique2")  # they wait on CUDA


class Reads(TorchDispatchMode):
    """Records operators whose result the host waits for, and calls of ``tolist``, which is no operator."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __enter__(self) -> Self:
        self.tolist = Tensor.tolist

        def listed(tensor: Tensor) -> Any:
            self.found.append("tolist")
            return self.tolist(tensor)

        Tensor.tolist = listed  # type: ignore[method-assign]
        return cast(Self, super().__enter__())

    def __exit__(self, *error: Any):
        Tensor.tolist = self.tolist  # type: ignore[method-assign]
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in READS:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def reads(name: str, modality: str, steps: int) -> list[str]:
    """The reads from the device in one epoch of ``steps`` steps."""
    data = tiny.inputs(modality, 12), torch.arange(12) % 3
    trainer = tiny.trainer_of(name, modality, lambda split: data, epochs=1, batch_size=12 // steps, warmup_epochs=0)
    with Reads() as mode:
        trainer.stage("epoch", epochs=1, lr=1e-3, split="train")
    return mode.found


@pytest.mark.parametrize(("name", "modality"), tiny.PAIRS)
def test_more_steps_read_no_more_numbers(name, modality, monkeypatch):
    monkeypatch.setattr(smoa, "counts_are_at_hand", lambda s: False)  # as on a GPU
    few, many = reads(name, modality, 1), reads(name, modality, 2)
    assert few and few == many  # the loss, once per epoch


def test_a_step_that_makes_a_list_is_found():
    few, many = (reads("adapterx", "image", steps) for steps in (2, 4))  # a CPU asks how many tokens experts have
    assert (few.count("tolist"), many.count("tolist")) == (2 * tiny.DEPTH, 4 * tiny.DEPTH)


def test_a_step_that_reads_is_found(monkeypatch):
    loss = Trainer.batch_loss
    monkeypatch.setattr(Trainer, "batch_loss", lambda *given: (value := loss(*given)) + 0.0 * value.item())
    assert len(reads("lora", "image", 4)) == len(reads("lora", "image", 2)) + 2
