"""Pretraining: samples repeat for a seed, a resumed run ends with the same bits, and a mistake is one line."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import pretrain
from benchmarks.backbones import EMBEDDED, WEIGHTS, source
from benchmarks.pretext import course, images, points, pretraining
from methods.errors import UserError

CPU = torch.device("cpu")
JOB = course.Pretraining(name="vit_nano", samples=16, batch_size=4, lr=1e-3, seed=0)
BOTH = pytest.mark.parametrize(("pretext", "shape"), [(images, (6, 3, 32, 32)), (points, (6, 256, 3))])


def drawn(pretext: ModuleType) -> Any:
    return pretext.render(6, torch.Generator().manual_seed(7), CPU)


@BOTH
def test_samples_repeat_for_a_seed(pretext, shape):
    x, _ = drawn(pretext)
    assert x.shape == shape
    assert torch.equal(x, drawn(pretext)[0])


@BOTH
def test_targets_fit_their_heads(pretext, shape):
    _, targets = drawn(pretext)
    assert set(targets) == set(pretext.HEADS)
    for name, target in targets.items():
        assert (target.dtype, target.shape) == (torch.int64, (6, 16) if name.startswith("patch_") else (6,))
        assert target.min() >= -1 and target.max() < pretext.HEADS[name]


@pytest.mark.parametrize("name", ["vit_nano", pytest.param("point_nano", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("one_thread")
def test_a_resumed_run_gives_the_same_weights(name, tmp_path, same_state):
    job, whole, halves = replace(JOB, name=name), tmp_path / "whole", tmp_path / "halves"
    pretraining.pretrain(job, whole, CPU)
    pretraining.pretrain(job, halves, CPU, stop_after=2)
    assert not (halves / f"{name}.safetensors").exists()
    pretraining.pretrain(job, halves, CPU)
    assert same_state(*(load_file(folder / f"{name}.safetensors") for folder in (whole, halves)))
    assert job.command in (halves / f"{name}.md").read_text()


def test_images_are_normalised_as_in_the_pretraining(tmp_path):
    run, seen = course.Course(JOB, tmp_path, CPU), []
    run.backbone.patch_embed.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    run.train_step()
    stated = source("vit_nano")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (stated.mean, stated.std))
    pixels = (seen[0] * std + mean) * 255
    torch.testing.assert_close(pixels, pixels.round(), rtol=0, atol=1e-3)  # bytes again
    assert (pixels.min().round(), pixels.max().round()) == (0, 255)


@pytest.mark.parametrize("name", EMBEDDED)
def test_shipped_weights_are_those_of_their_model_card(name):
    digest = hashlib.sha256((WEIGHTS / f"{name}.safetensors").read_bytes()).hexdigest()
    assert digest in (WEIGHTS / f"{name}.md").read_text()


def test_shipped_weights_stay_small():
    assert sum((WEIGHTS / f"{name}.safetensors").stat().st_size for name in EMBEDDED) <= 25e6


@pytest.mark.parametrize(("given", "folder"), [([], "pretrained"), (["--out", "here"], "here")])
def test_only_a_folder_that_is_asked_for_is_written(given, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = []
    monkeypatch.setattr(pretraining, "pretrain", lambda job, out, device: written.append(out))
    assert pretrain.main(["vit_nano", *given]) == 0
    assert written == [Path(folder)]


def test_a_checkpoint_of_another_command_is_not_continued(tmp_path):
    pretraining.pretrain(JOB, tmp_path, CPU, stop_after=1)
    with pytest.raises(UserError, match=r"belongs to another command \(python -m benchmarks.pretrain .* --seed 0\)"):
        pretraining.pretrain(replace(JOB, seed=1), tmp_path, CPU)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_processes_draw_their_own_share_and_average_their_gradients(tmp_path, monkeypatch, same_state):
    job = replace(JOB, processes=2)
    pretraining.pretrain(job, tmp_path / "two", CPU, stop_after=1)
    state = torch.load(tmp_path / "two" / "vit_nano.checkpoint", weights_only=True)
    first, second = (course.Course(job, tmp_path / "none", CPU, rank) for rank in range(2))

    def average() -> None:
        x, targets = second._draw(1, 2)
        second.backbone.train()
        (sum(second._losses(x, targets)) / len(images.HEADS)).backward()
        for mine, other in zip(first.backbone.parameters(), second.backbone.parameters(), strict=True):
            mine.grad = (mine.grad + other.grad) / 2

    monkeypatch.setattr(first, "_average_gradients", average)
    first.train_step()
    assert same_state(state["backbone"], first.backbone.state_dict())
    pretraining.pretrain(job, tmp_path / "two", CPU)  # and is continued
    assert (tmp_path / "two" / "vit_nano.safetensors").exists()


@pytest.mark.slow
def test_ctrl_c_ends_every_process_with_one_line(tmp_path, root):
    argv = ["point_nano", "--samples", "400000", "--processes", "2", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "benchmarks.pretrain", *argv]
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, start_new_session=True)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    time.sleep(20)  # both train by now
    started = Path(children).read_text().split()
    assert started
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert (process.returncode, told.count("\n"), told[:19]) == (130, 1, "error: interrupted."), told
    assert not any(file.read_bytes() for child in started if (file := Path(f"/proc/{child}/cmdline")).exists())


def test_processes_that_cannot_share_a_batch_are_refused(capsys):
    assert pretrain.main(["vit_nano", "--batch-size", "9", "--processes", "2"]) == 2
    assert "--processes 2 with --batch-size 9 on cpu: processes share a batch evenly" in capsys.readouterr().err
