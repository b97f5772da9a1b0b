"""Records that are changed and sealed again, as somebody would who makes one up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.records import evidence

Change = Callable[[dict[str, Any]], object]


def edit(path: Path, change: Change):
    """Apply ``change`` to the content of a record, and write it with the digest of its new content."""
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(evidence.seal(record), indent=1) + "\n")
