"""Validation samples that are held out of the training samples: how many, of which classes, and for which seed."""

import numpy as np
import pytest

from benchmarks.files.holdout import hold_out
from methods.errors import UserError


def test_a_tenth_of_every_class_is_held_out():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [400, 207, 35, 2]))
    train, val = hold_out(labels)
    assert len(val) == round(0.1 * len(labels)) == 64
    assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(len(labels)))
    counts = np.bincount(labels[val], minlength=4)
    assert (np.abs(counts - 0.1 * np.bincount(labels)) < 1).all()


@pytest.mark.parametrize("counts", [[1, 1, 1, 30], [2, 2, 2], [1], [1] * 20])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.95])
def test_every_class_keeps_a_sample_to_train_on(counts, fraction):
    labels = np.repeat(np.arange(len(counts)), counts)
    train, val = hold_out(labels, fraction=fraction)
    assert set(labels[train]) == set(labels) and len(train) + len(val) == len(labels)


@pytest.mark.parametrize(("fraction", "held"), [(0.1, (10, 3)), (0.25, (25, 6, 1)), (0.99, (99, 24, 2))])
def test_the_shares_of_classes_are_rounded_to_the_share_of_all(fraction, held):
    labels = np.repeat([0, 1, 2], [100, 25, 3])
    train, val = hold_out(labels, fraction=fraction)
    assert tuple(np.bincount(labels[val])) == held
    assert not set(train) & set(val) and len(train) + len(val) == len(labels)
    assert (np.diff(train) > 0).all() and (np.diff(val) > 0).all()


def test_the_draw_depends_on_the_seed_and_not_on_the_shape_of_labels():
    labels = np.repeat([0, 1], 50)
    first, again, column, other = (
        hold_out(y, seed=s)[1].tolist() for y, s in ((labels, 0), (labels, 0), (labels[:, None], 0), (labels, 1))
    )
    assert first == again == column != other


def test_a_fraction_of_one_is_refused():
    with pytest.raises(UserError, match=r"fraction=1\.0"):
        hold_out([0, 1], fraction=1.0)
