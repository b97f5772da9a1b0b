"""The commit of this code: that of its own repository, or the one that setup.py wrote into a package.

setup.py runs this file by itself, so it imports nothing of this package.
"""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

BUILT = "built.json"  # beside this file in a wheel and in a source distribution, and nowhere else
ROOT = Path(__file__).parents[2]


@functools.cache
def provenance() -> dict[str, Any]:
    """The commit, and whether files differ from it ("dirty"); "unknown" and None if there is no repository.

    A repository around the package, such as the one that a virtual environment lies in, is not asked.
    """
    built = Path(__file__).with_name(BUILT)
    if built.exists():
        return dict(json.loads(built.read_text()))
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit or "unknown", "dirty": None if changes is None else bool(changes)}


def _git(*words: str) -> str | None:
    """The output of a git command in the repository with the root ROOT; None without git or such a repository."""
    command = ["git", "-C", str(ROOT), f"--git-dir={ROOT / '.git'}", f"--work-tree={ROOT}", *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
