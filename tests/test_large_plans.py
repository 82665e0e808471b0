"""Plans of a thousand operators: planned in time that grows with their length, and answered rightly; and texts of a few
words that stand for more than can be planned.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

import ialgebra
from ialgebra import BindError, BudgetError
from ialgebra.answering import binding as binder
from ialgebra.language import reader
from ialgebra.planner.check import MOST
from ialgebra.planner.laws import LAWS
from ialgebra.planner.rewrite import normalise
from tests import worlds

MANY = 1000
LIMIT = 40.0  # seconds of this process; each takes one or two on a machine of its own


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        yield


@pytest.fixture
def con() -> ialgebra.Session:
    return worlds.case("image", seed=1).con


def seconds(act) -> float:
    before = time.process_time()
    act()
    return time.process_time() - before


def weighted(count: int) -> str:
    """A left-deep chain of different operands, each join with a weight."""
    return "select * from f(x, target => 1)" + "".join(
        f" join f(x, target => 1, baseline => {k % 7}) on weight = 0.{1 + k % 9}" for k in range(count)
    )


def test_a_weighted_chain_of_a_thousand_joins_is_its_weighted_sum(con):
    maps = {k: con.sql(f"select * from f(x, target => 1, baseline => {k})")[0].map for k in range(7)}
    shares = dict.fromkeys(maps, Fraction(0))
    shares[0] = Fraction(1)
    for k in range(MANY):
        weight = Fraction(1 + k % 9, 10)
        shares = {name: weight * share for name, share in shares.items()}
        shares[k % 7] += 1 - weight
    expected = sum(float(share) * maps[k] for k, share in shares.items())
    text = weighted(MANY)
    for strategy in ("BEST", "AS_WRITTEN"):
        before = time.process_time()
        (answer,) = con.sql(text, strategy=strategy)
        assert time.process_time() - before < LIMIT
        assert worlds.close(answer.map, expected, 1e-9)


def test_a_uniform_chain_of_a_thousand_operands_is_their_mean(con):
    names = ["f(x, target => 1)", "f(x', target => 1)", "g(y, target => 1)", "f(y, target => 1)"]
    counts = [MANY // 2, MANY // 4, MANY // 8, MANY - MANY // 2 - MANY // 4 - MANY // 8]
    operands = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    answers = []
    assert seconds(lambda: answers.extend(con.sql("select 2 from " + " join ".join(operands)))) < LIMIT
    maps = [con.sql(f"select 2 from {name}")[0].map for name in names]
    expected = sum(count * map_ for count, map_ in zip(counts, maps, strict=True)) / MANY
    assert worlds.close(answers[0].map, expected, 1e-9)


def test_windows_of_a_thousand_parts_are_their_intersection(con):
    parts = [f"row < {5 + k}" for k in range(MANY // 2)] + [f"not col = {6 + k}" for k in range(MANY // 2)]
    text = "select * from f(x) where " + " and ".join(parts)
    answers = []
    assert seconds(lambda: answers.extend(con.sql(text))) < LIMIT
    (expected,) = con.sql("select * from f(x) where row < 5")
    assert np.array_equal(answers[0].players, expected.players)
    assert worlds.close(answers[0].map, expected.map, 1e-12)


def test_a_select_list_of_a_thousand_items_is_answered_in_its_order(con):
    layers = [1 + k % 7 for k in range(MANY)]
    answers = []
    assert seconds(lambda: answers.extend(con.sql(f"select {', '.join(map(str, layers))} from f(x)"))) < LIMIT
    own = {layer: con.sql(f"select {layer} from f(x)")[0].map for layer in range(1, 8)}
    assert len(answers) == MANY
    assert all(worlds.close(answer.map, own[layer], 1e-12) for answer, layer in zip(answers, layers, strict=True))


def test_explain_of_a_large_plan_stays_readable(con):
    for text in (weighted(MANY), "select * from " + " left join ".join(["f(x)", "f(x')"] * 35)):
        said = []
        assert seconds(lambda text=text, said=said: said.append(con.explain(text))) < LIMIT
        assert len(said[0]) < 100_000
        assert "…" in said[0]


def test_planning_a_chain_takes_time_in_proportion_to_its_length(con):
    """Steps of rewriting and sums passed through, rather than seconds: flattened from the inside, a chain of n joins
    would pass through joins of 2, 3, … n operands."""

    def work(count: int) -> int:
        text = weighted(count)
        (wanted,) = binder.bind(reader.parse(text)[0], text, con._catalog).maps
        _, steps = normalise(wanted.plan, LAWS)
        return sum(len(step.after.operands) for step in steps)

    assert work(400) < 2 * 400 + 100
    assert work(400) <= 4 * work(100) + 100


# --- small texts of large meaning


def doubling(con: ialgebra.Session, count: int) -> None:
    con.sql("create view v0 as select * from f(x)")
    for k in range(1, count):
        con.sql(f"create view v{k} as select * from v{k - 1} join v{k - 1}")


def test_views_that_double_each_other_are_bound_at_once_and_refused_when_they_are_too_large(con):
    assert seconds(lambda: doubling(con, 45)) < LIMIT, "2^44 operands are not bound one by one"
    (answer,) = con.sql("select * from v10")
    assert worlds.close(answer.map, con.sql("select * from f(x)")[0].map, 1e-12), "p ⋈ p = p"
    for ask in (con.explain, con.sql):
        with pytest.raises(BudgetError, match=rf"stands for {2**44:,} maps .* the most is {MOST:,}"):
            ask("select * from v44")


def test_an_antijoin_of_very_many_inputs_is_refused(con):
    text = "select * from " + " left join ".join(["f(x)", "f(x')"] * (MANY // 2))
    with pytest.raises(BudgetError, match=f"stands for {MANY * (MANY - 1):,} maps"):
        con.explain(text)
    small = con.sql("select * from " + " left join ".join(["f(x)", "f(x')"] * 4))
    pair = con.sql("select * from f(x) left join f(x')")
    for number, answer in enumerate(small):  # three of the seven others are the same input, and say nothing
        assert worlds.close(answer.map, pair[number % 2].map * 4 / 7, 1e-9)


def test_views_that_read_one_another_are_bound_to_any_legal_depth_and_refused_beyond(con):
    con.sql("create view w0 as select * from f(x)")
    for k in range(1, 50):
        con.sql(f"create view w{k} as select * from w{k - 1} where row < {10 + k}")
    assert worlds.close(con.sql("select * from w49")[0].map, con.sql("select * from f(x)")[0].map, 1e-12)
    with pytest.raises(BindError, match="views are nested too deeply: at most 50 read one another"):
        con.sql("create view w50 as select * from w49; create view w51 as select * from w50")


def test_an_error_deep_in_views_names_the_one_at_fault(con):
    con.sql("create view a as select * from f(x) where w; create view b as select * from a")
    con.sql("create view c as select * from b")
    con.sql("drop window w")
    with pytest.raises(BindError, match=r"^in view 'a': unknown window 'w'"):
        con.sql("select * from c")


def test_views_that_were_made_to_read_each_other_are_refused(con):
    con.sql("create view a as select * from f(x); create view b as select * from a join a")
    with pytest.raises(BindError, match="view 'a' is defined by itself"):
        con.sql("create or replace view a as select * from b")
    assert con.sql("select * from b")[0].values.any()


def test_a_view_read_twice_stands_under_the_options_of_each_place(con):
    """A view is expanded once for each method and budget that it is read under."""
    con.sql("create view v as select * from f(x, players => pixels)")
    text = "select * from (select * from v using permutations() budget 80) join (select * from v budget 200)"
    plan = con.explain(text)
    assert "72 coalitions, permutations" in plan
    assert "200 coalitions, regression" in plan
