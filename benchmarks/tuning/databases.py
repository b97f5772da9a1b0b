"""The SQL databases that hold Optuna studies."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import URL, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.cli import masked
from benchmarks.files.sharing import share
from methods.errors import UserError, check

# Seconds between attempts: if two processes create the tables at once, one of them fails at first.
PAUSES = (0.5, 1.0, 0.0)
FAILURES = (StorageInternalError, SQLAlchemyError)


def file_url(path: Path) -> str:
    """Return the URL of an SQLite file in any folder, even one that is named "a?b"."""
    url = URL.create("sqlite", database=path.absolute().as_uri(), query={"uri": "true"})
    return url.render_as_string(hide_password=False)


def make_file(path: Path) -> None:
    """Make an empty SQLite file if there is none, which the group may write if it may write the folder."""
    if not path.exists():
        path.touch()
        share(path)


@dataclass(frozen=True, kw_only=True)
class StudyDatabase:
    """An SQL database that holds studies. A trial without a heartbeat for ``grace_seconds`` counts as dead.

    Without ``grace_seconds`` trials have no heartbeat, because one process alone uses the study. Failures of trials
    count from ``since`` on, when the command began: what failed an earlier one may be gone.
    """

    url: str
    grace_seconds: int | None = None
    since: datetime = field(default_factory=datetime.now)

    @cached_property
    def storage(self) -> BaseStorage:
        """Open the database, and create its tables if they are missing.

        Raises:
            UserError: the database cannot be opened, or it is in memory.
        """
        waits = {"connect_args": {"timeout": 60}} if self.url.startswith("sqlite") else {"pool_pre_ping": True}
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        template = self.url.replace("{", "{{").replace("}", "}}")  # Optuna would put its version between braces
        for pause in PAUSES:
            try:
                storage = RDBStorage(
                    template,
                    engine_kwargs=waits,
                    heartbeat_interval=max(1, self.grace_seconds // 4) if self.grace_seconds else None,
                    grace_period=self.grace_seconds,
                )
            except (*FAILURES, ImportError, RuntimeError) as error:
                failure = _reason(error)
            except ValueError:  # its message may hold a part of the password
                failure = "its port is no number"
            else:
                remedy = "give a file with --storage, as in sqlite:///FILE.db, or leave it out"
                check(_is_kept(storage), f"storage {self} is in memory, so no trial would be kept; {remedy}")
                _lock_whole_transactions(storage.engine)
                return storage
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
        return masked(self.url)


def _lock_whole_transactions(engine: Engine) -> None:
    """Make each transaction of SQLite lock the database before it reads.

    Optuna reads that a trial waits, and then takes it. Its lock of the row does nothing in SQLite, so two processes
    could take one trial. Python's driver begins a transaction only before the first write. Here it begins none, and
    each transaction begins with the lock.
    """
    if engine.dialect.name == "sqlite":
        engine.dispose()  # a connection from before would begin transactions itself
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def _is_kept(storage: RDBStorage) -> bool:
    """Return whether a database outlives this process. SQLite names no file for one in memory."""
    with storage.engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            return True
        return any(file for _, name, file in connection.exec_driver_sql("PRAGMA database_list") if name == "main")


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error).splitlines()[0]
