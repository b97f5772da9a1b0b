"""peft-bench: the verbs of the command line, each of which is a module ``python -m benchmarks.VERB`` with a main."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.cli import guarded
from methods.errors import UserError, unknown

VERBS = {
    "run": "train methods on tasks; leaves records, a leaderboard and a Pareto plot",
    "tune": "search the hyper-parameters of a method on the validation split",
    "leaderboard": "make the tables from the records",
    "pareto": "plot accuracy against trainable parameters from the records",
    "ranks": "draw the mean ranks of methods with their critical difference",
    "routing": "draw which experts a run of Adapter-X sends tokens to",
    "architecture": "draw the widths that a run of NOAH has found",
    "features": "draw a run's features by class, before and after tuning",
    "export": "write a run as a plain timm checkpoint or as an adapter of Hugging Face PEFT",
    "catalog": "write the table of all methods, methods/README.md",
    "tracking": "upload the records that MLflow does not have yet",
    "data": "list, fetch, verify and show data sets",
    "pretrain": "make the embedded backbones",
    "speed": "measure what a step of each method costs against the frozen floor",
}


def available() -> dict[str, str]:
    """The verbs whose modules are installed, with a line each; imports none of them."""
    return {verb: line for verb, line in VERBS.items() if find_spec(f"benchmarks.{verb}")}


def module(verb: str) -> Any:
    """The module of a verb, which has ``main`` and ``parser``: a file, or the entry of a folder."""
    name = f"benchmarks.{verb}"
    found = find_spec(name)
    return import_module(f"{name}.__main__" if found and found.submodule_search_locations else name)


def usage() -> str:
    """What ``--help`` shows."""
    verbs = [f"  {verb:<12} {line}" for verb, line in available().items()]
    end = "`peft-bench VERB --help` shows the options of a verb."
    return "\n".join(["usage: peft-bench VERB [OPTION ...]", "", "verbs:", *verbs, "", end])


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Hand the arguments after the verb to its module; the exit status is the module's."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("-h", "--help"):
        print(usage())
        return 0
    if verb not in available():
        raise UserError(unknown("verb", verb, available()))
    status: int = module(verb).main(rest)
    return status


if __name__ == "__main__":
    sys.exit(main())
