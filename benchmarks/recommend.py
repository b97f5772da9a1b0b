"""python -m benchmarks.recommend: find out which method to take for one's own data, within a budget of time."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.cli import add_results, command_parser, guarded
from benchmarks.files.root import use_data_root
from benchmarks.sweeps import arguments, options

SEVERAL = (0, 1, 2)  # the seeds of finalists, if nothing else is asked for
EXAMPLES = {
    "compare the usual methods on the photos of a folder in half an hour": "--data-root photos --results try",
    "compare three methods on a larger backbone in two hours": "--data-root photos --methods linear lora full "
    "--backbone vit_small_patch16_224.augreg_in21k --budget 2h",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "recommend",
        "Find out which method to take for your data. Methods and their settings compete by successive halving, judged "
        "on validation data or on folds. The cheapest method that is not distinguishable from the best is chosen, and "
        "the finalists are then trained and tested as `run` does. Run the same command again to resume.",
        EXAMPLES,
    )
    what, how, where, record = options.groups(p)
    options.add_sweep(what, how, methods="the usual ones that fit the data", suite="your own files in --data-root")
    what.add_argument(
        "--budget", default="30m", metavar="TIME", help="time to spend, such as 90s, 30m, 2h (default: 30m)"
    )
    seeds = "seeds of the finalists, fewer if time is short (default: those of --config, or 0 1 2)"
    what.add_argument("--seeds", nargs="+", type=int, metavar="N", help=seeds)
    options.add_dtype(how)
    options.add_device(where)
    add_results(record, "folder for the search, records, task files and the recommendation")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Recommend a method. Returns 1 if a method failed, 2 for a person's mistake."""
    start = time.monotonic()
    args = parser().parse_args(argv)
    from benchmarks.advice import budget, usual
    from benchmarks.suites import FOLDER

    seconds, only_usual = budget.seconds(args.budget), not (args.methods or args.config)
    if only_usual:
        args.methods = list(usual.EVERY)
    if not args.config:
        args.suite = args.suite or FOLDER
    use_data_root(args.data_root)
    asked = arguments.sweep(args)  # before torch is imported: a wrong name is told at once
    from benchmarks.advice import contestants
    from benchmarks.advice.advise import advise
    from benchmarks.records import store
    from benchmarks.records.spec import SEEDS
    from benchmarks.sweeps.sweep import Sweep

    arguments.check_range(args, seeds=(0, SEEDS - 1))
    device = arguments.device(args.device)
    searches = contestants.searches(asked, arguments.dtype(args.dtype, device), only_usual=only_usual)
    store.prepare(args.results)
    seeds = tuple(dict.fromkeys(asked.seeds)) if args.seeds or asked.seeds != Sweep().seeds else SEVERAL
    return advise(searches, device, args.results, budget=seconds, used=time.monotonic() - start, seeds=seeds)


if __name__ == "__main__":
    sys.exit(main())
