"""python -m benchmarks.push: share a trained model on the Hugging Face hub."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cli import add_results, command_parser, guarded, next_step, say
from benchmarks.hub import names

EXAMPLES = {
    "share the only LoRA of a results folder": "lora me/my-photos --results try",
    "keep it from others, on a branch of its own": "lora me/my-photos --results try --private --revision rank8",
    "see what would be shared": "lora me/my-photos --results try --dry-run shared",
}


def parser() -> ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "push",
        "Share a trained model on the Hugging Face hub, with its record and a model card. Where the method folds into "
        "the weights and timm has the architecture, timm loads the model as hf-hub:OWNER/NAME. Needs a token that may "
        "write: 'hf auth login', or HF_TOKEN. HF_ENDPOINT names a mirror.",
        EXAMPLES,
    )
    read = p.add_argument_group("what to share")
    run = "a task file, a record's path, or the start of a run's key or file name"
    read.add_argument("run", metavar="RUN", help=run)
    add_results(read, "folder that holds the records and task files")
    write = p.add_argument_group("where to")
    write.add_argument("repository", metavar="OWNER/NAME", help="repository of the hub; it is made if there is none")
    write.add_argument(
        "--private", action="store_true", help="make the repository private; one that is public is refused"
    )
    write.add_argument("--revision", metavar="BRANCH", help="branch to commit to; it is made if there is none")
    over = "commit over another run or other files; the hub keeps what was there"
    write.add_argument("--replace", action="store_true", help=over)
    dry = "write the files to a folder, and send nothing"
    write.add_argument("--dry-run", type=Path, metavar="DIR", help=dry)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Share the model. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    names.check_repository(args.repository)
    from benchmarks.records import store

    store.task_file(args.results, args.run)  # before torch is imported: a wrong name is told at once
    from benchmarks.hub import contents, repository

    if args.dry_run:
        contents.write(args.results, args.run, args.repository, args.dry_run, args.revision)
        say(f"written: {args.dry_run}; nothing was sent")
        next_step("run the same command without --dry-run, after you have read", args.dry_run / "README.md")
        return 0
    repository.check_token()
    asked = {"private": args.private, "revision": args.revision, "replace": args.replace}
    with TemporaryDirectory(prefix="peft-bench-push-") as name:
        spec = contents.write(args.results, args.run, args.repository, Path(name), args.revision)
        address = repository.push(Path(name), args.repository, spec.key, **asked)
    say(f"pushed: {spec}, to {address}")
    next_step("others get it: python -m benchmarks.pull --results shared", args.repository)
    return 0


if __name__ == "__main__":
    sys.exit(main())
