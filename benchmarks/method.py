"""python -m benchmarks.method: check that a method keeps the contract, or write the files of a new one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import command_parser, console, guarded, next_step, progress, say
from methods.errors import UserError, check, unknown

if TYPE_CHECKING:
    from benchmarks.contract.verdicts import Verdict

EXAMPLES = {
    "write a package with a new method, and check it": "new my_lora",
    "check a method that is installed": "check my_lora",
    "check a method with options that the small backbones need": "check gaprompt --set points=32",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "method", "Check that a method keeps the contract, or write the files of a new method.", EXAMPLES
    )
    actions = p.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    lines = {
        "check": "check every promise of a method on small backbones of all families; status 1 if one is broken",
        "new": "write the module, the package and the test of a method that works, to be changed into yours",
    }
    made = {name: actions.add_parser(name, help=line, description=line) for name, line in lines.items()}
    made["check"].add_argument("name", metavar="NAME", help="name of the method")
    given = "options of the method; by default its own"
    made["check"].add_argument("--set", nargs="+", default=[], metavar="OPTION=VALUE", help=given)
    made["new"].add_argument("name", metavar="NAME", help="name of the new method, such as my_lora")
    made["new"].add_argument("-o", "--out", type=Path, metavar="DIR", help="folder (default: peft-bench-NAME)")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one action. Returns 1 if a promise is broken, 2 for a person's mistake."""
    args = parser().parse_args(argv)
    return _new(args.name, args.out) if args.action == "new" else _check(args.name, args.set)


def _new(name: str, out: Path | None) -> int:
    from benchmarks.contract.starting import start

    folder = out or Path(f"peft-bench-{name}")
    say(f"written: {', '.join(map(str, start(name, folder)))}")
    next_step("install it: pip install -e", folder)
    next_step("then check it: python -m benchmarks.method check", name)
    return 0


def _check(name: str, given: Sequence[str]) -> int:
    import methods
    from benchmarks.sweeps.sweep import assignments

    check(
        not name.startswith(methods.BRIDGE), f"'{name}': PEFT's tuners keep less of the contract; check another method"
    )
    if name not in methods.table():
        raise UserError(unknown("method", name, methods.table()))
    options = assignments(given, "--set")
    methods.config(name, options)  # refuses a wrong option
    import optuna
    import torch

    from benchmarks.contract.verdicts import Verdict, table, verdicts

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would tell of every study
    torch.set_num_threads(1)  # these models are small
    with progress() as bar:
        told = list(bar.track(verdicts(name, options), description=f"checking {name}"))
    found = [one for one in told if isinstance(one, Verdict)]
    refused = dict(one for one in told if not isinstance(one, Verdict))
    if found:
        console().print(table(name, found))
    return _summary(name, found, refused)


def _summary(name: str, found: Sequence[Verdict], refused: Mapping[str, str]) -> int:
    """Tell every family that was refused and every promise that is broken. Returns the exit status."""
    for family, reason in refused.items():
        say(f"not checked on {family}, which the method refuses: {reason}")
    broken = [one for one in found if one.broken]
    for one in broken:
        say(f"FAIL on {one.family}: {name} {one.promise}: {one.broken}")
    if traces := [one.traceback for one in broken if one.traceback]:
        print(f"the first error that is no broken promise:\n{traces[0]}", file=sys.stderr)
    check(bool(found), f"method '{name}' fits none of the small backbones; give options that fit with --set")
    say(f"{name} keeps {len(found) - len(broken)} of {len(found)} promises")
    if not broken:
        next_step("try it: python -m benchmarks.run --results try --methods lora", name)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
