"""Methods with a stage before training, which choose from data: small data, and what happens if a run is killed."""

import pytest
import torch


def load(split, size=4):
    """Images and labels; there are none for validation, so that training sees the first split alone."""
    size = size if split == "train" else 0
    return torch.randn(size, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(size) % 2


def check_killed(make, tmp_path, at, left, same_state):
    """A run that is killed after the row ``at`` of its progress does only the stages ``left``, and ends alike."""
    whole = make(tmp_path / "whole")
    whole.model.method.fit(whole)
    killed = make(tmp_path / "killed")

    def kill(row):
        if (row["stage"], row["epoch"]) == at:
            raise KeyboardInterrupt

    killed.on_epoch = kill
    with pytest.raises(KeyboardInterrupt):
        killed.model.method.fit(killed)
    again, stages = make(tmp_path / "killed"), []
    again.on_epoch = lambda row: stages.append(row["stage"])
    again.model.method.fit(again)
    assert stages == left
    assert again.history == whole.history
    assert same_state(again.model.trained_state(), whole.model.trained_state())
