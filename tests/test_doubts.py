"""What is legal but rarely meant is warned of, once a query: windows that select nothing, regions outside the input,
budgets below the number of players. What is an error stays one, and what is usual is said nothing of.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import BindError, BudgetWarning, IalgebraError, IalgebraWarning, WindowWarning

CON = ialgebra.connect(progress=False)
torch.manual_seed(0)
CON.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3)))
CON.register_input("x", torch.randn(3, 8, 8))
CON.register_input("xs", torch.stack([torch.full((3, 8, 8), float(k)) for k in (1, 2, 3, 4)]), labels=[0, 1, 0, 1])
CON.register_window("edge", "row > 100")
CON.register_window("nowhere", "edge and not row < 3")
CON.register_window("none", torch.zeros(8, 8, dtype=torch.bool))
CON.register_model("t", nn.Linear(4, 2))
CON.register_input("r", torch.randn(4), feature_names=["age", "debt", "job", "zip"])
CON.register_input("m", torch.full((4,), -1))
CON.register_model("w", nn.Sequential(nn.Embedding(9, 2), nn.Flatten(), nn.Linear(10, 2)))
CON.register_input("words", torch.tensor([1, 2, 3, 4, 5]))
CON.register_model("s", nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))
CON.register_input("course", torch.randn(6, 2), kind="series")


class Both(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.sum(1) + b.flatten(1).sum(1))[:, None]


CON.register_model("p", Both())
CON.register_input("both", {"a": torch.randn(3), "b": torch.randn(2, 4, 4)})
ROWS_COLS = r" \(row goes from 0 to 7, col goes from 0 to 7\)"


def said(text: str) -> list[IalgebraWarning]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CON.sql(text)
    return [each.message for each in caught if isinstance(each.message, WindowWarning | BudgetWarning)]


NOTHING = {
    "select * from f(x) where row > 100": r"row > 100 selects no feature of 'x'; its map is empty \(row goes .* 7\)",
    "select * from f(x) where value > 1000": r"the window value > 1000 selects no feature of 'x'; its map is empty$",
    "select * from f(x) where edge": "the window row > 100 selects no feature",
    "select * from f(x) where nowhere": "selects no feature of 'x'",
    "select * from f(x) where row < 4 and not row < 6": "selects no feature of 'x'",
    "select * from f(x) where none": "the window none selects no feature of 'x'",
    "select * from f(x) where false": "the window false selects no feature",
    "select * from (select * from f(x) where row < 2) where row > 5": "selects no feature of 'x'",
    "select * from f(x) where box(5, 5, 5, 5)": "selects no feature",
    "select * from f(x) where circle(-20, 3, 4)": "selects no feature",
    "select * from t(r) where feature > 3 budget 30": r"selects no feature of 'r'.* \(feature goes from 0 to 3\)",
    "select * from t(r, players => m)": "no feature of 'r' plays; its map is empty",
    "select * from t(r, players => m) where feature < 2": "feature < 2 selects no feature of 'r' plays",
    "select * from w(words) where position > 4": r"selects no feature of 'words'.* \(position .* 4\)",
    "select * from w(words) where token = 8": "the window token = 8 selects no feature of 'words'",
    "select * from s(course) where time >= 6": r"selects no feature of 'course'.*time goes from 0 to 5",
    "select * from f(xs) where value > 9": "selects no feature of any of the 4 inputs of 'xs'",
    "select * from f(xs) where value > 2": "selects no feature of 2 of the 4 inputs of 'xs'",
    "select * from f(nullify(x, row > 9))": "the window row > 9 selects no feature of 'x'; nothing is edited",
    "select * from f(substitute(x, edge, x), baseline => 1)": "selects no feature of 'x'; nothing is edited",
    "select * from f(rotate(nullify(x, edge), 90)) join f(x)": "nothing is edited",
    "select * from f(x, baseline => nullify(x, edge))": "nothing is edited",
    "select * from f(xs) order by mass(edge)": "selects no feature of any of the 4 inputs of 'xs'; its mass is 0",
    "explain select * from f(x) where edge": "selects no feature",
    "explain analyze select * from f(x) where edge": "selects no feature",
}


@pytest.mark.parametrize("text", NOTHING)
def test_a_window_that_selects_nothing_is_warned_of_once(text: str) -> None:
    (warning,) = said(text)
    assert isinstance(warning, WindowWarning)
    with pytest.raises(WindowWarning, match=NOTHING[text]):
        raise warning


OUTSIDE = {
    "select * from f(x) where row between 6 and 9": [
        r"row <= 9 reaches beyond the border \(row goes from 0 to 7\) of 'x'"
    ],
    "select * from f(x) where box(-1, 0, 4, 4)": [rf"box\(-1, 0, 4, 4\) reaches beyond the border{ROWS_COLS} of 'x'"],
    "select * from f(x) where box(0, 0, 4, 9)": ["box"],
    "select * from f(x) where not box(4, 4, 12, 12)": ["box"],
    "select * from f(x) where circle(0, 4, 3)": [r"circle\(0, 4, 3\) reaches"],
    "select * from f(x) where row < 3 or box(20, 20, 30, 30)": [
        rf"box\(20, 20, 30, 30\) selects nothing{ROWS_COLS} of 'x'"
    ],
    "select * from f(x) where row < 3 or edge": ["row > 100 selects nothing"],
    "select * from f(x) where row >= -2 and col < 20": ["row >= -2 reaches|col < 20", "row >= -2|col < 20 reaches"],
    "select * from f(x) where 9 > row": ["9 > row reaches"],
    "select * from f(x) where channel in (0, 3)": [r"channel in \(0, 3\) reaches .*channel goes from 0 to 2"],
    "select * from t(r) where feature in (1, 4)": [r"feature in \(1, 4\) reaches"],
    "select * from w(words) where position between 3 and 7": ["position <= 7 reaches"],
    "select * from s(course) where time between 4 and 6": ["time <= 6 reaches"],
    "select * from f(xs) where row between 6 and 9": ["row <= 9 reaches .* of 'xs'"],
    "select * from f(nullify(x, box(6, 6, 9, 9)))": ["box"],
    "select * from p(both) where part = 'b' and row between 2 and 9": [r"row <= 9 reaches .*row goes from 0 to 3"],
}


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_region_outside_the_input_is_warned_of(text: str) -> None:
    found = said(text)
    assert len(found) == len(OUTSIDE[text])
    for warning, words in zip(found, OUTSIDE[text], strict=True):
        assert isinstance(warning, WindowWarning)
        with pytest.raises(WindowWarning, match=words):
            raise warning


BUDGETS = {
    "select * from f(x, players => pixels) budget 40": r"64 players \(pixels\) of f\(x\) are more than .* 40 rows",
    "select * from f(x, players => pixels) using permutations budget 63": "take 512 rows or more, or fewer players",
    "select * from f(x, players => grid(8, 8)) using banzhaf budget 60": r"64 players \(grid\(8, 8\)\)",
    "select * from t(r) budget 3": "the 4 players",
    "select * from f(xs, players => pixels) budget 9": "are more than the budget of 9",
    "select * from w(words) join w(words, target => 0) budget 3": "are more than the budget of 3",
}


@pytest.mark.parametrize("text", BUDGETS)
def test_a_budget_below_the_players_is_warned_of_once(text: str) -> None:
    (warning,) = said(text)
    assert isinstance(warning, BudgetWarning)
    with pytest.raises(BudgetWarning, match=BUDGETS[text]):
        raise warning


USUAL = (
    "select * from f(x)",
    "select * from f(x) where row between 0 and 7 and col < 8 and channel <= 2",
    "select * from f(x) where box(0, 0, 8, 8)",
    "select * from f(x) where circle(4, 4, 4)",
    "select * from f(x) where row <> 9 and value > -100",
    "select * from f(x) where row + col < 100",
    "select * from f(x, players => pixels) budget 64",
    "select * from f(x, players => pixels)",
    "select * from f(x, baseline => x)",
    "select * from f(xs) having label = 0",
    "select * from t(r) where feature = 'age' or feature in (0, 3)",
    "select * from w(words) where token in (1, 2, 8)",
    "select * from s(course) where time <= 5",
)


@pytest.mark.parametrize("text", USUAL)
def test_what_is_usual_is_said_nothing_of(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "select * from t(r) where feature = 'wage'",
        "select * from f(x, players => pixels) budget 1",
        "select * from f(x, players => pixels) using exact budget 40",
    ],
)
def test_an_error_stays_an_error_without_a_warning(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(IalgebraError):
            CON.sql(text)


def rounds(text: str) -> Iterator[object]:
    yield from CON.stream(text)


def test_a_query_of_several_rounds_says_it_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answers = list(rounds("select * from f(x, players => grid(4, 4)) where row between 2 and 9 error within 1%"))
    assert len(answers) > 1
    assert [each.category for each in caught] == [WindowWarning]


def test_the_warnings_are_public_and_of_one_family() -> None:
    assert issubclass(ialgebra.WindowWarning, IalgebraWarning)
    assert issubclass(ialgebra.BudgetWarning, IalgebraWarning)
    with pytest.raises(BindError):
        CON.sql("create window edge as row < 3")
