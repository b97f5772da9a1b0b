"""The numbers of a model on one split, by one look at each sample or by votes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.training.augment import random_scale
from benchmarks.training.model import Classifier


@torch.inference_mode()
def scores(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    *,
    device: torch.device,
    batch_size: int,
    votes: int,
    seed: int,
    masked: bool = False,
    see: Callable[[Tensor], None] = lambda logits: None,
) -> dict[str, float]:
    """The numbers of the samples ``x`` (N, ...) with labels ``y`` by the metrics of the model's kind of tasks.

    With several ``votes`` the logits of a cloud are the mean over the cloud and ``votes`` - 1 randomly scaled copies.
    ``seed`` decides the scales. The votes of Point-MAE's code differ, as ``Recipe`` says. With ``masked`` only classes
    in ``y`` are predicted. Samples move to ``device`` batch by batch, and ``see`` is called with the logits of each.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    # drawn for all clouds at once, so that the copies of a cloud do not depend on the batch size
    scales = [random_scale(x, generator) for _ in range(votes - 1)]
    known, judged = y.unique().to(device), []
    for inputs, labels, *factors in zip(*(part.split(batch_size) for part in (x, y, *scales)), strict=True):
        plain = inputs.to(device)
        copies = (plain, *(plain * factor.to(device) for factor in factors))
        logits = torch.stack([model(copy).float() for copy in copies]).mean(dim=0)
        if masked:
            logits = torch.full_like(logits, -torch.inf).index_copy(1, known, logits.index_select(1, known))
        see(logits)
        judged.append(model.kind.judge(logits, labels.to(device)))
    return model.kind.scores(torch.cat(judged).cpu(), y.cpu())


@dataclass(frozen=True)
class Highest:
    """The ``count`` classes with the highest logits of each sample, and their log-probabilities, batch by batch."""

    count: int
    parts: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # (B, count) each, of every batch

    def add(self, logits: Tensor) -> None:
        """Add a batch of logits (B, C). The first of equal logits comes first, as in ``argmax``, which judges."""
        order = logits.sort(dim=1, descending=True, stable=True).indices[:, : self.count]
        self.parts.append((order.cpu(), logits.log_softmax(dim=1).gather(1, order).half().cpu()))
