"""What every method of the table promises, on an image and on a point backbone."""

import dataclasses
from itertools import accumulate, product

import optuna
import pytest
import torch
from safetensors.torch import load, save

import methods
from benchmarks import backbones
from benchmarks.training import measure
from methods.errors import UserError
from tests.support import contract, tiny

NAMES = sorted(methods.METHODS)
METHODS = pytest.mark.parametrize("name", NAMES)
EVERY = pytest.mark.parametrize(("name", "modality"), tiny.PAIRS + tiny.FITTING)
FEWEST = {"idpt": 2}  # blocks; its prompt is made from what the first puts out
pytestmark = pytest.mark.usefixtures("one_thread")


def unfrozen(name, body):
    """The backbone parameters that a method says it trains."""
    return methods.get(name).unfrozen(backbones.describe(body))


def statistics(body, trained):
    """The BatchNorm statistics that train: those of every BatchNorm whose weight trains."""
    norms = {n: m for n, m in body.named_modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)}
    return {f"{n}.{buffer}" for n, m in norms.items() if f"{n}.weight" in trained for buffer, _ in m.named_buffers()}


@EVERY
def test_wiring_leaves_the_backbone_as_it_is(name, modality, same_state):
    assert same_state(tiny.wire(name, modality).backbone.state_dict(), tiny.backbone(modality).state_dict())


@EVERY
def test_trainables_are_what_the_method_says(name, modality):
    model = tiny.wire(name, modality)
    own = {f"method.{n}" for n, _ in model.method.named_parameters()} | {"head.weight", "head.bias"}
    expected = own | {f"backbone.{n}" for n in unfrozen(name, model.backbone)}
    assert {n for n, p in model.named_parameters() if p.requires_grad} == expected


@EVERY
def test_every_trainable_is_in_one_group_of_the_optimizer(name, modality):
    model = tiny.wire(name, modality)
    grouped = [id(p) for group in model.method.param_groups(model) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@EVERY
def test_every_trainable_gets_a_finite_gradient(name, modality):
    model = tiny.trained(name, modality)
    got = contract.gradients(model, tiny.inputs(modality))
    assert got.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(gradient.isfinite().all() for gradient in got.values())
    # nothing attends to the prompt that the last block of a stage makes, so it is silent unless the head reads it
    last = [end - 1 for end in accumulate(len(stage) for stage in backbones.describe(model.backbone).stages)]
    prompt = got.keys() & {f"method.generators.{n}.{part}" for n in last for part in ("gamma", "beta")}
    silent = set() if model.method.extra_features else prompt
    assert {n for n, gradient in got.items() if not gradient.any()} == silent


@EVERY
def test_a_step_changes_only_what_is_unfrozen(name, modality):
    model = tiny.trained(name, modality)
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    contract.step(model, tiny.inputs(modality))
    changed = {k for k, v in model.backbone.state_dict().items() if not torch.equal(v, before[k])}
    trained = unfrozen(name, model.backbone)
    allowed, parameters = trained | statistics(model.backbone, trained), dict(model.backbone.named_parameters())
    assert changed <= allowed
    # BatchNorm takes the bias before it away, so this bias has no gradient but rounding, and may stay
    assert all(parameters[n].grad.abs().max() < 1e-6 for n in allowed - changed)


@EVERY
def test_output_at_the_start_is_the_frozen_backbones(name, modality):
    model, x = tiny.wire(name, modality), tiny.inputs(modality)
    with torch.no_grad():
        equal = torch.equal(model.pooled(x), tiny.backbone(modality)(x))
    # Adapter-X does not start there because of its prompts, which need attention
    assert equal == (methods.get(name).identity_at_start or (name, modality) == ("adapterx", "convnext"))


@EVERY
def test_saved_and_loaded_model_gives_equal_bits(name, modality, same_state):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    contract.step(model, x)  # it moves running statistics, too
    model.eval()
    other = tiny.wire(name, modality)
    other.load_state_dict(load(save(model.trained_state())), strict=False)
    assert same_state(other.state_dict(), model.state_dict())
    assert torch.equal(other.predict(x), model.predict(x))
    with torch.no_grad():
        assert torch.equal(other(x), model(x))


@EVERY
def test_merge_equals_unmerged_and_leaves_what_the_method_says(name, modality):
    model = tiny.trained(name, modality)
    wired = contract.hooked(model)
    contract.check_merge(model, tiny.inputs(modality))
    kept = contract.hooked(model)
    happened = {"yes": not kept and model.method.folded, "no": kept == wired, "in part": set() < kept < wired}
    assert happened[methods.get(name).merges]
    assert model.method.folded == (methods.get(name).merges == "yes")


@EVERY
def test_detach_after_merge_leaves_no_hook(name, modality):
    model = tiny.trained(name, modality)
    model.method.merge()
    model.method.detach()
    assert not contract.hooked(model)


@EVERY
def test_detach_gives_the_backbone_back(name, modality, same_state):
    contract.check_detach(tiny.trained(name, modality), tiny.inputs(modality), tiny.backbone(modality), same_state)


@EVERY
def test_a_deepcopy_is_independent(name, modality):
    contract.check_deepcopy(tiny.trained(name, modality), tiny.inputs(modality))


@pytest.mark.parametrize(
    ("name", "modality", "layers"),
    [
        # tracing takes seconds: by default each method is compiled once, and with as few blocks as it allows
        *((name, min(methods.get(name).modalities), FEWEST.get(name, 1)) for name in NAMES),
        *(pytest.param(name, m, 2, marks=pytest.mark.slow) for name, m in tiny.PAIRS),
    ],
)
def test_compiled_equals_eager(name, modality, layers):
    contract.check_compiled(tiny.trained(name, modality, layers=layers), tiny.inputs(modality))


@EVERY
def test_checkpointing_gives_equal_gradients(name, modality):
    contract.check_checkpointing(tiny.trained(name, modality), tiny.inputs(modality))


@pytest.mark.parametrize(("name", "modality"), [(n, m) for n, m in tiny.PAIRS if "dropout" in methods.defaults(n)])
def test_dropout_acts_in_training_alone(name, modality):
    model, x = tiny.trained(name, modality, dropout=0.5), tiny.inputs(modality)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        model.method.train()
        assert not torch.equal(model(x), model(x))


@EVERY
def test_its_operations_can_be_counted(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    forward = measure.forward_flops(model, x)
    training = measure.training_flops(model, x, contract.LABELS, lambda m, x, y: contract.loss(m, x))
    assert 0 < forward < training


@METHODS
def test_suggested_config_builds(name):
    for config in contract.suggested(name, 5):
        for modality in methods.get(name).modalities:
            methods.build(name, backbones.describe(tiny.backbone(modality)), config)


@pytest.mark.parametrize(
    ("name", "option", "low", "high"),
    [
        *((name, "scale", 0.01, 100) for name in ("fact_tt", "fact_tk", "convpass", "bi_adaptformer")),
        ("bi_lora", "alpha_over_rank", 0.01, 100),
        ("repadapter", "scale", 0.1, 10),
    ],
)
def test_scale_is_searched_over_the_range_of_the_authors(name, option, low, high):
    trial = optuna.create_study().ask()
    methods.get(name).Config.suggest(trial)
    assert trial.distributions[option] == optuna.distributions.FloatDistribution(low, high, log=True)


@METHODS
def test_config_survives_json(name):
    contract.check_json(name)


@METHODS
def test_every_number_has_the_bounds_of_its_field(name):
    for field in dataclasses.fields(methods.get(name).Config):
        if isinstance(field.default, (int, float)) and not isinstance(field.default, bool):
            with pytest.raises(UserError, match=rf"^{name}: {field.name}=-1(\.0)? must be "):
                methods.config(name, {field.name: -1})


@pytest.mark.parametrize(("name", "modality"), sorted(set(product(NAMES, tiny.MODALITIES)) - set(tiny.PAIRS)))
def test_a_backbone_of_another_modality_is_one_clear_line(name, modality):
    body, config = tiny.backbone(modality), methods.config(name, {})
    allowed = " and ".join(sorted(methods.get(name).modalities))
    with pytest.raises(UserError) as error:
        methods.build(name, backbones.describe(body), config)
    kind = type(body).__name__
    assert str(error.value) == f"method '{name}' works on {allowed} only; {kind} is of modality {modality}"
