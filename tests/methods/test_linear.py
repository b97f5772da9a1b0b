"""Linear probing."""

from __future__ import annotations

from tests.support import loops, tiny


class Recorder:
    """Stands in for a Trainer and writes down what was asked of it."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda: self.calls.append(name)


def test_only_the_head_trains():
    assert tiny.count("linear") == 0
    model = tiny.wire("linear", "image")
    assert model.count()["trainable"] == model.count()["head"] == tiny.WIDTH * 5 + 5


def test_features_are_cached_before_training():
    trainer = Recorder()
    tiny.wire("linear", "image").method.fit(trainer)
    assert trainer.calls == ["keep_prefix", "train"]


def test_backbone_stays_in_eval_mode():
    model = tiny.wire("linear", "points").train()
    assert model.head.training
    assert not any(module.training for module in model.backbone.modules())


def test_logits_are_the_head_on_frozen_features():
    model, x = tiny.trained("linear", "image"), tiny.inputs("image")
    expected = loops.vit(tiny.backbone("image"), x) @ model.head.weight.T + model.head.bias
    tiny.close(model(x), expected)
