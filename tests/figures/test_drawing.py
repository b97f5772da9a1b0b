"""Names are drawn as they are, in every picture: matplotlib takes a text between two dollar signs for a formula."""

from dataclasses import replace

import optuna
import pytest
import torch
from matplotlib.text import Text

from benchmarks import suites
from benchmarks.figures import curve, drawing, features, samples, study
from benchmarks.sweeps import report
from benchmarks.tables.reader import to_frame
from tests.support import many_records

NAME, DRAWN = "$_{$ \\$ [/x] \x1b", r"$_{$ \$ [/x] \x1b"


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of every figure that is saved, as they are drawn."""
    drawn: list[str] = []
    plain = Text.draw

    def draw(self: Text, *args: object):
        words, formula = self._preprocess_math(self.get_text())
        assert not formula or "mathdefault" in words  # the numbers of an axis are formulas of matplotlib itself
        drawn.append(words)
        plain(self, *args)

    monkeypatch.setattr(Text, "draw", draw)
    return drawn


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_leaderboard_of_such_names_has_all_its_files(texts, tmp_path):
    made = list(many_records.records(7 * 2, [(NAME, "image", NAME, 2, "last")], seeds=1))
    for record in made:
        record["spec"]["method"] += NAME
        record["spec"]["task"] += NAME
    written = report.save(to_frame(made), tmp_path)
    assert {path.stem for path in written} == {"leaderboard", "costs", "runs", "pareto", "ranks"}
    assert all(path.stat().st_size for path in written)
    assert [f"lora{DRAWN}" in text for text in texts].count(True) > 2
    about = f"{DRAWN} on hf-hub:{DRAWN}; "  # a backbone with a slash in its name is one of the hub
    assert any(text.startswith(about) for text in texts)


def test_pictures_of_a_run_show_its_names(texts, tmp_path):
    (record,) = many_records.records(1)
    record["spec"] |= {"method": NAME, "task": NAME}
    drawing.save(curve.draw(record), tmp_path / "curve.png")
    heading = drawing.title(record)
    drawing.save(drawing.heatmaps({NAME: [[1.0]]}, rows=[NAME], form=".0f", heading=heading), tmp_path / "maps.png")
    points = {NAME: torch.zeros(2, 2).numpy(), "tuned": torch.ones(2, 2).numpy()}
    drawing.save(features.draw(points, [0, 1], [NAME, "b"], heading), tmp_path / "features.png")
    assert sum(text.startswith(f"{DRAWN} on vtab1k / {DRAWN}, vit_base") for text in texts) >= 3
    assert texts.count(DRAWN) >= 3 and DRAWN.replace("_", " ") in texts


def test_a_contact_sheet_shows_its_names(texts, tmp_path):
    suite = suites.get("offline")
    task = replace(suite.tasks["digits"], labels=(NAME, "b"))
    x, y = suite.load("digits", "train", frame=None)
    sheet = replace(suite, name=NAME, tasks={NAME: task}, load=lambda *args, **options: (x[:8], y[:8] * 0))
    samples.draw(sheet, NAME, tmp_path / "sheet.png")
    assert any(text.startswith(f"{DRAWN} / {DRAWN}: ") for text in texts) and DRAWN.replace("_", " ") in texts


def test_a_sheet_of_studies_shows_their_names_and_their_trials_where_they_are(texts, tmp_path, monkeypatch):
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    searched = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    values = iter([0.5, 0.4, 0.7, 0.6])

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("lr", 0, 1)
        if trial.number == 1:
            raise optuna.TrialPruned
        return next(values)

    searched.optimize(objective, n_trials=5)
    figures, save = [], drawing.write
    monkeypatch.setattr(drawing, "write", lambda figure, *to: figures.append(figure) or save(figure, *to))
    assert len(study.write({(NAME, "digits"): searched, ("lora", "count"): searched}, "$_", 4, tmp_path)) == 3
    assert {DRAWN, "digits", "lora", "count", "$_: 2 studies of 4 trials"} <= set(texts) and "lr 100 %" in texts
    pruned, points, best, default = figures[0].axes[0].lines
    assert pruned.get_xdata().tolist() == [2]
    assert points.get_xydata().tolist() == [[1, 50], [3, 40], [4, 70]]  # of five trials four were asked for
    assert best.get_xydata().tolist() == [[1, 50], [3, 50], [4, 70], [4, 70]] and set(default.get_ydata()) == {50}
