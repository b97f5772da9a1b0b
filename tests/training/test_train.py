"""The trainer: what it may read, what it must repeat, what it must refuse."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from benchmarks.records.spec import Recipe
from benchmarks.training import evaluate
from benchmarks.training.optimizer import adamw, cosine
from benchmarks.training.outcomes import Outcomes
from benchmarks.training.precision import auto_dtype
from benchmarks.training.train import Diverged, Trainer
from tests.support import tiny

Load = Callable[[str], tuple[Tensor, Tensor]]
SameState = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], bool]


class Data:
    """Two classes that differ in brightness. Remembers which splits were read."""

    def __init__(self):
        self.read: list[str] = []

    def __call__(self, split: str) -> tuple[Tensor, Tensor]:
        self.read.append(split)
        size, seed = {"train": (24, 0), "val": (8, 1), "test": (40, 2)}[split]
        generator = torch.Generator().manual_seed(seed)
        y = torch.arange(size) % 2
        x = torch.randint(0, 100, (size, 3, 32, 32), generator=generator) + 150 * y.view(-1, 1, 1, 1)
        return x.to(torch.uint8), y


def trainer(name: str = "lora", *, data: Load | None = None, lr: float = 1e-2, **recipe: object) -> Trainer:
    settings = {"epochs": 3, "batch_size": 8, "warmup_epochs": 1, **recipe}
    return tiny.trainer_of(name, "image", data or Data(), {"lr": lr}, classes=2, **settings)


def test_test_split_is_read_only_by_test():
    data = Data()
    run = trainer(data=data)
    run.train()
    assert data.read == ["train", "val"]
    run.test()
    run.test()
    assert data.read == ["train", "val", "test"]


def test_held_out_validation_samples_stay_out_of_training():
    data = Data()
    run = trainer(data=data, train_split="train")
    assert (data.read, len(run.x)) == (["train"], 24)
    run.train()
    assert [row["val_accuracy"] is not None for row in run.history] == [True, True, True]


@pytest.mark.parametrize("train_split", ["train", "trainval"])
def test_resampled_steps_draw_from_all_points_and_evaluation_takes_the_first(train_split):
    whole = {split: torch.randn(8, 80, 3) for split in ("train", "val", "test")}
    y, steps, tested = torch.arange(8) % 3, [], []
    tuned = tiny.wire("lora", "points").train()
    recipe = Recipe(epochs=2, batch_size=4, warmup_epochs=0, resample=True, train_split=train_split)
    run = Trainer(
        tuned,
        recipe,
        lambda split: (whole[split][:, :64], y),
        seed=0,
        device=torch.device("cpu"),
        dtype=torch.float32,
        pool=lambda split: (whole[split], y),
    )
    tuned.register_forward_pre_hook(lambda module, args: (steps if module.training else tested).append(args[0]))
    run.train()
    assert {step.shape[1] for step in steps} == {64} and run.x.shape[1] == 64
    trained = torch.cat([whole["train"], whole["val"]] if train_split == "trainval" else [whole["train"]])
    known = {tuple(point) for point in trained.flatten(0, 1).tolist()}
    seen = [
        {tuple(point) for point in torch.cat(part).flatten(0, 1).tolist()} for part in (steps[: len(steps) // 2], steps)
    ]
    assert seen[1] <= known and len(seen[1]) > len(seen[0])  # another epoch draws other points
    tested.clear()
    run.test()
    assert torch.equal(torch.cat(tested), whole["test"][:, :64])


def test_point_berts_smoothing_is_a_label_smoothing_of_its_own_size():
    torch.manual_seed(0)
    logits, y, classes = torch.randn(6, 15), torch.arange(6), 15
    target = torch.full((6, classes), 0.2 / (classes - 1))  # its code: 0.8 on the label, 0.2 spread over the others
    target[torch.arange(6), y] = 0.8
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    share = Recipe(label_smoothing=0.2 * classes / (classes - 1)).label_smoothing
    torch.testing.assert_close(nn.CrossEntropyLoss(label_smoothing=share)(logits, y), expected)


def test_learns_the_task():
    run = trainer(epochs=10)
    run.train()
    assert run.test() >= 0.95


def test_two_runs_of_a_seed_agree_to_the_last_bit(same_state):
    one, other = trainer("adapterx"), trainer("adapterx")
    for run in (one, other):
        run.train()
    assert one.history == other.history
    assert same_state(one.model.trained_state(), other.model.trained_state())


def test_best_val_goes_back_to_its_epoch(same_state):
    run = trainer(train_split="train", checkpoint_rule="best_val", epochs=4)
    scores = iter([0.2, 0.9, 0.9, 0.1])
    states = []

    def validate() -> float:
        states.append(run.model.trained_state())
        return next(scores)

    run.validate = validate  # type: ignore[method-assign]
    run.train()
    assert run.accuracy_epoch == 2
    assert same_state(run.model.trained_state(), states[1])


def test_best_test_records_the_test_accuracy_of_every_epoch():
    run = trainer(checkpoint_rule="best_test")
    run.train()
    assert [row["test_accuracy"] is not None for row in run.history] == [True, True, True]


def test_learning_rate_warms_up_then_follows_a_cosine():
    run = trainer(epochs=10, warmup_epochs=2, lr=1.0)
    run.batch_loss = lambda model, x, y, index: (model(x) * 0).sum()  # type: ignore[method-assign]
    run.train()
    rates = [row["lr"] for row in run.history]
    assert rates[0] < rates[1]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    # the last step of the last epoch: step 39 of 40
    assert rates[-1] == pytest.approx(0.5 * (1 + torch.cos(torch.tensor(torch.pi * 39 / 40)).item()), rel=1e-4)


def test_a_run_of_enough_steps_is_the_same_to_the_last_bit_and_a_shorter_one_spares_the_features(same_state):
    runs = {least: trainer(full_rate_steps=least) for least in (0, 12, 48)}  # of 3 epochs of 4 steps
    start = runs[0].model.trained_state()
    for run in runs.values():
        run.train()
    ends = {least: run.model.trained_state() for least, run in runs.items()}
    assert same_state(ends[0], ends[12])
    assert len({tuple(row["lr"] for row in run.history) for run in runs.values()}) == 1  # that of the head
    moved = {(n, name): float((ends[n][name] - start[name]).abs().mean()) for n in (0, 48) for name in start}
    shares = {name: moved[48, name] / moved[0, name] for name in start}
    assert all(share > 0.7 if name.startswith("head.") else share < 0.5 for name, share in shares.items())


def test_the_first_step_moves_every_weight_by_its_rate():
    tuned = tiny.wire("lora", "image")
    optimizer = adamw(tuned, 1e-2, share=0.25)
    cosine(optimizer, 1e-2, steps=4, warmup_steps=0).step_update(0)
    trained = {name: p for name, p in tuned.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    for parameter in trained.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in trained.items():
        rate = 1e-2 if name.startswith("head.") else 2.5e-3
        decay = 1e-4 * rate * (parameter.ndim > 1)
        torch.testing.assert_close(parameter.detach(), before[name] * (1 - decay) - rate, atol=1e-6, rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run():
    run = trainer()
    run.batch_loss = lambda model, x, y, index: (model(x) * float("inf")).sum()  # type: ignore[method-assign]
    with pytest.raises(Diverged, match="epoch 1"):
        run.train()


def test_restart_restores_the_first_weights(same_state):
    run = trainer("full")
    first = run.model.trained_state()
    run.train()
    assert not same_state(run.model.trained_state(), first)
    run.restart()
    assert same_state(run.model.trained_state(), first)


def test_no_batch_is_too_small_for_batch_norm():
    sizes: list[int] = []
    run = trainer(batch_size=31)  # 32 samples
    run.batch_loss = lambda model, x, y, index: sizes.append(len(x)) or model(x).sum()  # type: ignore[method-assign, func-returns-value]
    run.train()
    assert sizes == [16, 16] * 3


def test_only_the_test_split_is_judged_by_votes(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(evaluate, "scores", lambda *given, votes, **others: asked.append(votes) or {"accuracy": 0.0})  # type: ignore[func-returns-value]
    run = trainer(votes=5)
    run.validate()
    run.test()
    assert asked == [1, 5]


def test_an_interrupted_run_finds_the_whole_outcomes_of_its_stages(tmp_path, capsys):
    first, again = trainer(), trainer()
    first.outcomes.folder = again.outcomes.folder = tmp_path / "stages"
    assert first.kept("search") is None
    first.keep("search", {"x": torch.arange(3)}, {"steps": 4})
    tensors, values = again.kept("search") or ({}, {})
    assert tensors["x"].tolist() == [0, 1, 2] and values == {"steps": 4}
    assert capsys.readouterr().err == ""
    path = tmp_path / "stages" / "search.safetensors"
    path.write_bytes(path.read_bytes()[:-40] + bytes(8) + path.read_bytes()[-32:])
    assert again.kept("search") is None
    assert capsys.readouterr().err == f"warning: {path} is damaged; its content is made again\n"


def test_a_continued_run_counts_the_seconds_and_the_memory_of_its_earlier_executions(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("benchmarks.training.outcomes.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("benchmarks.training.outcomes.measure.peak_memory_bytes", lambda device: 900)
    first = Outcomes(tmp_path, tiny.CPU, "code")
    for name in ("supernet", "evolution"):
        clock[0] += 10
        first.keep(name, {}, {})
    clock[0] += 5  # lost with the interruption
    again = Outcomes(tmp_path, tiny.CPU, "code")
    assert (again.seconds, again.peak(300)) == (0, 300)
    again.kept("evolution")
    again.kept("supernet")
    assert (again.seconds, again.peak(300), again.peak(1000)) == (20, 900, 1000)
    clock[0] += 7
    again.keep("evolution", {}, {})
    third = Outcomes(tmp_path, tiny.CPU, "code")
    third.kept("evolution")
    assert third.seconds == 27


def test_a_stage_of_other_code_of_the_method_is_made_again(tmp_path):
    Outcomes(tmp_path, tiny.CPU, "old").keep("supernet", {}, {"a": 1})
    assert Outcomes(tmp_path, tiny.CPU, "new").kept("supernet") is None
    assert Outcomes(tmp_path, tiny.CPU, "old").kept("supernet") == ({}, {"a": 1})


@pytest.mark.parametrize(("batch_size", "sizes"), [(2, [3, 2]), (3, [3, 2]), (4, [3, 2]), (5, [5]), (16, [5])])
def test_no_batch_has_one_sample(batch_size, sizes):
    run = trainer(batch_size=batch_size)
    assert [len(batch) for batch in run._batches(run.x[:5])] == sizes


def test_a_run_without_a_place_keeps_nothing():
    run = trainer()
    run.keep("search", {}, {})
    assert run.kept("search") is None


def test_steps_are_compiled_when_asked_and_judged_as_they_are(monkeypatch):
    compiled: list[nn.Module] = []

    class Compiled(nn.Module):
        def __init__(self, original: nn.Module):
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


@pytest.mark.slow
def test_compiled_steps_train_the_same_but_for_rounding():
    plain, run = trainer("adapterx"), trainer("adapterx", compile=True)
    for each in (plain, run):
        each.train()
    for one, other in zip(run.history, plain.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-3)


@pytest.mark.parametrize(
    ("backbone", "units", "expected"),
    [
        ("vit_base_patch16_224", True, torch.bfloat16),
        ("vit_base_patch16_224", False, torch.float32),
        ("vit_nano", True, torch.float32),
        ("vit_nano@other.safetensors", True, torch.float32),
        ("point_nano", True, torch.float32),
    ],
)
def test_a_cpu_uses_bfloat16_if_it_supports_it_and_the_backbone_is_large(backbone, units, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": units})
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert auto_dtype(torch.device("cpu"), backbone) == expected


def test_gradients_of_frozen_weights_are_those_of_each_batch_and_train_nothing(same_state: SameState):
    run = trainer("linear")
    weight = run.model.backbone.blocks[0].mlp.fc1.weight
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    found = [gradients[0] for gradients in run.gradients([weight], batches=2)]
    assert not weight.requires_grad and same_state(run.model.state_dict(), before)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0)).split(8)
    weight.requires_grad_(True)
    for gradient, index in zip(found, order[:2], strict=True):
        loss = nn.functional.cross_entropy(run.model.train()(run.x[index]), run.y[index])
        assert torch.equal(gradient, torch.autograd.grad(loss, weight)[0])


def test_attention_is_fused_but_in_bfloat16_on_a_cpu(monkeypatch):
    """There the backward pass of torch's fused function is slow. The loss is that of float32 within its precision."""
    fused, calls, losses = nn.functional.scaled_dot_product_attention, [], []
    monkeypatch.setattr(
        nn.functional, "scaled_dot_product_attention", lambda *given, **more: calls.append(1) or fused(*given, **more)
    )
    for dtype, expected in ((torch.float32, True), (torch.bfloat16, False)):
        model = trainer().model
        run = Trainer(
            model,
            Recipe(epochs=1, warmup_epochs=0, batch_size=8),
            Data(),
            seed=0,
            device=torch.device("cpu"),
            dtype=dtype,
        )
        calls.clear()
        run.train()
        assert bool(calls) == expected
        losses.append(run.history[0]["train_loss"])
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)
