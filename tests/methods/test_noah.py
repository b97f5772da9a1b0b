"""NOAH: a subnet is what a module of its widths would be, the search is legal and resumes, the winner stands alone."""

from unittest.mock import Mock, call

import pytest
import torch

import methods
from benchmarks import backbones
from methods.errors import UserError
from methods.stages.nested import Space, exchange
from methods.stages.search import Evolution
from tests.support import loops, tiny

SMALL = {"supernet_epochs": 2, "population": 6, "parents": 2, "mutants": 3, "crossovers": 3, "rounds": 3}
GENES = (2, 3, 1, 3, 1, 3, 3, 3, 2, 1, 3, 1)  # of three blocks: depth, widths; adapter, LoRA, prompts
WIDTHS = {"adapter": (3, 1, 0), "lora": (3, 0, 0), "prompts": (1, 3, 0)}


def test_genes_name_widths_and_a_depth_ends_them():
    space = Space(families=3, blocks=3, widths=(1, 3))
    assert space.widths_of(GENES) == list(WIDTHS.values())
    assert Space(families=3, blocks=12, widths=(1, 5, 10)).genes[0].values == (3, 6, 9, 12)


def by_the_equations(supernet, x, widths, ffn=lambda y: y):
    """A forward pass with weights cut to these widths; ``ffn`` is what drop-path makes of the FFN's output."""
    body, method, dim = supernet.backbone, supernet.method, tiny.WIDTH

    def linear(layer, name, module, z):
        out, width = loops.plain(layer, name, module, z), widths["lora"][layer]
        a, b = method.lora[layer].down[:width], method.lora[layer].up[:width]
        return out + loops.each_token(lambda token: (a @ token) @ b, z) if name == "qkv" else out

    def after_ffn(layer, y):
        y, width, part = ffn(y), widths["adapter"][layer], method.adapter[layer]
        if width == 0:
            return y
        z = y @ part.down[:width].T + part.down_bias[:width]
        return y + (z * torch.sigmoid(1.702 * z)) @ part.up[:width] + part.up_bias

    h = loops.image_tokens(body, x)
    own = h.shape[1]
    for layer in range(tiny.DEPTH):
        if width := widths["prompts"][layer]:
            prompts = method.prompts[layer].prompts[:width]
            h = torch.cat([h[:, :own], prompts.expand(len(x), width, dim)], dim=1)
        h = loops.block(body, layer, h, linear=linear, after_ffn=after_ffn)
    return loops.norm(body.norm, h)[:, 0]


def use(supernet, widths):
    for modules, used in zip(supernet.method.nested(), widths.values(), strict=True):
        for module, width in zip(modules, used, strict=True):
            module.width = width


@pytest.mark.parametrize("prompts", [(1, 3, 0), (3, 1, 3), (3, 0, 1), (0, 1, 0), (0, 0, 0)])
def test_a_subnet_equals_the_equations_with_weights_cut_to_its_widths(prompts):
    supernet, x = tiny.trained("noah", "image", widths=(1, 3)), tiny.inputs("image", 2)
    use(supernet, widths := WIDTHS | {"prompts": prompts})
    with torch.no_grad():
        tiny.close(supernet.pooled(x), by_the_equations(supernet, x, widths))


@torch.no_grad()
def test_the_adapter_is_outside_the_drop_path_of_the_ffn():
    supernet, x = tiny.trained("noah", "image", widths=(1, 3)), tiny.inputs("image", 2)
    supernet.method.activate(GENES)
    for block in supernet.backbone.blocks:
        block.drop_path2.forward = torch.zeros_like  # it drops every sample
    tiny.close(supernet.pooled(x), by_the_equations(supernet, x, WIDTHS, ffn=torch.zeros_like))


@pytest.mark.parametrize("block", range(tiny.DEPTH))
def test_every_sample_drops_other_parts_of_the_prompts(block):
    method, x = tiny.wire("noah", "image", widths=(3,), dropout=0.5).method.train(), torch.ones(2, 20, tiny.WIDTH)
    out = exchange(method.prompts, block, x)
    old = 3 * (block > 0)
    assert torch.equal(out[:, : 20 - old], x[:, old:])
    first, second = out[:, 20 - old :]
    for sample in (first, second):
        assert torch.equal(sample, torch.where(sample == 0, 0, 2 * method.prompts[block].prompts))
        assert 0.2 < (sample == 0).float().mean() < 0.8
    assert not torch.equal(first == 0, second == 0)


def test_first_values_are_those_of_the_authors():
    method, bound = tiny.wire("noah", "image", widths=(1000,)).method, (6 / (101 * tiny.WIDTH)) ** 0.5
    for name, parameter in method.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif name.endswith("prompts"):
            assert 0.99 * bound < parameter.max() <= bound and -bound <= parameter.min() < -0.99 * bound
        else:
            assert abs(parameter.mean()) < 1e-3 and abs(parameter.std() - 0.02) < 5e-4


@pytest.mark.parametrize("modality", tiny.MODALITIES)
def test_a_subnet_equals_fresh_modules_of_its_widths(modality):
    supernet, x = tiny.trained("noah", modality, widths=(1, 3)), tiny.inputs(modality)
    supernet.method.activate(GENES)
    with torch.no_grad():
        before = supernet(x)
        supernet.method.slim(GENES)
        assert torch.equal(supernet(x), before)
        fresh = tiny.wire("noah", modality, widths=(1, 3))
        assert {n: p.shape for n, p in fresh.method.named_parameters() if p.shape[0] == 3} != {}
        fresh.load_state_dict(supernet.trained_state(), strict=False)  # takes the widths of what it loads
        assert torch.equal(fresh(x), before)
    assert fresh.count()["method"] == supernet.method.count(GENES) == sum(p.numel() for p in fresh.method.parameters())


@tiny.on_meta
def test_counts_equal_the_closed_form():
    dim = 768
    adapter, lora, prompts = 10 * (2 * dim + 1) + dim, 10 * 4 * dim, 10 * dim
    assert tiny.count("noah") == 12 * (adapter + lora + prompts)
    body = tiny.vit_base()
    method = methods.build("noah", backbones.describe(body), methods.config("noah", {}))
    genes = (3, *[5] * 12, 6, *[1] * 12, 12, *[10] * 12)
    assert method.count(genes) == 3 * (5 * (2 * dim + 1) + dim) + 6 * 4 * dim + 12 * 10 * dim
    method.detach()


def test_the_budget_is_what_the_authors_budget_leaves_beside_their_unused_prompts():
    at_the_input = 100 * 768 + 10 * 768  # all positions and, at most, ten prompts; the first block replaces both
    assert 0 <= 640_000 - (methods.config("noah", {}).max_params + at_the_input) < 768


def load(split):
    size, seed = {"train": (12, 0), "val": (8, 1), "test": (8, 2)}[split]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, 32, 32, generator=generator), torch.arange(size) % 2


def run(scratch=None, load=load, **options):
    return tiny.trainer(tiny.wire("noah", "image", widths=(1, 3), **SMALL, **options), load, scratch=scratch)


def test_search_keeps_to_the_budget_and_reports_what_it_cost():
    trainer = run(max_params=2000)
    trainer.model.method.fit(trainer)
    report = trainer.model.method.report(trainer)
    assert report["search"]["params"] == trainer.model.count()["method"] <= 2000
    assert report["supernet"]["steps"] == 2 * 3
    assert 6 <= report["search"]["subnets"] <= 6 + 3 * 6
    assert len(report["search"]["best_by_generation"]) == 4
    assert report["search"]["best_by_generation"] == sorted(report["search"]["best_by_generation"])
    assert {len(widths) for widths in report["architecture"].values()} == {tiny.DEPTH}


def test_evolution_never_reads_test_and_the_supernet_never_reads_validation():
    read = Mock(side_effect=load)
    trainer = run(load=read)
    read.reset_mock()  # it read what the recipe's last stage trains on
    trainer.stage("supernet", epochs=1, lr=1e-3, split="train")
    assert read.mock_calls == [call("train")]
    trainer.model.method.fit(trainer)
    assert call("val") in read.mock_calls and call("test") not in read.mock_calls


def test_the_winner_trains_from_the_first_weights():
    trainer = run()
    first = {n: t.clone() for n, t in trainer.model.trained_state().items()}
    started = {}
    train = trainer.train
    trainer.train = lambda: (started.update(trainer.model.trained_state()), train())
    trainer.model.method.fit(trainer)
    assert all(torch.equal(t, first[n][tuple(slice(s) for s in t.shape)]) for n, t in started.items())


@pytest.mark.parametrize("stop_after", [1, 2, 4])
def test_killed_in_the_search_it_ends_like_an_undisturbed_run(tmp_path, stop_after, same_state):
    whole = run(tmp_path / "whole")
    whole.model.method.fit(whole)

    killed = run(tmp_path / "killed")

    def kill(row):
        if row["stage"] == "search" and row["epoch"] == stop_after:
            raise KeyboardInterrupt

    killed.on_epoch = kill
    with pytest.raises(KeyboardInterrupt):
        killed.model.method.fit(killed)
    again = run(tmp_path / "killed")
    stages = []
    again.on_epoch = lambda row: stages.append((row["stage"], row["epoch"]))
    again.model.method.fit(again)
    assert stages == [*[("search", g) for g in range(stop_after + 1, 5)], ("train", 1), ("train", 2)]
    assert again.history == whole.history
    assert same_state(again.model.trained_state(), whole.model.trained_state())


def test_evolution_finds_the_best_of_a_space_that_can_be_counted():
    space = Space(families=1, blocks=4, widths=(1, 2, 3))
    target = (4, 3, 1, 2, 3)

    def fitness(genes):
        return -sum(abs(a - b) for a, b in zip(genes, target, strict=True))

    def legal(genes):
        return sum(genes[1:]) <= 9

    search = Evolution(space.genes, fitness=fitness, legal=legal, size=sum, sizes=(20, 5, 15, 15), seed=0)
    for _ in range(20):
        search.step()
    assert search.best() == target
    assert all(map(legal, search.scores))


def test_of_equal_scores_the_smaller_is_better():
    space, alike = Space(families=1, blocks=4, widths=(1, 2)), lambda genes: True
    search = Evolution(space.genes, fitness=alike, legal=alike, size=sum, sizes=(200, 5, 5, 5), seed=0)
    search.step()
    assert sum(search.best()) == min(map(sum, search.scores))


def test_a_budget_too_small_for_any_subnet_is_refused():
    trainer = run(max_params=1)
    with pytest.raises(UserError, match="no legal subnet in 10,000 draws; give a larger max_params"):
        trainer.model.method.fit(trainer)


def test_the_supernet_trains_five_times_as_long_unless_told_otherwise():
    told, untold = (tiny.wire("noah", "image", **{**SMALL, "supernet_epochs": epochs}).method for epochs in (7, None))
    assert untold.epochs(100) - told.epochs(100) == 500 - 7
    assert untold.epochs(15) - told.epochs(15) == 75 - 7
