"""Binding runs no model: it knows what it is told, stops where it is not told, and starts again with the answer."""

from __future__ import annotations

import random
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, BudgetError, ModelError, ShapeError
from ialgebra.algebra.operators import leaves
from ialgebra.answering import binding
from ialgebra.language import reader
from ialgebra.language.bind.models import NotKnownYet, Told, Unknown, UnknownPredictions, UnknownScores, UnprobedModel
from ialgebra.language.bind.query import Bound, bind
from tests import grammar, worlds

QUERIES = """
select * from f(x)
select 2, 'l' as middle, * from f(x, target => 'dog', output => probability) where row < 3 and not w
select 5 from f(x, baseline => blur(x, 2), players => slic(4)) using regression() budget 40
select * from f(x, baseline => mean(photos), players => pixels) using permutations(contrast => 'literal')
select * from f(nullify(x, w)) left join f(rotate(x', 90, baseline => 0)) left join f(clip(x, 0, 1))
select 2 from f(x) join g(x) on weight = 0.25 join f(x') on weight = 0.5
select * from (select 2, 3 from f(x)) left join (select 3, 2 from f(x'))
select * from v join f(x') where col between 1 and 3 error within 5% at confidence 90%
select 2 from f(x) within 2 seconds
select 2, 3 from f(photos)
select * from f(photos) having label <> 'dog' and index in (0, 1) order by index desc limit 1
select * from f(photos) having prediction = label
select 2 from f(photos) order by mass(w) limit 2
select 2 from f(photos) having prediction <> 'cat' order by entropy(), argmax_row() limit 1
select * from f(photos) order by distance((select * from g(photos))), index
select * from (select 3 from f(photos) having prediction in (0, 1)) join f(x)
select * from ranked
""".strip().splitlines()


class Stoppable(nn.Sequential):
    """A model that counts its passes, and fails in those that it is not allowed."""

    passes, allowed = 0, True

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        if not self.allowed:
            raise RuntimeError("this model may not run")
        return super().forward(x)


def session(heads: bool) -> tuple[ialgebra.Session, list[Stoppable]]:
    """Two models, probed if they are to have heads, and what the queries above name."""
    con, models = ialgebra.connect(progress=False), []
    for name in ("f", "g"):
        models.append(Stoppable(OrderedDict(worlds.network("image").named_children())))
        con.register_model(name, models[-1], classes=["cat", "dog", "yak"])
        if heads:
            worlds.with_random_heads(con, name, worlds.sample("image", torch.float32))
    for name in ("x", "x'"):
        con.register_input(name, worlds.sample("image", torch.float32), players="grid(2, 2)")
    con.register_input("photos", worlds.sample("image", torch.float32, count=3), labels=["cat", "dog", "yak"])
    con.register_window("w", "row < 3")
    if heads:
        con.sql("create view v as select * from f(x)")
        con.sql("create view ranked as select 2 from f(photos) having prediction = 1 order by index")
    return con, models


def told(text: str, con: ialgebra.Session, classes: tuple[int | None, ...]) -> tuple[Bound, list[Unknown]]:
    """A query that is bound by the language alone, told these classes of each input; and what it was told of."""
    (query,) = reader.parse(text)
    answers: dict[Unknown, Told] = {}
    while True:
        try:
            return bind(query, text, con._catalog, (), answers), list(answers)
        except NotKnownYet as stopped:
            unknown = stopped.unknown
        if isinstance(unknown, UnknownScores):
            answers[unknown] = [float(source.index or 0) for _ in unknown.scores for source in unknown.inputs]
            continue
        assert isinstance(unknown, UnknownPredictions)
        answers[unknown] = [classes[source.index or 0] for source in unknown.identity.inputs]


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_whose_models_are_known_is_bound_without_a_run_of_them(text):
    con, models = session(heads=True)
    for model in models:
        model.allowed = False
    before = [model.passes for model in models]
    bound, _ = told(text, con, (None, None, None))
    assert bound.maps
    assert [model.passes for model in models] == before
    if " having prediction" not in text and "ranked" not in text:
        with pytest.raises(ModelError, match="this model may not run"):
            con.sql(text)


def test_random_queries_of_the_grammar_are_bound_without_a_run():
    con = grammar.session()

    def stop(module: nn.Module, arguments: object) -> None:
        raise RuntimeError("no model may run")

    for name in ("f", "f'", "g"):
        con._catalog.model(name).module.register_forward_pre_hook(stop)
    count = 0
    for seed in range(150):
        text = grammar.Grammar(random.Random(seed)).query_text()
        try:
            bound, _ = told(text, con, (None,) * 9)
        except (BindError, BudgetError, ShapeError):  # and no ModelError
            continue
        count += bool(bound.maps)
    assert count > 75


def test_binding_stops_at_a_model_through_which_no_row_went_and_names_the_input_of_the_query():
    con, (f, g) = session(heads=False)
    text = "select * from f(x) join g(photos)"
    (query,) = reader.parse(text)
    for expected in (UnprobedModel("f", "x"), UnprobedModel("g", "photos")):
        with pytest.raises(NotKnownYet) as stopped:
            bind(query, text, con._catalog)
        assert stopped.value.unknown == expected
        con._catalog.model(expected.model).probe(con._catalog.input(expected.input).elements[0].tensor)
    assert [f.passes, g.passes] == [1, 1]
    assert bind(query, text, con._catalog).maps == binding.bind(query, text, con._catalog).maps
    assert [f.passes, g.passes] == [1, 1]


def test_what_is_wrong_before_a_model_is_needed_is_said_before_the_model_is_run():
    con, (f, g) = session(heads=False)
    with pytest.raises(BindError, match="unknown input 'z'"):
        con.sql("select * from f(z) join g(x)")
    assert [f.passes, g.passes] == [0, 0]
    with pytest.raises(BindError, match="unknown input 'z'"):
        con.sql("select * from f(x) join g(z)")
    assert [f.passes, g.passes] == [3, 0], "one tells the layers, two whether it looks at rows alone"


def test_a_model_that_fails_is_an_error_at_the_input_that_it_fails_on():
    con, (f, _) = session(heads=False)
    f.allowed = False
    with pytest.raises(ModelError, match="this model may not run") as failed:
        con.sql("select * from g(x) join f(photos)")
    assert (failed.value.line, failed.value.column) == (1, 27)


def test_predictions_that_binding_is_told_choose_the_elements():
    con, _ = session(heads=True)
    text = "select * from (select 2 from f(photos) having prediction = 'dog') join g(x)"
    bound, asked = told(text, con, (1, 0, 1))
    assert [type(each) for each in asked] == [UnknownPredictions]
    (plan,) = (each.plan for each in bound.maps)
    assert [[source.index for source in leaf.inputs] for leaf in leaves(plan)] == [[0, 2], [None]]
    with pytest.raises(BindError, match="no element is left"):
        told(text, con, (0, 0, 2))
