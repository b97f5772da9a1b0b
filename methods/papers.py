"""What a method is and which papers it follows, read from its docstring."""

import re
import sys

from methods.base import Method


def headline(cls: type[Method]) -> tuple[str, list[str]]:
    """What a method is, in a few words, and the arXiv numbers of its papers.

    Both stand at the start of its module's docstring. If that cites no paper, the class's docstring says what it is.
    """
    text = " ".join((sys.modules[cls.__module__].__doc__ or "").split("\n\n")[0].split())
    papers = re.findall(r"arXiv:(\d{4}\.\d{5})", text)
    if not papers:
        return " ".join((cls.__doc__ or "").split("\n\n")[0].split()).rstrip("."), []
    return re.sub(r"^[^:]*: | \(.*", "", text), papers


def cited(cls: type[Method]) -> str:
    """The authors, years and arXiv numbers that the module's docstring gives in parentheses; empty if it has none."""
    text = " ".join((sys.modules[cls.__module__].__doc__ or "").split("\n\n")[0].split())
    found = re.search(r"\(([^()]*arXiv:[^()]*)\)", text)
    return found[1] if found else ""
