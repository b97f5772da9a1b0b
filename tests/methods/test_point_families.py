"""What methods promise on points also holds on PointGPT (causal, two tokens before the patches) and Point-FEMAE (none).

The tests of test_contract.py run on the point transformer alone. Here each method is built once per family, and once
for each promise that needs an untouched model.
"""

import pytest
import torch
from safetensors.torch import load, save

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from tests.support import tiny

LAYERS = 2
NAMES = [name for name in sorted(methods.METHODS) if "points" in methods.get(name).modalities]
FAMILIES = pytest.mark.parametrize("family", ["gpt", "femae"])
METHODS = pytest.mark.parametrize("name", NAMES)
pytestmark = pytest.mark.usefixtures("one_thread")


def wired(name, family, moved=True):
    model = tiny.wire(name, family, LAYERS)
    return tiny.move(model) if moved else model


def unfrozen(name, body):
    return {f"backbone.{n}" for n in methods.get(name).unfrozen(backbones.describe(body))}


@FAMILIES
@METHODS
def test_an_untrained_method_leaves_the_backbone_and_its_output(name, family, same_state):
    model, body, x = wired(name, family, moved=False), tiny.backbone(family, LAYERS), tiny.inputs("points", 2)
    assert same_state(model.backbone.state_dict(), body.state_dict())
    with torch.no_grad():
        assert torch.equal(model.pooled(x), body(x)) == methods.get(name).identity_at_start


@FAMILIES
@METHODS
def test_what_trains_is_what_the_method_says(name, family):
    model = wired(name, family)
    own = {f"method.{n}" for n, _ in model.method.named_parameters()} | {"head.weight", "head.bias"}
    got = checks.gradients(model, tiny.inputs("points"))
    assert got.keys() == own | unfrozen(name, model.backbone)
    assert {n for n, gradient in got.items() if not gradient.any() or not gradient.isfinite().all()} == set()


@FAMILIES
@METHODS
def test_trained_weights_are_saved_merged_and_taken_off(name, family, same_state):
    model, x = wired(name, family), tiny.inputs("points")
    checks.step(model, x)
    model.eval()
    other = wired(name, family, moved=False)
    other.load_state_dict(load(save(model.trained_state())), strict=False)
    with torch.no_grad():
        assert torch.equal(other(x), model(x))
    checks.check_deepcopy(model, x)
    checks.check_merge(other, x)
    assert other.method.folded == (methods.get(name).merges == "yes")
    checks.check_detach(model, x, tiny.backbone(family, LAYERS))


@FAMILIES
@METHODS
def test_activations_computed_again_give_equal_gradients(name, family):
    checks.check_checkpointing(wired(name, family), tiny.inputs("points"))


@FAMILIES
def test_the_prompt_of_idpt_is_made_from_the_patches_alone(family):
    model, seen = wired("idpt", family), []
    model.method.network.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]))
    model(tiny.inputs("points"))
    assert seen == [model.backbone.num_groups]


@pytest.mark.slow
@FAMILIES
@METHODS
def test_compiled_equals_eager(name, family):
    checks.check_compiled(wired(name, family), tiny.inputs("points"))
