"""What is around runs costs: ``python tests/overhead.py workers|ray|tracking [ROUNDS]``, on an idle machine.

workers: a sweep of small runs by one local process and by two. ray: how much longer than itself a run takes on Ray.
tracking: a sweep of common runs with MLflow, and without.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
TASKS = ["digits", "texture", "orientation", "count", "location"]
SWEEP = ["--methods", "lora", "norm", "bitfit", "adapter", "--tasks", *TASKS, "--seeds", "0", "1"]  # 40 runs
SMALL = [*SWEEP, "--recipe", "epochs=8", "--tracking", "off"]
COMMON = ["--methods", "lora", "adapterx", "--tasks", "digits", "texture", "--seeds", "0", "1", "--workers", "1"]
RUNS = 15  # on Ray, and the first few are not counted: their process has yet to import torch
FIRST = 5


def workers() -> str:
    """Seconds of one and of two, from the command's start to its end."""
    seconds = {count: _seconds([*SMALL, "--workers", str(count)]) for count in (1, 2)}
    return f"one {seconds[1]:.1f} s, two {seconds[2]:.1f} s: {seconds[1] / seconds[2]:.2f} times faster"


def tracking() -> str:
    """Seconds of both, from the command's start to its end."""
    with TemporaryDirectory() as folder:
        off, on = (_seconds([*COMMON, "--tracking", uri]) for uri in ("off", f"sqlite:///{folder}/mlflow.db"))
    return f"without {off:.1f} s, with {on:.1f} s: {100 * (on / off - 1):.1f} % more"


def ray(workers: int | None) -> str:
    """Seconds from one result to the next, less those in which a run ran, on a cluster with one CPU."""
    import torch
    from ray.cluster_utils import Cluster

    from benchmarks import store, sweep
    from benchmarks.executors import driver, node

    recipe = {"epochs": 1, "warmup_epochs": 0}
    asked = sweep.Sweep(methods=("linear",), tasks=("digits",), seeds=tuple(range(RUNS)), recipe=recipe)
    specs, ends = sweep.specs(asked, "float32"), list[float]()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": {"worker_niceness": 0}})
    where = driver.Where(executor="ray", device=torch.device("cpu"), workers=workers, address=cluster.address)
    plain, node.work = node.work, timed
    try:
        with TemporaryDirectory() as folder:
            ears = driver.Ears(
                on_epoch=lambda *_: None,
                on_end=lambda _: ends.append(time.perf_counter()),
                on_wait=lambda *_: None,
                on_other=lambda _: None,
            )
            outcome = driver.complete(specs, Path(folder), where, ears)
            assert outcome.failed == {}, outcome
            ran = statistics.mean(r["environment"]["seconds"] for r in store.records(Path(folder))[FIRST:])
    finally:
        node.work = plain
        cluster.shutdown()
    added = (ends[-1] - ends[FIRST - 1]) / (RUNS - FIRST) - ran
    ahead = "sent ahead" if workers is None else "sent one by one"
    return f"{ahead}: a run takes {ran:.2f} s, and Ray adds {added:.2f} s"


def timed(task: Any, news: Any) -> Any:
    """``node.work``, with how long the run itself took in the record."""
    from benchmarks import executors
    from benchmarks.executors import node

    plain = executors.run

    def run(*args: Any) -> Any:
        start = time.perf_counter()
        result = plain(*args)
        return replace(result, environment=result.environment | {"seconds": time.perf_counter() - start})

    executors.run = run
    try:
        return node.work(task, news)
    finally:
        executors.run = plain


def _seconds(argv: list[str]) -> float:
    with TemporaryDirectory() as folder:
        own = {"PEFT_BENCH_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-m", "benchmarks.run", *argv, "--results", f"{folder}/results"]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=os.environ | own, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


MEASURES = {"workers": [workers], "ray": [partial(ray, 1), partial(ray, None)], "tracking": [tracking]}

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        for measure in MEASURES[sys.argv[1]]:
            print(measure(), flush=True)
