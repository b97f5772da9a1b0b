"""One picture file: it is turned upright, transparent parts are white, and its frames are told."""

import struct

import numpy as np
import pytest
from PIL import Image

from benchmarks import data, load_images, suites
from benchmarks.files import contents, decoded, layouts, pictures, verify
from benchmarks.files.frames import Frame
from benchmarks.files.root import DATA_ROOT
from tests.support.layout_files import write_image_folder

# by orientation, where the pixel of an upright picture of 2 rows and 3 columns is stored (EXIF 2.3, section 4.6.4)
STORED = {
    1: lambda row, column: (row, column),
    2: lambda row, column: (row, 2 - column),
    3: lambda row, column: (1 - row, 2 - column),
    4: lambda row, column: (1 - row, column),
    5: lambda row, column: (column, row),
    6: lambda row, column: (2 - column, row),
    7: lambda row, column: (2 - column, 1 - row),
    8: lambda row, column: (column, 1 - row),
}
UPRIGHT = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14


def stored(orientation):
    """The pixels that a camera stores for the upright picture."""
    pixels = np.zeros((2, 3, 3) if orientation < 5 else (3, 2, 3), np.uint8)
    for row in range(2):
        for column in range(3):
            pixels[STORED[orientation](row, column)] = UPRIGHT[row, column]
    return Image.fromarray(pixels)


def pixels(path):
    return np.asarray(pictures.read(path))


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_turn_of_a_camera_is_undone(orientation, ending, tmp_path):
    path, exif = tmp_path / f"x.{ending}", Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    large = stored(orientation)
    if ending == "jpg":  # loses detail, so every pixel becomes a block
        large = large.resize((large.width * 16, large.height * 16), Image.Resampling.NEAREST)
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(ending, {})
    large.save(path, exif=exif, **options)
    got = pixels(path)[8::16, 8::16] if ending == "jpg" else pixels(path)
    assert np.abs(got.astype(int) - UPRIGHT).max() <= (2 if ending == "jpg" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("value", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0", b"rubbish", bytes(40)])
def test_damaged_exif_leaves_the_picture_as_it_is(value, tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "x.png", exif=value)
    assert np.array_equal(pixels(tmp_path / "x.png"), UPRIGHT)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_turn_leaves_the_picture_as_it_is(orientation, tmp_path):
    entry = struct.pack(">HHIHH", pictures.ORIENTATION, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + bytes(4)
    Image.fromarray(UPRIGHT).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(pixels(tmp_path / "x.png"), UPRIGHT)


def transparent(mode):
    """An opaque, a nearly transparent and a wholly transparent pixel of one colour."""
    colour = [40] if mode == "LA" else [200, 40, 40]
    return Image.fromarray(np.array([[[*colour, alpha] for alpha in (255, 51, 0)]], np.uint8))


@pytest.mark.parametrize(("mode", "ending"), [("RGBA", "png"), ("RGBA", "webp"), ("RGBA", "tif"), ("LA", "png")])
def test_transparent_pixels_are_seen_on_white(mode, ending, tmp_path):
    transparent(mode).save(tmp_path / f"x.{ending}", **({"lossless": True, "exact": True} if ending == "webp" else {}))
    colour = np.array([40, 40, 40] if mode == "LA" else [200, 40, 40])
    expected = [colour * alpha + 255 * (1 - alpha) for alpha in (1, 0.2, 0)]
    assert np.abs(pixels(tmp_path / f"x.{ending}")[0] - expected).max() <= 1


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_becomes_white(mode, tmp_path):
    image = Image.fromarray(np.array([[[0, 0, 0], [90, 90, 90]]], np.uint8))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    key = image.getpixel((0, 0))
    image.save(tmp_path / "x.png", transparency=key)
    assert pixels(tmp_path / "x.png").tolist() == [[[255, 255, 255], [90, 90, 90]]]


def test_transparency_of_gif_becomes_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 90, 90, 90])
    image.putdata([0, 1])
    image.save(tmp_path / "x.gif", transparency=0)
    assert pixels(tmp_path / "x.gif").tolist() == [[[255, 255, 255], [90, 90, 90]]]


@pytest.mark.parametrize(
    ("ending", "moves"), [("gif", True), ("png", True), ("webp", True), ("tif", True), ("mpo", False)]
)
def test_frames_are_told_and_the_first_is_read(ending, moves, tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / f"x.{ending}", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "still.png")
    path = (tmp_path / f"x.{ending}").rename(tmp_path / "x.jpg")  # whatever the name says
    assert (pictures.animated(path), pictures.animated(tmp_path / "still.png")) == (moves, False)
    assert np.abs(pixels(path)[0, 0].astype(int) - [255, 0, 0]).max() <= 2


def test_training_and_prediction_see_the_same_picture(tmp_path, monkeypatch):
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "mine"))
    write_image_folder(tmp_path / "mine/x", train=3, test=1)
    path, exif = tmp_path / "mine/x/train/cat/0.png", Image.Exif()
    exif[pictures.ORIENTATION] = 6  # what is stored at the top belongs to the right
    half = np.zeros((8, 8, 4), np.uint8)
    half[:4, :, 3] = 255  # black everywhere, and transparent below
    Image.fromarray(half).save(path, exif=exif)
    expected = np.full((3, 8, 8), 255)
    expected[..., 4:] = 0
    assert np.array_equal(load_images([path], Frame(8))[0], expected)
    trained = np.concatenate([suites.get("folder").load("x", split, frame=Frame(8))[0] for split in ("train", "val")])
    assert [np.array_equal(image, expected) for image in trained].count(True) == 1
    assert data.main(["verify", "folder"]) == 0


def test_warnings_of_pillow_are_not_shown(tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    write_image_folder(tmp_path / "x", train=3, test=1)
    path = tmp_path / "x/train/cat/e.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    layout = layouts.find(tmp_path / "x")
    for split in layout.splits:
        decoded.load(layout, split, Frame(8))
    load_images([path], Frame(8))
    assert verify.images(layout) == []
    assert not recwarn.list
    pictures.read(path)
    assert len(recwarn.list) == 1
