"""t-SNE of pooled features by class: of the frozen backbone, and of the backbone as a run tuned it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from benchmarks.training.model import Classifier

SEED = 0


def pooled(classifier: Classifier, x: Tensor, *, frozen: bool = False) -> Tensor:
    """What the head sees (B, F), or what the backbone alone gives."""
    import torch

    with torch.inference_mode():
        pooled = [
            classifier.pooled(part) if frozen else classifier.method.features(classifier.pooled(part))
            for part in x.split(250)
        ]
    return torch.cat(pooled)


def tsne(features: Tensor) -> Any:
    from sklearn.manifold import TSNE

    return TSNE(init="pca", perplexity=30, random_state=SEED).fit_transform(features.numpy())


def draw(panels: Mapping[str, Any], classes: list[int], labels: Sequence[str], heading: str) -> Figure:
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
