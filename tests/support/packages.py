"""Installed packages of methods and suites, as pip leaves them: modules, and the metadata of their entry points."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

from methods import source


@contextmanager
def installed(registry: Any, place: Path, entries: Mapping[str, str], files: Mapping[str, str]) -> Iterator[None]:
    """Files with their texts below ``place``, and ``entries`` in the group of a registry: methods or suites."""
    info = place / "made-0.1.0.dist-info"
    group = [f"[{registry.ENTRY_POINT_GROUP}]", *(f"{key} = {value}" for key, value in entries.items())]
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: made\nVersion: 0.1.0\n",
        "entry_points.txt": "\n".join(group) + "\n",
    }
    for path, text in ({f"{info.name}/{name}": text for name, text in about.items()} | dict(files)).items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        _forget(registry, files)
        yield
    _forget(registry, files)


def _forget(registry: Any, files: Mapping[str, str]) -> None:
    invalidate_caches()
    for cached in (registry.installed, source._digest, source._code):
        cached.cache_clear()
    tops = {path.partition("/")[0].removesuffix(".py") for path in files}
    for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[name]
