"""A browser for tests of the studio's page, and a hand that uses it.

A test module that imports this is skipped where no browser can be driven.
May not know: sessions, or how the page is made.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser can be driven")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed: the page is not tried in a browser", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 20_000.0  # milliseconds until a test fails that waits for what never comes
WIDE = {"width": 1360, "height": 900}


def quoted(text: str) -> str:
    """A text inside a selector."""
    return json.dumps(text, ensure_ascii=False)


class Hand:
    """A person at the page; `size`: rows and columns of the pictures."""

    def __init__(self, page: Page, size: int = 56) -> None:
        self.page, self.size = page, size

    def asked(self, text: str, state: str = "done") -> None:
        """Wait until this query stands on the page, and its map where it is answered."""
        answered = "[data-stale=false]" if state == "done" else ""
        self.page.wait_for_selector(f"body[data-state={state}]{answered}[data-query={quoted(text)}]")

    def type(self, text: str) -> None:
        """Type a query over the one that stands there."""
        self.page.click(".cm-content")
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Escape")

    def ask(self, text: str, state: str = "done") -> None:
        """Type a query and ask it."""
        self.type(text)
        before = self.data("question")
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_selector(f"body:not([data-question='{before}'])" if before else "body")
        self.asked(text, state)

    def data(self, name: str) -> str:
        return self.page.get_attribute("body", f"data-{name}") or ""

    def tool(self, name: str) -> None:
        self.page.click(f"[data-tool={name}]")

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], key: str | None = None, part: str = "stage"
    ) -> None:
        """Drag over the stage, from (row, column) to (row, column) of the picture."""
        box = self.page.locator(f"[data-part={part}] canvas").last.bounding_box()
        assert box is not None
        places = [
            (box["x"] + column * box["width"] / self.size, box["y"] + row * box["height"] / self.size)
            for row, column in (start, end)
        ]
        if key:
            self.page.keyboard.down(key)
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=4)
        self.page.mouse.up()
        if key:
            self.page.keyboard.up(key)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with warnings.catch_warnings(), sync_playwright() as started:
        warnings.simplefilter("ignore")
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser: Browser, url: str, faults: list[str]) -> Iterator[Page]:
    """A page that has its first answer. What it complains of, and what it asks of other hosts, becomes one of
    `faults`."""
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce", accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    made = context.new_page()
    host = url.split("/?")[0]
    made.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on(
        "request",
        lambda request: None if request.url.startswith((host, "data:", "blob:")) else faults.append(request.url),
    )
    made.goto(url)
    made.wait_for_selector("body[data-state=done]")
    yield made
    context.close()


def serious_faults(page: Page, scheme: str, width: int) -> list[object]:
    """What keeps people with disabilities from a page, light or dark and of a width: ids of rules of axe-core."""
    if not AXE.is_file():
        pytest.skip("axe-core is not there: `npm ci` in page/ brings it")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    try:
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    finally:
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)
    return [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
