"""What a name is: a suite, a task and a method become parts of paths, so their names must stay single and shown."""

from methods.errors import check

LONGEST = 100  # bytes; a file's name holds several names, and systems allow 255


def check_part(what: str, name: str) -> None:
    """Refuse a name that cannot be one part of a path; ``what`` says whose name it is.

    Raises:
        UserError: the name is empty, only dots, too long, has a slash, or has characters that cannot be shown.
    """
    fits = bool(name.strip(".")) and name.isprintable() and "/" not in name and "\\" not in name
    allowed = f"give 1 to {LONGEST} bytes without slashes and control characters, not only dots"
    check(fits and len(name.encode()) <= LONGEST, f"{what} {name[:LONGEST]!a} is no name; {allowed}")
