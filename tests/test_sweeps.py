"""Sweeps: `steps(low, high, n)` in an edit is n inputs in order, each as if its number stood there alone."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import ialgebra
from ialgebra.algebra.sweeps import Step, sweep
from ialgebra.answering.binding import bind
from ialgebra.errors import BindError, IalgebraError
from ialgebra.language.printer import to_sql
from ialgebra.language.reader import parse
from ialgebra.results.scores import Scores


class Net(nn.Module):
    """Three classes of pictures (1, 6, 6); it counts its rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.out = nn.Conv2d(1, 3, 3, padding=1), nn.Linear(108, 3)
        self.rows = 0

    def forward(self, batch: Tensor) -> Tensor:
        self.rows += len(batch)
        return self.out(torch.tanh(self.conv(batch)).flatten(1))


def session() -> tuple[ialgebra.Session, Net]:
    con, net = ialgebra.connect(progress=False), Net().double().eval()
    con.register_model("f", net)
    con.register_model("g", copy.deepcopy(net))
    pictures = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(3)).double()
    for name, picture in zip(("x", "y"), pictures, strict=False):
        con.register_input(name, picture, players="grid(1, 2)")
    con.register_input("xs", pictures[2:], players="grid(1, 2)", labels=["a", "b"])
    con.sql("predict f, g from xs")
    return con, net


def scores(con: ialgebra.Session, text: str) -> Scores:
    answer = con.sql(text)
    assert isinstance(answer, Scores)
    return answer


@pytest.mark.parametrize(
    ("ends", "count", "numbers"),
    [
        ((0, 90), 7, [0, 15, 30, 45, 60, 75, 90]),
        ((-30, 30), 3, [-30, 0, 30]),
        ((1, 0), 5, [1, 0.75, 0.5, 0.25, 0]),
        ((0.1, 0.7), 4, [0.1, 0.3, 0.5, 0.7]),
        ((-0.2, 0.2), 5, [-0.2, -0.1, 0, 0.1, 0.2]),
        ((-0.1, 0.2), 4, [-0.1, 0, 0.1, 0.2]),
        ((3e-9, 9e-9), 3, [3e-9, 6e-9, 9e-9]),
        ((5, 9), 1, [5]),
        ((2, 2), 3, [2, 2, 2]),
        ((-1.5, -2.5), 2, [-1.5, -2.5]),
        ((-1e308, 1e308), 3, [-1e308, 0, 1e308]),
    ],
)
def test_the_numbers_of_a_sweep(ends: tuple[float, float], count: int, numbers: list[float]) -> None:
    found = sweep(*ends, count)
    assert [float(each) for each in found] == numbers, "as one would write them"
    assert float(found[0]) == ends[0]
    assert float(found[-1]) == (ends[1] if count > 1 else ends[0])
    assert len(set(found)) == count, "steps are told apart, also where their numbers are equal"
    assert pickle.loads(pickle.dumps(found)) == found
    con, _ = session()
    answer = scores(con, f"predict f from clip(x, -1e308, steps({ends[0]}, {ends[1]}, {count}))")
    assert answer.steps.tolist() == [float(each) for each in found]


def test_a_step_is_no_number_of_its_own_but_calculates_as_one() -> None:
    step = Step(0.0, 4.0, 5, 2)
    assert step + 1 == 3.0
    assert step != 2.0
    assert step == Step(0.0, 4.0, 5, 2) != Step(0.0, 4.0, 9, 4)
    assert (step.words, step.whole.words) == ("2", "steps(0, 4, 5)")


EDITS = [
    ("rotate(x, {})", (-20, 40)),
    ("scale(x, {})", (0.5, 2)),
    ("shift(x, {}, 1)", (2, -2)),
    ("shift(x, 0.5, {})", (0, 3)),
    ("clip(x, 0.2, {})", (0.2, 0.9)),
    ("noise(x, {}, 3)", (0, 1)),
    ("noise(x, 0.1, {})", (0, 2)),
    ("brightness(x, {})", (-0.5, 0.5)),
    ("contrast(x, {})", (-1, 1)),
    ("blur(x, {})", (0, 2)),
    ("assign(x, row < 2, {})", (0, 1)),
    ("nullify(rotate(x, {}), col > 2)", (0, 90)),
    ("rotate(nullify(x, col > 2, baseline => 0.5), {})", (0, 90)),
    ("substitute(x, row < 3, rotate(y, {}))", (0, 90)),
]


@pytest.mark.parametrize(("text", "ends"), EDITS)
def test_an_element_of_a_sweep_is_the_same_edit_written_alone(text: str, ends: tuple[float, float]) -> None:
    swept = text.format(f"steps({ends[0]}, {ends[1]}, 3)")
    alone = [text.format(f"{ends[0] + (ends[1] - ends[0]) * k / 2:g}") for k in range(3)]
    con, _ = session()
    answer = scores(con, f"predict f(target => 1) from {swept}")
    assert answer.inputs == tuple(str(each) for each in alone) or "baseline" in text
    again = [scores(con, f"predict f(target => 1) from {each}") for each in alone]
    assert [each.stats.rows for each in again] == [0, 0, 0], "found by their content"
    values = [each.models[0].target_scores[0, 0] for each in again]
    assert answer.models[0].target_scores[:, 0].tolist() == values, "bit for bit"
    maps = con.sql(f"select * from f({swept}, target => 1) using exact()")
    for each, one in zip(maps, alone, strict=True):
        (lone,) = con.sql(f"select * from f({one}, target => 1) using exact()")
        assert each.values.tobytes() == lone.values.tobytes(), "the rows are those of the sweep"
        assert each.input == lone.input


def test_steps_of_a_collection_come_input_by_input() -> None:
    con, net = session()
    before = net.rows
    answer = scores(con, "predict f from shift(xs, steps(0, 2, 3), 0)")
    assert answer.places.tolist() == [0, 0, 0, 1, 1, 1]
    assert answer.steps.tolist() == [0, 1, 2] * 2
    assert answer.labels == ("a",) * 3 + ("b",) * 3
    assert net.rows - before == 4, "a shift by nothing is the input itself"
    frame = answer.to_pandas()
    assert frame["step"].tolist() == [0, 1, 2] * 2
    kept = scores(con, "predict f from shift(xs, steps(0, 2, 3), 0) having step > 0 and index = 1 order by step desc")
    assert (kept.places.tolist(), kept.steps.tolist()) == ([1, 1], [2, 1])
    maps = con.sql("select * from f(shift(xs, steps(0, 2, 3), 0)) having step = 1 and label = 'b'")
    assert [each.input for each in maps] == ["shift(xs[1], 1, 0)"]


def test_in_a_join_a_sweep_counts_as_its_mean_and_each_pairs_every_step() -> None:
    con, _ = session()
    every = "rotate(x, steps(0, 90, 3))"
    lone = [con.sql(f"select * from f(rotate(x, {d}), target => 0) anti join f(x, target => 0)") for d in (0, 45, 90)]
    paired = con.sql(f"select * from f(each({every}), target => 0) anti join f(x, target => 0)")
    assert len(paired) == 6
    assert [each.item for each in paired] == [0, 0, 1, 1, 2, 2]
    for each, one in zip(paired, [found for pair in lone for found in pair], strict=True):
        np.testing.assert_allclose(each.map, one.map, atol=1e-14)
        assert each.input == one.input
    mean = con.sql(f"select * from f({every}, target => 0) anti join f(x, target => 0)")
    assert len(mean) == 2
    np.testing.assert_allclose(mean[0].map, np.mean([pair[0].map for pair in lone], axis=0), atol=1e-14)
    both = con.sql(f"select * from f(each({every}), target => 0) anti join g(each({every}), target => 0)")
    assert [abs(each.map).max() for each in both] == pytest.approx([0] * 6, abs=1e-14), "step by step, of equal models"
    collection = con.sql("select * from f(each(xs), target => 0) anti join f(x, target => 0)")
    assert [each.input for each in collection] == ["xs[0]", "x", "xs[1]", "x"]


@pytest.mark.parametrize(
    "text",
    [
        "select * from f(rotate(x, steps(0, 90, 3))) join f(y)",
        "select * from f(rotate(x, steps(0, 90, 1))) anti join f(y)",
        "select * from (select * from f(shift(xs, steps(1, -1, 3), 0)) where row < 3) join f(y)",
        "select * from (select * from f(rotate(x, steps(0, 90, 4))) having step in (30, 90)) join f(y)",
        "select * from f(y) join (select * from f(shift(xs, steps(0.1, 0.7, 4), 0)) having step > 0.2 and index = 1)",
        "select * from (select * from f(shift(xs, steps(0, 2, 3), 0)) having index = 0 or step = 1) join f(y)",
        "select * from f(each(rotate(x, steps(0, 90, 3)))) anti join f(y)",
        "select * from f(y, baseline => rotate(x, steps(0, 90, 3)))",
        "select * from f(substitute(y, row < 2, blur(x, steps(1, 2, 2)))) join f(y)",
        "select * from f(x, baseline => blur(rotate(y, 10), 2))",
        "select * from f(x, baseline => blur(y, 2)) anti join f(blur(y, 2))",
    ],
)
def test_a_printed_plan_binds_to_itself(text: str) -> None:
    con, _ = session()
    catalog = con._catalog
    (query,) = parse(text)
    for each in bind(query, text, catalog).wanted:  # type: ignore[arg-type]
        printed = to_sql(each.plan, {"xs": 2})
        (again,) = parse(printed)
        assert [other.plan for other in bind(again, printed, catalog).wanted] == [each.plan], printed  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    low=st.floats(-1e3, 1e3, allow_subnormal=False),
    high=st.floats(-1e3, 1e3, allow_subnormal=False),
    count=st.integers(1, 9),
)
def test_any_sweep_runs_from_end_to_end_and_its_words_say_it(low: float, high: float, count: int) -> None:
    found = sweep(low, high, count)
    assert [float(found[0]), float(found[-1])] == [low, high if count > 1 else low]
    assert all(min(low, high) <= each <= max(low, high) for each in map(float, found))
    assert [float(each.words) for each in found] == list(map(float, found))


@pytest.mark.parametrize(
    ("text", "message", "word"),
    [
        ("predict f from rotate(x, steps(0, 90, 0))", "at least 1, not 0", "0"),
        ("predict f from rotate(x, steps(0, 90, 2.5))", "whole number", "2.5"),
        ("predict f from rotate(x, steps(0, 90))", "steps takes two numbers", "steps(0, 90)"),
        ("predict f from rotate(x, steps(0, y, 2))", "the ends of a sweep are numbers", "y"),
        ("predict f from rotate(x, steps(0, 90, 20000))", "at most 10,000 steps", "20000"),
        ("predict f from shift(x, steps(0, 1, 2), steps(0, 1, 2))", "two sweeps meet here", "steps(0, 1, 2)"),
        ("predict f from blur(rotate(x, steps(0, 1, 2)), steps(0, 1, 2))", "a sweep already", None),
        ("predict f from scale(x, steps(-1, 1, 3))", "the factor must be above 0", "steps(-1, 1, 3)"),
        ("predict f from brightness(x, steps(0, 2, 3))", "between -1", "steps(0, 2, 3)"),
        ("predict f from contrast(x, -1.5)", "at least -1", "-1.5"),
        ("predict f from blur(x, -1)", "from 0 to below", "-1"),
        ("predict f from noise(x, 1, steps(0, 1, 3))", "whole numbers", "steps(0, 1, 3)"),
        ("predict f from steps(0, 1, 3)", "in the place of an edit's number", "steps"),
        ("predict f from each(xs)", "directly in the call of a model", "each"),
        ("select * from f(each(x))", "goes around a sweep or a collection", "each(x)"),
        ("select * from f(each(xs, x))", "each takes one input", "each(xs, x)"),
        ("select * from f(each(xs)) having index = 0", "makes a query of each element", "index = 0"),
        ("predict f from xs having step > 0", "there is no sweep", "step"),
        ("predict f from rotate(x, steps(0, 9, 2)) having step = 'a'", "is a text", "'a'"),
        ("predict f from nullify(x, row < 2, baseline => rotate(y, steps(0, 9, 2)))", "takes one baseline", None),
    ],
)
def test_mistakes_stand_at_their_words(text: str, message: str, word: str | None) -> None:
    con, _ = session()
    with pytest.raises(IalgebraError, match=message) as caught:
        con.sql(text)
    assert caught.value.span is not None
    assert word is None or text[slice(*caught.value.span)] == word


def test_assign_takes_what_a_column_of_a_frame_holds() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"age": [40, 30], "job": ["clerk", "smith"], "grade": pandas.Categorical(["b", "a"]), "owns": [True, False]}
    )
    con = ialgebra.connect(progress=False)
    con.register_input("rows", frame)
    seen: list[object] = []

    def model(batch: object) -> Tensor:
        seen.append(batch)
        return torch.zeros(len(batch), 2)  # type: ignore[arg-type]

    con.register_model("f", model, outputs="logits")
    con.sql("predict f from rows")
    for text, column, values, dtype in (
        ("assign(rows, 'age', 25)", "age", [25], "int64"),
        ("assign(rows, 'age', 25.5)", "age", [25.5], "float64"),
        ("assign(rows, feature in ('age', 'owns'), 1)", "owns", [True], "bool"),
        ("assign(rows, 'job', 'baker')", "job", ["baker"], None),
        ("assign(rows, value = 'clerk', 'smith')", "job", ["smith"], None),
        ("assign(rows, 'grade', 'a')", "grade", ["a"], "category"),
        ("assign(rows, 'age', steps(20, 24, 3))", "age", [20, 22, 24], "int64"),
        ("assign(rows, age, 26)", "age", [26], "int64"),
    ):
        seen.clear()
        con.sql(f"predict f from {text}")
        held = pandas.concat(seen)
        assert sorted(set(held[column].tolist())) == values, text
        assert dtype is None or str(held[column].dtype) == dtype, text
    for text, message in (
        ("assign(rows, 'grade', 'c')", "is no category of column 'grade'"),
        ("assign(rows, 'age', 'old')", "is a text, and column 'age'"),
        ("assign(rows, 'owns', 2)", "0 is false, 1 is true"),
        ("assign(rows, 'height', 2)", "unknown feature 'height'"),
        ("assign(rows, height, 2)", "unknown window 'height'"),
        ("assign(rows, age and owns, 2)", "feature = 'age' selects it"),
        ("assign(rows, 'age', clerk)", "a number, or a text in quotes"),
    ):
        with pytest.raises(BindError, match=message):
            con.sql(f"predict f from {text}")


def test_assign_puts_a_word_into_a_text() -> None:
    con = ialgebra.connect(progress=False)
    words = ("bad", "film", "good", "the")
    con.register_input("t", torch.tensor([3, 1, 0]), feature_names=words)
    con.register_model("f", lambda batch: torch.stack([(batch == k).sum(1) for k in range(4)], 1).double())
    con.sql("predict f from t")
    answer = scores(con, "predict f(target => all, output => 'logit') from assign(t, position = 2, 'good')")
    assert answer.models[0].target_scores.tolist() == [[0, 1, 1, 1]]
    assert scores(con, "predict f from assign(t, position = 2, 2)").stats.rows == 0
    with pytest.raises(BindError, match="'great' is no token of 't'"):
        con.sql("predict f from assign(t, position = 2, 'great')")
