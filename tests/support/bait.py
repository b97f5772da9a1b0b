"""A pickle that shows whether it was executed."""

import os
from pathlib import Path


class Bait:
    """Unpickling this makes the folder ``path``."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))
