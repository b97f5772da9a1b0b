"""External validity: our ranking beside the published one, its correlation and its page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import validity as command
from benchmarks.sweeps import report
from benchmarks.tables import validity
from benchmarks.tables.reader import load
from benchmarks.tables.rows import comparable
from benchmarks.tables.statistics import rank_correlation
from tests.support.made_records import ACCURACY, frame

TRUE = pd.Series([9.0, 7, 5, 3, 1], index=list("abcde"))


@pytest.fixture(scope="module")
def committed(root: Path) -> list[validity.Agreement]:
    return validity.agreements(comparable(load(root / "results")), "vtab1k")


def made(ours: list[float]) -> validity.Agreement:
    methods = pd.DataFrame({"theirs": TRUE, "ours": ours, "low": ours, "high": ours, "source": "a paper"})
    return validity.Agreement(title="Images", suite="vtab1k", backbone="vit", methods=methods)


def test_the_correlation_and_its_interval_are_those_of_scipy():
    other = pd.Series(np.random.default_rng(3).normal(size=25))
    one = other + pd.Series(np.random.default_rng(4).normal(size=25))
    rho, low, high = rank_correlation(one, other)
    assert rho == pytest.approx(stats.spearmanr(one, other).statistic)
    theirs = stats.bootstrap(
        (one, other),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.05)


def test_the_summary_names_the_method_that_disagrees_most():
    one = made([0.5, 4, 3, 2, 5])  # a is last here and e is first
    assert dict(one.apart) == {"a": -4, "e": 4, "b": 0, "c": 0, "d": 0}
    assert one.without == ("a", pytest.approx(stats.spearmanr([7, 5, 3, 1], [4, 3, 2, 5]).statistic))
    assert "`a` 4 places worse here, `e` 4 places better here." in one.summary()
    assert "The largest differences" not in made([5, 4, 3, 2, 1]).summary()


def test_published_means_are_those_of_the_cells_before_those_as_printed(committed):
    (one,) = committed
    assert one.backbone == "vit_base_patch16_224.orig_in21k"
    # the group means of V-PETL Bench's cells; Adapter-X is read from its figure alone
    assert one.methods.loc[["full", "linear", "lora"], "theirs"].tolist() == pytest.approx(
        [68.97, 57.64, 74.60], abs=0.01
    )
    assert one.methods.loc["adapterx", "theirs"] == 76.2
    assert one.methods["source"]["lora"].startswith("V-PETL Bench")


def test_our_means_are_those_of_the_leaderboard(committed, root):
    (one,) = committed
    head, _, *rows = (root / "results" / "leaderboard.md").read_text().splitlines()[2:]
    full = next(row for row in rows if row.startswith("| full "))
    names, cells = ([cell.strip(" *") for cell in line.split("|")] for line in (head, full))
    printed = dict(zip(names, cells, strict=True))
    assert f"{one.methods.loc['full', 'ours']:.1f}" == printed["group mean"].split()[0]


@pytest.mark.parametrize(("folder", "suite"), [("", None), ("realdata", "mini")])
def test_the_committed_page_is_that_of_the_committed_records(folder, suite, root, tmp_path):
    results = root / "results" / folder
    made = validity.agreements(comparable(load(results, suite)), "vtab1k")
    page, *drawn = report.write_validity(made, tmp_path, suite)
    assert page.read_text() == (results / "published" / "validity.md").read_text()
    assert [path.name for path in drawn] == ["validity.png", "validity.svg", "validity.pdf"]
    text = drawn[1].read_text()
    assert all(f"<!-- {name} -->" in text for name in made[0].methods.index)


def test_some_methods_alone_have_their_correlation_and_write_nothing(committed, root, capsys):
    names = ["full", "linear", "lora", "ssf", "adapter", "vpt_shallow"]
    before = (root / "results" / "published" / "validity.md").stat().st_mtime_ns
    assert command.main(["--results", str(root / "results"), "--published", "vtab1k", "--methods", *names]) == 0
    own = committed[0].methods.loc[names]
    expected = stats.spearmanr(own["theirs"], own["ours"]).statistic
    assert f"over 6 methods is {expected:.2f}," in capsys.readouterr().out
    assert (root / "results" / "published" / "validity.md").stat().st_mtime_ns == before


def test_too_few_methods_in_common_is_one_line(tmp_path, monkeypatch, complaint):
    monkeypatch.setattr("benchmarks.tables.reader.load", lambda *args, **options: frame(ACCURACY))
    line = complaint(command.main, "--results", str(tmp_path), "--published", "vtab1k")
    few = f"no comparable runs in {tmp_path} have 5 methods in common with the numbers of vtab1k"
    assert line == f"{few}; run more methods that are in its published table"


def test_a_suite_without_published_numbers_is_one_line(complaint):
    assert "unknown suite with published numbers 'offline'" in complaint(command.main, "--published", "offline")
