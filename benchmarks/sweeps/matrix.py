"""The table of methods and families of backbones in methods/README.md: what works where, and why not."""

import timm
import torch
from tabulate import tabulate

import methods
from benchmarks import backbones
from benchmarks.backbones.points import PointTransformer
from methods.backbone import Backbone
from methods.errors import UserError

REPRESENTATIVES = {  # of each family, by the heading of its column
    "ViT: DeiT-Ti": "deit_tiny_patch16_224",
    "Eva: EVA-02-Ti": "eva02_tiny_patch14_224",
    "Eva: DINOv3 ViT-S+": "vit_small_plus_patch16_dinov3",
    "Swin: Swin-B": "swin_base_patch4_window7_224",
    "ConvNeXt: ConvNeXt-T": "convnext_tiny",
}


def table() -> str:
    """The trained parameters of every method on every family, in Markdown, and the reasons where there are none."""
    reasons: dict[str, int] = {}
    with torch.device("meta"):  # counting needs no values
        bodies = {heading: timm.create_model(name, num_classes=0) for heading, name in REPRESENTATIVES.items()}
        described = {heading: backbones.describe(body) for heading, body in bodies.items()}
        described["points: Point-MAE"] = backbones.describe(PointTransformer())
        rows = [[f"`{name}`", *(_cell(name, body, reasons) for body in described.values())] for name in methods.METHODS]
    notes = "\n".join(f"{number}. {reason}" for reason, number in reasons.items())
    return f"{tabulate(rows, headers=['method', *described], tablefmt='github', disable_numparse=True)}\n\n{notes}"


def _cell(name: str, backbone: Backbone, reasons: dict[str, int]) -> str:
    """The number of trained parameters without the head, or the number of the reason why there is none."""
    if backbone.modality not in methods.get(name).modalities:
        return ""
    try:
        method = methods.build(name, backbone, methods.config(name, {}))
    except UserError as error:
        for parameter in backbone.module.parameters():
            parameter.requires_grad_(False)
        return f"no ({reasons.setdefault(str(error), len(reasons) + 1)})"
    trained = [p for part in (backbone.module, method) for p in part.parameters() if p.requires_grad]
    method.detach()
    return f"{sum(p.numel() for p in trained):,}"
