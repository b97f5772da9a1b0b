"""What the verbs that train take alike: which runs are asked for, and where they are computed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.cli import add_data_root
from methods.errors import UserError

if TYPE_CHECKING:
    import torch

    from benchmarks.executors.place import Place
    from benchmarks.records.spec import Dtype
    from benchmarks.sweeps.sweep import Dtypes, Sweep


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
    p.add_argument("--compile", action="store_true", help="compile training steps; `speed --compile` says when it pays")
    p.add_argument("--config", type=Path, metavar="FILE", help="a YAML file with the fields above; options here win")


def add_device(p: argparse.ArgumentParser) -> None:
    """The options that ``device`` and ``dtype`` read."""
    p.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default: auto)")
    add_dtype(p)


def add_dtype(p: argparse.ArgumentParser) -> None:
    """``--dtype`` alone."""
    p.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the matrix products (default: auto, what pays for the backbone on the device)",
    )


def sweep(args: argparse.Namespace) -> Sweep:
    """The sweep of a config file with the options of the command line over it.

    Raises:
        UserError: an unreadable file, or an option that no sweep has.
    """
    from benchmarks.sweeps import sweep as sweeps

    asked = sweeps.from_file(args.config) if args.config else sweeps.Sweep()
    names = ("methods", "suite", "tasks", "backbone", "seeds")
    given = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    options = sweeps.method_options(sweeps.assignments(args.set, "--set"))
    given["set"] = {m: sweeps.joined(asked.set.get(m, {}), options.get(m, {})) for m in [*asked.set, *options]}
    given["recipe"] = {**asked.recipe, **sweeps.assignments(args.recipe, "--recipe")}
    if args.compile:
        given["recipe"]["compile"] = True
    return sweeps.merged(asked, given, "command line")


def add_executor(p: argparse.ArgumentParser) -> None:
    """The options that ``where`` reads."""
    p.add_argument("--workers", type=int, metavar="N", help="runs at a time (default: up to 4 on a CPU, one a GPU)")
    p.add_argument("--executor", choices=("local", "ray", "slurm"), default="local", help="where runs happen")
    p.add_argument("--address", metavar="ADDRESS", help="of a Ray cluster, or auto (default: one is started here)")
    p.add_argument("--cpus-per-run", type=int, metavar="N", help="of a cluster, and threads of a run (default: 1)")
    p.add_argument("--gpus-per-run", type=float, metavar="N", help="of a cluster; Ray knows fractions")
    p.add_argument(
        "--resources",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="what else a run needs: Ray's resources (memory=4e9), or Slurm's options (partition=gpu timeout_min=60)",
    )


def place(args: argparse.Namespace, runs: int) -> Place:
    """Where ``--executor`` and the options about it say that runs happen.

    Raises:
        UserError: one that the executor does not have, or that is out of range.
    """
    from benchmarks.executors.place import Place

    if args.executor == "local":
        given = [name for name in ("address", "cpus_per_run", "gpus_per_run", "resources") if getattr(args, name)]
        if given:
            raise UserError(f"--{given[0].replace('_', '-')} is for a cluster: add --executor ray or slurm")
        here = device(args.device)
        return Place(executor="local", device=here, workers=workers(args.workers, here, runs))
    if args.executor == "slurm" and args.address:
        raise UserError("--address is Ray's: leave it out, or use --executor ray")
    for name, least in (("workers", 1), ("cpus_per_run", 1), ("gpus_per_run", 0)):
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise UserError(f"--{name.replace('_', '-')} {value} must be at least {least}")
    there = _device_there(args.device, args.gpus_per_run)
    return Place(
        executor=args.executor,
        device=there,
        workers=args.workers,
        cpus=args.cpus_per_run or 1,
        gpus=args.gpus_per_run if args.gpus_per_run is not None else float(there.type == "cuda"),
        resources=_resources(args.resources, args.executor),
        address=args.address,
    )


def _device_there(name: str, gpus: float | None) -> torch.device:
    """The kind of device of a run on a cluster, which need not be here."""
    import torch

    if name == "auto":
        name = "cuda" if (torch.cuda.is_available() if gpus is None else gpus > 0) else "cpu"
    if name not in ("cpu", "cuda"):
        raise UserError(f"device '{name}': a cluster chooses which; give auto, cpu or cuda")
    if gpus is not None and (gpus > 0) != (name == "cuda"):
        raise UserError(f"--gpus-per-run {gpus:g} does not go with --device {name}")
    return torch.device(name)


def _resources(pairs: Sequence[str], executor: str) -> dict[str, str | float]:
    found: dict[str, str | float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            number = float(value)
        except ValueError:
            if executor == "ray" or not value:
                raise UserError(f"--resources '{pair}' must be NAME=VALUE, with a number for Ray") from None
            found[name] = value
        else:
            if executor == "ray" and not 0 < number < float("inf"):
                raise UserError(f"--resources '{pair}' must be positive")
            found[name] = int(number) if number.is_integer() else number
    return found


def device(name: str) -> torch.device:
    """The device that ``--device`` names.

    Raises:
        UserError: there is no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device '{name}'; known: auto, cpu, cuda, cuda:N") from None
    if found.type not in ("cpu", "cuda"):
        raise UserError(f"device '{name}' is not supported; known: auto, cpu, cuda, cuda:N")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device '{name}' is not there: {torch.cuda.device_count()} CUDA devices found; use --device cpu"
        )
    return found


def dtype(name: str, device: torch.device) -> Dtypes:
    """The type of the matrix products as asked for; of "auto" what tells it of a backbone, that which pays here.

    Raises:
        UserError: the device is a cluster's, and not here to be asked.
    """
    import torch

    from benchmarks.training.precision import auto_dtype

    if name != "auto":
        return cast("Dtype", name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("--dtype auto asks a GPU, and there is none here; give --dtype bfloat16 or float32")
    return lambda backbone: cast("Dtype", str(auto_dtype(device, backbone)).removeprefix("torch."))


def workers(asked: int | None, device: torch.device, runs: int) -> int:
    """How many runs go side by side: as asked, or what pays, and no more than there are runs.

    Raises:
        UserError: fewer than one.
    """
    from benchmarks.executors.local import default

    if asked is not None and asked < 1:
        raise UserError(f"--workers {asked} must be at least 1")
    return min(asked or default(device, runs), max(runs, 1))
