"""The groups of the tasks in a folder of a person's own files.

The file FILE in the data root names them. Tables show the means of groups, and are made without the data. ``keep``
therefore copies the groups into the results folder, beside the records.
"""

from collections.abc import Collection
from pathlib import Path

import yaml

from benchmarks.files import settings
from benchmarks.files.writing import write_atomic
from benchmarks.suites import Suite, names
from methods.errors import check

FILE = "groups.yaml"
OWN = "own"  # the group of a task that the file does not name


def read(path: Path, tasks: Collection[str] | None = None) -> dict[str, str]:
    """The group of every task that a file names; empty if there is no file. With ``tasks`` it may name only these.

    Raises:
        UserError: the file does not map names of groups to lists of tasks, or names another task, or one twice.
    """
    if not path.is_file():
        return {}
    given = settings.read(path)
    lists = list(given.values()) if isinstance(given, dict) else [None]
    named = [str(task) for listed in lists if isinstance(listed, list) for task in listed]
    fine = all(isinstance(listed, list) for listed in lists) and len({*named}) == len(named)
    known = "" if tasks is None else f"; the tasks are {', '.join(tasks)}"
    check(
        fine and (tasks is None or set(named) <= set(tasks)),
        f"{path} must map names of groups to lists of tasks, each task once{known}",
    )
    return {str(task): str(group) for group, listed in given.items() for task in listed}


def keep(suite: Suite, folder: Path) -> None:
    """Write the groups of a person's own tasks to FILE in a folder. If all are OWN, there is no file.

    A suite that has a name of its own tells its groups itself.
    """
    if suite.name in names():
        return
    named: dict[str, list[str]] = {}
    for task in suite.tasks.values():
        named.setdefault(task.group, []).append(task.name)
    if set(named) == {OWN}:
        (folder / FILE).unlink(missing_ok=True)
        return
    write_atomic(folder / FILE, yaml.safe_dump(named, sort_keys=False, default_style='"'))
