"""Decoded images and fingerprints: their cache is right, shared between processes, small in memory and never half."""

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import pil_to_tensor, resize

from benchmarks.files import contents, decoded, layouts, sealed
from benchmarks.files.frames import Frame
from methods.errors import UserError
from tests.conftest import ROOT
from tests.support.layout_files import write_image, write_lists
from tests.support.nameless import nameless


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def task(tmp_path: Path) -> layouts.Layout:
    write_lists(tmp_path / "task", classes=3, counts=(6, 3, 9))
    return layouts.lists(tmp_path / "task")


def files(cache: Path) -> list[Path]:
    return sorted((cache / "images").glob("*.u8"))


def test_pixels_are_those_of_torchvision(task):
    images, labels = decoded.load(task, "test", Frame(17))
    assert (images.dtype, images.shape, labels.dtype) == (torch.uint8, (9, 3, 17, 17), torch.int64)
    assert labels.tolist() == [0, 1, 2] * 3
    for image, (path, _) in zip(images, task.splits["test"], strict=True):
        picture = resize(Image.open(task.folder / path).convert("RGB"), [17, 17], InterpolationMode.BICUBIC)
        assert torch.equal(image, pil_to_tensor(picture))


@pytest.mark.parametrize(
    ("mode", "ending"), [("L", "png"), ("P", "png"), ("RGBA", "png"), ("1", "png"), ("CMYK", "jpg")]
)
def test_every_mode_of_eight_bits_becomes_rgb(mode, ending, tmp_path):
    write_image(tmp_path / "rgb.png")
    path = tmp_path / f"image.{ending}"
    Image.open(tmp_path / "rgb.png").convert(mode).save(path)
    expected = Image.open(path).convert("RGB").resize((5, 5), Image.Resampling.BICUBIC)
    pixels = np.frombuffer(decoded.decode(path, Frame(5)), np.uint8).reshape(3, 5, 5)
    assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(expected))


def test_a_second_call_decodes_nothing(task, cache, monkeypatch):
    first, _ = decoded.load(task, "train", Frame(8))
    monkeypatch.setattr(decoded, "decode", None)
    again, _ = decoded.load(task, "train", Frame(8))
    assert torch.equal(first, again)
    assert len(files(cache)) == 1


def test_sizes_splits_labels_and_bytes_have_files_of_their_own(task, cache):
    seen = set()
    samples = task.splits["train"]
    other = replace(task, splits={"train": (*samples[:-1], (samples[-1][0], 0))})
    for layout, split, size in ((task, "train", 8), (task, "train", 9), (task, "val", 8), (other, "train", 8)):
        decoded.load(layout, split, Frame(size))
        seen |= set(files(cache))
    assert len(seen) == 4
    write_image(task.folder / samples[0][0], 4)
    images, _ = decoded.load(task, "train", Frame(8))
    assert len(files(cache)) == 5
    assert images[0].numpy().tobytes() == decoded.decode(task.folder / samples[0][0], Frame(8))


def test_a_damaged_image_is_named_and_leaves_no_cache(task, cache):
    path = task.folder / task.splits["train"][2][0]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"cannot decode {path}: .*truncated"):
        decoded.load(task, "train", Frame(8))
    assert [entry.suffix for entry in (cache / "images").iterdir()] == [".lock"]
    path.write_text("no image")
    with pytest.raises(UserError, match=f"cannot decode {path}: it is no image of a known format"):
        decoded.load(task, "train", Frame(8))
    path.unlink()
    with pytest.raises(UserError, match=f"cannot read {path}: No such file"):
        decoded.load(task, "train", Frame(8))


def test_deep_pixels_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png: it has I;16 pixels with more than 8 bits"):
        decoded.decode(tmp_path / "deep.png", Frame(4))


def test_a_size_is_needed(task):
    with pytest.raises(UserError, match="so a size is needed"):
        decoded.load(task, "train", None)


def test_too_small_a_disk_is_refused_before_it_is_full(task, monkeypatch):
    usage = decoded.shutil.disk_usage(task.folder)
    monkeypatch.setattr(decoded.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(UserError, match=r"needs 0\.0 GB .* \$PEFT_BENCH_CACHE"):
        decoded.load(task, "train", Frame(8))


def test_memory_stays_small_when_a_large_cache_is_opened(tmp_path, cache):
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("resident memory is read from /proc")
    size, count = 224, 2000
    write_lists(tmp_path / "task", counts=(4, 2, 2))
    few = layouts.lists(tmp_path / "task")
    samples = few.splits["train"] * (count // 4)
    large = replace(few, splits={"train": samples})
    one = [decoded.decode(few.folder / path, Frame(size)) for path, _ in few.splits["train"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "decode", lambda path, frame: one[int(path.stem)])
        decoded.load(large, "train", Frame(size))

    def resident_bytes() -> int:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident_bytes()
    images, _ = decoded.load(large, "train", Frame(size))
    assert images.numel() == files(cache)[0].stat().st_size - 32 == count * 3 * size * size > 300e6
    assert resident_bytes() - before < 20e6
    assert images[-1].numpy().tobytes() == one[3]
    assert resident_bytes() - before < 30e6


WRITER = """
import sys, time
from pathlib import Path
from benchmarks.files import decoded, layouts
from benchmarks.files.frames import Frame
from methods.errors import UserError
whole = decoded.decode
decoded.decode = lambda path, frame: print(path) or time.sleep(float(sys.argv[2])) or whole(path, frame)
decoded.load(layouts.lists(Path(sys.argv[1])), "test", Frame(8))
"""


def writer(task: layouts.Layout, delay_seconds: float) -> subprocess.Popen[bytes]:
    """Another process that writes the cache of the test split, with a pause before every image."""
    command = [sys.executable, "-c", WRITER, str(task.folder), str(delay_seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def whole(task: layouts.Layout) -> bytes:
    return b"".join(decoded.decode(task.folder / path, Frame(8)) for path, _ in task.splits["test"])


@pytest.mark.slow
def test_two_processes_write_one_file_together(task, cache):
    decodings = [process.communicate(timeout=60)[0] for process in [writer(task, 0.2) for _ in range(2)]]
    assert len(b"".join(decodings).splitlines()) == len(task.splits["test"])
    assert [sealed.read(path) for path in files(cache)] == [whole(task)]
    assert not list(cache.glob("images/*.partial"))


def test_a_killed_writer_leaves_no_finished_file(task, cache):
    process = writer(task, 60)
    limit = time.monotonic() + 60
    while not (left := list(cache.glob("images/*.partial"))):
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert files(cache) == []
    left[0].write_bytes(b"rubbish")
    images, _ = decoded.load(task, "test", Frame(8))
    assert images.numpy().tobytes() == whole(task)
    assert not left[0].exists()


@pytest.mark.parametrize("damage", ["cut", "half zero", "swapped"])
def test_a_damaged_file_of_images_is_made_again(damage, task, cache, capsys):
    decoded.load(task, "test", Frame(8))
    (path,) = files(cache)
    if damage == "swapped":
        samples = task.splits["test"]
        decoded.load(replace(task, splits={"test": samples[::-1]}), "test", Frame(8))
        next(other for other in files(cache) if other != path).replace(path)
    else:
        path.write_bytes(path.read_bytes()[:800] + bytes(960 if damage == "half zero" else 0))
    assert decoded.load(task, "test", Frame(8))[0].numpy().tobytes() == whole(task)
    assert capsys.readouterr().err == f"warning: {path} is damaged; its content is made again\n"


def test_a_folder_in_the_place_of_images_is_one_line(task, cache, monkeypatch):
    decoded.load(task, "test", Frame(8))
    (path,) = files(cache)
    path.unlink()
    path.mkdir()
    monkeypatch.setattr(decoded, "decode", lambda path, size: pytest.fail("decoded before"))
    with pytest.raises(UserError, match=f"{path}: a folder has this name; remove it"):
        decoded.load(task, "test", Frame(8))


def test_fingerprint_is_that_of_lines_and_bytes_wherever_they_lie(task, tmp_path):
    digests = [hashlib.sha256((task.folder / path).read_bytes()).hexdigest() for path, _ in task.splits["train"]]
    lines = [f"{path} {y} {digest}\n" for (path, y), digest in zip(task.splits["train"], digests, strict=True)]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert contents.fingerprint(task.folder, task.splits["train"]) == expected
    before = contents.task_fingerprint(task)
    task.folder.rename(tmp_path / "elsewhere")
    assert contents.task_fingerprint(layouts.lists(tmp_path / "elsewhere")) == before


def test_fingerprint_follows_every_change(task):
    prints = [contents.task_fingerprint(task)]
    path = task.folder / task.splits["test"][0][0]
    write_image(path, 3, seed=9)
    prints.append(contents.task_fingerprint(task))
    listing = task.folder / "test.txt"
    text = listing.read_text().splitlines()
    for lines in (text[1:], [text[1], text[0], *text[2:]], [text[0][:-1] + "1", *text[1:]]):
        listing.write_text("\n".join(lines))
        prints.append(contents.task_fingerprint(layouts.lists(task.folder)))
    assert len(set(prints)) == len(prints) == 5


def test_files_are_read_again_only_if_their_time_or_size_has_changed(task):
    before = contents.task_fingerprint(task)
    path = task.folder / task.splits["val"][0][0]
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert contents.task_fingerprint(task) == before
    os.utime(path, ns=(1, 1))
    assert contents.task_fingerprint(task) != before


def test_a_damaged_cache_of_fingerprints_is_not_used(task, cache):
    before = contents.task_fingerprint(task)
    for path in (cache / "fingerprints").iterdir():
        path.write_bytes(b"0" * 64 + path.read_bytes()[64:])
    assert contents.task_fingerprint(task) == before


def test_environment_variables_choose_the_cache_folder(monkeypatch, tmp_path):
    assert contents.cache_root() == tmp_path / "cache"
    monkeypatch.delenv(contents.CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert contents.cache_root() == tmp_path / "xdg" / "peft-vision-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert contents.cache_root() == tmp_path / "home" / ".cache" / "peft-vision-bench"


def test_a_user_without_a_home_folder_is_told_to_name_a_cache_folder(task, monkeypatch):
    nameless(monkeypatch)
    with pytest.raises(UserError, match=r"no home folder for a cache; name a folder in \$PEFT_BENCH_CACHE"):
        decoded.load(task, "train", Frame(8))


def test_results_keep_the_order_of_items():
    def slow_when_even(i: int) -> int:
        time.sleep(0.002 * (i % 2 == 0))
        return i * i

    assert list(contents.each(slow_when_even, range(600), "square")) == [i * i for i in range(600)]
