"""Numbers as papers print them, in the CSV files beside this one, each with its source and checkpoint rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parent
# this benchmark's point backbones by the papers' names
POINTS = {"point_mae": "pointmae", "point_bert": "pointbert", "point_act": "act", "point_recon": "recon_plain"}
VTAB_TASKS = 19  # that a group mean of a figure is over
CELLS = "cells"  # a number of one task each, as a table prints them
FIGURE = {"mean of three group means": "group mean"}


@cache
def numbers() -> pd.DataFrame:
    """Every number: suite, method, task (or "group mean"), accuracy in percent, backbone, augment, rule, source.

    Figures and second-hand quotes do not say which epoch they report: their rule is "unknown". ``params_m`` are
    millions of trained parameters, without the head for images and with it for points, ``params_percent`` the same as
    a figure shows them; NaN where the source has none. ``aggregate`` is what a number is over.
    """
    import pandas as pd

    images = pd.read_csv(FOLDER / "vtab1k.csv").assign(suite="vtab1k", augment="none", aggregate=CELLS)
    points = pd.read_csv(FOLDER / "pointcloud.csv").assign(aggregate=CELLS)
    # scanobjectnn_obj_bg is the task obj_bg of the suite scanobjectnn, modelnet40 the only one of its own
    parts = points["task"].str.extract(r"^(?P<suite>[a-z0-9]+)_?(?P<task>.*)$")
    points = points.assign(suite=parts["suite"], task=parts["task"].where(parts["task"] != "", parts["suite"]))
    drawn = pd.concat([pd.read_csv(FOLDER / name) for name in ("adapterx_figure1.csv", "second_hand.csv")])
    drawn[["suite", "task"]] = drawn["suite"].str.extract(r"^([a-z0-9]+)_?(.*)$").to_numpy()
    drawn["task"] = drawn["aggregate"].map(FIGURE).fillna(drawn["task"])
    augment = drawn["aggregate"].str.extract(r"(rotat)", expand=False).map({"rotat": "rotate"}).fillna("none")
    backbone = drawn["suite"].map({"vtab1k": "vit_base_patch16_224.orig_in21k"}).fillna("pointmae")
    drawn = drawn.assign(augment=augment, backbone=backbone, checkpoint_rule="unknown")
    columns = ["suite", "method", "task", "accuracy", "backbone", "augment", "checkpoint_rule", "source"]
    columns += ["aggregate", "params_m", "params_percent"]
    return pd.concat([images, points, drawn], ignore_index=True)[columns]


def find(suite: str, method: str, *, backbone: str, augment: str) -> pd.DataFrame:
    """The numbers of a method on a suite; on points those of this backbone and augmentation, on images of any."""
    found = numbers()
    found = found[(found["suite"] == suite) & (found["method"] == method)]
    if suite == "vtab1k":
        return found
    name = POINTS.get(backbone.partition("@")[0].removesuffix("_1k"))
    return found[(found["backbone"] == name) & (found["augment"] == augment)]


def summary(found: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> str:
    """One line: each task up to three, or both means over the tasks, or what only a figure shows; and the rules.

    ``groups`` are the tasks that are compared, by group; a mean needs all of them.
    """
    tasks = [task for members in groups.values() for task in members]
    of_tasks = found[found["task"].isin(tasks)]
    if of_tasks.empty and len(tasks) == VTAB_TASKS:
        shown = [f"group mean {accuracy:.1f} (figure or quote)" for accuracy in found["accuracy"]]
    else:
        found, by_task = of_tasks, of_tasks.drop_duplicates("task").set_index("task")["accuracy"]
        shown = [f"{task} {by_task[task]:.2f}" for task in tasks if task in by_task] if len(tasks) <= 3 else []
        if len(by_task) == len(tasks) > 3:
            means = [by_task[list(members)].mean() for members in groups.values()]
            shown = [f"mean {by_task.mean():.2f}", f"group mean {sum(means) / len(means):.2f}"]
    rules = sorted(set(found["checkpoint_rule"])) if shown else []
    return ", ".join(shown) + (f"; rule {' or '.join(rules)}" if rules else "")
