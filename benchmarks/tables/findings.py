"""What the logits of a run tell beyond its accuracy: each class, what is taken for what, calibration, the errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.records.logits import Logits

BINS = 15  # of calibration, as in Guo et al. 2017 (arXiv:1706.04599)


@dataclass(frozen=True, kw_only=True)
class Error:
    """A sample with a wrong class. ``sample`` is its file, or its place in the test split."""

    sample: str
    truth: str
    predicted: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The samples with a confidence above ``low`` and at most ``high``; all numbers but ``samples`` are from 0 to 1."""

    low: float
    high: float
    samples: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The findings on C classes.

    Attributes:
        labels: the names of the classes.
        confusion: (C, C), how many samples of the class of the row got the class of the column.
        errors: the samples with a wrong class, the one with the highest confidence first.
        bins: the bins that hold samples, by rising confidence. Confidence is the highest probability of a sample.
        ece: the expected calibration error, from 0 to 1: the mean distance of accuracy and confidence over the bins,
            weighted by their samples.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    errors: tuple[Error, ...]
    bins: tuple[Bin, ...]
    ece: float

    @property
    def samples(self) -> list[int]:
        """The number of samples of each class."""
        return [int(count) for count in self.confusion.sum(axis=1)]

    @property
    def accuracies(self) -> list[float | None]:
        """The fraction of each class's samples that is right; None for a class without samples."""
        right = self.confusion.diagonal().tolist()
        return [hits / count if count else None for hits, count in zip(right, self.samples, strict=True)]

    def mistaken(self) -> list[tuple[int, int, int]]:
        """True class, predicted class and number of samples of every confusion that occurs, the most frequent first."""
        found = [(int(a), int(b), int(self.confusion[a, b])) for a, b in np.argwhere(self.confusion) if a != b]
        return sorted(found, key=lambda one: -one[2])


def findings(logits: Logits) -> Findings:
    """The findings of the run that has these logits."""
    labels = tuple(logits.labels.tolist())
    classes = len(labels)
    truth, predicted = logits.truth.astype(np.int64), logits.classes[:, 0].astype(np.int64)
    confidence = np.exp(logits.log_probabilities[:, 0].astype(np.float64))
    confusion = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
    wrong = np.flatnonzero(truth != predicted)
    errors = tuple(
        Error(
            sample=str(logits.files[i]) if len(logits.files) else str(i),
            truth=labels[truth[i]],
            predicted=labels[predicted[i]],
            confidence=float(confidence[i]),
        )
        for i in wrong[np.argsort(-confidence[wrong], kind="stable")].tolist()
    )
    bins = calibration(confidence, truth == predicted)
    ece = sum(one.samples * abs(one.accuracy - one.confidence) for one in bins) / len(truth)
    return Findings(labels=labels, confusion=confusion, errors=errors, bins=bins, ece=ece)


def calibration(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Put samples into BINS bins of equal width by their confidence; bins without samples are left out."""
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    found = []
    for number in np.unique(place).tolist():
        inside = place == number
        means = {"confidence": float(confidence[inside].mean()), "accuracy": float(right[inside].mean())}
        found.append(Bin(low=number / BINS, high=(number + 1) / BINS, samples=int(inside.sum()), **means))
    return tuple(found)
