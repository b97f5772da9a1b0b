"""DyT."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.contract import checks
from benchmarks.training import measure
from tests.support import loops, tiny


@pytest.mark.parametrize(("hidden", "expected"), [(8, 165_996), (16, 313_548)])
def test_counts_equal_the_closed_form(hidden, expected):
    assert tiny.count("dyt", hidden=hidden) == 12 * (2 * 768 * hidden + hidden + 768 + 769) == expected


def mixed(kind, **options):
    """A model in whose blocks some tokens pass and others skip."""
    model, x = tiny.trained("dyt", kind, **options), tiny.inputs(kind)
    with torch.no_grad():
        for branch in model.method.branches:
            logits, gate = [], branch.dispatcher.logit
            handle = gate.register_forward_hook(lambda module, args, out, kept=logits: kept.append(out))
            model(x)
            handle.remove()
            gate.bias -= logits[0].mean()
        model(x)
        shares = model.method.passed()
    assert ((shares > 0.2) & (shares < 0.8)).all()
    return model, x


@torch.no_grad()
def test_output_equals_a_loop_over_tokens():
    model, x = mixed("image", scale=0.7)
    branches, body = list(model.method.branches), tiny.backbone("image")

    def update(layer, token, adapter):
        hidden = (adapter.down.weight @ token + adapter.down.bias).clamp(min=0)
        return 0.7 * (adapter.up.weight @ hidden + adapter.up.bias)

    def ffn(layer, h, u):
        part, out = body.blocks[layer].mlp, torch.zeros_like(h)
        gate = branches[layer].dispatcher.logit
        for sample in range(len(h)):
            for place, token in enumerate(h[sample]):
                if place == 0 or gate.weight[0] @ token + gate.bias[0] > 0:
                    out[sample, place] = part.fc2(F.gelu(part.fc1(u[sample, place])))
                out[sample, place] += update(layer, token, branches[layer].adapter)
        return out

    loops.check_image(model, x, after_ffn=lambda layer, y: 0 * y, beside=ffn)


@pytest.mark.parametrize("kind", ["image", "points", "eva", "swin", "convnext"])
def test_skipping_equals_computing_all_tokens(kind):
    model, x = mixed(kind)
    seen = []
    for branch in model.method.branches:
        branch.adapter.register_forward_hook(lambda *_: seen.append("run"))
    dense = model(x)
    with torch.no_grad():
        tiny.close(model(x), dense.detach(), rtol=1e-4, atol=1e-4)
    assert len(seen) == 2 * len(model.method.branches)


@torch.no_grad()
def test_a_prediction_does_not_depend_on_the_rest_of_the_batch():
    model, x = mixed("image")
    together = model(x)
    for sample in range(len(x)):
        tiny.close(model(x[sample : sample + 1]), together[sample : sample + 1])


def test_operations_of_inference_are_those_of_the_tokens_that_passed():
    model, x = mixed("image", hidden=4)
    measured = measure.forward_flops(model, x)
    passed = sum(round(float(share) * 16 * len(x)) + len(x) for share in model.method.passed())  # with class tokens
    frozen = measure.forward_flops(tiny.wire("linear", "image"), x)
    width, tokens = tiny.WIDTH, tiny.DEPTH * 17 * len(x)
    ffn, adapter, gate = 2 * 2 * width * 2 * width, 2 * 2 * width * 4, 2 * width
    total = len(x) * frozen - (tokens - passed) * ffn + tokens * adapter + tiny.DEPTH * 16 * len(x) * gate
    assert measured == total // len(x) < frozen


def test_training_computes_all_tokens():
    model, x = mixed("image")
    seen = []
    for block in model.backbone.blocks:
        block.mlp.register_forward_hook(lambda module, args, out: seen.append(tuple(args[0].shape)))
    checks.loss(model.train(), x)
    assert seen == [(4, 17, tiny.WIDTH)] * tiny.DEPTH


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_the_loss_adds_the_squared_distance_to_the_rate(rate):
    model, x = mixed("image", rate=rate, rate_weight=3.0)
    with torch.no_grad():
        loss = checks.loss(model, x)
        plain = F.cross_entropy(model(x), checks.LABELS)
        share = model.method.passed().mean()
    tiny.close(loss, plain + 3 * (share - rate) ** 2)


def test_gates_are_zero_or_one_and_have_the_gradient_of_the_sigmoid():
    dispatcher = tiny.wire("dyt", "image").method.branches[0].dispatcher
    h = torch.randn(2, 9, tiny.WIDTH)
    gates = dispatcher(h)
    logits = h[:, 1:] @ dispatcher.logit.weight[0] + dispatcher.logit.bias
    tiny.close(gates[:, 1:, 0], (logits > 0).float())
    assert (gates[:, 0] == 1).all()
    (gradient,) = torch.autograd.grad(gates.sum(), dispatcher.logit.bias)
    tiny.close(gradient[0], (logits.sigmoid() * (1 - logits.sigmoid())).sum())


@torch.no_grad()
def test_gates_are_random_in_training_alone():
    dispatcher = tiny.wire("dyt", "image").method.branches[0].dispatcher
    dispatcher.logit.weight.zero_()
    h = torch.zeros(1, 20_001, tiny.WIDTH)
    for bias in (0.0, 1.5):
        dispatcher.logit.bias.fill_(bias)
        share = dispatcher.train()(h)[:, 1:].mean()
        assert abs(share - torch.tensor(bias).sigmoid()) < 0.02  # the logistic distribution's
        assert dispatcher.eval()(h)[:, 1:].mean() == (bias > 0)


def test_the_report_has_the_share_of_each_block_over_all_samples():
    model, _ = mixed("image")
    x = torch.cat([tiny.inputs("image", 4), torch.randn(2, 3, 32, 32)])
    run = tiny.trainer(model, lambda split: (x, torch.zeros(6, dtype=torch.long)))
    run.eval_batch_size = 4
    with torch.no_grad():
        model.eval()(x)
        expected = model.method.passed()
    tiny.close(torch.tensor(model.method.report(run)["passed"]), expected)
