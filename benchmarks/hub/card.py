"""The model card of a run: what it is, its numbers, how to use it, how it was made, and whom to cite."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import methods
from benchmarks import __version__, suites
from benchmarks.backbones import EMBEDDED
from benchmarks.backbones.names import HUB, parse
from benchmarks.records import store
from benchmarks.records.command import command
from benchmarks.records.spec import Spec
from benchmarks.tables import intervals, reader, rows
from benchmarks.training import loading
from methods import papers

Record = Mapping[str, Any]
SHORT = 12  # digits of a digest that are shown
ROW = ("suite", "task", "method")  # runs of one row of a table agree in these at least
KINDS = {"image": "image-classification", "points": "point-cloud-classification"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the card tells.

    Attributes:
        spec: the run, whose backbone is named without a folder of this machine.
        record: its record.
        seeds: the runs of the same row of a table, with all seeds.
        repository, revision: where the card will be; the revision is None for the main branch.
        python: the lines that load the plain checkpoint; empty if there is none.
        timm: whether timm makes the model from the repository.
        unmerged: why there is no plain checkpoint; empty if there is one.
    """

    spec: Spec
    record: Record
    seeds: pd.DataFrame
    repository: str
    revision: str | None
    python: str
    timm: bool
    unmerged: str


def seeds(results: Path, record: Record) -> pd.DataFrame:
    """The runs of the row that a record belongs to, one per seed, as tables compare them."""
    same = [record["spec"][name] for name in ROW]
    found = reader.to_frame(one for one in store.each(results) if [one["spec"][name] for name in ROW] == same)
    group = next(group for group in rows.comparable(found) if record["key"] in set(group["key"]))
    (row,) = group.loc[group["key"] == record["key"], "row"]
    own: pd.DataFrame = group.loc[group["row"] == row]
    return own


def text(facts: Facts) -> str:
    """The card: YAML for the hub between two lines, and Markdown for a person."""
    spec, record = facts.spec, facts.record
    template = (files("benchmarks.hub") / "card.txt").read_text(encoding="utf-8")
    named_file = parse(spec.backbone.name)
    body = template.format(
        title=facts.repository.rpartition("/")[2],
        what=f"{_headline(spec)} on the task {spec.task} of {spec.suite}, with the backbone {named_file.plain}.",
        version=__version__,
        numbers=_numbers(facts),
        method=record["params"]["method"],
        head=record["params"]["head"],
        backbone=record["params"]["backbone"],
        bytes=record["params"]["task_file_bytes"],
        samples=record["accuracy"]["test_samples"],
        rule=record["accuracy"]["checkpoint_rule"],
        use=_use(facts),
        repository=facts.repository,
        revision=f" --revision {facts.revision}" if facts.revision else "",
        given=f" --backbone {named_file.plain}@FILE" if named_file.file else "",
        key=spec.key,
        samples_of="photos" if spec.backbone.modality == "image" else "clouds.h5",
        stem=spec.stem,
        reads=_reads(spec),
        command=command(spec.to_json()),
        made=_made(spec),
        data=_data(spec),
        weights=_weights(spec),
        cite=_cite(spec),
    )
    head = yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{head}---\n\n{body}"


def _metadata(facts: Facts) -> dict[str, Any]:
    """The fields that the hub reads: https://huggingface.co/docs/hub/model-cards."""
    spec, name = facts.spec, parse(facts.spec.backbone.name).model
    kind = KINDS[spec.backbone.modality]
    metric = facts.record["accuracy"].get("metric", "accuracy")
    value = round(100 * facts.record["accuracy"]["test"], 2)
    found = {
        "task": {"type": kind},
        "dataset": {"name": f"{spec.suite}/{spec.task}", "type": spec.suite},
        "metrics": [{"type": metric, "name": f"test {metric} in percent, seed {spec.seed}", "value": value}],
    }
    index = [{"name": facts.repository.rpartition("/")[2], "results": [found]}]
    tags = ["peft-vision-bench", spec.method, *(f"arxiv:{number}" for number in _papers(spec)[1])]
    base = {} if name in EMBEDDED or name.startswith("point_") else {"base_model": _base(name)}
    return {
        "library_name": "timm" if facts.timm else "peft-vision-bench",
        "tags": tags,
        **({"pipeline_tag": kind} if spec.backbone.modality == "image" else {}),  # the hub has no tag for clouds
        **base,
        "model-index": index,
    }


def _base(name: str) -> str:
    """The repository of the weights on the hub, as far as the name tells it."""
    return name.removeprefix(HUB) if name.startswith(HUB) else f"timm/{name}"


def _headline(spec: Spec) -> str:
    return f"`{spec.method}` ({_papers(spec)[0]})"


def _papers(spec: Spec) -> tuple[str, list[str]]:
    return papers.headline(methods.get(spec.method))


def _numbers(facts: Facts) -> str:
    """One row per seed, and the mean with its interval."""
    frame = facts.seeds.sort_values("spec.seed")
    tables: Any = intervals.means(frame)  # each has one row, and one column
    mean, half, counts = (float(table.iloc[0, 0]) for table in tables)
    metric = frame["metric"].iloc[0]
    lines = [f"| seed | test {metric} in percent |", "|---|---|"]
    shares = zip(frame["spec.seed"], frame["accuracy.test"], frame["key"], strict=True)
    this = facts.spec.key
    lines += [f"| {seed}{' (this model)' * (key == this)} | {100 * share:.1f} |" for seed, share, key in shares]
    if math.isnan(half):
        return "\n".join(lines)
    over = f"over {counts:.0f} seeds (Student's t)" if counts > 1 else "of the test split (binomial), from one seed"
    return "\n".join([*lines, "", f"Mean {mean:.1f} ± {half:.1f}: half the 95 % interval {over}."])


def _use(facts: Facts) -> str:
    repository = facts.repository + (f"@{facts.revision}" if facts.revision else "")
    if facts.timm:
        return (
            "With timm alone, from the weights in `model.safetensors`, into which the method is folded:\n\n"
            f"```python\n{loading.by_timm(f'hf-hub:{repository}')}\n```"
        )
    if facts.python:
        return (
            "`model.safetensors` is a plain checkpoint, into which the method is folded. timm has no name for this\n"
            f"architecture, so PEFT Vision Bench makes it:\n\n```python\n{facts.python}\n```"
        )
    return textwrap.fill(
        f"There is no checkpoint without the method: {facts.unmerged or 'its head is not linear'}.", 100
    )


def _reads(spec: Spec) -> str:
    if spec.backbone.frame is None:
        where = " in the unit sphere" if suites.seen_clouds(spec.suite)[0] else ", not scaled"
        return f"The model reads clouds as float points (B, N, 3){where}; `predict` reads them as the run's test did."
    frame = spec.backbone.frame
    return (
        f"The model reads photos of any size: `predict` makes them {frame.size} x {frame.size} pixels "
        f"({frame.crop_mode}, crop {frame.crop_pct:g}, {frame.interpolation}) and normalises them."
    )


def _made(spec: Spec) -> str:
    own = "DIR is the folder above the data. " if spec.suite not in suites.table() else ""
    tuned = f"The options were found by {spec.tuning['trials']} trials. " if spec.tuning else ""
    return f"{own}{tuned}The record, `record.json`, has every setting, the versions of all packages, and the history."


def _data(spec: Spec) -> str:
    fingerprint = f"The SHA-256 of all samples and labels starts with `{spec.data_fingerprint[:SHORT]}`."
    known = suites.get(spec.suite).tasks.get(spec.task) if spec.suite in suites.table() else None
    if known is None:
        return f"files of the owner, not part of this repository; their licence is not known. {fingerprint}"
    return f"{known.source}, licence: {known.licence}. {fingerprint}"


def _weights(spec: Spec) -> str:
    name = parse(spec.backbone.name)
    digest = f"The SHA-256 of the weights starts with `{spec.backbone.sha256[:SHORT]}`."
    if name.model in EMBEDDED and not name.file:
        return f"`{name.plain}` of PEFT Vision Bench, pretrained on drawn samples, licence: Apache-2.0. {digest}"
    where = f", from the file `{name.file}`" if name.file else " with the weights that timm names"
    return f"`{name.plain}`{where}; its owner says under which terms. {digest}"


def _cite(spec: Spec) -> str:
    cited = re.sub(r"arXiv:([\d.]+)", r"[arXiv:\1](https://arxiv.org/abs/\1)", papers.cited(methods.get(spec.method)))
    about = f"Please cite the paper of the method: {cited}." if cited else "The method has no paper of its own."
    return f"{about} PEFT Vision Bench has a `CITATION.cff`."
