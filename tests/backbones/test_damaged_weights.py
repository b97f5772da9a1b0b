"""Files of weights that are damaged or do not fit: a table of names, contents and the line that ends the planning."""

import io
import re
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from benchmarks import backbones, run
from benchmarks.backbones import tensors
from benchmarks.sweeps import sweep
from methods.errors import UserError
from tests.support.bait import Bait

MODEL = "test_vit"  # timm's smallest, of six blocks


@cache
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(backbones.build(MODEL, pretrained=False).state_dict())


def pth(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    return file.getvalue()


def spoiled(name: str, value: float) -> dict[str, torch.Tensor]:
    state = {key: tensor.clone() for key, tensor in weights().items()}
    state[name].view(-1)[3] = value
    return state


def changed(**tensors: object) -> dict[str, object]:
    return weights() | {name.replace("__", "."): tensor for name, tensor in tensors.items()}


def without(name: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in weights().items() if key != name}


def itself() -> dict[str, object]:
    content: dict[str, object] = {}
    content["model"] = content
    return content


def meta() -> dict[str, torch.Tensor]:
    return {name: tensor.to("meta") for name, tensor in weights().items()}


def deeper() -> dict[str, torch.Tensor]:
    return weights() | {name.replace("blocks.5.", "blocks.6."): tensor for name, tensor in weights().items()}


WHOLE = "refused ... it is not a whole file of tensors: ..."
ROWS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "nothing in a pth": ("pth", lambda: b"", WHOLE),
    "nothing in a safetensors": ("safetensors", lambda: b"", WHOLE),
    "nothing in an npz": ("npz", lambda: b"", "No data left in file"),
    "text in a pth": ("pth", lambda: b"<html>log in first</html>", WHOLE),
    "a pointer of Git LFS": (
        "safetensors",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        WHOLE,
    ),
    "text in an npz": ("npz", lambda: b"no arrays" * 9, "... pickled ..."),
    "half a pth": ("pth", lambda: pth(weights())[:300_000], WHOLE),
    "half a safetensors": ("safetensors", lambda: save(weights())[:300_000], WHOLE),
    "half an npz": ("npz", lambda: npz(a=np.ones(1000))[:3000], "File is not a zip file"),
    "a header without end": ("safetensors", lambda: b"\xff" * 64, WHOLE),
    "a zip of something else": ("pth", zipped, WHOLE),
    "another format": ("bin", lambda: save(weights()), WHOLE),
    "a program": ("pth", lambda: pth(Bait("/nowhere/proof")), WHOLE),
    "a whole module": ("pth", lambda: pth(torch.nn.Linear(2, 2)), WHOLE),
    "a list": ("pth", lambda: pth([1, 2]), "refused ... it holds a list, not tensors by name"),
    "one tensor": ("pth", lambda: pth(torch.ones(3)), "refused ... it holds a Tensor, not tensors by name"),
    "no tensors": ("pth", lambda: pth({"epoch": 3}), "it holds no tensors"),
    "a dictionary in itself": ("pth", lambda: pth(itself()), "it holds no tensors"),
    "an optimizer alone": ("pth", lambda: pth({"optimizer": {"state": {}}, "lr": 0.1}), "it holds no tensors"),
    "arrays of something else": ("npz", lambda: npz(a=np.ones(3)), "..."),
    "objects in an npz": ("npz", lambda: npz(pos_embedding=np.array([{}], dtype=object)), "Object arrays cannot ..."),
    "NaN": (
        "pth",
        lambda: pth(spoiled("blocks.0.mlp.fc1.weight", torch.nan)),
        "values ... in blocks.0.mlp.fc1.weight; ...",
    ),
    "infinity": (
        "safetensors",
        lambda: save(spoiled("norm.bias", torch.inf)),
        "values ... NaN or infinite in norm.bias; ...",
    ),
    "too large for float32": (
        "pth",
        lambda: pth(changed(norm__bias=torch.full((64,), 1e300, dtype=torch.float64))),
        "values that are NaN or infinite in norm.bias; use an undamaged file",
    ),
    "a tensor too few": ("pth", lambda: pth(without("norm.bias")), "missing: norm.bias"),
    "a tensor too many": ("pth", lambda: pth(changed(other=torch.ones(3))), "left over: other"),
    "another shape": (
        "pth",
        lambda: pth(changed(norm__bias=torch.ones(3))),
        "of another shape: norm.bias (3,) for (64,)",
    ),
    "another number of blocks": ("pth", lambda: pth(deeper()), "left over: blocks.6.attn.proj.bias, ... and 6 more"),
    "another rank of positions": ("pth", lambda: pth(changed(pos_embed=torch.ones(3))), "..."),
    "whole numbers": (
        "pth",
        lambda: pth(changed(norm__bias=torch.ones(64, dtype=torch.int8))),
        "of another type: norm.bias torch.int8 for torch.float32",
    ),
    "complex numbers": (
        "pth",
        lambda: pth(changed(norm__bias=torch.ones(64, dtype=torch.complex64))),
        "refused ... no plain tensors of numbers: norm.bias",
    ),
    "a sparse tensor": (
        "pth",
        lambda: pth(changed(norm__bias=torch.ones(64).to_sparse())),
        "refused ... no plain tensors of numbers: norm.bias",
    ),
    "a tensor of a terabyte in four bytes": (
        "pth",
        lambda: pth(changed(pos_embed=torch.ones(1).expand(1, 4 * 10**9, 64))),
        "refused ... no plain tensors of numbers: pos_embed",
    ),
    "shapes without values": ("pth", lambda: pth(meta()), "refused ... no plain tensors of numbers: ..."),
    "names of another project": (
        "pth",
        lambda: pth({"vit.embeddings.cls_token": torch.ones(1, 1, 64)}),
        "none of its names is one of the model's, such as ...: vit.embeddings.cls_token",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_damaged_weights_end_the_planning_with_one_line(name, tmp_path):
    ending, content, line = ROWS[name]
    path = tmp_path / f"w.{ending}"
    path.write_bytes(content())
    asked = sweep.Sweep(methods=("lora",), tasks=("digits",), backbone=(f"{MODEL}@{path}",), seeds=(0, 1))
    with pytest.raises(UserError) as raised:
        sweep.specs(asked, "float32")
    told = str(raised.value)
    start = f"cannot load {path} into backbone '{MODEL}': "
    assert told.startswith(start) and "\n" not in told
    assert re.fullmatch(".*".join(map(re.escape, line.split("..."))), told.removeprefix(start)), told


def test_there_are_many_rows():
    assert len(ROWS) >= 20


def test_a_damaged_file_is_read_once_for_all_runs(tmp_path, complaint, monkeypatch):
    save_file(spoiled("norm.bias", torch.nan), tmp_path / "w.safetensors")
    reads, read = [], tensors.read
    monkeypatch.setattr(tensors, "read", lambda path: reads.append(path) or read(path))
    asked = ["--methods", "lora", "linear", "--tasks", "digits", "texture", "--seeds", "0", "1", "2"]
    where = ["--backbone", f"{MODEL}@{tmp_path / 'w.safetensors'}", "--results", str(tmp_path / "r")]
    assert complaint(run.main, *asked, *where).endswith("in norm.bias; use an undamaged file")
    assert len(reads) == 1 and not (tmp_path / "r").exists()


def test_scratch_does_not_read_damaged_weights(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    asked = sweep.Sweep(methods=("scratch",), tasks=("digits",), backbone=(f"{MODEL}@{tmp_path / 'w.pth'}",))
    assert len(sweep.specs(asked, "float32")) == 1
