"""The trainer: what it may read, what it must repeat, what it must refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import methods
from benchmarks.records.spec import Recipe
from benchmarks.training import prefix
from benchmarks.training.augment import augment
from benchmarks.training.model import Classifier
from benchmarks.training.precision import auto_dtype
from benchmarks.training.train import Diverged, Trainer
from methods.options import as_json
from tests.support.tiny import WIDTH, backbone

Load = Callable[[str], tuple[Tensor, Tensor]]
CPU = torch.device("cpu")


class Data:
    """Two classes told apart by brightness; remembers which splits were read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, split: str) -> tuple[Tensor, Tensor]:
        self.read.append(split)
        size, seed = {"train": (24, 0), "val": (8, 1), "test": (40, 2)}[split]
        generator = torch.Generator().manual_seed(seed)
        y = torch.arange(size) % 2
        x = torch.randint(0, 100, (size, 3, 32, 32), generator=generator) + 150 * y.view(-1, 1, 1, 1)
        return x.to(torch.uint8), y


def model(name: str = "lora", **options: object) -> Classifier:
    body = backbone("image")
    torch.manual_seed(0)
    return Classifier(body, methods.build(name, body, methods.config(name, options)), nn.Linear(WIDTH, 2))


def trainer(name: str = "lora", *, data: Load | None = None, lr: float = 1e-2, **recipe: object) -> Trainer:
    settings = Recipe(**{"epochs": 3, "batch_size": 8, "warmup_epochs": 1, **recipe})  # type: ignore[arg-type]
    return Trainer(model(name, lr=lr), settings, data or Data(), seed=0, device=CPU, dtype=torch.float32)


def test_test_split_is_read_only_by_test() -> None:
    data = Data()
    run = trainer(data=data)
    run.train()
    assert data.read == ["train", "val"]
    run.test()
    run.test()
    assert data.read == ["train", "val", "test"]


def test_validation_samples_stay_out_of_training_when_held_out() -> None:
    data = Data()
    run = trainer(data=data, train_split="train")
    assert data.read == ["train"]
    assert len(run.x) == 24
    run.train()
    assert [row["val_accuracy"] is not None for row in run.history] == [True, True, True]


def test_learns_the_task() -> None:
    run = trainer(epochs=10)
    run.train()
    assert run.test() >= 0.95


def test_two_runs_of_a_seed_agree_to_the_last_bit() -> None:
    runs = [trainer("adapterx"), trainer("adapterx")]
    for run in runs:
        run.train()
    assert runs[0].history == runs[1].history
    states = [run.model.trained_state() for run in runs]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_best_val_goes_back_to_its_epoch() -> None:
    run = trainer(train_split="train", checkpoint_rule="best_val", epochs=4)
    scores = iter([0.2, 0.9, 0.9, 0.1])
    states = []

    def validate() -> float:
        states.append(run.model.trained_state())
        return next(scores)

    run.validate = validate  # type: ignore[method-assign]
    run.train()
    assert run.accuracy_epoch == 2
    now = run.model.trained_state()
    assert all(torch.equal(now[name], states[1][name]) for name in now)


def test_best_test_reads_test_every_epoch_and_says_so() -> None:
    run = trainer(checkpoint_rule="best_test")
    run.train()
    assert [row["test_accuracy"] is not None for row in run.history] == [True, True, True]


def test_learning_rate_warms_up_then_follows_a_cosine() -> None:
    run = trainer(epochs=10, warmup_epochs=2, lr=1.0)
    run.batch_loss = lambda model, x, y: (model(x) * 0).sum()  # type: ignore[method-assign]
    run.train()
    rates = [row["lr"] for row in run.history]
    assert rates[0] < rates[1]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    # the last step of the last epoch: step 39 of 40
    assert rates[-1] == pytest.approx(0.5 * (1 + torch.cos(torch.tensor(torch.pi * 39 / 40)).item()), rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    run = trainer()
    run.batch_loss = lambda model, x, y: (model(x) * float("inf")).sum()  # type: ignore[method-assign]
    with pytest.raises(Diverged, match="epoch 1"):
        run.train()


def test_restart_puts_the_first_weights_back() -> None:
    run = trainer("full")
    first = run.model.trained_state()
    run.train()
    assert any(not torch.equal(first[name], now) for name, now in run.model.trained_state().items())
    run.restart()
    assert all(torch.equal(first[name], now) for name, now in run.model.trained_state().items())


def test_no_batch_is_too_small_for_batch_norm() -> None:
    sizes: list[int] = []
    run = trainer(batch_size=31)  # 32 samples
    run.batch_loss = lambda model, x, y: sizes.append(len(x)) or model(x).sum()  # type: ignore[method-assign, func-returns-value]
    run.train()
    assert sizes == [16, 16] * 3


def test_rotation_keeps_height_and_distance_from_the_axis() -> None:
    points = torch.randn(4, 10, 3)
    turned = augment(points, "rotate", torch.Generator().manual_seed(0))
    assert torch.equal(turned[..., 1], points[..., 1])
    assert torch.allclose(turned[..., ::2].norm(dim=-1), points[..., ::2].norm(dim=-1), atol=1e-5)
    assert not torch.allclose(turned, points)


def test_scale_and_shift_are_one_map_per_cloud_within_their_range() -> None:
    points = torch.randn(50, 10, 3)
    moved = augment(points, "scale_translate", torch.Generator().manual_seed(0))
    scale = (moved[:, 1] - moved[:, 0]) / (points[:, 1] - points[:, 0])
    shift = moved[:, 0] - points[:, 0] * scale
    assert torch.allclose(moved, points * scale[:, None] + shift[:, None], atol=1e-4)
    assert 2 / 3 - 1e-3 <= scale.min() < 0.75 and 1.4 < scale.max() <= 1.5 + 1e-3
    assert shift.abs().max() <= 0.2 + 1e-3


class Clouds:
    """Points of two classes told apart by their extent along x."""

    def __call__(self, split: str) -> tuple[Tensor, Tensor]:
        y = torch.arange(300) % 2
        x = torch.rand(len(y), 12, 3, generator=torch.Generator().manual_seed(len(split))) - 0.5
        x[..., 0] *= 1 + y[:, None]
        return x, y


class Extent(nn.Module):
    """Logits that are larger for class 1 the farther a cloud reaches along x; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.seen = nn.Identity(), list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        reach = x[..., 0].abs().amax(dim=1)
        return torch.stack([torch.full_like(reach, 0.72), reach], dim=1)


def voting(votes: int, seed: int = 0) -> tuple[Trainer, Extent]:
    """A trainer for its test alone, which asks a model that can be followed by hand."""
    run = trainer(data=Clouds(), votes=votes)
    run.model, run.seed = Extent(), seed  # type: ignore[assignment]
    return run, run.model  # type: ignore[return-value]


def test_votes_are_the_mean_logits_of_the_cloud_and_of_scaled_copies() -> None:
    run, asked = voting(4, seed=1)
    accuracy = run.test()
    plain, y = Clouds()("test")
    clouds = by_vote(asked.seen, 4)
    assert torch.equal(clouds[0], plain)
    factors = clouds[1:] / plain
    assert torch.allclose(factors, factors[:, :, :1].expand_as(factors), rtol=1e-4)  # one an axis of a cloud
    assert factors.min() >= 2 / 3 - 1e-4 and factors.max() <= 3 / 2 + 1e-4 and factors.std() > 0.2
    logits = torch.stack([Extent()(copy) for copy in clouds]).sum(0) / 4
    assert accuracy == int((logits.argmax(1) == y).sum()) / len(y)
    assert accuracy != voting(1)[0].test()


def by_vote(seen: list[Tensor], votes: int) -> Tensor:
    """What a model was asked, batch by batch and vote by vote, as (votes, samples, points, 3)."""
    return torch.stack([torch.cat(seen[vote::votes]) for vote in range(votes)])


def test_votes_do_not_depend_on_the_size_of_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}
    for size in (7, 256):
        monkeypatch.setattr(prefix, "eval_batch_size", lambda device, size=size: size)
        run, extent = voting(3)
        run.test()
        asked[size] = by_vote(extent.seen, 3)
    assert torch.equal(asked[7], asked[256])


def test_votes_are_the_same_again_and_another_seed_draws_others() -> None:
    runs = [voting(3), voting(3), voting(3, seed=1)]
    for run, _ in runs:
        run.test()
    runs[0][0].test()
    first, again, other = (asked.seen for _, asked in runs)
    assert all(torch.equal(one, two) for one, two in zip(first, again + again, strict=True))
    assert torch.equal(first[0], other[0]) and not torch.equal(first[1], other[1])


def test_one_vote_asks_once_and_validation_never_votes() -> None:
    run, asked = voting(1)
    run.test()
    assert len(by_vote(asked.seen, 1)[0]) == len(run.load("test")[0])
    run, asked = voting(5)
    run.validate()
    assert len(by_vote(asked.seen, 1)[0]) == len(run.load("val")[0])


def test_steps_are_compiled_when_asked_and_judged_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []

    class Compiled(nn.Module):
        def __init__(self, original: nn.Module) -> None:
            super().__init__()
            self.original, self.method, self.batches = original, original.method, 0
            compiled.append(self)

        def forward(self, x: Tensor) -> Tensor:
            self.batches += 1
            out: Tensor = self.original(x)
            return out

    monkeypatch.setattr(torch, "compile", Compiled)
    plain, run = trainer(), trainer(compile=True)
    for each in (plain, run):
        each.train()
    assert [one.batches for one in compiled] == [3 * 4]  # epochs, batches
    assert run.history == plain.history
    assert Recipe(compile=True) != Recipe() and "compile" not in as_json(Recipe())


@pytest.mark.slow
def test_compiled_steps_train_the_same_but_for_rounding() -> None:
    plain, run = trainer("adapterx"), trainer("adapterx", compile=True)
    for each in (plain, run):
        each.train()
    for one, other in zip(run.history, plain.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-3)


@pytest.mark.parametrize("units", [True, False])
def test_a_cpu_takes_bfloat16_where_it_computes_in_it_and_never_on_an_embedded_backbone(
    monkeypatch: pytest.MonkeyPatch, units: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": units})
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert auto_dtype(CPU, "vit_base_patch16_224") == (torch.bfloat16 if units else torch.float32)
    for name in ("vit_nano", "vit_nano@other.safetensors", "point_nano"):
        assert auto_dtype(CPU, name) == torch.float32
