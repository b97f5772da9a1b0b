"""python -m benchmarks.runs: list finished runs with the keys by which other verbs name them."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.cli import add_results, command_parser, console, guarded, next_step

EXAMPLES = {
    "list all runs of a folder, the newest last": "--results try",
    "list the runs of LoRA on one task": "--results try --methods lora --tasks digits",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "runs",
        "List finished runs, the newest last: the key by which predict, export, features, routing and architecture "
        "name a run, its method with the options that are not at their defaults, task, seed, test accuracy in percent, "
        "and when the record was written.",
        EXAMPLES,
    )
    read = p.add_argument_group("what to read")
    add_results(read)
    for name in ("methods", "suites", "tasks"):
        read.add_argument(f"--{name}", nargs="+", metavar="NAME", help=f"only runs of these {name} (default: all)")
    read.add_argument("--seeds", nargs="+", type=int, metavar="N", help="only runs of these seeds (default: all)")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Print the runs. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    from benchmarks.tables import listing
    from benchmarks.tables.reader import load, ours

    wanted = {"method": args.methods, "suite": args.suites, "task": args.tasks, "seed": args.seeds}
    found = listing.chosen(ours(load(args.results)), wanted)
    console().print(listing.table(found, args.results))
    next_step("python -m benchmarks.predict KEY PHOTO --results", args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
