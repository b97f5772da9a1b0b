"""Point clouds in files ``ply_data_{train,test}*.h5``, the layout of ModelNet40's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from methods.options import check

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(folder: Path, split: Literal["train", "test"]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points, float32 (n, P, 3), and labels, int64 (n,), of all files of a split."""
    import h5py
    import numpy as np

    x, y = [], []
    for path in sorted(folder.glob(f"ply_data_{split}*.h5")):
        try:
            with h5py.File(path) as file:
                x.append(np.asarray(file["data"], dtype=np.float32))
                y.append(np.asarray(file["label"], dtype=np.int64).reshape(-1))
        except (OSError, KeyError) as error:
            raise ValueError(f"cannot read {path}: {error}") from None
    check(bool(x), f"{folder}: no ply_data_{split}*.h5")
    return np.concatenate(x), np.concatenate(y)


def names(folder: Path) -> tuple[str, ...]:
    """The names of the classes, in the order of their labels; none without ``shape_names.txt``."""
    path = folder / "shape_names.txt"
    return tuple(path.read_text(encoding="utf-8").split()) if path.is_file() else ()
