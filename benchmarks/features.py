"""python -m benchmarks.features: draw t-SNE of pooled features by class, before and after tuning."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.cli import add_data_root, guarded, next_step
from benchmarks.figures import drawing
from benchmarks.files.root import use_data_root
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.training.model import Classifier

SAMPLES = 500


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = drawing.parser(
        "features",
        f"Draw t-SNE of the features of {SAMPLES} test samples before and after tuning: the features of the frozen "
        "backbone, and the features that the head of the trained model sees.",
        {"draw the only run of LoRA in a folder": "lora --results try -o features.png"},
    )
    add_data_root(p)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw one run. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    use_data_root(args.data_root)
    record = drawing.asked(args)  # before torch is imported: a wrong name is told at once
    from benchmarks import suites
    from benchmarks.figures import features as pictures
    from benchmarks.records import store
    from benchmarks.records.spec import Spec
    from benchmarks.training import task_files

    spec = Spec.from_json(record["spec"])
    suite = suites.get(spec.suite).of_seed(spec.seed)
    per_point = suite.tasks[spec.task].kind.per_point
    check(not per_point, f"features of '{spec.task}' cannot be drawn by class: it has a label for every point")
    tuned = task_files.load(store.adapter_path(store.folder(args.results, args.run), spec))
    x, y = pictures.spread(*suite.load(spec.task, "test", frame=spec.backbone.frame), SAMPLES)
    after = _pooled(tuned, x)
    tuned.method.detach()
    before = _pooled(tuned, x, frozen=True)
    labels = suite.tasks[spec.task].labels
    panels = {"before: the frozen backbone": pictures.tsne(before), f"after: {spec.method}": pictures.tsne(after)}
    drawing.save(
        pictures.draw(panels, y.tolist(), labels, f"Test samples by their features (t-SNE): {drawing.title(record)}"),
        args.out,
    )
    print(f"written: {args.out}")
    next_step("open", args.out)
    return 0


def _pooled(classifier: Classifier, x: Tensor, *, frozen: bool = False) -> Tensor:
    """Return the features that the head sees, (B, F), or with ``frozen`` those of the backbone alone."""
    import torch

    with torch.inference_mode():
        pooled = map(classifier.pooled, x.split(250))
        return torch.cat(list(pooled if frozen else map(classifier.method.features, pooled)))


if __name__ == "__main__":
    sys.exit(main())
