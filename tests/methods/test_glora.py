"""GLoRA: a supernet of supports per linear, an evolution that finds one kind for each, and a winner that merges."""

import pytest
import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from benchmarks.contract import checks
from methods.glora import LOW_RANK, NONE, SCALAR, VECTOR
from tests.support import loops, stages, tiny

SMALL = {"supernet_epochs": 1, "population": 4, "parents": 2, "mutants": 2, "crossovers": 2, "rounds": 1}
KINDS = [(3, 3, 3, 2, 2), (2, 1, 2, 1, 0), (1, 2, 0, 0, 1), (0, 0, 3, 2, 2), (0, 3, 0, 0, 0), (0, 0, 0, 0, 0)]


def genes_of(kinds):
    """The kinds of A to E of every linear in turn, over the three blocks of the tiny ViT."""
    return tuple(kind for i in range(4 * tiny.DEPTH) for kind in kinds[i % len(kinds)])


def support(module, kind, rows, columns):
    """A support entry by entry, from its kind alone."""
    made = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            if kind == LOW_RANK:
                made[i, j] = sum(module.up[i, k] * module.down[k, j] for k in range(module.up.shape[1]))
            elif kind != NONE:
                made[i, j] = module.up[i if kind == VECTOR else 0, 0]
    return made


def by_the_equations(model, genes, x):
    """A forward pass in which every linear has W + W * A + B and b + b * D + E + W C."""
    remaining, weights = list(genes), {}
    for update, (_, linear, _) in zip(model.method.updates, model.method._wired, strict=True):
        rows, columns = linear.weight.shape
        shapes = {"A": (rows, columns), "B": (rows, columns), "C": (columns, 1), "D": (rows, 1), "E": (rows, 1)}
        a, b, c, d, e = (support(update.supports[n], remaining.pop(0), *shape) for n, shape in shapes.items())
        w, bias = linear.weight, linear.bias
        weights[linear] = (w + w * a + b, bias + bias * d[:, 0] + e[:, 0] + (w @ c)[:, 0])

    def changed(layer, name, module, z):
        weight, bias = weights[module]
        return loops.each_token(lambda token: weight @ token + bias, z)

    h = loops.image_tokens(model.backbone, x)
    for layer in range(tiny.DEPTH):
        h = loops.block(model.backbone, layer, h, linear=changed)
    return loops.norm(model.backbone.norm, h)[:, 0]


@torch.no_grad()
def test_a_subnet_equals_the_equations():
    model, x = tiny.trained("glora", "image", rank=2), tiny.inputs("image", 1)
    model.method.activate(genes := genes_of(KINDS))
    tiny.close(model.pooled(x), by_the_equations(model, genes, x))


def test_counts_equal_the_closed_form():
    rows, columns, rank = 2304 + 768 + 3072 + 768, 768 + 768 + 768 + 3072, 4
    low_rank = 2 * rank * (rows + columns) + rank * (columns + 4)  # A and B, and C
    assert tiny.count("glora") == 12 * (low_rank + 2 * rows) == 1_603_776


@torch.no_grad()
def test_a_slim_subnet_is_the_same_function_is_small_loads_and_merges(same_state):
    model, x = tiny.trained("glora", "image"), tiny.inputs("image")
    model.method.activate(genes := genes_of(KINDS))
    before = model(x)
    model.method.slim(genes)
    assert torch.equal(model(x), before)
    assert model.count()["method"] == model.method.count(genes)
    other = tiny.wire("glora", "image")
    other.load_state_dict(from_bytes(to_bytes(model.trained_state())), strict=False)
    assert same_state(other.state_dict(), model.state_dict())
    assert torch.equal(other(x), before)
    checks.check_merge(model, x)
    assert model.method.folded


def test_sizes_of_kinds():
    first = tiny.wire("glora", "image").method.updates[0].supports["A"]
    assert [first.sizes[kind] for kind in (NONE, SCALAR, VECTOR, LOW_RANK)] == [0, 1, 144, 4 * (144 + 48)]


def test_a_linear_without_bias_has_no_d():
    method = tiny.wire("glora", "points").method
    assert list(method.updates[0].supports) == ["A", "B", "C", "E"]
    assert [gene.values for gene in method.space[:4]] == [(0, 1, 2, 3), (0, 1, 2, 3), (0, 2, 3), (0, 1, 2)]


def load(split):
    size, seed = {"train": (12, 0), "val": (8, 1)}[split]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, 32, 32, generator=generator), torch.arange(size) % 2


def run(scratch=None, **options):
    return tiny.trainer(tiny.wire("glora", "image", **SMALL, **options), load, epochs=1, scratch=scratch)


@pytest.mark.parametrize(("winner", "starts_at_zero"), [("inherited", False), ("fresh", True)])
def test_the_winner_keeps_to_the_budget_and_starts_from_the_weights_asked_for(winner, starts_at_zero):
    trainer, started = run(winner=winner, max_params=20_000), {}
    train = trainer.train
    trainer.train = lambda: (started.update(trainer.model.trained_state()), train())
    trainer.model.method.fit(trainer)
    report = trainer.model.method.report(trainer)
    assert report["search"]["params"] == trainer.model.count()["method"] <= 20_000
    assert report["supernet"]["steps"] == 3 and len(report["search"]["best_by_generation"]) == 2
    assert list(report["architecture"])[:5] == ["qkv A", "qkv B", "qkv C", "qkv D", "qkv E"]
    assert {len(kinds) for kinds in report["architecture"].values()} == {tiny.DEPTH}
    assert starts_at_zero == all(not t.any() for n, t in started.items() if n.endswith(".up"))


def test_killed_in_the_search_it_ends_like_an_undisturbed_run(tmp_path, same_state):
    stages.check_killed(run, tmp_path, ("search", 1), ["search", "train"], same_state)
