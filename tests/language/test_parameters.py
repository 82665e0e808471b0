"""Parameters: what `?` becomes, and that what is kept is a text which says all by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra.errors import BindError, ParseError
from ialgebra.language.parameters import filled


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("select * from f(?) budget ?", ["x", 300], 'select * from f("x") budget 300'),
        ("select * from ?(?)", ["f", "a b"], 'select * from "f"("a b")'),
        ("select ?, ? from f(x)", ["conv1", 2], 'select "conv1", 2 from f(x)'),
        ("select * from f(x, target => ?)", ["it's"], "select * from f(x, target => 'it''s')"),
        ("select * from f(x, baseline => ?)", ["xs"], 'select * from f(x, baseline => "xs")'),
        ("select * from f(x) where feature in (?, ?)", ["a", "b"], "select * from f(x) where feature in ('a', 'b')"),
        ("select * from f(x) where value > ?", [np.float32(0.5)], "select * from f(x) where value > 0.5"),
        ("select * from f(nullify(?, feature = ?))", ["x", "a"], "select * from f(nullify(\"x\", feature = 'a'))"),
        ("select * from f(substitute(x, w, ?))", ["y"], 'select * from f(substitute(x, w, "y"))'),
        ("select * from f(x) where token = '?' -- ?", [], "select * from f(x) where token = '?' -- ?"),
        ("select * from f(x) join ?", ['v"1'], 'select * from f(x) join "v""1"'),
    ],
)
def test_a_question_mark_becomes_a_name_a_text_or_a_number(text: str, params: list[object], expected: str) -> None:
    assert filled(text, params) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], r"0 for the 2 of `\?`"),
        (["x"], r"1 for the 2"),
        (["x", [3]], "a finite number or a text, not a list"),
        (["x", float("nan")], "a finite number or a text"),
        (["x", None], "a finite number or a text"),
    ],
)
def test_what_does_not_fit_is_refused(params: list[object], message: str) -> None:
    with pytest.raises(BindError, match=message):
        filled("select * from f(?) budget ?", params)


def test_what_is_asked_is_the_filled_text_in_every_way_to_ask() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch @ torch.tensor([1.0, 2.0, -4.0]))
    con.register_input("x'", torch.ones(3))
    text, params = "select * from f(?, target => 0) budget ?", ["x'", 8]
    answer = con.sql(text, params=params)
    assert answer[0].values == pytest.approx([1.0, 2.0, -4.0])
    assert answer.query == con.history[-1].text == 'select * from f("x\'", target => 0) budget 8'
    assert con.sql(answer.query)[0].values == pytest.approx([1.0, 2.0, -4.0])
    assert [len(each) for each in con.run(text, params=params)] == [1]
    assert len(list(con.stream(text, params=params))) >= 1
    assert "φ f(x')" in con.explain(text, params=params)
    with pytest.raises(ParseError, match=r"."):
        con.sql(text)
    with pytest.raises(ParseError):
        con.sql("select * from f('x", params=["x"])


def test_a_name_from_elsewhere_stays_a_name() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch.sum(1))
    con.register_input("x", torch.ones(3))
    hostile = 'x); drop view v; select * from f("x'
    with pytest.raises(BindError, match="unknown input"):
        con.sql("select * from f(?)", params=[hostile])


# --- target => all


def test_all_targets_give_a_map_for_each_class_from_the_same_rows() -> None:
    weights = torch.tensor([[1.0, 0.0, -2.0], [3.0, 0.5, 0.0], [0.0, 0.0, 7.0]])
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch @ weights.T, classes=["ant", "bee", "cat"])
    con.register_input("x", torch.tensor([1.0, 2.0, 3.0]))
    answer = con.sql("select * from f(x, target => all)")
    assert [a.target_name for a in answer] == ["ant", "bee", "cat"]
    np.testing.assert_allclose([a.values for a in answer], [[1, 0, -6], [3, 1, 0], [0, 0, 21]], atol=1e-6)
    assert answer.stats.rows == 8
    pairs = con.sql("select * from f(x, target => all) left join (select * from f(nullify(x, feature = 2)))")
    assert [(a.item, a.component) for a in pairs] == [(k, c) for k in range(3) for c in range(2)]
    assert len(con.sql("select * from f(x, target => ALL) where feature < 2")) == 3


def test_a_class_that_is_called_all_can_be_asked_for() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch[:, :2], classes=["all", "none"])
    con.register_input("x", torch.tensor([1.0, 2.0, 3.0]))
    for text in ("all", "'all'"):
        (a,) = con.sql(f"select * from f(x, target => {text})")
        assert a.target_name == "all"
    con.register_model("g", lambda batch: batch[:, :2])
    with pytest.raises(BindError, match="'all'"):
        con.sql("select * from g(x, target => 'all')")
