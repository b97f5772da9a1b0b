"""Formula-driven images with known attributes: shapes, strokes and invented symbols on textures, without photographs.

There are no digits or letters. Shapes: B images, K object slots, 32 x 32 pixels, 16 patches of 8 x 8 pixels.
"""

import math
from functools import cache

import torch
from torch import Tensor

from benchmarks.pretext.draw import Random

SIZE, PATCH, SLOTS, SEGMENTS = 32, 8, 6, 10
SYMBOLS, WEAVES, WAVES = 32, 16, 3  # invented symbols, invented textures, and the waves of each texture
PLAIN, EMPTY = 0.4, 0.15  # shares of images with one large object on a flat background, and of textures alone
LIFT = 5  # the segment of a symbol that is not drawn, between its two strokes
INVENTION = 20261129  # the seed of what is invented
SOLIDS = ("disc", "triangle", "square", "hexagon", "star4", "star5", "bar", "ring")
STROKES = ("arc", "wave", "zigzag", "loop", "spiral", "hook", "cross", "fork")
TEXTURES = ("flat", "gradient", "stripes", "checker", "dots", "noise", "rings", "weave")
SURFACES = len(TEXTURES) + WEAVES
FIRST_SYMBOL = len(SOLIDS) + len(STROKES)
KINDS = FIRST_SYMBOL + SYMBOLS
# a full turn divided by this number maps a kind to itself; 0: every rotation does
SYMMETRY = (0, 3, 4, 6, 4, 5, 2, 0, 1, 2, 1, 1, 1, 1, 4, 1) + (1,) * SYMBOLS
HEADS: dict[str, int] = {  # the attributes to predict, with their numbers of classes
    "kind": KINDS,
    "x": 8,
    "y": 8,
    "size": 4,
    "rotation": 12,
    "fill": SURFACES,
    "hue": 8,
    "count": SLOTS + 1,
    "background": SURFACES,
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

    def texture(self, kind: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
        """Scalar textures (B, 32, 32) in [0, 1], turned and scaled; every image has its own kind."""
        cos, sin = (f(angle).view(-1, 1, 1) * scale.view(-1, 1, 1) for f in (torch.cos, torch.sin))
        a, b = cos * self.u + sin * self.v, cos * self.v - sin * self.u
        a = a + self.uniform(0, 6.28, self.count, 1, 1)
        coarse = self.normal(self.count, 1, 8, 8)
        noise = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic")[:, 0].sigmoid()
        flow = torch.sigmoid(2 * (cos * self.u + sin * self.v) / scale.view(-1, 1, 1))
        fine = torch.sin(a) * torch.sin(b)
        options = (
            torch.zeros_like(a),
            flow,
            torch.sigmoid(6 * torch.sin(a)),
            torch.sigmoid(12 * fine),
            torch.sigmoid(8 * (fine.abs() - 0.5)),
            noise,
            torch.sigmoid(6 * torch.sin((a.square() + b.square()).sqrt())),
            torch.sigmoid(8 * torch.maximum(torch.sin(a), torch.sin(b)) - 4),
        )
        known = kind.clamp(max=len(TEXTURES) - 1).view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE)
        value = torch.stack(options, 1).gather(1, known)[:, 0]
        woven = kind >= len(TEXTURES)
        value[woven] = self._weave(kind[woven] - len(TEXTURES), a[woven], b[woven])
        return value

    def _weave(self, kind: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Invented textures in [0, 1]: a sum of waves, each of which another wave bends, made sharp."""
        book = _weaves(self.device)[kind]  # (B, WAVES, 7)
        total = torch.zeros_like(a)
        for wave in range(WAVES):
            fa, fb, ga, gb, bend, strength, gain = book[:, wave].view(-1, 7, 1, 1).unbind(1)
            total = total + strength * torch.sin(fa * a + fb * b + bend * torch.sin(ga * a + gb * b))
        return torch.sigmoid(gain * total)

    def background(self, plain: Tensor, empty: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, 32, 32), the kinds of their textures (B,), and the bins of the textures' angles (B,).

        ``plain`` and ``empty`` (B,) say which images have a flat background, and which have nothing else.
        """
        flat = plain | ((self.uniform(0, 1, self.count) < 0.3) & ~empty)
        kind = torch.where(flat, 0, self.integer(SURFACES, self.count))
        angle = self.uniform(0, math.pi, self.count)
        value = self.texture(kind, angle, self.uniform(5, 14, self.count))
        one, two = (self.colors(self.uniform(0, 1, self.count)) * self.uniform(0, 1, self.count, 1) for _ in range(2))
        image = one[..., None, None] + (two - one)[..., None, None] * value[:, None]
        turned = (kind == 1) | (kind == 2) | (kind >= len(TEXTURES))
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
            "fill": torch.where((self.uniform(0, 1, *shape) < 0.5) | plain[:, None], 0, self.integer(SURFACES, *shape)),
        }

    def paint(self, objects: dict[str, Tensor], slot: int) -> tuple[Tensor, Tensor]:
        """Soft mask (B, 32, 32) and colours (B, 3, 32, 32) of one object per image."""
        one = {name: values[:, slot].view(-1, 1, 1) for name, values in objects.items() if name != "crowd"}
        u, v = (self.u - one["x"]) / one["size"], (self.v - one["y"]) / one["size"]
        cos, sin = one["angle"].cos(), one["angle"].sin()
        a, b = (cos * u + sin * v) * one["aspect"], (cos * v - sin * u) / one["aspect"]
        distance = _solid(one["kind"], a, b)
        pen = one["kind"].flatten() >= len(SOLIDS)
        distance[pen] = self._stroke(one["kind"].flatten()[pen] - len(SOLIDS), a[pen], b[pen])
        mask = torch.sigmoid(-distance * one["size"] * SIZE * self.uniform(1.2, 4.0, self.count, 1, 1))
        color = self.colors(objects["hue"][:, slot])[..., None, None]
        if slot < SLOTS - 1:  # small objects have one colour, because a texture would not show
            return mask, color
        other = self.colors(self.uniform(0, 1, self.count))[..., None, None]
        turn, scale = self.uniform(0, math.pi, self.count), self.uniform(8, 18, self.count)
        return mask, color + (other - color) * self.texture(objects["fill"][:, slot], turn, scale)[:, None]

    def _stroke(self, kind: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Distance to a polyline through the points of a stroke figure, minus half the width of the pen."""
        points = 0.85 * (_figures(self.device)[kind] + 0.08 * self.normal(len(kind), SEGMENTS + 1, 2))
        best = torch.full_like(a, 9.0)
        for i in range(SEGMENTS):
            start, end = points[:, i, :, None, None], points[:, i + 1, :, None, None]
            step = end - start
            along = ((a - start[:, 0]) * step[:, 0] + (b - start[:, 1]) * step[:, 1]) / (step.square().sum(1) + 1e-6)
            along = along.clamp(0, 1)
            across, down = a - start[:, 0] - along * step[:, 0], b - start[:, 1] - along * step[:, 1]
            squared = across.square() + down.square()
            if i == LIFT:
                squared = squared + 9.0 * (kind >= len(STROKES)).view(-1, 1, 1)
            best = torch.minimum(best, squared)
        return best.sqrt() - self.uniform(0.1, 0.24, len(kind), 1, 1)


def _solid(kind: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Values that grow with the distance to a solid's outline; they are negative inside."""
    radius, angle = (a.square() + b.square()).sqrt(), torch.atan2(b, a)
    kind = kind.clamp(max=len(SOLIDS))  # strokes and symbols get another distance
    sides = torch.tensor([64, 3, 4, 6, 4, 5, 64, 64, 4], device=a.device)[kind]
    step = 2 * math.pi / sides
    folded = (angle % step) - step / 2
    polygon = radius * folded.cos() / (step / 2).cos() - 1
    sharp = torch.tensor([0, 0, 0, 0, 0.62, 0.55, 0, 0, 0], device=a.device)[kind]
    star = radius - (1 - sharp * (1 - (2 * folded / step).abs()))
    bar = torch.maximum(a.abs() - 1, b.abs() - 0.28)
    ring = (radius - 0.75).abs() - 0.22
    return torch.where(kind == 6, bar, torch.where(kind == 7, ring, torch.where(sharp > 0, star, polygon)))


@cache
def _weaves(device: torch.device) -> Tensor:
    """The waves of all invented textures (WEAVES, WAVES, 7): two frequencies each, bend, strength and sharpness."""
    generator = torch.Generator().manual_seed(INVENTION + 1)
    low = torch.tensor([-1.3, -1.3, -1.3, -1.3, 0.0, 0.3, 1.0])
    high = torch.tensor([1.3, 1.3, 1.3, 1.3, 2.0, 1.0, 6.0])
    return (low + (high - low) * torch.rand(WEAVES, WAVES, 7, generator=generator)).to(device)


@cache
def _symbols(device: torch.device) -> Tensor:
    """The polylines of the invented symbols (SYMBOLS, SEGMENTS + 1, 2): curved strokes of five and four segments."""
    generator = torch.Generator().manual_seed(INVENTION)
    control = torch.rand(SYMBOLS, 2, 3, 2, generator=generator) * 2 - 1  # start, pull and end of each stroke
    strokes = []
    for stroke, count in enumerate((LIFT + 1, SEGMENTS - LIFT)):
        t = torch.linspace(0, 1, count)[:, None]
        start, pull, end = control[:, stroke, :, None].unbind(1)
        strokes.append((1 - t) ** 2 * start + 2 * t * (1 - t) * pull * 1.6 + t**2 * end)
    points = torch.cat(strokes, 1)
    low, high = points.amin(1, keepdim=True), points.amax(1, keepdim=True)
    return ((2 * points - low - high) / (high - low).amax(2, keepdim=True)).to(device)


@cache
def _figures(device: torch.device) -> Tensor:
    """The polylines of all stroke kinds and symbols, (kinds, SEGMENTS + 1, 2)."""
    t = torch.linspace(0, 1, SEGMENTS + 1, device=device)
    turn = 2 * math.pi * t
    lines = {
        "arc": (torch.cos(turn * 0.5), torch.sin(turn * 0.5) - 0.4),
        "wave": (2 * t - 1, 0.6 * torch.sin(turn)),
        "zigzag": (2 * t - 1, 0.5 * (((t * 4) % 2) - 1).abs() * 2 - 0.5),
        "loop": (torch.cos(turn) * (1 - 0.3 * t), 0.9 * torch.sin(turn) + 0.5 * t.square()),
        "spiral": (t * torch.cos(2 * turn), t * torch.sin(2 * turn)),
        "hook": (
            torch.where(t < 0.5, t * 0, torch.sin(turn) * 0.8),
            torch.where(t < 0.5, 1 - 3 * t, -0.5 + 0.5 * torch.cos(turn)),
        ),
        "cross": _path(t, [(-1, 0), (1, 0), (0, 0), (0, 1), (0, -1)]),
        "fork": _path(t, [(-0.8, 1), (0, 0), (0.8, 1), (0, 0), (0, -1)]),
    }
    return torch.cat([torch.stack([torch.stack(lines[name], -1) for name in STROKES]), _symbols(device)])


def _path(t: Tensor, corners: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    points = torch.tensor(corners, device=t.device)
    place = t * (len(corners) - 1)
    low = place.long().clamp(max=len(corners) - 2)
    point = points[low] + (points[low + 1] - points[low]) * (place - low)[:, None]
    return point[:, 0], point[:, 1]


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
