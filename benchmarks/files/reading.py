"""Reading the small text files of data sets."""

from __future__ import annotations

from pathlib import Path

from methods.errors import UserError


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        UserError: the file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no text in UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
