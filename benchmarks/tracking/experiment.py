"""Whether somebody deleted a suite's experiment in MLflow. This is found before training, without importing mlflow."""

import json
import sqlite3
from contextlib import closing, suppress
from http.client import HTTPException
from urllib.parse import urlencode
from urllib.request import urlopen

from benchmarks.cli import masked
from benchmarks.tracking.address import SERVERS, sqlite_path
from methods.errors import UserError

ANSWER_SECONDS = 3.0


def check_not_deleted(uri: str, suite: str) -> None:
    """Refuse to track runs in a deleted experiment.

    A database other than SQLite and a server that does not answer are not asked: ``Mirror`` tells what is wrong there.

    Raises:
        UserError: the experiment is deleted.
    """
    if (experiment := _deleted(uri, suite)) is not None:
        refuse(uri, suite, experiment)


def refuse(uri: str, suite: str, experiment: str) -> None:
    """Say how to restore a deleted experiment.

    Raises:
        UserError: always.
    """
    place = masked(uri)
    raise UserError(
        f"experiment '{suite}' was deleted in MLflow at {place}, so it takes no runs; restore it with "
        f"`MLFLOW_TRACKING_URI={place} mlflow experiments restore --experiment-id {experiment}`, "
        "or give another MLflow, or off, with --tracking"
    )


def _deleted(uri: str, suite: str) -> str | None:
    """Return the id of the suite's experiment if it is deleted."""
    if (path := sqlite_path(uri)) is not None:
        query = "SELECT experiment_id FROM experiments WHERE name = ? AND lifecycle_stage = 'deleted'"
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return next((str(row[0]) for row in database.execute(query, (suite,))), None)
    elif uri.startswith(SERVERS):
        asked = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name?{urlencode({'experiment_name': suite})}"
        with suppress(OSError, HTTPException, ValueError, KeyError), urlopen(asked, timeout=ANSWER_SECONDS) as answer:
            found = json.load(answer)["experiment"]
            return str(found["experiment_id"]) if found["lifecycle_stage"] == "deleted" else None
    return None
