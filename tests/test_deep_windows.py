"""Windows that name windows twice, forty deep, are a graph of a hundred nodes whose text has 2⁴⁰ characters: everything
that a user can do with one meets each node once, and what would be too long is shortened, or refused by name. Were it
otherwise, these tests would not end.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra import BindError, BudgetError, CompositionError
from ialgebra.algebra.windows import MOST_WRITTEN, Window, complement, evaluate, fold, reads, truth
from ialgebra.answering.binding import bind
from ialgebra.language import reader, tree
from ialgebra.language.printer import to_sql

DEEP = 41
CHAIN = 1500  # deeper than Python's stack


def session() -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    weights = torch.tensor([1.0, 2.0, 4.0, 8.0])
    con.register_model("f", lambda batch: (batch @ weights)[:, None])
    con.register_input("x", torch.ones(4))
    con.register_input("xs", torch.ones(3, 4))
    return con


def selected() -> list[bool]:
    """Which of the four features the deepest window selects, feature by feature."""
    found = []
    for feature in range(4):
        inside = feature < 2
        for k in range(1, DEEP + 1):
            inside = (inside and feature != k % 4) or (not inside and feature == k % 3)
        found.append(inside)
    return found


@pytest.fixture(scope="module")
def con() -> ialgebra.Session:
    con = session()
    con.sql("create window w0 as feature < 2")
    for k in range(1, DEEP + 1):
        con.sql(f"create window w{k} as w{k - 1} and feature <> {k % 4} or not w{k - 1} and feature = {k % 3}")
    return con


@pytest.fixture
def window(con: ialgebra.Session) -> Window:
    return con._catalog.windows[f"w{DEEP}"]


def columns() -> dict[str, np.ndarray]:
    return {"feature": np.arange(4.0), "value": np.ones(4)}


def test_a_deep_window_selects_what_it_says(con: ialgebra.Session, window: Window) -> None:
    inside = selected()
    assert 0 < sum(inside) < 4
    assert evaluate(window, columns()).tolist() == inside
    assert evaluate(complement(window), columns()).tolist() == [not each for each in inside]
    expected = np.where(inside, [1.0, 2.0, 4.0, 8.0], 0.0)
    for strategy in ("BEST", "AS_WRITTEN"):
        np.testing.assert_allclose(con.sql(f"select * from f(x) where w{DEEP}", strategy=strategy)[0].map, expected)
    edited = con.sql(f"select * from f(nullify(x, not w{DEEP}))")[0]
    np.testing.assert_allclose(edited.map, expected)
    assert edited.input.startswith("nullify(x, ")
    assert "…" in edited.input
    assert len(con.sql(f"select * from f(xs) having mass(w{DEEP}) > 0.9999")) == 0


def test_each_part_of_a_window_is_met_once(window: Window) -> None:
    parts: list[Window] = []
    fold(window, lambda part, operands: parts.append(part))
    compared: list[object] = []

    def compare(op: object, left: object, right: object) -> object:
        compared.append((op, left, right))
        return truth(window, columns(), None)

    truth(window, columns(), compare)  # type: ignore[arg-type]
    assert len(parts) == len(set(parts)) < 5 * DEEP
    assert len(compared) == len(set(compared)) < 20, "as many as there are different comparisons"
    assert reads(window) == {"feature"}


def test_everything_that_shows_a_deep_window_shows_a_part_of_it(con: ialgebra.Session, window: Window) -> None:
    query = f"select * from f(x) where w{DEEP}"
    shown = [
        str(window),
        repr(window),
        con.sql(f"describe w{DEEP}").text,
        con.explain(query),
        con.sql(f"explain analyze {query}").text,
        con.sql(f"explain (format json) {query}").text,
        con.sql(f"explain (format dot) {query}").text,
        repr(con.sql(query).provenance),
    ]
    for text in shown:
        assert "…" in text
        assert len(text) < 20_000
    listed = con.sql("show windows").text.split("\n")
    assert len(listed) == DEEP + 1
    assert listed[0] == "w0: feature < 2"
    assert all(len(line) < 6_000 for line in listed)


def test_a_text_that_would_be_too_long_is_refused_by_name(con: ialgebra.Session, window: Window) -> None:
    with pytest.raises(BindError, match="cannot be written in 200,000 characters"):
        _ = window.text
    text = f"select * from f(x) where w{DEEP}"
    (query,) = reader.parse(text)
    assert isinstance(query, tree.Query)
    (wanted,) = bind(query, text, con._catalog).maps
    with pytest.raises(BindError, match="cannot be written"):
        to_sql(wanted.plan)
    small = con._catalog.windows["w6"]
    assert len(small.text) < MOST_WRITTEN
    again = session()
    again.sql(f"create window w as {small.text}")
    assert again._catalog.windows["w"] is small, "a text that is not refused is whole"
    long = con._catalog.windows["w0"]
    long_text = " or ".join(f"feature = {k}" for k in range(900))
    con.register_window("long", long_text)
    long = con._catalog.windows["long"]
    assert "…" in str(long)
    assert len(str(long)) < 6_000
    again.sql(f"create window long as {long.text}")
    assert again._catalog.windows["long"] is long


def test_deep_windows_are_pickled_copied_exported_and_made_regions(
    con: ialgebra.Session, window: Window, tmp_path: Path
) -> None:
    assert pickle.loads(pickle.dumps(window)) is window
    assert copy.deepcopy(window) is window
    assert len({window, complement(window), complement(complement(window))}) == 2
    query = f"select * from f(x) where w{DEEP}"
    con.sql(query, strategy=ialgebra.Strategy("checked", verify=True))
    con.sql(f"create or replace window hot as top(1, {query})")
    con.history.export(tmp_path / "deep.py")
    con.sql(query).save(tmp_path / "deep.ialgebra")
    assert ialgebra.load(tmp_path / "deep.ialgebra")[0].map.tolist() == con.sql(query)[0].map.tolist()


def test_a_chain_of_windows_is_deeper_than_the_stack() -> None:
    con = session()
    con.sql("create window w0 as feature < 2")
    script = (f"create window w{k} as w{k - 1} {('or', 'and')[k % 2]} feature <> {k % 3}" for k in range(1, CHAIN))
    con.sql("; ".join(script))
    inside = [feature < 2 for feature in range(4)]
    for k in range(1, CHAIN):
        inside = [(old and f != k % 3) if k % 2 else (old or f != k % 3) for f, old in enumerate(inside)]
    name = f"w{CHAIN - 1}"
    assert con.sql(f"select * from f(x) where {name}")[0].map.tolist() == [
        2.0**k * each for k, each in enumerate(inside)
    ]
    assert con.sql(f"describe {name}").text
    assert repr(con._catalog.windows[name])
    assert pickle.loads(pickle.dumps(con._catalog.windows[name])) is con._catalog.windows[name]


def test_views_that_name_views_twice_are_refused_before_they_are_expanded() -> None:
    con = session()
    for name, kind in (("j", "join"), ("a", "left join")):
        con.sql(f"create view {name}0 as select * from f(x)")
        for k in range(1, DEEP + 1):
            con.sql(f"create view {name}{k} as select * from {name}{k - 1} {kind} {name}{k - 1}")
    for statement in ("select * from j41", "explain select * from j41", "explain analyze select * from j41"):
        with pytest.raises(BudgetError, match="stands for 2,199,023,255,552 maps"):
            con.sql(statement)
    with pytest.raises(CompositionError):
        con.sql("select * from a41")
    assert len(con.sql("show views").text.split("\n")) == 2 * (DEEP + 1)
    np.testing.assert_allclose(con.sql("select * from j5")[0].map, [1.0, 2.0, 4.0, 8.0])


def test_baselines_that_name_edited_inputs_twice_are_refused_where_they_are_registered() -> None:
    con = session()
    con.sql("create window w0 as feature < 2; create window w1 as feature > 2")
    con.register_input("x0", torch.ones(4))

    def register_all() -> None:
        for k in range(1, DEEP + 1):
            con.register_input(f"x{k}", torch.ones(4), baseline=f"nullify(nullify(x{k - 1}, w0), w1)")

    with pytest.raises(BindError, match="an input with its edits cannot be written in 200,000 characters"):
        register_all()
    deepest = con.names()["inputs"][-1]
    con.sql(f"set baseline = nullify(nullify({deepest}, w0), w1)")
    for name in ("x", deepest):  # only feature 2, of weight 4, is never replaced by zero
        assert con.sql(f"select * from f({name})")[0].base_value == 4.0
