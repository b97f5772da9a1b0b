"""What a sweep says when its output is no terminal."""

import pytest
from rich.console import Console

from benchmarks.cli import duration
from benchmarks.executors import display
from benchmarks.records import store
from tests.support.made_records import result


def test_a_line_per_ended_run_tells_its_outcome_and_the_time_left(tmp_path, specs, monkeypatch):
    console, clock = Console(record=True, width=40), iter([0.0, 60.0, 90.0, 120.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    first, second, third = specs("lora", seeds=(0, 1, 2))
    log = display.Log(console, 3)
    store.write(tmp_path, result(first, accuracy=0.938))
    store.write_trace(tmp_path, second, "failed", "the loss was nan")
    store.write(tmp_path, result(third, accuracy=1.0))
    for spec in (first, second, third):
        log.end(str(spec), display.outcome(tmp_path, spec))
    assert console.export_text().splitlines() == [
        "1/3 lora on digits, seed 0: 93.8 %, 1 s, about 2 min left",
        "2/3 lora on digits, seed 1: failed: the loss was nan, about 45 s left",
        "3/3 lora on digits, seed 2: 100.0 %, 1 s",
    ]


def test_what_is_tried_again_does_not_count(monkeypatch):
    console, clock = Console(record=True, width=40), iter([0.0, 60.0, 90.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    log = display.Log(console, 2)
    log.end("trial 0", "failed: no memory", again=True)
    log.end("trial 0", "93.8 %")
    assert console.export_text().splitlines() == [
        "0/2 trial 0: failed: no memory",
        "1/2 trial 0: 93.8 %, about 2 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (2880, "48 min"),
        (7199, "2 h 0 min"),
        (47.4 * 3600, "47 h 24 min"),
        (47.6 * 3600, "2 d 0 h"),
        (100 * 3600, "4 d 4 h"),
    ],
)
def test_a_time_has_the_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text
