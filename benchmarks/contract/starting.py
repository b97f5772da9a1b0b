"""The files of a new method: a method that works, its package and its test, to be changed into one's own."""

import keyword
import re
from importlib.resources import files
from pathlib import Path

import methods
from benchmarks.files.writing import write_atomic
from methods.errors import check

EXAMPLE, MODULE = "modulate", "peft_bench_{}"  # the method of the templates in new/, which CONTRIBUTING.md shows
NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")


def start(name: str, folder: Path) -> list[Path]:
    """Write the files of a method called ``name`` into a folder, and return their paths.

    Raises:
        UserError: the name cannot be that of a module or is taken, or one of the files is there.
    """
    fits = NAME.fullmatch(name) and not keyword.iskeyword(name)
    check(bool(fits), f"method '{name}': give a name of small letters, digits and single _ between them, as in my_lora")
    taken = methods.table()
    check(name not in taken, f"method '{name}' is already {taken.get(name)}; give another name")
    made = {folder / path: text for path, text in rendered(name).items()}
    there = [str(path) for path in made if path.exists()]
    check(not there, f"{', '.join(there)}: already there, and nothing is overwritten; give another folder with -o DIR")
    for path, text in made.items():
        write_atomic(path, text)
    return list(made)


def rendered(name: str) -> dict[str, str]:
    """The text of every file of a method, by the file's name."""
    title = "".join(word.capitalize() for word in name.split("_"))
    named = {f"{MODULE.format(name)}.py": "method", "pyproject.toml": "pyproject", f"test_{name}.py": "test"}
    texts = {file: _template(template) for file, template in named.items()}
    return {file: text.replace(EXAMPLE.capitalize(), title).replace(EXAMPLE, name) for file, text in texts.items()}


def _template(name: str) -> str:
    return (files("benchmarks.contract") / "new" / f"{name}.txt").read_text(encoding="utf-8")
