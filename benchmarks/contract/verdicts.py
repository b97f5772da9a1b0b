"""Whether a method keeps its promises: one verdict per promise and family, and a table of them."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contract.case import Case
from benchmarks.contract.promises import PROMISES, families, of
from benchmarks.contract.tiny import FAMILIES
from methods.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a promise is kept on a family; if not, why, and the traceback of an error that is no broken promise."""

    family: str
    promise: str
    broken: str = ""
    traceback: str = ""


def verdicts(method: str, options: Mapping[str, object]) -> Iterator[Verdict | tuple[str, str]]:
    """Check every promise on every family; a family that the method refuses yields its title and the reason instead."""
    for family in families(method):
        case, title = Case(method, family, options), FAMILIES[family].title
        try:
            case.wire()
        except UserError as error:
            yield title, str(error)
            continue
        except Exception:  # each promise meets it again, and tells it
            pass
        for name, promise in PROMISES.items():
            if promise in of(family):
                yield _verdict(title, name, case)


def _verdict(title: str, name: str, case: Case) -> Verdict:
    try:
        PROMISES[name](case)
    except (AssertionError, UserError) as error:
        return Verdict(family=title, promise=name, broken=" ".join(str(error).split()))
    except Exception as error:  # a bug of the method: it is told, and the other promises are checked
        told = "".join(traceback.format_exception(error))
        return Verdict(family=title, promise=name, broken=f"{type(error).__name__}: {error}", traceback=told)
    return Verdict(family=title, promise=name)


def table(method: str, found: Sequence[Verdict]) -> Table:
    """Make a table of promises and families for a terminal."""
    from rich.table import Table

    titles = list(dict.fromkeys(one.family for one in found))
    shown = {(one.promise, one.family): "FAIL" if one.broken else "pass" for one in found}
    made = Table(f"{method} ...", *titles)
    for promise in PROMISES:
        made.add_row(promise, *(shown.get((promise, title), "-") for title in titles))
    return made
