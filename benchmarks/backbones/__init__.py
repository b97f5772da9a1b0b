"""Frozen backbones by name: their properties before they are built, their construction, and the head that fits them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from benchmarks.backbones.names import parse
from benchmarks.files.frames import CropMode, Frame
from methods.errors import UserError, check
from methods.options import LATER

if TYPE_CHECKING:
    from torch import nn

    from methods.backbone import Backbone
    from methods.modality import Modality

WEIGHTS = Path(__file__).parent / "weights"
ABSENT = "absent"  # in place of the digest of weights that are not on this machine
RANDOM = "random"  # in place of a digest, for an architecture without weights of its own
EMBEDDED: dict[str, Modality] = {"vit_nano": "image", "point_nano": "points"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A backbone and its weights.

    Attributes:
        name: a name of timm, vit_nano, or a name of a point transformer; NAME:SIZE has another image size than that of
            the pretraining, and NAME@FILE takes the weights from a file.
        modality: "image" or "points".
        sha256: the digest of the weights, or ABSENT or RANDOM.
        mean, std: per channel, the values that the images of the pretraining were normalised with; empty for points.
        image_size: the side of the square images in pixels; None for points.
        crop_mode, crop_pct, interpolation: how files become these images (``frame``).
    """

    name: str
    modality: Modality
    sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int | None
    crop_mode: CropMode = field(default="squash", metadata=LATER)
    crop_pct: float = field(default=1.0, metadata=LATER)
    interpolation: str = field(default="bicubic", metadata=LATER)

    @property
    def frame(self) -> Frame | None:
        """How image files become what the backbone takes; None for points."""
        if self.image_size is None:
            return None
        return Frame(self.image_size, self.crop_mode, self.crop_pct, self.interpolation)

    @property
    def identity(self) -> str:
        """The digest of the weights, and the size of the images if it is not that of the pretraining."""
        size = parse(self.name).size
        return self.sha256 if size is None else f"{self.sha256}:{size}"


def modality(name: str) -> Modality:
    """The modality by the name alone: names that start with "point_" take points, all others take images.

    Raises:
        UserError: there is nothing after the @, or a size of images for points.
    """
    model, size, file = parse(name)
    check(
        bool(file) or "@" not in name,
        f"backbone '{name}' names no file after the @; give NAME@FILE, or leave the @ out",
    )
    if not model.startswith("point_"):
        return "image"
    check(size is None, f"backbone '{name}' takes point clouds, which have no size in pixels; leave :{size} out")
    return "points"


def weights_path(name: str) -> Path | None:
    """The file of the weights: an embedded one, or the FILE of NAME@FILE; None for a model that names no file.

    Raises:
        UserError: the file is missing; the message names it.
    """
    model, _, given = parse(name)
    if not given and model not in EMBEDDED:
        return None
    path = Path(given) if given else WEIGHTS / f"{model}.safetensors"
    if not path.is_file():
        hint = (
            "give NAME@FILE of an existing file"
            if given
            else f"make it with: python -m benchmarks.pretrain {model} --out {WEIGHTS}"
        )
        raise UserError(f"weights of backbone '{model}' are missing: {path} is not a file; {hint}")
    return path


@cache
def source(name: str) -> Source:
    """The name, the weights' digest and the normalisation of a backbone, as a run's key needs them.

    Raises:
        UserError: the name is unknown or the weights are missing.
    """
    path = weights_path(name)
    if path is not None:
        with path.open("rb") as file:
            return _source(name, hashlib.file_digest(file, "sha256").hexdigest())
    return _source(name, RANDOM if modality(name) == "points" else _weights_sha256(name))


def framed(source: Source, resize: Literal["squash", "checkpoint"]) -> Source:
    """The source with the frame that a recipe asks for: the whole image, or what the weights were tested with.

    Raises:
        UserError: timm has no frame of the model that this benchmark knows.
    """
    if resize == "squash" or source.image_size is None:
        return source
    from benchmarks.backbones.images import image_frame

    frame = image_frame(parse(source.name).model, source.image_size)
    return replace(source, **{name: getattr(frame, name) for name in ("crop_mode", "crop_pct", "interpolation")})


def source_or_absent(name: str) -> Source:
    """Like ``source``, but nothing is downloaded: the digest of weights that are not on this machine is ABSENT.

    Raises:
        UserError: the name is unknown, or a file that it names is missing.
    """
    if weights_path(name) is not None:
        return source(name)
    if modality(name) == "points":
        build(name, pretrained=False)  # refuses an unknown name
        return _source(name, ABSENT)
    from benchmarks.backbones.images import is_downloaded

    return source(name) if is_downloaded(parse(name).model) else _source(name, ABSENT)


def build(name: str, *, pretrained: bool = True, drop_path: float = 0.0) -> nn.Module:
    """The backbone without its class head, in eval mode. With ``pretrained`` false its weights are random.

    Raises:
        UserError: the name is unknown, or the weights are missing or cannot be loaded.
    """
    model, size, _ = parse(name)
    path = weights_path(name) if pretrained else None
    if modality(name) == "points":
        from benchmarks.backbones.point_models import build_point

        return build_point(model, pretrained=pretrained, drop_path=drop_path, weights=path)
    from benchmarks.backbones.images import build_image

    return build_image(model, pretrained=pretrained, drop_path=drop_path, weights=path, size=size)


@cache
def resampled(name: str, sha256: str) -> tuple[str, ...]:
    """Load the weights once, before any run. Returns one sentence for each tensor that was resampled to fit.

    Raises:
        UserError: the weights cannot be loaded, or are NaN or infinite.
    """
    return tuple(getattr(build(name), "resampled", ()))


def fresh(name: str) -> frozenset[str]:
    """The names of the parameters that the weights of a backbone lack, which every method trains.

    Raises:
        UserError: the weights cannot be loaded.
    """
    return getattr(build(name), "fresh", frozenset())


def describe(module: nn.Module) -> Backbone:
    """A backbone for methods: where its blocks, linears, norms, residual branches and prompts are.

    Raises:
        UserError: no family here has this class, or its blocks are of a kind that no method can act on.
    """
    from benchmarks.backbones import families

    return families.describe(module)


def fewest_points(name: str) -> int:
    """The points that a cloud needs at least; 0 for a backbone of images."""
    if modality(name) != "points":
        return 0
    from benchmarks.backbones.point_models import fewest

    return fewest(parse(name).model)


def make_head(backbone: nn.Module, in_features: int, classes: int) -> nn.Module:
    """The usual classifier: one linear layer for images, the three-layer MLP of Point-MAE for points."""
    head = getattr(backbone, "make_head", None)
    if head is not None:
        return cast("nn.Module", head(in_features, classes))
    from torch import nn

    linear = nn.Linear(in_features, classes)
    nn.init.zeros_(linear.bias)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    return linear


def _source(name: str, sha256: str) -> Source:
    if modality(name) == "points":
        return Source(name=name, modality="points", sha256=sha256, mean=(), std=(), image_size=None)
    from benchmarks.backbones.images import image_normalization

    parts = parse(name)
    mean, std, size = image_normalization(parts.model)
    if parts.size in (None, size):  # the same backbone must have one name
        parts = parts._replace(size=None)
    size = parts.size or size
    return Source(name=str(parts), modality="image", sha256=sha256, mean=mean, std=std, image_size=size)


def _weights_sha256(name: str) -> str:
    """The digest of the tensors of a model that timm downloads."""
    digest = hashlib.sha256()
    for key, tensor in sorted(build(name).state_dict().items()):
        digest.update(key.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
