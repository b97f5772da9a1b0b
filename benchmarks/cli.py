"""What all commands share: their help, how a person's mistake is shown, and where tables and progress go."""

from __future__ import annotations

import argparse
import errno
import functools
import multiprocessing
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from methods.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

FULL = (errno.ENOSPC, errno.EDQUOT)  # no space left, or a quota is used up


class Main(Protocol):
    """The entry point of a command. It takes arguments (default: those of the process) and returns an exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


class Arguments(Protocol):
    """Takes arguments: a parser, or one group of a parser."""

    def add_argument(self, *names: str, **settings: Any) -> Any: ...


def command_parser(verb: str, description: str, examples: Mapping[str, str]) -> argparse.ArgumentParser:
    """Make the parser of ``python -m benchmarks.VERB``, whose help ends with examples.

    ``examples`` maps one line about each example to its arguments: ``{"train LoRA": "--methods lora"}``.
    """
    command = f"python -m benchmarks.{verb}"
    lines = [line for about, words in examples.items() for line in (f"  # {about}", f"  {command} {words}".rstrip())]
    return argparse.ArgumentParser(
        prog=command,
        description=textwrap.fill(description, shutil.get_terminal_size().columns - 2),
        epilog="\n".join(["examples:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_results(arguments: Arguments, holds: str = "folder that holds the records") -> None:
    """Add ``--results``, the folder that holds the records and what is made from them."""
    folder = Path("results")
    arguments.add_argument("--results", type=Path, default=folder, metavar="DIR", help=f"{holds} (default: {folder})")


def add_data_root(arguments: Arguments) -> None:
    """Add ``--data-root``, the folder that holds the data sets."""
    default = "folder that holds the data sets (default: $PEFT_BENCH_DATA, else data)"
    arguments.add_argument("--data-root", type=Path, metavar="DIR", help=default)


def guarded(main: Main) -> Main:
    """Show a person's mistake as one line on stderr with exit status 2, and Ctrl-C as one line with status 130.

    A person's mistake is a ``UserError``, a full disk, or an ``OSError`` on a path that the person gave. Every other
    exception is a bug and keeps its traceback.
    """

    @functools.wraps(main)
    def wrapper(argv: Sequence[str] | None = None) -> int:
        try:
            status = main(argv)
            if sys.stdout and status != 2:  # with status 2 the reason is already shown
                sys.stdout.flush()  # raises here if the disk is full; at exit nobody would see it
            return status
        except BrokenPipeError:  # the reader, such as `| head`, has closed the pipe
            _drop_output()
            return 0
        except UserError as error:
            return _complain(str(error), 2)
        except OSError as error:
            if error.errno in FULL:
                _drop_output()
            elif not _was_given(error.filename, sys.argv[1:] if argv is None else argv):
                raise
            verb = "write" if error.errno in FULL else "use"
            return _complain(cannot(f"{verb} {error.filename or 'the output'}", error), 2)
        except KeyboardInterrupt:
            return _complain("interrupted. Finished runs are kept; run the same command again to continue.", 130)

    return wrapper


def cannot(what: str, error: OSError, elsewhere: str = "") -> str:
    """Return one line that says what the system refuses, why, and what to do.

    ``what`` is an action, such as "write x.png". ``elsewhere`` says how to choose another place, such as "name another
    folder with --data-root".
    """
    other = f", or {elsewhere}" if elsewhere else ""
    if error.errno in FULL:
        return f"cannot {what}: no space left on device. Free some space and run the command again{other}."
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    return f"cannot {what}: {reason}. Correct that and run the command again{other}."


def _drop_output() -> None:
    """Discard the text that stdout still buffers. Otherwise Python fails to write it at exit and complains."""
    with suppress(OSError, ValueError):  # stdout may have no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _was_given(filename: object, argv: Sequence[str]) -> bool:
    """Return whether one of the arguments is the path of this file or of a folder above it."""
    if not isinstance(filename, (str, bytes)):
        return False
    path = Path(os.path.abspath(os.fsdecode(filename)))
    given = (text.partition("=")[2] if text.startswith("-") else text for text in argv)  # as in --out=FILE
    return any(path.is_relative_to(os.path.abspath(text)) for text in given if text)


def _complain(message: str, status: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return status


def warn(message: str) -> None:
    """Show one line on stderr about something that went wrong. The command goes on."""
    print("warning: " + " ".join(message.split()), file=sys.stderr)


def console() -> Console:
    """Return the console that shows tables: stdout, 160 columns wide if it is not a terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout and sys.stdout.isatty() else 160)


def progress() -> Progress:
    """Return a live display on stderr of each task, its progress, and the time that is left.

    It shows nothing in a worker process, or if stderr is not a terminal.
    """
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    parts = ("{task.description}", rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), "left")
    silent = not console.is_terminal or multiprocessing.parent_process() is not None
    return rich.Progress(*parts, rich.TimeRemainingColumn(), console=console, disable=silent, transient=True)
