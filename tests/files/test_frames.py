"""How files become squares: as timm's evaluation does, and each frame with cached files of its own."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

from benchmarks import backbones, load_images
from benchmarks.backbones.images import image_frame
from benchmarks.files import contents, decoded, layouts
from benchmarks.files.frames import Frame, transform
from benchmarks.records.spec import Recipe
from methods.errors import UserError
from tests.support.layout_files import write_lists

WIDE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8))


def test_the_whole_image_is_squashed_by_default():
    expected = pil_to_tensor(WIDE.resize((24, 24), Image.Resampling.BICUBIC))
    assert torch.equal(transform(Frame(24))(WIDE), expected)


def test_a_center_frame_cuts_the_longer_side_and_the_rim():
    expected = center_crop(resize(pil_to_tensor(WIDE), [30]), [24, 24])  # 24 / 0.8; the shorter side
    got = transform(Frame(24, "center", 0.8, "bilinear"))(WIDE)
    assert got.shape == (3, 24, 24) and (got.int() - expected.int()).abs().max() <= 2  # Pillow rounds otherwise


@pytest.mark.parametrize("model", ["deit_tiny_patch16_224", "vit_base_patch16_224.orig_in21k", "convnext_tiny"])
def test_a_checkpoints_own_frame_gives_the_pixels_of_timm(model):
    import timm

    frame = image_frame(model, 224)
    config = timm.models.get_pretrained_cfg(model).to_dict()
    given = {name: config[name] for name in ("crop_pct", "interpolation", "mean", "std")}
    theirs = create_transform((3, 224, 224), **given, crop_mode=config["crop_mode"], normalize=False)
    assert torch.equal(transform(frame)(WIDE), theirs(WIDE))
    assert frame.crop_mode == "center" and frame.crop_pct == config["crop_pct"] < 1


def test_the_recipe_puts_the_checkpoints_frame_into_the_source():
    plain = backbones.source("vit_nano")
    assert backbones.framed(plain, "checkpoint") == plain == backbones.framed(plain, "squash")
    of_timm = backbones.Source(
        name="vit_tiny_patch16_224:32", modality="image", sha256="0", mean=(0.5,), std=(0.5,), image_size=32
    )
    assert backbones.framed(of_timm, "checkpoint").frame == Frame(32, "center", 0.9, "bicubic")
    assert backbones.framed(of_timm, Recipe().resize) == of_timm


def test_a_crop_mode_that_fills_borders_is_refused(monkeypatch):
    monkeypatch.setattr("benchmarks.backbones.images.resolve_model_data_config", lambda built: {"crop_mode": "border"})
    with pytest.raises(UserError, match=r"crop_mode=border, and this benchmark has squash and center; use resize=sq"):
        image_frame("vit_small_patch16_224", 224)


def test_each_frame_has_a_cached_file_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    write_lists(tmp_path / "task", classes=2, counts=(2, 2, 2))
    layout = layouts.lists(tmp_path / "task")
    frames = [Frame(8), Frame(8, "center", 0.9), Frame(8, "center", 0.8), Frame(8, "center", 0.8, "bilinear")]
    for frame in frames:
        x, _ = decoded.load(layout, "train", frame)
        assert torch.equal(x, load_images([layout.folder / path for path, _ in layout.splits["train"]], frame))
    assert len(list((tmp_path / "cache" / "images").glob("*.u8"))) == len(frames)
