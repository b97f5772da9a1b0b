"""Classifier: what trains, what is saved, what comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.records.spec import Dtype, Spec
from benchmarks.sweeps import sweep
from benchmarks.training import model


def seeded_images(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def seeded_points(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, size, 3, generator=torch.Generator().manual_seed(1))


def spec(method: str, task: str) -> Spec:
    (one,) = sweep.specs(sweep.Sweep(methods=(method,), tasks=(task,)), "float32")
    return one


def trained(method: str, task: str) -> tuple[model.Classifier, Spec]:
    """A model after one step on random inputs, BatchNorm statistics included."""
    torch.manual_seed(0)
    asked = spec(method, task)
    tuned = model.build(asked).train()
    x = seeded_images(8, 32) if asked.backbone.modality == "image" else seeded_points(8, 256)
    optimizer = torch.optim.SGD([p for p in tuned.parameters() if p.requires_grad], lr=0.1)
    torch.nn.functional.cross_entropy(tuned(x), torch.arange(8) % asked.classes).backward()
    optimizer.step()
    return tuned.eval(), asked


@pytest.mark.parametrize("task", ["digits", "solids"])
@pytest.mark.parametrize("method", ["adapterx", "lora", "full", "linear"])
def test_saved_and_loaded_model_predicts_the_same_bits(method: str, task: str, tmp_path: Path) -> None:
    tuned, asked = trained(method, task)
    size = model.save(tuned, asked, tmp_path / "task.safetensors")
    assert size == (tmp_path / "task.safetensors").stat().st_size
    loaded = model.load(tmp_path / "task.safetensors")
    x = seeded_images(4, 32) if task == "digits" else seeded_points(4, 256)
    with torch.inference_mode():
        assert torch.equal(loaded(x), tuned(x))
    assert torch.equal(loaded.predict(x), tuned(x).argmax(dim=1))


def test_task_file_holds_no_frozen_weight(tmp_path: Path) -> None:
    tuned, _ = trained("lora", "digits")
    assert not [name for name in tuned.trained_state() if name.startswith("backbone.")]


def test_uint8_images_are_normalised_as_the_weights_were() -> None:
    tuned, asked = trained("linear", "digits")
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (asked.backbone.mean, asked.backbone.std))
    with torch.inference_mode():
        assert torch.allclose(tuned(images), tuned((images / 255 - mean) / std), atol=1e-5)


def test_frozen_batch_norm_keeps_its_statistics_and_full_trains_it() -> None:
    for method, moves in (("lora", False), ("linear", False), ("full", True)):
        torch.manual_seed(0)
        tuned = model.build(spec(method, "solids"))
        before = {name: b.clone() for name, b in tuned.backbone.named_buffers() if "running" in name}
        assert before
        tuned.train()(seeded_points(4, 256))
        after = dict(tuned.backbone.named_buffers())
        assert {not torch.equal(before[name], after[name]) for name in before} == {moves}


def test_spec_survives_json() -> None:
    asked = spec("lora", "digits")
    again = Spec.from_json(json.loads(json.dumps(asked.to_json())))
    assert again == asked
    assert again.key == asked.key


def test_key_differs_with_everything_that_decides_the_number() -> None:
    import dataclasses

    asked = spec("lora", "solids")
    changes = [
        {"seed": 1},
        {"dtype": "bfloat16"},
        {"data_fingerprint": "other"},
        {"task": "solids_hard"},
        {"backbone": dataclasses.replace(asked.backbone, sha256="other")},
        {"recipe": dataclasses.replace(asked.recipe, epochs=asked.recipe.epochs + 1)},
        {"recipe": dataclasses.replace(asked.recipe, votes=2)},
        {"config": dataclasses.replace(asked.config, lr=0.5)},
    ]
    keys = {asked.key, *(dataclasses.replace(asked, **change).key for change in changes)}  # type: ignore[arg-type]
    assert len(keys) == len(changes) + 1


def test_a_field_that_records_were_given_later_changes_no_key_at_its_default() -> None:
    import dataclasses

    path = next((Path(__file__).parents[2] / "results" / "runs" / "offline" / "solids").glob("lora-s0-*.json"))
    record = json.loads(path.read_text())
    assert "votes" not in record["spec"]["recipe"]
    old = Spec.from_json(record["spec"])
    assert (
        old.recipe.votes == 1 and old.key == record["key"] and old.to_json() == Spec.from_json(old.to_json()).to_json()
    )
    assert json.loads(json.dumps(old.to_json())) == record["spec"]
    new = dataclasses.replace(old, recipe=dataclasses.replace(old.recipe, votes=10))
    assert new.key != old.key and new.to_json()["recipe"]["votes"] == 10
    assert Spec.from_json(json.loads(json.dumps(new.to_json()))) == new


def test_runs_of_each_backbone_may_have_a_type_of_their_own() -> None:
    types: dict[str, Dtype] = {"vit_nano": "float32", "point_nano": "bfloat16"}
    asked = sweep.Sweep(methods=("lora",), tasks=("digits", "solids"))
    assert [one.dtype for one in sweep.specs(asked, types.__getitem__)] == ["float32", "bfloat16"]


def test_votes_on_images_are_refused() -> None:
    asked = sweep.Sweep(methods=("lora",), recipe={"votes": 10})
    with pytest.raises(ValueError, match=r"^recipe: votes=10 is for point clouds, but task 'digits' has images"):
        sweep.specs(asked, "float32")
    points = sweep.Sweep(methods=("lora",), tasks=("solids",), recipe={"votes": 10})
    assert [one.recipe.votes for one in sweep.specs(points, "float32")] == [10]
    with pytest.raises(ValueError, match="votes=0 must be at least 1"):
        sweep.specs(sweep.Sweep(tasks=("solids",), recipe={"votes": 0}), "float32")


def test_files_that_are_no_task_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no tensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    for name in ("missing.safetensors", "text.safetensors", "foreign.safetensors"):
        with pytest.raises(ValueError, match=name):
            model.load(tmp_path / name)


def test_task_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    import dataclasses

    tuned, asked = trained("lora", "digits")
    other = dataclasses.replace(asked, backbone=dataclasses.replace(asked.backbone, sha256="0" * 64))
    model.save(tuned, other, tmp_path / "task.safetensors")
    with pytest.raises(ValueError, match="other weights"):
        model.load(tmp_path / "task.safetensors")
