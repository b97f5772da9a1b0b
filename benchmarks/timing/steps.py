"""Training steps to time, as functions that mark where their parts (forward, backward, optimizer) end."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import methods
from benchmarks import backbones
from benchmarks.backbones.images import image_normalization
from benchmarks.backbones.names import parse
from benchmarks.timing import floor
from benchmarks.training import prefix
from benchmarks.training.model import Classifier
from benchmarks.training.optimizer import adamw
from benchmarks.training.precision import autocast, suit_attention
from methods.errors import check

Mark = Callable[[str], None]
Step = Callable[[Mark], None]

FLOOR, PEER, COMPILED = "frozen floor", "hf:lora", "compiled"
PARTS = ("forward", "backward", "optimizer")
CLASSES = {"image": 100, "points": 15}  # as in CIFAR-100 and ScanObjectNN
POINTS = 2048  # per cloud


@dataclass(frozen=True, kw_only=True)
class Case:
    """A method with the options that differ from its defaults; ``compiled`` means compiled by torch.compile."""

    method: str
    options: Mapping[str, object] = field(default_factory=dict)
    compiled: bool = False

    def __str__(self) -> str:
        options = (f"{name}={value}" for name, value in self.options.items())
        return " ".join([self.method, *options, *([COMPILED] if self.compiled else [])])


LORA, FULL = Case(method="lora"), Case(method="full")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where steps run: a backbone with random weights, the samples per step, a device, and the type of products."""

    backbone: str
    batch_size: int
    device: torch.device
    dtype: torch.dtype

    @property
    def classes(self) -> int:
        return CLASSES[backbones.modality(self.backbone)]

    def body(self) -> nn.Module:
        """The backbone as a run would compute with it, with weights that are drawn from torch's generator."""
        body = backbones.build(self.backbone, pretrained=False).to(self.device)
        suit_attention(body, self.device, self.dtype)
        return body

    def samples(self, count: int) -> tuple[Tensor, Tensor]:
        """Random samples in the shape that the backbone takes, and labels. Every call returns the same ones."""
        generator = torch.Generator().manual_seed(0)
        shape: tuple[int, ...] = (POINTS, 3)
        if backbones.modality(self.backbone) == "image":
            model, size, _ = parse(self.backbone)
            shape = (3, *[size or image_normalization(model)[2]] * 2)
        needed = count * math.prod(shape) * torch.float32.itemsize
        fits = prefix.fits(needed, torch.device("cpu"))
        check(
            fits, f"a batch of {count} samples has {needed / 1e9:.1f} GB, which leaves no memory for a step; give fewer"
        )
        x = torch.randn(count, *shape, generator=generator)
        return x.to(self.device), torch.randint(self.classes, (count,), generator=generator).to(self.device)

    def autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, self.dtype)

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"device": self.device.type, "dtype": str(self.dtype).removeprefix("torch.")}


def method_steps(cases: Sequence[Case], setting: Setting) -> dict[str, Step]:
    """A step of the frozen floor, which comes first, and a training step of each case."""
    body = setting.body()
    frozen = copy.deepcopy(body)
    head = nn.Linear(backbones.describe(body).head_hidden_size, setting.classes).to(setting.device)
    steps: dict[str, Step] = {FLOOR: _floor(frozen, head, setting)}
    for case in cases:
        tuned = build(case, setting, copy.deepcopy(body))
        share_frozen(tuned.backbone, frozen)
        steps[str(case)] = step(tuned, setting, compiled=case.compiled)
    return steps


def build(case: Case, setting: Setting, body: nn.Module) -> Classifier:
    """The case on the backbone, with the head of its modality, in training mode."""
    described = backbones.describe(body)
    method = methods.build(case.method, described, methods.config(case.method, case.options))
    width = described.head_hidden_size + method.extra_features
    return Classifier(body, method, backbones.make_head(body, width, setting.classes)).to(setting.device).train()


def step(tuned: Classifier, setting: Setting, *, compiled: bool = False) -> Step:
    """A training step, always on the same batch. The first call of a compiled step compiles it."""
    model: Classifier = torch.compile(tuned) if compiled else tuned  # type: ignore[assignment]
    optimizer, (x, y) = adamw(tuned, tuned.method.config.lr), setting.samples(setting.batch_size)

    def run(mark: Mark) -> None:
        _passes(lambda: tuned.method.loss(model, x, y, nn.functional.cross_entropy), setting, mark)
        optimizer.step()
        optimizer.zero_grad()
        mark("optimizer")

    return run


def _floor(backbone: nn.Module, head: nn.Module, setting: Setting) -> Step:
    floor.freeze(backbone, head)
    x, y = setting.samples(setting.batch_size)
    return lambda mark: _passes(lambda: nn.functional.cross_entropy(head(backbone(x)), y), setting, mark)


def _passes(loss: Callable[[], Tensor], setting: Setting, mark: Mark) -> None:
    with setting.autocast():
        value = loss()
    mark("forward")
    value.backward()
    mark("backward")


def share_frozen(backbone: nn.Module, other: nn.Module) -> None:
    """Let a backbone use another's tensors for its frozen weights, so that all methods fit into memory together."""
    theirs = dict(other.named_parameters())
    for name, parameter in backbone.named_parameters():
        if not parameter.requires_grad and name in theirs:
            parameter.data = theirs[name].data
