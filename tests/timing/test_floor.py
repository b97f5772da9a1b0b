"""The account of the floor, against torch's own counter of operations and a count of the bytes that operators touch."""

from __future__ import annotations

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
    """Bytes of all tensors that operators read and write; a view moves nothing."""

    def __init__(self) -> None:
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


def frozen(modality: str) -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    body = backbone(modality)
    head = nn.Linear(body.head_hidden_size, CLASSES)
    floor.freeze(body, head)
    return body, head, inputs(modality, BATCH), torch.arange(BATCH)


@EACH
def test_operations_of_the_formula_are_those_that_torch_counts(modality: str) -> None:
    body, head, x, y = frozen(modality)
    counted = floor.total(floor.account(body, BATCH, classes=CLASSES, points=POINTS))
    with measure.counting() as forward:
        loss = nn.functional.cross_entropy(head(body(x)), y)
    with measure.counting() as backward:
        loss.backward()
    assert counted.forward_flops == forward.get_total_flops()
    assert counted.backward_flops == backward.get_total_flops()


@EACH
def test_bytes_of_the_formula_are_a_lower_bound_near_what_operators_touch(modality: str) -> None:
    body, head, x, y = frozen(modality)
    counted = floor.total(floor.account(body, BATCH, classes=CLASSES, points=POINTS))
    with Moved() as forward:
        loss = nn.functional.cross_entropy(head(body(x)), y)
    with Moved() as backward:
        loss.backward()
    for ours, theirs in ((counted.forward_bytes, forward.bytes), (counted.backward_bytes, backward.bytes)):
        assert 0.75 * theirs < ours <= theirs
