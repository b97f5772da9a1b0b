"""Full fine-tuning and training from scratch."""

from __future__ import annotations

import torch

import methods
from tests.support import tiny


def test_everything_trains_and_is_counted():
    assert tiny.count("full") == tiny.count("scratch") == 85_798_656


def test_only_scratch_starts_from_fresh_weights():
    assert methods.get("full").pretrained
    assert not methods.get("scratch").pretrained


def test_batch_norm_statistics_train_and_detach_restores_them():
    model = tiny.wire("full", "points")
    before = {k: v.clone() for k, v in model.backbone.named_buffers()}
    assert before.keys() == {
        f"encoder.{part}.1.{name}"
        for part in ("first_conv", "second_conv")
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    model.train()(tiny.inputs("points"))
    assert all(not torch.equal(v, before[k]) for k, v in model.backbone.named_buffers())
    model.method.detach()
    assert all(torch.equal(v, before[k]) for k, v in model.backbone.named_buffers())
