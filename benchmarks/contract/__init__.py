"""The contract of methods: what each one promises on each family of backbones, from what its class says of itself."""

from collections.abc import Callable, Mapping

from benchmarks.contract import frozen, options, weights
from benchmarks.contract.case import Case

PROMISES: Mapping[str, Callable[[Case], None]] = {
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
