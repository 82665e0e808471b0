"""Printing a plan gives text that binds to the same plan."""

import random

import numpy as np
import pytest
import torch

from ialgebra.algebra.operators import AntiJoin, Identity, Operator, Projection, Selection, leaves
from ialgebra.answering.binding import bind
from ialgebra.catalog.catalog import Catalog
from ialgebra.language import reader, tree
from ialgebra.language.printer import to_sql
from ialgebra.planner.rewrite import normalise
from ialgebra.session.session import Session


@pytest.fixture(scope="module")
def con():
    with Session(progress=False) as con:
        module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        con.register_model("f", module, classes=["cat", "dog", "eel"])
        con.register_model("f'", module)
        rng = np.random.default_rng(0)
        for name in ("x", "x'", "y z"):
            con.register_input(name, rng.normal(size=6).astype(np.float32))
        con.register_input("xs", rng.normal(size=(4, 6)).astype(np.float32))
        con.register_window("w", [True, False, True, True, False, True])
        con.register_window("v", "value > 0.25 or feature in (1, 3)")
        con.fit_heads("f", torch.randn(32, 6))
        con.fit_heads("f'", torch.randn(32, 6))
        yield con


def plan_of(text: str, catalog: Catalog) -> Operator:
    (statement,) = reader.parse(text)
    assert isinstance(statement, tree.Query)
    return bind(statement, text, catalog).maps[0].plan


EDITED = [
    "nullify(x, w and value > 0.1, baseline => 0.5)",
    "noise(clip(x', -1e-3, 1e30), 0.1, 3)",
    'substitute("y z", not v, nullify(x, feature in (1, 2), baseline => mean(xs)))',
    'nullify(x, true, baseline => clip("y z", 0, 1))',
]


def random_query(rng: random.Random, depth: int = 2, join: str | None = None, top: int = 3) -> str:
    """A query of the language: layers never deeper outside than inside, no mixture of joins."""
    layer = rng.choice([None, *range(1, top + 1)])
    below = layer and rng.randint(layer, 3)
    operands = []
    kind = join if join is not None else rng.choice(["", "", "join", "left join"])
    count = rng.randint(2, 3) if kind else 1
    for _ in range(count):
        if depth and rng.random() < 0.4:
            inner = kind if kind == "join" else ""
            inner_top = 3 if layer is None else below
            text = random_query(rng, depth - 1, inner, inner_top)
            operands.append(f"({text})" if layer is None else f"({at_least(text, layer)})")
        else:
            options = ["", ", target => dog", ", baseline => 0.5", ", output => 'probability'", ", baseline => xs"]
            name = rng.choice(["x", "x'", '"y z"', *EDITED] if rng.random() < 0.5 else ["x", "x'", '"y z"'])
            operands.append(f"f({name}{rng.choice(options)})")
    weighted = kind == "join" and rng.random() < 0.5
    glue = f" {kind} "
    text = operands[0] + "".join(
        f"{glue}{operand}" + (f" on weight = {rng.choice([0, 0.25, 0.3, 0.5, 1])}" if weighted else "")
        for operand in operands[1:]
    )
    where = rng.choice(["", "", " where w", " where v and not w", " where value < 1 and feature between 1 and 4"])
    return f"select {layer or '*'} from {text}{where}"


def at_least(query: str, layer: int) -> str:
    """The query with its outermost layer no earlier than `layer`, so that a selection over it is defined."""
    _, item, rest = query.split(" ", 2)
    return f"select {item if item == '*' else max(int(item), layer)} {rest}"


def test_text_printed_from_a_plan_binds_to_the_same_plan(con):
    rng = random.Random(3)
    catalog = con._catalog
    kinds = set()
    for _ in range(300):
        plan = plan_of(random_query(rng), catalog)
        printed = to_sql(plan)
        assert plan_of(printed, catalog) is plan, printed
        kinds.add(type(plan))
    assert {Identity, Projection, Selection, AntiJoin} <= kinds


def test_text_printed_from_a_normal_form_binds_to_the_same_normal_form(con):
    rng = random.Random(4)
    catalog = con._catalog
    for _ in range(200):
        text = random_query(rng)
        if "0.3" in text or " join " in text.replace("left join", ""):
            continue  # the shares of a flattened join are fractions that decimals only approach
        normal, _ = normalise(plan_of(text, catalog))
        again, _ = normalise(plan_of(to_sql(normal), catalog))
        assert again is normal, to_sql(normal)


@pytest.mark.parametrize(
    "text",
    [
        "select * from f(x) using exact()",
        "select * from f(x) using permutations() budget 40",
        "select 1 from f(x) left join f(x') using shapley(contrast => 'literal')",
        "select * from f(x) left join f'(x) using exact(contrast => 'literal')",
        "select * from (select * from f(x) budget 12) join (select * from f(x') using exact())",
        "select * from f(xs, baseline => mean(xs)) join f(x)",
    ],
)
def test_methods_budgets_and_contrasts_survive_printing(con, text):
    plan = plan_of(text, con._catalog)
    assert plan_of(to_sql(plan), con._catalog) is plan, to_sql(plan)


def test_every_option_is_written_out_so_that_the_text_depends_on_no_default(con):
    plan = plan_of("select * from f(x)", con._catalog)
    try:
        con.sql("set output = probability; set baseline = 3; set budget = 100")
        assert plan_of("select * from f(x)", con._catalog) is not plan
        printed = plan_of(to_sql(plan), con._catalog)
        assert leaves(printed)[0].baselines == leaves(plan)[0].baselines
        assert leaves(printed)[0].output == "logit"
    finally:
        con.sql("set output = default; set baseline = default; set budget = default")
