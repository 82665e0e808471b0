"""Draws the pictures of docs/studio.md: `python docs/draw_studio.py`. Needs the extras demo and studio, and Chromium.

In: the demo's session, and digits; for the picture of concepts, which `python docs/draw_studio.py concepts` draws
alone, the clothes that `examples.cases.fashion` finds. Out: docs/images/studio-*.png, of a page that hands have used.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

import ialgebra
from ialgebra.apps import studio, zoo
from ialgebra.generators import LinearGenerator

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).resolve().parent / "images"
PATIENCE = 300_000.0  # milliseconds
CAT = "select * from f(cat)"


def answered(page: Page, query: str) -> None:
    page.wait_for_selector(f"body[data-state=done][data-stale=false][data-query={json.dumps(query)}]")
    page.wait_for_timeout(600)  # small multiples and class bars


def ask(page: Page, query: str) -> None:
    page.click(".cm-content")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.insert_text(query)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    answered(page, query)
    page.evaluate("document.activeElement.blur()")


def draw(page: Page, name: str) -> None:
    path = IMAGES / f"studio-{name}.png"
    page.screenshot(path=path)
    print(path)


def digits() -> ialgebra.Session:
    """Three small nets of scikit-learn's digits, and a linear generator with axes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    xs, labels = torch.tensor(found.images, dtype=torch.float32)[:600, None] / 16, torch.tensor(found.target[:600])
    con = ialgebra.connect(progress=False)
    torch.manual_seed(0)
    for name, width in {"f": 16, "g": 32, "h": 64}.items():
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
        optimiser = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(xs), labels).backward()
            optimiser.step()
        con.register_model(name, net.eval(), classes=[str(digit) for digit in range(10)])
    con.register_input("three", xs[3])
    con.register_input("eight", xs[8])
    con.register_input("digits", xs)
    con.register_generator("G", LinearGenerator.fit(xs, 40, levels=4), collection="digits")
    con.register_axis("light", lambda batch: batch.mean(dim=(1, 2, 3)))
    con.sql("create axis eight_like on G as score(f, '8')")
    con.sql("create axis eight_only on G as score(f, '8') holding light")
    return con


def draw_axes(browser: Browser) -> None:
    """The panel of axes, on digits."""
    query = "select * from f(three, target => '8') budget 200"
    moved = "mix(three, eight, layers => 2)"
    with studio.started(digits(), opening=query) as served:
        page = browser.new_page(viewport={"width": 1240, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        page.goto(served.url)
        answered(page, query)
        ask(page, f"select * from f(latent({moved}, 'eight_like', 1.5), target => '8', baseline => three) budget 200")
        page.click("[data-part=effects] summary")
        page.click("[data-action=effects]")
        page.wait_for_selector("[data-part=effects] table")
        page.wait_for_timeout(600)
        path = IMAGES / "studio-axes.png"
        page.locator("[data-part=axes]").screenshot(path=path)
        print(path)


def main() -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        if sys.argv[1:] != ["concepts"]:
            draw_demo(browser)
        draw_concepts(browser)
        browser.close()


def draw_concepts(browser: Browser) -> None:
    """The panel of concepts of a network that tells clothes, for one that it and its attributes decide differently."""
    sys.path.insert(0, str(IMAGES.parent.parent))
    from docs import draw_concepts as clothes
    from examples.cases import fashion
    from ialgebra.results.scores import Scores

    data = fashion.load(train=6_000, test=600)
    con = ialgebra.connect(progress=False)
    con.register_model("f", clothes.trained(data.images, data.labels), classes=data.classes)
    con.register_input("xs", data.test_images, labels=[data.classes[int(each)] for each in data.test_labels])
    con.fit_concepts("f", data.images, data.labels, size=16, kind="nmf")
    conflicts = con.sql("predict f, f.g from xs having prediction(f) <> prediction(f.g) limit 1")
    assert isinstance(conflicts, Scores)
    query = f"select * from f(xs) having index = {conflicts.places[0]}"
    with studio.started(con, opening=query) as served:
        page = browser.new_page(viewport={"width": 1240, "height": 1290}, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        page.goto(served.url)
        answered(page, query)
        page.wait_for_selector(".concepts[data-old=false]")
        page.locator("button.chip").first.hover()
        page.wait_for_selector("[data-looked][data-ready=true]")
        draw(page, "concepts")


def draw_demo(browser: Browser) -> None:
    con = ialgebra.connect(progress=False)
    shown = studio.example(con)
    photos = [zoo.photo(name) for name in ("cat", "coffee", "mastiff", "chair", "jeep")]
    con.register_input("photos", photos)
    with studio.started(con, opening=CAT, shown=shown) as served:
        page = browser.new_page(viewport={"width": 1240, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        page.goto(served.url)
        answered(page, CAT)
        box = page.locator("[data-part=stage] canvas").last.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 40 / 224, box["y"] + box["height"] * 40 / 224)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 160 / 224, box["y"] + box["height"] * 160 / 224, steps=6)
        page.mouse.up()
        answered(page, f"{CAT} where box(40, 40, 160, 160)")
        draw(page, "window")
        page.emulate_media(color_scheme="dark")
        ask(page, "select * from f(cat) anti join f(coffee)")
        draw(page, "pinned")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1240, "height": 1180})
        ask(page, "select * from f(photos) order by distance((select * from f(cat))) limit 5 budget 60")
        draw(page, "multiples")
    draw_axes(browser)


if __name__ == "__main__":
    main()
