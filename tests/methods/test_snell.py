"""SNELL."""

import pytest
import torch

from benchmarks.contract import checks
from tests.support import loops, tiny

WIDTHS = {"q": 2 * 768, "k": 2 * 768, "v": 2 * 768, "proj": 2 * 768, "fc1": 5 * 768, "fc2": 5 * 768}
KEPT = pytest.mark.parametrize("kept", ["as_they_are", "magnitude"])


@pytest.mark.parametrize(("rank", "targets", "count"), [(8, (), 1_327_104), (32, ("fc2", "v"), 2_064_384)])
def test_counts_equal_the_closed_form(rank, targets, count):
    closed = 12 * rank * sum(WIDTHS[target] for target in targets or WIDTHS)
    assert tiny.count("snell", rank=rank, targets=targets) == closed == count


def written_out(update, kept, sparsity):
    """dW (out, in), one output feature at a time: the entries above the quantile of all sizes."""
    (p, p_), (q, q_) = update.outputs, update.inputs
    near = torch.stack([(q - point).square().sum(dim=1).sqrt() for point in p])
    far = torch.stack([(q_ - point).square().sum(dim=1).sqrt() for point in p_])
    dense = 0.1 * (near - far)
    above = dense.abs() > torch.quantile(dense.abs(), sparsity)
    return dense * above * (dense.abs() if kept == "magnitude" else 1)


@KEPT
def test_output_equals_the_equations(kept):
    model = tiny.trained("snell", "image", layers=1, rank=2, sparsity=0.7, kept=kept)
    deltas = [written_out(update, kept, 0.7) for update in model.method.updates]
    q, k, v, proj, fc1, fc2 = deltas
    of = {"qkv": torch.cat([q, k, v]), "proj": proj, "fc1": fc1, "fc2": fc2}

    def linear(layer, name, module, x):
        return loops.plain(layer, name, module, x) + x @ of[name].T

    loops.check_image(model, tiny.inputs("image", 2), linear=linear)


@KEPT
@pytest.mark.parametrize("sparsity", [0.3, 0.9, 0.999])
def test_the_share_of_zeros_is_the_sparsity(sparsity, kept):
    update = tiny.wire("snell", "image", sparsity=sparsity, kept=kept).method.updates[0]
    delta = update.delta()
    zeros = 1 + int(sparsity * (delta.numel() - 1))
    assert int((delta == 0).sum()) == zeros


def test_without_sparsity_the_update_is_dense_and_of_high_rank():
    update = tiny.trained("snell", "image", sparsity=0.0, rank=4).method.updates[0]
    delta = update.delta()
    assert bool((delta != 0).all()) and torch.linalg.matrix_rank(delta) > 10


@KEPT
def test_gradients_reach_factors_through_what_is_kept(kept):
    update = tiny.trained("snell", "image", sparsity=0.9, kept=kept).method.updates[0]
    delta = update.delta()
    (got,) = torch.autograd.grad(delta.sum(), update.inputs)
    first, second = torch.cdist(update.outputs, update.inputs)
    dense = 0.1 * (first - second)
    weights = (delta != 0) * (dense.detach().abs() if kept == "magnitude" else 1)
    (expected,) = torch.autograd.grad((dense * weights).sum(), update.inputs)
    tiny.close(got, expected)


@pytest.mark.parametrize(("kept", "most"), [("as_they_are", 0.1), ("magnitude", 0.003)])
def test_training_starts_near_the_backbone(kept, most):
    model, x = tiny.wire("snell", "image", kept=kept), tiny.inputs("image")
    with torch.no_grad():
        changed, frozen = model.pooled(x), tiny.backbone("image")(x)
    assert 0 < (changed - frozen).norm() < most * frozen.norm()


def test_dropout_and_drop_path_are_where_the_code_has_them():
    q, _, _, proj, *_ = tiny.trained("snell", "image", layers=1, dropout=0.4, drop_path=0.5).method.train().updates
    assert (q.dropout.p, proj.dropout.p) == (0.4, 0.0)
    torch.manual_seed(0)
    out, whole = proj(torch.ones(16, 3, tiny.WIDTH)), proj.eval()(torch.ones(3, tiny.WIDTH))
    dropped = [not sample.any() for sample in out]
    assert 0 < sum(dropped) < 16
    tiny.close(out[dropped.index(False)], 2 * whole)


@KEPT
@pytest.mark.parametrize("modality", tiny.MODALITIES)
def test_merge_equals_unmerged(modality, kept):
    checks.check_merge(tiny.trained("snell", modality, kept=kept, targets=("k", "fc1")), tiny.inputs(modality))
