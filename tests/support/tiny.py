"""Small backbones for the tests of methods, methods wired onto them, and the backbones that papers count on."""

from functools import cache, partial, wraps

import torch
from timm.models import VisionTransformer
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.backbones.point_femae import PointFEMAE
from benchmarks.backbones.point_gpt import PointGPT
from benchmarks.backbones.points import PointTransformer
from benchmarks.contract import tiny
from benchmarks.contract.tiny import DEPTH as DEPTH
from benchmarks.contract.tiny import WIDTH as WIDTH
from benchmarks.contract.tiny import convnext as convnext
from benchmarks.contract.tiny import eva as eva
from benchmarks.contract.tiny import move as move
from benchmarks.contract.tiny import points as points
from benchmarks.contract.tiny import swin as swin
from benchmarks.contract.tiny import vit as vit
from benchmarks.records.spec import Recipe
from benchmarks.training.model import Classifier
from benchmarks.training.train import Trainer

CPU = torch.device("cpu")
MODALITIES = ("image", "points")
FAMILIES = ("eva", "swin", "convnext")  # besides the plain ViT and the point transformer
FFN = {name: {"targets": ("fc1", "fc2")} for name in ("lora", "bi_lora", "mlae", "hydra")}
OPTIONS = {"convnext": {**FFN, "adapterx": {"prompts": False}}}  # it has no attention
# the groups are so few and small that they may leave fewer points out
OPTIONS |= {family: {"gaprompt": {"points": 32}} for family in ("points", "gpt", "femae")}
NAMES = sorted(methods.METHODS)
PAIRS = [(name, m) for name in NAMES for m in MODALITIES if tiny.FAMILIES[m].takes(methods.get(name))]
FITTING = [(name, family) for name in NAMES for family in FAMILIES if tiny.FAMILIES[family].takes(methods.get(name))]
close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


def gpt(**changes):
    return points(PointGPT, **{"qkv_bias": True, "widths": (8, 8, 16, 16)} | changes)


BUILDERS = {"gpt": gpt, "femae": partial(points, PointFEMAE)}  # besides those of the contract


def backbone(kind, layers=DEPTH, **changes):
    """A backbone in place of a pretrained one: every weight is random and none is zero."""
    build = BUILDERS[kind] if kind in BUILDERS else tiny.FAMILIES[kind].build
    return tiny.filled(build(depth=layers, **changes))


def inputs(kind, count=4):
    return tiny.inputs("points" if kind in BUILDERS else kind, count)


def trainer(model, load, epochs=2, scratch=None):
    """A Trainer of a model on what ``load`` returns for the name of a split, in batches of 4."""
    recipe = Recipe(epochs=epochs, batch_size=4, warmup_epochs=0)
    return Trainer(model, recipe, load, seed=0, device=CPU, dtype=torch.float32, scratch=scratch)


def wire(name, modality, layers=DEPTH, body=None, **options):
    """A method on a tiny backbone, a fresh one if none is given, with a linear head."""
    fitting = OPTIONS.get(modality, {}).get(name, {}) | options
    return tiny.wire(name, body or backbone(modality, layers), fitting)


def trainer_of(name, modality, load, options=None, *, classes=3, device=CPU, **recipe):
    """A trainer of a method on a fresh tiny backbone, with a linear head."""
    body = backbone(modality)
    torch.manual_seed(0)
    method = methods.build(name, backbones.describe(body), methods.config(name, options or {}))
    tuned = Classifier(body, method, nn.Linear(body.head_hidden_size + method.extra_features, classes))
    return Trainer(tuned, Recipe(**recipe), load, seed=0, device=device, dtype=torch.float32)


def trained(name, modality, layers=DEPTH, body=None, **options):
    """The same after some training: every trainable weight has moved by something random."""
    return move(wire(name, modality, layers, body, **options))


def on_meta(f):
    """The function, with every new tensor on the meta device: counting needs no values."""

    @wraps(f)
    def inner(*args, **options):
        with torch.device("meta"):
            return f(*args, **options)

    return inner


@cache
@on_meta
def point_mae():
    """The backbone of Point-MAE's classifier, for the published counts."""
    return PointTransformer()


@on_meta
def count_with_head(name, classes, **options):
    """Parameters that train on Point-MAE: the method's own and those with all that it unfreezes and the head."""
    body = point_mae()
    method = methods.build(name, backbones.describe(body), methods.config(name, options))
    head = body.make_head(body.head_hidden_size + method.extra_features, classes)
    own = sum(p.numel() for p in method.parameters())
    total = sum(p.numel() for part in (body, method, head) for p in part.parameters() if p.requires_grad)
    method.detach()
    return own, total


@cache
def vit_base(device="meta"):
    """ViT-B/16 without its class head, for the published counts."""
    with torch.device(device):
        return VisionTransformer(num_classes=0)


def count(name, **options):
    """Parameters that the method trains on ViT-B/16, head excluded."""
    device = "cpu" if name.startswith(methods.BRIDGE) else "meta"  # PEFT may compute with the weights' values
    body = vit_base(device)
    with torch.device(device):
        method = methods.build(name, backbones.describe(body), methods.config(name, options))
    total = sum(p.numel() for part in (body, method) for p in part.parameters() if p.requires_grad)
    method.detach()
    return total
