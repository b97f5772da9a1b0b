"""GPS: in every neuron the inputs with the largest gradients train, chosen from the samples before training."""

from functools import partial

import pytest
import torch

import methods
from benchmarks import backbones
from benchmarks.backbones.parts import PartHead
from benchmarks.suites.kinds import Segmentation
from benchmarks.training.model import Classifier
from methods.gps import contrastive
from tests.support import stages, tiny


def run(scratch=None, load=stages.load, **options):
    return tiny.trainer(tiny.wire("gps", "image", **options), load, epochs=1, scratch=scratch)


def weights(body):
    """The weights of all neurons, in the order of the forward pass."""
    blocks = [(b.attn.qkv, b.attn.proj, b.mlp.fc1, b.mlp.fc2) for b in body.blocks]
    return [body.patch_embed.proj.weight, *(linear.weight for block in blocks for linear in block)]


def contrasted(z, labels):
    """The loss of normalised features: sample by sample, every sample twice."""
    z, labels, losses = torch.cat([z, z]), [*labels, *labels], []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        below = sum(torch.exp(z[i] @ z[a] / 0.07) for a in others)
        terms = [torch.log(torch.exp(z[i] @ z[p] / 0.07) / below) for p in others if labels[p] == labels[i]]
        losses.append(-sum(terms) / len(terms))
    return sum(losses) / len(losses)


def test_the_contrastive_loss_equals_a_loop_over_pairs():
    torch.manual_seed(0)
    features, labels = torch.randn(5, 7), [0, 1, 0, 2, 1]
    z = torch.stack([row / row.norm() for row in features])
    expected = contrasted(z, labels)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            tiny.close(contrastive(features, torch.tensor(labels)), expected)


@torch.no_grad()
def test_it_equals_a_backbone_with_the_entries_added_one_by_one():
    model, x = tiny.trained("gps", "image", inputs=3), tiny.inputs("image")
    plain = tiny.backbone("image")
    plain.load_state_dict(model.backbone.state_dict())
    for weight, entries in zip(weights(plain), model.method.entries, strict=True):
        rows = weight.view(len(weight), -1)
        for place, value in zip(entries.index.tolist(), entries.values, strict=True):
            rows[place // rows.shape[1], place % rows.shape[1]] += value
    tiny.close(model.pooled(x), plain(x))


def by_hand():
    """The two inputs of every neuron with the largest gradients of the contrastive loss."""
    (x, y), body = stages.load("train"), tiny.backbone("image")
    features = body(x)
    gradients = torch.autograd.grad(
        contrasted(torch.stack([f / f.norm() for f in features]), y.tolist()), weights(body)
    )
    rows = [row.abs() for gradient in gradients for row in gradient.flatten(1)]
    return [{int(i) for i in row.argsort()[-2:]} for row in rows]


def chosen(method):
    """The inputs that train, neuron by neuron."""
    places = [(e.index.view(-1, 2), e.shape[1:].numel()) for e in method.entries]
    return [{int(i) % inputs for i in row} for index, inputs in places for row in index]


def test_a_segmentation_is_scored_by_its_cross_entropy():
    x = torch.cat([tiny.inputs("points"), torch.zeros(4, 64, 1)], dim=-1)
    y = torch.arange(64).remainder(2).expand(4, 64)
    body, rows = tiny.backbone("points"), {"train": slice(4), "val": slice(0)}
    method = methods.build("gps", backbones.describe(body), methods.config("gps", {}))
    model = Classifier(body, method, PartHead(3 * tiny.WIDTH, 4 * tiny.WIDTH, 1, 2), kind=Segmentation((2,)))
    trainer = tiny.trainer(model, lambda split: (x[rows[split]], y[rows[split]]), epochs=1)
    before = [entries.index.clone() for entries in method.entries]
    method.fit(trainer)
    assert any(not torch.equal(e.index, old) for e, old in zip(method.entries, before, strict=True))


def test_the_stage_chooses_the_inputs_with_the_largest_gradients():
    trainer = run(inputs=2)
    before = trainer.model.count()
    trainer.model.method.fit(trainer)
    assert chosen(trainer.model.method) == by_hand()
    assert trainer.model.count() == before
    assert trainer.model.method.report(trainer)["selection"].keys() == {"steps", "seconds"}


def test_only_the_chosen_weights_and_the_biases_move():
    trainer, original = run(), tiny.backbone("image")
    trainer.model.method.fit(trainer)
    trainer.model.method.merge()
    moved = trainer.model.backbone
    for before, after in zip(weights(original), weights(moved), strict=True):
        assert ((before != after).flatten(1).sum(dim=1) <= 1).all() and not torch.equal(before, after)
    assert torch.equal(moved.norm.bias, original.norm.bias) and torch.equal(moved.cls_token, original.cls_token)


def test_cross_entropy_scores_with_the_head_and_chooses_others():
    first, second = run(inputs=2), run(inputs=2, score="cross_entropy")
    for trainer in (first, second):
        trainer.model.method.fit(trainer)
    assert chosen(first.model.method) != chosen(second.model.method)


def test_counts_equal_the_closed_form():
    neurons = 12 * (2304 + 768 + 3072 + 768) + 768
    assert tiny.count("gps") == 2 * neurons == 167_424
    assert tiny.count("gps", inputs=5) == 6 * neurons


@pytest.mark.parametrize("kind", ["image", "points", *tiny.FAMILIES])
def test_every_linear_and_convolution_of_a_family_trains_one_input_per_neuron(kind):
    body = tiny.backbone(kind)
    layers = [m for m in body.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d))]
    method = methods.build("gps", backbones.describe(body), methods.config("gps", {}))
    assert sum(len(entries.index) for entries in method.entries) == sum(len(layer.weight) for layer in layers)


def test_before_the_stage_the_inputs_of_a_neuron_are_spread_over_it():
    method = methods.build("gps", backbones.describe(tiny.vit()), methods.config("gps", {"inputs": 4}))
    qkv = method.entries[1].index.view(144, 4) - 48 * torch.arange(144)[:, None]
    assert qkv[0].tolist() == [0, 12, 24, 36] and qkv[1].tolist() == [1, 13, 25, 37]


@pytest.mark.parametrize(("at", "left"), [(("selection", 3), 3 * ["selection"]), (("train", 1), [])])
def test_killed_it_ends_like_an_undisturbed_run_and_looks_at_most_once_more(tmp_path, at, left, same_state):
    stages.check_killed(partial(run, load=partial(stages.load, size=12)), tmp_path, at, [*left, "train"], same_state)
