"""The logits that a run keeps: what is kept of many classes, and files that are missing, damaged or of another run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.files import sealed
from benchmarks.records import logits
from benchmarks.training.evaluate import Highest
from methods.errors import UserError

CLASSES = list("0123456789")
FILES = [f"mine/test/cat/{number}.jpg" for number in range(6)]


def written(path: Path, values: torch.Tensor, truth: list[int], count: int) -> logits.Logits:
    highest = Highest(count)
    for batch in values.split(4):
        highest.add(batch)
    labels = [f"class {number}" for number in range(values.shape[1])]
    logits.write(path, highest.parts, truth, files=FILES, labels=labels)
    accuracy = int((values.argmax(1) == torch.tensor(truth)).sum()) / len(truth)
    return logits.read(path, {"test": accuracy, "test_samples": len(truth)})


def test_what_is_written_is_read(tmp_path):
    values, truth = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)) * 5, [0, 8, 2, 3, 3, 1]
    found = written(tmp_path / "run.npz", values, truth, 9)
    order = np.argsort(-values.numpy(), axis=1)
    assert (found.classes == order).all() and found.truth.tolist() == truth and found.files.tolist() == FILES
    assert found.labels.tolist() == [f"class {number}" for number in range(9)]
    expected = np.take_along_axis(values.double().log_softmax(1).numpy(), order, axis=1)
    np.testing.assert_allclose(found.log_probabilities.astype(float), expected, rtol=1e-3, atol=1e-6)
    assert found.hits == int((values.argmax(1) == torch.tensor(truth)).sum())


def test_equal_logits_and_logits_that_float16_cannot_tell_apart_keep_the_predicted_class(tmp_path):
    values = torch.tensor([[7.0, 7.0, 1.0], [0.0, 0.0, 0.0], [50.0, 50.00001, 0.0], [-torch.inf, 1.0, 1.00001]])
    values = torch.cat([values, torch.tensor([[1e5, -1e5, 2e5], [0.0, 1e6, 0.0]])])
    found = written(tmp_path / "run.npz", values, [0] * 6, 3)
    assert found.classes[:, 0].tolist() == values.argmax(dim=1).tolist() == [0, 0, 1, 2, 2, 1]
    assert (np.exp(found.log_probabilities[:, 0].astype(float)) > 0.3).all()


@pytest.mark.parametrize(
    ("samples", "classes", "count"),
    [(1000, 10, 10), (1000, 1000, 131), (10_000, 100, 13), (50_000, 1000, 5), (9, 2, 2)],
)
def test_many_samples_keep_fewer_of_many_classes(samples, classes, count):
    assert logits.kept(samples, classes) == count


def test_logits_of_a_thousand_samples_are_a_few_kilobytes(tmp_path):
    written(tmp_path / "run.npz", torch.randn(6, 10), [0] * 6, 10)
    highest = Highest(10)
    highest.add(torch.randn(1000, 10))
    logits.write(tmp_path / "many.npz", highest.parts, torch.zeros(1000), files=FILES * 166, labels=CLASSES)
    assert (tmp_path / "many.npz").stat().st_size < 32_000


@pytest.mark.parametrize("damage", ["cut", "changed", "renamed", "text", "pickle"])
def test_a_damaged_file_is_one_line_that_names_it(damage, tmp_path):
    path = tmp_path / "run.npz"
    written(path, torch.randn(6, 3), [0] * 6, 3)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "changed":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "renamed":
        path = path.rename(tmp_path / "other.npz")
    elif damage == "text":
        sealed.write(path, [b"no zip"])
    else:
        np.savez(tmp_path / "objects.npz", classes=np.array([{}], dtype=object))
        sealed.write(path, [(tmp_path / "objects.npz").read_bytes()])
    with pytest.raises(UserError) as error:
        logits.read(path, {"test": 0.5, "test_samples": 6})
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
