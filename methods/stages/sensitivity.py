"""Which weights train under a budget, from how sensitive the loss is to each (arXiv:2303.08566)."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from methods.stages.chosen import Entries, Removable

WIDEST = 2  # how many weights are sensitive at most, in budgets; the authors' largest number is 1.6 budgets of theirs


class Group(NamedTuple):
    """``size`` weights that train together, at ``cost`` parameters, if ``threshold`` of them are sensitive."""

    size: int
    cost: int
    threshold: float


class Candidate(NamedTuple):
    """A matrix or a vector of the backbone: rows of a parameter, their entries that train, and a matrix's module."""

    name: str
    parameter: nn.Parameter
    rows: slice
    entries: Entries
    module: Removable | None
    group: Group


def most_sensitive(scores: Tensor, groups: Sequence[Group], budget: int) -> tuple[list[Tensor], Tensor, int]:
    """Choose the most sensitive weights, as many as the budget allows.

    ``scores`` are those of all groups end to end. Returns the sensitive weights of every group by their places in it,
    which groups train together, and how many parameters train. In the other groups the sensitive weights train alone.
    """
    ranked = scores.topk(min(len(scores), WIDEST * budget)).indices.cpu()
    ends = torch.tensor([group.size for group in groups]).cumsum(0)
    owners = torch.bucketize(ranked, ends, right=True)
    costs, thresholds = (torch.tensor(column, dtype=torch.float64) for column in list(zip(*groups, strict=True))[1:])

    def trained(count: int) -> tuple[Tensor, int]:
        found = owners[:count].bincount(minlength=len(groups)).double()
        together = found >= thresholds
        return together, int(torch.where(together, costs, found).sum())

    # with more sensitive weights never fewer parameters train
    count = bisect_right(range(len(ranked) + 1), budget, key=lambda some: trained(some)[1]) - 1
    together, params = trained(count)
    places = [
        ranked[:count][owners[:count] == number].sort().values - (end - group.size)
        for number, (end, group) in enumerate(zip(ends, groups, strict=True))
    ]
    return places, together, params
