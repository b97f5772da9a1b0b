"""python -m benchmarks.reproduce: train recorded runs again, and say whether their numbers come out again."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import add_data_root, add_results, command_parser, console, guarded, progress
from benchmarks.files.root import use_data_root
from methods.errors import check

if TYPE_CHECKING:
    from benchmarks.sweeps.reproduction import Repeat

EXAMPLES = {
    "train twenty of the committed runs again": "--sample 20 --seed 7",
    "train one run again": "2a3801c7b63ab524",
    "train the cheapest run of every method again": "--cheapest",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "reproduce",
        "Train recorded runs again on the CPU, with the threads of each record. A run is equal to the bit, within the "
        "spread of its seeds, or off. The records stay as they are.",
        EXAMPLES,
    )
    what = p.add_argument_group("which records (default: all)")
    which = what.add_mutually_exclusive_group()
    which.add_argument("keys", nargs="*", default=[], metavar="KEY", help="a record's path or the start of its key")
    which.add_argument("--sample", type=int, metavar="N", help="draw N records")
    which.add_argument("--cheapest", action="store_true", help="of every method, the run that trained fastest")
    what.add_argument("--seed", type=int, default=0, metavar="N", help="the seed of --sample (default: 0)")
    add_results(what)
    add_data_root(what)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Train the runs. Returns 0 if none is off, 1 if one is, 2 for a person's mistake."""
    args = parser().parse_args(argv)
    use_data_root(args.data_root)
    known, chosen = _chosen(args)  # before torch is imported: a wrong name is told at once
    from benchmarks.sweeps import reproduction

    allowed = reproduction.spreads(known)
    minutes = sum(record["cost"]["train_seconds"] for record in chosen) / 60
    console().print(f"{len(chosen)} runs, which took {minutes:.0f} minutes when they were recorded")
    with tempfile.TemporaryDirectory() as folder, progress() as bar:
        repeats = [
            reproduction.repeat(record, allowed[record["key"]], Path(folder))
            for record in bar.track(chosen, description="training")
        ]
    return _report(repeats)


def _chosen(args: argparse.Namespace) -> tuple[list[dict[str, Any]], Sequence[Mapping[str, Any]]]:
    """All records, and those to train again."""
    from benchmarks.records import store

    known = store.records(args.results)
    check(bool(known), f"no run records below {args.results / store.RUNS}; make some with: python -m benchmarks.run")
    if args.keys:
        chosen, here = [store.find(args.results, key) for key in args.keys], {record["key"] for record in known}
        foreign = [key for key, record in zip(args.keys, chosen, strict=True) if record["key"] not in here]
        check(not foreign, f"{', '.join(foreign)}: not among the records in {args.results}; name its --results DIR")
        return known, chosen
    from benchmarks.sweeps import reproduction

    if args.sample is not None:
        return known, reproduction.sample(known, args.sample, args.seed)
    if args.cheapest:
        return known, reproduction.cheapest(known)
    return known, known


def _report(repeats: Sequence[Repeat]) -> int:
    from rich.table import Table

    out, counts = console(), Counter(one.verdict for one in repeats)
    table = Table("run", "key", "recorded %", "again %", "allowed ±", "verdict")
    for one in repeats:
        numbers = [f"{100 * number:.1f}" for number in (one.recorded, one.again, one.allowed)]
        table.add_row(str(one.spec), one.spec.key, *numbers, one.verdict)
    out.print(table)
    verdicts = f"{counts['equal']} equal to the bit, {counts['within']} within the spread of seeds, {counts['off']} off"
    out.print(f"{len(repeats)} records: {verdicts}")
    return 1 if counts["off"] else 0


if __name__ == "__main__":
    sys.exit(main())
