"""A recorded run is trained again, and its new numbers are compared with the recorded ones."""

import json
import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy import stats

from benchmarks import backbones, suites
from benchmarks.executors.place import ignore
from benchmarks.records.spec import Result, Spec
from benchmarks.tables.statistics import FEWEST_SEEDS, TAILS, half_width
from benchmarks.training.run import run
from methods.errors import check

Record = Mapping[str, Any]
Verdict = Literal["equal", "within", "off"]


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A recorded run and its repetition. Accuracies are fractions from 0 to 1.

    Attributes:
        spec: the run.
        recorded, again: the two test accuracies.
        allowed: how far two runs of this kind lie apart by chance, with 95 % probability.
        equal: whether accuracies, history and parameter counts are equal to the bit.
    """

    spec: Spec
    recorded: float
    again: float
    allowed: float
    equal: bool

    @property
    def verdict(self) -> Verdict:
        """Equal to the bit, within what seeds spread, or off."""
        if self.equal:
            return "equal"
        return "within" if abs(self.again - self.recorded) <= self.allowed else "off"


def sample(records: Sequence[Record], count: int, seed: int) -> list[Record]:
    """Draw some records, each once.

    Raises:
        UserError: there are fewer records than that.
    """
    check(1 <= count <= len(records), f"--sample {count} must be from 1 to {len(records)}, the number of records")
    return random.Random(seed).sample(list(records), count)


def cheapest(records: Sequence[Record]) -> list[Record]:
    """The record of every method that trained for the shortest time, in the order of the methods' names."""
    found: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: record["cost"]["train_seconds"]):
        found.setdefault(record["spec"]["method"], record)
    return [found[name] for name in sorted(found)]


def spreads(records: Sequence[Record]) -> dict[str, float]:
    """By the key of each record, how far two runs of its kind lie apart by chance, as a fraction.

    Runs of a kind differ in the seed alone. With two seeds or more this is Student's t times the deviation of a
    difference of two runs; with one it is the normal interval of a difference of two shares of the test samples.
    """
    kinds = defaultdict[str, list[Record]](list)
    for record in records:
        kinds[_kind(record)].append(record)
    return {record["key"]: _spread(members) for members in kinds.values() for record in members}


def repeat(record: Record, allowed: float, folder: Path) -> Repeat:
    """Train a recorded run once more, on the CPU with the threads of the record; its files go below ``folder``.

    Raises:
        UserError: the data, the weights or the method's options are not those of the record.
    """
    spec, before = Spec.from_json(record["spec"]), torch.get_num_threads()
    _check_inputs(spec)
    torch.set_num_threads(record["environment"].get("threads") or before)
    try:
        result = run(spec, folder, torch.device("cpu"), ignore)
    finally:
        torch.set_num_threads(before)
    recorded, again = record["accuracy"]["test"], result.accuracy["test"]
    equal = _decided(record) == _decided(_as_record(result))
    return Repeat(spec=spec, recorded=recorded, again=again, allowed=allowed, equal=equal)


def _kind(record: Record) -> str:
    """What runs of a kind have in common. A suite may draw the data anew for every seed."""
    return json.dumps(
        {k: v for k, v in record["spec"].items() if k not in ("seed", "data_fingerprint")}, sort_keys=True
    )


def _spread(members: Sequence[Record]) -> float:
    accuracies = np.array([record["accuracy"]["test"] for record in members])
    if len(members) >= FEWEST_SEEDS:
        deviation = accuracies.std(ddof=1) * math.sqrt(2)
        return float(half_width(np.array(deviation), np.array(len(members) - 1)))
    share, samples = accuracies[0], members[0]["accuracy"]["test_samples"]
    return float(stats.norm.ppf(TAILS[1]) * math.sqrt(2 * share * (1 - share) / samples))


def _check_inputs(spec: Spec) -> None:
    """Check that a repetition would read what the recorded run read."""
    weights = backbones.source(spec.backbone.name).sha256
    check(
        weights == spec.backbone.sha256, f"{spec}: the weights of {spec.backbone.name} here are not those of the record"
    )
    suite = suites.get(spec.suite)
    same = suite.version == spec.suite_version
    check(same, f"{spec}: suite {suite.name} has version {suite.version} here, and {spec.suite_version} in the record")
    data = suite.of_seed(spec.seed).fingerprint(spec.task)
    check(data == spec.data_fingerprint, f"{spec}: the data of {spec.task} here are not those of the record")


def _as_record(result: Result) -> Record:
    return json.loads(json.dumps(result.to_json()))  # type: ignore[no-any-return]


def _decided(record: Record) -> tuple[Any, ...]:
    """What two executions of one spec have in common. The size of the task file depends on its metadata as well."""
    counts = {name: count for name, count in record["params"].items() if name != "task_file_bytes"}
    return record["accuracy"], record["history"], counts
