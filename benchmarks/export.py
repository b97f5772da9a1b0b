"""python -m benchmarks.export: a run as a plain checkpoint, as files of Hugging Face PEFT, or back as a task file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import guarded
from methods.errors import UserError

if TYPE_CHECKING:
    from benchmarks.records.spec import Spec
    from benchmarks.training.model import Tuned

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
    from benchmarks.training import model

    path = _task_file(args.run, args.results)
    tuned, spec = _with_adapter(path, args.from_peft) if args.from_peft else (model.load(path), model.read(path)[0])
    if args.peft:
        from methods import hf_layout

        hf_layout.write(tuned.method, tuned.backbone, tuned.head, args.peft, _card(tuned, spec))
    if args.task:
        model.save(tuned, spec, args.task)
    if args.out:
        write_plain(tuned, spec, args.out)
    print("written: " + ", ".join(str(path) for path in (args.peft, args.task, args.out) if path))
    return 0


def write_plain(tuned: Tuned, spec: Spec, path: Path) -> None:
    """Merge the method, for good, and save backbone and head under the names that the bare architecture has.

    Raises:
        UserError: the method works beside the backbone, so that no plain checkpoint computes the same.
    """
    from safetensors.torch import save_file

    tuned.method.merge()
    if not tuned.method.folded:
        raise UserError(
            f"{spec.method} cannot become a plain checkpoint: it works beside the backbone's weights, not in them; "
            "its task file is the way to keep it"
        )
    head = {f"head.{name}": tensor for name, tensor in tuned.head.state_dict().items()}
    state = {name: t.detach().cpu().contiguous() for name, t in (tuned.backbone.state_dict() | head).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata=_card(tuned, spec))
    partial.replace(path)


def _card(tuned: Tuned, spec: Spec) -> dict[str, str]:
    """What somebody who finds the file needs to use it; safetensors keeps texts."""
    card = {"format": "pt", "architecture": spec.backbone.name.partition("@")[0], "num_classes": str(spec.classes)}
    if spec.backbone.modality == "points":
        card["qkv_bias"] = str(any(name.endswith("attn.qkv.bias") for name in tuned.backbone.state_dict()))
    if spec.backbone.image_size is not None:
        size = str(spec.backbone.image_size)
        card |= {
            "image_size": size,
            "mean": str(tuned.mean.flatten().tolist()),
            "std": str(tuned.std.flatten().tolist()),
        }
    return card | {"task": f"{spec.suite}/{spec.task}", "method": spec.method, "run": spec.key}


def _task_file(run: str, results: Path) -> Path:
    from benchmarks.records import store
    from benchmarks.records.spec import Spec

    if run.endswith(ENDING):
        return Path(run)
    return store.adapter_path(results, Spec.from_json(store.find(results, run)["spec"]))


def _with_adapter(path: Path, folder: Path) -> tuple[Tuned, Spec]:
    """A model of lora on the task and backbone of a task file, with a head and updates that PEFT saved."""
    from benchmarks.training import model
    from methods import hf_layout
    from methods.lora import LoRA, LoRAConfig

    spec, adapter = model.read(path)[0], hf_layout.read(folder)
    hint = spec.config if isinstance(spec.config, LoRAConfig) else LoRAConfig()
    spec = replace(spec, method="lora", config=hf_layout.fitting(adapter.pairs, hint))
    tuned = model.build(spec)
    assert isinstance(tuned.method, LoRA)
    try:
        hf_layout.fill(tuned.method, tuned.backbone, adapter.pairs)
        tuned.head.load_state_dict({name.removeprefix("head."): tensor for name, tensor in adapter.rest.items()})
    except (RuntimeError, UserError) as error:
        raise UserError(f"{folder} does not fit {spec.backbone.name} with {spec.classes} classes: {error}") from None
    return tuned.eval(), spec


if __name__ == "__main__":
    sys.exit(main())
