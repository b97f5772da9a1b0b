"""Names of backbones: their parts, sizes of images, and forms of the hub."""

from dataclasses import replace

import pytest
import torch

from benchmarks import backbones
from benchmarks.backbones.names import Name, parse
from benchmarks.sweeps import sweep
from methods.errors import UserError

SMALL = "test_vit"  # timm's: patches of 16 pixels, pretrained at 160


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("vit_nano", Name("vit_nano", None, "")),
        ("vit_nano@a@b:32", Name("vit_nano", None, "a@b:32")),
        ("vit_small_patch14_dinov2:224", Name("vit_small_patch14_dinov2", 224, "")),
        ("vit_small_patch14_dinov2.lvd142m:224@C:/w.pth", Name("vit_small_patch14_dinov2.lvd142m", 224, "C:/w.pth")),
        ("timm/vit_tiny_patch16_224.augreg_in21k", Name("vit_tiny_patch16_224.augreg_in21k", None, "")),
        ("hf_hub:timm/vit_tiny_patch16_224:384", Name("vit_tiny_patch16_224", 384, "")),
        ("hf-hub:timm/vit_tiny_patch16_224", Name("vit_tiny_patch16_224", None, "")),
        ("hf_hub:me/model:64@w.pth", Name("hf-hub:me/model", 64, "w.pth")),
        ("me/model", Name("hf-hub:me/model", None, "")),
        ("point_mae@pretrain.pth", Name("point_mae", None, "pretrain.pth")),
        ("vit_nano:010", Name("vit_nano:010", None, "")),
        ("vit_nano:", Name("vit_nano:", None, "")),
    ],
)
def test_a_name_has_a_model_a_size_and_a_file(given, parts):
    assert parse(given) == parts
    assert parse(str(parts)) == parts


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (f"{SMALL}:100", f"backbone '{SMALL}:100': the size must be a multiple of the patches' 16 pixels"),
        ("vit_nano:33", "backbone 'vit_nano:33': the size must be a multiple of the patches' 8 pixels"),
        (f"{SMALL}:99984", f"backbone '{SMALL}:99984': the size must be at most 4096 pixels"),
        (f"{SMALL}:0", f"backbone '{SMALL}:0': give a whole number of pixels after the colon, as in NAME:224"),
        (f"{SMALL}:large", f"backbone '{SMALL}:large': give a whole number of pixels after the colon, as in NAME:224"),
        ("point_nano:32", "backbone 'point_nano:32' takes point clouds, which have no size in pixels; leave :32 out"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(name, line):
    with pytest.raises(UserError) as raised:
        backbones.build(name, pretrained=False)
    assert str(raised.value) == line


def test_a_backbone_of_fixed_size_runs_at_another():
    with torch.device("meta"):
        model = backbones.build("vit_small_patch14_dinov2:224", pretrained=False)
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 384)
    assert model.pos_embed.shape == (1, 1 + (224 // 14) ** 2, 384)


def specs(*names):
    asked = (sweep.Sweep(methods=("lora",), tasks=("digits",), backbone=(name,)) for name in names)
    return [sweep.specs(one, "float32")[0] for one in asked]


def test_the_size_is_part_of_a_run_and_the_native_one_is_the_default():
    plain, native, double = specs("vit_nano", "vit_nano:32", "vit_nano:64")
    assert plain == native and plain.key == native.key
    assert (double.backbone.name, double.backbone.image_size) == ("vit_nano:64", 64)
    assert double.backbone.sha256 == plain.backbone.sha256 and double.key != plain.key
    moved = replace(double, backbone=replace(double.backbone, name="vit_nano:64@elsewhere.safetensors"))
    assert moved.key == double.key
