"""A published one-bit task file of PETL-ViT becomes a task file and a checkpoint of this project."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from benchmarks import export
from benchmarks.backbones.images import vit_nano
from benchmarks.suites import vtab1k
from benchmarks.training import model, task_files
from tests.support import petl_vit as files
from tests.support import tiny

CARD = {"dataset": "oxford_iiit_pet", "num_class": 37, "method": "lora", "dim": 1, "bit": 1, "scale": 10.0}
FORMS = {
    "lora": ("bi_lora", {"rank": 1, "alpha": 10.0}),
    "adaptformer": ("bi_adaptformer", {"hidden": 1, "scale": 10.0}),
}
NANO = ["--backbone", "vit_nano"]


def published(folder: Path, method: str, tuned: model.Classifier) -> list[str]:
    """The two files of a model, as arguments of the command."""
    binary_head = method.endswith("-bihead")
    (folder / "pet.bin").write_bytes(files.content(tuned.method, tuned.head, binary_head=binary_head))
    (folder / "pet.yaml").write_text(yaml.safe_dump(CARD | {"method": method}))
    return ["--from-petl", str(folder / "pet.bin"), "--config", str(folder / "pet.yaml"), *NANO]


def trained(specs: Callable[..., list], name: str, options: dict[str, float]) -> model.Classifier:
    (spec,) = specs(name, set={name: options})
    return tiny.move(model.build(replace(spec, classes=37))).eval()


@pytest.mark.parametrize("method", ["lora", "adaptformer-bihead"])
def test_a_published_file_becomes_a_task_file_with_equal_logits(method, specs, tmp_path):
    name, options = FORMS[method.removesuffix("-bihead")]
    tuned, x, out = trained(specs, name, options), torch.randn(2, 3, 32, 32), tmp_path / "pet.safetensors"
    assert export.main([*published(tmp_path, method, tuned), "--task", str(out)]) == 0
    if method.endswith("-bihead"):
        files.one_bit_head(tuned.head)
    spec, _ = task_files.read(out)
    named = [getattr(spec, field) for field in ("method", "suite", "task", "classes", "data_fingerprint")]
    assert named == [name, "vtab1k", "pets", 37, "absent"]
    told = [getattr(spec.recipe, name) for name in ("normalization", "clip_grad", "checkpoint_rule", "epochs")]
    assert told == ["none", 0, "best_test", 100]
    with torch.inference_mode():
        tiny.close(task_files.load(out)(x), tuned(x))


def test_a_published_lora_becomes_a_checkpoint_of_the_bare_architecture(specs, tmp_path):
    tuned, x = trained(specs, *FORMS["lora"]), torch.randn(2, 3, 32, 32)
    out = tmp_path / "m.safetensors"
    assert export.main([*published(tmp_path, "lora", tuned), "-o", str(out)]) == 0
    bare = vit_nano()
    bare.reset_classifier(37)
    bare.load_state_dict(load_file(out))
    with torch.inference_mode():
        torch.testing.assert_close(bare.eval()(x), tuned(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("argv", "changes", "message"),
    [
        (["run"], {}, "give either RUN or --from-petl FILE.bin"),
        (["--from-peft", "x"], {}, "--from-peft and --from-petl name two sources; give one"),
        ([], {"dataset": "pet"}, "unknown data set of VTAB-1K 'pet'; did you mean 'pets'?"),
        ([], {"num_class": 36}, "36 classes, but pets has 37"),
        (["--backbone", "point_nano"], {}, "backbone 'point_nano' takes points, but pets has images"),
        ([], {"dim": 0}, "bi_lora: rank=0 must be at least 1"),
        ([], {}, "pet.bin has 3 bytes, but this method and head have "),
    ],
)
def test_a_mistake_is_one_line(argv, changes, message, tmp_path, complaint):
    (tmp_path / "pet.bin").write_bytes(b"abc")
    (tmp_path / "pet.yaml").write_text(yaml.safe_dump(CARD | changes))
    given = ["--from-petl", str(tmp_path / "pet.bin"), "--config", str(tmp_path / "pet.yaml")]
    given += argv if "--backbone" in argv else [*NANO, *argv]
    assert message in complaint(export.main, *given, "--task", str(tmp_path / "out.safetensors"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give either RUN or --from-petl FILE.bin"),
        (["--from-petl", "x.bin"], "--from-petl needs --config, the YAML file that PETL-ViT has beside the task file"),
        (["--from-petl", "x.bin", "--config", "none.yaml"], "cannot read none.yaml"),
        (["run", "--config", "x.yaml"], "--config belongs to --from-petl; leave it out"),
        (["run", "--backbone", "vit_nano"], "--backbone belongs to --from-petl; leave it out"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(argv, message, complaint):
    assert message in complaint(export.main, *argv, "--task", "out.safetensors")


def test_every_data_set_of_petl_vit_is_a_task_here():
    names = "cifar caltech101 dtd oxford_flowers102 oxford_iiit_pet svhn sun397 patch_camelyon eurosat resisc45 "
    names += "diabetic_retinopathy clevr_count clevr_dist dmlab kitti dsprites_loc dsprites_ori "
    names += "smallnorb_azi smallnorb_ele"
    classes = (100, 102, 47, 102, 37, 10, 397, 2, 10, 45, 5, 8, 6, 6, 4, 16, 16, 18, 9)
    found = [vtab1k.SUITE.tasks[vtab1k.task_of(name)] for name in names.split()]
    assert [task.name for task in found] == list(vtab1k.SUITE.tasks)
    assert tuple(task.classes for task in found) == classes
