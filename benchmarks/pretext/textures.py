"""Textures of drawn images: eight that are known, and others that are invented. Shapes: B images of 32 x 32 pixels."""

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.pretext.draw import INVENTION, Random

KNOWN = ("flat", "gradient", "stripes", "checker", "dots", "noise", "rings", "weave")
INVENTED, WAVES = 16, 3  # the number of invented textures, and the waves of each
TEXTURES = len(KNOWN) + INVENTED


def values(draw: Random, u: Tensor, v: Tensor, kind: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Brightness (B, 32, 32) in [0, 1] at ``u`` and ``v``, turned and scaled; every image has a kind of its own."""
    cos, sin = (f(angle).view(-1, 1, 1) * scale.view(-1, 1, 1) for f in (torch.cos, torch.sin))
    a, b = cos * u + sin * v, cos * v - sin * u
    a = a + draw.uniform(0, 6.28, draw.count, 1, 1)
    coarse = draw.normal(draw.count, 1, 8, 8)
    noise = interpolate(coarse, u.shape, mode="bicubic")[:, 0].sigmoid()
    flow = torch.sigmoid(2 * (cos * u + sin * v) / scale.view(-1, 1, 1))
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
    known = kind.clamp(max=len(KNOWN) - 1).view(-1, 1, 1, 1).expand(-1, 1, *u.shape)
    value = torch.stack(options, 1).gather(1, known)[:, 0]
    woven = kind >= len(KNOWN)
    value[woven] = _weave(kind[woven] - len(KNOWN), a[woven], b[woven])
    return value


def _weave(kind: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Invented textures: a sum of waves, each of which another wave bends, made sharp."""
    book = _weaves(a.device)[kind]  # (B, WAVES, 7)
    total = torch.zeros_like(a)
    for wave in range(WAVES):
        fa, fb, ga, gb, bend, strength, gain = book[:, wave].view(-1, 7, 1, 1).unbind(1)
        total = total + strength * torch.sin(fa * a + fb * b + bend * torch.sin(ga * a + gb * b))
    return torch.sigmoid(gain * total)


@cache
def _weaves(device: torch.device) -> Tensor:
    """The waves of all invented textures (INVENTED, WAVES, 7): two frequencies each, bend, strength and sharpness."""
    generator = torch.Generator().manual_seed(INVENTION + 1)
    low = torch.tensor([-1.3, -1.3, -1.3, -1.3, 0.0, 0.3, 1.0])
    high = torch.tensor([1.3, 1.3, 1.3, 1.3, 2.0, 1.0, 6.0])
    return (low + (high - low) * torch.rand(INVENTED, WAVES, 7, generator=generator)).to(device)
