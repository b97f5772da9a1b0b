"""The entry of ``python -m benchmarks.tracking``."""

import sys

from benchmarks.tracking import main

if __name__ == "__main__":
    sys.exit(main())
