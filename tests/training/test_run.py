"""One run, from its spec to its record."""

from dataclasses import replace

import pytest
import torch

from benchmarks.training import run
from methods.stages.search import Evolution

SEARCH = {"supernet_epochs": 4, "population": 3, "parents": 2, "mutants": 1, "crossovers": 1, "rounds": 1}


def test_the_seconds_of_a_continued_run_cover_its_earlier_stages(specs, small_suite, tmp_path, monkeypatch, one_thread):
    def interrupted(self):
        raise KeyboardInterrupt

    (spec,) = specs("noah", suite=small_suite, set={"noah": SEARCH})
    given = (spec, tmp_path, torch.device("cpu"), lambda epoch: None)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Evolution, "step", interrupted)
        run.run(*given)
    result = run.run(*given)
    stages = result.report["supernet"]["seconds"] + result.report["search"]["seconds"]
    assert result.cost["train_seconds"] > stages


def test_a_record_tells_the_code_that_ran_and_not_the_code_that_planned(specs, tmp_path):
    (spec,) = specs("linear")
    result = run.run(replace(spec, method_digest="0" * 16), tmp_path, torch.device("cpu"), lambda epoch: None)
    assert result.spec.method_digest == spec.method_digest
