"""The address of the MLflow that gets the runs: the option, else the environment, else a file in this folder."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.cli import Arguments, masked
from methods.errors import UserError

DEFAULT = "sqlite:///mlflow.db"
SERVERS, DATABASES = ("http", "https"), ("sqlite", "postgresql", "mysql", "mssql")


def add_tracking(arguments: Arguments) -> None:
    """Add ``--tracking``, which ``address`` reads."""
    arguments.add_argument(
        "--tracking",
        metavar="URI",
        help="MLflow that gets the runs, or off (default: $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)",
    )


def address(asked: str | None) -> str | None:
    """Return the tracking URI, or None for ``off``. Neither imports mlflow nor asks a server.

    Raises:
        UserError: the URI names no server or database, or a file in a folder that does not exist.
    """
    uri = (os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT) if asked is None else asked
    if uri == "off":
        return None
    source = "MLFLOW_TRACKING_URI" if asked is None else "--tracking"
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme.partition("+")[0] not in (*SERVERS, *DATABASES) or not _names_a_place(scheme, rest):
        raise UserError(
            f"{source}: no MLflow can be at '{masked(uri)}'; give off, http://HOST:PORT, https://HOST, "
            "sqlite:///FILE.db, or the URI of a postgresql, mysql or mssql database"
        )
    path = sqlite_path(uri)
    if path is not None and not path.parent.is_dir():
        raise UserError(
            f"{source}: '{masked(uri)}' is in a folder that does not exist; make {path.parent} or give another"
        )
    return uri


def sqlite_path(uri: str) -> Path | None:
    """Return the absolute path of an SQLite database, or None for any other URI."""
    scheme, _, rest = uri.partition(":///")
    return Path(rest.partition("?")[0]).absolute() if scheme.partition("+")[0] == "sqlite" else None


def _names_a_place(scheme: str, rest: str) -> bool:
    if scheme.partition("+")[0] == "sqlite":
        return rest.startswith("/") and not rest.endswith("/")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # the port is not a number
        return False
