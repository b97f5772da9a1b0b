"""What is wrong with the data of a suite, one line per fault."""

from collections.abc import Sequence

from benchmarks.files.frames import Frame
from benchmarks.files.root import Missing
from benchmarks.suites import Suite
from methods.errors import check_known

FRAME = Frame(224)  # of images that are decoded from files


def check_task(suite: Suite, name: str) -> None:
    """Refuse a task that the suite does not have."""
    check_known("task", name, suite.tasks, f"suite {suite.name}: ")


def faults(suite: Suite, name: str) -> list[str]:
    """What is wrong with a task's data, one line per fault."""
    if suite.faults is not None:
        return suite.faults(name)
    import torch

    task, lines = suite.tasks[name], []
    for split, expected in (("train", task.train), ("val", task.val), ("test", task.test)):
        x, y = suite.load(name, split, frame=FRAME)
        fine = {expected, expected - task.lacking} if split == "train" else {expected}
        if len(x) not in fine or len(x) != len(y):
            lines.append(f"{name}/{split}: {len(x)} inputs and {len(y)} labels, not {expected}")
        if y.min() < 0 or y.max() >= task.classes:
            lines.append(f"{name}/{split}: labels from {int(y.min())} to {int(y.max())}, not 0 to {task.classes - 1}")
        missing = set(range(task.classes)) - set(y.tolist())
        if missing:
            lines.append(f"{name}/{split}: no sample of {[task.labels[i] for i in sorted(missing)]}")
        if x.is_floating_point() and not torch.isfinite(x).all():
            lines.append(f"{name}/{split}: values that are not finite")
    return lines


def all_faults(suite: Suite, tasks: Sequence[str]) -> list[str]:
    """What is wrong with the data of tasks, one line per fault; all tasks without data share one line."""
    lines, absent = [], dict[str, str]()
    for task in tasks:
        try:
            lines += faults(suite, task)
        except Missing as error:
            absent[task] = str(error)
    if absent:
        lines.append(f"no data of {len(absent)} of {len(tasks)} tasks: {', '.join(absent)}")
        lines.append(next(iter(absent.values())))
    return lines
