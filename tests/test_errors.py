"""What users read when something is wrong: the whole text of every class of error, its caret under the very word."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import (
    BindError,
    BudgetError,
    CompositionError,
    IalgebraError,
    IalgebraWarning,
    ModelError,
    ParseError,
    ResourceError,
    ShapeError,
)
from tests import worlds


@pytest.fixture(scope="module")
def con() -> ialgebra.Session:
    """Photos and a model of them, a table and a model of it."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", worlds.network("image"), classes=["cat", "dog", "espresso"])
    worlds.with_random_heads(con, "f", worlds.sample("image", torch.float32))
    con.register_model("bare", worlds.network("image"))
    con.register_model("risk", worlds.network("tabular"))
    for name in ("x", "x'"):
        con.register_input(name, worlds.sample("image", torch.float32))
    con.register_input("photos", worlds.sample("image", torch.float32, count=3))
    con.register_input("small", torch.zeros(2, 3, 3, dtype=torch.int64))
    names = ["age", "sex", "bmi", "bp", "s1"]
    con.register_input("row", worlds.sample("tabular", torch.float32), feature_names=names)
    con.register_window("w", "row < 3")
    con.register_window("mask", np.ones((4, 4), bool))
    con.sql("create view v as select 2 from f(x)")
    return con


# One error a paragraph: its class, its text, the query, the caret.
_PARAGRAPHS = Path(__file__).with_name("fixtures").joinpath("errors.txt").read_text("utf-8").rstrip("\n").split("\n\n")
CASES = [tuple(paragraph.split("\n", 1)) for paragraph in _PARAGRAPHS]


@pytest.mark.parametrize(("kind", "text"), CASES, ids=[text.split("\n")[1].strip() for _, text in CASES])
def test_an_error_names_the_culprit_and_where_it_stands(kind, text, con):
    query = text.split("\n")[1].strip()
    with pytest.raises(IalgebraError) as caught:
        con.sql(query)
    assert str(caught.value) == text
    assert type(caught.value).__name__ == kind
    place = re.search(r"\(line (\d+), column (\d+)\)\n", text)
    assert (caught.value.line, caught.value.column) == tuple(map(int, place.groups()))
    if not query.startswith(("drop", "describe", "set")):
        with pytest.raises(type(caught.value)) as explained:
            con.explain(query)
        assert str(explained.value) == text
    assert con.sql("select * from f(x, players => grid(1, 2))")[0].values.any(), "the session goes on"


def test_every_class_of_error_is_an_ialgebra_error():
    kinds = {ParseError, BindError, CompositionError, ShapeError, ModelError, BudgetError, ResourceError}
    assert set(IalgebraError.__subclasses__()) == kinds
    assert {kind.__name__ for kind in kinds - {ModelError, ResourceError}} == {kind for kind, _ in CASES}


@pytest.mark.parametrize("rows", ["99999999999", "1000000000000000000000000"])
def test_a_budget_that_no_design_could_hold_is_refused(rows, con):
    text = f"select * from f(x, players => pixels) budget {rows}"
    for ask in (con.explain, con.sql):
        with pytest.raises(BudgetError) as caught:
            ask(text)
        assert str(caught.value).endswith("\n" + " " * (text.index(rows) + 2) + "^" * len(rows))


def test_an_error_in_a_script_stands_in_its_line(con):
    with pytest.raises(BindError) as caught:
        con.sql("-- two windows\ncreate window low as row > 3;\n\n  select * from f(x)\n  where low and hi;\n")
    assert str(caught.value) == (
        "unknown window 'hi'; known: 'false', 'low', 'mask', 'true', 'w' (line 5, column 17)\n"
        "    where low and hi;\n"
        "                  ^^"
    )
    con.sql("drop window low")


def test_a_script_that_does_not_parse_runs_nothing(con):
    with pytest.raises(ParseError):
        con.sql("create window never as row > 3; selct * from f(x)")
    assert "never" not in con.names()["windows"]


def test_an_error_in_a_view_names_the_view(con):
    con.sql("create window for_a_while as row > 1; create view later as select * from f(x) where for_a_while")
    con.sql("drop window for_a_while")
    with pytest.raises(BindError) as caught:
        con.sql("select * from f(x') join later")
    assert str(caught.value) == (
        "in view 'later': unknown window 'for_a_while'; known: 'false', 'mask', 'true', 'w' (line 1, column 26)\n"
        "  select * from f(x') join later\n"
        "                           ^^^^^"
    )


def test_predicates_of_python_arguments_have_carets_too(con):
    with pytest.raises(BindError) as caught:
        con.register_window("odd", "row < 3 and colum > 2")
    assert str(caught.value).startswith("unknown column 'colum'; did you mean 'col'? (line 1, column 13)\n")
    assert str(caught.value).endswith("\n  row < 3 and colum > 2\n              ^^^^^")
    with pytest.raises(ParseError, match=r"line 1, column 6"):
        con.register_window("odd", "row <")
    with pytest.raises(BindError, match="did you mean 'grid'"):
        con.register_input("odd", torch.zeros(2, 6, 6), players="gird(2, 2)")
    with pytest.raises(BindError, match="did you mean 'photos'"):
        con.register_input("odd", torch.zeros(2, 6, 6), baseline="mean(photo)")
    assert "odd" not in [*con.names()["inputs"], *con.names()["windows"]]


# --- errors of models


def session(model) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("x", torch.tensor([1.0, 2.0, 3.0, 4.0]))
    return con


def test_a_model_that_raises_is_quoted():
    def model(batch: Tensor) -> Tensor:
        raise KeyError("weights.pt")

    with pytest.raises(ModelError) as caught:
        session(model).sql("select * from f(x)")
    assert str(caught.value) == (
        "model 'f' raised KeyError: 'weights.pt' (line 1, column 17)\n  select * from f(x)\n                  ^"
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_model_that_returns_nan_has_its_row_named():
    def model(batch: Tensor) -> Tensor:
        y = batch.sum(1, keepdim=True)
        y[(batch[:, 0] == 0) & (batch[:, 3] == 0) & (batch[:, 1] * batch[:, 2] != 0)] = torch.nan
        return y

    with pytest.raises(ModelError) as caught:
        session(model).sql("select * from f(x)")
    message, query, caret = str(caught.value).split("\n")
    assert re.fullmatch(
        r"model 'f' returned NaN for row \d+ of a batch of 15; finite numbers are needed "
        r"\(row \d+ of the plan's game 0: players \{1, 2\} present\) \(line 1, column 1\)",
        message,
    )
    assert (query, caret) == ("  select * from f(x)", "  ^^^^^^^^^^^^^^^^^^")


def test_out_of_memory_at_one_row_says_what_to_do():
    class Full(nn.Module):
        full = False

        def forward(self, batch: Tensor) -> Tensor:
            if self.full:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return batch

    model = Full()
    con = session(model)
    con.sql("select * from f(x)")
    model.full = True
    with pytest.raises(ResourceError) as caught:
        con.sql("select * from f(x) where feature < 3")
    assert str(caught.value) == (
        "out of memory at a batch of one row of model 'f'; use a smaller model or input (line 1, column 1)\n"
        "  select * from f(x) where feature < 3\n"
        "  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )


# --- arguments of Python calls


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda con: con.register_model("f", 3), "model 'f' is a int; a torch.nn.Module or a callable is needed"),
        (lambda con: con.register_model("f", len, output="odds"), "unknown output 'odds'"),
        (lambda con: con.register_model("f", len, layers=["a"]), "is a callable, which has no layers"),
        (lambda con: con.register_model("f", nn.Linear(2, 2), layers=["a"]), "unknown layer 'a'"),
        (lambda con: con.register_model("f", len, batch_size=0), "batch_size of model 'f' is 0"),
        (lambda con: con.register_model("f", len, device="gpu"), "unknown device 'gpu'"),
        (lambda con: con.register_model("f", len, classes="cat"), "must be a list of names"),
        (lambda con: con.register_model("", len), "'' cannot name a model"),
        (lambda con: con.register_input(None, [1.0]), "None cannot name a input"),
        (lambda con: con.register_window("w", np.array([0, 2])), "must be boolean"),
        (lambda con: con.fit_heads("g", torch.zeros(4, 2)), "unknown model 'g'"),
    ],
)
def test_arguments_that_do_not_fit(call, words):
    with pytest.raises(BindError) as caught:
        call(ialgebra.connect(progress=False))
    assert words in str(caught.value)


def test_class_names_that_do_not_fit_the_model():
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Linear(4, 3), classes=["cat", "dog"])
    con.register_input("x", torch.ones(4))
    with pytest.raises(BindError, match="model 'f' has 3 classes, but 2 class names were given"):
        con.sql("select * from f(x)")


# --- warnings


def test_what_is_legal_but_hardly_meant_warns():
    found = worlds.case("tabular", seed=1)
    sources = {found.world.nets["f"].predicted(found.world.elements(name)[0]): name for name in ("x", "x'", "y")}
    assert len(sources) > 1, "the three inputs have two classes"
    one, other, *_ = sources.values()
    with pytest.warns(IalgebraWarning, match="adds maps of different classes"):
        found.con.sql(f"select * from f({one}) join f({other})")
    with pytest.warns(IalgebraWarning, match="compares inputs of one class"):
        found.con.sql("select * from f(x, target => 1) left join f(y, target => 1)")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "text",
    [
        "select * from f(x, target => 1) join f(y, target => 1)",
        "select * from f(x, target => 1) left join f(y, target => 2)",
        "select * from f(x, target => 1) left join g(x, target => 1)",
        "select 2, * from f(x)",
    ],
)
def test_what_is_meant_does_not_warn(text):
    worlds.case("tabular", seed=1).con.sql(text)
