"""A function in a second process, ``python -m benchmarks.beside``, while this one does something else."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def beside(function: Callable[..., T], *given: Any) -> Iterator[Callable[[], T]]:
    """Begin ``function(*given)``, a function of a module; what this yields waits for the result, or raises its error.

    The second process ends with the block, unlike one of multiprocessing it needs no ``if __name__`` of its caller.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.beside"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as second:
        assert second.stdin
        try:
            with second.stdin as stdin:
                pickle.dump((function, given), stdin)
            yield partial(_result, second)
        except BaseException:
            second.kill()
            raise


def _result(second: subprocess.Popen[bytes]) -> Any:
    assert second.stdout
    try:
        finished, found = pickle.load(second.stdout)
    except EOFError:
        raise RuntimeError(f"a second process ended with status {second.wait()} and without a result") from None
    if not finished:
        raise found
    return found


def answer() -> None:
    """Do what the first process asks for and hand it the result, or the error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    function, given = pickle.load(sys.stdin.buffer)
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # the pipe is for the result alone
    try:
        result: tuple[bool, Any] = True, function(*given)
    except Exception as error:
        result = False, error
    pickle.dump(result, out, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    answer()
