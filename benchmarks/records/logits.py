"""What a run said of every test sample, kept beside its record in float16: some 25 kB for 1,000 samples of 10 classes.

Shapes: N samples, K kept classes per sample.
"""

from __future__ import annotations

import io
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.files import sealed
from benchmarks.files.places import check_plain
from benchmarks.records.command import command
from benchmarks.records.spec import stem_of
from methods.errors import UserError, check

FOLDER, ENDING = "logits", ".npz"
MOST = 2**17  # numbers per file, if each sample keeps FEWEST or more
FEWEST = 5  # classes that each sample keeps at least, if there are so many
LARGEST = 2**26  # bytes of a file


@dataclass(frozen=True, kw_only=True)
class Logits:
    """The classes of every test sample in falling order of their logits.

    Attributes:
        classes: (N, K), the K classes with the highest logits, the predicted class first.
        log_probabilities: (N, K), float16, of these classes. They are the logits up to a constant per sample.
        truth: (N,), the true classes.
        files: the names of the N samples, below the data root; empty if the samples are not files.
        labels: the names of the classes.
    """

    classes: NDArray[Any]
    log_probabilities: NDArray[np.float16]
    truth: NDArray[Any]
    files: NDArray[np.str_]
    labels: NDArray[np.str_]

    @property
    def hits(self) -> int:
        """The number of samples whose class is predicted."""
        return int((self.classes[:, 0] == self.truth).sum())


def kept(samples: int, classes: int) -> int:
    """The number of classes that each sample keeps: all, but for sets of many samples and classes."""
    return min(classes, max(FEWEST, MOST // samples))


def path_of(results: Path, stem: str) -> Path:
    """The file with the logits of a run, from the stem of its spec."""
    return results / FOLDER / f"{stem}{ENDING}"


def write(
    path: Path,
    parts: Sequence[tuple[ArrayLike, ArrayLike]],
    truth: ArrayLike,
    *,
    files: Sequence[str],
    labels: Sequence[str],
) -> None:
    """Write the logits of a run, whole or not at all. ``parts`` are classes and log-probabilities, batch by batch.

    Raises:
        WriteError: the system refused.
    """
    classes, values = (np.concatenate([np.asarray(part) for part in column]) for column in zip(*parts, strict=True))
    small = np.uint8 if len(labels) <= 256 else np.int32
    content = io.BytesIO()
    np.savez_compressed(
        content,
        classes=classes.astype(small),
        log_probabilities=values.astype(np.float16),
        truth=np.asarray(truth).astype(small),
        files=np.array(files, dtype=np.str_),
        labels=np.array(labels, dtype=np.str_),
    )
    sealed.write(path, [content.getvalue()])


def find(results: Path, record: Mapping[str, Any]) -> Logits:
    """The logits of the run that a record is of.

    Raises:
        UserError: there are none, their file is damaged, or they are not those of this record.
    """
    kind, path = record["spec"].get("kind", "classification"), path_of(results, stem_of(record["spec"], record["key"]))
    check(kind == "classification", f"a run of {kind} keeps no logits of its points, so there is nothing to tell")
    try:
        why = "runs of earlier versions kept none, and they are not sent along with records"
        check(path.exists(), f"this run has no logits: there is no {path}; {why}")
        return read(path, record["accuracy"])
    except UserError as error:
        where = shlex.quote(str(results))
        raise UserError(f"{error}; train it again: {command(record['spec'])} --force --results {where}") from None


def read(path: Path, accuracy: Mapping[str, Any]) -> Logits:
    """What ``write`` wrote for the run whose record has this ``accuracy``.

    Raises:
        UserError: the file is damaged, or its accuracy is not that of the record.
    """
    check(check_plain(path).st_size <= LARGEST, f"{path} has more than {LARGEST} bytes, and no such file has")
    content = sealed.read(path)
    check(content is not None, f"{path} is damaged")
    try:
        with np.load(io.BytesIO(content or b""), allow_pickle=False) as arrays:
            found = Logits(**arrays)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} holds no logits: {' '.join(str(error).split())}") from None
    same = len(found.truth) == accuracy["test_samples"] and found.hits / len(found.truth) == accuracy["test"]
    check(same, f"{path}: its accuracy is not that of the record, {accuracy['test']}")
    return found
