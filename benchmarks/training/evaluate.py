"""The accuracy of a model on one split, by one look at each sample or by votes."""

import torch
from torch import Tensor

from benchmarks.training.augment import random_scale
from benchmarks.training.model import Classifier


@torch.inference_mode()
def accuracy(
    model: Classifier, x: Tensor, y: Tensor, *, device: torch.device, batch_size: int, votes: int, seed: int
) -> float:
    """The fraction of the samples ``x`` (N, ...) whose class ``y`` (N,) the model predicts.

    With several ``votes`` the logits of a cloud are the mean over the cloud and ``votes`` - 1 randomly scaled copies.
    ``seed`` decides the scales. The votes of Point-MAE's code differ, as ``Recipe`` says. Samples move to ``device``
    batch by batch.
    """
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    # drawn for all clouds at once, so that the copies of a cloud do not depend on the batch size
    scales = [random_scale(x, generator) for _ in range(votes - 1)]
    hits = torch.zeros((), dtype=torch.long, device=device)
    for inputs, labels, *factors in zip(*(part.split(batch_size) for part in (x, y, *scales)), strict=True):
        plain = inputs.to(device)
        logits = [model(copy).float() for copy in (plain, *(plain * factor.to(device) for factor in factors))]
        hits += (torch.stack(logits).mean(dim=0).argmax(dim=1) == labels.to(device)).sum()
    return int(hits) / len(y)
