"""python -m benchmarks.pretrain: make an embedded backbone from formula-driven data alone."""

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


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.pretrain",
        description="Pretrain an embedded backbone on images or points drawn while it trains. Writes weights, a "
        "training log and a model card; an interrupted run continues when the command is repeated.",
    )
    p.add_argument("name", choices=("vit_nano", "point_nano"))
    p.add_argument("--samples", type=int, default=400_000, metavar="N", help="default: 400000")
    p.add_argument("--batch-size", type=int, default=128, metavar="N", help="default: 128")
    p.add_argument("--lr", type=float, default=1e-3, metavar="X", help="peak learning rate (default: 0.001)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    p.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N (default: cpu)")
    p.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (default: torch's)")
    p.add_argument("--out", type=Path, metavar="DIR", help="default: the folder of the embedded weights")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Pretrain one backbone; 2 for a user's mistake."""
    args = parser().parse_args(argv)
    import torch

    from benchmarks.backbones import WEIGHTS
    from benchmarks.pretext.pretraining import Pretraining, pretrain

    job = Pretraining(name=args.name, samples=args.samples, batch_size=args.batch_size, lr=args.lr, seed=args.seed)
    if job.batch_size < 2 or job.steps < 2 or not 0 < job.lr < 1:
        raise UserError(f"--samples {job.samples}, --batch-size {job.batch_size} and --lr {job.lr} allow no training")
    if args.threads:
        torch.set_num_threads(args.threads)
    pretrain(job, args.out or WEIGHTS, torch.device(args.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
