"""Documents hold no dead link, no command that its verb refuses, and no path or import that does not exist."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from benchmarks import __main__ as console

ROOT = Path(__file__).parents[1]
FOLDERS = ("methods", "benchmarks", "results")
PAGES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
FORMER = {ROOT / "CHANGELOG.md"}  # pages that name paths of the past
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OWN = {"modulate", "ink"}  # the examples of CONTRIBUTING.md, which tests/test_contributing.py installs
MOST_LINES = 160


def commands(text: str) -> list[list[str]]:
    """The verb and arguments of each command of this package in the code blocks of a page."""
    joined = text.replace("\\\n", " ")
    blocks = [body for language, body in FENCE.findall(joined) if language in ("", "bash", "sh")]
    lines = re.findall(r"^ {4,}(\S.*)$", joined, re.MULTILINE) + [line for body in blocks for line in body.splitlines()]
    parts = [part for line in lines for part in line.split("&&")]
    found = [re.match(r" *python -m benchmarks\.(.+)", part) for part in parts]
    return [shlex.split(match[1], comments=True) for match in found if match]


def verbs(text: str) -> set[str]:
    """The verbs in the first column of the table of commands."""
    rows = text.split("| verb | does |")[1].split("\n\n")[0].splitlines()
    return {verb for row in rows if row for verb in re.findall(r"`(\w+)`", row.split("|")[1])}


@EACH
def test_relative_links_resolve(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))
    relative = [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    assert [target for target in relative if not (page.parent / target).exists()] == []


@EACH
def test_printed_commands_are_accepted_by_their_verbs(page):
    for verb, *arguments in commands(page.read_text()):
        console.module(verb).parser().parse_args(arguments)


@pytest.mark.parametrize("page", sorted({*PAGES} - FORMER), ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_code_exist(page):
    paths = re.findall(r"`((?:benchmarks|methods|tests)/[\w/.-]+\.\w+)`", page.read_text())
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert {path for path in missing if Path(path).stem.removeprefix("test_") not in OWN} == set()


@EACH
def test_printed_imports_work(page):
    for _, body in (found for found in FENCE.findall(page.read_text()) if found[0] == "python"):
        statements = [node for node in ast.parse(body).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        exec(compile(ast.Module(statements, []), str(page), "exec"), {})


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES


def test_the_readme_names_every_verb():
    assert verbs((ROOT / "README.md").read_text()) == set(console.available())


def test_the_readme_has_commands_of_every_kind():
    found = {verb for verb, *_ in commands((ROOT / "README.md").read_text())}
    assert found == {"run", "data", "recommend", "leaderboard", "export", "predict", "push"}
