"""python -m benchmarks.export: write a run as a checkpoint, a folder of timm, an adapter of PEFT, or a task file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import add_results, command_parser, guarded, next_step, warn
from methods.errors import check

if TYPE_CHECKING:
    from benchmarks.records.spec import Spec
    from benchmarks.training.model import Classifier

ENDING = ".safetensors"
KINDS = {  # what can be written: the option, what it takes, and how a file must end
    "peft": ("--peft", "DIR", ""),
    "timm_dir": ("--timm-dir", "DIR", ""),
    "task": ("--task", "FILE", ENDING),
    "out": ("-o", "FILE", ENDING),
    "onnx": ("--onnx", "FILE", ".onnx"),
    "torch_export": ("--torch-export", "FILE", ".pt2"),
}
EXAMPLES = {
    "write a checkpoint that timm loads, with the only LoRA of a folder merged into it": "lora --results try "
    "-o model.safetensors",
    "write a folder for timm.create_model('local-dir:photos', pretrained=True)": "lora --results try --timm-dir photos",
    "write a graph for onnxruntime, of any method": "adapterx --results try --onnx model.onnx",
    "write an adapter of Hugging Face PEFT": "lora --results try --peft adapter",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "export",
        "Write a trained model for use without this benchmark: as a plain checkpoint or a folder of timm, with the "
        "updates merged into the weights and the head under timm's name, or, for lora, as an adapter of Hugging Face "
        "PEFT.",
        EXAMPLES,
    )
    read = p.add_argument_group("what to read")
    run = "a task file, a record's path, or the start of a run's key or file name"
    read.add_argument("run", metavar="RUN", nargs="?", help=run)
    saved = "take the LoRA and head that PEFT saved, not those of the run"
    read.add_argument("--from-peft", type=Path, metavar="DIR", help=saved)
    petl = "a one-bit task file that PETL-ViT publishes, in place of RUN"
    read.add_argument("--from-petl", type=Path, metavar="FILE.bin", help=petl)
    read.add_argument("--config", type=Path, metavar="FILE.yaml", help="the YAML file that PETL-ViT has beside it")
    backbone = "backbone of --from-petl, as NAME or NAME@FILE (default: that of the suite vtab1k)"
    read.add_argument("--backbone", metavar="NAME", help=backbone)
    add_results(read, "folder that holds the records and task files")
    write = p.add_argument_group("what to write")
    write.add_argument("-o", "--out", type=Path, metavar="FILE", help="checkpoint of timm or of the point backbone")
    folder = "folder for model.safetensors and config.json, which timm loads by 'local-dir:DIR'"
    write.add_argument("--timm-dir", type=Path, metavar="DIR", help=folder)
    reads = "reads float images, normalised already, or clouds of any number of float points, and returns logits"
    onnx = f"graph of any method for ONNX: {reads}; compared in onnxruntime where that is installed"
    write.add_argument("--onnx", type=Path, metavar="FILE", help=onnx)
    program = "the same graph for torch.export.load"
    write.add_argument("--torch-export", type=Path, metavar="FILE", help=program)
    write.add_argument("--peft", type=Path, metavar="DIR", help="folder for the two files of a PEFT adapter; lora only")
    write.add_argument("--task", type=Path, metavar="FILE", help="task file: the method, the head and the spec")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Write the files. Returns 2 for a person's mistake, or if the method cannot be written in that format."""
    args = parser().parse_args(argv)
    written = [path for name in KINDS if (path := getattr(args, name))]
    options = ", ".join(f"{option} {kind}" for option, kind, _ in KINDS.values())
    check(bool(written), f"nothing to write; give one of: {options}")
    for name, (_, _, ending) in KINDS.items():
        path = getattr(args, name)
        fits = path is None or not ending or path.suffix == ending
        check(fits, f"cannot write '{path}': the file must end in {ending}")
    check(bool(args.run) != bool(args.from_petl), "give either RUN or --from-petl FILE.bin")
    check(args.out is None or args.out != args.task, f"-o and --task both name {args.out}; give two files")
    twice = args.timm_dir is None or args.timm_dir != args.peft
    check(twice, f"--timm-dir and --peft both name {args.peft}; give two folders")
    tuned, spec = _petl(args) if args.from_petl else _run(args)
    from benchmarks.files.writing import write_atomic
    from benchmarks.training import export, task_files

    if args.peft:
        from methods.formats import hf_layout

        headless = "PEFT has no model with the head of part segmentation; write a plain checkpoint with -o"
        check(not tuned.kind.per_point, headless)
        card = export.card(tuned, spec)
        for name, content in hf_layout.contents(tuned.method, tuned.backbone, tuned.head, card).items():
            write_atomic(args.peft / name, content)
    if args.task:
        task_files.save(tuned, spec, args.task)
    loads = _write_merged(tuned, spec, args) if args.out or args.timm_dir else []
    if args.onnx or args.torch_export:
        _write_graphs(tuned, spec, args)
    print("written: " + ", ".join(map(str, written)))
    if loads:
        print("\nPython loads it so:", *loads, sep="\n\n")
    if args.run:
        from benchmarks.records import store

        folder = store.folder(args.results, args.run)
        next_step(f"share the run: python -m benchmarks.push {args.run} OWNER/NAME --results", folder)
    elif args.task:
        next_step("tell classes: python -m benchmarks.predict", args.task, "PHOTOS")
    return 0


def _write_merged(tuned: Classifier, spec: Spec, args: argparse.Namespace) -> list[str]:
    """Write what holds no method. Returns the lines of Python that load it."""
    from benchmarks.training import export, loading

    merged, loads = export.folded(tuned, spec), list[str]()
    if args.out:
        export.write_plain(merged, spec, args.out)
        loads += [] if tuned.kind.per_point else [loading.python(merged, spec, str(args.out))]
    if args.timm_dir:
        export.write_timm(merged, spec, args.timm_dir)
        loads += [loading.by_timm(f"local-dir:{args.timm_dir}")]
    return loads


def _write_graphs(tuned: Classifier, spec: Spec, args: argparse.Namespace) -> None:
    from benchmarks.training import graph

    program = graph.program(tuned, spec)
    if args.torch_export:
        graph.write_torch(program, tuned, spec, args.torch_export)
    if args.onnx and not graph.write_onnx(program, tuned, spec, args.onnx):
        warn(f"{args.onnx} was not compared with the model: pip install onnxruntime")


def _run(args: argparse.Namespace) -> tuple[Classifier, Spec]:
    for name in ("config", "backbone"):
        check(not getattr(args, name), f"--{name} belongs to --from-petl; leave it out")
    from benchmarks.records import store

    path = store.task_file(args.results, args.run)  # before torch is imported: a wrong name is told at once
    from benchmarks.training import export, task_files

    merged = args.from_peft and export.with_adapter(path, args.from_peft)
    return merged or (task_files.load(path), task_files.read(path)[0])


def _petl(args: argparse.Namespace) -> tuple[Classifier, Spec]:
    check(not args.from_peft, "--from-peft and --from-petl name two sources; give one")
    check(bool(args.config), "--from-petl needs --config, the YAML file that PETL-ViT has beside the task file")
    from benchmarks.training import export

    return export.with_petl_vit(args.from_petl, args.config, args.backbone)


if __name__ == "__main__":
    sys.exit(main())
