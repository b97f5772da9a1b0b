"""Weights as training scripts save them: every wrapper is taken off, and what was resampled is told."""

import io
import zipfile
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks import backbones, run
from benchmarks.backbones.images import build_image
from benchmarks.backbones.point_models import MODELS
from benchmarks.backbones.points import PointTransformer
from tests.backbones.test_damaged_weights import MODEL, pth, weights

HEAD = {"head.weight": torch.ones(7, 64), "head.bias": torch.ones(7)}


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def other(prefix, state=None):
    """Weights of the same names with other values, such as those of a student."""
    return under(prefix, {name: tensor + 1 for name, tensor in (state or weights()).items()})


def with_head(prefix="", head="head."):
    return under(prefix, weights()) | {prefix + name.replace("head.", head): t for name, t in HEAD.items()}


LAYOUTS = {
    "as they are": lambda: with_head(),
    "timm's training": lambda: {"epoch": 3, "state_dict": with_head(), "state_dict_ema": other("")},
    "DeiT": lambda: {"model": with_head(), "model_ema": other(""), "scaler": {}},
    "DDP": lambda: {"model": with_head("module.")},
    "torch.compile": lambda: with_head("_orig_mod."),
    "torch.compile in DDP": lambda: {"state_dict": with_head("module._orig_mod.")},
    "Lightning": lambda: {
        "state_dict": with_head("model.") | {"criterion.weight": torch.ones(7)},
        "pytorch-lightning_version": "2.5",
    },
    "Lightning with a backbone": lambda: {"state_dict": under("backbone.", weights()) | under("classifier.", HEAD)},
    "Lightning with a model of parts": lambda: {
        "state_dict": under("model.encoder.", weights()) | under("model.", HEAD)
    },
    "MoCo v3": lambda: {
        "arch": "vit",
        "state_dict": with_head("module.base_encoder.", "head.0.")
        | other("module.momentum_encoder.")
        | {"module.predictor.0.weight": torch.ones(3)},
    },
    "MoCo v3, momentum encoder alone": lambda: {"state_dict": under("module.momentum_encoder.", weights())},
    "DINO": lambda: {
        "student": other("module.backbone."),
        "teacher": under("backbone.", weights()) | {"head.mlp.0.weight": torch.ones(3)},
        "dino_loss": {"center": torch.ones(3)},
    },
    "DINO by prefixes": lambda: {"model": other("student.backbone.") | under("teacher.backbone.", weights())},
    "parameters, not tensors": lambda: {name: torch.nn.Parameter(tensor) for name, tensor in with_head().items()},
    "doubles": lambda: {"model": {name: tensor.double() for name, tensor in with_head().items()}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_wrappers_of_known_scripts_are_taken_off(layout, same_state, tmp_path):
    (tmp_path / "w.pth").write_bytes(pth(LAYOUTS[layout]()))
    loaded = backbones.build(f"{MODEL}@{tmp_path / 'w.pth'}")
    assert same_state(loaded.state_dict(), weights())
    assert loaded.resampled == ()


def from_cuda(content):
    """The bytes of a file as torch writes it for tensors on a GPU: only the place of every storage differs."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as saved, zipfile.ZipFile(out, "w") as moved:
        for entry in saved.infolist():
            body = saved.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert b"X\x03\x00\x00\x00cpu" in body
                body = body.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:3")
            moved.writestr(entry.filename, body)
    return out.getvalue()


def test_a_file_that_was_saved_on_a_gpu_loads_on_a_cpu(same_state, tmp_path):
    (tmp_path / "w.pth").write_bytes(from_cuda(pth({"model": with_head("module.")})))
    loaded = backbones.build(f"{MODEL}@{tmp_path / 'w.pth'}")
    assert same_state(loaded.state_dict(), weights())
    assert {p.device.type for p in loaded.parameters()} == {"cpu"}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.module.", "module._orig_mod.MAE_encoder."])
def test_wrapped_weights_of_points_load(prefix, same_state, tmp_path, monkeypatch):
    sizes = dict(embed_dim=24, depth=2, num_heads=3, num_groups=6, group_size=4, widths=(8, 8, 8), pos_width=8)
    monkeypatch.setitem(MODELS, "point_mae", partial(PointTransformer, **sizes))
    state = MODELS["point_mae"]().state_dict()
    (tmp_path / "w.pth").write_bytes(pth({"base_model": under(prefix, state)}))
    assert same_state(backbones.build(f"point_mae@{tmp_path / 'w.pth'}").state_dict(), state)


def google(state):
    """Weights under the names and in the axes of Google's .npz files; test_images checks all of them."""
    table = {"embedding/kernel": state["patch_embed.proj.weight"].permute(2, 3, 1, 0), "cls": state["cls_token"]}
    table["Transformer/posembed_input/pos_embedding"] = state["pos_embed"]
    blocks = {f"Transformer/encoderblock_{i}/LayerNorm_0/scale": torch.ones(64) for i in range(4)}
    return {name: tensor.numpy() for name, tensor in (table | blocks).items()}


def test_another_number_of_blocks_in_googles_layout_is_refused(tmp_path, complaint):
    np.savez(tmp_path / "w.npz", **google(weights()))
    asked = ["--methods", "lora", "--tasks", "digits", "--backbone", f"{MODEL}@{tmp_path / 'w.npz'}"]
    assert complaint(run.main, *asked).endswith("it has 4 blocks, and the model has 6")


@pytest.mark.parametrize(
    ("size", "patch", "told"),
    [
        (160, 16, ()),
        (96, 16, ("position embeddings were resampled from 10 x 10 to 6 x 6 patches",)),
        (
            160,
            32,
            (
                "position embeddings were resampled from 5 x 5 to 10 x 10 patches",
                "patch embeddings were resampled from 32 x 32 to 16 x 16 pixels",
            ),
        ),
    ],
)
def test_what_is_resampled_is_told(size, patch, told, tmp_path):
    state = dict(weights())
    if patch == 32:
        state["patch_embed.proj.weight"] = torch.randn(64, 3, 32, 32)
        state["pos_embed"] = torch.randn(1, 1 + 25, 64)
    (tmp_path / "w.pth").write_bytes(pth({"model": state}))
    loaded = build_image(MODEL, pretrained=True, drop_path=0.0, weights=tmp_path / "w.pth", size=size)
    assert sorted(loaded.resampled) == sorted(told)
    assert loaded(torch.zeros(1, 3, size, size)).isfinite().all()


def test_a_run_says_once_on_screen_and_in_its_record_what_was_resampled(tmp_path, capsys):
    (tmp_path / "w.pth").write_bytes(pth(weights()))
    name = f"{MODEL}:32@{tmp_path / 'w.pth'}"
    quick = ["--recipe", "epochs=1", "warmup_epochs=0", "--methods", "linear", "--tasks", "digits", "--workers", "1"]
    assert run.main([*quick, "--backbone", name, "--results", str(tmp_path / "r")]) == 0
    line = "position embeddings were resampled from 10 x 10 to 2 x 2 patches"
    assert capsys.readouterr().err.count(line) == 1
    from benchmarks.records import store

    (record,) = store.records(tmp_path / "r")
    assert record["report"]["resampled"] == [line]
    assert record["spec"]["backbone"]["image_size"] == 32
