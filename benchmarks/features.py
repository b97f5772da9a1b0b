"""python -m benchmarks.features: t-SNE of pooled features by class, before and after tuning."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.cli import guarded
from benchmarks.figures import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

SAMPLES, SEED = 500, 0


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
    from benchmarks.records import store
    from benchmarks.records.spec import Spec
    from benchmarks.training import model

    drawing.check_ending(args.out)
    record = store.find(args.results, args.run)
    spec = Spec.from_json(record["spec"])
    suite = suites.get(spec.suite)
    tuned = model.load(store.adapter_path(args.results, spec))
    x, y = (values[:SAMPLES] for values in suite.load(spec.task, "test", size=spec.backbone.image_size))
    after = _features(tuned, x)
    tuned.method.detach()
    before = _features(tuned, x, frozen=True)
    labels = suite.tasks[spec.task].labels
    panels = {"before: the frozen backbone": _tsne(before), f"after: {spec.method}": _tsne(after)}
    drawing.save(_draw(panels, y.tolist(), labels, drawing.title(record)), args.out)
    print(f"written: {args.out}")
    return 0


def _features(tuned: Any, x: Tensor, *, frozen: bool = False) -> Tensor:
    """What the head sees (B, F), or what the backbone alone gives."""
    import torch

    with torch.inference_mode():
        pooled = [tuned.pooled(part) if frozen else tuned.method.features(tuned.pooled(part)) for part in x.split(250)]
    return torch.cat(pooled)


def _tsne(features: Tensor) -> Any:
    from sklearn.manifold import TSNE

    return TSNE(init="pca", perplexity=30, random_state=SEED).fit_transform(features.numpy())


def _draw(panels: dict[str, Any], classes: list[int], labels: Sequence[str], heading: str) -> Figure:
    import matplotlib
    import numpy as np

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    colors = matplotlib.colormaps["tab20" if len(labels) > 10 else "tab10"]
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    figure.suptitle(heading, fontsize=10)
    index = np.array(classes)
    axes = figure.subplots(1, len(panels))
    for axis, (name, points) in zip(axes, panels.items(), strict=True):
        for i, label in enumerate(labels):
            own = points[index == i]
            axis.scatter(*own.T, s=9, color=colors(i % colors.N), linewidths=0, label=label.replace("_", " "))
        axis.set_title(name, loc="left", fontsize=9)
        axis.set(xticks=[], yticks=[])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", fontsize=7, markerscale=1.6, frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(main())
