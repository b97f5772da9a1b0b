"""The page of all methods is what its command writes, and what it says is true of a few known methods."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import methods
from benchmarks import catalog

PAGE = Path(__file__).parents[2] / "methods" / "README.md"


def rows(text: str) -> dict[str, dict[str, str]]:
    """The cells of every method by column; of the two columns of published counts the first is that of images."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    head, _, *body = lines
    head[-3] = "published on points"
    return {line[0].strip("`"): dict(zip(head, line, strict=True)) for line in body}


def test_committed_page_is_what_the_command_writes(tmp_path: Path) -> None:
    assert catalog.main(["-o", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == PAGE.read_text()


def test_every_method_has_a_row_and_the_readme_names_it() -> None:
    assert set(rows(PAGE.read_text())) == set(methods.METHODS)
    named = re.findall(r"`([a-z_]+)`", (PAGE.parents[1] / "README.md").read_text())
    assert set(methods.METHODS) <= set(named)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lora", {"acts on": "attn.qkv", "trains": "new weights", "ViT-B/16": "294,912", "merges": "yes"}),
        ("bitfit", {"acts on": "", "trains": "every bias", "ViT-B/16": "102,912", "published": "0.10 M"}),
        ("full", {"trains": "everything", "ViT-B/16": "85,798,656", "with head": "22,093,327"}),
        ("adapterx", {"ViT-B/16": "174,144", "with head": "416,447", "published on points": "1.88 %", "merges": "no"}),
        ("adapterx", {"acts on": "FFN branch, block, norm", "trains": "new weights, cls_pos, cls_token, norm2"}),
        ("dapt", {"ViT-B/16": "", "with head": "1,087,771", "merges": "in part", "modality": "points"}),
        ("adaptformer", {"acts on": "FFN branch", "published": "0.16 M (hidden 8, layer_norm False: 156,768)"}),
        ("mosa", {"ViT-B/16": "322,752", "merges": "no"}),
    ],
)
def test_rows_of_known_methods(name: str, expected: dict[str, str]) -> None:
    row = rows(PAGE.read_text())[name]
    assert {column: row[column] for column in expected} == expected
