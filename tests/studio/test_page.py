"""The studio's page in a real browser, with a real server: what a hand does on it, and the query that it means.

One browser, one server and one page serve the whole module. The page says in data attributes of its body how it stands;
tests wait for those. May not know: how the page is made.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.apps import studio
from tests.studio import browsers
from tests.studio.browsers import Hand

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from ialgebra.apps.studio.studio import Studio

SIZE = 56  # rows and columns of the pictures; the lattice of the brush is then 2
START = "select * from f(cat) budget 40"


class Words(nn.Module):
    """Positive for a token 3, negative for a token 5, whatever stands elsewhere."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        good, bad = (tokens == 3).float().sum(1), (tokens == 5).float().sum(1)
        return torch.stack([good - 2 * bad, bad - good], 1)


def slow(rows: torch.Tensor) -> torch.Tensor:
    """A model that takes its time: two milliseconds a row."""
    time.sleep(0.002 * len(rows))
    return torch.stack([rows.mean((1, 2, 3)) ** 2, -rows.mean((1, 2, 3))], 1)


def session() -> ialgebra.Session:
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    classes = [
        "tabby",
        "lynx",
        "dog",
        "a class of a rather long name, such as grey whale (Eschrichtius robustus)",
        *"abcdefgh",
    ]
    for name in ("f", "g"):
        net = nn.Sequential(
            nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 12)
        )
        con.register_model(name, net.eval(), classes=classes, example=torch.zeros(3, SIZE, SIZE))
    pictures = torch.rand(24, 3, SIZE, SIZE)
    con.register_input("cat", pictures[0])
    con.register_input("dalmatian", pictures[1])
    con.register_input("xs", pictures[:7], labels=["tabby", "dog", "lynx", "dog", "dog", "tabby", "dog"])
    con.fit_heads("f", pictures)
    con.register_model("slow", slow, classes=["up", "down"])
    con.register_model("t", lambda rows: torch.stack([rows[:, 0] * rows[:, 1], -rows[:, 2]], 1), classes=["yes", "no"])
    con.register_input("person", torch.tensor([1.5, 2.0, -0.25]), feature_names=["age", "income", "debt"])
    con.register_model(
        "s", lambda rows: torch.stack([rows[:, 10:20].sum((1, 2)), -rows.sum((1, 2))], 1), classes=["up", "down"]
    )
    con.register_input("ecg", torch.sin(torch.arange(40.0))[:, None], kind="series")
    con.register_model("words", Words(), classes=["good", "bad"])
    con.register_input("review", torch.tensor([1, 3, 4, 5, 2, 6]), kind="tokens")
    return con


@pytest.fixture(scope="module")
def served() -> Iterator[Studio]:
    with studio.started(session(), opening=START) as running:
        yield running


@pytest.fixture(scope="module")
def page(opened: Page) -> Page:
    return opened


@pytest.fixture
def hand(page: Page) -> Hand:
    """A hand at a page that shows the first query, everything else forgotten."""
    found = Hand(page)
    found.ask(START)
    found.tool("box")
    return found


def query(end: str, of: str = "cat", layers: str = "*") -> str:
    return f"select {layers} from f({of}){end} budget 40"


# --- the stage


def test_the_first_answer_comes_without_a_hand(page: Page) -> None:
    assert Hand(page).data("query") == START
    assert int(Hand(page).data("frames")) >= 1
    assert int(Hand(page).data("rows")) > 0


def test_a_drag_writes_a_box_shift_adds_alt_takes_away(hand: Hand) -> None:
    hand.drag((8, 12), (40, 44))
    hand.asked(query(" where box(8, 12, 40, 44)"))
    hand.drag((0, 0), (6, 6), "Shift")
    hand.asked(query(" where box(8, 12, 40, 44) or box(0, 0, 6, 6)"))
    hand.drag((20, 20), (24, 24), "Alt")
    hand.asked(query(" where (box(8, 12, 40, 44) or box(0, 0, 6, 6)) and not box(20, 20, 24, 24)"))


def test_a_drag_backwards_and_beyond_the_edge_is_a_box_on_the_lattice(hand: Hand) -> None:
    hand.drag((40.7, 50.9), (9.2, 11.4))
    hand.asked(query(" where box(10, 12, 40, 50)"))
    hand.drag((30, 30), (70, 80))
    hand.asked(query(" where box(30, 30, 56, 56)"))


def test_a_circle_is_drawn_from_its_centre(hand: Hand) -> None:
    hand.tool("circle")
    hand.drag((28, 20), (28, 32))
    hand.asked(query(" where circle(28, 20, 12)"))


def test_a_drag_is_one_step_and_arrows_held_down_are_one_step(hand: Hand) -> None:
    before = int(hand.data("step"))
    hand.drag((8, 12), (40, 44))
    hand.asked(query(" where box(8, 12, 40, 44)"))
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
        hand.page.keyboard.down(key)
    hand.page.keyboard.up("ArrowRight")
    hand.asked(query(" where box(8, 18, 40, 50)"))
    assert int(hand.data("step")) == before + 2
    hand.page.keyboard.press("Control+z")
    hand.asked(query(" where box(8, 12, 40, 44)"))
    hand.page.keyboard.press("Control+z")
    hand.asked(START)
    hand.page.keyboard.press("Control+Shift+z")
    hand.asked(query(" where box(8, 12, 40, 44)"))


def test_a_shape_is_moved_by_its_inside_and_cleared_by_delete(hand: Hand) -> None:
    hand.drag((8, 12), (40, 44))
    hand.asked(query(" where box(8, 12, 40, 44)"))
    hand.tool("pointer")
    hand.drag((20, 20), (28, 24))
    hand.asked(query(" where box(16, 16, 48, 48)"))
    hand.page.keyboard.press("Delete")
    hand.asked(START)


def test_keys_alone_walk_over_tiles_and_choose_one(hand: Hand) -> None:
    hand.page.locator("[data-part=stage] canvas").last.focus()
    hand.page.keyboard.press("Escape")
    hand.page.keyboard.press("Tab")
    hand.page.keyboard.press("Tab")
    hand.page.keyboard.press("ArrowDown")
    hand.page.wait_for_selector("[data-part=status] .notice >> text=rows 14-27, cols 14-27")
    hand.page.keyboard.press("Enter")
    hand.asked(query(" where box(14, 14, 28, 28)"))


def test_erasing_turning_and_shifting_edit_the_input(hand: Hand) -> None:
    hand.tool("erase")
    hand.drag((8, 12), (20, 24))
    hand.asked(query("", "nullify(cat, box(8, 12, 20, 24))"))
    hand.page.click("[data-edit=none]")
    hand.asked(START)
    hand.tool("shift")
    hand.drag((20, 20), (26, 16))
    hand.asked(query("", "shift(cat, 6, -4)"))
    hand.page.click("[data-edit=none]")
    hand.asked(START)
    hand.tool("rotate")
    hand.drag((28, 48), (8, 28))
    hand.asked(query("", "rotate(cat, 90)"))
    hand.page.check("[data-action=before-after]")
    hand.asked("select * from f(rotate(cat, 90)) anti join f(cat) budget 40")


def test_an_edit_has_a_slider(hand: Hand) -> None:
    hand.page.click("[data-edit=blur]")
    hand.asked(query("", "blur(cat, 5)"))
    hand.page.focus("[aria-label='blur, radius']")
    hand.page.keyboard.press("ArrowRight")
    hand.asked(query("", "blur(cat, 6)"))


# --- what stands beside it


def test_layers_are_chosen_several_with_shift(hand: Hand) -> None:
    hand.page.click("[data-layer='2']")
    hand.asked(query("", layers="2"))
    hand.page.click("[data-layer='*']", modifiers=["Shift"])
    hand.asked(query("", layers="2, *"))
    hand.page.click("[data-part=layers] .ticks button[data-layer='3']")
    hand.asked(query("", layers="3"))


def test_a_class_bar_makes_its_class_the_target_and_lets_it_go(hand: Hand) -> None:
    bar = hand.page.locator("[data-part=classes] [data-class]").nth(1)
    name = bar.get_attribute("data-class")
    bar.click()
    hand.asked(f"select * from f(cat, target => '{name}') budget 40")
    hand.page.click("[data-part=classes] [data-class][aria-pressed=true]")
    hand.asked(START)


def test_a_class_is_found_by_its_name(hand: Hand) -> None:
    hand.page.fill("[aria-label='Find a class']", "whale")
    hand.page.click("[aria-label='Classes found'] button")
    name = "a class of a rather long name, such as grey whale (Eschrichtius robustus)"
    hand.asked(f"select * from f(cat, target => '{name}') budget 40")


def test_an_input_is_pinned_by_a_key_and_by_a_drag(hand: Hand) -> None:
    hand.page.focus("[data-input=dalmatian]")
    hand.page.keyboard.press("p")
    hand.asked("select * from f(cat) anti join f(dalmatian) budget 40")
    hand.page.wait_for_selector("[data-part=pinned] canvas")
    hand.page.click("[data-part=pinned] button >> text=unpin")
    hand.asked(START)
    hand.page.drag_and_drop("[data-input=dalmatian]", "[data-part=pinned]")
    hand.asked("select * from f(cat) anti join f(dalmatian) budget 40")


def test_a_second_model_is_compared_by_a_tick(hand: Hand) -> None:
    hand.page.check("[data-part=models] li:nth-child(2) input[type=checkbox]")
    hand.asked("select * from f(cat) anti join g(cat) budget 40")
    hand.page.uncheck("[data-part=models] li:nth-child(2) input[type=checkbox]")
    hand.asked(START)


def test_a_photo_dropped_into_the_window_is_substituted_there(hand: Hand) -> None:
    hand.drag((8, 12), (40, 44))
    hand.asked(query(" where box(8, 12, 40, 44)"))
    hand.page.drag_and_drop("[data-input=dalmatian]", "[data-part=stage] .image")
    hand.asked(query("", "substitute(cat, box(8, 12, 40, 44), dalmatian)"))


def test_a_window_gets_a_name_and_the_hottest_part_is_one(hand: Hand) -> None:
    hand.drag((8, 12), (40, 44))
    hand.asked(query(" where box(8, 12, 40, 44)"))
    hand.page.fill("[aria-label='Name of the window']", "face")
    hand.page.click("[data-action=name]")
    hand.asked(query(" where face"))
    hand.page.wait_for_selector("[data-part=windows] button[aria-pressed=true] >> text=face")
    hand.page.click("[data-action=everywhere]")
    hand.asked(START)
    hand.page.click("[data-action=hottest]")
    hand.asked(query(" where hot"))


def test_the_precision_knob_writes_bounds(hand: Hand) -> None:
    hand.page.select_option("[aria-label=Bound]", "error")
    hand.asked("select * from f(cat) error within 10%")
    hand.page.select_option("[aria-label=Bound]", "seconds")
    hand.asked("select * from f(cat) within 2 seconds")


def test_a_collection_is_shown_as_small_multiples_and_sorted_by_the_query(hand: Hand) -> None:
    hand.page.click("[data-input=xs]")
    hand.asked(query("", "xs"))
    hand.page.wait_for_selector("[data-part=multiples][data-count='7']")
    hand.page.click("[data-part=multiples] button.multiple >> nth=2")
    hand.asked(query(" having index = 2", "xs"))


def test_small_multiples_are_sorted_turned_cut_and_filtered_by_their_controls(hand: Hand) -> None:
    catalog = session().catalog()
    network, entry = catalog.model("f"), catalog.input("xs")
    with torch.no_grad():
        lynx = network.module(torch.stack([each.tensor for each in entry.elements]))[:, 1]
    order = lynx.argsort(descending=True).tolist()
    lynxes = "f(xs, target => 'lynx')"

    def shows(indices: list[int]) -> None:
        """Wait until the multiples are of these elements, in this order: answers come before their pictures."""
        hand.page.wait_for_function(
            """names => {
                const shown = [...document.querySelectorAll("[data-part=multiples] button.multiple")];
                return shown.length === names.length && shown.every((each, k) => each.title.includes(names[k]));
            }""",
            arg=[f"[{index}]" for index in indices],
        )

    hand.ask(f"select * from {lynxes} budget 40")
    hand.page.select_option("[aria-label='Sort by']", "score")
    hand.asked(f"select * from {lynxes} order by score('lynx') desc limit 12 budget 40")
    shows(order)
    hand.page.fill("[data-part=multiples] input[type=number]", "3")
    hand.page.press("[data-part=multiples] input[type=number]", "Tab")
    hand.asked(f"select * from {lynxes} order by score('lynx') desc limit 3 budget 40")
    shows(order[:3])
    hand.page.click("[data-part=multiples] button >> text=largest first")
    hand.asked(f"select * from {lynxes} order by score('lynx') limit 3 budget 40")
    shows(order[::-1][:3])
    hand.page.fill("#ialgebra-having", "label = 'tabby'")
    hand.page.press("#ialgebra-having", "Enter")
    hand.asked(f"select * from {lynxes} having label = 'tabby' order by score('lynx') limit 3 budget 40")
    shows([index for index in order[::-1] if index in (0, 5)])


# --- the query


def test_the_shapes_follow_the_text_while_it_is_typed_and_the_text_stays(hand: Hand) -> None:
    hand.page.click(".cm-content")
    hand.page.keyboard.press("Control+a")
    text = "select * from f(cat) where circle(20, 20, 8) budget 41"
    hand.page.keyboard.type(text)
    hand.page.wait_for_selector("[data-action=everywhere]")
    hand.page.keyboard.press("Escape")
    assert hand.page.inner_text(".cm-content").strip() == text
    assert hand.data("query") == START
    hand.page.keyboard.press("Control+Enter")
    hand.asked(text)


def test_completion_knows_the_models(hand: Hand) -> None:
    hand.page.click(".cm-content")
    hand.page.keyboard.press("Control+a")
    hand.page.keyboard.type("select * from wor")
    hand.page.wait_for_selector(".cm-tooltip-autocomplete >> text=words")


def test_an_error_is_said_underlined_and_leaves_the_map(hand: Hand) -> None:
    frames = hand.data("frames")
    text = "select * from f(bat) budget 40"
    hand.ask(text, "error")
    assert "bat" in hand.data("error")
    hand.page.wait_for_selector(".cm-lintRange-error >> text=bat")
    hand.page.wait_for_selector("[data-part=status] .problem")
    assert hand.data("frames") == frames
    hand.ask(START)
    assert "bat" not in hand.data("error")


def test_escape_cancels_and_the_old_map_says_that_it_is_old(hand: Hand) -> None:
    text = "select * from slow(dalmatian, players => grid(14, 14)) budget 40000"
    hand.ask(text, "running")
    hand.page.wait_for_selector("[data-part=stage][data-stale=true] >> text=answers the previous question")
    hand.page.keyboard.press("Escape")
    hand.asked(text, "cancelled")


def test_the_address_is_the_state(hand: Hand, browser: Browser, served: Studio) -> None:
    hand.drag((8, 12), (40, 44))
    hand.asked(query(" where box(8, 12, 40, 44)"))
    state = hand.page.evaluate("location.hash")
    assert state.startswith("#q=")
    other = hand.page.context.new_page()
    other.goto(served.url.split("/?")[0] + "/" + state)
    Hand(other).asked(query(" where box(8, 12, 40, 44)"))
    other.close()


def test_history_goes_to_any_step(hand: Hand) -> None:
    hand.drag((8, 12), (40, 44))
    hand.asked(query(" where box(8, 12, 40, 44)"))
    step = hand.data("step")
    hand.page.click("[data-layer='2']")
    hand.asked(query(" where box(8, 12, 40, 44)", layers="2"))
    hand.page.click("[data-part=history] summary")
    hand.page.click(f"[data-step='{step}']")
    hand.asked(query(" where box(8, 12, 40, 44)"))
    hand.page.keyboard.press("Escape")


def test_the_plan_shows_the_graph_and_what_it_costs(hand: Hand) -> None:
    hand.page.click("[data-part=plan] summary")
    hand.page.wait_for_selector("[data-part=plan] svg .node")
    hand.page.click("[data-part=plan] summary")


@pytest.mark.parametrize(("kind", "name"), [("sql", "script.sql"), ("py", "analysis."), ("html", ".html")])
def test_what_was_done_can_be_taken_away(hand: Hand, kind: str, name: str) -> None:
    hand.page.click("[data-part=share] summary")
    with hand.page.expect_download() as expected:
        hand.page.click(f"[data-share={kind}]")
    hand.page.keyboard.press("Escape")
    content = Path(expected.value.path()).read_bytes()
    assert name in expected.value.suggested_filename
    assert content.startswith(b"PK") or START.encode() in content  # Python comes as a ZIP with the arrays that it needs


# --- other kinds


def test_a_text_is_coloured_and_a_drag_over_it_is_a_span(hand: Hand) -> None:
    hand.ask("select * from words(review)")
    tokens = hand.page.locator("[data-position]")
    assert tokens.count() == 6
    first, last = tokens.nth(1).bounding_box(), tokens.nth(3).bounding_box()
    assert first is not None
    assert last is not None
    hand.page.mouse.move(first["x"] + 2, first["y"] + 8)
    hand.page.mouse.down()
    hand.page.mouse.move(last["x"] + 2, last["y"] + 8, steps=4)
    hand.page.mouse.up()
    hand.asked("select * from words(review) where position between 1 and 3")
    assert "outside" in (tokens.nth(5).get_attribute("class") or "")


def test_a_table_has_bars_and_a_value_can_be_written_over(hand: Hand) -> None:
    hand.ask("select * from t(person)")
    hand.page.click("[data-part=stage] td.value button >> text=-0.25")
    hand.page.keyboard.type("4")
    hand.page.keyboard.press("Enter")
    hand.asked("select * from t(assign(person, feature in ('debt'), 4))")
    hand.page.click("[data-edit=none]")
    hand.asked("select * from t(person)")
    hand.page.click("[data-part=stage] button.name >> text=income")
    hand.asked("select * from t(person) where feature in ('income')")


def test_a_series_is_drawn_and_a_drag_over_it_is_a_span_of_times(hand: Hand) -> None:
    hand.ask("select * from s(ecg)")
    hand.drag((28, 14.5), (28, 35.5))
    hand.asked("select * from s(ecg) where time between 10 and 25")


# --- for everybody


def test_a_table_of_players_is_there_for_those_who_do_not_see_the_map(hand: Hand) -> None:
    rows = hand.page.locator("[data-part=players] tbody tr")
    assert rows.count() == 16
    assert "rows 0-13, cols 0-13" in rows.nth(0).inner_text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1360), ("dark", 420)])
def test_axe_finds_nothing_serious(hand: Hand, scheme: str, width: int) -> None:
    assert browsers.serious_faults(hand.page, scheme, width) == []


def test_the_page_complained_of_nothing_and_asked_nobody_else(hand: Hand, faults: list[str]) -> None:
    assert faults == []
