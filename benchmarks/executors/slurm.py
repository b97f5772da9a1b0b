"""Runs on a Slurm cluster: submitit sends a job array with one run per element. All nodes share the results folder.

Jobs outlive the driver and store their own records. A repeated command submits the runs that have no record yet. If a
job of the first command still executes one of them, its claim keeps the new job from doing the run twice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from submitit.helpers import DelayedSubmission

from benchmarks.executors import attempt, queue
from benchmarks.executors.attempt import OnEnd, OnEpoch, Outcome
from benchmarks.executors.claims import AlreadyClaimed
from benchmarks.executors.place import Place
from benchmarks.files.root import data_root, use_data_root
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.training.train import Epoch
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
    device: str
    threads: int
    again: bool
    data_root: Path

    def __call__(self) -> tuple[bool, str | None]:
        """Execute the run. Return whether another driver has it, and the reason if it failed."""
        torch.set_num_threads(self.threads)
        use_data_root(self.data_root)
        try:
            return False, attempt.attempt(self.spec, self.results, torch.device(self.device), _ignore, again=self.again)
        except AlreadyClaimed:
            return True, None

    def checkpoint(self) -> Any:
        """Return what Slurm executes after a preemption or a time limit: the same element, which resumes its run."""
        return DelayedSubmission(self)


def execute(
    specs: Sequence[Spec],
    results: Path,
    place: Place,
    *,
    again: bool,
    fail_fast: bool,
    on_epoch: OnEpoch,
    on_end: OnEnd,
    cluster: str = "slurm",
) -> Outcome:
    """Execute runs as ``local.in_process`` does, on a cluster; ``cluster`` is submitit's name of an executor.

    Raises:
        UserError: submitit or Slurm is missing, or refuses the resources.
    """
    executor = _executor(results, place, cluster)
    elements = [_element(spec, results, place, again) for spec in specs]
    jobs: dict[Spec, Any] = {}
    try:
        for start in range(0, len(specs), ARRAY):
            part = slice(start, start + ARRAY)
            jobs.update(zip(specs[part], _submit(executor, elements[part]), strict=True))
        ended = queue.Queue().ended if cluster == "slurm" and not queue.has_accounts() else queue.done
        return _follow(jobs, ended, results, fail_fast, on_epoch, on_end)
    except KeyboardInterrupt:
        _cancel(jobs)
        raise


def script(specs: Sequence[Spec], results: Path, place: Place) -> str:
    """Return the script that would be submitted, for a dry run. Needs no Slurm."""
    submitit = _submitit()

    class Anywhere(submitit.SlurmExecutor):  # type: ignore[misc,name-defined]
        @classmethod
        def affinity(cls) -> int:
            return 1

    executor = Anywhere(folder=_folder(results))
    try:
        executor.update_parameters(**executor._convert_parameters(_parameters(place)))
    except (TypeError, ValueError) as error:
        raise UserError(f"--resources: {' '.join(str(error).split())}") from None
    if len(specs) > 1:
        executor.parameters["map_count"] = min(len(specs), ARRAY)
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
    return text


def _submit(executor: Any, elements: Sequence[Element]) -> list[Any]:
    submitit = _submitit()
    try:
        with redirect_stderr(StringIO()):  # submitit also prints the error that it raises
            jobs: list[Any] = executor.submit_array(elements)
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedSubmissionError) as error:
        raise UserError(f"Slurm refused the jobs: {_last_line(error)}; --dry-run shows the script") from None
    return jobs


def _follow(
    jobs: dict[Spec, Any], ended: queue.Ended, results: Path, fail_fast: bool, on_epoch: OnEpoch, on_end: OnEnd
) -> Outcome:
    outcome = Outcome()
    while jobs:
        over = ended(jobs.values())
        for spec, job in list(jobs.items()):
            if job.job_id not in over:
                trace = store.read_trace(results, spec) or {}
                if trace.get("progress"):
                    on_epoch(spec, trace["progress"])
                continue
            del jobs[spec]
            elsewhere, reason = _result(job, spec, results)
            if elsewhere:
                outcome.others.append(spec)
                continue
            on_end(spec)
            if reason is not None:
                outcome.failed[spec] = reason
        if fail_fast and outcome.failed:
            _cancel(jobs)
            break
        time.sleep(POLL_SECONDS if jobs else 0)
    return outcome


def _result(job: Any, spec: Spec, results: Path) -> tuple[bool, str | None]:
    """Return whether another driver has the run, and the reason if it failed."""
    submitit = _submitit()
    try:
        if job.done():
            result: tuple[bool, str | None] = job.result()
            return result
        how, trace = f"job {job.job_id} ended without a result", ""
    except submitit.core.utils.UncompletedJobError as error:
        how, trace = f"job {job.job_id} ended as {job.state}: {_last_line(error)}", str(error)
    reason = f"{how}; its log is {job.paths.stderr}"
    store.write_trace(results, spec, "failed", reason, traceback=trace)
    return False, reason


def _last_line(error: Exception) -> str:
    """Return the last line of an error of submitit, without its frame and its note about log files."""
    text = str(error).partition("\nYou can check full logs")[0]
    return [line for line in text.splitlines() if line.strip(" -")][-1].strip()


def _cancel(jobs: dict[Spec, Any]) -> None:
    for job in jobs.values():
        job.cancel(check=False)


def _executor(results: Path, place: Place, cluster: str) -> Any:
    submitit = _submitit()
    parameters = {name if name in GENERIC else f"slurm_{name}": value for name, value in _parameters(place).items()}
    try:
        executor = submitit.AutoExecutor(folder=_folder(results), cluster=cluster)
        executor.update_parameters(**parameters)
    except RuntimeError as error:
        raise UserError(f"no Slurm here: {error}; --dry-run shows the script without it") from None
    except (NameError, TypeError, ValueError) as error:
        raise UserError(f"--resources: {' '.join(str(error).split())}") from None
    return executor


def _parameters(place: Place) -> dict[str, Any]:
    """Return what a run needs, under submitit's names."""
    check(place.gpus == int(place.gpus), f"--gpus-per-run {place.gpus}: Slurm gives whole GPUs; give a whole number")
    own: dict[str, Any] = {"cpus_per_task": place.cpus, "additional_parameters": {"requeue": True}}
    if place.gpus:
        own["gpus_per_node"] = int(place.gpus)
    if place.workers is not None:
        own["array_parallelism"] = place.workers
    return {**DEFAULTS, **own, **place.resources}


def _element(spec: Spec, results: Path, place: Place, again: bool) -> Element:
    return Element(
        spec=spec,
        results=results.resolve(),
        device=place.device.type,
        threads=place.cpus,
        again=again,
        data_root=data_root(),
    )


def _folder(results: Path) -> Path:
    return results.resolve() / store.UNFINISHED / FOLDER / "%A"


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise UserError("--executor slurm needs submitit: pip install '.[slurm]'") from None
    return submitit


def _ignore(epoch: Epoch) -> None:
    """Do nothing: the driver reads a run's progress from its trace."""
