"""Pretraining of an embedded backbone from its start or a checkpoint to its end, by one process or several."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks.cli import progress
from benchmarks.executors import processes
from benchmarks.files.writing import writing
from benchmarks.pretext.course import Course, Pretraining

PATIENCE = timedelta(minutes=5)  # of one process with another, before it takes it for dead
SAVE_SECONDS = 60.0  # between checkpoints


def pretrain(job: Pretraining, out: Path, device: torch.device, stop_after: int | None = None) -> None:
    """Train, or continue from a checkpoint, and write NAME.safetensors, NAME.csv and NAME.md into ``out``.

    ``stop_after`` writes a checkpoint after that step and returns, as if the process had been killed.

    Raises:
        UserError: ``out`` cannot be written, or has the checkpoint of another command.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    run = Course(job, out, device)
    saved = time.monotonic()
    with _helpers(job, out, stop_after), progress() as bar:
        shown = bar.add_task(job.name, total=job.steps, completed=run.step)
        while run.step < job.steps:
            run.train_step()
            bar.advance(shown)
            if time.monotonic() - saved > SAVE_SECONDS or run.step in (job.steps, stop_after):
                run.log(quiet=not bar.disable)
                run.save()
                saved = time.monotonic()
            if run.step == stop_after:
                return
    run.finish()


@contextmanager
def _helpers(job: Pretraining, out: Path, stop_after: int | None) -> Iterator[None]:
    """Start the other processes of a run; this one is the first of them."""
    if job.processes == 1:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting, threads = f"file://{folder}/meeting", torch.get_num_threads()
        ranks = range(1, job.processes)
        children = [processes.start(_help, job, out, stop_after, rank, meeting, threads) for rank in ranks]
        try:
            dist.init_process_group("gloo", meeting, rank=0, world_size=job.processes, timeout=PATIENCE)
            yield
            dist.destroy_process_group()
        finally:
            processes.end(children)  # one that waits for gradients of this process would wait for ever


def _help(job: Pretraining, out: Path, stop_after: int | None, rank: int, meeting: str, threads: int) -> None:
    """Train beside the first process, which alone writes."""
    torch.set_num_threads(threads)
    run = Course(job, out, torch.device("cpu"), rank)
    dist.init_process_group("gloo", meeting, rank=rank, world_size=job.processes, timeout=PATIENCE)
    while run.step not in (job.steps, stop_after):
        run.train_step()
    dist.destroy_process_group()
