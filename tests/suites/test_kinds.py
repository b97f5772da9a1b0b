"""The numbers by which tasks are judged, beside loops that follow their protocols word by word."""

import numpy as np
import pytest
import torch

from benchmarks.suites.kinds import CLASSIFICATION, Segmentation

PARTS = (4, 2, 3)  # of three categories: parts 0 to 3, 4 and 5, 6 to 8
KIND = Segmentation(PARTS)
NUMBERS = [list(range(0, 4)), [4, 5], [6, 7, 8]]


def made(count, points=60, seed=0, sure=1.5):
    """Labels of random shapes, some without a part of their category, and logits that lean towards them."""
    rng = np.random.default_rng(seed)
    categories = rng.integers(0, 3, count)
    y = np.stack([rng.choice(NUMBERS[c][: rng.integers(1, len(NUMBERS[c]) + 1)], points) for c in categories])
    logits = rng.normal(size=(count, 9, points)) + sure * (np.arange(9)[:, None] == y[:, None])
    return torch.from_numpy(logits).float(), torch.from_numpy(y), categories


def by_the_protocol(logits, y):
    """Instance and class mIoU, shape by shape and part by part, as PointNet's part segmentation is judged."""
    shapes = {category: [] for category in range(3)}
    for scores, truth in zip(logits.numpy(), y.numpy(), strict=True):
        category = next(c for c, parts in enumerate(NUMBERS) if truth[0] in parts)
        guess = np.array([max(NUMBERS[category], key=lambda part: point[part]) for point in scores.T])
        ious = []
        for part in NUMBERS[category]:
            both = sum(1 for a, b in zip(truth, guess, strict=True) if a == part == b)
            either = sum(1 for a, b in zip(truth, guess, strict=True) if part in (a, b))
            ious.append(both / either if either else 1.0)
        shapes[category].append(sum(ious) / len(ious))
    flat = [iou for ious in shapes.values() for iou in ious]
    means = [sum(ious) / len(ious) for ious in shapes.values() if ious]
    return {"instance mIoU": sum(flat) / len(flat), "class mIoU": sum(means) / len(means)}


@pytest.mark.parametrize("sure", [0.0, 1.5, 100.0])
def test_iou_is_that_of_the_protocol(sure):
    logits, y, _ = made(40, sure=sure)
    found = KIND.scores(KIND.judge(logits, y), y)
    assert found == pytest.approx(by_the_protocol(logits, y), abs=1e-12)
    assert (found["instance mIoU"] == 1) == (sure == 100)
    assert abs(found["instance mIoU"] - found["class mIoU"]) > 1e-3 or sure == 100


def test_categories_are_those_of_the_parts():
    _, y, categories = made(40)
    assert KIND.categories(y).tolist() == categories.tolist()
    assert KIND.categories(torch.arange(9)[:, None]).tolist() == [0] * 4 + [1] * 2 + [2] * 3


def test_only_parts_of_the_category_are_predicted():
    logits, _, _ = made(30, sure=0)
    categories = torch.arange(30) % 3
    found = KIND.predicted(logits, categories)
    for category, parts in enumerate(NUMBERS):
        assert set(found[categories == category].unique().tolist()) == set(parts)
        inside = logits[categories == category][:, parts].argmax(1) + parts[0]
        assert torch.equal(found[categories == category], inside)


def test_a_category_that_does_not_occur_is_left_out_of_the_mean():
    logits, y, categories = made(40)
    kept = torch.from_numpy(categories != 1)
    assert KIND.scores(KIND.judge(logits[kept], y[kept]), y[kept]) == pytest.approx(
        by_the_protocol(logits[kept], y[kept])
    )


def test_an_absent_part_counts_as_one_only_if_it_is_not_predicted():
    y = torch.full((2, 10), 4)  # category 1 without its part 5
    logits = torch.zeros(2, 9, 10)
    logits[:, 4] = 1
    logits[1, 5, 0] = 2  # one point of the second shape
    assert KIND.judge(logits, y).tolist() == pytest.approx([1.0, (9 / 10 + 0) / 2])


def test_accuracy_is_the_fraction_of_hits():
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    y = torch.tensor([1, 0, 0])
    judged = CLASSIFICATION.judge(logits, y)
    assert judged.tolist() == [True, True, False]
    assert CLASSIFICATION.scores(judged, y) == {"accuracy": 2 / 3}
