"""Runs on a Slurm cluster: a job array of submitit's, a run an element, on a results folder that all nodes share.

Jobs outlive the driver and store their own records. A repeated driver submits what has no record yet; claims keep
those runs from being done twice that the jobs of the first still have in hand.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.executors import attempt, queue
from benchmarks.executors.attempt import OnEnd, OnEpoch, Outcome
from benchmarks.executors.claims import AlreadyClaimed
from benchmarks.files.root import data_root, use_data_root
from benchmarks.records import store
from methods.errors import UserError, check

if TYPE_CHECKING:
    from benchmarks.executors.place import Place
    from benchmarks.records.spec import Spec
    from benchmarks.training.train import Epoch

FOLDER = "slurm"  # of scripts and logs, below that of what is unfinished
ARRAY = 1000  # elements: Slurm's MaxArraySize is 1001 unless set otherwise
POLL_SECONDS = 1.0
DEFAULTS: dict[str, Any] = {"timeout_min": 240, "name": "peft-bench"}
GENERIC = ("name", "timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")  # submitit's own names, for any cluster


@dataclass(frozen=True, kw_only=True)
class Element:
    """What one element of the array does; picklable."""

    spec: Spec
    results: Path
    device: str
    threads: int
    again: bool
    data_root: Path

    def __call__(self) -> tuple[bool, str | None]:
        """Whether the run is another driver's, and why it failed if it did."""
        torch.set_num_threads(self.threads)
        use_data_root(self.data_root)
        try:
            return False, attempt.attempt(self.spec, self.results, torch.device(self.device), _ignore, again=self.again)
        except AlreadyClaimed:
            return True, None

    def checkpoint(self) -> Any:
        """What to do after a preemption or a time limit: the same, from the stages that are done."""
        from submitit.helpers import DelayedSubmission

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
    """As ``local.in_process``, on a cluster; ``cluster`` is one of submitit's.

    Raises:
        UserError: submitit or Slurm is not there, or refuses the resources.
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
    """The script that would be submitted, for a dry run; needs no Slurm."""
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
        with redirect_stderr(StringIO()):  # where submitit prints what it raises as well
            jobs: list[Any] = executor.submit_array(elements)
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedSubmissionError) as error:
        reason = [line for line in str(error).splitlines() if line.strip()][-1].strip()
        raise UserError(f"Slurm refused the jobs: {reason}; --dry-run shows the script") from None
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
            held, reason = _result(job, spec, results)
            if held:
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
    submitit = _submitit()
    try:
        if job.done():
            result: tuple[bool, str | None] = job.result()
            return result
        how = f"job {job.job_id} ended without a result"
    except submitit.core.utils.UncompletedJobError as error:
        last = [line for line in str(error).splitlines() if line.strip()][-1].strip()
        how = f"job {job.job_id} ended as {job.state}: {last}"
    reason = f"{how}; its log is {job.paths.stderr}"
    store.write_trace(results, spec, "failed", reason)
    return False, reason


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
    """What a run needs, by submitit's names."""
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
    """The run's trace says how far it is."""
