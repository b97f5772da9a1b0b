"""The page of the leaderboard, driven in a real browser: what it shows, what it does, and that it asks nobody."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.figures import pareto
from benchmarks.html.details import pieces
from benchmarks.html.overview import overview
from benchmarks.html.page import render
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.reader import to_frame
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table
from tests.support import many_records
from tests.support.browser import Watched, chromium

HOSTILE = "</script><script>alert(1)</script>"
SMALL = many_records.SETS[3:]
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
    hostile["spec"]["config"] = {"rank": "<script>alert(3)</script>", "%{x} <b>": "a & b"}
    return [*small, *crowd, hostile | {"key": "f" * 16}]


@dataclass(frozen=True)
class Made:
    """A page, and what it was made of."""

    groups: list[pd.DataFrame]
    tables: list[Table]
    html: str

    def group(self, suite: str) -> pd.DataFrame:
        (group,) = [group for group in self.groups if set(group["spec.suite"]) == {suite}]
        return group


def built(records: list[dict[str, Any]]) -> Made:
    frame = to_frame(records)
    groups, made = comparable(frame), tables(frame)
    return Made(groups, made, render(frame, groups, made))


@pytest.fixture(scope="module")
def made() -> Made:
    return built(records())


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
    """Opens the page; at the end, it has asked for nothing but itself and complained of nothing."""
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
    """A page that tests share, as reading the plots' code takes longest: at its overview, nothing chosen or sorted."""
    shared.page.evaluate("""() => {
        location.hash = '';
        for (const choice of document.querySelectorAll('select, #method')) {
            if (choice.matches('select')) choice.selectedIndex = 0; else choice.value = '';
            for (const kind of ['input', 'change']) choice.dispatchEvent(new Event(kind, { bubbles: true }));
        }}""")
    shared.page.locator("#overview").wait_for()
    yield shared
    quiet(shared, path)


def quiet(watched: Watched, path: Path) -> None:
    assert watched.complaints == []
    assert {url.partition("#")[0] for url in watched.requests} == {path.as_uri()}


def section(watched: Watched, title: str) -> Any:
    return watched.page.locator("section.comparison", has=watched.page.get_by_role("heading", name=title, exact=True))


def cells(of: Any) -> pd.DataFrame:
    """The texts of a table, by the heads of its columns."""
    found = of.evaluate("""of => ['thead', 'tbody'].map(part => [...of.querySelectorAll(`${part} tr`)].map(
        row => [...row.children].map(cell => cell.textContent.trim())))""")
    (heads,), rows = found
    return pd.DataFrame(rows, columns=heads, dtype=object)


def column(of: Any, name: str) -> list[str]:
    return list(cells(of)[name])


OFFLINE, POINTS = "offline: image, vit_nano", "scanobjectnn: points, point_mae"


def test_tables_are_those_of_the_records(watched: Watched, made: Made) -> None:
    assert TUNED in column(section(watched, OFFLINE), "method")
    for table in made.tables:
        shown = section(watched, table.title)
        pd.testing.assert_frame_equal(cells(shown), table.cells.reset_index().astype(object))
        assert [t.strip() for t in shown.locator(".notes li").all_text_contents()] == [n.strip() for n in table.notes]
        best = shown.locator("td.best").all_text_contents()
        expected = table.cells.to_numpy()[(table.values.eq(table.values.max()) & table.values.notna()).to_numpy()]
        assert best == list(expected)


def test_a_header_sorts_numbers_as_numbers_and_back(at: Open) -> None:
    watched = at()
    shown = section(watched, OFFLINE)
    params = shown.get_by_role("button", name="params", exact=True)
    params.click()
    ascending = [int(text.replace(",", "")) for text in column(shown, "params")]
    assert ascending == sorted(ascending)
    assert [str(n) for n in ascending] != sorted(str(n) for n in ascending)  # as texts they would stand otherwise
    params.focus()
    watched.page.keyboard.press("Enter")
    assert [int(text.replace(",", "")) for text in column(shown, "params")] == ascending[::-1]
    assert shown.locator("th[aria-sort=descending]").inner_text().strip() == "params"
    shown.get_by_role("button", name="mean", exact=True).click()  # of accuracies the best comes first
    means = [float(text.split()[0]) for text in column(shown, "mean")]
    assert means == sorted(means, reverse=True)


FACETS = {
    ("Suite", "offline"): ("spec.suite", OFFLINE),
    ("Backbone", "point_mae"): ("spec.backbone.name", POINTS),
    ("Modality", "points"): ("spec.backbone.modality", POINTS),
    ("Checkpoint rule", "best_test"): ("accuracy.checkpoint_rule", "scanobjectnn: points, recon"),
}


def test_a_filter_leaves_what_it_names(watched: Watched, made: Made) -> None:
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


def test_the_search_leaves_rows_that_contain_it(watched: Watched) -> None:
    watched.page.get_by_label("Method", exact=True).fill("RANK=2")
    assert set(column(section(watched, OFFLINE), "method")) == {"lora rank=2", "fact_tt rank=2"}
    watched.page.get_by_label("Method", exact=True).fill("nothing at all")
    assert watched.page.locator("section.comparison:visible").count() == 0
    assert watched.page.locator("#found").inner_text() == "0 comparisons, 0 rows"


def drawn(watched: Watched, title: str) -> Any:
    shown = section(watched, title)
    shown.locator(".plot").scroll_into_view_if_needed()
    shown.locator(".plot .main-svg").first.wait_for()
    return shown


def points(shown: Any) -> dict[str, tuple[float, float, float]]:
    """What the plot holds, by the names that it shows on hover."""
    traces = shown.locator(".plot").evaluate("plot => plot.data.filter(trace => trace.mode.startsWith('markers'))")
    return {
        re.findall("<b>(.*)</b>", text)[0]: (x, y, error)
        for trace in traces
        for text, x, y, error in zip(trace["hovertext"], trace["x"], trace["y"], trace["error_y"]["array"], strict=True)
    }


def test_the_plot_has_the_points_and_the_frontier_of_the_pareto_plot(watched: Watched, made: Made) -> None:
    shown, group = drawn(watched, OFFLINE), made.group("offline")
    expected = pareto.points(group)
    assert points(shown) == {p.name: pytest.approx((p.params, p.accuracy, p.error), rel=1e-5) for p in expected}
    step = shown.locator(".plot").evaluate("plot => plot.data[0].x")[:-1]
    assert step == [point.params for point in pareto.frontier(expected)]


def test_hovering_names_a_point_and_its_numbers(watched: Watched) -> None:
    shown = drawn(watched, OFFLINE)
    name, (_, accuracy, error) = next(iter(points(shown).items()))
    shown.locator(".plot .scatterlayer .trace").nth(1).locator(".points path").first.hover(force=True)
    hover = shown.locator(".plot .hoverlayer .hovertext")
    hover.wait_for()
    assert name in hover.text_content()
    assert f"{accuracy:.1f} ± {error:.1f} %" in hover.text_content()


def test_of_many_points_the_frontier_alone_has_bars_and_names(watched: Watched, made: Made) -> None:
    shown, expected = drawn(watched, "crowd: image, vit_nano"), pareto.points(made.group("crowd"))
    edge = {point.name for point in pareto.frontier(expected)}
    found = points(shown)
    assert set(found) == {point.name for point in expected} and len(found) == 49
    assert {name for name, (_, _, error) in found.items() if error is not None} == edge
    names = {text for text in shown.locator(".plot .textpoint").all_text_contents() if text}
    assert names and names <= edge


def test_the_buttons_of_a_plot_keep_it_to_the_page(watched: Watched) -> None:
    buttons = drawn(watched, OFFLINE).locator(".modebar-btn")
    titles = buttons.evaluate_all("buttons => buttons.map(button => button.dataset.title)")
    assert set(titles) == {"Download plot as a PNG", "Zoom", "Pan", "Reset axes"}


COSTS = {
    "size of the task file": "params.task_file_bytes",
    "training time": "cost.train_seconds",
    "training FLOPs per sample": "cost.flops_per_image.training",
    "latency, merged": "cost.latency_ms.merged",
    "peak memory during training": "cost.peak_memory_bytes",
}


def test_the_axes_can_be_chosen(watched: Watched, made: Made) -> None:
    shown, group = drawn(watched, OFFLINE), made.group("offline")
    shown.get_by_label("Vertical").select_option(label="task_03")
    accuracy = 100 * group[group["spec.task"] == "task_03"].groupby("row")["accuracy.test"].mean()
    for label, column in COSTS.items():
        shown.get_by_label("Horizontal").select_option(label=label)
        shown.locator(".plot .xtitle", has_text=label).wait_for()
        cost = group.groupby("row")[column].median()
        low = min(y for _, y, _ in points(shown).values())  # points far below stand at the edge
        assert {name: (x, y) for name, (x, y, _) in points(shown).items()} == {
            row: pytest.approx((cost[row], max(accuracy[row], low)), rel=1e-5) for row in accuracy.index
        }


def test_a_row_leads_to_its_runs_and_a_run_to_its_page(watched: Watched) -> None:
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
    page.go_back()
    page.go_back()
    assert page.locator("#overview").is_visible() and not detail.is_visible()


def test_a_tuned_run_says_how_it_was_tuned(watched: Watched) -> None:
    detail = watched.page.locator("#detail")
    section(watched, OFFLINE).get_by_role("link", name=TUNED, exact=True).click()
    detail.get_by_role("heading", name=TUNED).wait_for()
    detail.locator("tbody a").first.click()
    tuning = detail.locator(".fields section", has=watched.page.get_by_role("heading", name="Tuning"))
    tuning.wait_for()
    told = dict(zip(*(tuning.locator(tag).all_text_contents() for tag in ("dt", "dd")), strict=True))
    assert told["trials"] == "12" and told["study"] == "offline/vit_nano/repadapter/task_00"


def test_a_run_can_be_opened_by_its_address_and_one_that_is_not_there_says_so(at: Open) -> None:
    last = records()[-2]
    watched = at(f"#run/{last['key']}")
    detail = watched.page.locator("#detail")
    text = detail.inner_text()
    assert f"{last['spec']['method']} on {last['spec']['task']}, seed {last['spec']['seed']}" in text
    assert last["spec"]["data_fingerprint"] in text and last["environment"]["packages"]["timm"] in text
    for route, said in (("#run/0123", "No such run"), ("#runs/99/0", "No such row")):
        watched.page.evaluate("route => { location.hash = route; }", route)
        detail.get_by_role("heading", name=said).wait_for()


def test_markup_in_records_is_text_everywhere(watched: Watched) -> None:
    title = f"{HOSTILE}: image, vit_base_patch16_224.orig_in21k"
    shown = section(watched, title)
    assert shown.locator("h2").text_content() == title
    assert column(shown, "method") == ["lora %{x} <b>=a & b rank=<script>alert(3)</script>"]
    assert "<img src=x onerror=alert(2)>" in cells(shown)
    drawn(watched, title)
    labels = shown.locator(".plot .textpoint").all_text_contents()
    assert labels == ["lora %{x} <b>=a & b rank=<script>alert(3)</script>"]
    shown.locator("tbody a").click()
    watched.page.locator("#detail tbody a").click()
    detail = watched.page.locator("#detail")
    detail.locator(".tiles").wait_for()
    assert HOSTILE in detail.inner_text() and "<script>alert(3)</script>" in detail.inner_text()
    assert watched.page.locator("img").count() == 0


def test_nothing_can_leave_the_page(browser: Any, path: Path) -> None:
    watched = Watched(browser, path)
    asked = "fetch('https://example.org/x').then(() => 'left', () => 'refused')"
    assert watched.page.evaluate(asked) == "refused"
    image = """new Promise(done => Object.assign(new Image(), {
        onload: () => done('left'), onerror: () => done('refused'), src: 'https://example.org/i' }))"""
    assert watched.page.evaluate(image) == "refused"
    inline = """() => {
        document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' }));
        return window.ran ?? 'refused'; }"""
    assert watched.page.evaluate(inline) == "refused"
    assert set(watched.requests) - set(watched.refused) == {path.as_uri()}
    assert sum("Content Security Policy" in text for text in watched.complaints) >= 3
    watched.close()


def luminance(watched: Watched, selector: str, what: str) -> float:
    """Relative luminance as WCAG defines it."""
    text = watched.page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{what}")
    parts = [int(part) / 255 for part in re.findall(r"\d+", text)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_are_legible_and_the_button_goes_to_the_other(scheme: str, at: Open) -> None:
    watched = at(color_scheme=scheme)
    drawn(watched, OFFLINE)
    ground = luminance(watched, "body", "backgroundColor")
    assert (ground < 0.1) == (scheme == "dark")
    texts = [
        (".lead", "color"),
        ("td", "color"),
        (".spread", "color"),
        (".plot .xtick text", "fill"),
        (".plot .textpoint text", "fill"),
    ]
    for selector, what in texts:
        one, other = sorted([ground, luminance(watched, selector, what)])
        assert (other + 0.05) / (one + 0.05) >= 4.5, selector
    watched.page.get_by_role("button", name="Light" if scheme == "dark" else "Dark").click()
    assert (luminance(watched, "body", "backgroundColor") < 0.1) == (scheme == "light")
    watched.page.reload()
    assert (luminance(watched, "body", "backgroundColor") < 0.1) == (scheme == "light")


def test_on_a_phone_tables_scroll_in_their_box_beside_the_names(at: Open) -> None:
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


def test_the_same_records_make_the_same_page() -> None:
    some = records()[:40]
    assert built(some).html == built(some).html


def test_the_page_is_data_and_code_that_names_no_address() -> None:
    html = built(records()[-1:]).html
    assert not re.findall(r"<(?:link|img|iframe|object|embed)\b", html)
    assert re.findall(r"""\b(?:src|href)=["'](?!#)""", html.split('id="data"')[0]) == []
    assert HOSTILE not in html
    data = re.findall(r'<script type="application/json" id="data">([^<]*)</script>', html)
    assert json.loads(data[0])["sections"][0]["suite"] == HOSTILE


def test_pieces_hold_every_field_and_curve_of_every_run() -> None:
    """What the page opens of each run, read without a browser."""
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
