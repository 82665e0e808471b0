"""Answers to a bound: ERROR WITHIN, WITHIN t SECONDS, BUDGET and their combinations, and the stream of rounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import ialgebra
from ialgebra import BindError, Strategy

PHOTO = np.load(Path(__file__).parent / "data" / "lite0_chelsea_3x4.npz")["logits"][:, 0].astype(np.float64)
PLAYERS = 12


def shapley(values: np.ndarray) -> np.ndarray:
    """Eq. 2 by enumeration; row i of `values` is the coalition whose members are the bits of i."""
    coalitions = np.arange(len(values))
    sizes = np.array([int(each).bit_count() for each in coalitions])
    result = []
    for player in range(PLAYERS):
        without = coalitions[(coalitions >> player) & 1 == 0]
        gains = values[without | (1 << player)] - values[without]
        result.append(np.mean([gains[sizes[without] == size].mean() for size in range(PLAYERS)]))
    return np.array(result)


def session(model: Callable[[Tensor], Tensor] | None = None, **options: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("g", model or table, **options)
    con.register_input("x", torch.ones(PLAYERS))
    return con


def table(batch: Tensor) -> Tensor:
    rows = (batch.round().long() * 2 ** torch.arange(PLAYERS)).sum(dim=1)
    return torch.from_numpy(PHOTO)[rows][:, None]


def error_of(relation: ialgebra.Relation) -> float:
    truth = shapley(PHOTO)
    return float(np.linalg.norm(relation[0].values - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("percent", [20, 10, 5])
def test_an_error_bound_holds_as_often_as_its_confidence_says(percent):
    text = f"select * from g(x) error within {percent}% at confidence 95%"
    answers = [session().sql(text, seed=seed) for seed in range(60)]
    assert all(answer.stats.bound_met for answer in answers)
    assert np.mean([error_of(answer) <= percent / 100 for answer in answers]) >= 0.93


def test_a_tighter_bound_takes_more_rows_and_a_looser_confidence_fewer():
    rows = [session().sql(f"select * from g(x) error within {bound}").stats.rows for bound in ("20%", "10%", "5%")]
    assert rows == sorted(rows)
    assert rows[0] < rows[2]
    sure, unsure = (
        session().sql(f"select * from g(x) error within 5% at confidence {c}%").stats.rows for c in (99, 60)
    )
    assert unsure < sure


def test_a_bound_is_never_believed_on_one_round():
    rounds = list(session().stream("select * from g(x) error within 90% at confidence 50%"))
    assert [each.stats.bound_met for each in rounds] == [False, True]


def test_a_bound_that_the_budget_cannot_meet_is_said_and_so_is_the_error_reached():
    answer = session().sql("select * from g(x) budget 100 error within 1%")
    assert answer.stats.rows == 100
    assert not answer.stats.bound_met
    assert 0.01 < answer[0].relative_error < 1
    assert "not reached" in answer.text


def test_an_exact_answer_meets_every_bound():
    answer = session().sql("select * from g(x) where feature < 6 error within 0.001%")
    assert answer.stats.bound_met
    assert answer[0].relative_error == 0
    assert answer.stats.rows <= 2**6 + 1


def test_every_map_of_a_query_is_within_the_bound():
    con = session()
    con.register_model("h", lambda batch: table(batch) + 20 * torch.randn(len(batch), 1))
    easy = session().sql("select * from g(x) error within 20%").stats.rows
    both = con.sql("select * from g(x) join h(x) budget 400 error within 20%")
    assert both.stats.rows > 2 * easy


def test_a_stream_ends_with_the_answer_of_sql_bit_for_bit_and_pays_for_no_row_twice():
    for text in ("select * from g(x)", "select * from g(x) error within 10%", "select * from g(x) budget 300"):
        whole = session().sql(text)
        rounds = list(session().stream(text))
        assert np.array_equal(rounds[-1][0].values, whole[0].values)
        assert np.array_equal(rounds[-1][0].stderr, whole[0].stderr)
        assert rounds[-1].stats.rows == whole.stats.rows
        assert len(rounds) >= 2
        assert rounds[0].stats.rows <= 8 * PLAYERS
        assert [each.stats.rows for each in rounds] == sorted({each.stats.rows for each in rounds})


def test_strategies_that_reuse_nothing_still_refine_on_their_own_rows():
    text = "select * from g(x) error within 10%"
    con = session()
    first = con.sql(text, strategy=Strategy.FUSED)
    again = con.sql(text, strategy=Strategy.FUSED)
    assert first.stats.rows == again.stats.rows == session().sql(text).stats.rows
    assert again.stats.reused_rows == 0
    assert con.sql(text).stats.rows == first.stats.rows  # BEST finds nothing of theirs in the session
    assert con.sql(text).stats.rows == 0


@pytest.mark.parametrize("milliseconds", [0, 100, 300])
def test_time_is_overrun_by_one_batch_at_most(milliseconds):
    a_row, batch = 0.004, 8

    def slow(inputs: Tensor) -> Tensor:
        time.sleep(a_row * len(inputs))
        return table(inputs)

    con = session(slow, batch_size=batch)
    con.sql("select * from g(x) budget 2")
    started = time.perf_counter()
    answer = con.sql(f"select * from g(x) budget 2000 error within 0.1% within {milliseconds} milliseconds")
    assert time.perf_counter() - started <= milliseconds / 1000 + a_row * batch + 0.3  # planning and estimation
    assert answer.stats.rows <= milliseconds / 1000 / a_row + batch
    assert not answer.stats.bound_met
    assert answer[0].values.sum() == pytest.approx(PHOTO[-1] - PHOTO[0], rel=1e-6)
    if milliseconds == 0:
        assert math.isinf(answer[0].relative_error)


def test_a_time_bound_that_was_overrun_is_said():
    answer = session().sql("select * from g(x) within 0 seconds")
    assert not answer.stats.bound_met
    assert math.isinf(answer[0].relative_error)


def test_a_query_that_is_quick_enough_is_answered_whole():
    answer = session().sql("select * from g(x) within 20 seconds")
    assert answer.stats.bound_met
    assert np.array_equal(answer[0].values, session().sql("select * from g(x)")[0].values)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("select * from (select * from g(x) error within 5%) join g(x)", "5%"),
        ("select * from (select * from g(x) within 5 seconds)", "5"),
        ("create view v as select * from g(x) within 5 seconds", "5"),
        ("select * from g(x) error within 0%", "0%"),
        ("select * from g(x) error within 5% at confidence 100%", "100%"),
    ],
)
def test_bounds_that_mean_nothing_are_errors_at_their_own_word(text, word):
    with pytest.raises(BindError) as caught:
        session().sql(text)
    assert text[caught.value.column - 1 :].startswith(word)


def test_a_plain_statement_cannot_be_streamed():
    with pytest.raises(BindError, match="only one query"):
        list(session().stream("show models"))
