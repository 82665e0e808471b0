"""Every public callable refuses wrong arguments with an IalgebraError, which names the argument or the value.

A table of public callables, each with arguments that are right; each argument in turn is replaced by values of other
types and sizes. `IALGEBRA_ARGUMENTS=all pytest tests/test_arguments.py` tries all of the values, the quick suite some.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from torch import nn

import ialgebra
from ialgebra import IalgebraError, Strategy, testing
from ialgebra.errors import BindError
from ialgebra.generators import LinearGenerator
from ialgebra.interpreters import Design, Option, Question
from ialgebra.results.attribution import Attribution
from ialgebra.results.relation import Relation, Stats
from ialgebra.session.history import History
from ialgebra.session.session import Session
from ialgebra.system.arguments import checked
from ialgebra.testing import report, strategies
from tests.relations import STATS, attribution, relation

QUERY = "select * from f(x) budget 10"
TRIED = None if os.environ.get("IALGEBRA_ARGUMENTS") == "all" else 9  # values for each argument


class Silent:
    """An object that cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


def values() -> list[object]:
    """Values that are wrong for nearly everything; some are used up when they are read, so each call makes new ones."""
    return [
        None, object(), True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, 2**63, "", "nope", "\0", b"x", [],
        [object()], [None], {}, {"a": object()}, (1, 2, 3, 4, 5), np.float64("nan"), np.int64(-1), np.array(object()),
        np.array([np.nan]), np.str_("x"), torch.tensor([]), torch.tensor(1.0), lambda *_: 0, int, Silent(), 1j,
        range(0), set(), iter(()),
    ]  # fmt: skip


def session() -> Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)))
    con.register_input("x", torch.arange(1.0, 5.0))
    con.register_input("xs", torch.arange(12.0).reshape(3, 4))
    return con


def consumed(function: Callable[..., Any]) -> Callable[..., object]:
    """A function whose iterator is read to its end, or whose strategy is drawn from once."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        found = function(*args, **kwargs)
        if not isinstance(found, SearchStrategy):
            return list(found)

        @settings(max_examples=1, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
        @given(found)
        def draw(_: object) -> None:
            pass

        return draw()

    return call


def computed(function: Callable[..., Any]) -> Callable[..., object]:
    """A function whose Future is waited for."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs).result(60)

    return call


def of_a_session(name: str) -> Callable[..., object]:
    """A method of a session of its own."""

    @functools.wraps(getattr(session(), name))
    def call(**kwargs: object) -> object:
        return getattr(session(), name)(**kwargs)

    return call


def table(folder: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Public callables by name, with arguments that are right."""
    con, a = session(), attribution([1.0, 2.0])
    con.sql(QUERY)
    answer = relation(a)
    fields = {each.name: getattr(a, each.name) for each in dataclasses.fields(a)}
    path, heads = answer.save(folder / "answer"), folder / "heads"
    con.fit_heads("f", torch.randn(12, 4))
    con.save_heads("f", heads)
    con.register_concepts("f", 1, head=nn.Linear(3, 2))
    rows = torch.randn(12, 4)
    con.register_input("rows", rows)
    con.register_generator("G", LinearGenerator.fit(rows, 2), collection="rows")
    con.register_axis("light", rows.sum(dim=1))
    strategy = {each.name: getattr(Strategy.BEST, each.name) for each in dataclasses.fields(Strategy)}
    question: dict[str, Any] = {
        "scalar": nn.Linear(2, 1), "foreground": torch.ones(2), "baseline": torch.zeros(2),
        "players": np.arange(2), "options": {}, "layers": {}, "batch_size": 1, "seed": 0,
    }  # fmt: skip
    rest: dict[str, Any] = {"plan": "", "details": {}, "text": None, "query": "", "provenance": {}}
    laws = {"con": con, "inputs": ["x"], "laws": ["L1"], "examples": 1}
    return {
        "connect": (ialgebra.connect, {}),
        "load": (ialgebra.load, {"path": path}),
        "learn": (ialgebra.learn, {"model": nn.Linear(4, 2), "inputs": torch.ones(4, 4)}),
        "Session.register_model": (of_a_session("register_model"), {"name": "g", "module": nn.Linear(4, 2)}),
        "Session.register_input": (of_a_session("register_input"), {"name": "y", "tensor": torch.ones(4)}),
        "Session.register_window": (con.register_window, {"name": "w", "mask_or_predicate": "feature < 2"}),
        "Session.register_interpreter": (con.register_interpreter, {"name": "i", "interpreter": None}),
        "Session.register_generator": (
            of_a_session("register_generator"),
            {"name": "D", "generator": LinearGenerator.fit(torch.randn(12, 4), 2), "collection": "xs"},
        ),
        "Session.register_axis": (con.register_axis, {"name": "warm", "what": torch.arange(len(rows)), "on": "G"}),
        "Session.crossings": (con.crossings, {"axis": "light", "models": ["f"], "inputs": "rows"}),
        "Session.cross_effects": (con.cross_effects, {"axes": ["light"], "models": ["f"], "inputs": "rows"}),
        "Session.fit_heads": (con.fit_heads, {"model": "f", "inputs": torch.ones(4, 4)}),
        "Session.save_heads": (con.save_heads, {"model": "f", "path": heads}),
        "Session.load_heads": (con.load_heads, {"model": "f", "path": heads}),
        "Session.register_concepts": (
            of_a_session("register_concepts"),
            {"model": "f", "module": nn.Linear(4, 3), "inputs": torch.randn(12, 4)},
        ),
        "Session.fit_concepts": (
            con.fit_concepts,
            {"model": "f", "inputs": torch.ones(2, 4), "size": 1, "kind": "nmf", "name": "motifs"},
        ),
        "Session.gallery": (con.gallery, {"model": "f", "inputs": "xs"}),
        "Session.picture": (con.picture, {"model": "f", "attribute": "a0", "inputs": "xs"}),
        "Session.save_concepts": (con.save_concepts, {"model": "f", "path": folder / "concepts"}),
        "Session.load_concepts": (con.load_concepts, {"model": "f", "path": con.save_concepts("f", folder / "own")}),
        "Session.calibrate": (con.calibrate, {"model": "f", "input": "x"}),
        "Session.sql": (con.sql, {"text": QUERY}),
        "Session.run": (consumed(con.run), {"script": QUERY}),
        "Session.stream": (consumed(con.stream), {"text": QUERY}),
        "Session.submit": (computed(con.submit), {"text": QUERY}),
        "Submitted.updates": (consumed(con.submit(QUERY).updates), {}),
        "Session.explain": (con.explain, {"text": QUERY}),
        "Session.studio": (con.studio, {"open": False, "block": False}),
        "History.__getitem__": (con.history.__getitem__, {"number": -1}),
        "History.run": (con.history.run, {"number": 3}),
        "History.export": (con.history.export, {"path": folder / "a.py"}),
        "Attribution": (Attribution, fields),
        "Attribution.interval": (a.interval, {}),
        "Attribution.plot": (a.plot, {"path": folder / "plot.png"}),
        "Relation.plot": (answer.plot, {"path": folder / "plot.png"}),
        "Relation.importance": (answer.importance, {}),
        "Relation.mean": (answer.mean, {}),
        "Relation.to_pandas": (answer.to_pandas, {}),
        "Attribution.to_pandas": (a.to_pandas, {}),
        "Relation": (Relation, {"attributions": [a], "stats": STATS, **rest}),
        "Relation.__getitem__": (answer.__getitem__, {"index": 0}),
        "Relation.told": (answer.told, {"text": "", "query": ""}),
        "Relation.save": (answer.save, {"path": folder / "again"}),
        "Stats": (Stats, dataclasses.asdict(STATS)),
        "Strategy": (Strategy, strategy),
        "Option": (Option, {"kind": "whole"}),
        "Question": (Question, question),
        "Design": (Design, dataclasses.asdict(Design("mine", 1, 0, np.array([[False], [True]]), ("mine", 1, 2, 0)))),
        "check_laws": (testing.check_laws, laws),
        "verify": (testing.verify, {"place": "nowhere:at_all", "laws": ["L1"], "examples": 1}),
        "report.as_json": (report.as_json, {"results": [], "name": "f"}),
        "report.as_junit": (report.as_junit, {"results": [], "name": "f"}),
        "report.write": (report.write, {"text": "", "path": str(folder / "report")}),
        **{
            f"strategies.{name}": (consumed(getattr(strategies, name)), {})
            for name in ("models", "inputs", "windows", "players", "edits", "calls", "plans", "queries")
        },
    }


WITHOUT_ARGUMENTS = {
    "close", "catalog", "names", "registered", "explain", "plot", "show", "to_pandas", "to_shap", "heat",
    "player_names", "lines", "clear", "explore",
}  # fmt: skip
"""Public methods that take nothing."""

NOT_FOR_USERS = {
    "Stats.of",
    "Relation.of",
    "Session.explored",
    "History.step",
    "History.given",
    "History.model",
    "History.part_of",
    "History.brought",
}
"""Methods that only other modules of the package call."""

OWN = {"Relation.__getitem__": IndexError}
"""What the protocols of Python ask for: a sequence ends with an IndexError."""


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    monkeypatch.chdir(tmp_path)  # where a path such as 'nope' may be written
    monkeypatch.setattr("ialgebra.session.session.calibrate", lambda *_, **__: None)  # it takes ten seconds
    monkeypatch.setattr("ialgebra.session.session.table", lambda *_: "")
    monkeypatch.setattr("ialgebra.session.page.studio", lambda *_: MagicMock())  # a server, which waits for Ctrl-C
    monkeypatch.setattr("ialgebra.testing.check._checked", lambda *_: None)
    torch.manual_seed(0)
    return table(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_no_wrong_argument_gives_a_raw_error(known: dict[str, tuple[Callable[..., Any], dict[str, Any]]]) -> None:
    rng = random.Random(0)
    raw = []
    for name, (function, right) in known.items():
        for parameter in inspect.signature(function).parameters:
            chosen = range(len(values())) if TRIED is None else rng.sample(range(len(values())), TRIED)
            for index in chosen:
                value = values()[index]
                try:
                    function(**{**right, parameter: value})
                except (IalgebraError, OWN.get(name, IalgebraError)):
                    pass
                except Exception as error:
                    raw.append(f"{name}({parameter}={type(value).__name__}): {type(error).__name__}: {error}")
    assert not raw, "\n".join(raw)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda con: con.sql(3), "argument 'text' of sql must be a text, not 3"),
        (lambda con: con.sql(QUERY, seed="0"), "argument 'seed' of sql must be a whole number or None, not '0'"),
        (lambda con: con.sql(QUERY, seed=True), "argument 'seed' of sql must be a whole number or None, not True"),
        (lambda con: con.sql(QUERY, strategy=[]), "'strategy' of sql must be a Strategy, a text or None, not a list"),
        (lambda con: con.explain(None), "argument 'text' of explain must be a text, not None"),
        (lambda con: con.fit_heads("f", [], holdout="x"), "argument 'holdout' of fit_heads must be a number, not 'x'"),
        (lambda con: con.save_heads("f", 3), "argument 'path' of save_heads must be a text or a path, not 3"),
        (lambda con: con.calibrate("f", compile=1), "argument 'compile' of calibrate must be True or False, not 1"),
        (lambda con: con.register_model("g", len, layers={"a"}), "argument 'layers' of register_model must be a list"),
        (lambda con: con.register_input("y", [1.0], 10**400), "the baseline of 'y' must be a finite number"),
        (lambda con: con.history["a"], "argument 'number' of __getitem__ must be a whole number, not 'a'"),
        (lambda _: ialgebra.connect(store_bytes=1.5), "'store_bytes' of connect must be a whole number, not 1.5"),
        (lambda _: ialgebra.load(None), "argument 'path' of load must be a text or a path, not None"),
        (lambda _: Strategy("mine", share="yes"), "'share' of Strategy must be True or False or None, not 'yes'"),
        (lambda _: Option(cast(Any, "numbr")), "argument 'kind' of Option must be 'whole' or 'number' or 'word'"),
        (lambda _: Option("word", legal="ab"), "argument 'legal' of Option must be a list, not 'ab'"),
        (lambda _: Design("mine", 1, 0, cast(Any, [[0], [1]]), ("mine", 1, 2, 0)), "argument 'coalitions' of Design"),
        (lambda _: Question(*[cast(Any, 1)] * 8), "argument 'scalar' of Question must be a Module, not 1"),
        (lambda _: attribution([1.0], layer="a"), "'layer' of Attribution must be a whole number or None, not 'a'"),
        (lambda _: attribution([1.0], map=[1.0]), "'map' of Attribution must be an array of float64, not a list"),
        (lambda _: attribution([1.0]).interval("x"), "'confidence' of interval must be a number, not 'x'"),
        (lambda _: strategies.models("audio"), "unknown kind 'audio'; known: 'image', 'tabular', 'tokens'"),
        (lambda _: strategies.inputs("image", (2, 3)), "shape (2, 3) has 2 lengths; inputs of kind 'image' have 3"),
        (
            lambda _: report.as_json(cast(Any, ["x"]), "f"),
            "'results' of as_json must be a list (each a LawResult), not a list",
        ),
    ],
)
def test_the_error_names_the_argument_and_what_it_may_be(call: Callable[[Session], object], words: str) -> None:
    with pytest.raises(BindError) as caught:
        call(session())
    assert words in caught.value.message


def test_scalars_of_numpy_are_those_of_python() -> None:
    con = session()
    (one,) = con.sql(np.str_(QUERY), seed=np.int64(3))
    (other,) = con.sql(QUERY, seed=3)
    assert np.array_equal(one.values, other.values)
    assert [type(con.history[-2].seed), type(con.history[np.int32(-2)].text)] == [int, str]
    assert Strategy("mine", share=np.bool_(True)).share is True


def test_the_signatures_own_errors_stay() -> None:
    for call in (lambda con: con.sql(), lambda con: con.sql(QUERY, sed=3), lambda con: con.names(3)):
        with pytest.raises(TypeError, match="argument"):
            call(session())


def test_what_annotations_say_is_what_is_taken() -> None:
    @checked
    def function(a: list[int] | None = None, *, b: dict[str, int] | str = "", c: Missing = 0) -> object:  # type: ignore[name-defined]  # noqa: F821
        return a, b, c

    assert function(cast(Any, [1, np.int8(2)]), b={}, c=object)[1] == {}
    assert function(None, b="x") == (None, "x", 0)
    for wrong in ("12", [1.5], {1: 2}, {1}, 3, [True], np.array(1)):
        with pytest.raises(BindError, match="argument 'a' of function must be a list"):
            function(wrong)
    with pytest.raises(BindError, match="argument 'b' of function must be a mapping or a text, not None"):
        function(b=None)


def test_the_table_holds_every_public_callable(
    known: dict[str, tuple[Callable[..., Any], dict[str, Any]]],
) -> None:
    public: set[str] = set()
    for kind in (Session, History, Attribution, Relation, Stats, Strategy):
        for name, value in vars(kind).items():
            if inspect.isfunction(value) and (not name.startswith("_") or name == "__getitem__"):
                own = [each for each in inspect.signature(value).parameters if each != "self"]
                assert own or name in WITHOUT_ARGUMENTS, (kind, name)
                public |= {f"{kind.__name__}.{name}"} if own else set()
    assert public - NOT_FOR_USERS <= known.keys()
    functions = {name for name in ialgebra.__all__ if inspect.isroutine(getattr(ialgebra, name))}
    assert functions - {"tune_process"} <= known.keys()
    assert {"check_laws", "verify"} <= known.keys()
    assert {f"strategies.{n}" for n, v in vars(strategies).items() if hasattr(v, "__wrapped__")} <= known.keys() | {
        f"strategies.{n}" for n in vars(strategies) if n.startswith("_")
    }


def test_the_rows_of_a_large_tensor_are_not_looked_at_one_by_one() -> None:
    @checked
    def count(values: Sequence[torch.Tensor] | torch.Tensor) -> int:
        return len(values)

    assert count(torch.zeros(1).expand(1 << 40)) == 1 << 40
    with pytest.raises(BindError, match="argument 'values' of count"):
        count([torch.zeros(2), 3])  # type: ignore[list-item]
