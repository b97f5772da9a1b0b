"""The tables that ``run --list`` prints: methods, suites and backbones."""

import copy

from rich.table import Table
from torch import nn

import methods
from benchmarks import backbones, cli, suites
from benchmarks.backbones.point_models import PUBLISHED
from methods.papers import headline


def show_list() -> int:
    """Print methods with their papers and parameter counts, suites with their tasks, and backbones."""
    out = cli.console()
    embedded = {name: backbones.build(name) for name in backbones.EMBEDDED}
    columns = ("method", "modalities", "description and paper")
    table = Table(*columns, *[f"trained parameters on {name}" for name in embedded], title="methods")
    for name in methods.table():
        counts = [_method_count(name, backbone_name, body) for backbone_name, body in embedded.items()]
        what, papers = headline(methods.get(name))
        described = what + (f" (arXiv:{', '.join(papers)})" if papers else "")
        table.add_row(name, ", ".join(sorted(methods.get(name).modalities)), described, *counts)
    # one row for all, because importing Hugging Face PEFT to list its tuners takes seconds
    bridged = "any tuner of Hugging Face PEFT, such as hf:lora; needs the extra 'hf'"
    table.add_row(f"{methods.BRIDGE}TYPE", "image, points", bridged)
    out.print(table)
    known, no_folder = suites.listed()
    for suite in known:
        headings = ("task", "modality", "group", "classes", "train", "val", "test", "source")
        table = Table(*headings, title=f"suite {suite.name}")
        for name, task in suite.tasks.items():
            counts = [str(n) for n in (task.classes, task.train, task.val, task.test)]
            table.add_row(name, task.modality, task.group, *counts, task.source)
        out.print(table)
    if no_folder:
        out.print(no_folder, soft_wrap=True)
    table = Table("backbone", "modality", "parameters", title="backbones")
    for name, backbone in embedded.items():
        table.add_row(name, backbones.EMBEDDED[name], f"{sum(p.numel() for p in backbone.parameters()):,}")
    table.add_row("any ViT, Eva, Swin or ConvNeXt of timm, as NAME or NAME@FILE", "image", "")
    table.add_row(f"{', '.join(PUBLISHED)}, as NAME@FILE or NAME_1k@FILE", "points", "")
    out.print(table)
    return 0


def _method_count(name: str, backbone_name: str, body: nn.Module) -> str:
    cls = methods.get(name)
    if backbones.EMBEDDED[backbone_name] not in cls.modalities:
        return "-"
    backbone = copy.deepcopy(body)  # a copy is faster than a new backbone
    method = methods.build(name, backbones.describe(backbone), cls.Config())
    trained = [*method.parameters(), *backbone.parameters()]
    return f"{sum(p.numel() for p in trained if p.requires_grad):,}"
