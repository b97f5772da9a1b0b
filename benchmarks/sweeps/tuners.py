"""The table of Hugging Face PEFT's tuners in methods/README.md: what each is, its paper, and its parameters."""

import csv
from collections.abc import Mapping
from pathlib import Path

from tabulate import tabulate
from timm.models import VisionTransformer

import methods
from benchmarks import backbones
from methods.errors import check
from methods.hf import config as hf_config

COLUMNS = ("method", "description", "paper", "ViT-B/16")


def papers() -> Mapping[str, tuple[str, str]]:
    """What each type is, in a few words, and the address of its paper."""
    with Path(__file__).with_name("tuners.csv").open(encoding="utf-8", newline="") as file:
        return {row["kind"]: (row["what"], row["paper"]) for row in csv.DictReader(file)}


def table() -> str:
    """Every type of the installed PEFT with its default options, in Markdown.

    Raises:
        UserError: PEFT is not installed, or it has a type that tuners.csv does not describe.
    """
    known, rows = papers(), []
    for kind in hf_config.kinds():
        check(kind in known, f"tuners.csv has no line for {methods.BRIDGE}{kind}; add what it is, and its paper")
        what, paper = known[kind]
        where = paper.removeprefix("https://").partition("/")[0].removeprefix("www.")
        shown = paper.rpartition("/")[2] if where == "arxiv.org" else where
        rows.append([f"`{methods.BRIDGE}{kind}`", what, f"[{shown}]({paper})", f"{_count(methods.BRIDGE + kind):,}"])
    return tabulate(rows, headers=COLUMNS, tablefmt="github", disable_numparse=True)


def _count(name: str) -> int:
    """The parameters that train on ViT-B/16, without the head. PEFT computes with weights' values, here random ones."""
    backbone = backbones.describe(VisionTransformer(num_classes=0))
    method = methods.build(name, backbone, methods.config(name, {}))
    return sum(p.numel() for part in (backbone.module, method) for p in part.parameters() if p.requires_grad)
