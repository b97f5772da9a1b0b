"""SPT: the most sensitive weights train in a budget, alone or, where they are many, by a module or as a whole."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from benchmarks.contract import checks
from methods.stages.sensitivity import Group, most_sensitive
from tests.support import loops, stages, tiny

NAMES = ("spt_lora", "spt_adapter")
EACH = pytest.mark.parametrize("name", NAMES)
MIXED = {"share": 0.05, "rank": 1, "matrix_ratio": 1}  # on the tiny ViT some matrices get modules and some do not


def run(name, scratch=None, load=stages.load, **options):
    return tiny.trainer(tiny.wire(name, "image", **MIXED, **options), load, epochs=1, scratch=scratch)


def fitted(name, **options):
    trainer = run(name, **options)
    trainer.model.method.fit(trainer)
    return trainer


def test_the_choice_is_the_largest_that_keeps_to_the_budget():
    torch.manual_seed(0)
    groups = [Group(30, 12, 6.0), Group(10, 10, 2.0), Group(40, 16, 8.0), Group(5, 5, 1.0)]
    scores = torch.rand(85)
    order, kept = scores.argsort(descending=True).tolist(), (0, None, None)
    spans = [range(0, 30), range(30, 40), range(40, 80), range(80, 85)]
    for count in range(61):
        own = [[place - span.start for place in order[:count] if place in span] for span in spans]
        whole = [len(mine) >= group.threshold for mine, group in zip(own, groups, strict=True)]
        params = sum(g.cost if w else len(mine) for g, w, mine in zip(groups, whole, own, strict=True))
        if params <= 30:
            kept = params, whole, own
    places, together, params = most_sensitive(scores, groups, 30)
    assert (params, together.tolist()) == kept[:2] and 0 < sum(kept[1]) < 4
    assert [p.tolist() for p in places] == [sorted(mine) for mine in kept[2]]
    assert most_sensitive(scores, groups, 0)[2] == 0


def candidates(body):
    """Matrices and vectors of the ViT in the order of the method: parameter, rows, and whether it is a matrix."""
    found = []
    for block in body.blocks:
        parts = [(block.attn.qkv, slice(i * 48, i * 48 + 48)) for i in range(3)]
        parts += [(linear, slice(0, linear.out_features)) for linear in (block.attn.proj, block.mlp.fc1, block.mlp.fc2)]
        found += [(p, rows, p.ndim == 2) for linear, rows in parts for p in (linear.weight, linear.bias)]
    norms = [norm for block in body.blocks for norm in (block.norm1, block.norm2)] + [body.norm]
    return found + [(p, slice(None), False) for norm in norms for p in (norm.weight, norm.bias)]


@torch.no_grad()
def plain(model):
    """The backbone alone, with every entry added by itself."""
    body = tiny.backbone("image")
    body.load_state_dict(model.backbone.state_dict())
    for (parameter, rows, _), entries in zip(candidates(body), model.method.entries, strict=True):
        part = parameter[rows].view(-1)
        for place, value in zip(entries.index.tolist(), entries.values.tolist(), strict=True):
            part[place] += value
    return body


def by_the_equations(model, x, added):
    """A forward pass in which ``added(module, x, y)`` joins the output y of every matrix."""
    body, modules = plain(model), iter(model.method.branches)

    def linear(layer, name, module, z):
        parts = module.weight.chunk(3 if name == "qkv" else 1), module.bias.chunk(3 if name == "qkv" else 1)
        outputs = [z @ w.T + b for w, b in zip(*parts, strict=True)]
        return torch.cat([y + added(inner, z, y) if (inner := next(modules)).size else y for y in outputs], dim=-1)

    h = loops.image_tokens(body, x)
    for layer in range(tiny.DEPTH):
        h = loops.block(body, layer, h, linear=linear)
    return loops.norm(body.norm, h)[:, 0]


def lora(module, x, y):
    return x @ module.inner.down.weight.T @ module.inner.up.weight.T


def adapter(module, x, y):
    down, up = module.inner.down, module.inner.up
    return F.gelu(y @ down.weight.T + down.bias) @ up.weight.T + up.bias


@pytest.mark.parametrize(("name", "added"), [("spt_lora", lora), ("spt_adapter", adapter)])
def test_it_equals_the_equations_before_and_after_the_stage(name, added):
    x, wired, chosen = tiny.inputs("image", 2), tiny.trained(name, "image"), fitted(name).model
    tiny.move(chosen).eval()
    with torch.no_grad():
        for model in (wired, chosen):
            tiny.close(model.pooled(x), by_the_equations(model, x, added))


@EACH
def test_the_stage_ranks_by_squared_gradients_summed_over_batches(name):
    trainer = run(name, load=partial(stages.load, size=8), batches=2, dropout=0.0, drop_path=0.0)
    (x, y), body = stages.load("train", 8), tiny.backbone("image")
    groups, sums, head = candidates(body), None, trainer.model.head
    for batch in torch.randperm(8, generator=torch.Generator().manual_seed(0)).split(4):
        loss = F.cross_entropy(head(body(x[batch])), y[batch])
        parameters = [parameter for parameter, _, _ in groups]
        found = [g[rows] ** 2 for g, (_, rows, _) in zip(torch.autograd.grad(loss, parameters), groups, strict=True)]
        sums = found if sums is None else [a + b for a, b in zip(sums, found, strict=True)]
    method = trainer.model.method
    costs = [c.module.size if c.module else c.group.size for c in method._candidates]
    ratios = [1 if matrix else 5 for _, _, matrix in groups]
    expected = [Group(s.numel(), c, c / r) for s, c, r in zip(sums, costs, ratios, strict=True)]
    budget = int(0.05 * sum(p.numel() for p in body.parameters())) - 48
    places, whole, params = most_sensitive(torch.cat([s.flatten() for s in sums]), expected, budget)
    method.fit(trainer)
    report = method.report(trainer)["selection"]
    assert report["params"] == params and trainer.model.count()["method"] == params + 48 <= budget + 48
    assert report["steps"] == 2 and 0 < len(report["modules"]) < 6 * tiny.DEPTH
    for place, together, entries, (_, _, matrix) in zip(places, whole, method.entries, groups, strict=True):
        alone = [] if together and matrix else range(entries.shape[0]) if together else place.tolist()
        assert entries.index.tolist() == list(alone)


@EACH
def test_what_was_chosen_is_saved_loaded_and_merged(name, same_state):
    model, x = fitted(name).model.eval(), tiny.inputs("image")
    other = tiny.wire(name, "image", **MIXED)
    other.load_state_dict(from_bytes(to_bytes(model.trained_state())), strict=False)
    assert same_state(other.state_dict(), model.state_dict()) and other.count() == model.count()
    with torch.no_grad():
        assert torch.equal(other(x), model(x))
    checks.check_deepcopy(other, x)
    checks.check_merge(other, x)
    assert other.method.folded == (name == "spt_lora")


def test_counts_before_the_stage_are_those_of_all_candidates():
    matrices = [(768, 768)] * 4 + [(768, 3072), (3072, 768)]  # inputs and outputs
    entries = sum(int(0.005 * n * m) for n, m in matrices)
    vectors, token = 12 * 6912 + 25 * 2 * 768, 768
    others = 12 * entries + vectors + token
    assert tiny.count("spt_lora") == 12 * sum(8 * (n + m) for n, m in matrices) + others == 1_873_872
    assert tiny.count("spt_adapter") == 12 * sum(17 * m + 8 for _, m in matrices) + others == 1_957_392


def test_a_budget_for_nothing_trains_the_class_token_alone():
    trainer = run("spt_lora")
    trainer.model.method.budget = 0
    trainer.model.method.fit(trainer)
    assert trainer.model.count()["method"] == 48


@EACH
@pytest.mark.parametrize(("at", "left"), [(("selection", 3), 3 * ["selection"]), (("train", 1), [])])
def test_killed_it_ends_like_an_undisturbed_run(name, at, left, tmp_path, same_state):
    make = partial(run, name, load=partial(stages.load, size=12))
    stages.check_killed(make, tmp_path, at, [*left, "train"], same_state)
