"""The panel of concepts in a real browser: what a hand does to chips, and the query that it means.

One browser, one server and one page serve the whole module. May not know: how the panel is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import ialgebra
from ialgebra.algebra.windows import sql_text
from ialgebra.apps import studio
from tests.studio import browsers, dictionaries
from tests.studio.browsers import Hand, quoted
from tests.studio.dictionaries import MANY, NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from ialgebra.apps.studio.studio import Studio

START = "select * from f(x)"
LEGS = "select * from f.concepts(x, target => 'legs')"
ORANGE = """(canvas, left) => {
    const { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(width * left, 0, width / 8, height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i] - data[i + 2];
    return sum / data.length;
}"""
BOTH = "select * from f(x, players => concepts) where concept in ('legs', 'in')"


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    with dictionaries.session() as session:
        yield session


@pytest.fixture(scope="module")
def served(con: ialgebra.Session) -> Iterator[Studio]:
    with studio.started(con, opening=START) as running:
        yield running


@pytest.fixture(scope="module")
def page(opened: Page) -> Page:
    return opened


class ConceptsHand(Hand):
    """A person at the panel of concepts."""

    @property
    def panel(self) -> Locator:
        return self.page.locator("[data-part=concepts]")

    def chip(self, name: str) -> Locator:
        return self.panel.locator(f"button.chip[data-attribute={quoted(name)}]")

    def told(self, dictionary: str = "concepts") -> None:
        """Wait until the panel tells of the query that stands."""
        self.page.wait_for_selector(f".concepts[data-old=false][data-dictionary={dictionary}]")

    def click(self, name: str, key: str | None = None) -> None:
        self.told()
        self.chip(name).click(modifiers=["Shift"] if key == "Shift" else None)

    def chips_of(self, mark: str) -> list[str | None]:
        found = self.panel.locator(f"button.chip[data-{mark}=true]").all()
        return [each.get_attribute("data-attribute") for each in found]

    def marked(self) -> tuple[list[str | None], list[str | None]]:
        """The chips that are explained, and those that are looked at."""
        return self.chips_of("target"), self.chips_of("chosen")

    def looked(self, name: str) -> Locator:
        found = self.panel.locator(f"[data-looked={quoted(name)}][data-ready=true]")
        found.wait_for()
        return found


@pytest.fixture
def hand(page: Page) -> ConceptsHand:
    """A hand at a page that shows the first query."""
    found = ConceptsHand(page, dictionaries.SIZE)
    page.mouse.move(0, 0)
    found.ask(START)
    found.told()
    return found


def rest(hand: ConceptsHand) -> float:
    """What is unexplained, as the panel says it."""
    return float(hand.panel.locator("[data-unexplained]").get_attribute("data-unexplained") or "nan")


def test_attributes_stand_as_chips_with_what_they_add(hand: ConceptsHand, con: ialgebra.Session) -> None:
    a = con.sql("select * from f(x, players => concepts)")[0]
    order = sorted(NAMES, key=lambda name: -abs(a.values[NAMES.index(name)]))
    chips = hand.panel.locator("button.chip")
    assert [each.get_attribute("data-attribute") for each in chips.all()] == order
    for name in NAMES:
        said = hand.chip(name).text_content() or ""
        assert f"{abs(a.values[NAMES.index(name)]):.3g}" in said
        assert "to tabby" in said
    assert rest(hand) == pytest.approx(a.unexplained, rel=1e-6)


def test_a_click_explains_an_attribute_and_a_second_one_lets_it_go(hand: ConceptsHand) -> None:
    before = int(hand.data("step"))
    hand.click("legs")
    hand.asked(LEGS)
    assert hand.marked() == (["legs"], [])
    assert int(hand.data("step")) == before + 1
    hand.click("legs")
    hand.asked(START)
    hand.page.keyboard.press("Control+z")
    hand.asked(LEGS)
    assert hand.marked() == (["legs"], [])


def test_a_click_with_shift_looks_at_an_attribute_too(hand: ConceptsHand) -> None:
    hand.click("legs", "Shift")
    hand.asked("select * from f(x, players => concepts) where concept in ('legs')")
    hand.click("in", "Shift")
    hand.asked(BOTH)
    assert set(hand.marked()[1]) == {"legs", "in"}
    hand.page.locator("[data-part=stage]").get_by_text("a'1").click()  # the attributes are on the stage too
    hand.asked(BOTH.replace("'in'", "'in', 'a''1'"))
    hand.panel.locator("[data-action=all-concepts]").click()
    hand.asked(START)


def test_keys_alone_do_what_the_pointer_does(hand: ConceptsHand) -> None:
    chips = hand.panel.locator("button.chip")
    assert [each.get_attribute("tabindex") for each in chips.all()].count("0") == 1, "one stop of Tab"
    chips.first.focus()
    names = [each.get_attribute("data-attribute") or "" for each in chips.all()]
    hand.looked(names[0])
    hand.page.keyboard.press("ArrowDown")
    hand.looked(names[1])
    hand.page.keyboard.press("End")
    hand.looked(names[-1])
    hand.page.keyboard.press("ArrowUp")
    hand.page.keyboard.press("Enter")
    hand.asked(f"select * from f.concepts(x, target => {sql_text(names[-2])})")
    hand.page.keyboard.press("Shift+Enter")
    hand.asked(f"select * from f(x, players => concepts) where concept in ({sql_text(names[-2])})")


def test_typing_moves_the_chips_before_it_is_asked(hand: ConceptsHand) -> None:
    hand.type(BOTH)
    hand.page.wait_for_selector("button.chip[data-attribute=legs][data-chosen=true]")
    assert set(hand.marked()[1]) == {"legs", "in"}
    hand.type("select * from f.concepts(x, target => 2)")
    hand.page.wait_for_selector("button.chip[data-target=true]")
    assert hand.marked() == (['the "2"'], [])


def test_the_pointer_on_a_chip_shows_what_activates_it_most_and_where_it_is(hand: ConceptsHand) -> None:
    hand.chip("a'1").hover()
    looked = hand.looked("a'1")
    codes = dictionaries.columns(dictionaries.pictures())[:, 1]
    most = [f"xs[{k}]" for k in codes.argsort(descending=True)[:4].tolist()]
    assert [each.get_attribute("data-most") for each in looked.locator("[data-most]").all()] == most
    where = looked.locator("canvas.where")
    assert "a'1 in x" in (where.get_attribute("aria-label") or "")
    orange = [where.evaluate(ORANGE, column / 8) for column in (1, 6)]
    assert orange[0] > 4 * abs(orange[1]), "the attribute is the mean of the second column"
    assert hand.data("query") == START, "a look is no step"
    looked.locator("[data-most]").first.click()
    hand.asked(f"select * from f(xs) having index = {most[0][3:-1]}")


def test_a_chip_that_moves_under_a_pointer_at_rest_is_not_looked_at(hand: ConceptsHand) -> None:
    """What is shown of a chip may move the page, and so another chip under the pointer."""

    def point(name: str, kind: str, x: int) -> None:
        hand.chip(name).evaluate(
            "(chip, [kind, x]) => chip.dispatchEvent(new PointerEvent(kind, { screenX: x, screenY: 7 }))", [kind, x]
        )

    point("legs", "pointermove", 100)
    hand.looked("legs")
    point("in", "pointerenter", 100)
    hand.page.wait_for_timeout(50)
    assert hand.panel.locator("[data-looked]").get_attribute("data-looked") == "legs"
    point("in", "pointermove", 101)
    hand.looked("in")


def test_a_conflict_is_told_where_the_attributes_decide_otherwise(hand: ConceptsHand, con: ialgebra.Session) -> None:
    f, g = (each.predicted_names() for each in con.sql("predict f, f.g from xs").models)
    for index in (next(k for k in range(12) if f[k] != g[k]), next(k for k in range(12) if f[k] == g[k])):
        hand.ask(f"select * from f(xs) having index = {index}")
        hand.told()
        badge = hand.panel.locator("[data-conflict]")
        assert badge.count() == (f[index] != g[index])
        if badge.count():
            assert badge.inner_text() == f"conflict: f.g decides {g[index]}, f predicts {f[index]}"


def test_a_model_without_a_dictionary_is_told_how_to_get_one(hand: ConceptsHand) -> None:
    hand.ask("select * from bare(x)")
    said = hand.panel.locator("[data-none]").inner_text()
    assert said.startswith('bare has no dictionary of concepts: con.fit_concepts("bare", inputs) learns one')
    hand.ask("select * from f(x) anti join f(y)")
    hand.told()
    hand.ask("select * from f(x) join f(y)")
    assert "written by hand" in hand.panel.inner_text()


def test_one_of_several_dictionaries_is_chosen(hand: ConceptsHand) -> None:
    hand.ask("select * from two(x)")
    hand.told()
    hand.panel.get_by_label("Dictionary").select_option("motifs")
    hand.told("motifs")
    hand.chip("n3").click(modifiers=["Shift"])
    hand.asked("select * from two(x, players => concepts('motifs')) where concept in ('n3')")
    hand.told("motifs")
    assert hand.marked() == ([], ["n3"])


def test_of_two_hundred_attributes_a_few_are_shown_and_any_is_found(hand: ConceptsHand) -> None:
    hand.ask("select * from many(x)")
    hand.told()
    chips = hand.panel.locator("button.chip")
    assert chips.count() == 12
    hand.panel.locator("[data-action=more-concepts]").click()
    assert chips.count() == len(MANY)
    hand.panel.locator("[data-action=more-concepts]").click()
    hand.panel.get_by_label("Find an attribute").fill("m77")
    assert chips.count() == 1
    hand.chip("m77").click()
    hand.asked("select * from many.concepts(x, target => 'm77')")
    hand.panel.get_by_label("Find an attribute").fill("nothing")
    assert "no attribute has" in hand.panel.inner_text()
    hand.panel.get_by_label("Find an attribute").fill("")
    assert hand.marked() == (["m77"], []), "what is explained is always there"


def test_texts_and_tables_have_concepts_without_a_picture(hand: ConceptsHand) -> None:
    hand.ask("select * from words(review)")
    hand.told()
    hand.chip("w1").hover()
    looked = hand.looked("w1")
    assert looked.locator("p.where .token").count() == 6
    assert looked.locator("[data-most]").count() == 4
    hand.ask("select * from t(person)")
    hand.told()
    hand.chip("t1").hover()
    looked = hand.looked("t1")
    assert "income" in looked.locator("ul.where").inner_text()
    assert "age = " in looked.locator("[data-most]").first.inner_text()
    hand.chip("t1").click(modifiers=["Shift"])
    hand.asked("select * from t(person, players => concepts) where concept in ('t1')")


def test_a_dictionary_that_is_made_anew_and_a_model_that_changes_are_seen(
    hand: ConceptsHand, con: ialgebra.Session
) -> None:
    hand.ask("select * from two(x, players => concepts)")
    hand.told()
    head = dictionaries.head(3, 4, 5)
    con.register_concepts("two", lambda batch: batch.mean(dim=(1, 2))[:, :4], ["p", "q", "r", "s"], head=head)
    hand.ask("select * from two(x, target => 'lynx', players => concepts)")
    hand.chip("p").wait_for()
    hand.told()
    assert hand.panel.locator("button.chip").count() == 4
    before = rest(hand)
    con.register_model("two", dictionaries.net(9), classes=list(dictionaries.CLASSES))
    hand.ask("select * from two(x, target => 'tabby', players => concepts)")
    hand.ask("select * from two(x, target => 'lynx', players => concepts)")
    hand.told()
    wanted = con.sql("select * from two(x, target => 'lynx', players => concepts)")[0].unexplained
    assert rest(hand) == pytest.approx(wanted, rel=1e-5)
    assert rest(hand) != pytest.approx(before, rel=1e-2)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1360), ("dark", 400)])
def test_axe_finds_nothing_serious(hand: ConceptsHand, scheme: str, width: int) -> None:
    hand.click("legs", "Shift")
    hand.looked("legs")
    assert browsers.serious_faults(hand.page, scheme, width) == []


def test_nothing_is_wider_than_a_narrow_page(hand: ConceptsHand) -> None:
    hand.page.set_viewport_size({"width": 400, "height": 900})
    hand.chip("a'1").hover()
    hand.looked("a'1")
    wide = hand.page.evaluate("document.documentElement.scrollWidth")
    hand.page.set_viewport_size(browsers.WIDE)
    assert wide <= 400


def test_the_page_complained_of_nothing_and_asked_nobody_else(hand: ConceptsHand, faults: list[str]) -> None:
    assert faults == []
