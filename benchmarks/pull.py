"""python -m benchmarks.pull: get a shared model from the Hugging Face hub."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from benchmarks.cli import add_results, command_parser, guarded, next_step, say
from benchmarks.hub import names
from methods.errors import check

EXAMPLES = {
    "get a shared model, for predict, export and load_model": "me/my-photos --results shared",
    "get that of a branch or a commit": "me/my-photos --results shared --revision rank8",
    "name the backbone's weights on this machine": "me/my-photos --backbone deit_tiny_patch16_224@model.safetensors",
}


def parser() -> ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "pull",
        "Get a model that `push` shared on the Hugging Face hub. Its record and its task file are checked and put into "
        "a results folder, where predict, export and the tables find them. Only JSON and safetensors are read. "
        "HF_ENDPOINT names a mirror.",
        EXAMPLES,
    )
    read = p.add_argument_group("what to get")
    read.add_argument("repository", metavar="OWNER/NAME", help="repository of the hub")
    read.add_argument("--revision", metavar="NAME", help="branch, tag or commit (default: main)")
    weights = "NAME@FILE: where the backbone's weights are on this machine, if they came from a file"
    read.add_argument("--backbone", metavar="NAME@FILE", help=weights)
    add_results(p.add_argument_group("what to write"), "folder for record and task file")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Get the model. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    names.check_repository(args.repository)
    from benchmarks.hub import contents, received, repository

    wanted = [names.MANIFEST, names.RECORD, names.TASK]
    files = repository.fetch(args.repository, args.revision, wanted)
    lacks = [name for name in wanted if name not in files]
    check(not lacks, f"{args.repository} was not written by push: it has no {' and no '.join(lacks)}")
    known = received.digests(files.pop(names.MANIFEST))
    contents.verify(files, known)
    spec = received.place(files, args.results, args.backbone)
    say(f"pulled: {spec}, key {spec.key}, into {args.results}")
    what = "PHOTOS" if spec.backbone.modality == "image" else "CLOUDS.h5"
    next_step(f"tell classes: python -m benchmarks.predict {spec.key} {what} --results", args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
