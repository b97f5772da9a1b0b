"""Studies whose trials other code of the method ran: they are told, and their searches get new studies or keep them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import optuna

from benchmarks.cli import warn
from benchmarks.tuning.databases import StudyDatabase
from benchmarks.tuning.space import CODE, Search
from benchmarks.tuning.studies import DIGEST


def told(searches: Sequence[Search], database: StudyDatabase, *, keep: bool) -> list[Search]:
    """Return the searches with the studies that they continue, and warn of methods whose code has changed.

    A study keeps the digest of the code that began it. If this is not that of today, its search gets a study of its
    own, so that no sampler and no pruner mixes the trials of both. With ``keep`` the search continues the last study.
    """
    names = optuna.get_all_study_names(database.storage)
    settled, known, changed = list[Search](), Counter[str](), Counter[str]()
    for search in searches:
        found = [name for name in names if name == search.name or name.startswith(search.name + CODE)]
        code = _continued(search, found, database)
        known[search.base.method] += bool(found)
        changed[search.base.method] += code is None
        if code is None:
            last = found[-1].removeprefix(search.name).removeprefix(CODE)
            code = last if keep else str(search.base.method_digest)
            base = replace(search.base, method_digest=None) if keep else search.base  # what is found is not of one code
            search = replace(search, base=base)
        settled.append(replace(search, code=code))
    end = "continue" if keep else "stay, and new ones are made; --keep-outdated continues the old ones"
    for method, count in (+changed).items():
        ran = f"other code than today's ran the trials of {count} of {known[method]} studies"
        warn(f"method '{method}': {ran}; such studies {end}")
    return settled


def _continued(search: Search, found: Sequence[str], database: StudyDatabase) -> str | None:
    """The code in the name of the study to continue, empty in the first study; None if other code ran all that exist.

    A study from before studies had digests is continued.
    """
    now, storage = search.base.method_digest, database.storage
    for name in found:
        before = storage.get_study_user_attrs(storage.get_study_id_from_name(name)).get(DIGEST)
        if None in (before, now) or before == now:
            return name.removeprefix(search.name).removeprefix(CODE)
    return None if found else ""
