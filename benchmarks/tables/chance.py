"""Chance: what guessing gets on each task, and the rows with runs that learned nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
from scipy import stats

from benchmarks.tables.intervals import SAMPLES
from benchmarks.tables.statistics import TAILS

CHANCE = "chance"
MARK = "†"
LOSS = "history.train_loss"


def level(frame: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Return 100 / classes of each task, in one row; without a row if the metric is not accuracy.

    A class that is more frequent than others in a test split gets more, but the records do not have the frequencies.
    """
    if frame["metric"].iloc[0] != "accuracy":
        return pd.DataFrame(columns=list(tasks), dtype=float)
    return (100 / frame.groupby("spec.task")["spec.classes"].first()).to_frame(CHANCE).T[list(tasks)]


def at_chance(frame: pd.DataFrame) -> pd.Series[bool]:
    """Whether a run's 95 % binomial interval (Clopper and Pearson 1934) begins at or below chance."""
    hits = (frame["accuracy.test"] * frame[SAMPLES]).round()
    above = stats.binom.sf(hits - 1, frame[SAMPLES], 1 / frame["spec.classes"]) <= TAILS[0]
    return pd.Series(~above, frame.index) & (frame["metric"] == "accuracy")


def rose(frame: pd.DataFrame) -> pd.Series[bool]:
    """Whether the mean training loss of a run's last epoch is higher than that of its first."""
    return frame[LOSS].map(lambda losses: losses is not None and losses[-1] > losses[0])


def failures(frame: pd.DataFrame) -> tuple[set[tuple[str, str]], tuple[str, ...]]:
    """Return (row, task) of all runs at chance or whose loss rose, and a line with the next command for each row."""
    reasons = {"no better than chance": at_chance(frame), "the loss rose in training": rose(frame)}
    failed = frame[reasons["no better than chance"] | reasons["the loss rose in training"]]
    lines = []
    for row, runs in failed.groupby("row"):
        found = {why: runs.loc[bad[runs.index], "spec.task"].unique() for why, bad in reasons.items()}
        said = "; ".join(f"{why} on {', '.join(sorted(tasks))}" for why, tasks in found.items() if len(tasks))
        lines.append(f"{MARK} {row}: {said}. {_advice(runs.iloc[0])}")
    return set(zip(failed["row"], failed["spec.task"], strict=True)), tuple(lines)


def _advice(run: pd.Series[Any]) -> str:
    method, rate = run["spec.method"], json.loads(run["spec.config"])["lr"] / 10
    search = f"python -m benchmarks.tune --methods {method}"
    return f"Try a lower rate with --set {method}.lr={rate:.1g}, or search one with {search}."
