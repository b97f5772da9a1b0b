"""Pictures of a study by Optuna's own plots: how the search went, and which options mattered."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    from benchmarks.tuning.studies import Search

SEED = 0  # of the forest that importances are read from
SIZE = (7.2, 4.0)


def write(search: Search, study: optuna.Study, folder: Path) -> list[Path]:
    """Write <task>-history.png, and <task>-importances.png where trials differ; returns their paths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import optuna

    base = search.base
    where = folder / base.suite / base.method.replace(":", "-")
    where.mkdir(parents=True, exist_ok=True)
    written = []
    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        history = optuna.visualization.matplotlib.plot_optimization_history(study, target_name="validation accuracy")
        history.set_title(f"{search}: {search.trials} trials")
        history.legend(loc="lower right")
        written.append(_save(history.figure, where / f"{base.task}-history.png"))
        complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if len({trial.value for trial in complete}) > 1:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
            axes = optuna.visualization.matplotlib.plot_param_importances(
                study, evaluator=evaluator, target_name="validation accuracy"
            )
            axes.set_title("", loc="left")  # Optuna's own
            axes.set_title(f"{search}: what mattered in {search.trials} trials")
            written.append(_save(axes.figure, where / f"{base.task}-importances.png"))
    return written


def _save(figure: object, path: Path) -> Path:
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    figure.set_size_inches(SIZE)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path
