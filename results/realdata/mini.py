"""Makes the data root of the small VTAB: eight tasks with few labels, in VTAB-1K's layout.

    python results/realdata/mini.py FOLDER data/mini

FOLDER has cifar10, pets37, dtd10, fashion and omniglot242 in VTAB-1K's layout. The first samples of every class stay in
the lists of training and validation, and the test lists stay whole. count, location and orientation are those of the
suite offline.
"""

import shutil
import sys
from collections import Counter
from pathlib import Path

from benchmarks import data

LISTS = {"train800.txt": 0, "val200.txt": 1}
KEPT = {  # of every class, for training and for validation
    "cifar10": (16, 4),
    "pets37": (5, 1),
    "dtd10": (16, 4),
    "fashion": (16, 4),
    "omniglot242": (1, 1),
}
DRAWN = ("count", "location", "orientation")
GROUPS = """natural: [cifar10, pets37, dtd10]
specialized: [fashion, omniglot242]
structured: [count, location, orientation]
"""


def cut(folder: Path, out: Path, kept: tuple[int, int]) -> None:
    """Copy a task with the first samples of every class alone."""
    lines = {name: (folder / name).read_text().splitlines() for name in (*LISTS, "test.txt")}
    for name, place in LISTS.items():
        seen = Counter[str]()
        chosen = []
        for line in lines[name]:
            label = line.split()[1]
            seen[label] += 1
            if seen[label] <= kept[place]:
                chosen.append(line)
        lines[name] = chosen
    for name, chosen in lines.items():
        for line in chosen:
            image = line.split()[0]
            (out / image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / image, out / image)
        (out / name).write_text("".join(f"{line}\n" for line in chosen))
    if (folder / "classes.txt").exists():
        shutil.copy(folder / "classes.txt", out)


if __name__ == "__main__":
    root, target = Path(sys.argv[1]), Path(sys.argv[2])
    for task, counts in KEPT.items():
        cut(root / task, target / task, counts)
    (target / "groups.yaml").write_text(GROUPS)
    sys.exit(data.main(["write", *DRAWN, "-o", str(target)]))
