"""python -m benchmarks.tracking: upload the run records that MLflow does not have yet."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.cli import add_results, command_parser, guarded, next_step, say
from benchmarks.tracking.address import SERVERS, add_tracking, address
from methods.errors import UserError

EXAMPLES = {
    "upload to a database file": "sync --results try --tracking sqlite:///mlflow.db",
    "upload to a server": "sync --tracking http://localhost:5000",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser("tracking", "Upload run records to MLflow.", EXAMPLES)
    actions = p.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    line = "upload every record that MLflow does not have yet, whoever made it"
    sync = actions.add_parser("sync", help=line, description=line)
    add_results(sync.add_argument_group("what to read"))
    add_tracking(sync.add_argument_group("where to write"))
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Upload the missing records. Returns 2 for a person's mistake, or if MLflow does not answer."""
    args = parser().parse_args(argv)
    from benchmarks.tracking.sync import sync

    uri = address(args.tracking)
    if uri is None:
        raise UserError("tracking is off, so no MLflow can get the records; give --tracking URI")
    uploaded, there = sync(uri, args.results)
    say(f"{uploaded} runs uploaded, {there} already there: {uri}")
    server = uri.partition("://")[0] in SERVERS
    next_step("open" if server else "look at them: mlflow ui --backend-store-uri", uri)
    return 0


if __name__ == "__main__":
    sys.exit(main())
