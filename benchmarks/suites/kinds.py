"""The kinds of tasks: what is predicted for a sample, and by which numbers a model is judged.

Shapes: N samples, C classes, P points.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

KindName = Literal["classification", "segmentation"]


class Kind(Protocol):
    """What the harness asks of the kind of a task.

    ``metric`` names the number that decides: the one of validation, of the checkpoint rules and of tables. All numbers
    are from 0 to 1, and more is better. ``per_point`` says that there is a label for every point, (N, P), and that the
    fourth number of each point is the category of its cloud.
    """

    name: ClassVar[KindName]
    metric: ClassVar[str]
    per_point: ClassVar[bool]

    def judge(self, logits: Tensor, y: Tensor) -> Tensor:
        """How good the model is on each sample of a batch, (N,)."""

    def scores(self, judged: Tensor, y: Tensor) -> dict[str, float]:
        """The numbers of a whole split by name, from what ``judge`` returned for its samples (N,)."""


@dataclass(frozen=True)
class Classification:
    """One class per sample, judged by the fraction of samples whose class is predicted."""

    name: ClassVar[KindName] = "classification"
    metric: ClassVar[str] = "accuracy"
    per_point: ClassVar[bool] = False

    def judge(self, logits: Tensor, y: Tensor) -> Tensor:
        """Whether the highest of the logits (N, C) is that of the class (N,)."""
        return logits.argmax(dim=1) == y

    def scores(self, judged: Tensor, y: Tensor) -> dict[str, float]:
        """The accuracy."""
        return {self.metric: int(judged.sum()) / len(judged)}


@dataclass(frozen=True)
class Segmentation:
    """One part per point, judged by the intersection over union (IoU) of parts.

    ``parts`` counts the parts of every category. Parts are numbered through, category by category. As in PointNet's
    protocol (Qi et al. 2017, arXiv:1612.00593), the category of a shape is known, and only its parts compete.
    """

    parts: tuple[int, ...]
    name: ClassVar[KindName] = "segmentation"
    metric: ClassVar[str] = "instance mIoU"
    per_point: ClassVar[bool] = True

    @property
    def first(self) -> tuple[int, ...]:
        """The number of the first part of every category."""
        return tuple(accumulate(self.parts, initial=0))[:-1]

    def categories(self, y: Tensor) -> Tensor:
        """The category (N,) of shapes whose points have the parts y (N, P)."""
        import torch

        starts = torch.tensor(self.first, device=y.device)
        return torch.bucketize(y[:, 0].contiguous(), starts, right=True) - 1

    def predicted(self, logits: Tensor, categories: Tensor) -> Tensor:
        """The part (N, P) of each point: of the logits (N, C, P), the highest among the parts of its category."""
        import torch

        owner = torch.repeat_interleave(torch.tensor(self.parts, device=logits.device))  # the category of each part
        foreign = owner != categories[:, None]  # (N, C)
        return logits.masked_fill(foreign[..., None], -torch.inf).argmax(dim=1)

    def judge(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean IoU of each shape over its category's parts; a part that neither has counts as 1."""
        import torch

        categories = self.categories(y)
        found = self.predicted(logits, categories)
        means = []
        # on the CPU, because a GPU would wait for every shape
        for category, truth, guess in zip(categories.tolist(), y.cpu(), found.cpu(), strict=True):
            part = self.first[category] + torch.arange(self.parts[category])[:, None]
            both = ((truth == part) & (guess == part)).sum(dim=1).double()
            either = ((truth == part) | (guess == part)).sum(dim=1)
            means.append(torch.where(either > 0, both / either.clamp(min=1), 1.0).mean())
        return torch.stack(means)

    def scores(self, judged: Tensor, y: Tensor) -> dict[str, float]:
        """The mean over shapes, and the mean over the categories that occur of the mean over their shapes."""
        import torch

        categories = self.categories(y)
        by_category = [judged[categories == category].mean() for category in categories.unique()]
        return {self.metric: float(judged.mean()), "class mIoU": float(torch.stack(by_category).mean())}


CLASSIFICATION = Classification()
