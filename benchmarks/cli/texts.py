"""Texts for the screen: times, and what others wrote, such as names of tasks, made safe to show."""

import re

LOGIN = re.compile(r"://([^\s/:]*):\S+@")  # a password may hold / and @
TOKEN = re.compile(r"(https?)://[^\s/:]+:?@")
FIELD = re.compile(r"""(?i)([?&](?:password|passwd|pwd|token|secret)=)[^\s&'"]+""")


def visible(text: str, kept: str = "") -> str:
    r"""Return the text with an escape, such as \x1b or \u202e, for every character that shows nothing by itself.

    These are control characters, line ends, marks that turn the direction of a text, and spaces other than the usual
    one. Those in ``kept`` stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def masked(text: str) -> str:
    """Return the text with *** in place of the passwords and tokens of the URLs in it; names of users stay."""
    if "://" not in text:
        return text
    return FIELD.sub(r"\1***", TOKEN.sub(r"\1://***@", LOGIN.sub(r"://\1:***@", text)))


def one_line(message: str) -> str:
    """Return a message as one line that holds neither passwords nor control characters."""
    return visible(masked(" ".join(message.split())))


def duration(seconds: float) -> str:
    """Return a time in a unit that suits it: "52 s", "48 min", "5 h 20 min", or from 48 hours on "3 d 4 h"."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 89.5:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
