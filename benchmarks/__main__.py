"""peft-bench, or python -m benchmarks: runs a verb, which is a module ``benchmarks.VERB`` with ``main``."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks import __version__
from benchmarks.cli import guarded
from benchmarks.training.provenance import provenance
from methods.errors import UserError, unknown

VERBS: Mapping[str, Mapping[str, str]] = {
    "train": {
        "run": "train methods on tasks; writes records, a leaderboard and a Pareto plot",
        "tune": "search the hyper-parameters of methods on the validation split",
        "recommend": "find out which method to take for your own data",
        "speed": "measure the time and memory of training steps",
        "reproduce": "train recorded runs again, and say whether their numbers come out again",
    },
    "look at results": {
        "runs": "list finished runs with the keys by which other verbs name them",
        "leaderboard": "write the tables and the page of results from the records",
        "pareto": "draw accuracy against trained parameters",
        "ranks": "draw the mean ranks of methods with their critical difference",
        "validity": "compare the ranking of methods with the published one",
        "report": "tell what a run gets right and wrong: classes, calibration, files",
        "routing": "draw the experts to which a run of Adapter-X sends tokens",
        "architecture": "draw the widths that a run of NOAH found",
        "features": "draw a run's features by class, before and after tuning",
        "tracking": "upload the records that MLflow does not have yet",
    },
    "use a model": {
        "predict": "tell the classes of photos or point clouds by a trained model",
        "export": "write a trained model as a timm checkpoint or as an adapter of Hugging Face PEFT",
        "push": "share a trained model on the Hugging Face hub",
        "pull": "get a shared model from the Hugging Face hub",
    },
    "share results": {
        "submit": "pack the records of a results folder, to send them to others",
        "check": "check records that others have packed",
    },
    "data": {"data": "list, fetch, verify, convert and show data sets"},
    "maintain": {
        "method": "check that a method keeps the contract, or write the files of a new one",
        "catalog": "write the table of all methods, methods/README.md",
        "pretrain": "train the embedded backbones",
    },
}


def available() -> dict[str, str]:
    """Return every verb whose module is installed, with one line about it. No verb is imported."""
    verbs = {verb: line for group in VERBS.values() for verb, line in group.items()}
    return {verb: line for verb, line in verbs.items() if find_spec(f"benchmarks.{verb}")}


def module(verb: str) -> Any:
    """Import the module of a verb, which has ``main`` and ``parser``: a file, or the ``__main__`` of a folder."""
    name = f"benchmarks.{verb}"
    found = find_spec(name)
    return import_module(f"{name}.__main__" if found and found.submodule_search_locations else name)


def usage() -> str:
    """Return the text that ``--help`` shows."""
    lines, known = ["usage: peft-bench VERB [OPTION ...]", ""], available()
    for title, group in VERBS.items():
        lines += [f"{title}:", *(f"  {verb:<13} {line}" for verb, line in group.items() if verb in known), ""]
    last = (
        "`peft-bench VERB --help` shows the options of a verb, with examples; `peft-bench --version` shows what runs."
    )
    return "\n".join([*lines, last])


def version() -> str:
    """Return the text that ``--version`` shows: the package, its version and its commit."""
    code = provenance()
    return f"peft-vision-bench {__version__}, commit {code['commit']}{' with changes' if code['dirty'] else ''}"


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Pass the arguments after the verb to its module and return the module's exit status."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("-h", "--help"):
        print(usage())
        return 0
    if verb == "--version":
        print(version())
        return 0
    if verb not in available():
        raise UserError(unknown("verb", verb, available()))
    return int(module(verb).main(rest))


if __name__ == "__main__":
    sys.exit(main())
