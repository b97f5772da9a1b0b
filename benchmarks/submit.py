"""python -m benchmarks.submit: pack the records of a results folder, without weights, to send them to others."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import command_parser, guarded, next_step, say, warn
from methods.errors import check

EXAMPLES = {
    "pack the records of a results folder": "try -o alice.zip",
    "pack those of two methods": "try --methods lora adapterx -o alice.zip",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    what = "Pack the records of a results folder, without weights, to send them to others."
    p = command_parser("submit", what, EXAMPLES)
    p.add_argument("results", type=Path, metavar="DIR", help="folder that holds the records")
    p.add_argument("--methods", nargs="+", metavar="NAME", help="only the runs of these methods (default: all)")
    out = "the pack; tables show its name beside your rows (default: DIR.zip)"
    p.add_argument("-o", "--out", type=Path, metavar="NAME.zip", help=out)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Write the pack. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    from benchmarks.records import packs, shared, store

    pack = args.out or Path(f"{args.results.resolve().name}{packs.ENDING}")
    packs.name_of(pack)
    wanted = [r for r in store.each(args.results) if not args.methods or r["spec"]["method"] in args.methods]
    check(bool(wanted), f"no such records below {args.results / store.RUNS}; make some with: python -m benchmarks.run")
    paths = sorted(
        {record["spec"]["backbone"]["name"] for record in wanted if "@" in record["spec"]["backbone"]["name"]}
    )
    if paths:
        warn(f"the pack tells paths of this machine: {', '.join(paths)}")
    if changed := sum(record["environment"].get("dirty") is not False for record in wanted):
        warn(f"{changed} runs are of code that no commit has, so nobody can repeat them exactly")
    if two := sum(bool(shared.tunings(args.results, record)) for record in wanted):
        warn(
            f"{two} runs belong to two rows here, such as a default and a tuned one; in the pack they are in one alone"
        )
    packs.write({packs.path_of(record): record for record in wanted}, pack)
    say(f"written: {pack}, {len(wanted)} records, {pack.stat().st_size / 1e3:.1f} kB")
    next_step("check it: python -m benchmarks.check", pack)
    next_step(f"then send it in a pull request, as CONTRIBUTING.md says: results/{packs.FOLDER}/{pack.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
