"""A headless Chromium for tests, which skip with a reason if there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the Chromium on the PATH, or else the one that playwright installed."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with api.sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome", "chrome")
        found = next(filter(None, map(shutil.which, names)), playwright.chromium.executable_path)
        if not Path(found).exists():
            pytest.skip("no Chromium: apt-get install chromium, or python -m playwright install chromium")
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        browser = playwright.chromium.launch(executable_path=found, args=[*QUIET, *sandbox])
        yield browser
        browser.close()


class Watched:
    """An open page that records its complaints (console, errors, dialogs), its requests and the refused ones."""

    def __init__(self, browser: Any, path: Path, route: str = "", before: str = "", **context: Any):
        self.page = browser.new_context(viewport={"width": 1280, "height": 900} | context.pop("size", {}), **context)
        self.page = self.page.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: request.failure == "csp" and self.refused.append(request.url))
        if before:
            self.page.add_init_script(before)
        self.page.goto(path.as_uri() + route)
        self.page.wait_for_selector("#sections tbody tr, #detail:not([hidden]) h2", state="attached")

    def close(self):
        self.page.context.close()
