"""From parsed arguments to what they mean: the sweep, the place where it runs, the device and the precision."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from methods.errors import UserError, check

if TYPE_CHECKING:
    import torch

    from benchmarks.executors.place import Place
    from benchmarks.records.spec import Dtype
    from benchmarks.sweeps.sweep import Dtypes, Sweep

# more than any machine has; a larger number is a mistake, and would take the machine down
WORKERS, THREADS = 1024, 4096


def check_range(args: argparse.Namespace, **bounds: tuple[int, int]) -> None:
    """Refuse numbers that are too small or too large: ``check_range(args, workers=(1, WORKERS))``.

    Raises:
        UserError: an option was given with a number that is not from the first to the second bound.
    """
    for name, (least, most) in bounds.items():
        value = getattr(args, name)
        for number in value if isinstance(value, list) else [] if value is None else [value]:
            check(least <= number <= most, f"--{name.replace('_', '-')} {number} must be from {least} to {most}")


def sweep(args: argparse.Namespace) -> Sweep:
    """Return the sweep of the config file, overridden by the options on the command line. This needs no torch.

    Raises:
        UserError: the file cannot be read, or a field, a method, a suite or a task is unknown.
    """
    from benchmarks.sweeps import sweep as sweeps

    asked = sweeps.from_file(args.config) if args.config else sweeps.Sweep()
    if args.methods:
        asked = sweeps.of_methods(asked, args.methods)
    names = ("suite", "tasks", "backbone", "seeds")
    given = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    options = sweeps.method_options(sweeps.assignments(args.set, "--set"))
    given["set"] = {m: sweeps.joined(asked.set.get(m, {}), options.get(m, {})) for m in [*asked.set, *options]}
    recipe = sweeps.assignments(args.recipe, "--recipe")
    if args.compile:
        check(recipe.get("compile", True) is True, "--compile contradicts --recipe compile; leave one of them out")
        recipe["compile"] = True
    asked = sweeps.with_recipe(sweeps.merged(asked, given, "command line"), recipe)
    sweeps.named(asked)
    return asked


def place(args: argparse.Namespace, runs: int) -> Place:
    """Return where ``--executor`` and its options say that runs happen.

    Raises:
        UserError: the executor has no such option, or a value is out of range.
    """
    from benchmarks.executors.place import Place

    if args.executor == "local":
        given = [name for name in ("address", "cpus_per_run", "gpus_per_run", "resources") if getattr(args, name)]
        if given:
            raise UserError(f"--{given[0].replace('_', '-')} is for a cluster: add --executor ray or slurm")
        here = device(args.device)
        return Place(executor="local", device=here, workers=workers(args.workers, here, runs))
    check(args.executor == "ray" or not args.address, "--address is for Ray only: leave it out, or use --executor ray")
    check_range(args, workers=(1, WORKERS), cpus_per_run=(1, THREADS), gpus_per_run=(0, WORKERS))
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
    """Return the kind of device for runs on a cluster. This machine need not have one."""
    import torch

    if name == "auto":
        name = "cuda" if (torch.cuda.is_available() if gpus is None else gpus > 0) else "cpu"
    known = name in ("cpu", "cuda")
    check(known, f"device '{name}' cannot be used on a cluster, which chooses the device; give auto, cpu or cuda")
    if gpus is not None and (gpus > 0) != (name == "cuda"):
        raise UserError(f"--gpus-per-run {gpus:g} contradicts --device {name}; change one of them")
    return torch.device(name)


def _resources(pairs: Sequence[str], executor: str) -> dict[str, str | float]:
    found: dict[str, str | float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        check(bool(name), f"--resources '{pair}' must be NAME=VALUE")
        check(name not in found, f"--resources '{pair}': {name} is given twice; give it once")
        try:
            number = float(value)
        except ValueError:
            if executor == "ray" or not value:
                raise UserError(f"--resources '{pair}' must be NAME=VALUE; for Ray the value is a number") from None
            found[name] = value
        else:
            if executor == "ray" and not 0 < number < float("inf"):
                raise UserError(f"--resources '{pair}' must have a positive, finite value")
            found[name] = int(number) if number.is_integer() else number
    return found


def device(name: str) -> torch.device:
    """Return the device that ``--device`` names.

    Raises:
        UserError: this machine has no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device '{name}'; known: auto, cpu, cuda, cuda:N") from None
    check(found.type in ("cpu", "cuda"), f"device '{name}' is not supported; known: auto, cpu, cuda, cuda:N")
    count = torch.cuda.device_count()
    if found.type == "cuda" and (found.index or 0) >= count:
        raise UserError(f"device '{name}' is not available: this machine has {count} CUDA devices; use --device cpu")
    return found


def dtype(name: str, device: torch.device) -> Dtypes:
    """Return the precision that ``--dtype`` names; for "auto" a function that picks the faster one for a backbone.

    Raises:
        UserError: "auto" needs a GPU on this machine, and there is none.
    """
    import torch

    from benchmarks.training.precision import auto_dtype

    if name != "auto":
        return cast("Dtype", name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("--dtype auto needs a GPU on this machine, which has none; give --dtype bfloat16 or float32")
    return lambda backbone: cast("Dtype", str(auto_dtype(device, backbone)).removeprefix("torch."))


def workers(asked: int | None, device: torch.device, runs: int) -> int:
    """Return how many runs go side by side: ``asked``, or a default, but at most the number of runs.

    Raises:
        UserError: ``asked`` is below 1, or more than WORKERS.
    """
    from benchmarks.executors.local import default

    check(asked is None or 1 <= asked <= WORKERS, f"--workers {asked} must be from 1 to {WORKERS}")
    return min(asked or default(device, runs), max(runs, 1))
