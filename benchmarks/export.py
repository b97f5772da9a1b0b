"""python -m benchmarks.export: a run as a plain checkpoint, as files of Hugging Face PEFT, or back as a task file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import guarded
from methods.errors import UserError

if TYPE_CHECKING:
    pass

ENDING = ".safetensors"


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.export",
        description="Write a tuned model for use without this benchmark: with the updates folded into the backbone's "
        "weights and the head as 'head.*', or, for lora, as an adapter of Hugging Face PEFT.",
    )
    p.add_argument("run", metavar="RUN", help="a record's path, the start of a run's key or file name, or a task file")
    p.add_argument("-o", "--out", type=Path, metavar="FILE", help="write a checkpoint of timm or of the point backbone")
    p.add_argument("--peft", type=Path, metavar="DIR", help="write the two files of a PEFT adapter; of lora only")
    p.add_argument("--task", type=Path, metavar="FILE", help="write a task file")
    p.add_argument(
        "--from-peft",
        type=Path,
        metavar="DIR",
        help="in place of the run's weights, take a LoRA and head that PEFT saved",
    )
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Write what the command line asks for; 2 for a user's mistake or for what a method cannot be written as."""
    args = parser().parse_args(argv)
    if not (args.out or args.peft or args.task):
        raise UserError("nothing to write; give -o FILE, --peft DIR or --task FILE")
    for path in (args.out, args.task):
        if path and path.suffix != ENDING:
            raise UserError(f"cannot write '{path}': the file must end in {ENDING}")
    from benchmarks.training import export, model

    path = _task_file(args.run, args.results)
    tuned, spec = (
        export.with_adapter(path, args.from_peft) if args.from_peft else (model.load(path), model.read(path)[0])
    )
    if args.peft:
        from methods import hf_layout

        hf_layout.write(tuned.method, tuned.backbone, tuned.head, args.peft, export.card(tuned, spec))
    if args.task:
        model.save(tuned, spec, args.task)
    if args.out:
        export.write_plain(tuned, spec, args.out)
    print("written: " + ", ".join(str(path) for path in (args.peft, args.task, args.out) if path))
    return 0


def _task_file(run: str, results: Path) -> Path:
    from benchmarks.records import store
    from benchmarks.records.spec import Spec

    if run.endswith(ENDING):
        return Path(run)
    return store.adapter_path(results, Spec.from_json(store.find(results, run)["spec"]))


if __name__ == "__main__":
    sys.exit(main())
