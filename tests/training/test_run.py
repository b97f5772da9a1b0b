"""One run, from its spec to its record."""

import pytest
import torch

from benchmarks import suites
from benchmarks.training import run
from methods.stages.search import Evolution
from tests.support import quick_suite

SEARCH = {"supernet_epochs": 4, "population": 3, "parents": 2, "mutants": 1, "crossovers": 1, "rounds": 1}


def test_the_seconds_of_a_continued_run_cover_the_stages_of_earlier_ones(specs, tmp_path, monkeypatch, one_thread):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(suites, "SUITES", suites.SUITES | quick_suite.ENTRY)
    (spec,) = specs("noah", suite="quick", set={"noah": SEARCH})
    given = (spec, tmp_path, torch.device("cpu"), lambda epoch: None)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Evolution, "step", interrupted)
        run.run(*given)
    result = run.run(*given)
    stages = result.report["supernet"]["seconds"] + result.report["search"]["seconds"]
    assert result.cost["train_seconds"] > stages
