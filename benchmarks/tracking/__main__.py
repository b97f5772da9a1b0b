"""python -m benchmarks.tracking: upload the run records that MLflow does not have yet."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import guarded
from benchmarks.tracking.address import add_tracking, address, shown
from methods.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.tracking", description="Bring run records and MLflow together."
    )
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    sync = actions.add_parser("sync", help="upload every run record that MLflow does not have yet, whoever made it")
    sync.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    add_tracking(sync)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Upload what is missing; 2 for a user's mistake or an MLflow that does not answer."""
    args = parser().parse_args(argv)
    from benchmarks.tracking.sync import sync

    uri = address(args.tracking)
    if uri is None:
        raise UserError("tracking is off, so there is nowhere to upload to; give --tracking URI")
    uploaded, there = sync(uri, args.results)
    print(f"{uploaded} runs uploaded, {there} already there: {shown(uri)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
