"""The floor's formulas against torch's counter of operations, and against the bytes that operators read and write."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.timing import floor
from benchmarks.training import measure
from tests.support.tiny import backbone, inputs

CLASSES, BATCH, POINTS = 7, 4, 64
EACH = pytest.mark.parametrize("modality", ["image", "points"])


class Moved(TorchDispatchMode):
    """Counts the bytes of all tensors that operators read and write. A view moves none."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given, made = tensors((args, kwargs or {})), tensors(out)
        aliases = {t.untyped_storage().data_ptr() for t in made} <= {t.untyped_storage().data_ptr() for t in given}
        if func._schema.is_mutable or not aliases:
            self.bytes += sum(t.nbytes for t in [*given, *made])
        return out


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def measured(modality: str, forward: Any, backward: Any) -> floor.Work:
    """One step of the frozen floor, whose passes the two contexts watch; returns what the formulas say of it."""
    body = backbone(modality)
    head = nn.Linear(body.head_hidden_size, CLASSES)
    floor.freeze(body, head)
    x, y = inputs(modality, BATCH), torch.arange(BATCH)
    with forward:
        loss = nn.functional.cross_entropy(head(body(x)), y)
    with backward:
        loss.backward()
    return floor.total(floor.account(body, BATCH, classes=CLASSES, points=POINTS).values())


@EACH
def test_the_formula_counts_the_same_operations_as_torch(modality):
    forward, backward = measure.counting(), measure.counting()
    counted = measured(modality, forward, backward)
    assert counted.forward_flops == forward.get_total_flops()
    assert counted.backward_flops == backward.get_total_flops()


@EACH
def test_the_formula_s_bytes_are_a_close_lower_bound_of_the_operators(modality):
    forward, backward = Moved(), Moved()
    counted = measured(modality, forward, backward)
    for ours, theirs in ((counted.forward_bytes, forward.bytes), (counted.backward_bytes, backward.bytes)):
        assert 0.75 * theirs < ours <= theirs


@pytest.mark.parametrize("body", ["gpt", "femae"])
def test_other_point_backbones_have_no_formula(body):
    assert floor.account(backbone(body), BATCH, classes=CLASSES, points=POINTS) == {}
