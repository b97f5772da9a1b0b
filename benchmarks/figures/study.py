"""The sheet of a tuning: one small panel per study, with its trials and the best so far."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from textwrap import wrap

import matplotlib
import matplotlib.pyplot as plt
import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.trial import TrialState

from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing

PANEL, LEFT, TOP, BOTTOM, BETWEEN = (1.9, 1.25), 0.75, 0.65, 0.47, (0.22, 0.14)  # inches, and gaps as parts of a panel
LETTER, LINE = 0.053, 0.14  # inches of the note below the panels
TITLE_LETTER, TITLE_LINE = 0.085, 0.2  # inches of the title
NOTE = (
    "validation accuracy (%) by trial\npoint: ran to its end; tick on the axis: pruned; line: the best so far; "
    "dashed: the default; %: the option that mattered most (fANOVA)"
)
Cell = tuple[str, str]  # method, task


def write(
    studies: Mapping[Cell, optuna.Study],
    name: str,
    trials: int,
    out: Path,
    highlight: str = HIGHLIGHT,
    defaults: Mapping[Cell, int] | None = None,
) -> list[Path]:
    """Write ``out``/NAME.png, .svg and .pdf: a row of panels per method, a column per task.

    ``trials`` is the number of trials that every study was asked for. ``defaults`` are the slots of the methods'
    defaults, below 0 for a study that did not try it; without them it is the first slot. The name of the method
    ``highlight`` stands out.
    """
    matplotlib.use("Agg")
    rows, columns = (list(dict.fromkeys(part)) for part in zip(*studies, strict=True))
    wide = PANEL[0] * len(columns) + LEFT
    note = [line for text in NOTE.splitlines() for line in wrap(text, int(wide / LETTER))]
    bottom = BOTTOM + LINE * len(note)
    title = f"{name}: {len(studies)} {'study' if len(studies) == 1 else 'studies'} of {trials} trials"
    lines = wrap(title, int(wide / TITLE_LETTER), break_on_hyphens=False)
    top = TOP + TITLE_LINE * (len(lines) - 1)
    high = PANEL[1] * len(rows) + top + bottom
    with plt.rc_context({**drawing.STYLE, "font.size": 7}):
        figure, axes = plt.subplots(
            len(rows), len(columns), figsize=(wide, high), sharex=True, sharey="col", squeeze=False
        )
        figure.subplots_adjust(LEFT / wide, bottom / high, 0.99, 1 - top / high, *BETWEEN)
        figure.suptitle("\n".join(map(drawing.plain, lines)), fontsize=11, y=1 - 0.12 / high, va="top")
        figure.supxlabel("\n".join(note), fontsize=7, color="0.4", y=0.12 / high, va="bottom")
        for own, method in zip(axes, rows, strict=True):
            color = drawing.HIGHLIGHTED if method == highlight else "black"
            own[0].set_ylabel(drawing.plain(method), fontsize=9, color=color)
            for axis, task in zip(own, columns, strict=True):
                if (method, task) in studies:
                    _draw(axis, studies[method, task], trials, (defaults or {}).get((method, task), 0) + 1)
                else:
                    axis.spines[:].set_visible(False)  # the names beside and above it stay
                    axis.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
        for axis, task in zip(axes[0], columns, strict=True):
            axis.set_title(drawing.plain(task), fontsize=9, pad=12)
        return drawing.write(figure, name, out)


def _draw(axis: Axes, study: optuna.Study, trials: int, default: int) -> None:
    found = sorted(study.get_trials(deepcopy=False), key=_place)
    found = [trial for trial in found if _place(trial) < trials]
    whole = [(_place(t) + 1, 100 * t.value) for t in found if t.state == TrialState.COMPLETE and t.value is not None]
    pruned = [_place(t) + 1 for t in found if t.state == TrialState.PRUNED]
    axis.plot(pruned, [0] * len(pruned), "|", color=drawing.WORDS, transform=axis.get_xaxis_transform(), clip_on=False)
    axis.set_xlim(0.4, trials + 0.6)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if whole:
        places, values = zip(*whole, strict=True)
        axis.plot(places, values, "o", color=drawing.OTHERS, markersize=3)
        best = [*accumulate(values, max)]
        axis.step([*places, trials], [*best, best[-1]], where="post", color=drawing.FRONTIER, linewidth=1)
        if default in places:
            axis.axhline(values[places.index(default)], color=drawing.OTHERS, linewidth=0.8, linestyle="--", zorder=0)
    if len({value for _, value in whole}) > 1:
        axis.text(
            1, 1.01, _most(study), transform=axis.transAxes, ha="right", va="bottom", fontsize=6, color=drawing.WORDS
        )


def _place(trial: optuna.trial.FrozenTrial) -> int:
    """Return the place of a trial in its study: its slot, which a trial that ran again keeps."""
    return int(trial.user_attrs.get("slot", trial.number))


def _most(study: optuna.Study) -> str:
    """Return the option that mattered most, and its share."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    if not shares:
        return ""
    option, share = max(shares.items(), key=lambda item: item[1])
    return drawing.plain(f"{option} {100 * share:.0f} %")
