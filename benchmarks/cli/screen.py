"""Where a command's texts go: tables to stdout, warnings and progress to stderr."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli.texts import masked, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text


def warn(message: str) -> None:
    """Show one line on stderr about something that went wrong. The command goes on."""
    print(f"warning: {one_line(message)}", file=sys.stderr)


def say(line: str) -> None:
    """Show one line on stdout."""
    print(visible(masked(line)))


def next_step(command: str, *paths: str | Path) -> None:
    """Say on stdout what a person would do next: an action or a command, and the paths that it takes."""
    say(" ".join(["next:", command, *(shlex.quote(str(path)) for path in paths)]))


def console() -> Console:
    """Return the console that shows tables: stdout, 160 columns wide if it is not a terminal.

    It knows no markup: a task named "[/x]" is shown as it is. If the reader closes the pipe, as `| head` does, the rest
    of the output is dropped and the command goes on.
    """
    from rich.console import Console
    from rich.table import Table

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            drop_output()

        def print(self, *objects: Any, **options: Any) -> None:
            for column in (column for table in objects if isinstance(table, Table) for column in table.columns):
                column.overflow = "fold"  # a text that has no room goes on in the next line
            super().print(*objects, **options)

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(masked(text), kept="\n"), **options)

    return Screen(width=None if sys.stdout and sys.stdout.isatty() else 160, markup=False, emoji=False)


def progress() -> Progress:
    """Return a live display on stderr of each task, its progress, and the time that is left.

    It shows nothing in a worker process, or if stderr is not a terminal.
    """
    from rich import progress as rich
    from rich.console import Console
    from rich.text import Text

    class Description(rich.ProgressColumn):
        def render(self, task: rich.Task) -> Text:
            return Text(visible(task.description))

    console = Console(stderr=True)
    parts = (Description(), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), "left")
    silent = not console.is_terminal or multiprocessing.parent_process() is not None
    return rich.Progress(*parts, rich.TimeRemainingColumn(), console=console, disable=silent, transient=True)


def drop_output() -> None:
    """Discard the text that stdout still buffers. Otherwise Python fails to write it at exit and complains."""
    with suppress(OSError, ValueError):  # stdout may have no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
