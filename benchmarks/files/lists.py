"""Writes images and labels as files in VTAB-1K's layout, which the suite of a person's own files reads."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from benchmarks.files.layouts import EVERYTHING, LISTS, NAMES
from benchmarks.files.sharing import make_folder
from benchmarks.files.writing import write_atomic, writing
from methods.errors import check


def check_new(folders: Sequence[Path]) -> None:
    """Check that no folder exists and none is named twice, before anything is written.

    Raises:
        UserError: one does.
    """
    for number, folder in enumerate(folders):
        check(not os.path.lexists(folder), f"{folder} exists already; give another folder with -o")
        check(folder not in folders[:number], f"{folder} would be written twice; name each task once")


def write(folder: Path, names: Sequence[str], splits: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Write the splits of a task, uint8 (N, 3, H, W) and int64 (N,), as PNG files, lists and the names of classes.

    ``folder`` is made when all is written.

    Raises:
        UserError: the system refuses to write.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    lines: dict[str, list[str]] = {}
    with writing(folder):
        try:
            for split, (images, labels) in splits.items():
                make_folder(partial / "images" / split)
                lines[split] = []
                for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
                    path = f"images/{split}/{number:06d}.png"
                    Image.fromarray(image.permute(1, 2, 0).numpy()).save(partial / path)
                    lines[split].append(f"{path} {label}\n")
            for split, name in LISTS.items():
                write_atomic(partial / name, "".join(lines[split]))
            write_atomic(partial / EVERYTHING, "".join(lines["train"] + lines["val"]))
            write_atomic(partial / NAMES, "".join(f"{name}\n" for name in names))
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
