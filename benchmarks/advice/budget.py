"""The time that a person gives, as in 30m, and how much of it is used."""

import re
import time

from methods.errors import check

FORM = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
LEAST, MOST = 10, 30 * 86_400  # seconds


def seconds(text: str) -> int:
    """The seconds of a text such as 90s, 30m, 2h or 1h30m.

    Raises:
        UserError: it is no such text, or less than 10 seconds, or more than 30 days.
    """
    found = FORM.fullmatch(text)
    check(bool(text and found), f"--budget '{text}' is no time; give one such as 90s, 30m, 2h or 1h30m")
    assert found
    total = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))
    check(LEAST <= total <= MOST, f"--budget {text} must be from {LEAST}s to {MOST // 3600}h")
    return total


class Clock:
    """Counts the seconds of a budget. ``used`` were used by earlier, interrupted executions."""

    def __init__(self, budget: float, used: float = 0.0) -> None:
        self.budget, self._start = budget, time.monotonic() - used

    @property
    def used(self) -> float:
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        return self.budget - self.used
