"""The suite of the committed short runs: ``digits`` and ``solids`` of the offline suite, with fewer samples.

    python -m tests.support.quick_suite

makes a record in tests/quick for every method that has none.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import run, suites
from benchmarks.files.contents import digest
from benchmarks.suites import offline

FOLDER = Path(__file__).parents[1] / "quick"
SIZES = (64, 16, 200)  # train, val and test
TASKS = {name: offline.SUITE.tasks[name] for name in ("digits", "solids")}


def load(task, split, *, frame):
    return tuple(map(torch.from_numpy, offline.arrays(task, SIZES)[split]))


SUITE = replace(
    offline.SUITE,
    name="quick",
    tasks={name: replace(task, **dict(zip(offline.SPLITS, SIZES, strict=True))) for name, task in TASKS.items()},
    load=load,
    fingerprint=lambda task: digest(offline.arrays(task, SIZES)),
    version=1,
)
ENTRY = {"quick": "tests.support.quick_suite:SUITE"}


def main():
    suites.SUITES.update(ENTRY)
    for config in ("images", "points"):
        argv = ["--config", str(FOLDER / f"{config}.yaml"), "--results", str(FOLDER)]
        if status := run.main([*argv, "--workers", "1", "--tracking", "off"]):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
