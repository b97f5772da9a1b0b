"""Runs on a Slurm cluster: submitit sends a job array with one run per element. All nodes share the results folder.

Jobs outlive the driver and store their own records. A repeated command submits the runs that have no record yet. If a
job of the first command still executes one of them, its claim keeps the new job from doing the run twice.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import submitit
import torch
from submitit.core.utils import FailedSubmissionError, UncompletedJobError
from submitit.helpers import DelayedSubmission

from benchmarks.executors import attempt, queue
from benchmarks.executors.attempt import Ending, Outcome
from benchmarks.executors.place import Listeners, Place, ignore
from benchmarks.files.root import data_root, use_data_root
from benchmarks.records import store
from benchmarks.records.spec import Spec
from methods.errors import UserError, check

FOLDER = "slurm"  # scripts and logs, in the folder of unfinished runs
ARRAY = 1000  # elements per array: Slurm's default MaxArraySize is 1001
POLL_SECONDS = 1.0
DEFAULTS: dict[str, Any] = {"timeout_min": 240, "name": "peft-bench"}
# submitit has no prefix for these
GENERIC = ("name", "timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")


@dataclass(frozen=True, kw_only=True)
class Element:
    """One element of the array: it executes one run. Picklable."""

    spec: Spec
    results: Path
    place: Place
    again: bool
    data_root: Path

    def __call__(self) -> Ending:
        """Execute the run and return how it ended. The driver reads the run's progress from its trace."""
        torch.set_num_threads(self.place.cpus)
        use_data_root(self.data_root)
        return attempt.attempt(self.spec, self.results, torch.device(self.place.device.type), ignore, again=self.again)

    def checkpoint(self) -> Any:
        """Return what Slurm executes after a preemption or a time limit: the same element, which resumes its run."""
        return DelayedSubmission(self)


def execute(
    specs: Sequence[Spec],
    results: Path,
    place: Place,
    listeners: Listeners,
    *,
    again: bool,
    fail_fast: bool,
    cluster: str = "slurm",
) -> Outcome:
    """Execute runs as ``local.in_process`` does, on a cluster; ``cluster`` is submitit's name of an executor.

    Raises:
        UserError: Slurm is missing, or refuses the resources.
    """
    executor, whole, root = _executor(results, place, cluster), results.resolve(), data_root()
    elements = [Element(spec=spec, results=whole, place=place, again=again, data_root=root) for spec in specs]
    jobs: dict[Spec, Any] = {}
    try:
        for start in range(0, len(specs), ARRAY):
            part = slice(start, start + ARRAY)
            jobs.update(zip(specs[part], _submit(executor, elements[part]), strict=True))
        ended = queue.Queue().ended if cluster == "slurm" and not queue.has_accounts() else queue.done
        return _follow(jobs, ended, results, fail_fast, listeners)
    except KeyboardInterrupt:
        _cancel(jobs)
        raise


def script(specs: Sequence[Spec], results: Path, place: Place) -> str:
    """Return the script that would be submitted, for a dry run. Needs no Slurm."""

    class Anywhere(submitit.SlurmExecutor):
        @classmethod
        def affinity(cls) -> int:
            return 1

    executor = Anywhere(folder=_folder(results))
    with _refused():
        executor.update_parameters(**executor._convert_parameters(_parameters(place)))
    if len(specs) > 1:
        executor.parameters["map_count"] = min(len(specs), ARRAY)
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
    return text


def _submit(executor: Any, elements: Sequence[Element]) -> list[Any]:
    try:
        with redirect_stderr(StringIO()):  # submitit also prints the error that it raises
            jobs: list[Any] = executor.submit_array(elements)
    except (UncompletedJobError, FailedSubmissionError) as error:
        raise UserError(f"Slurm refused the jobs: {_last_line(error)}; --dry-run shows the script") from None
    return jobs


def _follow(jobs: dict[Spec, Any], ended: queue.Ended, results: Path, fail_fast: bool, listeners: Listeners) -> Outcome:
    outcome = Outcome()
    while jobs:
        over = ended(jobs.values())
        for spec, job in list(jobs.items()):
            if job.job_id in over:
                del jobs[spec]
                outcome.add(spec, _ending(job, spec, results), listeners.on_end)
            elif progress := (store.read_trace(results, spec) or {}).get("progress"):
                listeners.on_epoch(spec, progress)
        if fail_fast and outcome.failed:
            _cancel(jobs)
            break
        time.sleep(POLL_SECONDS if jobs else 0)
    return outcome


def _ending(job: Any, spec: Spec, results: Path) -> Ending:
    try:
        if job.done():
            ending: Ending = job.result()
            return ending
        how, trace = f"job {job.job_id} ended without a result", ""
    except UncompletedJobError as error:
        how, trace = f"job {job.job_id} ended as {job.state}: {_last_line(error)}", str(error)
    reason = f"{how}; its log is {job.paths.stderr}"
    store.write_trace(results, spec, "failed", reason, traceback=trace)
    return reason


def _last_line(error: Exception) -> str:
    """Return the last line of an error of submitit, without its frame and its note about log files."""
    text = str(error).partition("\nYou can check full logs")[0]
    return [line for line in text.splitlines() if line.strip(" -")][-1].strip()


def _cancel(jobs: dict[Spec, Any]) -> None:
    for job in jobs.values():
        job.cancel(check=False)


def _executor(results: Path, place: Place, cluster: str) -> Any:
    parameters = {name if name in GENERIC else f"slurm_{name}": value for name, value in _parameters(place).items()}
    try:
        with _refused():
            executor = submitit.AutoExecutor(folder=_folder(results), cluster=cluster)
            executor.update_parameters(**parameters)
    except RuntimeError as error:
        raise UserError(f"no Slurm here: {error}; --dry-run shows the script without it") from None
    return executor


@contextmanager
def _refused() -> Iterator[None]:
    """Turn an error of submitit about unknown or wrong parameters into one line."""
    try:
        yield
    except (NameError, TypeError, ValueError) as error:
        raise UserError(f"--resources: {' '.join(str(error).split())}") from None


def _parameters(place: Place) -> dict[str, Any]:
    """Return what a run needs, under submitit's names."""
    check(place.gpus == int(place.gpus), f"--gpus-per-run {place.gpus}: Slurm gives whole GPUs; give a whole number")
    own: dict[str, Any] = {"cpus_per_task": place.cpus, "additional_parameters": {"requeue": True}}
    asked = {"gpus_per_node": int(place.gpus) or None, "array_parallelism": place.workers}
    own |= {name: value for name, value in asked.items() if value is not None}
    return {**DEFAULTS, **own, **place.resources}


def _folder(results: Path) -> Path:
    return results.resolve() / store.UNFINISHED / FOLDER / "%A"
