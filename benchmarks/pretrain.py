"""python -m benchmarks.pretrain: train an embedded backbone on formula-driven data alone."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import command_parser, guarded, next_step
from benchmarks.sweeps import arguments, options
from methods.errors import UserError

EXAMPLES = {
    "repeat the pretraining of the image backbone in another folder": "vit_nano --out weights",
    "try a short pretraining of the point backbone": "point_nano --samples 2000 --out weights",
}

OUT = Path("pretrained")  # not the folder of the embedded weights, which every committed record names
MOST_SAMPLES, MOST_BATCH = 10**9, 65_536


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "pretrain",
        "Pretrain an embedded backbone on images or point clouds that are drawn during training. Writes weights, a "
        "training log and a model card. Run the same command again to resume.",
        EXAMPLES,
    )
    what, how, where, write = options.groups(p)
    what.add_argument("name", choices=("vit_nano", "point_nano"), help="backbone to train")
    how.add_argument("--samples", type=int, default=400_000, metavar="N", help="training samples (default: 400000)")
    how.add_argument("--batch-size", type=int, default=128, metavar="N", help="samples per step (default: 128)")
    how.add_argument("--lr", type=float, default=1e-3, metavar="X", help="peak learning rate (default: 0.001)")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="seed of data and training (default: 0)")
    where.add_argument("--device", default="cpu", metavar="NAME", help="auto, cpu, cuda or cuda:N (default: cpu)")
    where.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: that of torch)")
    where.add_argument(
        "--processes", type=int, default=1, metavar="N", help="CPU processes that share every batch (default: 1)"
    )
    write.add_argument("--out", type=Path, metavar="DIR", default=OUT, help=f"folder (default: {OUT})")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Pretrain one backbone. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    import torch

    from benchmarks.pretext.course import Pretraining
    from benchmarks.pretext.pretraining import pretrain
    from benchmarks.records.spec import SEEDS

    sizes = {"samples": (1, MOST_SAMPLES), "batch_size": (1, MOST_BATCH), "processes": (1, arguments.THREADS)}
    arguments.check_range(args, seed=(0, SEEDS - 1), threads=(1, arguments.THREADS), **sizes)

    fields = ("name", "samples", "batch_size", "lr", "seed", "processes")
    job = Pretraining(**{field: getattr(args, field) for field in fields})
    if job.batch_size < 2 or job.steps < 2 or not 0 < job.lr < 1:
        given = f"--samples {job.samples}, --batch-size {job.batch_size} and --lr {job.lr}"
        raise UserError(f"{given} allow no training: give two or more steps of two or more samples, and 0 < lr < 1")
    device = arguments.device(args.device)
    if job.processes > 1 and (job.batch_size % job.processes or device.type != "cpu"):
        given = f"--processes {job.processes} with --batch-size {job.batch_size} on {device}"
        raise UserError(
            f"{given}: processes share a batch evenly, and on the CPU alone; use --processes 1 or change these"
        )
    if args.threads:
        torch.set_num_threads(args.threads)
    pretrain(job, args.out, device)
    file = args.out / f"{job.name}.safetensors"
    next_step("use it: python -m benchmarks.run --methods linear lora --backbone", f"{job.name}@{file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
