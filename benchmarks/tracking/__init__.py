"""python -m benchmarks.tracking: MLflow as a mirror of the run records, which stay the truth.

During a sweep ``sink.Sink`` tells a process of its own, ``uploader``, what happens; ``sync`` uploads what is missing.
``mirror`` alone imports mlflow, ``fields`` says what of a record goes where.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import guarded
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


def add_tracking(p: argparse.ArgumentParser) -> None:
    """The option that says which MLflow gets the runs."""
    p.add_argument(
        "--tracking",
        metavar="URI",
        help="MLflow that gets the runs, or off (default: $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)",
    )


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Upload what is missing; 2 for a user's mistake or an MLflow that does not answer."""
    args = parser().parse_args(argv)
    from benchmarks.tracking.address import address, shown
    from benchmarks.tracking.sync import sync

    uri = address(args.tracking)
    if uri is None:
        raise UserError("tracking is off, so there is nowhere to upload to; give --tracking URI")
    uploaded, there = sync(uri, args.results)
    print(f"{uploaded} runs uploaded, {there} already there: {shown(uri)}")
    return 0
