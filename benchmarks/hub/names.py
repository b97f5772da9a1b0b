"""The names of a shared run: its repository, and the files in it."""

import re

from methods.errors import check

RECORD, TASK, PLAIN, CONFIG, CARD = "record.json", "task.safetensors", "model.safetensors", "config.json", "README.md"
MANIFEST = "peft_bench.json"  # the key of the run, and the SHA-256 of every other file but the card
FILES = (RECORD, TASK, PLAIN, CONFIG, CARD, MANIFEST)
REPOSITORY = re.compile(r"[a-z0-9][\w.-]*/[a-z0-9][\w.-]*", re.ASCII | re.IGNORECASE)
LONGEST = 96  # characters of OWNER/NAME, as the hub says


def check_repository(name: str) -> None:
    """Refuse what the hub would not take as OWNER/NAME.

    Raises:
        UserError: the name is none.
    """
    fits = REPOSITORY.fullmatch(name) is not None and len(name) <= LONGEST and "--" not in name and ".." not in name
    check(fits, f"'{name}' is no repository of the hub: give OWNER/NAME, such as me/my-photos")
