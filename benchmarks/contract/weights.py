"""Promises about the weights of a method: which train, and that they do. Each function has the name of its promise."""

import torch
from safetensors.torch import load, save
from torch import nn

import methods
from benchmarks.contract import checks
from benchmarks.contract.case import Case
from benchmarks.contract.checks import expect, expect_same
from benchmarks.training import measure

SMALL = 1e-6  # a gradient that is rounding


def trains_what_its_class_says(case: Case) -> None:
    model = case.wire()
    own = {f"method.{name}" for name, _ in model.method.named_parameters()} | {"head.weight", "head.bias"}
    promised = own | {f"backbone.{name}" for name in case.unfrozen(model.backbone)}
    found = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    expect_same(found, promised, "what trains is not the method's own weights, the head and unfrozen()")
    new = found - {"head.weight", "head.bias"}
    said = f"trains_head_alone is {case.cls.trains_head_alone}"
    expect(bool(new) != case.cls.trains_head_alone, f"{said}, but {len(new)} tensors beside the head train")


def gives_every_weight_to_the_optimizer_once(case: Case) -> None:
    model = case.wire()
    grouped = [id(p) for group in model.method.param_groups(model) for p in group["params"]]
    trained = [id(p) for p in model.parameters() if p.requires_grad]
    expect(sorted(grouped) == sorted(trained), "param_groups lacks a weight that trains, or has one twice")


def gives_every_weight_a_finite_gradient(case: Case) -> None:
    model = case.trained()
    got = checks.gradients(model, case.inputs)
    expect_same(got, {n for n, p in model.named_parameters() if p.requires_grad}, "gradients are not of what trains")
    expect_same([n for n, gradient in got.items() if not gradient.isfinite().all()], [], "gradients are not finite")
    zero = [name for name, gradient in got.items() if not gradient.any()]
    expect_same(zero, {f"method.{name}" for name in model.method.silent}, "gradients are zero, but silent has others")


def changes_only_what_is_unfrozen_in_a_step(case: Case) -> None:
    model = case.trained()
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    checks.step(model, case.inputs)
    changed = {name for name, value in model.backbone.state_dict().items() if not torch.equal(value, before[name])}
    trained = case.unfrozen(model.backbone)
    allowed, parameters = trained | _statistics(model.backbone, trained), dict(model.backbone.named_parameters())
    expect_same(changed - allowed, [], "a step changes what unfrozen() does not name")
    # BatchNorm takes the bias before it away, so this bias has no gradient but rounding, and may stay
    rest = {name: parameters[name].grad for name in allowed - changed if name in parameters}
    still = [name for name, gradient in rest.items() if gradient is None or gradient.abs().max() >= SMALL]
    expect_same(still, [], "parameters that train stay as they were in a step")


def saves_and_loads_equal_bits(case: Case) -> None:
    model, x = case.trained(), case.inputs
    checks.step(model, x)  # it moves running statistics, too
    model.eval()
    other = case.wire()
    other.load_state_dict(load(save(model.trained_state())), strict=False)
    expect(checks.same_state(other.state_dict(), model.state_dict()), "weights are not saved: give them to the module")
    expect(torch.equal(other.predict(x), model.predict(x)), "the loaded model predicts other classes")
    with torch.no_grad():
        expect(torch.equal(other(x), model(x)), "the loaded model computes something else")


def has_equal_gradients_with_checkpointing(case: Case) -> None:
    checks.check_checkpointing(case.trained(), case.inputs)


def has_operations_that_can_be_counted(case: Case) -> None:
    model, x = case.trained(), case.inputs
    forward = measure.forward_flops(model, x)
    training = measure.training_flops(model, x, checks.LABELS, lambda m, x, y: checks.loss(m, x))
    expect(0 < forward < training, f"{forward} operations forward and {training} in a step cannot be")


def drops_out_in_training_alone(case: Case) -> None:
    if "dropout" in methods.defaults(case.method):
        model, x = case.trained(dropout=0.5), case.inputs
        with torch.no_grad():
            expect(torch.equal(model(x), model(x)), "dropout acts in eval mode")
            model.method.train()
            expect(not torch.equal(model(x), model(x)), "dropout does not act in training")


def _statistics(body: nn.Module, trained: set[str]) -> set[str]:
    """The BatchNorm statistics that train: those of every BatchNorm whose weight trains."""
    norms = {n: m for n, m in body.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    return {f"{n}.{buffer}" for n, m in norms.items() if f"{n}.weight" in trained for buffer, _ in m.named_buffers()}
