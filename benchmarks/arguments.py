"""What the verbs that train take alike: which runs are asked for, and where they are computed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import add_data_root

if TYPE_CHECKING:
    import torch

    from benchmarks.sweep import Sweep


def add_sweep(p: argparse.ArgumentParser) -> None:
    """The options that ``sweep`` reads, but for the seeds."""
    p.add_argument("--methods", nargs="+", metavar="NAME", help="methods to compare, or 'all' (default: adapterx lora)")
    p.add_argument("--suite", metavar="NAME", help="suite of tasks (default: offline)")
    p.add_argument("--tasks", nargs="+", metavar="NAME", help="tasks of the suite (default: every one)")
    add_data_root(p)
    p.add_argument("--backbone", nargs="+", metavar="NAME", help="backbone of a modality, NAME or NAME@FILE")
    p.add_argument(
        "--set", nargs="+", default=[], metavar="METHOD.OPTION=VALUE", help="as in lora.rank=16; [4,8] sweeps"
    )
    p.add_argument("--recipe", nargs="+", default=[], metavar="FIELD=VALUE", help="as in epochs=20; [10,20] sweeps")
    p.add_argument("--config", type=Path, metavar="FILE", help="a YAML file with the fields above; options here win")


def add_device(p: argparse.ArgumentParser) -> None:
    """The options that ``device`` and ``dtype`` read."""
    p.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default: auto)")
    p.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="of the matrix products")


def sweep(args: argparse.Namespace) -> Sweep:
    """The sweep of a config file with the options of the command line over it.

    Raises:
        ValueError: an unreadable file, or an option that no sweep has.
    """
    from benchmarks import sweep as sweeps

    asked = sweeps.from_file(args.config) if args.config else sweeps.Sweep()
    names = ("methods", "suite", "tasks", "backbone", "seeds")
    given = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    options = sweeps.method_options(sweeps.assignments(args.set, "--set"))
    given["set"] = {m: sweeps.joined(asked.set.get(m, {}), options.get(m, {})) for m in [*asked.set, *options]}
    given["recipe"] = {**asked.recipe, **sweeps.assignments(args.recipe, "--recipe")}
    return sweeps.merged(asked, given, "command line")


def device(name: str) -> torch.device:
    """The device that ``--device`` names.

    Raises:
        ValueError: there is no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device '{name}'; known: auto, cpu, cuda, cuda:N") from None
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"device '{name}' is not supported; known: auto, cpu, cuda, cuda:N")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device '{name}' is not there: {torch.cuda.device_count()} CUDA devices found; use --device cpu"
        )
    return found


def dtype(name: str, device: torch.device) -> Any:
    """The name of the type of the matrix products; "auto" is what pays on the device."""
    from benchmarks.train import auto_dtype

    return str(auto_dtype(device)).removeprefix("torch.") if name == "auto" else name


def workers(asked: int | None, device: torch.device, runs: int) -> int:
    """How many runs go side by side: as asked, or what pays, and no more than there are runs.

    Raises:
        ValueError: fewer than one.
    """
    from benchmarks.workers import default

    if asked is not None and asked < 1:
        raise ValueError(f"--workers {asked} must be at least 1")
    return min(asked or default(device, runs), max(runs, 1))
