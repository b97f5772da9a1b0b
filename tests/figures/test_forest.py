"""The forest plot: what an ablation is, and the differences to the default options with their intervals."""

import json

import pandas as pd
import pytest

from benchmarks.figures import forest
from benchmarks.sweeps import report
from benchmarks.tables.comparison import lines
from benchmarks.tables.rows import comparable
from tests.support.made_records import frame

CHANGES = ({}, {"heads": 1}, {"shared": False}, {"variant": "dynamic"})
TASKS = ("digits", "count", "solids")


@pytest.fixture(scope="module")
def ablation():
    """Adapter-X and three changes of it, with three seeds on two tasks of images and one of points."""
    made = []
    for place, options in enumerate(CHANGES):
        values = [0.5 + 0.02 * place + seed * (-1) ** place / 100 for seed in range(3)]
        made.append(frame({("adapterx", task): values for task in TASKS}, set={"adapterx": options}))
    return pd.concat(made, ignore_index=True)


def test_differences_and_verdicts_are_those_of_compare(ablation):
    for group in comparable(ablation):
        made = forest.changes(group)
        assert {f"adapterx {change.name}" for change in made} == set(group["row"]) - {"adapterx"}
        assert [change.difference for change in made] == sorted((c.difference for c in made), reverse=True)
        for change in made[:2]:
            text = "\n".join(lines(group, f"adapterx {change.name}", "adapterx"))
            assert f"difference {change.difference:+.2f} points" in text
            assert f"{change.low:+.2f}" in text and f"{change.high:+.2f}" in text
            assert ("tied: at least" in text) == (change.low <= 0 <= change.high)


def test_a_change_without_runs_in_common_with_the_default_is_left_out(ablation):
    heads = ablation["spec.config"].map(lambda text: json.loads(text)["heads"] == 1)
    for group in comparable(ablation.assign(**{"spec.seed": ablation["spec.seed"] + 7 * heads})):
        assert {change.name for change in forest.changes(group)} == {"shared=False", "variant=dynamic"}


def test_an_ablation_has_a_forest_plot_in_place_of_ranks_and_the_pareto_plot(ablation, tmp_path):
    names = {path.name for path in report.save(ablation, tmp_path) if path.parent.name == "figures"}
    assert names == {"forest.png", "forest.svg", "forest.pdf"}
    text = (tmp_path / "figures/forest.svg").read_text()
    assert all(f"<!-- {change} -->" in text for change in ("heads=1", "shared=False", "variant=dynamic"))
    assert "Images: 2 tasks, 1,000 parameters, 200 labels per task: changes to adapterx" in text


def test_other_rows_are_no_ablation(ablation):
    heads = ablation[ablation["spec.config"].map(lambda config: json.loads(config)["heads"] == 1)]
    another = ablation.assign(**{"spec.method": ablation["spec.method"].where(ablation["spec.seed"] > 0, "lora")})
    for runs in (heads, another):
        assert [group for group in comparable(runs) if forest.changed(group)] == []
    assert all(map(forest.changed, comparable(ablation)))
