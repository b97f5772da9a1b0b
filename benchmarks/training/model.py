"""Classifier: backbone, method and head as one model."""

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self, cast

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

import methods
from benchmarks import backbones, suites
from benchmarks.backbones.parts import PartHead
from benchmarks.files.frames import Frame, transform
from benchmarks.records.spec import Spec
from benchmarks.suites.kinds import CLASSIFICATION, Kind, Segmentation
from benchmarks.training import inputs
from benchmarks.training.inputs import Samples
from methods.backbone import Backbone
from methods.base import Method

ROUNDING = 1e-3  # how much merging may change the features, as a share of the largest one; rounding reaches 1e-4
UNCHANGED = ((0.0,), (1.0,))  # the mean and the standard deviation that leave an image as it is


class Classifier(nn.Module):
    """Maps images (B, 3, H, W) or points (B, N, 3) to logits (B, classes).

    uint8 images are made as large as ``frame`` says, scaled to [0, 1] and normalised here. Float inputs are used as
    they are.
    If ``kind`` is segmentation, points with the category of their cloud (B, N, 4) are mapped to logits (B, parts, N).
    ``labels`` are the names of the classes in the order of the logits; None if the task file does not tell them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        method: Method,
        head: nn.Module,
        *,
        normalization: tuple[tuple[float, ...], tuple[float, ...]] = UNCHANGED,
        frame: Frame | None = None,
        frozen_batchnorm: Literal["keep", "adapt"] = "keep",
        kind: Kind = CLASSIFICATION,
        labels: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        self.kind, self.labels = kind, labels
        self.backbone, self.method, self.head, self.frame = backbone, method, head, frame
        self._resize = transform(frame or Frame(1))
        self.frozen_batchnorm = frozen_batchnorm
        for name, values in zip(("mean", "std"), normalization, strict=True):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def pooled(self, x: Tensor) -> Tensor:
        """Pooled features (B, head_hidden_size) of the backbone with the method's changes."""
        return cast(Tensor, self.backbone(self.normalized(x) if x.dtype == torch.uint8 else x))

    def normalized(self, x: Tensor) -> Tensor:
        """uint8 images as floats of the size and the normalisation that the backbone takes."""
        x = x.float() / 255
        if self.frame is not None and x.shape[-2:] != (self.frame.size, self.frame.size):
            x = self._resize(x).clamp(0, 1)
        return (x - self.mean) / self.std

    def features(self, x: Tensor) -> Tensor:
        """What the head sees: the pooled features, and those that the method adds; of segmentation the patch tokens."""
        return self._tokens(x)[0] if self.kind.per_point else self.method.features(self.pooled(x))

    def _tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The patch tokens (B, G, 3 D) of points (B, N, 4), and the centres (B, G, 3) of the patches."""
        pooled, tokens, centers = cast(Any, self.backbone).forward_layers(x[..., :3])
        self.method.features(pooled)  # the prompts that it took off leave their tap, which would keep their graph
        return tokens, centers

    def forward(self, x: Tensor) -> Tensor:
        seen = (x[..., :3], x[:, 0, 3].long(), *self._tokens(x)) if self.kind.per_point else (self.features(x),)
        return cast(Tensor, self.head(*seen))

    @torch.inference_mode()
    def predict(self, x: Samples | Sequence[Samples]) -> Tensor:
        """Class indices (B,) of what ``batch`` takes, in eval mode; of segmentation parts (B, N) of points.

        Example:
            >>> names = [model.labels[i] for i in model.predict([Image.open("a.jpg"), Image.open("b.jpg")])]
        """
        batch = self.batch(x)
        logits = self.eval()(batch)
        if isinstance(self.kind, Segmentation):
            return self.kind.predicted(logits, batch[:, 0, 3].long())
        return cast(Tensor, logits.argmax(dim=1))

    @torch.inference_mode()
    def probabilities(self, x: Samples | Sequence[Samples]) -> Tensor:
        """Probabilities (B, classes) of what ``batch`` takes, in eval mode; of segmentation (B, parts, N)."""
        return cast(Tensor, self.eval()(self.batch(x)).float().softmax(dim=1))

    def batch(self, x: Samples | Sequence[Samples]) -> Tensor:
        """What the backbone takes, on its device: float images (B, 3, size, size), or points (B, N, 3 or 4).

        Images are pictures of Pillow, arrays (B, H, W, 3), tensors (B, 3, H, W), one of them without B, or a list of
        all these. uint8 may have any size; it is resized and normalised. Floats must be normalised already. Clouds are
        arrays or tensors of floats.

        Raises:
            UserError: as the functions of ``inputs`` do.
        """
        if isinstance(x, list | tuple):
            return inputs.joined([self.batch(one) for one in x])
        if self.frame is not None:
            images = inputs.images(x, self.frame).to(self.mean.device)
            if images.dtype == torch.uint8:
                return self.normalized(images)
            inputs.check_scaled(images, self.mean, self.std)
            return images
        if isinstance(x, Tensor) and x.ndim == 4:  # images of a model that was built without a frame
            return x
        return inputs.clouds(x, 3 + self.kind.per_point).to(self.mean.device)

    @torch.no_grad()
    def merged(self, x: Tensor) -> Self:
        """A copy whose method is merged, in eval mode.

        Where merging changes more than the rounding of the features of ``x``, the copy would be another function. Then
        this is the unmerged model itself, and ``method.folded`` says so.
        """
        twin, before = copy.deepcopy(self).eval(), self.eval().features(x)
        twin.method.merge()
        change = (twin.features(x) - before).abs().max()
        return twin if change <= ROUNDING * before.abs().max() else self

    def train(self, mode: bool = True) -> Self:
        """Switch the training mode, but keep frozen parts fixed.

        A frozen BatchNorm keeps its statistics unless ``frozen_batchnorm`` is "adapt". The rest of the backbone stays
        in eval mode if the method asks for that.
        """
        super().train(mode)
        self.backbone.train(mode and self.method.stochastic_backbone)
        for module in self._batchnorms().values():
            if not module.weight.requires_grad:
                module.train(mode and self.frozen_batchnorm == "adapt")
        return self

    def changing_batchnorms(self) -> list[str]:
        """The names of the backbone's BatchNorms whose statistics change in training."""
        adapt = self.frozen_batchnorm == "adapt"
        return [name for name, module in self._batchnorms().items() if adapt or module.weight.requires_grad]

    def _batchnorms(self) -> dict[str, nn.modules.batchnorm._BatchNorm]:
        kind = nn.modules.batchnorm._BatchNorm
        return {name: module for name, module in self.backbone.named_modules() if isinstance(module, kind)}

    def trained_state(self) -> dict[str, Tensor]:
        """A copy of every trained tensor: method, head, unfrozen backbone parameters, changing BatchNorm statistics."""
        names = {f"backbone.{n}" for n, p in self.backbone.named_parameters() if p.requires_grad}
        names |= {f"backbone.{n}" for n in self.method.injected}
        for norm in self.changing_batchnorms():
            buffers = self.backbone.get_submodule(norm).named_buffers()
            names |= {f"backbone.{norm}.{name}" for name, _ in buffers}
        kept = {k: v for k, v in self.state_dict().items() if not k.startswith("backbone.") or k in names}
        return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in kept.items()}

    def count(self) -> dict[str, int]:
        """The number of trainable parameters of the method, the head and both, and all parameters of the backbone."""
        head = sum(p.numel() for p in self.head.parameters() if p.requires_grad)
        trainable = sum(p.numel() for p in self.parameters() if p.requires_grad)
        backbone = sum(p.numel() for n, p in self.backbone.named_parameters() if n not in self.method.injected)
        return {"method": trainable - head, "head": head, "trainable": trainable, "backbone": backbone}


def build(spec: Spec, *, pretrained: bool = True) -> Classifier:
    """The untrained model of a run. Its new weights are drawn from torch's global generator.

    With ``pretrained`` false the backbone's weights are drawn too. Parameters that the backbone's checkpoint lacks (the
    class token of Point-MAE and its position) start with random values, so every method trains them.

    Raises:
        UserError: missing or unreadable backbone weights.
    """
    pretrained = pretrained and methods.get(spec.method).pretrained
    backbone = backbones.build(spec.backbone.name, pretrained=pretrained, drop_path=spec.recipe.drop_path)
    described = backbones.describe(backbone)
    method = methods.build(spec.method, described, spec.config)
    fresh: frozenset[str] = getattr(backbone, "fresh", frozenset())
    method.unfreeze(p for name, p in backbone.named_parameters() if name in fresh and not p.requires_grad)
    kind = CLASSIFICATION if spec.kind == "classification" else suites.get(spec.suite).tasks[spec.task].kind
    normalization = {
        "checkpoint": (spec.backbone.mean, spec.backbone.std) if spec.backbone.mean else UNCHANGED,
        "imagenet": (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
        "none": UNCHANGED,
    }[spec.recipe.normalization]
    return Classifier(
        backbone,
        method,
        _head(kind, described, method, spec.classes),
        normalization=normalization,
        frame=spec.backbone.frame,
        frozen_batchnorm=spec.recipe.frozen_batchnorm,
        kind=kind,
        labels=spec.labels,
    )


def _head(kind: Kind, backbone: Backbone, method: Method, classes: int) -> nn.Module:
    """A new head: of segmentation one that sees patch tokens, else one that sees pooled features."""
    if isinstance(kind, Segmentation):
        width = cast(Any, backbone.module).num_features
        return PartHead(3 * width, 4 * width, len(kind.parts), classes)
    return backbones.make_head(backbone.module, backbone.head_hidden_size + method.extra_features, classes)
