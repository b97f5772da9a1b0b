"""python -m benchmarks.speed: what a method and this harness cost against the floor, interleaved in one run."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.cli import guarded

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.model import Tuned

Step = Callable[[], object]


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Time methods against the frozen floor on a ViT-B/16 (random weights), or the trainer against a "
        "bare PyTorch loop of the same steps. Steps are interleaved; medians and their ratios are shown.",
    )
    p.add_argument(
        "what", choices=("methods", "harness"), help="methods: against the frozen floor; harness: the trainer"
    )
    p.add_argument("--methods", nargs="+", default=["lora", "adapterx"], metavar="NAME", help="default: lora adapterx")
    p.add_argument("--batch-size", type=int, default=8, metavar="N", help="images a step (default: 8)")
    p.add_argument(
        "--repeats", type=int, default=7, metavar="N", help="counted rounds after one to warm up (default: 7)"
    )
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; 2 for a user's mistake."""
    args = parser().parse_args(argv)
    if args.repeats < 1 or args.batch_size < 2:
        raise ValueError(f"--repeats {args.repeats} must be at least 1 and --batch-size {args.batch_size} at least 2")
    import torch
    from rich.console import Console
    from rich.table import Table

    steps = method_steps(args.methods, args.batch_size) if args.what == "methods" else harness_steps()
    times = interleaved(steps, args.repeats)
    floor = next(iter(times))
    table = Table("step", "median ms", f"ratio to {floor}", "lowest and highest ratio of a round")
    for name, values in times.items():
        ratios = [value / base for value, base in zip(values, times[floor], strict=True)]
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        table.add_row(name, f"{statistics.median(values) * 1e3:.1f}", f"{statistics.median(ratios):.3f}", spread)
    console = Console()
    console.print(table)
    console.print(f"{args.repeats} rounds, {torch.get_num_threads()} threads, torch {torch.__version__}")
    return 0


def interleaved(steps: dict[str, Step], repeats: int) -> dict[str, list[float]]:
    """Seconds of each step in every round, one of each a round, in turn; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if round_:
                times[name].append(time.perf_counter() - start)
    return times


def method_steps(names: Sequence[str], batch_size: int) -> dict[str, Step]:
    """Forward and backward of each method on ViT-B/16 at 224; first the floor.

    The floor is what no method that acts on the first block can avoid: the forward of the frozen model and the
    gradient with respect to the input of the first block.
    """
    import timm
    import torch
    from torch import nn

    import methods
    from benchmarks.model import Tuned

    torch.manual_seed(0)
    x, y = torch.randn(batch_size, 3, 224, 224), torch.randint(100, (batch_size,))
    steps: dict[str, Step] = {}
    frozen: Any = timm.create_model("vit_base_patch16_224", num_classes=100).requires_grad_(False)
    # the tokens of the patch embedding ask for a gradient, so it flows through every block and no weight gets one
    frozen.patch_embed.register_forward_hook(lambda module, args, output: output.detach().requires_grad_())
    steps["frozen floor"] = lambda: nn.functional.cross_entropy(frozen(x), y).backward()
    for name in names:
        backbone: Any = timm.create_model("vit_base_patch16_224", num_classes=0)
        model = Tuned(backbone, methods.build(name, backbone, methods.config(name, {})), nn.Linear(768, 100)).train()
        steps[name] = _step(model, x, y)
    return steps


def _step(model: Tuned, x: Tensor, y: Tensor) -> Step:
    from torch import nn

    def step() -> None:
        model.method.loss(model, x, y, nn.functional.cross_entropy).backward()
        model.zero_grad()

    return step


def harness_steps() -> dict[str, Step]:
    """LoRA on an embedded backbone: a bare loop of the same steps on the same tensors, and the Trainer."""
    from functools import partial

    import torch
    from torch import nn

    from benchmarks import model, suites, sweep
    from benchmarks.train import Trainer

    asked = sweep.Sweep(methods=("lora",), tasks=("digits",), recipe={"epochs": 4, "warmup_epochs": 0})
    (spec,) = sweep.specs(asked, "float32")
    load = partial(suites.get(spec.suite).load, spec.task, size=spec.backbone.image_size)
    x, y = (torch.cat(parts) for parts in zip(load("train"), load("val"), strict=True))
    size = spec.recipe.batch_size

    def bare() -> None:
        tuned = model.build(spec).train()
        weights = [p for p in tuned.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=spec.config.lr, weight_decay=spec.config.weight_decay)
        for _ in range(spec.recipe.epochs):
            for index in torch.randperm(len(x)).tensor_split(-(-len(x) // size)):
                loss = nn.functional.cross_entropy(tuned(x[index]), y[index])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(weights, spec.recipe.clip_grad)
                optimizer.step()

    def trainer() -> None:
        cpu = torch.device("cpu")
        Trainer(model.build(spec), spec.recipe, load, seed=0, device=cpu, dtype=torch.float32).train()

    return {"bare loop": bare, "trainer": trainer}


if __name__ == "__main__":
    sys.exit(main(None))
