"""Formula-driven point clouds with known attributes: arrangements of bent, tapered, twisted and lobed superquadrics.

Shapes: B clouds, P parts, N points, 16 groups as point_nano's tokenizer draws them.
"""

import math
from functools import cache

import torch
from torch import Tensor

from benchmarks.files.farthest import farthest_points
from benchmarks.pretext.draw import INVENTION, Random

POINTS, GROUPS, PARTS = 256, 16, 5
PLAIN = 0.4  # share of clouds of one upright part, without a cut or a floor
INVENTED = 24  # families that are invented
# exponents along the two angles, and the radius of the hole (0: no hole)
KNOWN = {
    "ellipsoid": (1.0, 1.0, 0.0),
    "box": (0.1, 0.1, 0.0),
    "cylinder": (0.1, 1.0, 0.0),
    "diamond": (1.9, 1.9, 0.0),
    "pillow": (1.0, 0.1, 0.0),
    "spindle": (2.2, 1.0, 0.0),
    "torus": (1.0, 1.0, 2.2),
    "frame": (0.2, 0.15, 2.6),
}
FAMILIES = len(KNOWN) + INVENTED
ARRANGEMENTS = ("stacked", "row", "ring", "scattered")
HEADS: dict[str, int] = {  # the attributes to predict, with their numbers of classes
    "family": FAMILIES,
    "second_family": FAMILIES,
    "parts": PARTS,
    "arrangement": len(ARRANGEMENTS),
    "tall": 6,
    "flat": 6,
    "taper": 5,
    "bend": 5,
    "twist": 5,
    "heading": 8,
    "tilted": 2,
    "cut": 2,
    "floor": 2,
    "noise": 3,
    "patch_family": FAMILIES + 1,
    "patch_part": 3,
}


def render(count: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw clouds: float32 (B, 256, 3) in the unit sphere and int64 targets by attribute.

    Targets are (B,) for the clouds and (B, 16) for the groups. -1 means that a sample has no value of an attribute.
    """
    draw = Draw(count, generator, device)
    plain = draw.uniform(0, 1, count) < PLAIN
    family = draw.integer(FAMILIES, count, PARTS)
    parts = 1 + torch.where(plain, 0, draw.integer(PARTS, count))
    size = draw.uniform(0.25, 0.6, count, PARTS)
    size[:, 0] = 0.8
    weight = torch.where(torch.arange(PARTS, device=device) < parts[:, None], size, 0.0)
    owner = torch.multinomial(weight, POINTS, replacement=True, generator=generator)  # (B, N)
    scale = draw.uniform(-1, 1, count, PARTS, 3).mul(0.9).exp()
    change = draw.uniform(-1, 1, 3, count)
    points = draw.surface(family.gather(1, owner)) * _of(scale * size[..., None], owner)
    points = torch.where((owner == 0)[..., None], _deform(points, change), points)
    arrangement = draw.integer(len(ARRANGEMENTS), count)
    points = points + _of(draw.places(arrangement), owner)
    label = torch.stack([family.gather(1, owner), (owner > 0).long()], -1)
    points, targets = draw.view(points, plain)
    points, label, floor = draw.floor(points, label, plain)
    noise = draw.integer(3, count)
    points = unit_sphere(points + draw.normal(count, POINTS, 3) * (noise * 0.02).view(-1, 1, 1))
    center = farthest_points(points, GROUPS)
    patch = label.gather(1, center[..., None].expand(-1, -1, 2))
    targets |= {"family": family[:, 0], "parts": parts - 1, "floor": floor, "noise": noise}
    targets["second_family"] = torch.where(parts > 1, family[:, 1], -1)
    targets["arrangement"] = torch.where(parts > 2, arrangement, -1)
    targets["tall"], targets["flat"] = (_bin(torch.log(scale[:, 0, 1] / scale[:, 0, i]), 1.8, 6) for i in (0, 2))
    targets |= {name: _bin(value, 1.0, 5) for name, value in zip(("taper", "bend", "twist"), change, strict=True)}
    return points, targets | {"patch_family": patch[..., 0], "patch_part": patch[..., 1]}


class Draw(Random):
    """Draws the parts of the clouds of one batch, and what happens to them."""

    def surface(self, family: Tensor) -> Tensor:
        """Points (B, N, 3) on unit superquadrics or supertoroids; ``family`` (B, N) is the family of every point."""
        first, second, hole, lobes, depth = _families(self.device)[family].unbind(-1)
        round_ = hole > 0
        sine = self.uniform(-1, 1, *family.shape)  # uniform in height, as on a sphere
        eta = torch.where(round_, sine * math.pi, torch.asin(sine))
        omega = self.uniform(-math.pi, math.pi, *family.shape)
        (across, height), (x, z) = _curve(eta, first), _curve(omega, second)
        radius = (hole + across) / (1 + hole) * (1 + depth * (lobes * omega).cos())
        return torch.stack([radius * x, height / torch.where(round_, 1 + hole, 1.0), radius * z], -1)

    def places(self, arrangement: Tensor) -> Tensor:
        """Offsets (B, P, 3) of the parts in an arrangement. The first part stays at the origin."""
        rank = torch.arange(PARTS, device=self.device, dtype=torch.float32).expand(self.count, -1)
        gap = self.uniform(0.5, 1.0, self.count, 1)
        zero = torch.zeros_like(rank)
        angle = rank * self.uniform(1.0, 2.1, self.count, 1)
        options = torch.stack(
            [
                torch.stack([zero, rank * gap, zero], -1),
                torch.stack([rank * gap, zero, zero], -1),
                torch.stack([angle.cos() * 1.2, zero, angle.sin() * 1.2], -1),
                self.uniform(-1.2, 1.2, self.count, PARTS, 3),
            ],
            1,
        )
        chosen = options.gather(1, arrangement.view(-1, 1, 1, 1).expand(-1, 1, PARTS, 3))[:, 0]
        return chosen * (rank > 0)[..., None]

    def view(self, points: Tensor, plain: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Turn every cloud about y; tilt some that are not plain, and cut some of these at a plane.

        Points that are cut off move onto the rest.
        """
        heading, tilt = self.uniform(0, 2 * math.pi, self.count), (self.uniform(0, 1, self.count) < 0.3) & ~plain
        points = _turn(points - points.mean(1, keepdim=True), heading, 0, 2)
        points = _turn(points, torch.where(tilt, self.uniform(0.3, 1.2, self.count), 0.0), 1, 2)
        cut = (self.uniform(0, 1, self.count) < 0.4) & ~plain
        side = torch.nn.functional.normalize(self.normal(self.count, 3), dim=-1)
        depth = (points @ side[..., None])[..., 0]
        limit = depth.quantile(0.65, dim=1, keepdim=True)
        keep = (depth <= limit) | ~cut[:, None]
        source = torch.multinomial(keep.float(), POINTS, replacement=True, generator=self.generator)
        moved = _of(points, source) + 0.01 * self.normal(self.count, POINTS, 3)
        points = torch.where(keep[..., None], points, moved)
        bins = (heading / (2 * math.pi) * 8).long().clamp(max=7)
        return points, {"heading": bins, "tilted": tilt.long(), "cut": cut.long()}

    def floor(self, points: Tensor, label: Tensor, plain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Move a fifth of the points of some clouds that are not plain onto a plane under or behind the cloud."""
        has = (self.uniform(0, 1, self.count) < 0.4) & ~plain
        plane = self.uniform(-1.5, 1.5, self.count, POINTS, 3)
        low, back = (points[..., axis].amin(1, keepdim=True).expand(-1, POINTS) for axis in (1, 2))
        under = (self.uniform(0, 1, self.count, 1) < 0.5)[..., None]
        ground = torch.stack([plane[..., 0], low, plane[..., 2]], -1)
        wall = torch.stack([plane[..., 0], plane[..., 1], back], -1)
        taken = (self.uniform(0, 1, self.count, POINTS) < 0.2) & has[:, None]
        points = torch.where(taken[..., None], torch.where(under, ground, wall), points)
        other = torch.tensor([FAMILIES, 2], device=self.device)
        return points, torch.where(taken[..., None], other, label), has.long()


@cache
def _families(device: torch.device) -> Tensor:
    """Of every family both exponents, the radius of the hole, and number and depth of the lobes around y."""
    known = torch.tensor([(*shape, 0.0, 0.0) for shape in KNOWN.values()])
    draw = torch.rand(INVENTED, 6, generator=torch.Generator().manual_seed(INVENTION))
    exponents = 0.1 + 2.1 * draw[:, :2]
    hole = torch.where(draw[:, 2] < 0.3, 1.8 + draw[:, 3], 0.0)
    lobes = torch.tensor([0.0, 2.0, 3.0, 4.0, 5.0])[(draw[:, 4] * 5).long()]
    depth = torch.where(lobes > 0, 0.15 + 0.3 * draw[:, 5], 0.0)
    invented = torch.cat([exponents, hole[:, None], lobes[:, None], depth[:, None]], 1)
    return torch.cat([known, invented]).to(device)


def unit_sphere(points: Tensor) -> Tensor:
    """Clouds (B, N, 3), centred and scaled so that the farthest point lies on the unit sphere."""
    points = points - points.mean(1, keepdim=True)
    reach: Tensor = points.norm(dim=-1).amax(1)
    return points / reach.view(-1, 1, 1)


def _of(values: Tensor, index: Tensor) -> Tensor:
    """The rows of ``values`` (B, P, 3) at ``index`` (B, N), as (B, N, 3)."""
    return values.gather(1, index[..., None].expand(-1, -1, 3))


def _curve(angle: Tensor, exponent: Tensor) -> tuple[Tensor, Tensor]:
    """Points of superellipses in the directions ``angle``, so that corners get no more points than sides."""
    x, y = angle.cos(), angle.sin()
    reach = (x.abs().pow(2 / exponent) + y.abs().pow(2 / exponent)).pow(exponent / 2)
    return x / reach, y / reach


def _turn(points: Tensor, angle: Tensor, a: int, b: int) -> Tensor:
    """Clouds rotated in the plane of axes ``a`` and ``b``."""
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    turned = list(points.unbind(-1))
    turned[a], turned[b] = cos * points[..., a] - sin * points[..., b], sin * points[..., a] + cos * points[..., b]
    return torch.stack(turned, -1)


def _deform(points: Tensor, change: Tensor) -> Tensor:
    """Taper along y, bend in the plane of x and y, and twist about y, with strengths ``change`` (3, B) in -1..1."""
    taper, bend, twist = change[..., None]
    x, y, z = points.unbind(-1)
    x, z = x * (1 + 0.7 * taper * y), z * (1 + 0.7 * taper * y)
    angle = 1.5 * twist * y
    x, z = x * angle.cos() - z * angle.sin(), x * angle.sin() + z * angle.cos()
    return torch.stack([x + 0.8 * bend * y.square(), y, z], -1)


def _bin(value: Tensor, reach: float, bins: int) -> Tensor:
    """The bins of values in -reach..reach, all of equal width."""
    return ((value / reach + 1) / 2 * bins).long().clamp(0, bins - 1)
