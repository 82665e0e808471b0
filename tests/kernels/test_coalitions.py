"""Properties of designs: what is chosen, that rows are distinct and paired, that samples are fair and reproducible."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ialgebra.errors import BindError, BudgetError
from ialgebra.kernels import pairs as pairing
from ialgebra.kernels.coalitions import MAX_EXACT_PLAYERS, Chains, Pairs
from ialgebra.kernels.estimators.registry import choose, design


def codes(coalitions: np.ndarray) -> list[int]:
    return [sum(1 << int(i) for i in np.flatnonzero(row)) for row in coalitions]


@pytest.mark.parametrize(
    ("players", "budget", "expected"),
    [
        (0, None, ("exact", 1)),
        (1, None, ("exact", 2)),
        (2, None, ("exact", 4)),
        (10, None, ("exact", 1024)),
        (11, None, ("regression", 352)),
        (49, None, ("regression", 1568)),
        (100, None, ("regression", 2048)),
        (784, None, ("regression", 6272)),
        (12, 4096, ("exact", 4096)),
        (12, 10**9, ("exact", 4096)),
        (12, 4095, ("regression", 4094)),
        (12, 48, ("regression", 48)),
        (12, 47, ("permutations", 46)),  # two whole pairs: ∅ and N, 4 ends and their complements, 2 · 18 between
        (12, 24, ("permutations", 24)),
        (12, 23, ("permutations", 22)),  # one coarse pair of 11 blocks
        (12, 2, ("permutations", 2)),
        (3, 6, ("permutations", 6)),
        (3, 8, ("exact", 8)),
        (1, 2, ("exact", 2)),
        (25, 1 << 20, ("regression", 1 << 20)),
    ],
)
def test_default_choice_depends_on_players_and_budget(
    players: int, budget: int | None, expected: tuple[str, int]
) -> None:
    assert choose(players, budget) == expected


@pytest.mark.parametrize("method", ["permutations", "regression"])
@pytest.mark.parametrize("budget", [2, 30, 100, 5000, None])
def test_a_named_method_is_obeyed(method: str, budget: int | None) -> None:
    chosen, rows = choose(12, budget, method)
    assert chosen == method
    assert rows <= (budget or 384)
    assert choose(12, None, "exact") == ("exact", 4096)


def test_the_literal_contrast_never_gets_regression() -> None:
    assert choose(12, 1000, literal=True)[0] == "permutations"
    assert choose(12, None, literal=True)[0] == "permutations"
    assert choose(12, 4096, literal=True)[0] == "exact"
    with pytest.raises(BudgetError, match="regression cannot give the literal contrast's two parts; use exact or"):
        choose(12, 1000, "regression", literal=True)


def test_budgets_that_cannot_pay_name_both_numbers() -> None:
    with pytest.raises(BudgetError, match=r"exact values of 12 players need 4096 rows; the budget is 4095"):
        choose(12, 4095, "exact")
    with pytest.raises(BudgetError, match=rf"49 players need 2\^49 rows; the most is {MAX_EXACT_PLAYERS} players"):
        choose(49, None, "exact")
    for players in (0, 1, 12):
        with pytest.raises(BudgetError, match="a budget of 1 rows is too small; ∅ and N alone need 2"):
            choose(players, 1)
    with pytest.raises(BudgetError, match=r"need 2\^5 rows, not 31"):
        design("exact", 5, 31, 0)
    with pytest.raises(BudgetError, match="a budget of 1 rows"):
        design("regression", 5, 1, 0)
    with pytest.raises(BindError, match=r"no method 'regresion'; did you mean 'regression'\?"):
        choose(12, 100, "regresion")
    with pytest.raises(BindError, match=r"no method 'permutation'; did you mean 'permutations'\?"):
        design("permutation", 12, 100, 0)


@pytest.mark.parametrize("players", [2, 3, 4, 5, 8, 13, 49])
@pytest.mark.parametrize("method", ["permutations", "regression", "unbiased"])
def test_rows_are_distinct_paired_and_within_the_budget(method: str, players: int) -> None:
    full = (1 << players) - 1
    least = 2 * players + 2 if method == "unbiased" else 2
    for budget in sorted({*range(least, 40), 8 * players, 20 * players}):
        chosen, rows = choose(players, budget, method)
        made = design(chosen, players, rows, seed=3)
        found = codes(made.coalitions)
        assert made.coalitions.dtype == bool
        assert made.coalitions.shape == (len(found), players)
        assert found[:2] == [0, full]
        assert len(set(found)) == len(found) <= rows <= budget
        assert {full - code for code in found} == set(found)
        if chosen != "permutations":
            assert len(found) == rows


def test_exact_designs_hold_every_coalition_once() -> None:
    for players in range(8):
        assert sorted(codes(design("exact", players, 1 << players, 0).coalitions)) == list(range(1 << players))
    assert design("exact", 5, 32, 0).key == design("exact", 5, 32, 1).key
    made = design("exact", 5, 32, 7)
    assert (made.method, made.players, made.seed, made.chains, made.pairs) == ("exact", 5, 7, None, None)


@pytest.mark.parametrize("method", ["permutations", "regression"])
def test_equal_arguments_make_equal_designs_and_seeds_make_different_ones(method: str) -> None:
    one, same, other = (design(method, 12, 100, seed) for seed in (1, 1, 2))
    assert (one.method, one.players, one.seed, other.seed) == (method, 12, 1, 2)
    assert one.key == same.key != other.key
    assert (one.coalitions == same.coalitions).all()
    assert set(codes(one.coalitions)) != set(codes(other.coalitions))


@pytest.mark.parametrize(("players", "step"), [(2, 2), (5, 2), (8, 6), (10, 14), (12, 62), (30, 998), (64, 998)])
def test_a_larger_regression_budget_contains_a_smaller_one(players: int, step: int) -> None:
    smaller: set[int] = set()
    for rows in range(2, min(1 << players, 8000) + 1, step):
        larger = set(codes(design("regression", players, rows, seed=3).coalitions))
        assert smaller <= larger
        smaller = larger


@pytest.mark.parametrize("method", ["regression", "unbiased"])
@pytest.mark.parametrize(("players", "rows"), [(6, 30), (7, 40)])
def test_every_pair_of_a_size_is_drawn_equally_often_and_at_the_rate_that_is_reported(
    players: int, rows: int, method: str
) -> None:
    seeds = 600
    counts = dict.fromkeys(range(1 << players), 0)
    rate: dict[int, float] = {}
    for seed in range(seeds):
        made = design(method, players, rows, seed)
        assert isinstance(made.pairs, Pairs)
        assert (made.coalitions[2::2].sum(axis=1) == made.pairs.size).all()
        assert (made.coalitions[3::2] == ~made.coalitions[2::2]).all()
        rate = dict(zip(made.pairs.size.tolist(), made.pairs.rate.tolist(), strict=True))
        for code in codes(made.coalitions):
            counts[code] += 1
    for code, count in counts.items():
        size = min(code.bit_count(), players - code.bit_count())
        if size:
            expected = rate[size]
            assert abs(count / seeds - expected) < 4.5 * math.sqrt(expected * (1 - expected) / seeds) + 1e-12


def test_sizes_get_their_shares_and_small_ones_are_enumerated() -> None:
    made = design("regression", 12, 258, 0)
    assert made.pairs is not None
    taken = np.bincount(made.pairs.size)[1:]
    assert taken[0] == 12  # all C(12, 1) pairs
    assert taken.sum() == 128
    weights = np.array([s * (12 - s) for s in range(2, 7)]) ** -0.5 * np.array([1, 1, 1, 1, 0.5])
    np.testing.assert_allclose(taken[1:], 116 * weights / weights.sum(), atol=1.0)


@pytest.mark.parametrize("players", [7, 12])
def test_the_first_pairs_go_to_the_sizes_of_the_largest_quotients(players: int) -> None:
    """Sainte-Laguë by its definition: the next seat goes to the largest share / (2 · seats + 1)."""
    sizes = range(1, players // 2 + 1)
    share = {s: (s * (players - s)) ** -0.5 * (0.5 if 2 * s == players else 1) for s in sizes}
    seats = dict.fromkeys(sizes, 0)
    for pairs in range(1, 13):
        free = [s for s in sizes if seats[s] < math.comb(players, s) // (2 if 2 * s == players else 1)]
        seats[max(free, key=lambda s: share[s] / (2 * seats[s] + 1))] += 1
        made = design("regression", players, 2 + 2 * pairs, 0)
        assert made.pairs is not None
        assert np.bincount(made.pairs.size, minlength=len(seats) + 1)[1:].tolist() == list(seats.values())


def test_hundreds_of_players_need_no_more_than_logarithms() -> None:
    made = design("regression", 784, 6272, 0)
    assert made.coalitions.shape == (6272, 784)
    assert made.pairs is not None
    assert np.isfinite(made.pairs.rate).all()
    assert (np.bincount(made.pairs.size)[1:] > 0).all()


@pytest.mark.parametrize("rows", [2, 5, 12, 20, 26, 32, 38, 60, 200])
def test_chains_lead_from_nobody_to_everybody_and_back_through_complements(rows: int) -> None:
    made = design("permutations", 13, rows, 4)
    chains = made.chains
    assert isinstance(chains, Chains)
    for forth, back in zip(chains.rows[::2], chains.rows[1::2], strict=True):
        assert (made.coalitions[back] == ~made.coalitions[forth[::-1]]).all()
    for path, block, size in zip(chains.rows, chains.block, chains.size, strict=True):
        steps = made.coalitions[path]
        assert not steps[0].any()
        assert steps[-1].all()
        for step, (before, after) in enumerate(itertools.pairwise(steps)):
            assert (before <= after).all()
            assert (np.flatnonzero(after & ~before) == np.flatnonzero(block == step)).all()
            assert size[step] == (after & ~before).sum() >= 1
    if rows >= 26:
        assert (chains.size == 1).all()


def test_every_player_begins_or_ends_a_chain_before_any_does_twice() -> None:
    made = design("permutations", 12, choose(12, 134, "permutations")[1], 9)
    assert made.chains is not None
    ends = [int(np.flatnonzero(block == 0)[0]) for block in made.chains.block]
    assert len(ends) == 12
    assert sorted(ends) == list(range(12))


def test_a_game_too_large_for_memory_is_a_budget_error_and_a_small_budget_of_it_is_not():
    with pytest.raises(BudgetError, match="use fewer players or a smaller budget"):
        choose(50_176, None)
    assert choose(50_176, 1000)[0] == "permutations"
    assert choose(2000, None)[0] == "permutations"
    assert choose(2000, 16_000, "regression")[0] == "regression"


def test_unbiased_values_need_every_size_twice() -> None:
    assert choose(12, 26, "unbiased") == ("unbiased", 26)
    made = design("unbiased", 12, 26, 0)
    assert made.pairs is not None
    assert np.bincount(made.pairs.size)[1:].tolist() == [2] * 6
    with pytest.raises(BudgetError, match="unbiased values of 12 players need 26 rows at least; the budget is 25"):
        choose(12, 25, "unbiased")
    with pytest.raises(BudgetError, match="unbiased cannot give the literal contrast's two parts"):
        choose(12, 1000, "unbiased", literal=True)


@pytest.mark.parametrize("rows", [96, 384])
def test_pairs_of_a_regression_are_less_alike_than_pairs_drawn_blindly(rows: int) -> None:
    """Σ (x·y)^4 over all pairs x, y is how far joint effects of three players pass for effects of one."""

    def alike(method: str, seed: int) -> float:
        signs = 2.0 * design(method, 12, rows, seed).coalitions[2::2] - 1
        products = signs @ signs.T
        np.fill_diagonal(products, 0)
        return float((products**4).mean())

    blind = np.mean([alike("unbiased", seed) for seed in range(10)])
    assert np.mean([alike("regression", seed) for seed in range(10)]) < 0.95 * blind


@pytest.mark.parametrize("method", ["regression", "unbiased"])
def test_a_design_is_the_same_whatever_was_drawn_before(method: str) -> None:
    """From a sequence that is kept for longer ones, as from one that is as long as itself."""
    for rows in (500, 30, 66, 68, 130, 30):
        found = design(method, 9, rows, 3)
        turns, drawn = pairing._in_turn.__wrapped__(9, (rows - 2) // 2, 3, method == "unbiased")
        assert (found.coalitions[2::2] == drawn[np.argsort(turns, kind="stable")]).all()
        assert (found.coalitions[3::2] == ~found.coalitions[2::2]).all()


@pytest.mark.parametrize(("players", "pairs"), [(8, 60), (12, 200), (33, 120), (300, 70)])
def test_the_least_alike_are_chosen_with_exact_sums(players: int, pairs: int) -> None:
    """The rule in whole numbers of any size: a design must not depend on the order in which a processor adds."""
    turns, drawn = pairing._in_turn.__wrapped__(players, pairs, 5, False)
    available = [pairing._pairs_of(players, size) for size in range(1, players // 2 + 1)]
    looks = np.clip(pairing._MOST_PRODUCTS // (players * (np.arange(len(turns)) + 1)), 1, pairing._CANDIDATES)
    enough = np.bincount(turns, weights=looks, minlength=len(available) + 1)[1:]
    queues = [
        pairing._coalitions_of(players, size, min(int(n), every), np.random.default_rng([5, players, size])).tolist()
        for size, (n, every) in enumerate(zip(enough, available, strict=True), start=1)
    ]
    taken: list[list[bool]] = []
    for turn, size in enumerate(turns.tolist()):
        queue = queues[size - 1]
        some, rest = queue[: looks[turn]], queue[looks[turn] :]
        sums = [sum((2 * sum(map(int.__eq__, x, y)) - players) ** 8 for y in taken) for x in some]
        best = some.pop(sums.index(min(sums)))
        taken.append(best)
        queues[size - 1] = rest + some
    assert drawn.tolist() == taken
