"""Measures the cost of everything around runs: ``python tests/overhead.py workers|ray|tracking [ROUNDS]``.

workers: time of a sweep of small runs in two local processes, in one process with as many threads as each of the two
(the runs are then the same), and in one process with all threads. ray: time that Ray adds to a run. tracking: processor
time of MLflow during a sweep of ordinary runs. Run it on an idle machine.
"""

import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
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
COMMON_RUNS = 8  # the number of runs in COMMON
RAY_RUNS = 15
RAY_WARM_UP = 5  # runs that are not counted: their process first imports torch


def workers() -> str:
    """Return the seconds of two processes and of one, from the command's start to its end."""
    cores = len(os.sched_getaffinity(0))
    two = _seconds([*SMALL, "--workers", "2"], cores)
    half = max(1, cores // 2)
    same, whole = (_seconds([*SMALL, "--workers", "1"], threads) for threads in (half, cores))
    of = f"of {half} thread{'s' * (half > 1)}"
    return (
        f"two {of} each {two:.1f} s; one {of} {same:.1f} s, {same / two:.2f} times as long; "
        f"one of all {cores} {whole:.1f} s, {whole / two:.2f} times as long"
    )


def tracking() -> str:
    """Return the processor seconds of MLflow's process and of the training process per run.

    Both are measured in one sweep, from the end of its first run to the end of its last. So other work on the machine
    hardly changes the ratio, unlike the ratio of the times of two sweeps.
    """
    import psutil

    with TemporaryDirectory() as folder:
        spent: dict[int, list[float]] = {}  # finished runs: [training, MLflow]
        with _started([*COMMON, "--tracking", f"sqlite:///{folder}/mlflow.db"], folder) as process:
            while process.poll() is None and len(spent) <= COMMON_RUNS:
                with suppress(psutil.Error):
                    trains = psutil.Process(process.pid)
                    ended = len(list(Path(folder).rglob("results/runs/**/*.json")))
                    seconds = [sum(each.cpu_times()[:2]) for each in (trains, *trains.children(recursive=True))]
                    spent.setdefault(ended, [seconds[0], sum(seconds[1:])])
                time.sleep(0.05)
    (train_1, mlflow_1), (train_n, mlflow_n) = spent[1], spent[COMMON_RUNS]
    run, beside = (train_n - train_1) / (COMMON_RUNS - 1), (mlflow_n - mlflow_1) / (COMMON_RUNS - 1)
    return f"a run takes {run:.2f} s of processors, MLflow {beside:.2f} s beside: {100 * beside / run:.1f} %"


def ray(workers: int | None) -> str:
    """Return the seconds from one result to the next minus the seconds of a run, on a cluster with one CPU."""
    import torch
    from ray.cluster_utils import Cluster

    from benchmarks.executors import driver, node
    from benchmarks.executors.place import Listeners, Place
    from benchmarks.records import store
    from benchmarks.sweeps import sweep

    recipe = {"epochs": 1, "warmup_epochs": 0}
    asked = sweep.Sweep(methods=("linear",), tasks=("digits",), seeds=tuple(range(RAY_RUNS)), recipe=recipe)
    specs, ends = sweep.specs(asked, "float32"), list[float]()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": {"worker_niceness": 0}})
    place = Place(executor="ray", device=torch.device("cpu"), workers=workers, address=cluster.address)
    plain, node.work = node.work, timed
    try:
        with TemporaryDirectory() as folder:
            listeners = Listeners(on_end=lambda _: ends.append(time.perf_counter()))
            outcome = driver.complete(specs, Path(folder), place, listeners, again=False, fail_fast=False)
            assert outcome.failed == {}, outcome
            ran = statistics.mean(r["environment"]["seconds"] for r in store.records(Path(folder))[RAY_WARM_UP:])
    finally:
        node.work = plain
        cluster.shutdown()
    added = (ends[-1] - ends[RAY_WARM_UP - 1]) / (RAY_RUNS - RAY_WARM_UP) - ran
    ahead = "sent ahead" if workers is None else "sent one by one"
    return f"{ahead}: a run takes {ran:.2f} s, and Ray adds {added:.2f} s"


def timed(task: Any, news: Any) -> Any:
    """Call ``node.work`` and add the seconds of the run itself to its record."""
    from benchmarks.executors import node

    plain = node.run

    def run(*args: Any) -> Any:
        start = time.perf_counter()
        result = plain(*args)
        return replace(result, environment=result.environment | {"seconds": time.perf_counter() - start})

    node.run = run
    try:
        return node.work(task, news)
    finally:
        node.run = plain


def _seconds(argv: list[str], threads: int) -> float:
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        status = _started(argv, folder, OMP_NUM_THREADS=str(threads)).wait()
        assert status == 0
        return time.perf_counter() - start


def _started(argv: list[str], folder: str, **own: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.run", *argv, "--results", f"{folder}/results"]
    environment = os.environ | {"PEFT_BENCH_CACHE": f"{folder}/cache", **own}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


MEASURES = {"workers": [workers], "ray": [partial(ray, 1), partial(ray, None)], "tracking": [tracking]}

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        for measure in MEASURES[sys.argv[1]]:
            print(measure(), flush=True)
