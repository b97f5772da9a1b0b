"""What every method of the table promises, on a small backbone of every family that it works on."""

from itertools import product

import optuna
import pytest

import methods
from benchmarks import backbones
from benchmarks.contract import checks, frozen, options, weights
from benchmarks.contract.case import Case
from benchmarks.contract.promises import PROMISES
from methods.errors import UserError
from tests.support import tiny

COMPILED, DROPOUT = frozen.compiles_to_one_graph, weights.drops_out_in_training_alone
COUNTED = weights.has_operations_that_can_be_counted
OF_OPTIONS = (options.has_options_that_survive_json, options.has_bounds_for_every_number)  # on any backbone the same
FEWEST = {"idpt": 2}  # blocks; its prompt is made from what the first puts out
pytestmark = pytest.mark.usefixtures("one_thread")


def kept(promise, name, family):
    """Whether a promise is asked of a method on this family."""
    main = family in tiny.MODALITIES
    if promise is DROPOUT:
        return main and "dropout" in methods.defaults(name)
    if promise in OF_OPTIONS:
        return family == min(methods.get(name).modalities)
    return main or promise not in (COMPILED, options.builds_with_what_it_suggests)


def takes_long(promise, family):
    """Whether a promise is asked in the slow set alone. Operations are counted alike on every family."""
    return promise is COMPILED or (promise is COUNTED and family not in tiny.MODALITIES)


@pytest.mark.parametrize(
    ("promise", "name", "family"),
    [
        pytest.param(promise, *pair, marks=[pytest.mark.slow] if takes_long(promise, pair[1]) else [])
        for promise, pair in product(PROMISES.values(), tiny.PAIRS + tiny.FITTING)
        if kept(promise, *pair)
    ],
)
def test_a_method_keeps_its_promise(promise, name, family):
    promise(Case(name, family, tiny.OPTIONS.get(family, {}).get(name, {})))


@pytest.mark.parametrize("name", tiny.NAMES)
def test_few_blocks_compile_to_one_graph(name):
    """As tracing takes seconds, each method is traced once by default, and deeper in the slow set."""
    family = min(methods.get(name).modalities)
    checks.check_compiled(tiny.trained(name, family, layers=FEWEST.get(name, 1)), tiny.inputs(family), backend="eager")


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


@pytest.mark.parametrize(("name", "modality"), sorted(set(product(tiny.NAMES, tiny.MODALITIES)) - set(tiny.PAIRS)))
def test_a_backbone_of_another_modality_is_one_clear_line(name, modality):
    body, config = tiny.backbone(modality), methods.config(name, {})
    allowed = " and ".join(sorted(methods.get(name).modalities))
    with pytest.raises(UserError) as error:
        methods.build(name, backbones.describe(body), config)
    kind = type(body).__name__
    assert str(error.value) == f"method '{name}' works on {allowed} only; {kind} is of modality {modality}"
