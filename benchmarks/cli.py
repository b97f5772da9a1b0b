"""What every verb of the command line shares: how a user's mistake is told, and how progress is shown."""

from __future__ import annotations

import argparse
import atexit
import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Main = Callable[[Sequence[str] | None], int]


def guarded(main: Main) -> Callable[[Sequence[str] | None], int]:
    """Turn a user's mistake into one line on stderr and exit status 2, and Ctrl-C into status 130."""

    @functools.wraps(main)
    def wrapper(argv: Sequence[str] | None = None) -> int:
        try:
            status = main(argv)
            if sys.stdout and status != 2:  # a mistake is told already
                with suppress(BrokenPipeError):  # its reader has seen enough
                    sys.stdout.flush()  # so that a disk that is full is told
            return status
        except ValueError as error:
            return _complain(str(error), 2)
        except OSError as error:
            place = f" {error.filename}" if error.filename else ""
            return _complain(f"cannot use file{place}: {error.strerror or error}; mend that and repeat the command", 2)
        except KeyboardInterrupt:
            return _complain("interrupted; finished runs are kept, repeat the command to continue", 130)

    return wrapper


def program(main: Main) -> NoReturn:
    """Run a verb and end the process with its status, without taking modules apart: with torch that takes seconds.

    All else that is done at exit is done, but for what had been registered with ``atexit`` before this was called.
    """
    status: int | None = None

    def leave() -> None:
        if status is not None:  # else it ends by an error, or by --help
            for stream in filter(None, (sys.stdout, sys.stderr)):
                with suppress(OSError):  # too late to be told
                    stream.flush()
            os._exit(status)

    atexit.register(leave)  # the first to be registered is the last to be done
    status = main(None)
    sys.exit(status)


def _complain(message: str, status: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return status


def warn(message: str) -> None:
    """Tell on stderr, in one line, what went wrong without stopping anything."""
    print("warning: " + " ".join(message.split()), file=sys.stderr)


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """The option that says where the files of suites lie."""
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR", help="where data lie (default: $PEFT_BENCH_DATA, else the folder data)"
    )


def console() -> Console:
    """Where tables go: stdout, and wide enough for them where it is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout and sys.stdout.isatty() else 160)


def progress() -> Progress:
    """A live display on stderr of what, how far and how long to go; silent in a worker, and where stderr is no
    terminal.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
    )
    silent = not console.is_terminal or multiprocessing.parent_process() is not None
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=silent, transient=True)
