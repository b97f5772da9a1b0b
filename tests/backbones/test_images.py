"""Image backbones: names, local files, and what is refused."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from benchmarks import backbones
from benchmarks.backbones.images import image_normalization
from methods.errors import UserError
from tests.support.bait import Bait

TINY = "vit_tiny_patch16_224"
SameState = Callable[[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]], bool]


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {k: v.clone() for k, v in timm.create_model(TINY, num_classes=7).state_dict().items()}


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_local_file_loads_without_its_class_head(ending, same_state, tmp_path):
    path, state = tmp_path / f"w.{ending}", weights()
    (save_file if ending == "safetensors" else torch.save)(state, path)
    kept = {k: v for k, v in state.items() if not k.startswith("head.")}
    assert same_state(backbones.build(f"{TINY}@{path}").state_dict(), kept)


def google(state: dict[str, torch.Tensor], heads: int) -> dict[str, np.ndarray]:
    """The same weights under the names and in the axes of Google's .npz files."""
    block = "Transformer/encoderblock_"
    out = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].permute(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
    }
    for i in range(12):
        own = {key.removeprefix(f"blocks.{i}."): value for key, value in state.items()}
        norms, attention, dense = (f"{block}{i}/{name}" for name in ("LayerNorm_", "MultiHead", "MlpBlock_3/Dense_"))
        attention += "DotProductAttention_1"
        for theirs, ours in ((0, "norm1"), (2, "norm2")):
            out |= {f"{norms}{theirs}/scale": own[f"{ours}.weight"], f"{norms}{theirs}/bias": own[f"{ours}.bias"]}
        for theirs, ours in ((0, "fc1"), (1, "fc2")):
            out[f"{dense}{theirs}/kernel"] = own[f"mlp.{ours}.weight"].T
            out[f"{dense}{theirs}/bias"] = own[f"mlp.{ours}.bias"]
        parts = zip(own["attn.qkv.weight"].chunk(3), own["attn.qkv.bias"].chunk(3), strict=True)
        for part, (weight, bias) in zip(("query", "key", "value"), parts, strict=True):
            out[f"{attention}/{part}/kernel"] = weight.T.unflatten(1, (heads, -1))
            out[f"{attention}/{part}/bias"] = bias.unflatten(0, (heads, -1))
        out[f"{attention}/out/kernel"] = own["attn.proj.weight"].T.unflatten(0, (heads, -1))
        out[f"{attention}/out/bias"] = own["attn.proj.bias"]
    return {name: tensor.numpy() for name, tensor in out.items()}


def test_weights_in_googles_layout_load(tmp_path):
    state = weights()
    np.savez(tmp_path / "w.npz", **google(state, heads=3))  # type: ignore[arg-type]
    loaded = backbones.build(f"{TINY}@{tmp_path / 'w.npz'}").state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_position_embeddings_are_resampled_to_another_image_size(tmp_path):
    state = weights()
    save_file(state, tmp_path / "w.safetensors")
    large = backbones.build(f"vit_tiny_patch16_384@{tmp_path / 'w.safetensors'}")
    assert backbones.source(f"vit_tiny_patch16_384@{tmp_path / 'w.safetensors'}").image_size == 384
    grid = state["pos_embed"][:, 1:].view(1, 14, 14, -1).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, (24, 24), mode="bicubic", antialias=True).flatten(2).transpose(1, 2)
    assert isinstance(large.pos_embed, torch.Tensor)
    torch.testing.assert_close(large.pos_embed[:, 1:], expected)
    assert torch.equal(large.pos_embed[:, :1], state["pos_embed"][:, :1])


def test_normalisation_is_that_of_the_weights():
    assert backbones.source("vit_nano").mean == (0.5, 0.5, 0.5)
    assert image_normalization("deit_tiny_patch16_224") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224)
    assert image_normalization("vit_tiny_patch16_224") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 224)


def test_a_pickle_that_runs_code_is_refused_and_not_executed(tmp_path):
    torch.save({**weights(), "x": Bait(tmp_path / "proof")}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"refused .*w\.pth"):
        backbones.build(f"{TINY}@{tmp_path / 'w.pth'}")
    assert not (tmp_path / "proof").exists()
    torch.load(tmp_path / "w.pth", weights_only=False)  # it would have run
    assert (tmp_path / "proof").exists()


def test_a_pickle_inside_an_npz_is_refused_and_not_executed(tmp_path):
    arrays = google(weights(), heads=3)
    arrays["cls"] = np.array([Bait(tmp_path / "proof")], dtype=object)
    np.savez(tmp_path / "w.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"cannot load .*w\.npz"):
        backbones.build(f"{TINY}@{tmp_path / 'w.npz'}")
    assert not (tmp_path / "proof").exists()
    np.load(tmp_path / "w.npz", allow_pickle=True)["cls"]  # it would have run
    assert (tmp_path / "proof").exists()


@pytest.mark.parametrize("ending", ["safetensors", "pth", "npz"])
def test_a_damaged_file_is_refused(ending, tmp_path):
    path = tmp_path / f"w.{ending}"
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=rf"w\.{ending}"):
        backbones.build(f"{TINY}@{path}")


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"norm.weight": torch.ones(3)}, r"of another shape: norm.weight \(3,\) for \(192,\)"),
        ({"pos_embed": torch.ones(3)}, "cannot load"),
        ({"other": torch.ones(3)}, "left over: other"),
    ],
)
def test_weights_that_do_not_fit_are_refused(changed, part, tmp_path):
    save_file(weights() | changed, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=part):
        backbones.build(f"{TINY}@{tmp_path / 'w.safetensors'}")


def test_what_is_saved_beside_the_weights_does_not_matter(tmp_path):
    state = weights()
    torch.save({"model": {**state, "epoch": 3}, "best": np.float64(0.5)}, tmp_path / "w.pth")
    loaded = backbones.build(f"{TINY}@{tmp_path / 'w.pth'}").state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("vit_base_patch16_224_in21k", "orig_in21k"),
        ("vit_nanoo", "did you mean 'vit_nano'"),
        ("resnet18", "'resnet18' is not supported: ResNet is not a supported architecture"),
        ("vgg11", "'vgg11' is not supported"),
        (
            "swinv2_tiny_window8_256",
            "SwinTransformerV2 is not a supported architecture; these are: VisionTransformer, Eva, ",
        ),
        (f"{TINY}@/nowhere.pth", "/nowhere.pth"),
    ],
)
def test_a_name_that_is_refused_says_why(name, part):
    with pytest.raises(UserError, match=part):
        backbones.build(name, pretrained="@" in name)


@pytest.mark.skipif("PEFT_BENCH_REALDATA" not in os.environ, reason="PEFT_BENCH_REALDATA is not set")
def test_real_weights_load_and_give_finite_features():
    path = Path(os.environ["PEFT_BENCH_REALDATA"]) / "deit_tiny_patch16_224" / "model.safetensors"
    model = backbones.build(f"deit_tiny_patch16_224@{path}")
    with torch.inference_mode():
        features = model(torch.randn(2, 3, 224, 224))
    assert features.shape == (2, 192) and torch.isfinite(features).all()


def test_radio_is_refused_because_its_positions_are_resampled_otherwise(monkeypatch):
    monkeypatch.setattr(timm, "is_model", lambda name: True)  # the lowest version of timm has none
    with pytest.raises(UserError, match="is not supported: RADIO resamples its position embeddings"):
        backbones.build("vit_base_patch16_radio_v3", pretrained=False)
