"""What tests of suites with files share."""

from pathlib import Path

import pytest

from benchmarks.files import contents
from benchmarks.files.root import DATA_ROOT


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root and a cache of the test's own."""
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "data"))
    return tmp_path / "data"
