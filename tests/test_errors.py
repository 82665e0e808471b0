"""What users read when something is wrong: the whole text of every class of error, its caret under the very word."""

from __future__ import annotations

import ast
import re
import traceback
from collections import OrderedDict
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
from ialgebra.errors import InternalError
from ialgebra.execution.control import Cancelled
from ialgebra.generators import Axis, LinearGenerator
from ialgebra.interpreters import ModelInterpreter, Option
from tests import worlds


class Gradient(ModelInterpreter):
    """∂f/∂x, with an option of every kind; it is never asked here."""

    options = {
        "times": Option("number", least=0),
        "signed": Option("flag"),
        "norm": Option("word", legal=("l1", "l2")),
        "sizes": Option("numbers", required=True),
        "layer": Option("layer"),
    }
    cannot = {
        "project": "it sees no window",
        "select": "it wants the whole",
        "join": "it stands alone",
        "antijoin": "it has no baseline",
    }
    needs_gradients = needs_module = True

    def attribute(self, question):
        raise AssertionError


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
    con.register_input("photos", worlds.sample("image", torch.float32, count=3), labels=["cat", "dog", "yak"])
    con.register_input("things", worlds.sample("image", torch.float32, count=2), labels=["yak", "emu"])
    con.register_input("numbered", worlds.sample("image", torch.float32, count=2), labels=[0, 1])
    con.register_input("rows", worlds.sample("tabular", torch.float32, count=2))
    con.register_input("small", torch.zeros(2, 3, 3, dtype=torch.int64))
    names = ["age", "sex", "bmi", "bp", "s1"]
    con.register_input("row", worlds.sample("tabular", torch.float32), feature_names=names)
    con.register_window("w", "row < 3")
    con.register_window("mask", np.ones((4, 4), bool))
    con.register_interpreter("gradient", Gradient())
    con.register_model("price", worlds.network("tabular"), outputs="values")
    con.register_model("call", lambda batch: batch.flatten(1)[:, :3])
    con.register_model("reads", nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2)))
    con.register_input("some_words", torch.tensor([1, 2, 3]))
    con.sql("create view v as select 2 from f(x)")
    # Generators of inputs as x: one draws the same for all codes, the other is there to be mistaken for it.
    for name in ("G", "H"):
        drawn = LinearGenerator(torch.zeros(72), torch.eye(72)[:4], (2, 6, 6), levels=2)
        con.register_generator(name, drawn)
    con._catalog.axes["warm"] = Axis("warm", "G", torch.ones(2, 2), "given numbers")
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
    if not query.lower().startswith(("drop", "describe", "set", "create", "show")):
        with pytest.raises(type(caught.value)) as explained:
            con.explain(query)
        assert str(explained.value) == text
    assert con.sql("select * from f(x, players => grid(1, 2))")[0].values.any(), "the session goes on"


ROOT = Path(ialgebra.__file__).parent
INVENTORY = [
    "language/*.py",
    "language/bind/*.py",
    "planner/check.py",
    *(f"session/statements/{name}.py" for name in ("describe", "drop", "set_option")),
]
CAPTUMS = "of Captum's methods, which may be absent: fixtures/captum_errors.txt"
OF_CONCEPTS = "of models with a dictionary of concepts; see test_concepts_algebra"
UNREACHED = {  # in queries, and why
    "expected one predicate, not several": "of register_window's text",
    "AND, OR or the end": "of register_window's text",
    "_EXPECTED_A_VALUE, value.span, text": "of register_input's text",
    "a query is a text, not": "of Python values",
    "params has {len(params)} for the": "of Python values; see test_parameters",
    "a parameter must be a finite number": "of Python values; see test_parameters",
    "is too long; the most is": "a text of 200,000 characters",
    'raise ParseError("nested too deeply"': "of a caller that is itself deep in calls",
    "the text holds no statement": "has no word to stand under",
    "views are nested too deeply": "takes fifty views",
    "maps of one input against one baseline": "takes a hundred thousand operands",
    "view '{name}' is defined by itself": "is said where a view is made, or after others were dropped",
    "this statement is not in the language": "the dialect builds no other node",
    '"expected a name"': "the dialect builds no other node",
    "(*span)]}' is not in the language": "the dialect builds no other node",
    "select by number, or in each operand's own": "takes two models; see below",
    "gives '{base}' a probability": "is told by models, which EXPLAIN does not ask; see generators/test_linear",
    "is no token of the tokenizer of": "takes a language model; see test_texts",
    "BindError(message, text.span)": "takes an input without names; see below",
    "looks inside a model, and": CAPTUMS,
    "needs gradients, and": CAPTUMS,
    "answers in one go and": CAPTUMS,
    "takes no budget: its options": CAPTUMS,
    "needs the option": CAPTUMS,
    "{name} must be {kinds": CAPTUMS,
    "is not a number": "the lexer makes no such number",
    "a baseline must be a finite number": "the reader lets no other through",
    "nested too deeply: at most {MAX_DEPTH} levels": "the dialect refuses it first, and the reader where it does not",
    "gives the concepts themselves": OF_CONCEPTS,
    "explains features of the input": OF_CONCEPTS,
    "concepts takes the name of one dictionary": OF_CONCEPTS,
    "is a column of attributes, which": OF_CONCEPTS,
    "unknown concept '": OF_CONCEPTS,
    "message, item.what.span": OF_CONCEPTS,
    "the operands' players are": OF_CONCEPTS,
    "is a function of an attribute": OF_CONCEPTS,
    "is for maps of images; a map over": OF_CONCEPTS,
    "is written {OF_CONCEPTS[word]}": OF_CONCEPTS,
    "relevance is read of a map": OF_CONCEPTS,
    "there is no attribute {index}": OF_CONCEPTS,
    "the mass of a map over concepts": OF_CONCEPTS,
    "raise NotKnownYet": "is answered, and no user sees it",
    "raise answer": "passes an error on",
    "error.at": "passes an error on",
    "type(error)": "passes an error on",
    "raise\n": "passes an error on",
}


def raises(path: Path) -> dict[int, tuple[int, str]]:
    """The statements of a file that raise or refuse: first line → (last line, their source)."""
    source = path.read_text("utf-8")
    found = {}
    for each in ast.walk(ast.parse(source)):
        refuses = isinstance(each, ast.Raise) or (
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and each.func.attr in ("refuse", "raise_error", "_expected")
        )
        if refuses:
            found[each.lineno] = (each.end_lineno, (ast.get_source_segment(source, each) or "") + "\n")
    return found


def test_every_error_that_a_query_can_raise_is_among_these(con):
    places = {(path, line): end for glob in INVENTORY for path in ROOT.glob(glob) for line, end in raises(path).items()}
    left = dict(places)
    for _, text in CASES:
        error: BaseException | None = None
        try:
            con.sql(text.split("\n")[1].strip())
        except IalgebraError as raised:
            error = raised
        while error is not None:
            for frame in traceback.extract_tb(error.__traceback__):
                for (path, first), (last, _) in places.items():
                    if Path(frame.filename) == path and first <= frame.lineno <= last:
                        left.pop((path, first), None)
            error = error.__cause__
    missing = {
        f"{path.name}:{line}": source.strip()
        for (path, line), (_, source) in sorted(left.items())
        if not any(reason in source for reason in UNREACHED)
    }
    assert missing == {}
    sources = "".join(source for _, source in places.values())
    assert [reason for reason in UNREACHED if reason not in sources] == [], "excused, but there is no such error"


def test_a_layer_that_is_not_at_one_depth_in_all_models_is_to_be_named_in_each_operand():
    con = worlds.case("tabular", seed=1).con
    shallow = nn.Sequential(OrderedDict(l=nn.Linear(5, 4), head=nn.Linear(4, 3))).double()
    con.register_model("shallow", shallow)
    worlds.with_random_heads(con, "shallow", worlds.sample("tabular"))
    with pytest.raises(BindError) as caught:
        con.sql("select l from f(x) join shallow(x)")
    assert str(caught.value) == (
        "layer 'l' is number 2 of 'f', 1 of 'shallow'; select by number, or in each operand's own subquery "
        "(line 1, column 8)\n  select l from f(x) join shallow(x)\n         ^"
    )
    (answer,) = con.sql("select * from (select l from f(x, target => 1)) join (select l from shallow(x, target => 1))")
    assert answer.values.any()


def test_a_name_of_a_feature_that_has_none_says_what_was_left_out():
    con = worlds.case("tabular", seed=1).con
    with pytest.raises(BindError) as caught:
        con.sql("select * from f(x) where feature = 'age'")
    assert str(caught.value) == (
        "no feature is named 'age': the input was registered without feature_names (line 1, column 36)\n"
        "  select * from f(x) where feature = 'age'\n                                     ^^^^^"
    )


def test_every_class_of_error_is_an_ialgebra_error():
    by_the_text = {ParseError, BindError, CompositionError, ShapeError, BudgetError}
    others = {ModelError, ResourceError, InternalError, Cancelled}
    assert set(IalgebraError.__subclasses__()) == by_the_text | others
    assert {kind.__name__ for kind in by_the_text} == {kind for kind, _ in CASES}


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
        (
            lambda con: con.register_model("f", 3),
            "model 'f' is a int; a torch.nn.Module, a callable from a batch to outputs, or an",
        ),
        (lambda con: con.register_model("f", len, output="odds"), "unknown output 'odds'"),
        (lambda con: con.register_model("f", len, layers=["a"]), "is a callable, which has no layers"),
        (lambda con: con.register_model("f", nn.Linear(2, 2), layers=["a"]), "unknown layer 'a'"),
        (lambda con: con.register_model("f", len, batch_size=0), "batch_size of model 'f' is 0"),
        (lambda con: con.register_model("f", len, device="gpu"), "unknown device 'gpu'"),
        (
            lambda con: con.register_model("f", len, classes="cat"),
            "must be a list (each a text), a mapping or None, not 'cat'",
        ),
        (lambda con: con.register_model("", len), "'' cannot name a model"),
        (lambda con: con.register_input(None, [1.0]), "argument 'name' of register_input must be a text, not None"),
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
