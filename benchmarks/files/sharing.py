"""A folder of several people: what is made in a folder that its group may write to, the group may write as well."""

import stat
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; each is shared as the folder that it is made in."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        share(folder)


def share(path: Path) -> None:
    """Let the group write a new file or folder if it may write the folder around it, whatever the umask is."""
    if path.parent.stat().st_mode & stat.S_IWGRP:
        mode = path.stat().st_mode
        path.chmod(mode | (0o070 if stat.S_ISDIR(mode) else 0o060))
