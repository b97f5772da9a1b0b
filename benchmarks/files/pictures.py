"""One picture file: of a format that no other program has to read, turned upright, and shown on white."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files.frames import Frame, transform
from benchmarks.files.places import check_plain
from methods.errors import UserError, check

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

# Pillow starts Ghostscript for an EPS file whatever its name is, so it may open these formats only
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
DEEP = ("I", "F")  # Pillow's modes of more than 8 bits per channel, which it would clip
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def load(paths: Sequence[str | Path], frame: Frame) -> Tensor:
    """Image files as uint8 (B, 3, size, size), read as for training; ``predict`` of a trained model takes them.

    ``frame`` is that of the model: its size, and how an image is cut.

    Raises:
        UserError: as ``read`` does.
    """
    import torch

    with without_warnings():
        pixels = bytearray(b"".join(decode(Path(path), frame) for path in paths))
    return torch.frombuffer(pixels, dtype=torch.uint8).view(len(paths), 3, frame.size, frame.size)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence Pillow, which warns of damaged EXIF and of large images in two lines each, and reads them anyway."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def decode(path: Path, frame: Frame) -> bytes:
    """An image file as the bytes of uint8 (3, size, size) in RGB, whatever its shape.

    Raises:
        UserError: as ``read`` does.
    """
    pixels: Tensor = transform(frame)(read(path))
    return pixels.numpy().tobytes()


def read(path: Path) -> Image:
    """The first frame of an image file, as ``seen`` returns it.

    Raises:
        UserError: it cannot be read, is of another format than ``FORMATS``, or has more than 8 bits per channel.
    """
    with _opened(path) as image:
        return seen(image, path)


def seen(image: Image, name: object = "the image") -> Image:
    """An open image in RGB, turned as its EXIF orientation says. What is transparent becomes white.

    Raises:
        UserError: it has more than 8 bits per channel; the message has its ``name``.
    """
    deep = f"it has {image.mode} pixels with more than 8 bits per channel; convert it to 8 bits"
    check(not image.mode.startswith(DEEP), f"cannot decode {name}: {deep}")
    return _on_white(_upright(image))


def animated(path: Path) -> bool:
    """Whether an image file has frames or pages after the first. Extra pictures of a phone do not count.

    Raises:
        UserError: it cannot be read, or is of another format than ``FORMATS``.
    """
    with _opened(path) as image:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def turned(path: Path) -> bool:
    """Whether an image file says that it has to be turned or mirrored before it is shown.

    Raises:
        UserError: it cannot be read, or is of another format than ``FORMATS``.
    """
    with _opened(path) as image:
        return _turn(image) is not None


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """The image that Pillow opens, while every error of its parsers becomes one line."""
    from PIL import Image, UnidentifiedImageError

    check_plain(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except UserError:
        raise
    except UnidentifiedImageError:
        allowed = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise UserError(f"cannot decode {path}: it is {_foreign(path)}; convert it to {allowed}") from None
    except Exception as error:  # Pillow's parsers raise exceptions of any type for a damaged file
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"cannot decode {path}: {' '.join(reason.split())[:200]}") from None


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    image.load()  # Pillow turns a TIFF by itself when it loads it
    turn = _turn(image)
    return image.transpose(Transpose[turn]) if turn else image


def _turn(image: Image) -> str | None:
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF of a whole image; its parsers too raise exceptions of any type
        return None


def _on_white(image: Image) -> Image:
    from PIL import Image as images

    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    return images.alpha_composite(images.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _foreign(path: Path) -> str:
    """What a file is by its first bytes, as far as Pillow knows; nothing of it is decoded."""
    from PIL import Image

    Image.init()
    with path.open("rb") as file:
        start = file.read(16).ljust(16, b"\0")
    named = (name for name, (_, accepts) in Image.OPEN.items() if accepts and accepts(start) is True)
    return next(named, "no image of a known format")
