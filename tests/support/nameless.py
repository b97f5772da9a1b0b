"""A user whose number has no entry in the list of users, and who has no home folder, as in many containers."""

import os
import pwd
from typing import NoReturn

import pytest


def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process one of such a user, for one test."""

    def unknown(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("PEFT_BENCH_CACHE", "XDG_CACHE_HOME", "HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        if name in os.environ:
            monkeypatch.delenv(name)
