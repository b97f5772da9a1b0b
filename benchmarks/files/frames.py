"""How an image file becomes a square of pixels: by timm's own evaluation transform."""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple, cast

CropMode = Literal["squash", "center"]


class Frame(NamedTuple):
    """A square of ``size`` pixels per side, in timm's words. The default squashes the whole image into the square.

    Attributes:
        size: the side of the square in pixels.
        crop_mode: "squash" resizes both sides of the image alike; "center" resizes its shorter side, and cuts the
            longer one.
        crop_pct: the share of the resized image that the square keeps, per side.
        interpolation: "bicubic" or another of timm's.
    """

    size: int
    crop_mode: CropMode = "squash"
    crop_pct: float = 1.0
    interpolation: str = "bicubic"

    def __str__(self) -> str:
        """For the names of cached files: the size and the interpolation, and the crop if there is one."""
        whole = self.crop_mode == "squash" and self.crop_pct == 1
        return f"{self.size} {self.interpolation}" + ("" if whole else f" {self.crop_mode} {self.crop_pct!r}")


@cache
def transform(frame: Frame) -> Callable[[Any], Any]:
    """A function from an RGB image of Pillow, or uint8 images (..., 3, H, W), to uint8 (..., 3, size, size)."""
    from timm.data.transforms_factory import transforms_imagenet_eval

    size, mode, share, interpolation = frame
    made = transforms_imagenet_eval(size, share, mode, interpolation=interpolation, normalize=False)
    return cast(Callable[[Any], Any], made)
