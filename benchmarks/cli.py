"""What all commands share: how a person's mistake is shown, where tables go, and how progress is shown."""

from __future__ import annotations

import argparse
import errno
import functools
import multiprocessing
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from methods.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

FULL = (errno.ENOSPC, errno.EDQUOT)  # no space left, or a quota is used up


class Main(Protocol):
    """The entry of a command: arguments, by default those of the process, to an exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def guarded(main: Main) -> Main:
    """Show a person's mistake as one line on stderr with exit status 2, and Ctrl-C as one line with status 130.

    A person's mistake is a ``UserError``, a full disk, or an ``OSError`` on a path that the person gave. Every other
    exception is a bug and keeps its traceback.
    """

    @functools.wraps(main)
    def wrapper(argv: Sequence[str] | None = None) -> int:
        try:
            status = main(argv)
            if sys.stdout and status != 2:  # status 2 means that a line was shown already
                sys.stdout.flush()  # or a full disk would go unnoticed
            return status
        except BrokenPipeError:  # `| head` has read enough
            _drop_output()
            return 0
        except UserError as error:
            return _complain(str(error), 2)
        except OSError as error:
            if not (error.errno in FULL or _was_given(error.filename, sys.argv[1:] if argv is None else argv)):
                raise
            verb = "write" if error.errno in FULL else "use"
            if error.errno in FULL:
                _drop_output()
            return _complain(cannot(f"{verb} {error.filename or 'the output'}", error), 2)
        except KeyboardInterrupt:
            return _complain("interrupted. Finished runs are kept; run the same command again to continue.", 130)

    return wrapper


def cannot(what: str, error: OSError, elsewhere: str = "") -> str:
    """One line about what the system refuses: what it was, as in "write x.png", why it was, and what to do.

    ``elsewhere`` says how to choose another place, as in "name another folder with --data-root".
    """
    other = f", or {elsewhere}" if elsewhere else ""
    if error.errno in FULL:
        return f"cannot {what}: no space left on device. Free some space and run the command again{other}."
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    return f"cannot {what}: {reason}. Correct that and run the command again{other}."


def _drop_output() -> None:
    """Send what stdout still holds nowhere, or Python would complain about it at exit."""
    with suppress(OSError, ValueError):  # stdout may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _was_given(filename: object, argv: Sequence[str]) -> bool:
    """Whether a file is, or lies below, a path among the arguments."""
    if not isinstance(filename, (str, bytes)):
        return False
    path = Path(os.path.abspath(os.fsdecode(filename)))
    return any(path.is_relative_to(os.path.abspath(text)) for text in argv if text and not text.startswith("-"))


def _complain(message: str, status: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return status


def warn(message: str) -> None:
    """Show one line on stderr about something that went wrong; nothing stops."""
    print("warning: " + " ".join(message.split()), file=sys.stderr)


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """Add ``--data-root``, the folder that holds the data sets."""
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="folder that holds the data sets (default: $PEFT_BENCH_DATA, else data)",
    )


def console() -> Console:
    """The console for tables: stdout, 160 columns wide if it is not a terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout and sys.stdout.isatty() else 160)


def progress() -> Progress:
    """A live display on stderr: what is done, how far it is and how long it still takes.

    It is silent in a worker process, and where stderr is not a terminal.
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
