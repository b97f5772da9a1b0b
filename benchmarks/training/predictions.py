"""The classes that a trained model sees in files: photos of any size, or clouds in HDF5 files."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import backbones, suites
from benchmarks.cli import warn
from benchmarks.files import clouds, layouts, places
from benchmarks.files.contents import each
from benchmarks.files.coordinates import in_unit_sphere, single
from benchmarks.files.farthest import farthest_first
from benchmarks.files.frames import Frame
from benchmarks.files.pictures import decode, without_warnings
from benchmarks.records.spec import Spec
from benchmarks.tables.formats import for_csv
from benchmarks.training import task_files
from methods.errors import check

BATCH = 32
DIGITS = 6  # of a probability
CLOUDS = (".h5", ".hdf5")
Batches = Iterator[tuple[Sequence[str], Tensor]]  # the names of samples, and the samples


@dataclass(frozen=True)
class Likely:
    """A class and its probability, from 0 to 1."""

    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of a file, or of a cloud of a file: FILE:NUMBER. The first is the most probable."""

    file: str
    classes: tuple[Likely, ...]

    def __str__(self) -> str:
        return f"{self.file}: " + ", ".join(f"{one.name} {one.probability:.1%}" for one in self.classes)


def predict(task_file: Path, given: Sequence[Path], topk: int | None, device: torch.device) -> list[Prediction]:
    """The ``topk`` most probable classes (default: five, or all if there are fewer) of files and of those in folders.

    Raises:
        UserError: the task file, a file or the number cannot be used; the message says why.
    """
    spec, _ = task_files.read(task_file)
    check(
        spec.kind == "classification",
        f"{spec} has a label for every point, and this verb tells one class per file; use predict of load_model",
    )
    most = min(5, spec.classes) if topk is None else topk
    check(most <= spec.classes, f"--topk {topk} must be from 1 to {spec.classes}, the number of classes")
    frame = spec.backbone.frame
    paths = places.expand(given, layouts.ENDINGS, layouts.UNREAD) if frame else places.expand(given, CLOUDS)
    classifier = task_files.load(task_file).to(device)
    names = classifier.labels or tuple(map(str, range(spec.classes)))
    if classifier.labels is None:
        warn(f"{task_file} was written before names of classes were kept; classes are named by their numbers")
    batches = _photos(paths, frame) if frame else _clouds(paths, spec)
    return [found for files, x in batches for found in _named(files, classifier.probabilities(x), names, most)]


def _named(files: Sequence[str], probabilities: Tensor, names: Sequence[str], most: int) -> Iterator[Prediction]:
    values, places = probabilities.topk(most)
    for file, row, order in zip(files, values.tolist(), places.tolist(), strict=True):
        likely = (Likely(names[place], round(value, DIGITS)) for value, place in zip(row, order, strict=True))
        yield Prediction(file, tuple(likely))


def _photos(paths: Sequence[Path], frame: Frame) -> Batches:
    with without_warnings():
        squares = zip(paths, each(partial(decode, frame=frame), paths, "predict"), strict=True)
        while batch := list(islice(squares, BATCH)):
            pixels = torch.frombuffer(bytearray(b"".join(square for _, square in batch)), dtype=torch.uint8)
            yield [str(path) for path, _ in batch], pixels.view(-1, 3, frame.size, frame.size)


def _clouds(paths: Sequence[Path], spec: Spec) -> Batches:
    """Clouds as the run's test read them."""
    scaled, farthest = suites.seen_clouds(spec.suite)
    fewest = max(backbones.fewest_points(spec.backbone.name), farthest or 0)
    read = partial(clouds.read_points, cast=in_unit_sphere if scaled else single)
    for path, points in zip(paths, each(read, paths, "predict"), strict=True):
        few = f"{path} has clouds of {points.shape[1]} points, but {spec.backbone.name} needs {fewest} or more"
        check(points.shape[1] >= fewest, few)
        seen = farthest_first(points, farthest)[:, :farthest] if farthest else points
        files = [f"{path}:{number}" for number in range(len(points))]
        for start in range(0, len(points), BATCH):
            part = slice(start, start + BATCH)
            yield files[part], torch.from_numpy(seen[part])


def to_csv(found: Iterable[Prediction]) -> str:
    """One row per file and class, the most probable first. No text can be a formula of a spreadsheet."""
    content = io.StringIO()
    rows = csv.writer(content, lineterminator="\n")
    rows.writerow(("file", "rank", "class", "probability"))
    for one in found:
        for rank, likely in enumerate(one.classes, 1):
            rows.writerow((for_csv(one.file), rank, for_csv(likely.name), f"{likely.probability:.{DIGITS}f}"))
    return content.getvalue()


def to_json(found: Iterable[Prediction]) -> str:
    """A list with one object per file: its name, and its classes with their probabilities."""
    return json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False) + "\n"


WRITERS = {".csv": to_csv, ".json": to_json}
