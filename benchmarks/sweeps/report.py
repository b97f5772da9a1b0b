"""The files of a leaderboard: tables, the page, the run table and figures, written from the records."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import forest, pareto, ranks, shots, validity
from benchmarks.figures import published as figure
from benchmarks.files.writing import write_atomic
from benchmarks.html.page import render
from benchmarks.tables import published as beside
from benchmarks.tables import tidy
from benchmarks.tables import validity as agreement
from benchmarks.tables.formats import COMMAND, to_csv, to_markdown, to_page, to_tex
from benchmarks.tables.leaderboard import of_groups
from benchmarks.tables.parquet import to_parquet
from benchmarks.tables.reader import PACK, found
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table
from benchmarks.tables.validity import Agreement


def save(
    frame: pd.DataFrame,
    results: Path,
    show: Callable[[Sequence[Table]], None] = lambda made: None,
    highlight: str = HIGHLIGHT,
) -> list[Path]:
    """Write the tables, the page, runs.parquet and the figures of the runs in ``frame`` into ``results``.

    Calls ``show`` with the tables. The method ``highlight`` stands out in plots. Returns the paths of the
    written files.
    """
    groups, figures = comparable(frame), results / "figures"
    made = of_groups(groups)
    show(made)
    contents: dict[str, str | bytes] = {
        "leaderboard.md": to_page(made),
        **tidy.files(groups),
        "leaderboard.tex": to_tex(made),
        "leaderboard.html": render(frame, groups, made, highlight, results),
        "runs.parquet": to_parquet(frame.drop_duplicates(["key", PACK] if PACK in frame else "key")),
    }
    for name, content in contents.items():
        write_atomic(results / name, content)
    others = [group for group in groups if not forest.changed(group)]
    wanted = ((pareto, others), (ranks, others), (forest, groups), (shots, groups))
    drawn = [path for figure, some in wanted for path in figure.write(some, figures, highlight)]
    return [*(results / name for name in contents), *drawn]


def write_published(results: Path, suite: str, highlight: str = HIGHLIGHT) -> tuple[Table, list[Path]]:
    """Write the numbers that papers report beside ours: published/SUITE.md, .csv and a figure below ``results``.

    Raises:
        UserError: no published numbers of that suite are known.
    """
    beside.check(suite)
    frame = found(results, shared=True)
    groups = [] if frame.empty else comparable(frame)
    table = beside.table(suite, groups)
    made = f"Made from `benchmarks/published/*.csv` and the run records by `{COMMAND} --published {suite}`."
    folder = results / beside.FOLDER
    texts = {f"{suite}.md": f"{to_markdown(table)}\n\n{made}\n", f"{suite}.csv": to_csv([table])}
    for name, text in texts.items():
        write_atomic(folder / name, text)
    drawn = figure.write(groups, folder, highlight) if suite in figure.panels() else []
    return table, [*(folder / name for name in texts), *drawn]


def write_validity(
    made: Sequence[Agreement], results: Path, suite: str | None = None, highlight: str = HIGHLIGHT
) -> list[Path]:
    """Write our rankings beside the published one: published/validity.md and a figure below ``results``.

    ``suite`` is that of our runs if only one was asked for. The page names it in its command.
    """
    folder = results / beside.FOLDER
    drawn = validity.write(made, folder, highlight)
    parts = [f"# External validity\n\n![The place of every method by published accuracy, and here]({drawn[0].name})"]
    for one in made:
        parts += [one.summary(), to_markdown(agreement.table(one))]
    only = f" --suite {suite}" if suite else ""
    command = f"python -m benchmarks.validity --published {made[0].suite}{only}"
    parts.append(f"Made from `benchmarks/published/*.csv` and the run records in the folder above by `{command}`.")
    page = folder / "validity.md"
    write_atomic(page, "\n\n".join(parts) + "\n")
    return [page, *drawn]
