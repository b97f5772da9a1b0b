"""The options that the verbs that train share, in four groups. ``arguments`` reads what a person gave."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.cli import Arguments, add_data_root


def groups(parser: argparse.ArgumentParser) -> tuple[Arguments, Arguments, Arguments, Arguments]:
    """Add the four groups of options of a verb that trains."""
    what = parser.add_argument_group("what to run")
    how = parser.add_argument_group("how to train")
    where = parser.add_argument_group("where to run")
    return what, how, where, parser.add_argument_group("what to record")


def add_sweep(what: Arguments, how: Arguments) -> None:
    """Add the options that ``sweep`` reads, except the seeds."""
    what.add_argument(
        "--methods", nargs="+", metavar="NAME", help="methods to compare, or all (default: adapterx lora)"
    )
    what.add_argument("--suite", metavar="NAME", help="suite that has the tasks (default: offline)")
    what.add_argument("--tasks", nargs="+", metavar="NAME", help="tasks of the suite (default: all)")
    what.add_argument(
        "--backbone",
        nargs="+",
        metavar="NAME",
        help="backbone, as NAME or NAME@FILE; at most one per modality (default: those of the suite)",
    )
    add_data_root(what)
    what.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML file with any of methods, suite, tasks, backbone, seeds, set and recipe; "
        "options on the command line override it",
    )
    how.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="METHOD.OPTION=VALUE",
        help="options of methods, such as lora.rank=16; a list such as lora.rank=[4,8] runs each value",
    )
    how.add_argument(
        "--recipe",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="changes to the suite's training recipe, such as epochs=20; a list runs each value",
    )
    how.add_argument(
        "--compile",
        action="store_true",
        help="compile the training steps; `python -m benchmarks.speed --compile` measures when that pays off",
    )


def add_device(where: Arguments) -> None:
    """Add ``--device``, which ``device`` and ``place`` read."""
    where.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto, cpu, cuda or cuda:N; `auto` uses CUDA if there is a GPU (default: auto)",
    )


def add_dtype(how: Arguments) -> None:
    """Add ``--dtype``, which ``dtype`` reads."""
    how.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="precision of matrix products; `auto` picks the faster one for this backbone and device (default)",
    )


def add_workers(where: Arguments, jobs: str) -> None:
    """Add ``--workers``, which ``workers`` and ``place`` read. ``jobs`` names what runs side by side."""
    where.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"number of {jobs} side by side (default: one per GPU, or one per CPU core up to 4)",
    )


def add_executor(where: Arguments) -> None:
    """Add the options about executors, which ``place`` reads."""
    where.add_argument(
        "--executor",
        choices=("local", "ray", "slurm"),
        default="local",
        help="local: this machine; ray, slurm: a cluster (default: local)",
    )
    where.add_argument(
        "--address", metavar="ADDRESS", help="address of a Ray cluster, or auto (default: start one on this machine)"
    )
    where.add_argument(
        "--cpus-per-run", type=int, metavar="N", help="CPU cores and threads per run on a cluster (default: 1)"
    )
    where.add_argument(
        "--gpus-per-run",
        type=float,
        metavar="N",
        help="GPUs per run on a cluster; Ray accepts fractions (default: 1 with CUDA, else 0)",
    )
    where.add_argument(
        "--resources",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="other needs of each run: Ray's resources (memory=4e9) or Slurm's options (partition=gpu timeout_min=60)",
    )
