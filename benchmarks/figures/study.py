"""Pictures of a study, by the plots of Optuna: the history of the search, and the importance of options."""

import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import optuna
from matplotlib.figure import Figure

from benchmarks.figures.drawing import plain, save


def write(study: optuna.Study, title: str, trials: int, stem: Path) -> list[Path]:
    """Write STEM-history.png, and STEM-importances.png if trials differ; returns their paths.

    ``title`` names the study, as in "lora on digits"; ``trials`` is the number of trials that were asked for.
    """
    matplotlib.use("Agg")
    written = []
    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        history = optuna.visualization.matplotlib.plot_optimization_history(study, target_name="validation accuracy")
        history.set_title(plain(f"{title}: {trials} trials"))
        history.legend(loc="lower right")
        written.append(_save(history.figure, stem.with_name(f"{stem.name}-history.png")))
        complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if len({trial.value for trial in complete}) > 1:
            axes = optuna.visualization.matplotlib.plot_param_importances(
                study, optuna.importance.FanovaImportanceEvaluator(seed=0), target_name="validation accuracy"
            )
            axes.set_title("", loc="left")  # removes the title of Optuna
            axes.set_title(plain(f"{title}: what mattered in {trials} trials"))
            written.append(_save(axes.figure, stem.with_name(f"{stem.name}-importances.png")))
    return written


def _save(figure: object, path: Path) -> Path:
    assert isinstance(figure, Figure)
    figure.set_size_inches(7.2, 4.0)
    figure.tight_layout()
    save(figure, path, dpi=100)
    plt.close(figure)
    return path
