"""python -m benchmarks.report: what one run gets right and wrong, by class, by confidence and by file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import add_results, command_parser, console, guarded, next_step
from methods.errors import check

ENDINGS = (".png", ".svg", ".pdf", ".csv")
EXAMPLES = {
    "tell what the only LoRA of a results folder gets wrong": "lora --results try",
    "write confusion matrix and calibration as a picture": "lora --results try -o report.png",
    "write one row per error, the most confident first": "lora --results try -o errors.csv",
}


def parser() -> ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "report",
        "Tell what a run gets right and wrong on the test split: accuracy by class, which classes are taken for which, "
        "calibration, and the errors that it is most sure of. All is computed from the logits that the run kept.",
        EXAMPLES,
    )
    read = p.add_argument_group("what to read")
    read.add_argument("run", metavar="RUN", help="a record's path, or the start of a run's key or file name")
    add_results(read, "folder that holds the records and logits")
    write = p.add_argument_group("what to write")
    write.add_argument("--errors", type=int, default=10, metavar="N", help="errors to show (default: 10)")
    out = "a picture (.png, .svg, .pdf), or a .csv file with one row per error (default: print tables)"
    write.add_argument("-o", "--out", type=Path, metavar="FILE", help=out)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Tell what a run gets wrong. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    wrong = f"cannot write '{args.out}': the file must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
    check(args.out is None or args.out.suffix in ENDINGS, wrong)
    check(args.errors >= 0, f"--errors {args.errors} must be 0 or more")
    from benchmarks.figures import drawing
    from benchmarks.figures import findings as picture
    from benchmarks.files.writing import write_atomic
    from benchmarks.records import logits, store
    from benchmarks.tables import reports, screen
    from benchmarks.tables.findings import findings

    record = store.find(args.results, args.run)
    found, title = findings(logits.find(store.folder(args.results, args.run), record)), drawing.title(record)
    if args.out and args.out.suffix == ".csv":
        write_atomic(args.out, reports.to_csv(found))
    elif args.out:
        drawing.save(picture.draw(found, title), args.out)
    if args.out:
        print(f"written: {args.out}")
        next_step("open", args.out)
        return 0
    out, accuracy = console(), record["accuracy"]
    out.print(f"{title}: {100 * accuracy['test']:.1f} % of {accuracy['test_samples']} test samples", soft_wrap=True)
    screen.show(out, reports.tables(found, args.errors), costs=True, hidden=(), most=sys.maxsize)
    return 0


if __name__ == "__main__":
    sys.exit(main())
