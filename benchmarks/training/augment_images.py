"""timm's augmentations of images in training, seeded: they are drawn by the run's generator alone.

Shapes: B images, H rows, W columns.
"""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.auto_augment import RandAugment, rand_augment_transform
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torchvision.transforms import ColorJitter, InterpolationMode
from torchvision.transforms.functional import resized_crop

from benchmarks.records.spec import Recipe
from benchmarks.training.model import Classifier

ASPECTS = (3 / 4, 4 / 3)  # width by height of a random crop
Change = Callable[[Image.Image], Image.Image]


def augment_images(x: Tensor, recipe: Recipe, generator: torch.Generator, model: Classifier) -> Tensor:
    """Augment uint8 images (B, 3, H, W), each in its own way, and normalise them to floats as ``model`` does.

    The order is that of timm's ``create_transform``: random resized crop, horizontal flip, RandAugment or color jitter,
    normalisation, random erasing. All but RandAugment, which timm has for PIL images alone, happen on the device of
    ``x``.
    """
    with _seeded(generator, x.device):
        if recipe.crop_scale < 1:
            x = torch.stack([_cropped(image, recipe.crop_scale) for image in x])
        if recipe.hflip:
            turned = torch.rand(len(x)) < recipe.hflip
            x = torch.where(turned.to(x.device).view(-1, 1, 1, 1), x.flip(-1), x)
        if recipe.rand_augment:
            fill = tuple(round(255 * value) for value in model.mean.flatten().expand(3).tolist())
            x = _rand_augmented(x, rand_augment(recipe.rand_augment, x.shape[-1], fill))
        elif recipe.color_jitter:
            jitter = ColorJitter(recipe.color_jitter, recipe.color_jitter, recipe.color_jitter)
            x = torch.stack([jitter(image) for image in x])
        x = model.normalized(x)
        if recipe.random_erasing:
            x = RandomErasing(recipe.random_erasing, mode="pixel", device=x.device)(x)
    return x


@contextmanager
def _seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Start the global generators, from which timm draws, at a seed that ``generator`` draws; then restore them."""
    seed = int(torch.randint(2**31, (), generator=generator))
    state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)


def _cropped(image: Tensor, smallest: float) -> Tensor:
    """A random part of an image (3, H, W), of at least the share ``smallest`` of its area, at the image's size."""
    top, left, height, width = RandomResizedCropAndInterpolation.get_params(image, (smallest, 1.0), ASPECTS)
    size = list(image.shape[-2:])
    bicubic = InterpolationMode.BICUBIC
    return cast(Tensor, resized_crop(image, top, left, height, width, size, bicubic, antialias=True))


@cache
def rand_augment(magnitude: int, size: int, fill: tuple[int, ...]) -> RandAugment:
    """timm's policy rand-mM-mstd0.5-inc1 for images of ``size`` pixels; what comes in from outside gets color ``fill``.

    Called with an empty tuple it draws the changes of one image, as a tuple of functions of a PIL image.
    """
    options = {"translate_const": int(size * 0.45), "img_mean": fill, "interpolation": Image.Resampling.BICUBIC}
    policy: RandAugment = rand_augment_transform(f"rand-m{magnitude}-mstd0.5-inc1", options)
    for operation in policy.ops:
        operation.aug_fn = partial(_drawn, operation.aug_fn)
        if operation.name.startswith("Posterize"):
            operation.level_fn = partial(_some_bits, operation.level_fn)
    return policy


def _some_bits(level_fn: Callable[..., tuple[int]], *level: Any) -> tuple[int]:
    """At the highest magnitude timm keeps no bit, a black image, which Pillow refuses since 12."""
    return (max(1, level_fn(*level)[0]),)


def _drawn(function: Callable[..., Image.Image], before: tuple[Change, ...], *args: Any, **options: Any) -> object:
    """In place of an operation of timm: add it, with the arguments that were drawn, to the changes of an image."""
    return (*before, lambda image: function(image, *args, **options))


def _rand_augmented(x: Tensor, policy: RandAugment) -> Tensor:
    """Draw the changes one image after another, and apply them in threads: Pillow releases Python's lock."""
    changes = [policy(()) for _ in x]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        changed = list(pool.map(_changed, x.permute(0, 2, 3, 1).cpu().numpy(), changes))
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2).contiguous().to(x.device)


def _changed(pixels: NDArray[np.uint8], changes: tuple[Change, ...]) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    for change in changes:
        image = change(image)
    return np.asarray(image)
