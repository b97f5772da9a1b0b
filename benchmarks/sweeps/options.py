"""The options that the verbs that train share, in four groups. ``arguments`` reads what a person gave."""

import argparse
from pathlib import Path

from benchmarks.cli import Arguments, add_data_root

HELP = {
    "methods": "methods to compare, or all",
    "backbone": "backbone, as NAME or NAME@FILE; at most one per modality (default: those of the suite)",
    "config": "YAML file with any of methods, suite, tasks, backbone, seeds, set, recipe and recipes; "
    "options on the command line override it",
    "set": "options of methods, such as lora.rank=16; a list such as lora.rank=[4,8] runs each value",
    "recipe": "changes to the suite's training recipe, such as epochs=20; a list runs each value",
    "compile": "compile the training steps; `python -m benchmarks.speed --compile` measures when that pays off",
    "device": "auto, cpu, cuda or cuda:N; `auto` uses CUDA if there is a GPU (default: auto)",
    "dtype": "precision of matrix products; `auto` picks the faster one for this backbone and device (default)",
    "executor": "local: this machine; ray, slurm: a cluster (default: local)",
    "address": "address of a Ray cluster, or auto (default: start one on this machine)",
    "cpus-per-run": "CPU cores and threads per run on a cluster (default: 1)",
    "gpus-per-run": "GPUs per run on a cluster; Ray accepts fractions (default: 1 with CUDA, else 0)",
    "resources": "other needs of each run: Ray's resources (memory=4e9) or Slurm's options (partition=gpu "
    "timeout_min=60)",
}


def groups(parser: argparse.ArgumentParser) -> tuple[Arguments, Arguments, Arguments, Arguments]:
    """Add the four groups of options of a verb that trains."""
    titles = ("what to run", "how to train", "where to run", "what to record")
    what, how, where, record = map(parser.add_argument_group, titles)
    return what, how, where, record


def add_sweep(what: Arguments, how: Arguments, *, methods: str = "adapterx lora", suite: str = "offline") -> None:
    """Add the options that ``sweep`` reads, except the seeds. ``methods`` and ``suite`` tell the verb's defaults."""
    what.add_argument("--methods", nargs="+", metavar="NAME", help=f"{HELP['methods']} (default: {methods})")
    what.add_argument("--suite", metavar="NAME", help=f"suite that has the tasks (default: {suite})")
    what.add_argument("--tasks", nargs="+", metavar="NAME", help="tasks of the suite (default: all)")
    what.add_argument("--backbone", nargs="+", metavar="NAME", help=HELP["backbone"])
    add_data_root(what)
    what.add_argument("--config", type=Path, metavar="FILE", help=HELP["config"])
    how.add_argument("--set", nargs="+", default=[], metavar="METHOD.OPTION=VALUE", help=HELP["set"])
    how.add_argument("--recipe", nargs="+", default=[], metavar="FIELD=VALUE", help=HELP["recipe"])
    how.add_argument("--compile", action="store_true", help=HELP["compile"])


def add_device(where: Arguments) -> None:
    """Add ``--device``, which ``device`` and ``place`` read."""
    where.add_argument("--device", default="auto", metavar="NAME", help=HELP["device"])


def add_dtype(how: Arguments) -> None:
    """Add ``--dtype``, which ``dtype`` reads."""
    how.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help=HELP["dtype"])


def add_workers(where: Arguments, jobs: str) -> None:
    """Add ``--workers``, which ``workers`` and ``place`` read. ``jobs`` names what runs side by side."""
    default = "one per GPU, or one per CPU core up to 4"
    where.add_argument("--workers", type=int, metavar="N", help=f"number of {jobs} side by side (default: {default})")


def add_executor(where: Arguments) -> None:
    """Add the options about executors, which ``place`` reads."""
    where.add_argument("--executor", choices=("local", "ray", "slurm"), default="local", help=HELP["executor"])
    where.add_argument("--address", metavar="ADDRESS", help=HELP["address"])
    where.add_argument("--cpus-per-run", type=int, metavar="N", help=HELP["cpus-per-run"])
    where.add_argument("--gpus-per-run", type=float, metavar="N", help=HELP["gpus-per-run"])
    where.add_argument("--resources", nargs="+", default=[], metavar="NAME=VALUE", help=HELP["resources"])
