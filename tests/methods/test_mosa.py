"""MoSA, against copies that really are copies."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import methods
from benchmarks import backbones
from methods.mosa import SplitLinear, symmetric_kl
from tests.support import loops, tiny

COPIES = 4


def test_masks_are_disjoint_cover_the_matrix_and_have_equal_shares():
    split = SplitLinear(nn.Linear(16, 12), COPIES)
    masks = torch.stack([split.owner == i for i in range(COPIES)])
    assert torch.equal(masks.sum(0), torch.ones(12, 16, dtype=torch.long))
    assert masks.sum((1, 2)).tolist() == [48] * COPIES


def real_copies(split, masks):
    """C separate linears, equal to the split one, with hooks that zero the gradients outside of their masks."""
    copies = []
    for bias, mask in zip(split.biases(), masks, strict=True):
        copies.append(nn.Linear(*reversed(split.weight.shape)))
        copies[-1].load_state_dict({"weight": split.start, "bias": bias})
        copies[-1].weight.register_hook(lambda grad, mask=mask: grad * mask)
    return copies


def adamw(modules, decay):
    """Weights decay, biases do not."""
    weights, biases = ([getattr(m, name) for m in modules] for name in ("weight", "bias"))
    groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.05, weight_decay=decay)


@pytest.mark.parametrize("start", ["zero", "random"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_equals_real_copies_with_masked_gradients_step_by_step(start, decay):
    torch.manual_seed(0)
    linear = nn.Linear(8, 6)
    if start == "zero":  # as the up-projection
        nn.init.zeros_(linear.weight)
    split = SplitLinear(linear, COPIES)
    masks = [split.owner == i for i in range(COPIES)]
    copies = real_copies(split, masks)
    mine, theirs = adamw([split], decay), adamw(copies, decay)
    drawn = []
    for step in range(12):
        x, target = torch.randn(5, 8), torch.randn(5, 6)
        torch.manual_seed(100 + step)
        out = split(x)
        torch.manual_seed(100 + step)
        i = int(torch.randint(COPIES, (1,)))
        drawn.append(i)
        expected = copies[i](x)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
        for optimizer, y in ((mine, out), (theirs, expected)):
            optimizer.zero_grad()
            F.mse_loss(y, target).backward()
        for copy in copies:  # not drawn: a gradient of zero, as the split weight's
            for p in copy.parameters():
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        mine.step()
        theirs.step()
        with torch.no_grad():  # what a copy may not learn does not decay either
            for copy, mask in zip(copies, masks, strict=True):
                copy.weight.copy_(torch.where(mask, copy.weight, split.start))
                torch.testing.assert_close(copy.weight[mask], split.weight[mask], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(split.biases(), torch.stack([c.bias for c in copies]), rtol=1e-5, atol=1e-6)
    assert set(drawn) == set(range(COPIES))
    weight, bias = split.mean()
    torch.testing.assert_close(weight, torch.stack([c.weight for c in copies]).mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bias, torch.stack([c.bias for c in copies]).mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(split.eval()(x), F.linear(x, weight, bias), rtol=0, atol=0)


@pytest.mark.parametrize("split", ["up", "down", "both"])
def test_no_bias_decays(split):
    model = tiny.wire("mosa", "image", split=split)
    decays = {id(p): group["weight_decay"] for group in model.method.param_groups(model) for p in group["params"]}
    named = {name: decays[id(p)] for name, p in model.method.named_parameters()}
    assert {name for name, decay in named.items() if decay} == {
        f"branches.{i}.{part}.weight" for i in range(tiny.DEPTH) for part in ("down", "up")
    }


@pytest.mark.parametrize("split", ["up", "down", "both"])
def test_output_equals_the_equations_with_the_mean_of_the_copies(split):
    model, x = tiny.trained("mosa", "image", split=split, scale=0.5), tiny.inputs("image", 2)

    def plain(part):
        if isinstance(part, nn.Linear):
            return part.weight, part.bias
        weights = [torch.where(part.owner == i, part.weight, part.start) for i in range(COPIES)]
        return sum(weights) / COPIES, sum(part.biases()) / COPIES

    def beside(layer, h, u):
        branch = model.method.branches[layer]
        (w1, b1), (w2, b2) = plain(branch.down), plain(branch.up)
        return 0.5 * (F.gelu(loops.norm(branch.norm, h) @ w1.T + b1) @ w2.T + b2)

    loops.check_image(model, x, beside=beside)


def test_every_pass_draws_its_own_copies_in_training():
    model, x = tiny.trained("mosa", "image", dropout=0.0), tiny.inputs("image")
    model.train()
    with torch.no_grad():
        outputs = {round(float(model(x).sum()), 4) for _ in range(12)}
        assert len(outputs) > 3
        model.eval()
        assert torch.equal(model(x), model(x))


def test_loss_is_cross_entropy_and_the_symmetric_divergence_of_two_passes():
    model, x, y = tiny.trained("mosa", "image", consistency=2.0), tiny.inputs("image"), torch.arange(4)
    model.train()
    torch.manual_seed(7)
    loss = model.method.loss(model, x, y, F.cross_entropy)
    torch.manual_seed(7)
    p, q = model(x).softmax(-1), model(x).softmax(-1)
    kl = ((p * (p / q).log()).sum(-1) + (q * (q / p).log()).sum(-1)) / 2
    torch.testing.assert_close(loss, -p.log()[range(4), y].mean() + 2.0 * kl.mean(), rtol=1e-5, atol=1e-6)


def test_each_side_of_the_divergence_is_detached_in_turn():
    first, second = torch.randn(3, 5, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    got = torch.autograd.grad(symmetric_kl(first, second), (first, second))
    p, q = first.softmax(-1).detach(), second.softmax(-1).detach()
    torch.testing.assert_close(got[0], (p - q) / 2 / 3, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got[1], (q - p) / 2 / 3, rtol=1e-5, atol=1e-6)


def test_the_divergence_of_segmentation_is_that_of_its_points():
    first, second = torch.randn(2, 5, 7), torch.randn(2, 5, 7)  # (B, parts, N)
    points = [logits.movedim(1, 2).reshape(14, 5) for logits in (first, second)]
    torch.testing.assert_close(symmetric_kl(first, second), symmetric_kl(*points))


@pytest.mark.parametrize("hidden", [8, 16, 64])
@tiny.on_meta
def test_merged_count_equals_the_closed_form(hidden):
    body = tiny.vit_base()
    method = methods.build("mosa", backbones.describe(body), methods.config("mosa", {"hidden": hidden}))
    merged = 12 * (2 * 768 + 2 * 768 * hidden + hidden + 768)
    assert sum(p.numel() for p in method.parameters()) == merged + 12 * 3 * 768
    method.merge()
    assert sum(p.numel() for p in method.parameters()) == merged
    assert hidden != 16 or merged == 322_752
    assert not any(buffer.numel() for buffer in method.buffers())
    method.detach()


@pytest.mark.parametrize("copies", [1, 4])
def test_an_unmerged_state_goes_back_where_it_came_from(copies, same_state):
    model = tiny.trained("mosa", "image", copies=copies)
    kept = model.trained_state()
    tiny.move(model)
    model.load_state_dict(kept, strict=False)
    assert same_state(model.trained_state(), kept)


def test_a_merged_model_is_saved_and_loaded_as_one_adapter():
    model, x = tiny.trained("mosa", "image", split="both"), tiny.inputs("image")
    with torch.no_grad():
        before = model(x)
        model.method.merge()
        assert torch.equal(model(x), before)
        other = tiny.wire("mosa", "image", split="both")
        other.load_state_dict(model.trained_state(), strict=False)
        assert torch.equal(other(x), before)
    assert sum(p.numel() for p in other.method.parameters()) == sum(p.numel() for p in model.method.parameters())


def test_the_norm_adds_1e_6_to_the_variance():
    norm = tiny.wire("mosa", "image").method.branches[0].norm
    small = 1e-3 * torch.tensor([1.0, -1.0]).repeat(tiny.WIDTH // 2)  # its variance is 1e-6 as well
    torch.testing.assert_close(norm(small), small * 1e3 / 2**0.5)
