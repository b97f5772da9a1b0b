"""The error for a person's mistake: one line that says what was given, what is allowed and what to do."""

import difflib
from collections.abc import Collection, Iterable


class UserError(ValueError):
    """A person's input cannot be used: a name, an option, a file, data or weights.

    The message is one line that says what was given, what is allowed and what to do. A command shows that line and ends
    with status 2. Every other exception is a bug, and keeps its traceback.
    """


def check(condition: bool, message: str) -> None:
    """Refuse a person's input unless the condition holds.

    Raises:
        UserError: with the message.
    """
    if not condition:
        raise UserError(message)


def check_known(kind: str, name: str, known: Collection[str], where: str = "") -> None:
    """Refuse a name that is not known.

    Raises:
        UserError: what ``unknown`` says, after ``where``.
    """
    if name not in known:  # the message is made here alone, because the search for the nearest name takes long
        raise UserError(where + unknown(kind, name, known))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for a name that is not known: what was given, the nearest name, and all names that are allowed."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{name}';{hint} known: {', '.join(known)}"
