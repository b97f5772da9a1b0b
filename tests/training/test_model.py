"""Classifier: what trains, what is saved, what comes back."""

from collections.abc import Callable

import pytest
import torch

from benchmarks.records.spec import Spec
from benchmarks.training import model, prefix, task_files
from methods.lora import LoRA

Specs = Callable[..., list[Spec]]


def inputs(spec: Spec, count: int) -> torch.Tensor:
    shape = (3, 32, 32) if spec.backbone.modality == "image" else (256, 3)
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def trained(spec: Spec) -> model.Classifier:
    """A model after one step on random inputs, which changes BatchNorm statistics too."""
    torch.manual_seed(0)
    tuned = model.build(spec).train()
    optimizer = torch.optim.SGD([p for p in tuned.parameters() if p.requires_grad], lr=0.1)
    torch.nn.functional.cross_entropy(tuned(inputs(spec, 8)), torch.arange(8) % spec.classes).backward()
    optimizer.step()
    return tuned.eval()


@pytest.mark.parametrize("task", ["digits", "solids"])
@pytest.mark.parametrize("method", ["adapterx", "lora", "full", "linear"])
def test_a_loaded_model_computes_the_same_bits(method, task, specs, tmp_path):
    (spec,) = specs(method, tasks=(task,))
    tuned, path = trained(spec), tmp_path / "task.safetensors"
    assert task_files.save(tuned, spec, path) == path.stat().st_size
    loaded, x = task_files.load(path), inputs(spec, 4)
    with torch.inference_mode():
        assert torch.equal(loaded(x), tuned(x))
    assert torch.equal(loaded.predict(x), tuned(x).argmax(dim=1))


def test_a_task_file_holds_no_frozen_weight(specs):
    tuned = trained(specs("lora")[0])
    assert not [name for name in tuned.trained_state() if name.startswith("backbone.")]


def test_uint8_images_are_normalised_as_the_weights_were(specs):
    (spec,) = specs("linear", recipe={"normalization": "checkpoint"})
    tuned = trained(spec)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (spec.backbone.mean, spec.backbone.std))
    with torch.inference_mode():
        assert torch.allclose(tuned(images), tuned((images / 255 - mean) / std), atol=1e-5)


@pytest.mark.parametrize(
    ("method", "how", "moves"),
    [
        *(("lora", "keep", False), ("linear", "keep", False), ("full", "keep", True)),
        *(("lora", "adapt", True), ("linear", "adapt", True)),
    ],
)
def test_statistics_move_if_their_weights_train_or_if_they_are_to_adapt(method, how, moves, specs):
    (spec,) = specs(method, tasks=("solids",), recipe={"frozen_batchnorm": how})
    torch.manual_seed(0)
    tuned = model.build(spec)
    before = {name: b.clone() for name, b in tuned.backbone.named_buffers() if "running" in name}
    tuned.train()(inputs(spec, 4))
    after = dict(tuned.backbone.named_buffers())
    assert {not torch.equal(before[name], after[name]) for name in before} == {moves}
    kept = {name.removeprefix("backbone.") for name in tuned.trained_state() if name.startswith("backbone.")}
    assert kept >= set(before) if moves else kept.isdisjoint(before)


def test_adapted_statistics_follow_the_batches_and_come_back_from_the_task_file(specs, tmp_path):
    (spec,) = specs("linear", tasks=("solids",), recipe={"frozen_batchnorm": "adapt"})
    tuned, x, path = model.build(spec), inputs(spec, 8), tmp_path / "task.safetensors"
    first = tuned.backbone.encoder.first_conv
    before, seen = first[1].running_mean.clone(), []
    first[0].register_forward_hook(lambda module, args, output: seen.append(output))
    tuned.train()(x)
    torch.testing.assert_close(first[1].running_mean, 0.9 * before + 0.1 * seen[0].mean(dim=(0, 2)))
    assert (tuned.eval().count()["method"], prefix.unchanged_blocks(tuned)) == (0, 0)  # no block can be kept
    task_files.save(tuned, spec, path)
    with torch.inference_mode():
        assert torch.equal(task_files.load(path)(x), tuned(x))


def test_a_merged_model_is_a_copy_that_computes_the_same(specs):
    tuned, x = trained(specs("lora")[0]), inputs(specs("lora")[0], 2)
    before = tuned(x)
    merged = tuned.merged(x)
    assert merged.method.folded and not tuned.method.folded
    torch.testing.assert_close(merged(x), before, rtol=1e-4, atol=1e-4)
    assert torch.equal(tuned(x), before)


@pytest.mark.parametrize("task", ["digits", "solids"])
def test_a_merge_that_changes_the_features_does_not_count(task, specs, monkeypatch):
    (spec,) = specs("lora", tasks=(task,))
    tuned, x = trained(spec), inputs(spec, 2)
    with torch.no_grad():
        for parameter in tuned.method.parameters():
            parameter += torch.randn_like(parameter) * 0.02
    before = tuned(x)
    monkeypatch.setattr(LoRA, "merge", LoRA.remove_hooks)  # it forgets the updates
    merged = tuned.merged(x)
    assert torch.equal(merged(x), before) and not merged.method.folded
