"""The entry of ``python -m benchmarks.tracking``."""

from benchmarks.cli import program
from benchmarks.tracking import main

if __name__ == "__main__":
    program(main)
