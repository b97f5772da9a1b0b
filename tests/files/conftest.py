"""What tests of damaged and hostile files share."""

import faulthandler
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.cli import Main
from benchmarks.files import contents
from benchmarks.files.root import DATA_ROOT
from tests.support.layout_files import write_image_folder

SECONDS = 60  # until a test that hangs is ended, and all others with it
PROGRAMS = ((subprocess.Popen, "__init__"), (os, "system"), (os, "posix_spawn"), (os, "fork"), (os, "execve"))
Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: Callable[..., str]) -> Iterator[Refused]:
    """Run a command that must end with status 2 and a line, start no program, and write nothing but its results.

    In the line, DIR is the data root, TMP the folder above it, and ... any text. The folder TMP/outside has images.
    """
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, "nowhere")
    write_image_folder(tmp_path / "outside", train=1, test=1)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    platform.processor()  # starts uname, once per process
    for place, name in PROGRAMS:
        monkeypatch.setattr(place, name, lambda *words, **options: pytest.fail("a program was started"))

    def check(main: Main, argv: list[str], expected: str):
        places = ("mine", "outside", "empty")
        before = [_tree(tmp_path / name) for name in places]
        line = complaint(main, *argv, "--data-root", str(tmp_path / "mine"))
        line = line.replace(str(tmp_path / "mine"), "DIR").replace(str(tmp_path), "TMP")
        assert re.fullmatch(".*".join(map(re.escape, expected.split("..."))), line), line
        assert [_tree(tmp_path / name) for name in places] == before
        assert not list((tmp_path / "results").rglob("*.json"))

    faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
    yield check
    faulthandler.cancel_dump_traceback_later()


def _tree(folder: Path) -> set[tuple[object, ...]]:
    """Paths, sizes and times below a folder; links are not followed."""
    found = [Path(place) / name for place, folders, files in os.walk(folder) for name in [*folders, *files]]
    return {(path, path.lstat().st_size, path.lstat().st_mtime_ns) for path in found}
