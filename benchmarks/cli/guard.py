"""How a command ends: a person's mistake and an interruption are one line each; a bug keeps its traceback."""

import errno
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from benchmarks.cli.interrupts import interrupt
from benchmarks.cli.screen import drop_output
from benchmarks.cli.texts import one_line
from methods.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)  # no space left, or a quota is used up
STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, and a closed terminal


class Main(Protocol):
    """The entry point of a command. It takes arguments (default: those of the process) and returns an exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


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

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        interrupt(number, frame)

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
        drop_output()
        return 0
    except UserError as error:
        return _complain(str(error), 2)
    except OSError as error:
        if error.errno in FULL:
            drop_output()
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


def _was_given(filename: object, argv: Sequence[str]) -> bool:
    """Return whether one of the arguments is the path of this file or of a folder above it."""
    if not isinstance(filename, (str, bytes)):
        return False
    path = Path(os.path.abspath(os.fsdecode(filename)))
    given = (text.partition("=")[2] if text.startswith("-") else text for text in argv)  # as in --out=FILE
    return any(path.is_relative_to(os.path.abspath(text)) for text in given if text)


def _complain(message: str, status: int) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return status
