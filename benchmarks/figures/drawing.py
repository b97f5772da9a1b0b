"""What pictures share: the texts in them, the title of a run, heat maps by block, and the writing of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.backbones.names import parse
from benchmarks.cli import add_results, command_parser, visible
from benchmarks.files.writing import write_atomic
from methods.errors import UserError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")
DPI = 130
STYLE: dict[Any, Any] = {  # of the figures of a leaderboard
    "svg.hashsalt": "peft-vision-bench",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
FINE, TALL = 200, 20  # dots per inch of figures of up to 20 inches; a taller one has DPI, or its file would be huge
# the colors of all figures: the frontier, the method that is highlighted, and all others
FRONTIER, HIGHLIGHTED, OTHERS, WORDS = "#0072B2", "#D55E00", "0.62", "0.35"
FAR = 3.5  # an axis of accuracies ends this many times as far below the median as the best is above it
LEAST = 2.0  # percentage points that an axis of accuracies shows at least
LIGHT = 0.55  # text is white in cells above this share of the largest value, because these are dark


def parser(verb: str, description: str, examples: Mapping[str, str]) -> ArgumentParser:
    """Make the parser of a verb that draws one run: it takes the run, the results folder and the picture's file."""
    p = command_parser(verb, description, examples)
    read = p.add_argument_group("what to read")
    read.add_argument("run", metavar="RUN", help="a record's path, or the start of a run's key or file name")
    add_results(read)
    write = p.add_argument_group("what to write")
    write.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="a .png, .svg or .pdf file")
    return p


def asked(args: Namespace) -> dict[str, Any]:
    """Return the record of the run that a verb is asked to draw, if the file to write is a picture."""
    from benchmarks.records import store

    check_ending(args.out)
    return store.find(args.results, args.run)


def plain(text: str) -> str:
    """Return a text that matplotlib draws as it is. It would take what is between two dollar signs for a formula."""
    return visible(text).replace("$", r"\$")


def title(record: Mapping[str, Any]) -> str:
    """Describe a run by its method, task, backbone, seed and key."""
    spec = record["spec"]
    backbone = parse(spec["backbone"]["name"]).plain
    run = f"{spec['method']} on {spec['suite']} / {spec['task']}, {backbone}"
    return f"{run}, seed {spec['seed']} ({record['key'][:8]})"


def window(values: Sequence[float], errors: Sequence[float], *, whole: bool = False) -> tuple[float, float]:
    """Return the ends of an axis of accuracies in percent, whose bars are ``errors`` long to each side.

    A value far below most others would squeeze them, so the axis may end above it, and a long bar may leave it. If the
    picture must be ``whole``, it has all of them.
    """
    best, middle = max(values), median(values)
    reach = 100.0 if whole else max(FAR * (best - middle), LEAST)
    shown = [(v, e) for v, e in zip(values, errors, strict=True) if v >= middle - reach]
    low = max(min(max(v - e, 0.0) for v, e in shown), middle - reach)
    high = min(max(min(v + e, 100.0) for v, e in shown), best + reach)
    room = max(LEAST - (high - low), 0.0) / 2 + 0.06 * (high - low)
    return low - room, high + room


def ink(highlighted: bool, first: bool = False, *, text: bool = False) -> str:
    """Return the color of a point, a line or a ``text``; ``first`` says that it is on the frontier."""
    if highlighted:
        return HIGHLIGHTED
    return FRONTIER if first else WORDS if text else OTHERS


def shades() -> LinearSegmentedColormap:
    """The colors of heat maps: from white for 0 to the color of the frontier for the largest value."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", ["white", FRONTIER])


def check_ending(path: Path) -> None:
    """Raise a ``UserError`` if a file does not end in .png, .svg or .pdf. Call this before any work is done."""
    if path.suffix not in ENDINGS:
        raise UserError(f"cannot draw '{path}': its name must end in .png, .svg or .pdf")


def save(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure with ``options`` of ``savefig``, and make its folder if there is none."""
    check_ending(path)
    content = BytesIO()
    figure.savefig(content, format=path.suffix[1:], **{"dpi": DPI, **options})
    write_atomic(path, content.getvalue())


def write(figure: Figure, name: str, out: Path) -> list[Path]:
    """Write a figure as ``out``/NAME.png, .svg and .pdf, and close it. Returns the paths.

    The files hold no date, so equal figures give equal files.
    """
    from matplotlib import pyplot as plt

    paths = [out / f"{name}{ending}" for ending in ENDINGS]
    dpi = FINE if figure.get_figheight() <= TALL else DPI
    for path, metadata in zip(paths, ({}, {"Date": None}, {"CreationDate": None}), strict=True):
        save(figure, path, dpi=dpi, metadata=metadata)
    plt.close(figure)
    return paths


def heatmaps(
    panels: Mapping[str, Sequence[Sequence[float]]], *, rows: Sequence[str], form: str, heading: str
) -> Figure:
    """Draw one panel per entry of ``panels``: values (rows, blocks) as colors and as numbers in ``form``.

    Blocks are numbered from 1.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    blocks = len(next(iter(panels.values()))[0])
    size = (2.0 + 0.55 * blocks, 0.9 + len(panels) * (0.9 + 0.42 * len(rows)))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(plain(heading), fontsize=10)
    for axis, (name, values) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True):
        largest = max(max(row) for row in values) or 1.0
        axis.imshow(values, cmap=shades(), vmin=0, vmax=largest, aspect="auto")
        for y, row in enumerate(values):
            for x, value in enumerate(row):
                color = "white" if value > LIGHT * largest else "black"
                axis.text(x, y, format(value, form), ha="center", va="center", fontsize=8, color=color)
        axis.set_title(plain(name), loc="left", fontsize=9)
        axis.set_xticks(range(blocks), [str(block + 1) for block in range(blocks)])
        axis.set_yticks(range(len(rows)), list(map(plain, rows)))
        axis.tick_params(length=0)
        axis.set_xlabel("block")
        axis.spines[:].set_visible(False)
    return figure
