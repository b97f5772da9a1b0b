"""FacT, tensor train and Tucker."""

import pytest
import torch

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from benchmarks.training import measure
from methods.errors import UserError
from tests.support import loops, tiny

BOTH = pytest.mark.parametrize("name", ["fact_tt", "fact_tk"])
SLICES = 12 * 12  # on ViT-B/16: q, k, v, proj, four of fc1 and four of fc2 in each block
CORES = {"fact_tt": lambda r: SLICES * r**2, "fact_tk": lambda r: SLICES * r + r**3}


@BOTH
@pytest.mark.parametrize("rank", [4, 8, 16])
def test_counts_equal_the_closed_form(name, rank):
    at_16 = {"fact_tt": 61_440, "fact_tk": 30_976}[name]
    closed = 2 * 768 * rank + CORES[name](rank)
    assert tiny.count(name, rank=rank) == closed == (at_16 if rank == 16 else closed)


def written_out(core, number):
    """One slice (r, r), entry by entry for Tucker."""
    if hasattr(core, "free"):
        return core.free[number]
    rank = core.matrices.shape[0]
    return sum(core.mixture[number, k] * core.matrices[:, :, k] for k in range(rank))


def piecewise(model, scale):
    """A linear of the backbone with its update, one D x D piece and one token at a time."""
    (factors,), width = model.method.factors, tiny.WIDTH
    first = {"qkv": 0, "proj": 3, "fc1": 4, "fc2": 6}  # the tiny FFN is twice as wide as a token

    def linear(layer, name, module, x):
        inputs, outputs = module.in_features // width, module.out_features // width

        def update(token):
            out = torch.zeros(module.out_features)
            for number in range(inputs * outputs):
                source, target = divmod(number, outputs)
                core = written_out(factors.core, 8 * layer + first[name] + number)
                low = factors.down.weight @ token[source * width : (source + 1) * width]
                out[target * width : (target + 1) * width] += scale * (factors.up.weight @ (core.T @ low))
            return out

        return loops.plain(layer, name, module, x) + loops.each_token(update, x)

    return linear


@BOTH
def test_output_equals_the_equations(name):
    model = tiny.trained(name, "image", rank=4, scale=1.5)
    loops.check_image(model, tiny.inputs("image", 2), linear=piecewise(model, 1.5))


@BOTH
@pytest.mark.parametrize("modality", tiny.MODALITIES)
def test_merge_equals_unmerged_once(name, modality):
    checks.check_merge(tiny.trained(name, modality, rank=3, scale=2.0), tiny.inputs(modality))


@pytest.mark.parametrize(("name", "mixing"), [("fact_tt", 0), ("fact_tk", 2 * 24 * 4**3 // 2)])
def test_operations_equal_the_closed_form(name, mixing):
    model, x = tiny.wire(name, "image", rank=4), tiny.inputs("image", 2)
    wired = measure.forward_flops(model, x)
    pieces = {"qkv": (1, 3), "proj": (1, 1), "fc1": (1, 2), "fc2": (2, 1)}.values()
    token = sum(2 * 4 * (tiny.WIDTH * ins + 4 * ins * outs + tiny.WIDTH * outs) for ins, outs in pieces)
    model.method.merge()  # Tucker mixes its 24 slices once a batch, here for two samples
    assert wired - measure.forward_flops(model, x) == tiny.DEPTH * 17 * token + mixing


@BOTH
def test_an_ffn_that_is_no_whole_number_of_pieces_is_refused(name):
    body = tiny.vit(embed_dim=12, mlp_ratio=1.5)
    with pytest.raises(UserError) as error:
        methods.build(name, backbones.describe(body), methods.config(name, {}))
    assert str(error.value) == "fact: widths (12, 18) must be multiples of the token's 12"


def test_slices_of_fc2_start_nearer_to_zero_because_its_input_is_wider():
    core = tiny.wire("fact_tt", "image", rank=16).method.factors[0].core
    largest = core.free.detach().view(tiny.DEPTH, 8, -1).abs().amax(dim=(0, 2))  # q, k, v, proj, 2 of fc1, 2 of fc2
    bounds = torch.tensor([1 / 16**0.5] * 6 + [1 / (2 * 16) ** 0.5] * 2)  # the tiny FFN is twice as wide as a token
    assert (largest <= bounds).all() and (largest > 0.95 * bounds).all()
