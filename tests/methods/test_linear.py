"""Linear probing."""

from unittest.mock import Mock, call

from tests.support import loops, tiny


def test_only_the_head_trains():
    assert tiny.count("linear") == 0
    model = tiny.wire("linear", "image")
    assert model.count()["trainable"] == model.count()["head"] == tiny.WIDTH * 5 + 5


def test_features_are_cached_before_training():
    trainer = Mock()
    tiny.wire("linear", "image").method.fit(trainer)
    assert trainer.mock_calls == [call.keep_prefix(), call.train()]


def test_backbone_stays_in_eval_mode():
    model = tiny.wire("linear", "points").train()
    assert model.head.training
    assert not any(module.training for module in model.backbone.modules())


def test_logits_are_the_head_on_frozen_features():
    model, x = tiny.trained("linear", "image"), tiny.inputs("image")
    expected = loops.vit(tiny.backbone("image"), x) @ model.head.weight.T + model.head.bias
    tiny.close(model(x), expected)
