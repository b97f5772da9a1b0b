"""The SQL databases that hold Optuna studies."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from methods.errors import UserError

# Seconds between attempts: if two processes create the tables at once, one of them fails at first.
PAUSES = (0.5, 1.0, 0.0)
FAILURES = (StorageInternalError, SQLAlchemyError)


@dataclass(frozen=True, kw_only=True)
class StudyDatabase:
    """An SQL database that holds studies. A trial without a heartbeat for ``grace_seconds`` counts as dead."""

    url: str
    grace_seconds: int

    @cached_property
    def storage(self) -> BaseStorage:
        """Open the database, and create its tables if they are missing.

        Raises:
            UserError: the database cannot be opened.
        """
        waits = {"connect_args": {"timeout": 60}} if self.url.startswith("sqlite") else {"pool_pre_ping": True}
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        for pause in PAUSES:
            try:
                return optuna.storages.RDBStorage(
                    self.url,
                    engine_kwargs=waits,
                    heartbeat_interval=max(1, self.grace_seconds // 4),
                    grace_period=self.grace_seconds,
                )
            except (*FAILURES, ImportError, RuntimeError) as error:
                failure = _reason(error)
                time.sleep(pause)
        raise UserError(f"cannot use storage {self}: {failure}; give another with --storage")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn a failure of the database into one line.

        Raises:
            UserError: the database failed.
        """
        try:
            yield
        except FAILURES as error:
            raise UserError(
                f"storage {self} failed: {_reason(error)}; finished trials are kept; repeat the command to continue"
            ) from None

    def __str__(self) -> str:
        """The URL without its password."""
        try:
            return make_url(self.url).render_as_string(hide_password=True)
        except ArgumentError:
            return self.url


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error).splitlines()[0]
