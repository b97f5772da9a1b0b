"""python -m benchmarks.predict: tell the classes of photos or point clouds by a trained model."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import add_results, command_parser, guarded, next_step, say
from benchmarks.sweeps import options
from methods.errors import check

ENDINGS = (".csv", ".json")
EXAMPLES = {
    "tell the classes of all photos in a folder, with the only LoRA of a results folder": "lora photos --results try",
    "write the two most probable classes of photos to a table": "lora a.jpg b.jpg --results try --topk 2 -o out.csv",
    "use a task file from anywhere on clouds in HDF5": "lora.safetensors clouds.h5 -o out.json",
}


def parser() -> ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "predict",
        "Tell the classes of photos, or of point clouds in HDF5 files, with their probabilities. Photos may have any "
        "size; they are turned as their EXIF says, and cut and scaled as in training. Clouds are read as the run's "
        "test read them; those for a model of your own data may have any unit and origin.",
        EXAMPLES,
    )
    read = p.add_argument_group("what to read")
    run = "a task file, a record's path, or the start of a run's key or file name"
    read.add_argument("run", metavar="RUN", help=run)
    photos = "files; of a folder, all photos or clouds at any depth"
    read.add_argument("photos", metavar="PHOTO", nargs="+", type=Path, help=photos)
    add_results(read, "folder that holds the records and task files")
    write = p.add_argument_group("what to write")
    table = "a .csv file with one row per photo and class, or a .json file (default: print one line per photo)"
    write.add_argument("-o", "--out", type=Path, metavar="FILE", help=table)
    topk = "the number of the most probable classes to tell (default: 5, or all if there are fewer)"
    write.add_argument("--topk", type=int, metavar="K", help=topk)
    options.add_device(p.add_argument_group("where"))
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Tell the classes. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    check(args.topk is None or args.topk > 0, f"--topk {args.topk} must be 1 or more")
    wrong = f"cannot write '{args.out}': the file must end in {' or '.join(ENDINGS)}"
    check(args.out is None or args.out.suffix in ENDINGS, wrong)
    for path in args.photos:
        check(path.exists(), f"cannot read {path}: No such file or directory")
    from benchmarks.records import store

    task_file = store.task_file(args.results, args.run)  # before torch is imported: a wrong name is told at once
    from benchmarks.files.writing import write_atomic
    from benchmarks.sweeps import arguments
    from benchmarks.training import predictions

    found = predictions.predict(task_file, args.photos, args.topk, arguments.device(args.device))
    if args.out:
        write_atomic(args.out, predictions.WRITERS[args.out.suffix](found))
        print(f"written: {args.out}, with {len(found)} predictions")
        next_step("open", args.out)
    else:
        for one in found:
            say(str(one))
    return 0


if __name__ == "__main__":
    sys.exit(main())
