"""The image tasks of the offline suite. Each maps split sizes to uint8 (N, 3, 32, 32) and int64 (N,), class-balanced.

Nothing here comes from the generator of the pretraining: digits and clothes are real, glyphs are letters, textures are
others.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Split = tuple[int, ...]
Data = tuple[NDArray[np.uint8], NDArray[np.int64]]

SIZE = 32
REAL_DIGITS = Path(__file__).with_name("digits.npz")  # uint8 images (1797, 8, 8) in 0..16 and labels, of UCI
# uint8 images (1200, 28, 28) and labels of Fashion-MNIST: 16, 4 and 100 of each class, in the order of train, val, test
REAL_CLOTHES = Path(__file__).with_name("fashion.npz")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DIGITS = tuple("0123456789")
TURNED = (2, 3, 4, 5, 7)  # digits that no rotation maps to themselves or to another digit
ANGLES = tuple(f"{45 * k} deg" for k in range(8))
COUNTS = tuple(str(n) for n in range(1, 9))
CELLS = tuple(f"row {k // 4} col {k % 4}" for k in range(16))
GLYPHS = {
    "A": "01110 10001 11111 10001 10001",
    "C": "01111 10000 10000 10000 01111",
    "E": "11111 10000 11110 10000 11111",
    "F": "11111 10000 11110 10000 10000",
    "H": "10001 10001 11111 10001 10001",
    "K": "10010 10100 11000 10100 10010",
    "L": "10000 10000 10000 10000 11111",
    "N": "10001 11001 10101 10011 10001",
    "P": "11110 10001 11110 10000 10000",
    "T": "11111 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 01110",
    "Z": "11111 00010 00100 01000 11111",
}


def digits(sizes: Split) -> Data:
    """Real handwritten digits, white on black."""
    images, labels = _real_digits(np.random.default_rng(101))
    return _to_bytes(np.repeat(images[: sum(sizes), None], 3, axis=1)), labels[: sum(sizes)]


def fashion(sizes: Split) -> Data:
    """Real photos of clothes of Fashion-MNIST, with a black border of two pixels."""
    with np.load(REAL_CLOTHES) as data:
        images, labels = data["images"][: sum(sizes)], data["labels"][: sum(sizes)].astype(np.int64)
    border = (SIZE - images.shape[-1]) // 2
    framed = np.pad(images, ((0, 0), (border, border), (border, border)))
    return np.repeat(framed[:, None], 3, axis=1), labels


def orientation(sizes: Split) -> Data:
    """Real digits turned by a multiple of 45 degrees and a little more; no digit is in training and test."""
    from scipy.ndimage import rotate

    rng = np.random.default_rng(102)
    images, kinds = _real_digits(rng)
    images = images[np.isin(kinds, TURNED)]
    known = sum(sizes[:-1])
    index = np.concatenate([np.arange(known), known + np.arange(sizes[-1]) % (len(images) - known)])
    labels = balanced(sizes, len(ANGLES), rng)
    angles = 45.0 * labels + rng.uniform(-10, 10, len(labels))
    turned = [rotate(images[i], a, reshape=False, order=1) for i, a in zip(index, angles, strict=True)]
    mask = np.clip(np.stack(turned), 0, 1)[:, None]
    back, fore = _two_colors(rng, len(labels))
    return _to_bytes(back + (fore - back) * mask + rng.normal(0, 0.06, (len(labels), 3, SIZE, SIZE))), labels


def texture(sizes: Split) -> Data:
    """Procedural textures of ten materials, with random colours, scale, place and direction."""
    rng = np.random.default_rng(103)
    labels = balanced(sizes, len(TEXTURES), rng)
    values = np.empty((len(labels), SIZE, SIZE))
    for kind, draw in enumerate(TEXTURES.values()):
        mine = labels == kind
        values[mine] = draw(*_plane(rng, int(mine.sum())), rng)
    back, fore = _two_colors(rng, len(labels))
    noise = rng.normal(0, 1, values.shape)[:, None] * rng.uniform(0.02, 0.12, (len(labels), 1, 1, 1))
    return _to_bytes(back + (fore - back) * np.clip(values, 0, 1)[:, None] + noise), labels


def count(sizes: Split) -> Data:
    """One to eight letters of mixed sizes among strokes of the same brightness; the class is their number."""
    rng = np.random.default_rng(104)
    labels = balanced(sizes, len(COUNTS), rng)
    images = _strewn(rng, len(labels), brightest=0.9)
    for image, label in zip(images, labels, strict=True):
        for cell in rng.permutation(16)[: label + 1]:
            _stamp(rng, image, int(cell), str(rng.choice(list(GLYPHS))))
    return _to_bytes(images), labels


def location(sizes: Split) -> Data:
    """One large letter among three to six small ones; the class is the cell of a 4 x 4 grid that has its centre."""
    rng = np.random.default_rng(105)
    labels = balanced(sizes, len(CELLS), rng)
    images = _strewn(rng, len(labels))
    for image, label in zip(images, labels, strict=True):
        for cell in rng.permutation(np.delete(np.arange(16), label))[: rng.integers(3, 7)]:
            _stamp(rng, image, int(cell), str(rng.choice(list(GLYPHS))))
        _stamp_large(rng, image, int(label), str(rng.choice(list(GLYPHS))))
    return _to_bytes(images), labels


def _cracks(u: Array, v: Array, rng: np.random.Generator) -> Array:
    first, second = _cells(u, v, rng)
    return _sharp(second - first, 0.12)


def _honeycomb(u: Array, v: Array, rng: np.random.Generator) -> Array:
    waves = [np.cos(2 * np.pi * (u * np.cos(a) + v * np.sin(a))) for a in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    return _sharp(sum(waves) + 0.8, 0.3)


def _tartan(u: Array, v: Array, rng: np.random.Generator) -> Array:
    bands = [((w % 3) < 1.0) * 0.5 + ((w % 3 > 1.6) & (w % 3 < 1.9)) * 0.35 for w in (u, v)]
    return np.asarray(bands[0] + bands[1])


# brightness at the coordinates (u, v) of a plane, both (n, 32, 32)
TEXTURES: dict[str, Callable[[Array, Array, np.random.Generator], Array]] = {
    "brick": lambda u, v, rng: _sharp(
        0.5 - np.maximum(np.abs((u / 2 + np.floor(v) / 2) % 1 - 0.5), np.abs(v % 1 - 0.5)), 0.08
    ),
    "wood": lambda u, v, rng: (
        0.5 + 0.5 * np.sin(2 * np.pi * (np.hypot(u * 0.25, v) + 1.5 * _clouds(u / 3, v / 3, rng)))
    ),
    "marble": lambda u, v, rng: 1 - np.abs(np.sin(1.2 * u + 6 * _clouds(u / 2, v / 2, rng))) ** 0.5,
    "scales": lambda u, v, rng: np.clip(np.hypot((u + np.floor(v) / 2) % 1 - 0.5, v % 1) / 0.9, 0, 1) ** 2,
    "cracks": _cracks,
    "cellular": lambda u, v, rng: np.clip(_cells(u, v, rng)[0] / 0.8, 0, 1),
    "leopard": lambda u, v, rng: _sharp(np.abs(_clouds(u, v, rng) - _clouds(u * 0.4, v * 0.4, rng)) - 0.06, 0.03),
    "herringbone": lambda u, v, rng: _sharp(np.abs(((u + np.abs((v % 2) - 1) * 2) % 1) - 0.5) - 0.25, 0.1),
    "honeycomb": _honeycomb,
    "tartan": _tartan,
}


def _plane(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Coordinates (n, 32, 32) of a plane seen turned, scaled and moved; one unit is 5 to 10 pixels."""
    line = np.arange(SIZE) - SIZE / 2
    angle, unit = rng.uniform(0, 2 * np.pi, (2, n, 1, 1))
    unit = 5 + 5 * unit / (2 * np.pi)
    u = (np.cos(angle) * line + np.sin(angle) * line[:, None]) / unit
    v = (np.cos(angle) * line[:, None] - np.sin(angle) * line) / unit
    return u + rng.uniform(0, 20, (n, 1, 1)), v + rng.uniform(0, 20, (n, 1, 1))


def _clouds(u: Array, v: Array, rng: np.random.Generator) -> Array:
    """Smooth noise in about -1..1: a sum of plane waves of random directions."""
    total = np.zeros_like(u)
    for _ in range(8):
        angle, phase, pitch = rng.uniform(0, 2 * np.pi, (3, len(u), 1, 1))
        total += np.cos((2 + pitch) * (u * np.cos(angle) + v * np.sin(angle)) + phase)
    return total / 4


def _cells(u: Array, v: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Distances to the nearest and second nearest of scattered points."""
    n = len(u)
    centre = (u.mean((1, 2), keepdims=True), v.mean((1, 2), keepdims=True))
    points = rng.uniform(-5, 5, (2, 80, n, 1, 1))
    distance = np.sort(np.hypot(u - centre[0] - points[0], v - centre[1] - points[1]), axis=0)
    return distance[0], distance[1]


def _sharp(x: Array, width: float) -> Array:
    return np.asarray(np.clip(x / width, 0, 1))


def _real_digits(rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """All 1,797 digits in random order: images (N, 32, 32) in 0..1 and labels."""
    from scipy.ndimage import zoom

    with np.load(REAL_DIGITS) as data:
        images, labels = data["images"], data["labels"].astype(np.int64)
    order = rng.permutation(len(labels))
    return np.clip(zoom(images[order] / 16, (1, 4, 4), order=1), 0, 1), labels[order]


def balanced(sizes: Split, classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Labels of all splits in random order; every split has its classes as even as its size allows."""
    return np.concatenate([rng.permutation(np.arange(size) % classes) for size in sizes]).astype(np.int64)


def _two_colors(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Background and foreground colours (n, 3, 1, 1) that differ in brightness; either may be brighter."""
    dark, bright = rng.uniform(0, 0.45, (n, 3, 1, 1)), rng.uniform(0.55, 1, (n, 3, 1, 1))
    swap = rng.uniform(size=(n, 1, 1, 1)) < 0.5
    return np.where(swap, bright, dark), np.where(swap, dark, bright)


def _strewn(rng: np.random.Generator, n: int, brightest: float = 0.5) -> Array:
    """Dim backgrounds (n, 3, 32, 32) with two to five straight strokes each."""
    images = rng.uniform(0, 0.35, (n, 3, 1, 1)) + rng.normal(0, 0.04, (n, 3, SIZE, SIZE))
    row, col = np.mgrid[:SIZE, :SIZE]
    for image in images:
        for _ in range(rng.integers(2, 6)):
            angle, offset, color = rng.uniform(0, np.pi), rng.uniform(4, 28), rng.uniform(0.1, brightest, (3, 1))
            on = np.abs((col - 16) * np.cos(angle) + (row - 16) * np.sin(angle) - offset + 16) < 0.6
            image[:, on] = color
    return images


def _stamp(rng: np.random.Generator, image: Array, cell: int, glyph: str) -> None:
    """Draw a letter of 5 x 5 to 7 x 7 pixels into a cell of 8 x 8, in a bright colour."""
    size = int(rng.integers(5, 8))
    row, col = (8 * part + int(rng.integers(0, 9 - size)) for part in divmod(cell, 4))
    _draw(rng, image, glyph, size, row, col)


def _stamp_large(rng: np.random.Generator, image: Array, cell: int, glyph: str) -> None:
    """Draw a letter of 10 x 10 to 12 x 12 pixels with its centre in a cell, cut at the border of the image."""
    size = int(rng.integers(10, 13))
    row, col = (8 * part + int(rng.integers(1, 7)) - size // 2 for part in divmod(cell, 4))
    _draw(rng, image, glyph, size, row, col)


def _draw(rng: np.random.Generator, image: Array, glyph: str, size: int, row: int, col: int) -> None:
    bitmap = np.array([[int(bit) for bit in line] for line in GLYPHS[glyph].split()], bool)
    rows, cols = (np.arange(start, start + size) for start in (row, col))
    inside = [(line >= 0) & (line < SIZE) for line in (rows, cols)]
    scaled = bitmap[np.ix_(np.arange(size)[inside[0]] * 5 // size, np.arange(size)[inside[1]] * 5 // size)]
    window = image[:, rows[inside[0]][0] : rows[inside[0]][-1] + 1, cols[inside[1]][0] : cols[inside[1]][-1] + 1]
    window[:, scaled] = rng.uniform(0.55, 1, (3, 1))


def _to_bytes(images: Array) -> NDArray[np.uint8]:
    return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)


_TASKS = (digits, fashion, texture, orientation, count, location)
TASKS: dict[str, Callable[[Split], Data]] = {task.__name__: task for task in _TASKS}
