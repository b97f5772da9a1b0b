"""The sheet of tuning studies: the dashed line is the default's accuracy, and is not there where nobody tried it."""

import optuna
from matplotlib.figure import Figure

from benchmarks.figures import drawing, study


def test_the_dashed_line_is_at_the_default_and_absent_where_it_was_not_tried():
    grid, rates = optuna.create_study(direction="maximize"), optuna.distributions.CategoricalDistribution([0.1, 0.2])
    for slot, (rate, value) in enumerate(((0.1, 0.5), (0.2, 0.7))):
        trial = optuna.trial.create_trial(
            value=value, user_attrs={"slot": slot}, params={"lr": rate}, distributions={"lr": rates}
        )
        grid.add_trial(trial)
    dashed = {}
    for default in (0, 1, 2):
        axis = Figure().subplots()
        study._draw(axis, grid, 2, default)
        dashed[default] = [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == "--"]
    assert dashed == {0: [], 1: [50.0], 2: [70.0]}


def test_the_title_of_a_sheet_with_one_column_is_inside_it(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, "write", lambda figure, name, out: drawn.append(figure) or [])
    for name in ("mini", "realdata-modelnet10", "a-folder-with-a-name-of-many-words"):
        study.write({("full", name): optuna.create_study(direction="maximize")}, name, 3, tmp_path)
        (title, whole), panel = (drawn[-1]._suptitle.get_window_extent(), drawn[-1].bbox), drawn[-1].axes[0]
        assert whole.x0 <= title.x0 and title.x1 <= whole.x1 and title.y1 <= whole.y1
        assert title.y0 > panel.title.get_window_extent().y1
