"""Small backbones for the tests of methods, methods wired onto them, and the backbones that papers count on."""

from functools import cache, partial, wraps

import torch
from timm.models import ConvNeXt, Eva, SwinTransformer, VisionTransformer
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.backbones.point_femae import PointFEMAE
from benchmarks.backbones.point_gpt import PointGPT
from benchmarks.backbones.points import PointTransformer
from benchmarks.records.spec import Recipe
from benchmarks.training.model import Classifier
from benchmarks.training.train import Trainer

MODALITIES = ("image", "points")
PAIRS = [(name, m) for name in sorted(methods.METHODS) for m in MODALITIES if m in methods.get(name).modalities]
FAMILIES = ("eva", "swin", "convnext")  # besides the plain ViT and the point transformer
FFN = {name: {"targets": ("fc1", "fc2")} for name in ("lora", "bi_lora", "mlae", "hydra")}
OPTIONS = {"convnext": {**FFN, "adapterx": {"prompts": False}}}  # it has no attention
# the groups are so few and small that they may leave fewer points out
OPTIONS |= {family: {"gaprompt": {"points": 32}} for family in ("points", "gpt", "femae")}
FITTING = [
    (name, family)
    for name in sorted(methods.METHODS)
    for family in FAMILIES
    if "image" in methods.get(name).modalities
    and not (family == "convnext" and (methods.get(name).needs_attention or methods.get(name).needs_grid))
]
WIDTH, DEPTH = 48, 3
close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


def vit(**changes):
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 3, "mlp_ratio": 2}
    torch.manual_seed(0)
    return VisionTransformer(**shape | {"num_classes": 0} | changes).eval()


def points(model=PointTransformer, **changes):
    shape = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": 3, "num_groups": 4, "group_size": 4}
    torch.manual_seed(0)
    return model(**shape | {"widths": (8, 16, 16), "pos_width": 16} | changes).eval()


def gpt(**changes):
    return points(PointGPT, **{"qkv_bias": True, "widths": (8, 8, 16, 16)} | changes)


def eva(**changes):
    """EVA-02 in small: rotary positions, a gated FFN, registers, and a fused qkv that adds its biases by itself."""
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 3, "mlp_ratio": 2}
    kind = {"swiglu_mlp": True, "scale_mlp": True, "use_rot_pos_emb": True, "num_reg_tokens": 2, "init_values": 0.5}
    torch.manual_seed(0)
    return Eva(**shape | kind | {"num_classes": 0} | changes).eval()


def swin(depth=DEPTH, **changes):
    """Two stages; in the first, every second block shifts its windows."""
    shape = {"img_size": 32, "patch_size": 4, "embed_dim": 24, "depths": (depth - 1, 1), "num_heads": (3, 3)}
    torch.manual_seed(0)
    return SwinTransformer(**shape | {"window_size": 4, "mlp_ratio": 2, "num_classes": 0} | changes).eval()


def convnext(depth=DEPTH, **changes):
    """Four stages, as timm's class wants; the first three have one width."""
    torch.manual_seed(0)
    return ConvNeXt(**{"depths": (depth, 1, 1, 1), "dims": (24, 24, 24, 48), "num_classes": 0} | changes).eval()


BUILDERS = {"image": vit, "points": points, "eva": eva, "swin": swin, "convnext": convnext}
BUILDERS |= {"gpt": gpt, "femae": partial(points, PointFEMAE)}


def backbone(kind, layers=DEPTH, **changes):
    """A backbone in place of a pretrained one: every weight is random and none is zero. ``kind`` is in BUILDERS."""
    built = BUILDERS[kind](depth=layers, **changes)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += torch.randn_like(parameter) * 0.05
    return built


def inputs(kind, count=4):
    torch.manual_seed(1)
    return torch.rand(count, 64, 3) * 2 - 1 if kind == "points" else torch.randn(count, 3, 32, 32)


def trainer(model, load, epochs=2, scratch=None):
    """A Trainer of a model on what ``load`` returns for the name of a split, in batches of 4."""
    recipe = Recipe(epochs=epochs, batch_size=4, warmup_epochs=0)
    return Trainer(model, recipe, load, seed=0, device=torch.device("cpu"), dtype=torch.float32, scratch=scratch)


def wire(name, modality, layers=DEPTH, body=None, **options):
    """A method on a tiny backbone, a fresh one if none is given, with a linear head."""
    body = body or backbone(modality, layers)
    options = OPTIONS.get(modality, {}).get(name, {}) | options
    torch.manual_seed(2)
    method = methods.build(name, backbones.describe(body), methods.config(name, options))
    return Classifier(body, method, nn.Linear(body.head_hidden_size + method.extra_features, 5)).eval()


def trainer_of(name, modality, load, options=None, *, classes=3, **recipe):
    """A trainer on the CPU of a method on a fresh tiny backbone, with a linear head."""
    body = backbone(modality)
    torch.manual_seed(0)
    method = methods.build(name, backbones.describe(body), methods.config(name, options or {}))
    tuned = Classifier(body, method, nn.Linear(body.head_hidden_size + method.extra_features, classes))
    return Trainer(tuned, Recipe(**recipe), load, seed=0, device=torch.device("cpu"), dtype=torch.float32)


def trained(name, modality, layers=DEPTH, body=None, **options):
    """The same after some training: every trainable weight has moved by something random."""
    return move(wire(name, modality, layers, body, **options))


@torch.no_grad()
def move(model):
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter += torch.randn_like(parameter) * 0.1
        if name.endswith(".scale.bias"):
            parameter += 2  # opens a ReLU that would hide the weights before it
    return model


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
