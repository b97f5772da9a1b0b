"""The comparison of two rows, as the command shows it."""

import pandas as pd
import pytest

from benchmarks import leaderboard
from benchmarks.tables import comparison, reader
from methods.errors import UserError
from tests.support.made_records import ACCURACY, frame


def test_a_clear_difference_has_its_pairs_and_a_verdict():
    lines = comparison.lines(frame(ACCURACY), "linear", "lora")
    assert lines[0] == "offline version 2: image, vit_nano: linear against lora"
    assert lines[1] == "  pairs: 6, of tasks digits, count and seeds 0, 1, 2"
    assert lines[2] == "  linear wins 0, ties 0, loses 6"
    # (0.20 + 0.21 + 0.22) / 3 on digits, (0.20 + 0.17 + 0.26) / 3 on count
    assert lines[3] == "  difference -21.00 points"
    assert "above 0 in 0.0 %" in lines[4]
    assert lines[-1] == "  lora is above linear"


def test_rows_within_an_interval_are_tied():
    close = {**ACCURACY, ("norm", "digits"): [0.91, 0.91, 0.94], ("norm", "count"): [0.50, 0.53, 0.56]}
    lines = comparison.lines(frame(close), "lora", "norm")
    assert lines[2] == "  lora wins 2, ties 2, loses 2"
    assert lines[-1] == "  tied: at least one interval of the difference includes zero"


def test_missing_pairs_are_left_out_and_mentioned():
    partly = {**ACCURACY, ("linear", "count"): [0.30, 0.35]}
    lines = comparison.lines(frame(partly), "lora", "linear")
    assert lines[1] == "  pairs: 5, of tasks digits, count and seeds 0, 1, 2; some combinations are missing"


def test_one_seed_gives_no_interval_and_no_verdict():
    lines = comparison.lines(frame({key: values[:1] for key, values in ACCURACY.items()}), "lora", "linear")
    assert lines[3] == "  difference +20.00 points"
    assert lines[-1] == "  no interval and no verdict, because a task has fewer than two seeds in common"
    assert not any("95 %" in line for line in lines)


def test_groups_that_cannot_be_compared_have_one_line_with_the_reason():
    apart = {("lora", "digits"): [0.9, 0.8], ("linear", "count"): [0.3, 0.2], ("lora", "solids"): [0.5]}
    assert comparison.lines(frame(apart), "lora", "linear") == [
        "offline version 2: image, vit_nano: not compared, lora and linear have no task and seed in common",
        "offline version 2: points, point_nano: not compared, there are no runs of linear",
    ]


def with_ranks(*ranks: int) -> pd.DataFrame:
    """Runs of linear, and of lora with these ranks."""
    parts = [frame({("lora", "digits"): [0.5, 0.6]}, set={"lora": {"rank": rank}}) for rank in ranks]
    linear = frame({key: values for key, values in ACCURACY.items() if key[0] == "linear"})
    return pd.concat([linear, *parts], ignore_index=True)


def test_a_method_may_stand_for_its_only_row():
    assert comparison.lines(with_ranks(16), "lora", "linear")[0].endswith("lora rank=16 against linear")


def test_a_method_with_several_rows_needs_the_name_of_one():
    several = with_ranks(16, 2)
    assert comparison.lines(several, "lora", "linear") == [
        "offline version 2: image, vit_nano: not compared, 'lora' may mean lora rank=16, lora rank=2"
    ]
    assert comparison.lines(several, "lora rank=2", "linear")[0].endswith("lora rank=2 against linear")


@pytest.mark.parametrize(
    ("rows", "message"),
    [(("lroa", "linear"), "unknown row 'lroa'; did you mean 'lora'?"), (("lora", "lora"), "got 'lora' twice")],
)
def test_a_wrong_row_is_an_error_of_the_user(rows, message):
    with pytest.raises(UserError, match=message):
        comparison.lines(frame(ACCURACY), *rows)


def test_the_command_shows_the_lines_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reader, "load", lambda results, suite, **_: frame(ACCURACY))
    assert leaderboard.main(["--results", str(tmp_path), "--compare", "lora", "linear"]) == 0
    assert capsys.readouterr().out.splitlines() == comparison.lines(frame(ACCURACY), "lora", "linear")
    assert list(tmp_path.iterdir()) == []
