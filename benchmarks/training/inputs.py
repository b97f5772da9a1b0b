"""What a person gives to ``predict``, as a batch: pictures of Pillow, arrays and tensors are checked and shaped."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from benchmarks.files import pictures
from benchmarks.files.frames import Frame, transform
from methods.errors import UserError, check

Samples = Tensor | NDArray[Any] | Image
FAR = 8  # normalised images lie this many times the range of colours around it at most; floats of 0 to 255 lie beyond
UINT8 = "give uint8 images, which are resized and normalised here"


def images(x: object, frame: Frame) -> Tensor:
    """uint8 images (B, 3, H, W) of any size, or float images (B, 3, size, size).

    A picture of Pillow becomes what its file would: it is turned as its EXIF says, transparent parts become white, and
    ``frame`` makes it a square. Tensors have the colours first, (3, H, W) or (B, 3, H, W); arrays have them last,
    (H, W, 3) or (B, H, W, 3).

    Raises:
        UserError: it is nothing of these, a picture has more than 8 bits per channel, or floats have another size.
    """
    if isinstance(x, Image):
        square: Tensor = transform(frame)(pictures.seen(x))
        return square[None]
    batch = _tensor(x, "images", "pictures of Pillow, arrays or tensors")
    is_array = isinstance(x, np.ndarray)
    wanted = "(H, W, 3) or (B, H, W, 3), as arrays have it" if is_array else "(3, H, W) or (B, 3, H, W)"
    fits = batch.ndim in (3, 4) and batch.shape[-1 if is_array else -3] == 3 and batch.numel() > 0
    check(fits, f"images have the shape {tuple(batch.shape)}, not {wanted}")
    batch = batch.movedim(-1, -3) if is_array else batch
    batch = batch if batch.ndim == 4 else batch[None]
    if batch.dtype == torch.uint8:
        return batch
    check(batch.is_floating_point(), f"images are {_name(batch)}, not uint8 or floats; {UINT8}")
    height, width = batch.shape[-2:]
    size = f"float images are {height} x {width} pixels, but the model takes {frame.size} x {frame.size}"
    check(height == width == frame.size, f"{size}; {UINT8}")
    return batch.float()


def check_scaled(x: Tensor, mean: Tensor, std: Tensor) -> None:
    """Refuse float images (B, 3, H, W) that look as if they were not normalised with ``mean`` and ``std``.

    Raises:
        UserError: they are not finite, lie far from the range of normalised colours, or fill [0, 1] and no more.
    """
    check(bool(x.isfinite().all()), f"float images have values that are not finite; {UINT8}")
    pixels = x * std + mean
    low, high = float(x.min()), float(x.max())
    near = pixels.min() >= -FAR and pixels.max() <= 1 + FAR
    unscaled = bool(mean.any()) and 0 <= low < high <= 1
    numbers = f"mean {mean.flatten().tolist()} and std {std.flatten().tolist()}"
    check(
        bool(near) and not unscaled,
        f"float images go from {low:g} to {high:g}, as if they were not normalised with {numbers}; {UINT8}",
    )


def clouds(x: object, width: int) -> Tensor:
    """Point clouds (B, N, width) as float32, from (N, width) or (B, N, width).

    Raises:
        UserError: it is nothing of these, or a value is not finite.
    """
    batch = _tensor(x, "clouds", "arrays or tensors of points")
    fits = batch.ndim in (2, 3) and batch.shape[-1] == width and batch.numel() > 0
    check(fits, f"clouds have the shape {tuple(batch.shape)}, not (N, {width}) or (B, N, {width})")
    check(batch.is_floating_point(), f"clouds are {_name(batch)}, not floats")
    batch = batch.float() if batch.ndim == 3 else batch[None].float()
    check(bool(batch.isfinite().all()), "clouds have values that are not finite")
    return batch


def joined(batches: list[Tensor]) -> Tensor:
    """One batch of several that a list held.

    Raises:
        UserError: there is none, or clouds have different numbers of points.
    """
    check(bool(batches), "the list of samples is empty; give one or more")
    shapes = sorted({tuple(batch.shape[1:]) for batch in batches})
    check(len(shapes) == 1, f"a list has samples of the shapes {shapes[0]} and {shapes[-1]}; predict them one by one")
    return torch.cat(batches)


def _tensor(x: object, what: str, allowed: str) -> Tensor:
    if isinstance(x, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(x))
        except TypeError:
            raise UserError(f"{what} are an array of {x.dtype}; give numbers") from None
    check(isinstance(x, Tensor), f"{what} are of type {type(x).__name__}; give {allowed}")
    assert isinstance(x, Tensor)
    return x


def _name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
