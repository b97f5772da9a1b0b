"""The page methods/README.md: a table with what every method changes and trains, and its number of parameters.

Everything in the table except the published counts is measured on backbones with random weights.
"""

import copy
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from tabulate import tabulate
from timm.models import VisionTransformer
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.backbones.points import PointTransformer
from benchmarks.sweeps import matrix, tuners
from benchmarks.training.model import Classifier
from methods.hooks import only_reads
from methods.modality import Modality
from methods.papers import headline

CLASSES = 15  # ScanObjectNN has these, and papers on point clouds count its head
BRANCHES = {"": "block", "drop_path1": "attention branch", "drop_path2": "FFN branch"}
COLUMNS = (
    *("method", "description", "paper", "changes", "trains", "ViT-B/16", "published"),
    *("Point-MAE", "with head", "published", "merges", "modality"),
)


def page() -> str:
    """The page in Markdown."""
    bodies: dict[Modality, nn.Module] = {"image": VisionTransformer(num_classes=0), "points": PointTransformer()}
    for body in bodies.values():
        body.to("meta")  # counting needs no values
    small = {kind: backbones.build(name, pretrained=False) for name, kind in backbones.EMBEDDED.items()}
    with torch.device("meta"):
        rows = [_row(name, bodies, small) for name in methods.METHODS]
    sizes = {kind: sum(p.numel() for p in body.parameters()) for kind, body in bodies.items()}
    table = tabulate(rows, headers=COLUMNS, tablefmt="github", disable_numparse=True)
    text = Path(__file__).with_name("catalog.txt").read_text(encoding="utf-8")
    counts = {"image": sizes["image"], "points": sizes["points"], "classes": CLASSES}
    return text.format(**counts, table=table, matrix=matrix.table(), peft=version("peft"), tuners=tuners.table())


def _row(name: str, bodies: Mapping[Modality, nn.Module], small: Mapping[Modality, nn.Module]) -> list[str]:
    cls = methods.get(name)
    counts = {kind: ["", "", ""] for kind in bodies}
    for kind in [kind for kind in bodies if kind in cls.modalities]:
        merges, model = _merges(name, small[kind]), _wired(name, bodies[kind])
        places, trains = _places(model), _trains(model)
        if merges == "no":
            model.method.merge()  # it may still turn several copies into one
        counted, published = model.count(), _published(name, kind, bodies[kind])
        counts[kind] = [f"{counted['method']:,}", f"{counted['trainable']:,}", published]
    count, _, published = counts["image"]
    what, papers = headline(cls)
    paper = ", ".join(f"[{number}](https://arxiv.org/abs/{number})" for number in papers)
    modality = " and ".join(sorted(cls.modalities))
    return [f"`{name}`", what, paper, places, trains, count, published, *counts["points"], merges, modality]


def _wired(name: str, body: nn.Module, options: Mapping[str, object] | None = None) -> Classifier:
    body = copy.deepcopy(body)
    described = backbones.describe(body)
    method = methods.build(name, described, methods.config(name, options or {}))
    width = described.head_hidden_size + method.extra_features
    return Classifier(body, method, backbones.make_head(body, width, CLASSES))


def _places(model: Classifier) -> str:
    """The modules of the backbone whose input or output a hook changes, without the number of the block."""
    found = set()
    for name, module in model.backbone.named_modules():
        if any(not only_reads(hook) for hook in _hooks(module)):
            inside = re.sub(r"^blocks\.\d+\.?", "", name)
            found.add(BRANCHES.get(inside, inside))
    return ", ".join(sorted(found))


def _trains(model: Classifier) -> str:
    """What trains: new weights, and the backbone's own (everything, every bias, or the names of the modules)."""
    own = dict(model.backbone.named_parameters())
    unfrozen = {name for name, parameter in own.items() if parameter.requires_grad}
    new = ["new weights"] if any(p.requires_grad for p in model.method.parameters()) else []
    biases = {name for name in own if name.endswith("bias")}
    if unfrozen in (set(own), biases):
        return ", ".join([*new, "everything" if unfrozen == set(own) else "every bias"])
    stems = {re.sub(r"^blocks\.\d+\.|\.(weight|bias)$", "", re.sub(r"\.(weight|bias)$", "", n)) for n in unfrozen}
    return ", ".join([*new, *sorted(stems)]) or "the head"


def _merges(name: str, small: nn.Module) -> str:
    """Whether the method merges. This is measured on a backbone with values, because merging may depend on them."""
    with torch.device("cpu"):
        model = _wired(name, small)
        hooks = len(_hooks(*model.backbone.modules()))
        model.method.merge()
    if model.method.folded:
        return "yes"
    return "in part" if len(_hooks(*model.backbone.modules())) < hooks else "no"


def _hooks(*modules: nn.Module) -> list[Callable[..., object]]:
    return [hook for m in modules for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]


def _published(name: str, kind: Modality, body: nn.Module) -> str:
    published = vars(methods.get(name)).get("published")
    if published is None or not getattr(published, kind) or not published.options:
        return getattr(published, kind, "")
    given = ", ".join(f"{key} {value}" for key, value in published.options.items())
    return f"{getattr(published, kind)} ({given}: {_wired(name, body, published.options).count()['method']:,})"
