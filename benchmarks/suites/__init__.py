"""Suites of tasks by name. A ``Suite`` says everything about itself; no other module knows a suite's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.cli import warn
from benchmarks.files.root import data_root
from benchmarks.suites.kinds import CLASSIFICATION, Kind
from methods.errors import UserError, check, unknown

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.files.fetch import Archive
    from benchmarks.files.frames import Frame
    from benchmarks.published import Panel
    from methods.modality import Modality

SUITES = {
    "offline": "benchmarks.suites.offline:SUITE",
    "vtab1k": "benchmarks.suites.vtab1k:SUITE",
    "fewshot": "benchmarks.suites.fewshot:SUITE",
    "fgvc": "benchmarks.suites.fgvc:SUITE",
    "scanobjectnn": "benchmarks.suites.scanobjectnn:SUITE",
    "modelnet40": "benchmarks.suites.modelnet40:SUITE",
    "imagenet_dg": "benchmarks.suites.imagenet_dg:SUITE",
    "shapenetpart": "benchmarks.suites.shapenetpart:SUITE",
}
FOLDER = "folder"  # the suite of a person's own files below the data root; its tasks are known when it is asked for
ENTRY_POINT_GROUP = "peft_bench.suites"


class Load(Protocol):
    """How a suite hands out data.

    ``split`` is "train", "val" or one of the task's ``tests``. Images are uint8 (N, 3, H, W): a suite that decodes
    files makes them squares as ``frame`` says, one that draws them keeps its own size. Points are float32
    (N, P, 3), labels int64 (N,). A task with a label for every point has points (N, P, 4), whose last number is the
    cloud's category, and labels (N, P).
    Tensors may be mapped from files, so read them in parts and do not write to them.
    """

    def __call__(self, task: str, split: str, *, frame: Frame | None) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task; ``train``, ``val`` and ``test`` count its samples.

    ``kind`` says what is predicted and how models are judged; ``labels`` are the classes, or the parts of shapes.
    ``tests`` names the test sets; one training is tested on all. The first is "test", whose number is that of the task.
    ``lacking`` counts the training samples that one published copy of the data lacks. ``points`` counts the points of
    the smallest cloud; 0 if that is not known. ``shots`` counts the training samples per class of a few-shot task; 0
    for other tasks.
    """

    name: str
    modality: Modality
    labels: tuple[str, ...]
    group: str
    train: int
    val: int
    test: int
    source: str
    licence: str
    lacking: int = 0
    points: int = 0
    shots: int = 0
    kind: Kind = CLASSIFICATION
    tests: tuple[str, ...] = ("test",)

    def __post_init__(self) -> None:
        one = "a model that has one class to choose from is always right"
        check(len(self.labels) > 1, f"task '{self.name}' has {len(self.labels)} classes; give two or more: {one}")

    @property
    def classes(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks that are compared together, and all that the harness has to know about them.

    Attributes:
        recipes: for each modality, the fields of a Recipe that differ from its defaults.
        group_recipes: for a group of tasks, the fields that differ from those of its modality.
        backbones: for each modality, the default backbone.
        load: hands out the data.
        files: the names of the samples of a task's split below the data root, in the order of ``load``; empty where
            samples are no files. None for a suite without files.
        pool: hands out clouds with all the points that their files have, from which the recipe's ``resample`` draws;
            None if ``load`` does so.
        unit_sphere: whether models see every cloud centred and scaled to the unit sphere.
        farthest: the number of a cloud's points that models see, the farthest first; None for all of them.
        fingerprint: a digest of all samples and labels of a task; raises Missing where its files are not there.
        obtain: where the files come from: an archive that is fetched; or a text that tells a person where to get them,
            in which {root} stands for the data root; or None for a suite that needs no files.
        facts: lines on a task's data that are told beside its check, though nothing need be wrong; None for none.
        faults: what is wrong with a task's files, one line per fault; None to check what ``load`` returns.
        convert: makes files that load fast out of the published ones, and returns the paths that it wrote.
        published: CSV files with numbers of papers, as ``benchmarks.published`` reads them. Rows of other suites in
            these files are ignored.
        notes: by task, one line that a person should read before a run on it.
        panel: what its panel shows in the figure of published and own numbers; None if it has no panel.
        version: part of every record. It grows when data or recipe change so that numbers are no longer comparable.
        by_seed: the same suite with the data of a run's seed, where training samples are drawn anew for every seed;
            ``load`` and ``fingerprint`` of this suite itself are those of seed 0. None if all seeds have the same data.
    """

    name: str
    tasks: Mapping[str, Task]
    recipes: Mapping[Modality, Mapping[str, object]]
    backbones: Mapping[Modality, str]
    load: Load
    fingerprint: Callable[[str], str]
    files: Callable[[str, str], list[str]] | None = None
    group_recipes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    pool: Load | None = None
    unit_sphere: bool = False
    farthest: int | None = None
    obtain: Archive | str | None = None
    facts: Callable[[str], list[str]] | None = None
    faults: Callable[[str], list[str]] | None = None
    convert: Callable[[], list[Path]] | None = None
    published: tuple[Path, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    panel: Panel | None = None
    version: int = 1
    by_seed: Callable[[int], Suite] | None = None

    def data_seed(self, seed: int) -> int:
        """What the data of a run depend on: its seed, or 0 where all seeds have the same data."""
        return 0 if self.by_seed is None else seed

    def of_seed(self, seed: int) -> Suite:
        """This suite with the data of a run's seed."""
        return self if self.by_seed is None else self.by_seed(seed)

    def recipe(self, task: str) -> dict[str, object]:
        """The fields of a Recipe that differ from its defaults for a task."""
        known = self.tasks[task]
        return {**self.recipes[known.modality], **self.group_recipes.get(known.group, {})}


def table() -> dict[str, str]:
    """SUITES joined by the suites of installed packages; a built-in name cannot be replaced.

    Raises:
        UserError: a package registers a name that is taken.
    """
    joined = dict(SUITES)
    for entry in installed():
        taken = "the suite of your own files" if entry.name == FOLDER else joined.get(entry.name, entry.value)
        check(taken == entry.value, f"suite '{entry.name}' of {entry.value} is already {taken}; rename it")
        joined[entry.name] = entry.value
    return joined


@cache
def installed() -> EntryPoints:
    """What installed packages register; looked for once."""
    return entry_points(group=ENTRY_POINT_GROUP)


def names() -> list[str]:
    """The names of all suites: built in, of installed packages, and the one of a person's own files."""
    return [*table(), FOLDER]


def get(name: str) -> Suite:
    """A suite by its name; the suite of a person's own files also by the name of the data root.

    Raises:
        UserError: the name is not known, or a package's entry point does not lead to a suite of this name.
    """
    known = table()
    if _is_own(name, known):
        from benchmarks.suites import folder

        return folder.suite(data_root())
    if name not in known:
        hint = "your own files are a suite by the name of their folder: --data-root DIR"
        raise UserError(f"{unknown('suite', name, names())}; {hint}")
    return _loaded(name, known[name])


def seen_clouds(name: str) -> tuple[bool, int | None]:
    """How models of a suite see a cloud: whether in the unit sphere, and how many of its points; None means all.

    The data of a person's own suite need not be here. Its clouds are always put into the unit sphere.
    """
    if name not in table():
        return True, None
    suite = get(name)
    return suite.unit_sphere, suite.farthest


def obtain(name: str) -> Archive | str | None:
    """How the files of a suite are obtained; of a person's own files also where there are none yet."""
    if _is_own(name, table()):
        from benchmarks.suites import folder

        return folder.OBTAIN
    return get(name).obtain


def listed() -> tuple[list[Suite], str | None]:
    """Every suite there is, and the reason if the data root holds none."""
    known = [get(name) for name in table()]
    try:
        return [*known, get(FOLDER)], None
    except UserError as error:
        return known, f"suite {FOLDER}: {error}"


def decode(asked: Iterable[tuple[str, str, int, Frame | None]], *, tests: bool) -> None:
    """Load every (suite, task, seed, frame) once, so that files are decoded into the cache before any run starts.

    With ``tests`` the test sets are loaded too.
    Damaged files are then found before the first run, and no run waits while another decodes. The notes of tasks are
    shown as warnings.
    """
    runs = list(asked)
    known = {name: get(name) for name in {suite for suite, _, _, _ in runs}}
    for suite, task in dict.fromkeys((suite, task) for suite, task, _, _ in runs):
        if task in known[suite].notes:
            warn(known[suite].notes[task])
    wanted = dict.fromkeys((suite, task, known[suite].data_seed(seed), frame) for suite, task, seed, frame in runs)
    for suite, task, seed, frame in wanted:
        for split in ("train", "val", *(known[suite].tasks[task].tests if tests else ())):
            known[suite].of_seed(seed).load(task, split, frame=frame)


def _is_own(name: str, known: Mapping[str, str]) -> bool:
    return name == FOLDER or (name not in known and name == data_root().name)


def _loaded(name: str, place: str) -> Suite:
    try:
        found = EntryPoint(name, place, ENTRY_POINT_GROUP).load()
    except (ImportError, AttributeError) as error:
        if name in SUITES:
            raise
        raise UserError(f"suite '{name}' cannot be loaded from {place}: {error}; install its package again") from error
    check(isinstance(found, Suite), f"suite '{name}': {place} is no Suite of benchmarks.suites but {found!r}")
    assert isinstance(found, Suite)
    check(found.name == name, f"suite '{name}': {place} has the name '{found.name}'; give it the entry point's name")
    return found
