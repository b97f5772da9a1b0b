"""Defaults read in the source of a method are those of its import, and what is not plain is left to the import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import invalidate_caches
from pathlib import Path

import pytest

import methods
from methods import declared

ROOT = Path(__file__).parents[2]
HEAD = "from dataclasses import dataclass, field\nfrom typing import ClassVar\nfrom methods import base\n"
PLAIN = "hidden: int = 4"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    declared._source.cache_clear()
    yield tmp_path / "given.py"
    declared._source.cache_clear()


@pytest.mark.parametrize("method", list(methods.METHODS))
def test_they_are_those_of_the_import_for_every_method(method: str) -> None:
    read = declared.defaults(methods.METHODS[method])
    assert list(read.items()) == list(asdict(methods.config(method, {})).items())


@pytest.mark.parametrize(
    "body",
    [
        "hidden: int",
        "kind: ClassVar[int] = 3",
        "hidden: int = 4 * 2",
        "names: list[str] = field(default_factory=list)",
        f"{PLAIN}\n    def __post_init__(self) -> None:\n        object.__setattr__(self, 'hidden', 5)",
    ],
)
def test_what_is_not_plain_is_told_from_what_is(module: Path, body: str) -> None:
    config = "class C(base.Config):\n    {}\nclass M(base.Method):\n    Config = C\n"
    decorator = "@dataclass(frozen=True, kw_only=True)\n"
    for unclear in (decorator + config.format(body), config.format(PLAIN)):  # the second is no dataclass
        module.write_text(HEAD + unclear)
        declared._source.cache_clear()
        with pytest.raises(LookupError, match="given:M"):
            declared.defaults("given:M")
    module.write_text(HEAD + decorator + config.format(PLAIN))
    declared._source.cache_clear()
    assert declared.defaults("given:M") == {"lr": 1e-3, "weight_decay": 1e-4, "hidden": 4}


@pytest.mark.parametrize("path", ["given:Missing", "absent:M", "methods.lora:torch"])
def test_what_cannot_be_found_is_left_to_the_import(module: Path, path: str) -> None:
    module.write_text(HEAD)
    with pytest.raises(LookupError):
        declared.defaults(path)


def test_tables_are_made_without_torch() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom benchmarks import store, tables\n"
        "print(len(tables.tables(store.load(Path('results/tuned')))), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False" and int(done.stdout.split()[0]) > 0
