"""All promises of the contract, and the cases in which a method has to keep them."""

from collections.abc import Callable, Iterator, Mapping

import methods
from benchmarks.contract import frozen, options, weights
from benchmarks.contract.case import Case
from benchmarks.contract.tiny import FAMILIES

Promise = Callable[[Case], None]
PLAIN = ("image", "points")  # the families whose compiled model is compared: tracing takes seconds
PROMISES: Mapping[str, Promise] = {
    promise.__name__.replace("_", " "): promise
    for promise in (
        frozen.leaves_the_backbone_as_it_is,
        frozen.starts_as_the_frozen_backbone,
        weights.trains_what_its_class_says,
        weights.gives_every_weight_to_the_optimizer_once,
        weights.gives_every_weight_a_finite_gradient,
        weights.changes_only_what_is_unfrozen_in_a_step,
        weights.has_equal_gradients_with_checkpointing,
        weights.has_operations_that_can_be_counted,
        weights.drops_out_in_training_alone,
        weights.saves_and_loads_equal_bits,
        frozen.merges_as_its_class_says,
        frozen.leaves_no_hook_if_merged_and_detached,
        frozen.gives_the_backbone_back,
        frozen.is_independent_of_its_copy,
        frozen.compiles_to_one_graph,
        options.builds_with_what_it_suggests,
        options.has_options_that_survive_json,
        options.has_bounds_for_every_number,
    )
}


def families(method: str) -> list[str]:
    """The families of backbones that the class of a method says it works on."""
    cls = methods.get(method)
    return [name for name, family in FAMILIES.items() if family.takes(cls)]


def of(family: str) -> Iterator[Promise]:
    """The promises that count on a family."""
    return (one for one in PROMISES.values() if family in PLAIN or one is not frozen.compiles_to_one_graph)


def cases(method: str, options: Mapping[str, object] | None = None) -> list[tuple[Promise, Case]]:
    """Every promise with every family of a method, for pytest. ``options`` are those without which it does not fit.

    Example:
        >>> @pytest.mark.parametrize(("promise", "case"), promises.cases("lora"))
        ... def test_it_keeps_the_contract(promise, case):
        ...     promise(case)
    """
    made = [Case(method, family, options or {}) for family in families(method)]
    return [(promise, case) for case in made for promise in of(case.family)]
