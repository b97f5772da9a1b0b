"""What all commands share: their help, how a person's mistake is shown, and where tables and progress go."""

from __future__ import annotations

import argparse
import errno
import functools
import multiprocessing
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from methods.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

FULL = (errno.ENOSPC, errno.EDQUOT)  # no space left, or a quota is used up
STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, and a closed terminal


class Main(Protocol):
    """The entry point of a command. It takes arguments (default: those of the process) and returns an exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


class Arguments(Protocol):
    """Takes arguments: a parser, or one group of a parser."""

    def add_argument(self, *names: str, **settings: Any) -> Any: ...
    def add_mutually_exclusive_group(self) -> Any: ...


class Parser(argparse.ArgumentParser):
    """A parser that tells a mistake in one line, reads numbers strictly, and refuses an option that is given twice."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.given: set[str] = set()
        self.register("action", None, _Once)
        for kind, strict in ((int, _whole), (float, _number), (Path, _path)):
            self.register("type", kind, strict)

    def parse_known_args(self, *args: Any, **named: Any) -> Any:
        """Parse arguments, and forget those of an earlier call."""
        self.given.clear()
        return super().parse_known_args(*args, **named)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments in one line.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; {self.prog} --help shows what can be given")


class _Once(argparse._StoreAction):
    """Stores the values of an option. A second time would replace the first without a word, so it is refused."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if option_string and self.dest in parser.given:
            raise argparse.ArgumentError(self, "given twice; give it once, with all its values")
        parser.given |= {self.dest} if option_string else set()
        super().__call__(parser, namespace, values, option_string)


def _whole(text: str) -> int:
    """A whole number. Python would also read 010, 1_0 and digits of other scripts."""
    if not re.fullmatch("-?(0|[1-9][0-9]{0,39})", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number; give one such as 8")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", text, re.IGNORECASE):
        raise argparse.ArgumentTypeError(f"'{text}' is no number; give one such as 0.5 or 1e-3")
    return float(text)


def _path(text: str) -> Path:
    if not text:  # Path("") is the current folder
        raise argparse.ArgumentTypeError("the name is empty; is a variable of your shell not set?")
    return Path(text)


def command_parser(verb: str, description: str, examples: Mapping[str, str]) -> Parser:
    """Make the parser of ``python -m benchmarks.VERB``, whose help ends with examples.

    ``examples`` maps one line about each example to its arguments: ``{"train LoRA": "--methods lora"}``.
    """
    command = f"python -m benchmarks.{verb}"
    lines = [line for about, words in examples.items() for line in (f"  # {about}", f"  {command} {words}".rstrip())]
    return Parser(
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
    exception is a bug and keeps its traceback. SIGTERM and SIGHUP end a command as Ctrl-C does, with 128 plus their
    number.
    """

    @functools.wraps(main)
    def wrapper(argv: Sequence[str] | None = None) -> int:
        with _stoppable() as received:
            try:
                return _told(main, argv)
            except BaseException as error:
                # libraries turn a KeyboardInterrupt while they are imported into errors of their own
                if not received and not isinstance(error, KeyboardInterrupt):
                    raise
                number = received[0] if received else getattr(signal, str(error), signal.SIGINT)
            how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
            return _complain(f"{how}. Finished runs are kept; run the same command again to continue.", 128 + number)

    return wrapper


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Raise ``KeyboardInterrupt`` for every signal of STOP, and list the signals that came.

    A signal keeps what the command's parent or an outer ``guarded`` chose for it: nohup ignores SIGHUP.
    """
    received: list[int] = []

    def stop(number: int, frame: object) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)

    usual = (signal.SIG_DFL, signal.default_int_handler)
    main_thread = threading.current_thread() is threading.main_thread()  # no other one may handle signals
    before = {n: handler for n in STOP if main_thread and (handler := signal.getsignal(n)) in usual}
    for number in before:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(main: Main, argv: Sequence[str] | None) -> int:
    """Run a command, and tell a person's mistake."""
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
    """Return the console that shows tables: stdout, 160 columns wide if it is not a terminal.

    If the reader closes the pipe, as `| head` does, the rest of the output is dropped and the command goes on.
    """
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            _drop_output()

    return Screen(width=None if sys.stdout and sys.stdout.isatty() else 160)


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
