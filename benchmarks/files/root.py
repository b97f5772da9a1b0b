"""The folder below which the files of data sets lie."""

import os
from pathlib import Path

from methods.errors import UserError

DATA_ROOT = "PEFT_BENCH_DATA"  # an environment variable, because worker processes inherit it


class Missing(UserError):
    """The files of a task are not below the data root."""


def data_root() -> Path:
    """The folder below which suites look for files: --data-root, else $PEFT_BENCH_DATA, else ``data``."""
    # not resolved: a suite of a person's own has the name of the folder that was given, even if that is a link
    return Path(os.path.abspath(os.environ.get(DATA_ROOT, "data")))


def use_data_root(root: Path | None) -> None:
    """Look for files below ``root`` from now on, in this process and in those that it starts."""
    if root is not None:
        os.environ[DATA_ROOT] = os.path.abspath(root)
