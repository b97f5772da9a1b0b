"""The colors of a run's pictures follow the one law of all figures."""

import pytest
from matplotlib.colors import to_hex

from benchmarks.figures import curve, drawing
from tests.support import many_records


@pytest.mark.parametrize("validated", [True, False])
def test_curves_have_the_color_of_the_frontier_and_a_second_one_is_gray(validated):
    (record,) = many_records.records(1)
    record["history"] = [
        {"epoch": 1, "train_loss": 1.0, "lr": 0.1, "val_accuracy": 0.4 if validated else None, "test_accuracy": 0.5}
    ]
    loss, accuracy, rate = curve.draw(record).axes
    blue, gray = to_hex(drawing.FRONTIER), to_hex(drawing.OTHERS)
    assert [to_hex(line.get_color()) for axis in (loss, rate) for line in axis.lines] == [blue, blue]
    assert [to_hex(line.get_color()) for line in accuracy.lines] == ([gray, blue] if validated else [blue])


def test_heat_maps_go_from_white_to_the_color_of_the_frontier():
    assert [to_hex(drawing.shades()(value)) for value in (0.0, 1.0)] == ["#ffffff", to_hex(drawing.FRONTIER)]
