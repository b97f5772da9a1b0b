"""Timing (`python -m benchmarks.speed`): steps take turns with the frozen floor, the least that a step must cost."""
