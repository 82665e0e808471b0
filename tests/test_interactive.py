"""Interactive queries: a coarse map first, then a map after every batch, and in the end what `sql` answers.

Models compute with whole numbers, so that rows are the same bits in every batch; where it matters that they are not, a
model tells how many rows came with a row. Right values of coarse maps are counted out here, coalition by coalition.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import wait
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy, Tempo
from ialgebra.planner.coarse import halved
from ialgebra.planner.tempo import INTERACTIVE
from ialgebra.session.submitted import Submitted
from tests.test_submit import PATIENCE, Net, bits
from tests.unread import Unread


class Picture(nn.Module):
    """Whole numbers: a product of two quarters, and sums with saturation elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randint(-3, 4, (64, 6), generator=generator).double())
        self.last = nn.Parameter(torch.randint(-3, 4, (6, 2), generator=generator).double())
        self._seen, self._sizes = Unread(0), Unread(())

    def forward(self, batch: Tensor) -> Tensor:
        self._seen.value += len(batch)
        self._sizes.value = (*self._sizes.value, len(batch))
        return torch.relu(batch.flatten(1) @ self.weight) @ self.last

    @property
    def rows(self) -> int:
        return self._seen.value

    @property
    def sizes(self) -> tuple[int, ...]:
        return self._sizes.value


X = torch.randint(1, 9, (1, 8, 8), generator=torch.Generator().manual_seed(2)).double()


def session(net: nn.Module, batch_size: int | None = None) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", net, example=torch.zeros_like(X))
    con.register_input("x", X)
    con.sql("select * from f(x) budget 4")
    if batch_size is not None:
        con.sql(f"set batch_size = {batch_size}")
    return con


def asked(con: ialgebra.Session, text: str) -> list[ialgebra.Relation]:
    """Every answer that comes, also those that a reader would be too slow for."""
    found: list[ialgebra.Relation] = []
    tell = Submitted._tell

    def kept(submitted: Submitted) -> None:
        if submitted._latest is not None and submitted._latest not in found:
            found.append(submitted._latest)
        tell(submitted)

    with mock.patch.object(Submitted, "_tell", kept):
        submitted = con.submit(text, interactive=True)
        assert bits(submitted.result(PATIENCE)) == bits(found[-1])
    return found


def stages(answers: list[ialgebra.Relation]) -> list[object]:
    return [each.provenance["stage"] for each in answers]


def shapley(value, players: int) -> np.ndarray:
    """Eq. 2 by counting out."""
    found = np.zeros(players)
    for player in range(players):
        others = [each for each in range(players) if each != player]
        for size in range(players):
            share = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for some in itertools.combinations(others, size):
                found[player] += share * (value({*some, player}) - value(set(some)))
    return found


SIXTEEN = "select * from f(x, target => 0, players => grid(4, 4))"
TEXT = "select * from f(x, target => 0, players => grid(3, 4))"


def test_the_first_map_is_the_exact_one_of_four_quarters():
    net = Picture()
    coarse, *_ = asked(session(net, 64), SIXTEEN)
    assert stages([coarse]) == ["coarse"]
    (only,) = coarse

    def value(quarters: set[int]) -> float:
        kept = torch.zeros_like(X)
        for quarter in quarters:
            top, left = divmod(quarter, 2)
            place = slice(4 * top, 4 * top + 4), slice(4 * left, 4 * left + 4)
            kept[(0, *place)] = X[(0, *place)]
        return float(net(kept[None])[0, 0].detach())

    assert np.allclose(only.values, shapley(value, 4), rtol=0, atol=1e-9)
    assert not only.stderr.any()
    corners = only.players[0][[0, 0, 7, 7], [0, 7, 0, 7]].tolist()
    assert corners == [0, 1, 2, 3]
    assert [only.players[0][:4, :4].min(), only.players[0][:4, :4].max()] == [0, 0]


def test_every_batch_gives_a_map_and_the_last_is_that_of_sql():
    net = Picture()
    con = session(net, 32)
    answers = asked(con, TEXT)
    plain = session(Picture()).sql(TEXT)
    assert bits(answers[-1]) == bits(plain)
    assert stages(answers)[0] == "coarse"
    assert set(stages(answers)[1:-1]) == {"partial"}
    assert stages(answers)[-1] == "whole"
    rows = [each.stats.rows for each in answers]
    assert rows == sorted(rows)
    assert max(np.diff(rows[1:])) <= 32
    assert len(answers) >= 384 / 32
    errors = [each[0].relative_error for each in answers[1:]]
    assert errors[0] > errors[len(errors) // 2] > errors[-1]
    truth = con.sql(TEXT + " using exact()")[0].values
    off = [np.linalg.norm(each[0].values - truth) for each in answers[1:]]
    assert off[-1] < off[0]
    assert len(answers[1][0].values) == 12


def test_no_row_is_paid_twice_and_a_coarse_row_is_a_row_of_the_finer_game():
    net = Picture()
    con = session(net, 8)
    before = net.rows, sum(len(table.rows) for table in con._store.tables.values())
    text = "select * from f(x, target => 0, players => grid(2, 4))"
    answers = asked(con, text)
    stats = answers[-1].stats
    assert stages(answers)[0] == "coarse"
    assert stats.rows + stats.reused_rows >= 256
    known = sum(len(table.rows) for table in con._store.tables.values()) - before[1]
    assert stats.rows == known <= 256
    assert bits(answers[-1]) == bits(session(Picture()).sql(text))
    assert all(each[0].method.startswith("regression") for each in answers[1:-1])
    assert answers[-1][0].method == "exact"


def test_a_budget_is_kept_and_its_rows_are_those_of_sql():
    net = Picture()
    con = session(net, 8)
    answers = asked(con, TEXT + " budget 96")
    assert "coarse" not in stages(answers), "its rows would be beyond the budget"
    assert answers[-1].stats.rows + answers[-1].stats.reused_rows == 96
    assert bits(answers[-1]) == bits(session(Picture()).sql(TEXT + " budget 96"))


@pytest.mark.parametrize("text", [TEXT + " error within 30%", TEXT + " error within 12% at confidence 80%"])
def test_bounds_are_met_at_the_rounds_of_sql(text):
    answers = asked(session(Picture(), 8), text)
    plain = session(Picture()).sql(text)
    assert bits(answers[-1]) == bits(plain)
    assert answers[-1].stats.bound_met == plain.stats.bound_met
    assert not any(each.stats.bound_met for each in answers[:-1] if each.provenance["stage"] == "partial")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (TEXT.replace("select *", "select * as a"), {"coarse", "partial", "whole"}),
        (TEXT + " where row < 4", {"coarse", "partial", "whole"}),
        ("select * from f(x, players => tile(8))", {"whole"}),
        (TEXT + " using permutations() budget 40", {"whole"}),
        (TEXT + " using banzhaf()", {"whole"}),
    ],
)
def test_queries_of_other_forms_end_as_sql_ends(text, kinds):
    answers = asked(session(Picture(), 8), text)
    assert set(stages(answers)) == kinds
    assert bits(answers[-1]) == bits(session(Picture()).sql(text))


@pytest.mark.parametrize(
    "text", ["select * from f(x)", "select * from f(x) anti join f(y)", "select * from f(x) join f(y)"]
)
def test_other_kinds_have_coarse_maps_too(text):
    def opened() -> ialgebra.Session:
        con = ialgebra.connect(progress=False)
        generator = torch.Generator().manual_seed(3)
        con.register_model("f", Net(), example=torch.zeros(8).double())
        for name in ("x", "y"):
            con.register_input(name, torch.randint(1, 9, (8,), generator=generator).double())
        return con

    con = opened()
    con.sql("set batch_size = 8")
    answers = asked(con, text)
    assert stages(answers)[0] == "coarse"
    assert len(answers[0][0].values) in (4, 5), "a fifth block holds players that equal their background"
    assert bits(answers[-1]) == bits(opened().sql(text))
    assert math.isclose(answers[0][0].values.sum(), answers[-1][0].values.sum(), rel_tol=0, abs_tol=1e-9)


class Company(nn.Module):
    """Adds to each row a little for every row that came with it, as rounding does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Picture()

    def forward(self, batch: Tensor) -> Tensor:
        answer: Tensor = self.net(batch)
        return answer + len(batch) * 2.0**-40


def test_batches_are_filled_up_so_that_a_row_has_the_same_bits_whoever_asked_for_it():
    """Cancelled, coarse, in another order, in one process or another: the same maps, bit for bit."""
    texts = [TEXT, TEXT.replace("target => 0", "target => 1"), TEXT + " where row < 4", TEXT + " budget 100"]
    plain = session(Company(), 8)
    plain.sql("set tempo = interactive")
    alone = [bits(plain.sql(text)) for text in texts]
    other = session(Company(), 8)
    other.sql("set tempo = interactive")
    other.submit(texts[3]).cancel()
    found = [bits(other.submit(text).result(PATIENCE)) for text in reversed(texts)]
    assert found[::-1] == alone
    net = Company()
    con = session(net, 8)
    begun = len(net.net.sizes)
    asked(con, TEXT)
    assert set(net.net.sizes[begun:]) == {8}


def test_what_is_predicted_first_changes_no_bit_of_a_map():
    """PREDICT runs few whole inputs one by one, and not in filled batches."""
    plain, other = session(Company(), 8), session(Company(), 8)
    for con in (plain, other):
        con.sql("set tempo = interactive")
    before = other._catalog.model("f").module.net.rows
    other.sql("predict f from x")
    assert other._catalog.model("f").module.net.rows - before == 1
    assert bits(other.sql(TEXT)) == bits(plain.sql(TEXT))


def test_a_prediction_has_the_same_bits_whatever_was_asked_before():
    """Few inputs are run one by one, more in filled batches; each kind finds rows of its own kind only."""
    generator = torch.Generator().manual_seed(5)
    xs = torch.randint(1, 9, (11, 1, 8, 8), generator=generator).double()
    exact = Picture()(xs)[:, 1].detach().numpy()
    lone, filled = exact + 2.0**-40, exact + 8 * 2.0**-40
    few = [f"predict f(target => 1) from xs having index {which}" for which in ("= 3", "< 4")]
    right = {"predict f(target => 1) from xs": filled, few[0]: lone[3:4], few[1]: lone[:4]}
    right["predict f(target => 1) from xs having index < 5"] = filled[:5]
    right["predict f(target => 1) from xs having score(f, 1) > -1e9"] = filled
    for texts in itertools.permutations(right, 2):
        con = session(Company(), 8)
        con.register_input("xs", xs)
        con.sql("set tempo = interactive")
        for text in texts:
            told = con.sql(text).models[0].target_scores[:, 0]
            assert told.tobytes() == right[text].tobytes(), (texts, text)


def test_a_score_that_a_query_ranks_by_has_the_same_bits_whatever_was_predicted_before():
    generator = torch.Generator().manual_seed(5)
    xs = torch.randint(1, 9, (6, 1, 8, 8), generator=generator).double()
    text = "select * from f(xs) having score(f, 1) > -1e9 order by score(f, 1) limit 2 budget 40"
    found = []
    for before in ("predict f from xs having index < 3", "predict f from xs", "show models"):
        con = session(Company(), 8)
        con.register_input("xs", xs)
        con.sql("set tempo = interactive")
        con.sql(before)
        answer = con.sql(text)
        found.append((bits(answer), [each.scores for each in answer]))
    assert found[0] == found[1] == found[2]


def test_history_asks_again_at_the_same_tempo(tmp_path):
    con = session(Picture(), 8)
    answer = con.submit(TEXT + " budget 90", seed=3, interactive=True).result(PATIENCE)
    step = con.history[-1]
    assert step.strategy is not None
    assert step.strategy.tempo == INTERACTIVE
    assert bits(con.history.run(-1)) == bits(answer)
    text = con.history.export(tmp_path / "a.py").read_text()
    assert "tempo=ialgebra.Tempo(pilot=8, fewest=4, batch_seconds=0.125, coarse=16, maps=True, filled=True)" in text


def test_what_is_known_is_shown_at_once_and_asked_of_no_model():
    net = Picture()
    con = session(net, 8)
    asked(con, TEXT)
    rows = net.rows
    answers = asked(con, TEXT.replace("target => 0", "target => 1"))
    assert net.rows == rows
    assert stages(answers) == ["partial", "whole"]
    again = asked(con, TEXT)
    assert stages(again) == ["whole"], "the kept answer"


def test_a_pilot_is_a_matter_of_tempo():
    text = TEXT + " error within 1%"
    first = next(session(Picture()).stream(text))
    large = next(session(Picture()).stream(text, strategy=replace(Strategy.BEST, tempo=Tempo(pilot=12))))
    assert first.stats.rows + first.stats.reused_rows == 12 * 8
    assert large.stats.rows + large.stats.reused_rows == 12 * 12


@pytest.mark.parametrize(
    ("given", "said"),
    [({"pilot": 0}, "at least 1"), ({"batch_seconds": 0.0}, "more than 0 seconds"), ({"coarse": -1}, "at least 1")],
)
def test_an_impossible_tempo_is_refused(given, said):
    with pytest.raises(ialgebra.BindError, match=said):
        Tempo(**given)


def test_blocks_are_halves_along_the_longest_side():
    places = np.array([[row, col] for row in range(2) for col in range(8)], dtype=float)
    assert halved(places, 4).reshape(2, 8).tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]] * 2
    assert halved(np.arange(9.0)[:, None], 4).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert halved(np.arange(5.0)[:, None], 2).tolist() == [0, 0, 0, 1, 1]


def test_a_question_over_rows_of_one_that_was_cancelled_begins_with_all_of_them():
    net = Picture()
    con = session(net, 16)
    submitted = con.submit(TEXT, interactive=True)
    for relation in submitted.updates(PATIENCE):
        if relation.stats.rows >= 150:
            break
    submitted.cancel()
    wait([submitted], PATIENCE)
    known, rows = sum(len(table.rows) for table in con._store.tables.values()), net.rows
    first = next(iter(con.submit(TEXT.replace("target => 0", "target => 1"), interactive=True).updates(PATIENCE)))
    con.close()
    if first.stats.rows == 0:  # else the reader was late, and saw a later map
        assert first.provenance["stage"] == "partial"
        assert first.stats.reused_rows >= 0.8 * min(known, 150)
    assert rows >= 150
