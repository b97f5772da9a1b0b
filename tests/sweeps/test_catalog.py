"""methods/README.md is what its command writes, and its rows on known methods are right."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import methods
from benchmarks import catalog
from benchmarks.sweeps import tuners
from methods.hf import config as hf_config


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "methods" / "README.md").read_text()


def rows(text: str) -> dict[str, dict[str, str]]:
    """The cells of every method by column. The second of the two published columns is on points."""
    first, _, _ = text.partition("## Families")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines() if line[:1] == "|"]
    head, _, *body = lines
    head[-3] = "published on points"
    return {line[0].strip("`"): dict(zip(head, line, strict=True)) for line in body}


@pytest.mark.slow
def test_the_committed_page_is_what_the_command_writes(page, tmp_path):
    assert catalog.main(["-o", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == page


@pytest.mark.usefixtures("no_passes")
def test_the_committed_rows_of_a_few_methods_are_what_the_command_writes(page, monkeypatch, tmp_path):
    few = {
        name: methods.METHODS[name] for name in ("adapterx", "fact_tk", "idpt", "lora", "noah", "spt_lora", "vpt_deep")
    }
    monkeypatch.setattr(methods, "METHODS", few)
    monkeypatch.setattr("benchmarks.sweeps.tuners.table", str)  # counting takes a minute
    assert catalog.main(["-o", str(tmp_path / "page.md")]) == 0
    made, committed = rows((tmp_path / "page.md").read_text()), rows(page)
    assert made == {name: committed[name] for name in few}


@pytest.mark.skipif(find_spec("peft") is None, reason="Hugging Face PEFT is not installed")
def test_every_tuner_of_peft_has_a_row_with_its_paper(page):
    row = r"^\| `hf:(\w+)` +\| ([^|]+?) +\| \[[^|]+\]\((https://[^|]+)\) +\| [0-9,]+ +\|$"
    listed = re.findall(row, page, re.MULTILINE)
    assert {kind: (what, paper) for kind, what, paper in listed} == tuners.papers()
    assert set(hf_config.kinds()) <= set(tuners.papers())


def test_every_method_has_a_row(page):
    assert set(rows(page)) == set(methods.METHODS)


def test_the_readme_names_every_method(root):
    assert set(methods.METHODS) <= set(re.findall(r"`([a-z0-9_]+)`", (root / "README.md").read_text()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lora", {"changes": "attn.qkv", "trains": "new weights", "ViT-B/16": "294,912", "merges": "yes"}),
        ("bitfit", {"changes": "", "trains": "every bias", "ViT-B/16": "102,912", "published": "0.10 M"}),
        ("full", {"trains": "everything", "ViT-B/16": "85,798,656", "with head": "22,093,327"}),
        ("adapterx", {"ViT-B/16": "174,144", "with head": "416,447", "published on points": "1.88 %", "merges": "no"}),
        ("adapterx", {"changes": "FFN branch, block, norm", "trains": "new weights, cls_pos, cls_token, norm2"}),
        ("dapt", {"ViT-B/16": "", "with head": "1,087,771", "merges": "in part", "modality": "points"}),
        ("adaptformer", {"changes": "FFN branch", "published": "0.16 M (hidden 8: 156,768)"}),
        ("mosa", {"ViT-B/16": "322,752", "merges": "no"}),
    ],
)
def test_rows_of_known_methods_are_right(name, expected, page):
    row = rows(page)[name]
    assert {column: row[column] for column in expected} == expected
