"""The short table of a README against means and verdicts that are calculated here."""

import statistics

import pandas as pd
import pytest

from benchmarks.tables import summary
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table
from methods.errors import UserError
from tests.support.made_records import ACCURACY, frame

IMAGES = {place: [*values, *values[1:]] for place, values in ACCURACY.items()}  # five seeds
POINTS = {
    ("lora", "solids"): [0.60, 0.62, 0.61, 0.61, 0.61],
    ("linear", "solids"): [0.80, 0.82, 0.81, 0.81, 0.81],
    ("norm", "solids"): [0.91, 0.92, 0.93, 0.92, 0.92],
}


def made(accuracy: dict[tuple[str, str], list[float]], *methods: str) -> Table:
    return summary.summary(comparable(frame(accuracy)), methods)


def spread(*values: float) -> str:
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def test_each_row_has_the_means_of_its_method_on_images_and_on_points():
    cells = made(IMAGES | POINTS, "linear", "lora").cells
    pairs = zip(IMAGES["lora", "digits"], IMAGES["lora", "count"], strict=True)
    assert cells["images"]["lora"] == spread(*(100 * (digits + count) / 2 for digits, count in pairs))
    assert cells["points"]["linear"] == spread(80, 82, 81, 81, 81)
    assert cells["parameters"].to_dict() == {"lora": "100", "linear": "0"}


def test_rows_fall_by_the_mean_over_both_and_end_with_methods_of_one_modality():
    # lora (72.5 + 61) / 2, linear (51.5 + 81) / 2; norm has 92 on points, and no images
    table = made(IMAGES | POINTS, "norm", "linear", "lora")
    assert list(table.cells.index) == ["lora", "linear", "norm"]
    assert table.cells.loc["norm"].tolist() == ["-", spread(91, 92, 93, 92, 92), "50", "5", "- / best"]


def test_the_best_row_is_that_of_all_methods_and_not_of_those_shown():
    cells = made(IMAGES | POINTS, "lora", "linear").cells
    assert cells["against best"].to_dict() == {"lora": "best / below", "linear": "below / below"}


def test_runs_of_one_modality_have_one_column():
    table = made(POINTS, "linear", "norm")
    assert list(table.cells.columns) == ["points", "parameters", "seeds", "against best"]
    assert table.cells["against best"].to_dict() == {"norm": "best", "linear": "below"}


def test_a_row_of_fewer_than_five_seeds_has_its_mean_alone():
    # lora has three seeds on images and five on points, where linear is the best
    few = {place: ACCURACY.get(place, values) if place[0] == "lora" else values for place, values in IMAGES.items()}
    points = {place: values for place, values in POINTS.items() if place[0] != "norm"}
    cells = made(few | points, "lora", "linear").cells
    assert cells.loc["lora"].tolist() == ["72.5", spread(60, 62, 61, 61, 61), "100", "3 / 5", "best / below"]
    assert cells["seeds"]["linear"] == "5"
    assert cells["against best"]["linear"] == "- / best"


def test_seeds_that_lack_a_task_do_not_count():
    some = {place: values if place[1] != "count" else values[:2] for place, values in (IMAGES | POINTS).items()}
    assert "±" not in made(some, "lora", "linear").cells["images"]["lora"]


def test_a_method_without_runs_is_refused():
    with pytest.raises(UserError, match=r"unknown method 'ssf'.*linear, lora"):
        made(ACCURACY, "lora", "ssf")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"set": {"lora": {"rank": 4}}}, "one row per method, and lora has 2: lora, lora rank=4"),
        ({"recipe": {"epochs": 20}}, "images have several suites, backbones or recipes here; choose one suite"),
    ],
)
def test_two_rows_of_a_method_and_two_recipes_are_refused(asked, message):
    lora = {place: values for place, values in ACCURACY.items() if place[0] == "lora"}
    both = pd.concat([frame(lora), frame(lora, **asked)], ignore_index=True)
    with pytest.raises(UserError, match=message):
        summary.summary(comparable(both), ["lora"])
