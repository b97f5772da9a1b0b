"""python -m benchmarks.check: check records that others have packed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import add_data_root, add_results, command_parser, console, guarded, next_step, say
from benchmarks.files.places import check_plain
from benchmarks.files.root import use_data_root

EXAMPLES = {
    "check a pack before it is sent": "alice.zip",
    "check a pack of a pull request": "results/submitted/alice.zip",
}
MOST_LINES = 10


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    what = (
        "Check packs of records: they are as they were written, their tasks and data are those of here, their "
        "parameters are those of a fresh wiring, none is a copy, and t-tests find them plausible beside our runs of "
        "the same specs. No run is trained again."
    )
    p = command_parser("check", what, EXAMPLES)
    p.add_argument("packs", nargs="+", type=Path, metavar="PACK", help="a zip file that benchmarks.submit made")
    add_results(p, "folder with our records, and with packs of others")
    add_data_root(p)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Check every pack. Returns 1 if a check fails, 2 if a file is no pack."""
    args = parser().parse_args(argv)
    from benchmarks.records import packs

    use_data_root(args.data_root)
    for pack in args.packs:  # before the checks, which import torch
        packs.name_of(pack)
        check_plain(pack)
    failed = [pack for pack in args.packs if not _passes(pack, args.results)]
    if failed:
        next_step("correct that, pack again with benchmarks.submit, and check again:", *failed)
        return 1
    next_step(
        f"put it into {args.results / packs.FOLDER}, then: python -m benchmarks.leaderboard --results", args.results
    )
    return 0


def _passes(pack: Path, results: Path) -> bool:
    from rich.table import Table

    from benchmarks.submissions.checks import checks

    found, records = checks(pack, results)
    table = Table("check", "outcome", title=f"{pack}: {len(records)} records")
    for one in found:
        table.add_row(one.name, "FAIL" if one.faults else "pass" if one.done else "not checked")
    console().print(table)
    wrong = [line for one in found for line in one.faults]
    _tell(wrong)
    _tell([f"not checked: {line}" for one in found for line in one.unchecked])
    return not wrong


def _tell(lines: Sequence[str]) -> None:
    for line in lines[:MOST_LINES]:
        say(line)
    if len(lines) > MOST_LINES:
        say(f"and {len(lines) - MOST_LINES} more")


if __name__ == "__main__":
    sys.exit(main())
