"""python -m benchmarks.features: t-SNE of pooled features by class, before and after tuning."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.cli import guarded
from benchmarks.figures import drawing

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.training.model import Classifier

SAMPLES = 500


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.features",
        description=f"Draw scikit-learn's t-SNE of the features that the head sees of {SAMPLES} test samples: "
        "those of the frozen backbone, and of the backbone as a run tuned it.",
    )
    drawing.add_arguments(p)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw one run; 2 for a user's mistake."""
    args = parser().parse_args(argv)
    from benchmarks import suites
    from benchmarks.figures import features as pictures
    from benchmarks.records import store
    from benchmarks.records.spec import Spec
    from benchmarks.training import model

    drawing.check_ending(args.out)
    record = store.find(args.results, args.run)
    spec = Spec.from_json(record["spec"])
    suite = suites.get(spec.suite)
    tuned = model.load(store.adapter_path(args.results, spec))
    x, y = (values[:SAMPLES] for values in suite.load(spec.task, "test", size=spec.backbone.image_size))
    after = _pooled(tuned, x)
    tuned.method.detach()
    before = _pooled(tuned, x, frozen=True)
    labels = suite.tasks[spec.task].labels
    panels = {"before: the frozen backbone": pictures.tsne(before), f"after: {spec.method}": pictures.tsne(after)}
    drawing.save(pictures.draw(panels, y.tolist(), labels, drawing.title(record)), args.out)
    print(f"written: {args.out}")
    return 0


def _pooled(classifier: Classifier, x: Tensor, *, frozen: bool = False) -> Tensor:
    """The features that the head sees, (B, F), or those of the backbone alone."""
    import torch

    with torch.inference_mode():
        parts = []
        for images in x.split(250):
            pooled = classifier.pooled(images)
            parts.append(pooled if frozen else classifier.method.features(pooled))
    return torch.cat(parts)


if __name__ == "__main__":
    sys.exit(main())
