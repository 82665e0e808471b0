"""What the strategies draw is what the engine understands, and means what they say it means."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ialgebra
from ialgebra.algebra.kinds import columns_of
from ialgebra.algebra.labelling import labels
from ialgebra.algebra.operators import Operator
from ialgebra.algebra.windows import Window, evaluate
from ialgebra.answering import binding as binder
from ialgebra.catalog.catalog import Catalog
from ialgebra.language import reader
from ialgebra.language.bind import options
from ialgebra.language.bind.predicates import bind_window
from ialgebra.planner.check import check
from ialgebra.planner.graph import PlanGraph
from ialgebra.testing import definition, registered, strategies
from ialgebra.testing.plans import query
from tests import oracle

KINDS = ("image", "tabular", "tokens")
usual = settings(max_examples=15, deadline=None, database=None, derandomize=True,
                 suppress_health_check=list(HealthCheck))  # fmt: skip


@usual
@given(st.data(), st.sampled_from(KINDS))
def test_windows_hold_where_the_engine_says_they_do(data, kind):
    x, window = data.draw(strategies.inputs(kind)), data.draw(strategies.windows(kind))
    bound = bind_window(reader.parse_predicate(str(window)), {}, kind)
    found = np.broadcast_to(evaluate(bound, columns_of(kind, x.numpy())), x.shape)
    assert np.array_equal(window.holds(definition.columns(x)), found), str(window)


@usual
@given(st.data(), st.sampled_from(KINDS))
def test_players_are_those_of_the_engine(data, kind):
    x, window = data.draw(strategies.inputs(kind)), data.draw(strategies.windows(kind))
    players = data.draw(strategies.players(kind))
    bits = window.holds(definition.columns(x))
    bound = options.bind_players(reader.parse_value(str(players)), Catalog())
    found = labels(bound, kind, x.numpy(), bits, lambda source: np.zeros(0))
    assert np.array_equal(players.divide(bits), np.broadcast_to(found, x.shape))


@usual
@given(st.data(), st.sampled_from(KINDS))
def test_models_queries_and_inputs_fit_together(data, kind):
    con = ialgebra.connect(progress=False)
    con.register_model("f", data.draw(strategies.models(kind)))
    for name in ("x", "y"):
        con.register_input(name, data.draw(strategies.inputs(kind)))
    plans = strategies.plans(strategies.calls(players=strategies.players(kind)), windows=strategies.windows(kind))
    text = data.draw(strategies.queries(plans, ["using exact()"]))
    for answer in con.sql(text):
        assert answer.map.shape == strategies.SHAPES[kind]
        assert not answer.stderr.any()


def test_plans_are_defined():
    con = ialgebra.connect(progress=False)
    con.register_model("f", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Tanh(), torch.nn.Linear(72, 3)))
    for name in ("x", "y"):
        con.register_input(name, torch.randn(2, 6, 6))
    con.fit_heads("f", torch.randn(8, 2, 6, 6))

    @usual
    @given(strategies.plans(layers=(1, 2, 3), windows=strategies.windows()))
    def planned(plan):
        (statement,) = reader.parse(text := query(plan))
        for each in binder.bind(statement, text, con._catalog).maps:
            check(PlanGraph([each.plan]))

    planned()


@usual
@given(st.data())
def test_the_enumeration_is_that_of_the_papers_equations(data):
    """Two implementations by two routes: this package's and the tests' own."""
    model = data.draw(strategies.models("image", dtype=torch.float64))
    x, y = (data.draw(strategies.inputs("image", dtype=torch.float64)) for _ in range(2))
    window = data.draw(strategies.windows("image"))
    call = data.draw(strategies.calls(players=strategies.players("image", most=4), targets=[1], baselines=["y"]))
    net = definition.Net(model, {}, None, torch.device("cpu"))
    ground = definition.Ground(net, {"x": [x], "y": [y]}, {name: [torch.zeros_like(x)] for name in ("x", "y")})
    ((game,),) = definition.parts(strategies.Where(window, call), ground)
    baseline = y if call.baseline else torch.zeros_like(x)
    own = {"x": x, "y": y}[call.input]
    divided = call.players.divide(window.holds(definition.columns(own)))
    score = oracle.Net(model).score(game.target, call.output)
    expected = oracle.attribution(score, own, baseline, divided)
    assert np.allclose(definition.enumerated(game, net), expected, rtol=1e-9, atol=1e-12)


@given(st.data())
@usual
def test_hypothesis_draws_windows_and_operators_by_their_types(data):
    registered.register()
    assert isinstance(data.draw(st.from_type(Window)), Window)
    for kind in get_args(Operator):
        plan = data.draw(st.from_type(kind))
        assert isinstance(plan, kind)
        check(PlanGraph([plan]))


def test_importing_hypothesis_does_not_import_torch():
    """Whoever has this package installed imports hypothesis as quickly as before."""
    program = "import ialgebra.testing.registered as r, sys; r.register(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_entry_point_is_declared():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    module, name = text.split('[project.entry-points.hypothesis]\nialgebra = "')[1].split('"')[0].split(":")
    assert getattr(pytest.importorskip(module), name) is registered.register


def test_strategies_may_be_imported_after_the_package_is_in_use():
    """hypothesis loads its plugin, which is in the same package, when it is first imported."""
    script = "import ialgebra; ialgebra.Session; from ialgebra.testing import strategies"
    subprocess.run([sys.executable, "-c", script], check=True)
