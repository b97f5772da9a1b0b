"""Pretraining: drawn the same every time, resumed to the bit, told in one line when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import pretrain
from benchmarks.pretext import images, points, pretraining

CPU = torch.device("cpu")


@pytest.mark.parametrize(("pretext", "shape"), [(images, (6, 3, 32, 32)), (points, (6, 256, 3))])
def test_samples_and_targets_repeat_for_a_seed_and_fit_their_heads(pretext: object, shape: tuple[int, ...]) -> None:
    (x, targets), (again, _) = (pretext.render(6, torch.Generator().manual_seed(7), CPU) for _ in range(2))  # type: ignore[attr-defined]
    assert x.shape == shape
    assert torch.equal(x, again)
    heads: dict[str, int] = pretext.HEADS  # type: ignore[attr-defined]
    assert set(targets) == set(heads)
    for name, target in targets.items():
        assert target.dtype == torch.int64
        assert target.shape == ((6, 16) if name.startswith("patch_") else (6,))
        assert target.min() >= -1 and target.max() < heads[name]


@pytest.mark.parametrize("name", ["vit_nano", pytest.param("point_nano", marks=pytest.mark.slow)])
def test_interrupted_and_resumed_gives_the_same_weights(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    job = pretraining.Pretraining(name=name, samples=16, batch_size=4, lr=1e-3, seed=0)
    pretraining.pretrain(job, tmp_path / "whole", CPU)
    pretraining.pretrain(job, tmp_path / "halves", CPU, stop_after=2)
    assert not (tmp_path / "halves" / f"{name}.safetensors").exists()
    pretraining.pretrain(job, tmp_path / "halves", CPU)
    whole, halves = (load_file(tmp_path / folder / f"{name}.safetensors") for folder in ("whole", "halves"))
    assert whole.keys() == halves.keys()
    assert all(torch.equal(whole[key], halves[key]) for key in whole)
    assert job.command in (tmp_path / "halves" / f"{name}.md").read_text()


def test_shipped_weights_are_those_of_their_model_card() -> None:
    import hashlib

    from benchmarks.backbones import EMBEDDED, WEIGHTS

    for name in EMBEDDED:
        digest = hashlib.sha256((WEIGHTS / f"{name}.safetensors").read_bytes()).hexdigest()
        assert digest in (WEIGHTS / f"{name}.md").read_text()
    assert sum((WEIGHTS / f"{name}.safetensors").stat().st_size for name in EMBEDDED) <= 25e6


def test_a_checkpoint_of_another_command_is_not_continued(tmp_path: Path) -> None:
    job = pretraining.Pretraining(name="vit_nano", samples=16, batch_size=4, lr=1e-3, seed=0)
    pretraining.pretrain(job, tmp_path, CPU, stop_after=1)
    with pytest.raises(ValueError, match="another command"):
        pretraining.pretrain(pretraining.Pretraining(**{**vars(job), "seed": 1}), tmp_path, CPU)


@pytest.mark.parametrize("argv", [["--samples", "0"], ["--batch-size", "1"], ["--lr", "-1"]])
def test_wrong_input_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert pretrain.main(["vit_nano", *argv, "--out", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
