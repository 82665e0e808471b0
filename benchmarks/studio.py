"""What somebody sees who opens the studio and touches it: EfficientNet-Lite0 in a real browser.

    python -m benchmarks.studio [TIMES]

In: how often each gesture is measured; chromium and Playwright are needed. Out: medians, in milliseconds, of the time
from the command to its first map; to the first paint; from a drag's end to its first (coarse) map and to a map of all
players; between two maps; of the brush; of a scrub to a layer whose rows are known; between two states of the class
bars while a slider moves; each from the event in the page to what its body says. Beside them stands what bare passes
of the rows take: 16 before the first map, 8 a player before one of all players. Then a session of twelve gestures: its
`script.sql` is run in a fresh process, every map is compared bit for bit, and its rows with those of the same questions
in fresh sessions. It fails if a figure is above what it may be.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from ialgebra.system import runtime

runtime.tune_process()  # as the command does

import ialgebra  # noqa: E402
from ialgebra.apps import studio, zoo  # noqa: E402
from ialgebra.session.session import Session  # noqa: E402

TIMES = 5
MOST = {
    "command to first map": 10_000.0,
    "first paint": 1000.0,
    "mouse-up to first map": 400.0,
    "mouse-up to all players": 2200.0,
    "between two maps": 250.0,
    "brush": 16.0,
    "layer on known rows": 120.0,
    "between two class bars": 125.0,
}
SIDE = 224
PATIENCE = 120_000.0  # milliseconds

# Notes when the body's data attributes change, and when the class bars do.
WATCH = """
() => {
  window.seen = []; window.bars = [];
  const note = () => window.seen.push({at: performance.now(), ...document.body.dataset});
  new MutationObserver(note).observe(document.body, {attributes: true});
  for (const kind of ['pointerup', 'click'])
    document.addEventListener(kind, () => { window[kind + 'At'] = performance.now(); }, true);
  new MutationObserver(() => window.bars.push(performance.now()))
    .observe(document.querySelector('[data-part=classes]'),
      {subtree: true, childList: true, attributes: true, characterData: true});
}
"""
# How long the page works on one movement of the mouse, until it is drawn.
BRUSH = """
async ([x, y]) => {
  const canvas = [...document.querySelectorAll('[data-part=stage] canvas')].at(-1);
  const event = (type, dx) => new PointerEvent(type, {
    clientX: x + dx, clientY: y + dx, bubbles: true, buttons: 1, pointerId: 1, isPrimary: true,
  });
  canvas.dispatchEvent(event('pointerdown', 0));
  const took = [];
  for (let step = 1; step <= 30; step++) {
    const began = performance.now();
    canvas.dispatchEvent(event('pointermove', 3 * step));
    const handled = performance.now() - began;
    const drawn = await new Promise((done) => requestAnimationFrame(() => {
      const frame = performance.now(); setTimeout(() => done(performance.now() - frame), 0);
    }));
    took.push(handled + drawn);
  }
  canvas.dispatchEvent(event('pointercancel', 0));
  return took;
}
"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield opened
        opened.close()


def first_map(chromium: Browser) -> float:
    """Milliseconds from `ialgebra studio` to a map on the screen."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "ialgebra.apps.cli", "studio", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(running.stdout.readline().strip())
        page.wait_for_selector("body[data-frames]:not([data-frames='0'])")
        took = 1e3 * (time.perf_counter() - started)
        page.close()
        running.terminate()
    return took


class Hand:
    """A person at a page of the studio."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []  # the query after each gesture

    def answered(self, act: Callable[[], object]) -> None:
        """Do something that asks a question, and wait for the whole answer."""
        before = self.page.get_attribute("body", "data-question") or ""
        act()
        self.page.wait_for_selector(
            f"body[data-state=done][data-stale=false]:not([data-question={json.dumps(before)}])"
        )
        self.asked.append(self.page.get_attribute("body", "data-query") or "")

    def ask(self, text: str) -> None:
        """Type a query, and wait for its answer."""
        self.page.click(".cm-content")
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Escape")
        self.answered(lambda: self.page.keyboard.press("Control+Enter"))

    def drag(self, top: int, left: int, bottom: int, right: int, tool: str = "box") -> None:
        """Draw a box over the picture."""
        self.page.click(f"[data-tool={tool}]")
        box = self.page.locator("[data-part=stage] canvas").last.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + left * box["width"] / SIDE, box["y"] + top * box["height"] / SIDE)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + right * box["width"] / SIDE, box["y"] + bottom * box["height"] / SIDE, steps=6)
        self.page.mouse.up()

    def now(self) -> float:
        return float(self.page.evaluate("performance.now()"))

    def last(self, kind: str) -> float:
        """When the page last met an event of a kind."""
        return float(self.page.evaluate(f"window.{kind}At"))

    def seen(self) -> list[dict[str, Any]]:
        """What the body said, each time that it changed."""
        found: list[dict[str, Any]] = self.page.evaluate("window.seen")
        return found


def touched(hand: Hand, times: int) -> dict[str, list[float]]:
    """Drags, scrubs and a slider; milliseconds by what they wait for."""
    figures: dict[str, list[float]] = {name: [] for name in MOST if name not in ("command to first map", "first paint")}
    hand.page.evaluate(WATCH)
    for number in range(times):
        edge = 16 * number
        hand.drag(16, 16, 144 + edge // 2, 160 - edge // 2)
        up = hand.last("pointerup")
        hand.page.wait_for_selector("body[data-state=done][data-stale=false]")
        seen = hand.seen()
        drawn = max(int(each["frames"]) for each in seen if each["at"] <= up)
        news = [each for each in seen if int(each["frames"]) > drawn and each["stale"] == "false"]
        frames = [news[k] for k in range(len(news)) if k == 0 or news[k]["frames"] != news[k - 1]["frames"]]
        if not frames:  # the coarse map of the last movement was the whole answer
            continue
        figures["mouse-up to first map"].append(frames[0]["at"] - up)
        whole = next((each for each in frames if each["stage"] in ("partial", "whole")), frames[-1])
        figures["mouse-up to all players"].append(whole["at"] - up)
        figures["between two maps"] += [b["at"] - a["at"] for a, b in pairwise(frames)]
        hand.answered(lambda: hand.page.keyboard.press("Delete"))
    box = hand.page.locator("[data-part=stage] canvas").last.bounding_box()
    assert box is not None
    figures["brush"] += hand.page.evaluate(BRUSH, [box["x"] + 40, box["y"] + 40])
    hand.page.keyboard.press("Escape")
    for layer in ("6", "12", "17"):
        hand.answered(partial(hand.page.click, f"[data-layer='{layer}']"))
    for layer in ("6", "12", "17") * times:
        hand.answered(partial(hand.page.click, f"[data-layer='{layer}']"))
        settled = [each["at"] for each in hand.seen() if (each["state"], each["stale"]) != ("done", "false")][-1]
        settled = next(each["at"] for each in hand.seen() if each["at"] > settled)
        figures["layer on known rows"].append(settled - hand.last("click"))
    hand.answered(lambda: hand.page.click("[data-layer='*']"))
    hand.page.click("[data-edit=brightness]")
    slider = hand.page.locator("[data-part=edits] input[type=range]").first
    slider.focus()
    hand.page.evaluate("window.bars = []")
    started = hand.now()
    while hand.now() < started + 2000:
        hand.page.keyboard.press("ArrowRight")
        hand.page.wait_for_timeout(40)
    bars = hand.page.evaluate("window.bars")
    distinct = [at for k, at in enumerate(bars) if k == 0 or at - bars[k - 1] > 5]
    figures["between two class bars"] += [b - a for a, b in pairwise(distinct)]
    hand.page.wait_for_selector("body[data-state=done][data-stale=false]")
    return figures


def twelve_gestures(hand: Hand) -> None:
    """Window, layers, class, pin, model, nullify, before and after, rank, name, undo twice, share."""
    page = hand.page
    hand.ask("select * from f(cat) budget 130")
    hand.answered(lambda: hand.drag(32, 32, 160, 160))
    hand.answered(lambda: page.click("[data-layer='12']"))
    hand.answered(lambda: page.click("[data-layer='*']"))
    hand.answered(lambda: page.locator("[data-part=classes] [data-class]").nth(1).click())
    page.focus("[data-input=dalmatian]")
    hand.answered(lambda: page.keyboard.press("p"))
    hand.answered(lambda: page.click("[data-part=pinned] button >> text=unpin"))
    hand.answered(lambda: page.check("[data-part=models] li:nth-child(2) input[type=checkbox]"))
    hand.answered(lambda: page.uncheck("[data-part=models] li:nth-child(2) input[type=checkbox]"))
    page.fill("[aria-label='Name of the window']", "face")
    hand.answered(lambda: page.click("[data-action=name]"))
    hand.answered(lambda: page.click("[data-action=everywhere]"))
    hand.answered(lambda: hand.drag(64, 64, 128, 128, "erase"))
    hand.answered(lambda: page.check("[data-action=before-after]"))
    page.locator("[data-part=stage] canvas").last.focus()
    hand.answered(lambda: page.keyboard.press("Control+z"))
    hand.answered(lambda: page.keyboard.press("Control+z"))


def script_of(hand: Hand, folder: Path) -> Path:
    """What "share" gives as script.sql."""
    hand.page.click("[data-part=share] summary")
    with hand.page.expect_download() as download:
        hand.page.click("[data-share=sql]")
    path = folder / "script.sql"
    download.value.save_as(path)
    return path


REPLAY = """
import json, sys
from ialgebra.system import runtime
runtime.tune_process()
import torch
torch.set_num_threads(int(sys.argv[2]))
import ialgebra
from ialgebra.apps import studio
with ialgebra.connect(progress=False) as con:
    shown = studio.example(con)
    if shown.afterwards is not None:
        shown.afterwards()
    for answer in con.run(open(sys.argv[1]).read()):
        if len(answer):
            print(json.dumps([answer.query, answer.columns.digest, answer.stats.rows]))
"""


def replayed(script: Path, threads: int) -> list[tuple[str, str, int]]:
    """The queries of a script that a fresh process runs, with digests of their maps, and their rows."""
    done = subprocess.run(
        [sys.executable, "-c", REPLAY, str(script), str(threads)], capture_output=True, text=True, check=True
    )
    return [(text, digest, rows) for text, digest, rows in map(json.loads, done.stdout.splitlines())]


def fresh_rows(texts: list[str]) -> int:
    """The rows that these questions take, each in a session that knows nothing."""
    rows = 0
    with ialgebra.connect(progress=False) as con:
        shown = studio.example(con)
        if shown.afterwards is not None:
            shown.afterwards()
        for text in texts:
            con._store.clear()
            rows += con.sql(text).stats.rows
    return rows


def session_of_gestures(con: Session, hand: Hand) -> dict[str, float]:
    """Twelve gestures, their script run again, and their rows against those of fresh sessions."""
    import torch

    before, hand.asked = len(con.history), []
    twelve_gestures(hand)
    steps = [step for step in con.history if step.maps is not None]
    with tempfile.TemporaryDirectory() as folder:
        script = script_of(hand, Path(folder))
        print(script.read_text())
        again = replayed(script, torch.get_num_threads())
    answered = {step.text.strip().rstrip(";"): step.maps for step in steps}  # the last, whole answer of each question
    differing = [text for text, digest, _ in again if answered.get(text.strip().rstrip(";")) != digest]
    texts = [text.replace(" where face ", " where box(32, 32, 160, 160) ") for text in hand.asked]
    rows, apart = sum(step.rows for step in list(con.history)[before:]), fresh_rows(texts)
    print(f"{len(again)} maps replayed, {len(differing)} differ: {differing}")
    print(f"{len(texts)} gestures, {rows:,} rows; in fresh sessions {apart:,}: {rows / apart:.2f} of these")
    return {"maps that differ": len(differing), "rows, of those of fresh sessions": rows / apart}


def main(times: int = TIMES) -> int:
    """Measure and print; 1 if a figure is above what it may be."""
    with browser() as chromium:
        figures = {"command to first map": [first_map(chromium) for _ in range(min(times, 3))]}
        with ialgebra.connect(progress=False) as con:
            shown = studio.example(con)
            with studio.started(con, shown=shown) as served:
                page = chromium.new_page(viewport={"width": 1360, "height": 900})
                page.set_default_timeout(PATIENCE)
                page.goto(served.url)
                page.wait_for_selector("body[data-state=done]")
                paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
                figures["first paint"] = [float(paint)]
                page.wait_for_selector("[data-layer='12']:not([disabled])")
                time.sleep(15)  # heads are trained meanwhile
                hand = Hand(page)
                row = [bare_row()]
                figures |= touched(hand, times)
                row.append(bare_row())
                print(
                    f"bare passes: {row[0]:.1f} ms a row before, {row[1]:.1f} after; 16 rows {16 * max(row):.0f} ms, ",
                    end="",
                )
                print(f"128 rows {128 * max(row):.0f} ms")
                worst = told(figures)
                gestures = session_of_gestures(con, hand)
    late = gestures["maps that differ"] > 0 or gestures["rows, of those of fresh sessions"] > 1 / 3
    return int(worst or late)


def bare_row() -> float:
    """Milliseconds of a row in bare passes of eight."""
    import torch

    network, rows, took = zoo.network(), torch.stack([zoo.photo("cat")] * 8), []
    with torch.inference_mode():
        for _ in range(9):
            started = time.perf_counter()
            network(rows)
            took.append(1e3 * (time.perf_counter() - started) / len(rows))
    return statistics.median(took)


def told(figures: dict[str, list[float]]) -> bool:
    """Print the medians; whether one is above what it may be."""
    worst = False
    for name, found in figures.items():
        median = statistics.median(found) if found else float("nan")
        above = not median <= MOST[name]
        worst |= above
        print(f"{name:28} {median:9.1f} ms (of {len(found)}; ≤ {MOST[name]:,.0f}){'  ABOVE' if above else ''}")
    return worst


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in sys.argv[1:])))
