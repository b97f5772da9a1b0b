"""The folder below which the files of data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

DATA_ROOT = "PEFT_BENCH_DATA"  # an environment variable, so that worker processes see what --data-root said


class Missing(ValueError):
    """Data that are not where they were looked for."""


def data_root() -> Path:
    """The folder below which suites look for files: --data-root, else $PEFT_BENCH_DATA, else ``data``."""
    return Path(os.path.abspath(os.environ.get(DATA_ROOT, "data")))  # a link keeps its name, by which a suite goes


def use_data_root(root: Path | None) -> None:
    """Look for files below ``root`` from here on, in the processes started from this one as well."""
    if root is not None:
        os.environ[DATA_ROOT] = os.path.abspath(root)
