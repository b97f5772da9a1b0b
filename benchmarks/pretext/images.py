"""Formula-driven images with known attributes: shapes, strokes and invented symbols on textures, without photographs.

There are no digits or letters. Shapes: B images, K object slots, 32 x 32 pixels, 16 patches of 8 x 8 pixels.
"""

import math

import torch
from torch import Tensor

from benchmarks.pretext import shapes, textures
from benchmarks.pretext.draw import Random
from benchmarks.pretext.shapes import KINDS, SYMMETRY
from benchmarks.pretext.textures import TEXTURES

SIZE, PATCH, SLOTS = 32, 8, 6
PLAIN, EMPTY = 0.4, 0.15  # shares of images with one large object on a flat background, and of textures alone
HEADS: dict[str, int] = {  # the attributes to predict, with their numbers of classes
    "kind": KINDS,
    "x": 8,
    "y": 8,
    "size": 4,
    "rotation": 12,
    "fill": TEXTURES,
    "hue": 8,
    "count": SLOTS + 1,
    "background": TEXTURES,
    "background_angle": 8,
    "patch_kind": KINDS + 1,
    "patch_objects": 4,
    "patch_edge": 8,
}


def render(count: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw images: uint8 (B, 3, 32, 32) and int64 targets by attribute.

    Targets are (B,) for the background, the largest object and the number of objects, and (B, 16) for the patches. -1
    means that a sample has no value of an attribute.
    """
    draw = Draw(count, generator, device)
    scene = draw.uniform(0, 1, count)
    plain, empty = scene < PLAIN, scene > 1 - EMPTY
    background, kind, angle = draw.background(plain, empty)
    objects = draw.objects(plain, empty)
    image, owner, covered = background, torch.full((count, SIZE, SIZE), KINDS, device=device), []
    for slot in range(SLOTS):  # the largest object is drawn last, on top
        mask, color = draw.paint(objects, slot)
        mask = mask * objects["present"][:, slot].view(-1, 1, 1)
        image = image + (color - image) * mask[:, None]
        inside = mask > 0.5
        owner = torch.where(inside, objects["kind"][:, slot].view(-1, 1, 1), owner)
        covered.append(_patches(inside.float()).amax(-1))
    middle, contrast = image.mean((1, 2, 3), keepdim=True), draw.uniform(1.0, 3.0, count, 1, 1, 1)
    image = (middle + (image - middle) * contrast).clamp(0, 1)
    image = image + draw.normal(count, 3, SIZE, SIZE) * draw.uniform(0.0, 0.08, count, 1, 1, 1)
    targets = _main_targets(objects) | {"background": kind, "background_angle": angle}
    targets["patch_kind"] = _patches(owner.float()).mode(dim=-1).values.long()
    targets["patch_objects"] = torch.stack(covered).sum(0).long().clamp(max=3)
    targets["patch_edge"] = _edge_angle(image)
    return (image.clamp(0, 1) * 255).to(torch.uint8), targets


class Draw(Random):
    """Draws the parts of the images of one batch on a grid of pixels."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        super().__init__(count, generator, device)
        line = (torch.arange(SIZE, device=device) + 0.5) * (2 / SIZE) - 1
        self.v, self.u = torch.meshgrid(line, line, indexing="ij")

    def colors(self, hue: Tensor) -> Tensor:
        """Colours (..., 3) of the given hues in [0, 1), with random saturation and brightness."""
        phase = torch.tensor([0.0, 1 / 3, 2 / 3], device=self.device)
        wheel = 0.5 + 0.5 * torch.cos(2 * math.pi * (hue[..., None] - phase))
        value = self.uniform(0.35, 1.0, *hue.shape, 1)
        saturation = self.uniform(0.3, 1.0, *hue.shape, 1)
        return value * (1 - saturation + saturation * wheel)

    def background(self, plain: Tensor, empty: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, 32, 32), the kinds of their textures (B,), and the bins of the textures' angles (B,).

        ``plain`` and ``empty`` (B,) say which images have a flat background, and which have nothing else.
        """
        flat = plain | ((self.uniform(0, 1, self.count) < 0.3) & ~empty)
        kind = torch.where(flat, 0, self.integer(TEXTURES, self.count))
        angle = self.uniform(0, math.pi, self.count)
        value = textures.values(self, self.u, self.v, kind, angle, self.uniform(5, 14, self.count))
        one, two = (self.colors(self.uniform(0, 1, self.count)) * self.uniform(0, 1, self.count, 1) for _ in range(2))
        image = one[..., None, None] + (two - one)[..., None, None] * value[:, None]
        turned = (kind == 1) | (kind == 2) | (kind >= len(textures.KNOWN))
        return image, kind, torch.where(turned, (angle / math.pi * 8).long().clamp(max=7), -1)

    def objects(self, plain: Tensor, empty: Tensor) -> dict[str, Tensor]:
        """Parameters (B, K) of every object. The object in the last slot is the largest.

        It is absent from ``empty`` images (B,) alone, and the only one in ``plain`` images (B,).
        """
        shape = (self.count, SLOTS)
        size = self.uniform(0.14, 0.26, *shape)
        size[:, -1] = torch.where(plain, self.uniform(0.45, 0.95, self.count), self.uniform(0.3, 0.85, self.count))
        crowd = torch.where(plain, 0, torch.where(empty, -1, self.integer(SLOTS, self.count)))
        small = (self.uniform(0, 1, self.count) < 0.3) & ~plain
        size[:, -1] = torch.where(small, self.uniform(0.22, 0.34, self.count), size[:, -1])
        reach = (1 - size).clamp(min=0.1)
        return {
            "present": torch.arange(SLOTS - 1, -1, -1, device=self.device) <= crowd[:, None],
            "crowd": crowd,
            "kind": self.integer(KINDS, *shape),
            "size": size,
            "x": self.uniform(-1, 1, *shape) * reach,
            "y": self.uniform(-1, 1, *shape) * reach,
            "angle": self.uniform(0, 2 * math.pi, *shape),
            "aspect": self.uniform(0.75, 1.3, *shape),
            "hue": self.uniform(0, 1, *shape),
            "fill": torch.where((self.uniform(0, 1, *shape) < 0.5) | plain[:, None], 0, self.integer(TEXTURES, *shape)),
        }

    def paint(self, objects: dict[str, Tensor], slot: int) -> tuple[Tensor, Tensor]:
        """Soft mask (B, 32, 32) and colours (B, 3, 32, 32) of one object per image."""
        one = {name: values[:, slot].view(-1, 1, 1) for name, values in objects.items() if name != "crowd"}
        u, v = (self.u - one["x"]) / one["size"], (self.v - one["y"]) / one["size"]
        cos, sin = one["angle"].cos(), one["angle"].sin()
        a, b = (cos * u + sin * v) * one["aspect"], (cos * v - sin * u) / one["aspect"]
        distance = shapes.distance(self, one["kind"], a, b)
        mask = torch.sigmoid(-distance * one["size"] * SIZE * self.uniform(1.2, 4.0, self.count, 1, 1))
        color = self.colors(objects["hue"][:, slot])[..., None, None]
        if slot < SLOTS - 1:  # small objects have one colour, because a texture would not show
            return mask, color
        other = self.colors(self.uniform(0, 1, self.count))[..., None, None]
        turn, scale = self.uniform(0, math.pi, self.count), self.uniform(8, 18, self.count)
        return mask, color + (other - color) * textures.values(
            self, self.u, self.v, objects["fill"][:, slot], turn, scale
        )[:, None]


def _main_targets(objects: dict[str, Tensor]) -> dict[str, Tensor]:
    """Targets (B,) of the largest object, and the number of objects."""
    main = {name: values[:, -1] for name, values in objects.items() if name != "crowd"}
    absent = objects["crowd"] < 0
    order = torch.tensor(SYMMETRY, device=main["kind"].device)[main["kind"]]
    turn = (main["angle"] / (2 * math.pi) * order) % 1  # within one period of the shape's symmetry
    targets = {
        "kind": main["kind"],
        "x": ((main["x"] + 1) * 4).long().clamp(0, 7),
        "y": ((main["y"] + 1) * 4).long().clamp(0, 7),
        "size": ((main["size"] - 0.2) / 0.65 * 4).long().clamp(0, 3),
        "rotation": torch.where(order > 0, (turn * 12).long().clamp(max=11), -1),
        "fill": main["fill"],
        "hue": (main["hue"] * 8).long().clamp(max=7),
    }
    targets = {name: torch.where(absent, -1, values) for name, values in targets.items()}
    return targets | {"count": objects["crowd"] + 1}


def _patches(x: Tensor) -> Tensor:
    """(B, 32, 32) to (B, 16, 64): the pixels of every patch, in the order of tokens."""
    tiles = x.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
    return tiles.reshape(len(x), -1, PATCH * PATCH)


def _edge_angle(image: Tensor) -> Tensor:
    """The bin of the main edge direction of every patch, by its structure tensor; -1 for a patch without one."""
    gray = image.mean(1)
    du, dv = torch.zeros_like(gray), torch.zeros_like(gray)
    du[:, :, 1:-1] = gray[:, :, 2:] - gray[:, :, :-2]
    dv[:, 1:-1] = gray[:, 2:] - gray[:, :-2]
    uu, vv, uv = (_patches(p).mean(-1) for p in (du * du, dv * dv, du * dv))
    angle = 0.5 * torch.atan2(2 * uv, uu - vv)
    strength = ((uu - vv).square() + 4 * uv.square()).sqrt()
    weak = (strength < 0.3 * (uu + vv)) | (uu + vv < 0.004)
    return torch.where(weak, -1, ((angle / math.pi + 0.5) * 8).long().clamp(0, 7))
