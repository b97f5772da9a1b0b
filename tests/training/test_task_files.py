"""Task files: which are refused, and what they tell besides the weights."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.training import model, task_files
from methods.errors import UserError


def test_a_task_file_tells_the_names_of_the_classes(specs, tmp_path):
    (spec,) = specs("linear")
    old, path = replace(spec, labels=None), tmp_path / "task.safetensors"
    for saved, labels in ((spec, tuple("0123456789")), (old, None)):
        task_files.save(model.build(saved), saved, path)
        assert (task_files.read(path)[0].labels, task_files.load(path).labels) == (labels, labels)


@pytest.mark.parametrize("name", ["missing", "text", "foreign"])
def test_a_file_that_is_no_task_file_is_refused(name, tmp_path):
    (tmp_path / "text.safetensors").write_text("no tensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match=rf"{name}\.safetensors"):
        task_files.load(tmp_path / f"{name}.safetensors")


def test_a_task_file_of_other_weights_is_refused(specs, tmp_path):
    (spec,) = specs("lora")
    other = replace(spec, backbone=replace(spec.backbone, sha256="0" * 64))
    task_files.save(model.build(spec), other, tmp_path / "task.safetensors")
    with pytest.raises(UserError, match="other weights of vit_nano: their SHA-256 starts with 000000000000"):
        task_files.load(tmp_path / "task.safetensors")


def test_a_task_file_whose_tensors_have_another_shape_is_refused(specs, tmp_path):
    (spec,) = specs("lora")
    path = tmp_path / "task.safetensors"
    task_files.save(model.build(spec), spec, path)
    state = task_files.read(path)[1]
    name = min(state)
    path.write_bytes(task_files.packed(spec, state | {name: torch.zeros(3, 3, 3)}))
    with pytest.raises(UserError, match=rf"does not hold what lora trains: size mismatch for {name}") as error:
        task_files.load(path)
    assert "\n" not in str(error.value)


def test_a_task_file_whose_weights_are_not_where_they_were_says_which_they_are(specs, tmp_path):
    (spec,) = specs("linear")
    path, moved = tmp_path / "task.safetensors", replace(spec.backbone, name="vit_nano@weights/gone.safetensors")
    task_files.save(model.build(spec), replace(spec, backbone=moved), path)
    with pytest.raises(
        UserError, match=rf"weights/gone\.safetensors, .* their SHA-256 starts with {moved.sha256[:12]}"
    ):
        task_files.load(path)


def test_a_task_file_that_lacks_a_tensor_is_refused(specs, tmp_path):
    (norm,), (linear,) = specs("norm"), specs("linear")
    task_files.save(model.build(linear), norm, tmp_path / "task.safetensors")
    with pytest.raises(UserError, match="does not hold what norm trains: missing or left over: backbone"):
        task_files.load(tmp_path / "task.safetensors")
