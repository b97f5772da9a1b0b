"""The page of the leaderboard in a real browser: its content, its controls, and that it sends no request."""

import base64
import functools
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import published, suites
from benchmarks.cli import visible
from benchmarks.figures import pareto
from benchmarks.html.overview import TIPS, ordered, overview
from benchmarks.html.page import pieces, render
from benchmarks.html.papers import papers
from benchmarks.records import logits
from benchmarks.records.command import command
from benchmarks.records.spec import stem_of
from benchmarks.sweeps import report
from benchmarks.tables.intervals import means
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.reader import to_frame
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table
from tests.support import many_records
from tests.support.browser import Watched, chromium
from tests.support.made_records import frame

NODE = shutil.which("node")
HOSTILE = "</script><script>alert(1)</script>"
SMALL = many_records.SETS[3:]
PRINTED = "vtab1k: image, vit_base_patch16_224.orig_in21k"  # a comparison that papers have numbers of
ODD = {"other mean", "cifar100", "<img src=x onerror=alert(2)>"}  # columns without an explanation of their own
CROWD: many_records.Part = ("crowd", "image", "vit_nano", 1, "last")
TUNED = "repadapter tuned, 12 trials"
Open = Callable[..., Watched]


@functools.cache
def records() -> list[dict[str, Any]]:
    """Two values of every method's option on small suites, many on one, and one run whose names are markup."""
    small = many_records.records(2 * 7 * 11 * 2, SMALL, seeds=2)
    crowd = many_records.records(7 * 7 * 2, [CROWD], seeds=2)
    hostile = next(many_records.records(1))
    hostile["spec"] |= {"suite": HOSTILE, "task": "<img src=x onerror=alert(2)>"}
    hostile["spec"]["config"] = {"rank": "<script>alert(3)</script>", "%{x} <b>": "a & b\x1b\u202e"}
    printed = next(many_records.records(1))
    printed["spec"]["task"] = "cifar100"
    return [*small, *crowd, printed | {"key": "e" * 16}, hostile | {"key": "f" * 16}]


@dataclass(frozen=True)
class Made:
    """A page, and the runs and tables behind it."""

    groups: list[pd.DataFrame]
    tables: list[Table]
    html: str

    def group(self, suite: str) -> pd.DataFrame:
        (group,) = [group for group in self.groups if set(group["spec.suite"]) == {suite}]
        return group


REPORTED = next(many_records.records(1, SMALL))  # the run that has kept its logits
HITS = (
    round(REPORTED["accuracy"]["test"] * REPORTED["accuracy"]["test_samples"]),
    REPORTED["accuracy"]["test_samples"],
)


def keep_logits(results: Path):
    """Samples of one class, all with a confidence of 75 %, the first of which are right."""
    right, count = HITS
    order = np.where((np.arange(count) < right)[:, None], [0, 1], [1, 0])
    values = np.log(np.broadcast_to([0.75, 0.25], (count, 2)))
    path = logits.path_of(results, stem_of(REPORTED["spec"], REPORTED["key"]))
    files = [f"mine/{number}.jpg" for number in range(count)]
    logits.write(path, [(order, values)], np.zeros(count), files=files, labels=("cat", "dog"))


def built(records: list[dict[str, Any]], results: Path | None = None) -> Made:
    frame = to_frame(records)
    groups, made = comparable(frame), tables(frame)
    return Made(groups, made, render(frame, groups, made, results=results))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    results = tmp_path_factory.mktemp("results")
    keep_logits(results)
    return built(records(), results)


@pytest.fixture(scope="module")
def path(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "leaderboard.html"
    path.write_text(made.html)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def at(browser: Any, path: Path) -> Iterator[Open]:
    """Open the page. At the end it must have requested nothing but itself, without a complaint."""
    opened: list[Watched] = []

    def open_(route: str = "", **context: Any) -> Watched:
        opened.append(Watched(browser, path, route, **context))
        return opened[-1]

    yield open_
    for watched in opened:
        quiet(watched, path)
        watched.close()


@pytest.fixture(scope="module")
def shared(browser: Any, path: Path) -> Iterator[Watched]:
    watched = Watched(browser, path)
    yield watched
    watched.close()


@pytest.fixture
def watched(shared: Watched, path: Path) -> Iterator[Watched]:
    """A shared page at its overview without filters, because loading the code of the plots takes longest."""
    shared.page.evaluate("() => { location.hash = ''; return route(); }")
    shared.page.locator("#overview").wait_for()
    yield shared
    quiet(shared, path)


def quiet(watched: Watched, path: Path):
    assert watched.complaints == []
    assert {url.partition("#")[0] for url in watched.requests} == {path.as_uri()}


def section(watched: Watched, title: str) -> Any:
    return watched.page.locator("section.comparison", has=watched.page.get_by_role("heading", name=title, exact=True))


def cells(of: Any) -> pd.DataFrame:
    """Read the texts of a table, with the heads of its columns."""
    found = of.evaluate("""of => ['thead', 'tbody'].map(part => [...of.querySelectorAll(`${part} tr`)].map(
        row => [...row.children].map(cell => cell.textContent.trim())))""")
    (heads,), rows = found
    return pd.DataFrame(rows, columns=heads, dtype=object)


def column(of: Any, name: str) -> list[str]:
    return list(cells(of)[name])


OFFLINE, POINTS = "offline: image, vit_nano", "scanobjectnn: points, point_mae"


def test_the_page_shows_the_tables_with_their_notes_and_best_cells(watched, made):
    assert TUNED in column(section(watched, OFFLINE), "method")
    for table in made.tables:
        shown = section(watched, table.title)
        expected = table.cells[ordered(table)].reset_index().map(visible).astype(object)
        pd.testing.assert_frame_equal(cells(shown), expected)
        assert [t.strip() for t in shown.locator(".notes li").all_text_contents()] == [n.strip() for n in table.notes]
        best = shown.locator("td.best").all_text_contents()
        best_cells = (table.values.eq(table.values.max()) & table.values.notna())[ordered(table)]
        marked = table.cells[ordered(table)].to_numpy()[best_cells.to_numpy()]
        assert best == list(marked)


def test_accuracies_have_the_most_asked_columns_first_then_the_tasks(made):
    table = next(table for table in made.tables if table.title == OFFLINE)
    tasks = [f"task_{number:02}" for number in range(5)]
    assert ordered(table)[:9] == ["mean", "95 % interval", "against best", "params", *tasks]
    assert sorted([*ordered(table), "group mean"]) == sorted(table.cells)  # these tasks are one group
    assert TIPS.keys() >= {name for table in made.tables for name in table.cells} - {*tasks, *ODD}


def test_a_header_sorts_numbers_by_value_in_both_directions(watched):
    shown = section(watched, OFFLINE)
    params = shown.get_by_role("button", name="params", exact=True)
    params.click()
    ascending = [int(text.replace(",", "")) for text in column(shown, "params")]
    assert ascending == sorted(ascending)
    assert [str(n) for n in ascending] != sorted(str(n) for n in ascending)  # texts would have another order
    params.focus()
    watched.page.keyboard.press("Enter")
    assert [int(text.replace(",", "")) for text in column(shown, "params")] == ascending[::-1]
    assert shown.locator("th[aria-sort=descending]").inner_text().strip() == "params"


def test_a_header_of_accuracies_sorts_the_best_first(watched):
    shown = section(watched, OFFLINE)
    shown.get_by_role("button", name="mean", exact=True).click()
    means = [float(text.split()[0]) for text in column(shown, "mean")]
    assert means == sorted(means, reverse=True)


FACETS = {
    ("Suite", "offline"): ("spec.suite", OFFLINE),
    ("Backbone", "point_mae"): ("spec.backbone.name", POINTS),
    ("Modality", "points"): ("spec.backbone.modality", POINTS),
    ("Checkpoint rule", "best_test"): ("accuracy.checkpoint_rule", "scanobjectnn: points, recon"),
}


def test_a_filter_shows_the_matching_comparisons_only(watched, made):
    page = watched.page
    pairs = list(zip(made.tables, made.groups, strict=False))  # these tables come first
    for (label, value), (field, title) in FACETS.items():
        page.get_by_label(label).select_option(value)
        shown = page.locator("section.comparison:visible h2").all_text_contents()
        left = [table.title for table, group in pairs if set(group[field]) == {value}]
        assert title in left
        assert [one for one in shown if one in {table.title for table, _ in pairs}] == left
        page.get_by_label(label).select_option("")
    assert page.locator("section.comparison:visible").count() == len(made.tables)


def test_the_search_shows_the_rows_that_contain_it(watched):
    watched.page.get_by_label("Method", exact=True).fill("RANK=2")
    assert set(column(section(watched, OFFLINE), "method")) == {"lora rank=2", "fact_tt rank=2"}
    watched.page.get_by_label("Method", exact=True).fill("nothing at all")
    assert watched.page.locator("section.comparison:visible").count() == 0
    assert watched.page.locator("#found").inner_text() == "0 comparisons, 0 rows"
    watched.page.get_by_role("button", name="Clear the filters").click()
    assert watched.page.locator("#nothing").is_hidden() and TUNED in column(section(watched, OFFLINE), "method")


def test_words_with_a_comma_between_them_are_alternatives(watched):
    watched.page.get_by_label("Method", exact=True).fill("lora, adapterx")
    names = column(section(watched, OFFLINE), "method")
    assert {name.split()[0] for name in names} == {"lora", "adapterx"}


def test_filters_order_and_axes_are_in_the_address(watched):
    page, shown = watched.page, section(watched, OFFLINE)
    page.get_by_label("Backbone").select_option("vit_nano")
    page.get_by_label("Method", exact=True).fill("lora")
    shown.get_by_role("button", name="params", exact=True).click()
    shown.get_by_label("Vertical").select_option(label="task_03")
    address = page.url
    assert address.endswith(
        "#backbone=vit_nano&method=lora&sort.offline-image-vit_nano=params&y.offline-image-vit_nano=task_03"
    )
    before = cells(shown)
    shown.locator("tbody a").first.click()
    page.locator("#detail a.back").click()
    assert page.url == address
    page.evaluate("location.hash = ''")
    page.wait_for_function("document.querySelector('#method').value === ''")
    assert len(cells(shown)) > len(before)
    page.evaluate("address => { location.href = address; }", address)
    page.wait_for_function("document.querySelector('#method').value === 'lora'")
    assert (
        cells(shown).equals(before)
        and shown.get_by_label("Vertical").locator("option:checked").text_content() == "task_03"
    )


def test_a_table_is_saved_as_it_is_shown(watched):
    shown = section(watched, OFFLINE)
    watched.page.get_by_label("Method", exact=True).fill("rank=2")
    with watched.page.expect_download() as download:
        shown.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "offline-image-vit_nano.csv"
    saved = pd.read_csv(download.value.path(), dtype=str, keep_default_na=False)
    assert saved.astype(object).equals(cells(shown))


def test_a_column_says_what_it_shows_on_focus(watched):
    button, tip = section(watched, OFFLINE).get_by_role("button", name="PPT"), watched.page.locator("#tip")
    button.focus()
    assert "M exp(-log10(P / 10^7 + 1))" in tip.inner_text()
    watched.page.keyboard.press("Escape")
    assert tip.is_hidden()


@pytest.mark.parametrize("size", [{"width": 1500, "height": 700}, {"width": 900, "height": 700}])
def test_the_header_of_a_long_table_stays_below_the_filters(size, watched):
    page, shown = watched.page, section(watched, "crowd: image, vit_nano")
    before = page.viewport_size
    page.set_viewport_size(size)
    shown.locator("tbody tr").nth(30).evaluate("row => row.scrollIntoView({ block: 'center' })")
    page.wait_for_function(
        """title => { const at = [...document.querySelectorAll('section')].find(
        one => one.querySelector('h2').textContent === title).querySelector('thead th').getBoundingClientRect().top;
        return Math.abs(at - document.querySelector('#filters').getBoundingClientRect().bottom) < 2; }""",
        arg="crowd: image, vit_nano",
    )
    page.set_viewport_size(before)


def test_the_contents_lead_to_a_comparison(watched):
    watched.page.locator("#contents").get_by_role("link", name=POINTS).click()
    top = section(watched, POINTS).evaluate("part => part.getBoundingClientRect().top")
    assert top == pytest.approx(watched.page.locator("#filters").bounding_box()["height"], abs=2)


def drawn(watched: Watched, title: str) -> Any:
    shown = section(watched, title)
    shown.locator(".plot").scroll_into_view_if_needed()
    shown.locator(".plot .main-svg").first.wait_for()
    return shown


def points(shown: Any) -> dict[str, tuple[float, float, float]]:
    """Read the points of a plot by the names that it shows on hover."""
    traces = shown.locator(".plot").evaluate("plot => plot.data.filter(trace => trace.mode.startsWith('markers'))")
    return {
        re.findall("<b>(.*)</b>", text)[0]: (x, y, error)
        for trace in traces
        for text, x, y, error in zip(
            trace["hovertext"], trace["x"], trace["y"], trace["error_y"]["arrayminus"], strict=True
        )
    }


def test_the_plot_has_the_points_and_the_frontier_of_the_pareto_plot(watched, made):
    shown, group = drawn(watched, OFFLINE), made.group("offline")
    expected, half = pareto.points(group), means(group)[1].iloc[:, 0]  # of two seeds too, unlike in the figure
    assert points(shown) == {p.name: pytest.approx((p.params, p.accuracy, half[p.name]), rel=1e-5) for p in expected}
    step = shown.locator(".plot").evaluate("plot => plot.data[0].x")[:-1]
    assert step == [point.params for point in pareto.frontier(expected)]


def test_an_accuracy_below_the_axis_lies_on_its_line_with_its_number(browser, tmp_path):
    accuracies = {("lora", "digits"): [0.95], ("norm", "digits"): [0.95], ("linear", "digits"): [0.25]}
    values = frame(accuracies)
    (tmp_path / "three.html").write_text(render(values, comparable(values), tables(values)))
    watched = Watched(browser, tmp_path / "three.html")
    shown = drawn(watched, "offline version 2: image, vit_nano")
    low, high = shown.locator(".plot").evaluate("plot => plot.layout.yaxis.range")
    places = {name: place for name, (_, place, _) in points(shown).items()}
    assert places == {"lora": 95, "norm": 95, "linear": pytest.approx(low)} and 90 < low < 95 < high
    assert "linear 25.0" in shown.locator(".plot .annotation-text").all_text_contents()
    assert shown.locator(".plot").evaluate("plot => plot.data[0].y") == [25, 95, 95]
    watched.close()


def test_hovering_names_a_point_and_its_numbers(watched):
    shown = drawn(watched, OFFLINE)
    name, (_, accuracy, error) = next(iter(points(shown).items()))
    shown.locator(".plot .scatterlayer .trace").nth(1).locator(".points path").first.hover(force=True)
    hover = shown.locator(".plot .hoverlayer .hovertext")
    hover.wait_for()
    assert name in hover.text_content()
    assert f"{accuracy:.1f} ± {error:.1f} %" in hover.text_content()


def test_with_many_points_only_the_frontier_has_bars_and_names(watched, made):
    shown, expected = drawn(watched, "crowd: image, vit_nano"), pareto.points(made.group("crowd"))
    edge = {point.name for point in pareto.frontier(expected)}
    found = points(shown)
    assert set(found) == {point.name for point in expected} and len(found) == 49
    highlighted = {name for name in found if name.startswith("adapterx ")}
    assert {name for name, (_, _, error) in found.items() if error is not None} == edge | highlighted
    names = {text for text in shown.locator(".plot .annotation-text").all_text_contents() if text}
    assert names == edge | highlighted


def test_a_plot_has_no_button_that_sends_it_elsewhere(watched):
    buttons = drawn(watched, OFFLINE).locator(".modebar-btn")
    titles = buttons.evaluate_all("buttons => buttons.map(button => button.dataset.title.toLowerCase())")
    assert set(titles) == {"download plot as a png", "zoom", "pan", "reset axes"}


def test_a_switch_shows_the_numbers_of_papers_as_hollow_points(watched):
    shown = drawn(watched, PRINTED)
    assert set(points(shown)) == {"lora rank=1"}
    shown.get_by_label("published numbers").check()
    watched.page.wait_for_function(
        "() => [...document.querySelectorAll('.plot')].some(plot => plot.data?.length > 1 && plot.data[2].x.length > 9)"
    )
    found, numbers = (
        points(shown),
        published.find("vtab1k", "lora", published.files("vtab1k"), backbone=PRINTED.split(", ")[1], augment="none"),
    )
    printed = numbers[numbers["task"] == "cifar100"].iloc[0]
    assert (
        found["lora"][:2] == pytest.approx((1e6 * printed["params_m"], printed["accuracy"]))
        and found["lora"][2] is None
    )
    traces = shown.locator(".plot").evaluate("plot => plot.data.map(trace => [trace.marker?.symbol].flat())")
    assert {symbol for trace in traces for symbol in trace if symbol} == {"circle", "circle-open"}
    assert shown.locator(".plot").evaluate("plot => new Set(plot.data[0].y).size") == 1  # papers are on no frontier
    shown.get_by_label("Horizontal").select_option(label="training time")
    assert shown.get_by_label("published numbers").is_disabled()


def test_the_points_of_a_paper_in_percent_are_counted_of_the_backbone():
    one, tasks = next(many_records.records(1)), suites.get("vtab1k").tasks
    runs = [one | {"key": f"{number:016}", "spec": one["spec"] | {"task": task}} for number, task in enumerate(tasks)]
    (group,) = comparable(to_frame(runs))
    names = list(means(group)[0])
    assert names[:2] == ["mean of 19 tasks", "group mean"]
    found = [one for one in papers(group, names)["points"] if one["name"] == "adapterx"]
    full = group["params.backbone"].iloc[0]
    assert [(one["x"], one["values"][:2]) for one in found] == [(pytest.approx(0.002 * full, rel=1e-5), [None, 76.2])]


COSTS = {
    "size of the task file": "params.task_file_bytes",
    "training time": "cost.train_seconds",
    "training FLOPs per sample": "cost.flops_per_image.training",
    "latency, merged": "cost.latency_ms.merged",
    "peak memory during training": "cost.peak_memory_bytes",
}


def test_the_axes_can_be_chosen(watched, made):
    shown, group = drawn(watched, OFFLINE), made.group("offline")
    shown.get_by_label("Vertical").select_option(label="task_03")
    accuracy = 100 * group[group["spec.task"] == "task_03"].groupby("row")["accuracy.test"].mean()
    for label, column in COSTS.items():
        shown.get_by_label("Horizontal").select_option(label=label)
        shown.locator(".plot .xtitle", has_text=label).wait_for()
        cost = group.groupby("row")[column].median()
        low = min(y for _, y, _ in points(shown).values())  # lower points are drawn at the end of the axis
        assert {name: (x, y) for name, (x, y, _) in points(shown).items()} == {
            row: pytest.approx((cost[row], max(accuracy[row], low)), rel=1e-5) for row in accuracy.index
        }


def test_a_row_leads_to_its_runs_and_a_run_to_its_page(watched):
    page, detail = watched.page, watched.page.locator("#detail")
    section(watched, POINTS).get_by_role("link", name="lora rank=2", exact=True).click()
    detail.get_by_role("heading", name="lora rank=2").wait_for()
    asked = [r for r in records() if r["spec"]["backbone"]["name"] == "point_mae"]
    asked = [r for r in asked if r["spec"]["config"].get("rank") == 2 and r["spec"]["method"] == "lora"]
    assert sorted(column(detail, "run")) == sorted(r["key"][:8] for r in asked)
    chosen = next(r for r in asked if r["spec"]["seed"] == 1)
    detail.get_by_role("link", name=chosen["key"][:8]).click()
    detail.get_by_role("heading", name=f"lora on {chosen['spec']['task']}, seed 1").wait_for()
    assert page.url.endswith(f"#run/{chosen['key']}")
    assert f"{100 * chosen['accuracy']['test']:.1f} %" in detail.locator(".tiles").inner_text()
    detail.locator(".curve .main-svg").first.wait_for()
    losses = detail.locator(".curve").first.evaluate("curve => curve.data[0].y")
    assert losses == [float(f"{epoch['train_loss']:.4g}") for epoch in chosen["history"]]
    assert detail.locator(".command").inner_text() == f"{command(chosen['spec'])} --force"
    assert detail.locator(".report").count() == 0  # it has kept no logits
    page.go_back()
    page.go_back()
    assert page.locator("#overview").is_visible() and not detail.is_visible()


def test_a_tuned_run_shows_its_study(watched):
    detail = watched.page.locator("#detail")
    section(watched, OFFLINE).get_by_role("link", name=TUNED, exact=True).click()
    detail.get_by_role("heading", name=TUNED).wait_for()
    detail.locator("tbody a").first.click()
    tuning = detail.locator(".fields section", has=watched.page.get_by_role("heading", name="Tuning"))
    tuning.wait_for()
    fields = dict(zip(*(tuning.locator(tag).all_text_contents() for tag in ("dt", "dd")), strict=True))
    assert fields["trials"] == "12" and fields["study"] == "offline/vit_nano/repadapter/task_00"


def test_a_run_can_be_opened_by_its_address(at):
    last = records()[-3]
    watched = at(f"#run/{last['key']}")
    text = watched.page.locator("#detail").inner_text()
    assert f"{last['spec']['method']} on {last['spec']['task']}, seed {last['spec']['seed']}" in text
    assert last["spec"]["data_fingerprint"] in text and last["environment"]["packages"]["timm"] in text


def test_a_run_with_logits_has_a_report(watched):
    watched.page.evaluate("key => { location.hash = `#run/${key}`; }", REPORTED["key"])
    report = watched.page.locator("#detail .report")
    report.locator(".matrix").wait_for()
    rows = report.locator(".matrix tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(c => c.textContent))"
    )
    right, all_ = HITS
    assert rows == [["cat", str(right), str(all_ - right)], ["dog", "", ""]]
    shown = report.inner_text()
    assert f"The 20 of {all_ - right:,} errors".replace(",", "") in shown and "mine/0.jpg" not in shown
    assert f"Calibration: expected error {100 * abs(right / all_ - 0.75):.1f} %" in shown


@pytest.mark.parametrize(("route", "message"), [("#run/0123", "No such run"), ("#runs/99/0", "No such row")])
def test_an_address_of_nothing_shows_a_message(route, message, watched):
    watched.page.evaluate("route => { location.hash = route; }", route)
    watched.page.locator("#detail").get_by_role("heading", name=message).wait_for()


def test_markup_and_control_characters_in_records_are_shown_as_text(watched):
    row = r"lora %{x} <b>=a & b\x1b\u202e rank=<script>alert(3)</script>"
    title = f"{HOSTILE}: image, vit_base_patch16_224.orig_in21k"
    shown = section(watched, title)
    assert shown.locator("h2").text_content() == title
    assert column(shown, "method") == [row]
    assert "<img src=x onerror=alert(2)>" in cells(shown)
    drawn(watched, title)
    labels = shown.locator(".plot .annotation-text").all_text_contents()
    assert labels == [row]
    shown.locator("tbody a").click()
    watched.page.locator("#detail tbody a").click()
    detail = watched.page.locator("#detail")
    detail.locator(".tiles").wait_for()
    assert HOSTILE in detail.inner_text() and "<script>alert(3)</script>" in detail.inner_text()
    assert r"a & b\x1b\u202e" in detail.inner_text() and "\u202e" not in detail.inner_text()
    assert watched.page.locator("img").count() == 0


def test_the_page_cannot_send_a_request(browser, path):
    watched = Watched(browser, path)
    attempts = (
        "fetch('https://example.org/x').then(() => 'left', () => 'refused')",
        """new Promise(done => Object.assign(new Image(), {
            onload: () => done('left'), onerror: () => done('refused'), src: 'https://example.org/i' }))""",
        """() => {
            document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' }));
            return window.ran ?? 'refused'; }""",
    )
    assert [watched.page.evaluate(attempt) for attempt in attempts] == ["refused"] * 3
    assert set(watched.requests) - set(watched.refused) == {path.as_uri()}
    assert sum("Content Security Policy" in text for text in watched.complaints) >= 3
    watched.close()


def luminance(watched: Watched, selector: str, what: str) -> float:
    """Return the relative luminance that WCAG defines."""
    text = watched.page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")
    parts = [int(part) / 255 for part in re.findall(r"\d+", text)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_both_themes_have_the_contrast_of_wcag(scheme, watched):
    watched.page.emulate_media(color_scheme=scheme)
    drawn(watched, OFFLINE)
    ground = luminance(watched, "body", "backgroundColor")
    assert (ground < 0.1) == (scheme == "dark")
    texts = [(".plot .xtick text", "fill"), (".plot .annotation-text", "fill")]
    for selector, what in [*((name, "color") for name in (".lead", "td", ".spread")), *texts]:
        one, other = sorted([ground, luminance(watched, selector, what)])
        assert (other + 0.05) / (one + 0.05) >= 4.5, selector


@pytest.mark.parametrize(("scheme", "other"), [("light", "Dark"), ("dark", "Light")])
def test_the_button_changes_the_theme_and_a_reload_keeps_it(scheme, other, at):
    watched = at(color_scheme=scheme)
    watched.page.get_by_role("button", name=other).click()
    assert (luminance(watched, "body", "backgroundColor") < 0.1) == (other == "Dark")
    watched.page.reload()
    assert (luminance(watched, "body", "backgroundColor") < 0.1) == (other == "Dark")


def test_on_a_phone_a_table_scrolls_beside_its_names(at):
    watched = at(size={"width": 390, "height": 844})
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
    shown = section(watched, OFFLINE)
    box, name = shown.locator(".box"), shown.locator("tbody th").first
    before = name.bounding_box()
    box.evaluate("box => { box.scrollLeft = 300; }")
    assert box.evaluate("box => box.scrollLeft") == 300
    assert name.bounding_box()["x"] == before["x"]
    plot = drawn(watched, OFFLINE).locator(".plot .main-svg").first.bounding_box()
    assert plot["x"] >= 0 and plot["x"] + plot["width"] <= 390


def test_a_finger_filters_sorts_and_reads(at):
    watched = at(size={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = watched.page
    page.get_by_label("Method", exact=True).tap()
    page.keyboard.type("lora")
    shown = drawn(watched, OFFLINE)
    head = shown.get_by_role("button", name="params", exact=True)
    head.tap()
    assert shown.locator("th[aria-sort=ascending]").inner_text().strip() == "params"
    assert page.locator("#tip").inner_text() == TIPS["params"]
    page.locator(".lead").tap()
    assert page.locator("#tip").is_hidden()
    point = shown.locator(".plot .scatterlayer .points path").first
    point.scroll_into_view_if_needed()
    place = point.bounding_box()
    page.touchscreen.tap(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    told = shown.locator("figcaption [aria-live]")
    assert re.fullmatch(r"lora.*: mean of 5 tasks: [\d.]+ ± [\d.]+ %; trained parameters.*; 2 seeds", told.inner_text())
    told.get_by_role("link").tap()
    page.locator("#detail").get_by_role("heading", name="lora").wait_for()


def test_equal_records_make_equal_pages():
    some = records()[:40]
    assert built(some).html == built(some).html


def test_the_page_refers_to_no_other_file():
    html = built(records()[-1:]).html
    assert not re.findall(r"<(?:link|img|iframe|object|embed)\b", html)
    assert re.findall(r"""\b(?:src|href)=["'](?!#)""", html.split('id="data"')[0]) == []
    assert HOSTILE not in html
    data = re.findall(r'<script type="application/json" id="data">([^<]*)</script>', html)
    assert json.loads(data[0])["sections"][0]["suite"] == HOSTILE


def test_pieces_hold_every_field_and_curve_of_every_run():
    some = [*records()[:300], records()[-1]]
    sections, order = overview(comparable(to_frame(some)), built(some).tables)
    assert sections and sorted(order) == list(range(len(some)))
    opened = [json.loads(gzip.decompress(base64.b64decode(text))) for text in pieces(to_frame(some).loc[order])]
    assert [len(piece["key"]) for piece in opened] == [256, 45]
    for number, place in enumerate(order):
        one = {name: column[number % 256] for name, column in opened[number // 256].items()}
        record = some[place]
        assert one["key"] == record["key"] and one["spec.config"] == record["spec"]["config"]
        assert one["environment.packages"] == record["environment"]["packages"] and one["tuning"] == record["tuning"]
        assert one["spec.recipe.epochs"] == record["spec"]["recipe"]["epochs"]
        assert one["cost.train_seconds"] == float(f"{record['cost']['train_seconds']:.4g}")
        assert one["history.train_loss"] == [float(f"{epoch['train_loss']:.4g}") for epoch in record["history"]]
        routing = record["report"].get("routing", {"score": None})["score"]
        assert (one["report"] or {"routing": {"score": None}})["routing"]["score"] == (
            routing and [[float(f"{share:.4g}") for share in block] for block in routing]
        )


@pytest.mark.skipif(NODE is None, reason="no node, which runs the page's functions without a browser")
def test_numbers_of_the_page_sort_by_their_value(root):
    texts = ["94.8 ± 0.6", "9,414 to 36,894", "231.5 kB", "141 k", "80.4 M", "4.76 G", "1.2 T", "1.03 GB", "0.0"]
    script = (root / "benchmarks/html/page/table.js").read_text()
    script += f"\nconsole.log(JSON.stringify({json.dumps(texts)}.map(number)))"
    found = subprocess.run([str(NODE), "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == [94.8, 9414, 231500, 141e3, 80.4e6, 4.76e9, 1.2e12, 1.03e9, 0]


def test_a_submitted_run_with_the_key_of_ours_has_its_own_page_and_row(tmp_path):
    ours, theirs = frame({("lora", "digits"): [0.9]}), frame({("lora", "digits"): [0.8]})
    both = pd.concat([ours.assign(pack=None), theirs.assign(pack="alice")], ignore_index=True)
    report.save(both, tmp_path)
    (key,) = set(both["key"])
    assert len(pd.read_parquet(tmp_path / "runs.parquet")) == 2
    page = (tmp_path / "leaderboard.html").read_text()
    (packed,) = re.findall(r'<script[^>]* id="keys"[^>]*>([^<]*)<', page)
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == [key, f"{key}~2"]
