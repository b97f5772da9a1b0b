"""t-SNE of pooled features, colored by class: from the frozen backbone and from the backbone that a run tuned."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch import Tensor

from benchmarks.figures.drawing import plain
from methods.errors import check

FEWEST = 5  # samples, of which t-SNE can make a picture


def spread(x: Tensor, y: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """At most ``most`` samples and their labels, evenly spread: files are often in the order of the classes.

    Raises:
        UserError: there are fewer than FEWEST samples.
    """
    check(len(y) >= FEWEST, f"features of {len(y)} test samples cannot be drawn; {FEWEST} are needed")
    chosen = np.linspace(0, len(y) - 1, min(most, len(y))).astype(int)
    return x[chosen], y[chosen]


def tsne(features: Tensor) -> Any:
    """Map features (B, F) to points (B, 2) by the t-SNE of scikit-learn."""
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(features.numpy())


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
