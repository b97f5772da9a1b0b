"""How a signal interrupts this process."""

import os
import signal
import threading
import weakref
from types import FrameType

AGAIN_SECONDS = 0.05


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise ``KeyboardInterrupt``, with the name of the signal. This is a handler for ``signal.signal``.

    Python drops what is raised while an object is freed. Signals often come just then, because torch frees many tensors
    in each step. Such a signal is sent again a moment later.
    """
    if _is_freeing(frame):
        timer = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()
    else:
        raise KeyboardInterrupt("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)


def _is_freeing(frame: FrameType | None) -> bool:
    """Return whether code of a weak reference or a ``__del__`` is running."""
    while frame is not None:
        if frame.f_code.co_filename == weakref.__file__ or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
