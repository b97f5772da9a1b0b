"""Writes the commit into wheels and source distributions, which have no repository; pyproject.toml has the rest."""

import json
import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

MODULE = Path("benchmarks", "training", "provenance.py")


def write_commit(folder: str) -> None:
    """Write the file that the module in this folder reads instead of asking git."""
    module = runpy.run_path(str(Path(__file__).parent / MODULE))
    (folder / MODULE).with_name(module["BUILT"]).write_text(json.dumps(module["provenance"]()) + "\n")


class Wheel(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            write_commit(self.build_lib)


class Source(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_commit(base_dir)


setup(cmdclass={"build_py": Wheel, "sdist": Source})
