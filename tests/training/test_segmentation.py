"""Every method of points segments parts: prompts stay out of the tokens, merging is exact, files give equal bits."""

import pytest
import torch
from safetensors.torch import load, save

import methods
from benchmarks import backbones
from benchmarks.backbones.parts import PartHead
from benchmarks.suites.kinds import Segmentation
from benchmarks.training import prefix
from benchmarks.training.model import Classifier
from tests.support import tiny

KIND = Segmentation((2, 3))
METHODS = pytest.mark.parametrize("name", [n for n in sorted(methods.METHODS) if "points" in methods.get(n).modalities])
pytestmark = pytest.mark.usefixtures("one_thread")


def wire(name, layers=tiny.DEPTH, **options):
    body = tiny.backbone("points", layers)
    torch.manual_seed(2)
    method = methods.build(name, backbones.describe(body), methods.config(name, options))
    return Classifier(body, method, PartHead(3 * tiny.WIDTH, 4 * tiny.WIDTH, 2, 5), kind=KIND).eval()


def clouds(count=4):
    category = (torch.arange(count) % 2)[:, None, None].expand(-1, 64, 1)
    return torch.cat([tiny.inputs("points", count), category], dim=-1)


def labels(count=4):
    return torch.stack([(torch.arange(64) % 2) if i % 2 == 0 else 2 + torch.arange(64) % 3 for i in range(count)])


def loss(model, x):
    return model.method.loss(model, x, labels(len(x)), torch.nn.functional.cross_entropy)


@METHODS
def test_tokens_are_those_of_patches_alone(name):
    """What the last norm gives for the patches, however many prompts a method adds."""
    model = tiny.move(wire(name))
    tokens = model.features(clouds())
    assert tokens.shape == (4, 4, 3 * tiny.WIDTH)
    # the last third is pooled by classifiers too
    patches = model.backbone.forward_tokens(clouds()[..., :3])[1]
    torch.testing.assert_close(tokens[..., 2 * tiny.WIDTH :], patches)


@METHODS
def test_a_trained_method_changes_what_the_head_sees(name):
    before = wire("linear").features(clouds())
    after = tiny.move(wire(name)).features(clouds())
    assert torch.equal(before, after) == (name == "linear")


@METHODS
def test_logits_are_per_part_and_point_and_train_by_every_gradient(name):
    model = tiny.move(wire(name))
    assert model(clouds()).shape == (4, 5, 64)
    model.train()
    model.method.eval()  # dropout may silence a weight for one step
    loss(model, clouds()).backward()
    silent = {n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())}
    # the class token after the last block, and a prompt that it makes, reach no patch
    last = {f"method.generators.{tiny.DEPTH - 1}.{part}" for part in ("gamma", "beta")}
    allowed = last if hasattr(model.method, "generators") else set()
    # BatchNorm takes away what the convolution before it adds to every point
    biases = {n for n in silent if n.startswith("head.") and n.endswith("bias")}
    assert silent - biases == allowed
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@METHODS
@torch.no_grad()
def test_merged_equals_unmerged(name):
    model = tiny.move(wire(name))
    merged = model.merged(clouds())
    torch.testing.assert_close(merged(clouds()), model(clouds()), rtol=1e-4, atol=1e-4)
    assert merged.method.folded == (methods.get(name).merges == "yes")


@METHODS
def test_saved_and_loaded_weights_give_equal_bits(name):
    model = tiny.move(wire(name))
    other = wire(name)
    other.load_state_dict(load(save(model.trained_state())), strict=False)
    assert torch.equal(other.predict(clouds()), model.predict(clouds()))
    with torch.no_grad():
        assert torch.equal(other(clouds()), model(clouds()))


def test_predicted_parts_are_of_the_category():
    predicted = wire("linear").predict(clouds())
    assert predicted.shape == (4, 64)
    assert predicted[::2].max() <= 1 and predicted[1::2].min() >= 2


def test_recomputed_activations_give_equal_logits():
    model = tiny.move(wire("adapterx"))
    before = model(clouds()).detach()
    model.backbone.set_grad_checkpointing(True)
    torch.testing.assert_close(model(clouds()).detach(), before)


def test_no_block_is_kept_and_no_cloud_is_grouped_once():
    model = wire("linear")
    assert prefix.unchanged_blocks(model) == 0
    assert prefix.prepared(model, clouds()) is not None and prefix.prepared(model, clouds()).shape == (4, 64, 4)


def test_a_model_learns_the_parts_that_it_is_shown():
    x, y = clouds(8), labels(8)
    y = (x[..., 0] > 0).long() + 2 * x[..., 3].long()  # left and right half
    run = tiny.trainer(wire("full"), lambda split: (x, y), epochs=6)
    before = run.validate()
    run.train()
    assert run.validate() > max(before, 0.6)
    assert set(run.scores("test")) == {"instance mIoU", "class mIoU"}
