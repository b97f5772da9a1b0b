"""Texts of others on the screen: without markup, control characters and passwords."""

import sys

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.cli import console, guarded, masked, progress, say, visible, warn
from methods.errors import UserError

NAME, SHOWN = "[/x] :cat: \x1b[31m\u202eA\xa0", r"[/x] :cat: \x1b[31m\u202eA\xa0"


def test_a_table_shows_a_name_as_it_is(capsys):
    table = Table("[/task]", title=NAME)
    table.add_row(NAME)
    console().print(table)
    console().print(f"{NAME}\nsecond line", style="red")
    out = capsys.readouterr().out
    assert out.count(SHOWN) == 3 and "[/task]" in out
    assert f"{SHOWN}\nsecond line" in out


def test_progress_shows_a_name_as_it_is(capsys):
    with progress() as bar:
        bar.add_task(NAME)
        Console(file=sys.stdout, width=200).print(bar.get_renderable())
    assert SHOWN in capsys.readouterr().out


def test_messages_show_a_name_as_it_is_and_no_password(capsys):
    text = f"{NAME} at\npostgresql://me:secret@host/db"
    safe = SHOWN.replace(r"A\xa0", "A") + " at postgresql://me:***@host/db"

    @guarded
    def main(argv: object = None) -> int:
        raise UserError(text)

    warn(text)
    assert main() == 2
    say(NAME)
    out, err = capsys.readouterr()
    assert (out, err) == (f"{SHOWN}\n", f"warning: {safe}\nerror: {safe}\n")


@pytest.mark.parametrize("text", ["vit_nano", "é ± … 😀", "שלום", "a b"])
def test_letters_of_any_script_stay(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("mysql://me:se/cr@et@host:1/db", "mysql://me:***@host:1/db"),
        ("mysql://me@server:it's@host/db", "mysql://me@server:***@host/db"),
        ("https://token@host/path", "https://***@host/path"),
        ("https://token:@host", "https://***@host"),
        ("postgresql://me@host/db?sslmode=on&password=a", "postgresql://me@host/db?sslmode=on&password=***"),
        ("sqlite:////home/me@work/a.db", "sqlite:////home/me@work/a.db"),
        ("http://host:5000/path", "http://host:5000/path"),
    ],
)
def test_passwords_and_tokens_of_urls_are_masked(url, safe):
    assert masked(f"cannot use {url} nor {url}") == f"cannot use {safe} nor {safe}"
