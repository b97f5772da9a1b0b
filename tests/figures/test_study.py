"""The sheet of tuning studies: the dashed line is the default's accuracy, and is not there where nobody tried it."""

import optuna
from matplotlib.figure import Figure

from benchmarks.figures import study


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
