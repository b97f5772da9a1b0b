"""Claims: a run has one holder at a time, and is free again when its holder dies, whatever the clocks say."""

import multiprocessing
import os
import random
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from pytest import MonkeyPatch

from benchmarks.executors import attempt, claims
from benchmarks.records import store
from benchmarks.records.spec import Spec
from tests.conftest import Specs
from tests.support.made_records import result

DAY = 86_400
PROCESSES, CLAIMS = 4, 1_000
LEASE = 0.6


@pytest.fixture(scope="module")
def spec(specs: Specs) -> Spec:
    return specs("linear")[0]


@pytest.fixture
def short_lease(monkeypatch: MonkeyPatch):
    monkeypatch.setattr(claims, "LEASE_SECONDS", LEASE)


Start = Callable[[Callable[[], None]], BaseProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes that end with the test."""
    children: list[BaseProcess] = []

    def begin(work: Callable[[], None]) -> BaseProcess:
        children.append(multiprocessing.get_context("fork").Process(target=work, daemon=True))
        children[-1].start()
        return children[-1]

    yield begin
    for child in children:
        child.kill()
        child.join()


def hold(results: Path, spec: Spec, host: str | None = None):
    """Claim a run and never release it; ``host`` makes the claim look like that of another machine."""
    lease = claims.take(results, spec)
    if host is not None:
        file = claims.path(results, spec)
        lines = file.read_text().splitlines()
        file.write_text("".join(f"host={host}\n" if line.startswith("host=") else f"{line}\n" for line in lines))
    (results / "held").touch()
    signal.pause()
    lease.release()


def wait_for(path: Path):
    while not path.exists():
        time.sleep(0.01)


def seen_free(watch: claims.Watch, spec: Spec, seconds: float) -> bool:
    """Whether a run becomes free within a number of seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if watch.freed(spec):
            return True
        time.sleep(0.02)
    return False


def execute_all(results: Path, specs: list[Spec], seed: int):
    for spec in random.Random(seed).sample(specs, len(specs)):
        try:
            lease = claims.take(results, spec)
        except claims.AlreadyClaimed:
            continue
        done = results / f"{spec.seed}.done"
        if not done.exists():
            time.sleep(0.0005)  # the run; two processes that executed it at once would both get here
            with done.open("a") as file:
                file.write(f"{os.getpid()}\n")
        lease.release()


def test_four_processes_execute_each_of_a_thousand_runs_once(tmp_path, spec, start):
    specs = [replace(spec, seed=seed) for seed in range(CLAIMS)]
    children = [start(partial(execute_all, tmp_path, specs, seed)) for seed in range(PROCESSES)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * PROCESSES
    done = [path.read_text().split() for path in tmp_path.glob("*.done")]
    assert [len(pids) for pids in done] == [1] * CLAIMS
    assert len({pid for pids in done for pid in pids}) > 1
    assert not list((tmp_path / store.UNFINISHED).rglob("*.claim"))


def test_a_claim_lasts_until_its_process_is_dead(tmp_path, spec, start):
    child = start(partial(hold, tmp_path, spec))
    wait_for(tmp_path / "held")
    assert not claims.Watch(tmp_path).freed(spec)
    with pytest.raises(claims.AlreadyClaimed):
        claims.take(tmp_path, spec)
    child.kill()
    child.join()
    assert claims.Watch(tmp_path).freed(spec)
    claims.take(tmp_path, spec).release()
    assert not claims.path(tmp_path, spec).exists()


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_claim_of_another_machine_expires_without_heartbeat_at_any_clock(
    jump, tmp_path, spec, start, short_lease, monkeypatch
):
    child = start(partial(hold, tmp_path, spec, host="elsewhere"))
    wait_for(tmp_path / "held")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    watch = claims.Watch(tmp_path)
    assert not seen_free(watch, spec, 3 * LEASE)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    os.utime(claims.path(tmp_path, spec), (now() - jump, now() - jump))  # its own clock may be wrong
    begin = time.monotonic()
    assert seen_free(watch, spec, 10 * LEASE)
    assert time.monotonic() - begin >= LEASE


def test_a_claim_that_a_crash_left_empty_becomes_free(tmp_path, spec, short_lease):
    claims.take(tmp_path, spec).release()
    claims.path(tmp_path, spec).touch()
    watch = claims.Watch(tmp_path)
    assert not watch.freed(spec)
    assert seen_free(watch, spec, 10 * LEASE)


def test_a_run_that_lost_its_claim_writes_no_record(tmp_path, spec, short_lease, monkeypatch):
    def slow(*_: object):
        claims.path(tmp_path, spec).unlink()  # as a process does that takes the claim over
        other = claims.take(tmp_path, spec)
        time.sleep(2 * LEASE)
        other.release()

    monkeypatch.setattr("benchmarks.training.run.run", slow)
    monkeypatch.setattr(store, "write", lambda *_: pytest.fail("wrote a record"))
    ending = attempt.attempt(spec, tmp_path, torch.device("cpu"), lambda epoch: None)
    assert isinstance(ending, claims.AlreadyClaimed)


def test_a_folder_of_two_people_gets_claims_traces_and_records_that_both_may_write(tmp_path, spec):
    tmp_path.chmod(0o2775)
    before = os.umask(0o022)
    try:
        claim = claims.take(tmp_path, spec)
        store.write_trace(tmp_path, spec, "started", "")
        written = [claims.path(tmp_path, spec), store.trace_path(tmp_path, spec), store.write(tmp_path, result(spec))]
        modes = [(stat.S_IMODE(p.stat().st_mode), stat.S_IMODE(p.parent.stat().st_mode)) for p in written if p.exists()]
        claim.release()
    finally:
        os.umask(before)
    assert modes == 2 * [(0o664, 0o2775)]  # the record has replaced the trace


def test_a_claim_of_another_user_that_only_they_may_write_can_expire(tmp_path, spec, short_lease):
    claim = claims.take(tmp_path, spec)
    claims.path(tmp_path, spec).chmod(0o444)
    watch = claims.Watch(tmp_path)
    assert not watch.freed(spec)
    claim.release()
    assert watch.freed(spec)
