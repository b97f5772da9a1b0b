"""The verb recommend in a process of its own, with a plan that does not depend on the speed of this machine."""

import sys

from benchmarks import recommend
from benchmarks.advice import costs, finals, halving

costs.measured = lambda spec, device: costs.Cost(build=0.1, train=0.001, look=0.0003, first=1.0, more=1.0)
halving.MOST_ROUNDS, finals.MOST_REPEATS = 2, 1

if __name__ == "__main__":
    sys.exit(recommend.main())
