"""The panel of axes in a real browser: sliders write queries, queries move sliders, all models rate what is drawn.

What is counted is updates against events; how many a second a benchmark tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.apps import studio
from ialgebra.generators import LinearGenerator
from tests import digits
from tests.studio import browsers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

    from ialgebra.apps.studio.studio import Studio

pytest.importorskip("sklearn")
START = "select * from f(x) budget 60"
LIGHT = digits.LIGHT.replace("'", "''")


def asked(page: Page, text: str, state: str = "done") -> None:
    browsers.Hand(page).asked(text, state)


def ask(page: Page, text: str, state: str = "done") -> None:
    browsers.Hand(page).ask(text, state)


def slider(page: Page, axis: str) -> Locator:
    return page.locator(f"[data-part=axes] [data-axis={json.dumps(axis)}]")


def counts(page: Page) -> tuple[int, int]:
    """How often the slider moved, and how often ratings came."""
    events, updates = (page.get_attribute(".axes", f"data-{name}") for name in ("events", "updates"))
    return int(events or 0), int(updates or 0)


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    with digits.session() as con:
        yield con


@pytest.fixture(scope="module")
def served(con: ialgebra.Session) -> Iterator[Studio]:
    with studio.started(con, opening=START) as running:
        yield running


@pytest.fixture
def fresh(browser: Browser, served: Studio, faults: list[str]) -> Iterator[Page]:
    """A page with a script of its own."""
    with browsers.opened(browser, served.url, faults) as made:
        made.wait_for_selector(".axes [data-model=h]")
        yield made


@pytest.fixture
def page(opened: Page) -> Page:
    """The page with its first query, and the ratings of it."""
    ask(opened, START)
    opened.wait_for_selector(".axes [data-model=h]")
    return opened


def test_ratings_of_all_models_follow_a_drag_and_the_map_comes_when_it_ends(page: Page, con: ialgebra.Session) -> None:
    step, frames, (events, updates) = (
        int(page.get_attribute("body", "data-step") or 0),
        page.get_attribute("body", "data-frames"),
        counts(page),
    )
    box = slider(page, "eight").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    for place in range(1, 9):
        before = counts(page)[1]
        page.mouse.move(middle[0] + place * box["width"] / 20, middle[1])
        page.wait_for_selector(f".axes:not([data-updates='{before}'])")
    at = float(slider(page, "eight").input_value())
    moved, told = counts(page)
    assert moved - events == 8
    assert 8 <= told - updates <= moved - events + 1, "a rating an event, and never two questions at a time"
    assert page.get_attribute("body", "data-query") == START, "the query is written when the hand lets go"
    assert page.get_attribute("body", "data-frames") == frames, "and no map is asked before"
    page.mouse.up()
    text = f"select * from f(latent(x, 'eight', {at:g})) budget 60"
    asked(page, text)
    assert int(page.get_attribute("body", "data-step") or 0) == step + 1
    answer = con.sql(f"predict f, g, h from latent(x, 'eight', {at:g})")
    for each in answer.models:  # type: ignore[attr-defined]
        page.wait_for_selector(f".rater[data-model={each.model}][data-prediction='{each.predicted_names()[0]}']")
    assert page.locator(".rater").count() == 3
    assert page.locator("[data-failed=words]").count() == 1, "a model of texts stands beside it, and is told"
    page.keyboard.press("Control+z")
    asked(page, START)
    assert slider(page, "eight").input_value() == "0"


def test_editing_the_query_moves_the_sliders_and_the_columns(page: Page) -> None:
    moved = f"latent(latent(mix(x, y, layers => (1, 3), p => 0.5), 'eight', -1.25), '{LIGHT}', 0.5, keep => residual)"
    text = f"select * from f({moved}) budget 60"
    ask(page, text)
    assert slider(page, "eight").input_value() == "-1.25"
    assert slider(page, digits.LIGHT).input_value() == "0.5"
    assert page.is_checked("[data-action=keep]")
    assert page.is_checked("[data-level='3'][data-source=y]")
    assert page.is_checked("[data-level='2'][data-source='']")
    assert page.input_value("[data-share=y]") == "0.5"
    page.check("[data-level='3'][data-source='']")
    asked(page, text.replace("(1, 3)", "1"))


def test_an_end_point_a_class_and_a_sort_are_gestures_too(page: Page, con: ialgebra.Session) -> None:
    slider(page, "eight").focus()
    page.keyboard.press("ArrowRight")
    asked(page, "select * from f(latent(x, 'eight', 0.05)) budget 60")
    page.click("[data-action=end-point]")
    asked(page, "select * from f(latent(x, 'eight', 0.05), baseline => latent(x, 'eight', 0.05)) budget 60")
    page.wait_for_selector(".ratings figcaption >> text=pinned")
    page.click("[data-action=end-point]")
    page.select_option("[data-action=counterfactual]", "8")
    asked(page, "select * from f(counterfactual(latent(x, 'eight', 0.05), target => '8', model => f)) budget 60")
    page.wait_for_selector(".rater[data-model=f][data-prediction='8']")
    ask(page, START)
    predicted = con.sql("predict f from x").models[0].predicted_names()[0]  # type: ignore[attr-defined]
    page.wait_for_selector(f"[data-action=sort] >> text=sort xs by {predicted}")
    page.click("[data-action=sort]")
    asked(page, f"select * from f(xs) order by score('{predicted}') desc limit 12 budget 60")


def test_cross_effects_are_a_table(page: Page, con: ialgebra.Session) -> None:
    page.click("[data-part=effects] summary")
    page.click("[data-action=effects]")
    page.wait_for_selector("[data-part=effects] table[data-axes='2'][data-scores='30']")
    wanted = con.cross_effects(["eight"], ["f"], "xs")
    cell = page.locator("[data-part=effects] tbody tr").first.locator("td").nth(8)
    assert (cell.get_attribute("title") or "").startswith(f"eight → f: 8: {wanted.effects[0, 8]:.3g}")


def test_an_axis_that_goes_or_changes_while_the_page_is_open(page: Page, con: ialgebra.Session) -> None:
    con.sql("create axis gone on G as pca(1)")
    slider(page, "gone").wait_for()
    text = "select * from f(latent(x, 'gone', 1)) budget 60"
    ask(page, text)
    page.wait_for_selector(".axes .rater[data-model=f]")
    con.sql("drop axis gone")
    slider(page, "gone").wait_for(state="detached")
    page.wait_for_selector(".ratings[data-problem^='unknown axis']")
    con.sql("create axis gone on G as pca(2)")
    slider(page, "gone").wait_for()
    page.wait_for_selector(".ratings[data-problem='']")
    assert slider(page, "gone").input_value() == "1"
    con.sql("drop axis gone")


def test_what_a_generator_does_not_draw_is_offered_to_be_kept(browser: Browser) -> None:
    with digits.session(levels=1, components=2) as con, studio.started(con, opening=START) as running:
        for number in range(58):
            con.register_axis(f"axis {number}", lambda batch, k=number: batch.flatten(1)[:, k] + batch.mean((1, 2, 3)))
        page = browser.new_page()
        page.set_default_timeout(browsers.PATIENCE)
        page.goto(running.url)
        asked(page, START)
        slider(page, "axis 57").wait_for()
        assert page.locator(".slider").count() == 60
        page.fill("[aria-label='Find an axis']", "eight")
        page.wait_for_selector(".sliders:not(:has([data-axis='axis 57']))")
        ask(page, "select * from f(latent(x, 'eight', 1)) budget 60", "error")
        assert "does not draw what decides" in (page.get_attribute("body", "data-error") or "")
        page.wait_for_selector("[data-action=within]")
        page.click("[data-action=keep-residual]")
        asked(page, "select * from f(latent(x, 'eight', 1, keep => residual)) budget 60")
        assert page.locator("[data-action=within]").count() == 0
        page.close()


def test_a_page_without_generators_says_how_to_bring_one(browser: Browser) -> None:
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))
        con.register_input("x", torch.rand(1, 4, 4))
        con.register_input("others", torch.rand(20, 1, 5, 5))
        with studio.started(con) as running:
            page = browser.new_page()
            page.set_default_timeout(browsers.PATIENCE)
            page.goto(running.url)
            page.wait_for_selector("[data-part=axes] [data-none] >> text=con.register_generator")
            con.register_generator("G", LinearGenerator.fit(torch.rand(20, 1, 5, 5), 3), collection="others")
            page.wait_for_selector("[data-part=axes] [data-none] >> text=No generator draws inputs such as x")
            page.close()


def test_the_session_of_sliders_replays_bit_for_bit_and_its_export_opens_from_disk(
    fresh: Page, con: ialgebra.Session, browser: Browser, tmp_path: Path
) -> None:
    page = fresh
    before = len(con.history)
    slider(page, "eight").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    asked(page, "select * from f(latent(x, 'eight', 0.15)) budget 60")
    page.click("[data-part=columns] summary")
    page.check("[data-level='2'][data-source=y]")
    asked(page, "select * from f(latent(mix(x, y, layers => 2), 'eight', 0.15)) budget 60")
    answered = {step.text: step.maps for step in list(con.history)[before:] if step.maps is not None}
    page.click("[data-part=share] summary")
    with page.expect_download() as download:
        page.click("[data-share=sql]")
    script = Path(download.value.path()).read_text()
    assert "latent(mix(x, y, layers => 2), 'eight', 0.15)" in script
    with page.expect_download() as download:
        page.click("[data-share=axes]")
    download.value.save_as(tmp_path / "explored.html")
    with digits.session() as other:
        again = {step.query: step.columns.digest for step in other.run(script) if len(step)}
    replayed = {text: digest for text, digest in again.items() if text in answered}
    assert len(replayed) >= 2
    assert replayed == {text: answered[text] for text in replayed}

    faults: list[str] = []
    alone = browser.new_page()
    alone.on("console", lambda each: faults.append(each.text) if each.type == "error" else None)
    alone.on("pageerror", lambda error: faults.append(str(error)))
    alone.on("request", lambda each: None if each.url.startswith(("file:", "data:")) else faults.append(each.url))
    alone.goto((tmp_path / "explored.html").as_uri())
    alone.wait_for_selector("body[data-row='6']")
    assert alone.locator("#models section").count() == 3
    pixel = "document.getElementById('picture').getContext('2d').getImageData(3, 3, 1, 1).data[0]"
    answers = [
        con.sql(f"predict f from latent(latent(mix(x, y, layers => 2), 'eight', 0.15), '{LIGHT}', {t})") for t in (0, 3)
    ]
    for which, step, answer in ((1, 6, answers[0]), (1, 12, answers[1])):
        alone.locator("#answer").fill(str(which))
        alone.locator("#step").fill(str(step))
        alone.wait_for_selector(f"body[data-row='{13 * which + step}']")
        assert (alone.text_content("#models section p") or "").startswith(
            f"predicts {answer.models[0].predicted_names()[0]}"
        )  # type: ignore[attr-defined]
        (picture,) = answer.contents.pictures([0], 8)  # type: ignore[attr-defined]
        assert alone.evaluate(pixel) == picture[3, 3, 0]
    assert not faults
    alone.close()


def test_the_page_never_complained(opened: Page, faults: list[str]) -> None:
    assert not faults
