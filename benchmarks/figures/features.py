"""t-SNE of pooled features, colored by class: from the frozen backbone and from the backbone that a run tuned."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch import Tensor

from benchmarks.figures.drawing import plain


def tsne(features: Tensor) -> Any:
    """Map features (B, F) to points (B, 2) by the t-SNE of scikit-learn."""
    return TSNE(init="pca", perplexity=30, random_state=0).fit_transform(features.numpy())


def draw(panels: Mapping[str, Any], classes: list[int], labels: Sequence[str], heading: str) -> Figure:
    """One panel per entry of ``panels``, which are points (B, 2); one color per class."""
    matplotlib.use("Agg")
    colors = matplotlib.colormaps["tab20" if len(labels) > 10 else "tab10"]
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    figure.suptitle(plain(heading), fontsize=10)
    axes = figure.subplots(1, len(panels))
    for axis, (name, points) in zip(axes, panels.items(), strict=True):
        for i, label in enumerate(labels):
            own = points[np.array(classes) == i]
            axis.scatter(*own.T, s=9, color=colors(i % colors.N), linewidths=0, label=plain(label.replace("_", " ")))
        axis.set_title(plain(name), loc="left", fontsize=9)
        axis.set(xticks=[], yticks=[])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", fontsize=7, markerscale=1.6, frameon=False)
    return figure
