"""Games and models whose Shapley values others published, each with its source, are answered with those values.

In: a game as its authors wrote it, players counted from 0, or a model of a library's own tests. The values are theirs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra

Members = frozenset[int]
Worth = Callable[[Members], float]


@dataclass(frozen=True)
class Published:
    """A game and its values; `source` is where both can be read."""

    source: str
    worth: Worth
    values: Sequence[float]
    tolerance: float = 1e-5  # wider where a source rounds


def listed(players: int, *worth: float) -> Worth:
    """The worth of each coalition but the empty one, by size and then in lexicographic order."""
    names = [frozenset(each) for k in range(1, players + 1) for each in itertools.combinations(range(players), k)]
    table = dict(zip(names, worth, strict=True))
    return lambda S: table.get(S, 0.0)


def gloves(left: Iterable[int], right: Iterable[int]) -> Worth:
    left, right = frozenset(left), frozenset(right)
    return lambda S: min(len(S & left), len(S & right))


def dearest(*costs: float) -> Worth:
    """A runway, or an estate, is as long as the longest wish of those who are there."""
    return lambda S: max((costs[i] for i in S), default=0.0)


def vote(quota: float, *weights: float) -> Worth:
    return lambda S: float(sum(weights[i] for i in S) >= quota)


def estate(worth: float, *claims: float) -> Worth:
    """What is left for a coalition once all others have had their claims."""
    return lambda S: max(0.0, worth - sum(claim for i, claim in enumerate(claims) if i not in S))


def council(permanent: int, others: int, quota: int) -> Worth:
    return lambda S: float(len(S) >= quota and all(i in S for i in range(permanent)))


def apex(players: int) -> Worth:
    return lambda S: float((0 in S and len(S) > 1) or len(S - {0}) == players - 1)


GAMES = {
    "gloves, one left": Published(
        "CoopGame 0.2.2 (CRAN), tests/testthat/test_15_shapleyValue.R, 15.2",
        gloves([0], [1, 2]),
        [2 / 3, 1 / 6, 1 / 6],
    ),
    "gloves, one left of ten": Published(
        "CoopGame 0.2.2 (CRAN), tests/testthat/test_15_shapleyValue.R, 15.3",
        gloves([0], range(1, 10)),
        [9 / 10, *[1 / 90] * 9],
    ),
    "gloves, one right of three": Published(
        "Wiese, Kooperative Spieltheorie (2005), p. 65; en.wikipedia.org/wiki/Shapley_value#Glove_game",
        gloves([0, 1], [2]),
        [1 / 6, 1 / 6, 2 / 3],
    ),
    "gloves, one right of four": Published(
        "Wiese, Kooperative Spieltheorie (2005), p. 65", gloves([0, 1, 3], [2]), [1 / 12, 1 / 12, 3 / 4, 1 / 12]
    ),
    "gloves, one right of five": Published(
        "Wiese, Kooperative Spieltheorie (2005), p. 65", gloves([0, 1, 3, 4], [2]), [0.05, 0.05, 0.8, 0.05, 0.05]
    ),
    "three players of CoopGame": Published(
        "CoopGame 0.2.2 (CRAN), tests/testthat/test_15_shapleyValue.R, 15.1",
        listed(3, 2, 4, 5, 18, 14, 9, 24),
        [9.5, 8.0, 6.5],
    ),
    "inheritance in the Talmud": Published(
        "Aumann, Some non-superadditive games, and their Shapley values, in the Talmud, IJGT 39 (2010)",
        dearest(120, 60, 40, 30),
        [80 + 5 / 6, 20 + 5 / 6, 10 + 5 / 6, 7.5],
    ),
    "airport of four": Published(
        "en.wikipedia.org/wiki/Airport_problem, after Littlechild and Owen (1973)", dearest(8, 11, 13, 18), [2, 3, 4, 9]
    ),
    "investors": Published(
        "Lemaire, An application of game theory: cost allocation, ASTIN Bulletin 14 (1984); GameTheory (CRAN)",
        listed(3, 46125, 17437.5, 5812.5, 69187.5, 53812.5, 30750, 90000),
        [51750, 25875, 12375],
    ),
    "production": Published(
        "coopProductGame (CRAN), shapleyValue", listed(3, 68, 102, 0, 170, 710, 762, 992), [229, 272, 491]
    ),
    "a game of costs": Published(
        "GameTheoryAllocation (CRAN), Shapley_value", listed(3, 1, 1, 2, 1, 2, 2, 2), [1 / 3, 1 / 3, 4 / 3]
    ),
    "Tennessee Valley Authority": Published(
        "Straffin and Heaney, Game theory and the Tennessee Valley Authority, IJGT 10 (1981)",
        listed(3, 163520, 140826, 250096, 301607, 378821, 367370, 412584),
        [117829, 100756.5, 193998.5],
    ),
    "cooks": Published("shapiq, README and tests/shapiq/fixtures/games.py", listed(3, 4, 3, 2, 9, 8, 7, 15), [6, 5, 4]),
    "quarrelling pairs": Published(
        "shapiq, tests/shapiq/fixtures/games.py, paper_game",
        lambda S: len(S) - 0.1 * math.comb(len(S), 2) if len(S) > 1 else 0.0,
        [0.5] * 11,
    ),
    "a pair among seven": Published(
        "shapiq, DummyGame(7, (1, 2)) of its tests of approximators",
        lambda S: len(S) / 7 + ({1, 2} <= S),
        [1 / 7, 9 / 14, 9 / 14, 1 / 7, 1 / 7, 1 / 7, 1 / 7],
    ),
    "claims on 100": Published(
        "O'Neill, A problem of rights arbitration from the Talmud, Math. Social Sciences 2 (1982)",
        estate(100, 100, 200, 300),
        [100 / 3, 100 / 3, 100 / 3],
    ),
    "claims on 200": Published(
        "O'Neill, A problem of rights arbitration from the Talmud, Math. Social Sciences 2 (1982)",
        estate(200, 100, 200, 300),
        [100 / 3, 250 / 3, 250 / 3],
    ),
    "claims on 300": Published(
        "O'Neill, A problem of rights arbitration from the Talmud, Math. Social Sciences 2 (1982)",
        estate(300, 100, 200, 300),
        [50, 100, 150],
    ),
    "four shareholders": Published(
        "Stach, Shapley-Shubik index, Encyclopedia of Power (2011); CoopGame, shapleyShubikIndex",
        vote(50, 10, 10, 20, 30),
        [1 / 12, 1 / 12, 1 / 4, 7 / 12],
    ),
    "European Community of 1958": Published(
        "Lucas, Measuring power in weighted voting systems (1983)",
        vote(12, 4, 4, 4, 2, 2, 1),
        [14 / 60, 14 / 60, 14 / 60, 9 / 60, 9 / 60, 0],
    ),
    "UN Security Council of 1954": Published(
        "Shapley and Shubik, A method for evaluating the distribution of power in a committee system, APSR 48 (1954)",
        council(5, 6, 7),
        [*[76 / 385] * 5, *[1 / 462] * 6],
    ),
    "UN Security Council": Published(
        "Lucas, Measuring power in weighted voting systems (1983)",
        council(5, 10, 9),
        [*[421 / 2145] * 5, *[4 / 2145] * 10],
    ),
    "apex of four": Published(
        "Davis and Maschler, The kernel of a cooperative game (1965)", apex(4), [1 / 2, *[1 / 6] * 3]
    ),
    "apex of nine": Published(
        "Davis and Maschler, The kernel of a cooperative game (1965)", apex(9), [7 / 9, *[2 / 72] * 8]
    ),
    "unanimity of three in eight": Published(
        "Shapley, A value for n-person games (1953), lemma 2",
        lambda S: 5.0 * ({1, 4, 6} <= S),
        [0, 5 / 3, 0, 0, 5 / 3, 0, 5 / 3, 0],
    ),
}


def model_of(worth: Worth, players: int) -> Callable[[Tensor], Tensor]:
    """A callable whose input says of each player whether he is there; every coalition is worked out once."""
    table = torch.tensor(
        [worth(frozenset(i for i in range(players) if code >> i & 1)) for code in range(2**players)],
        dtype=torch.float64,
    )
    place = 2 ** torch.arange(players)
    return lambda batch: table[(batch.round().long() * place).sum(1)]


@pytest.mark.parametrize("name", GAMES)
def test_a_published_game_has_its_published_values(name: str) -> None:
    game = GAMES[name]
    players = len(game.values)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", model_of(game.worth, players))
        con.register_input("x", torch.ones(players, dtype=torch.float64))
        (answer,) = con.sql("select * from f(x) using exact()")
    expected = np.array(game.values, dtype=float)
    assert np.linalg.norm(answer.values - expected) <= game.tolerance * np.linalg.norm(expected)
    assert (answer.stderr == 0).all()


# Castro, Gómez and Tejada, Polynomial calculation of the Shapley value based on sampling, Computers & Operations
# Research 36 (2009), section 4.2: an airport of 100 planes of ten kinds, and the value of each kind.
PLANES = [8, 12, 6, 14, 8, 9, 13, 10, 10, 10]
TOLLS = [
    0.01,
    0.020869565,
    0.033369565,
    0.046883079,
    0.063549745,
    0.082780515,
    0.106036329,
    0.139369662,
    0.189369662,
    0.289369662,
]


@pytest.mark.parametrize("method", ["regression", "permutations"])
def test_the_airport_of_castro_is_within_its_standard_errors(method: str) -> None:
    lengths = torch.repeat_interleave(torch.arange(1, 11, dtype=torch.float64), torch.tensor(PLANES))
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", lambda batch: (batch * lengths).amax(1))
        con.register_input("x", torch.ones(100, dtype=torch.float64))
        (answer,) = con.sql(f"select * from f(x) using {method}() budget 2048")
    expected = np.repeat(TOLLS, PLANES)
    assert answer.values.sum() == pytest.approx(10)
    errors = np.abs(answer.values - expected) / answer.stderr
    assert (errors <= 1.96).mean() >= 0.88  # twelve seeds: from .88 to .98, the largest of 100 errors 4.6
    assert errors.max() <= 5
    assert np.linalg.norm(answer.values - expected) <= 1.5 * np.linalg.norm(answer.stderr)
    assert answer.relative_error < 1


@pytest.mark.parametrize(
    ("outputs", "values", "base"),
    [([0, 0, 0, 80], [30, 30], 20), ([0, 0, 10, 90], [30, 35], 25)],
    ids=["model A", "model B"],
)
def test_fever_and_cough(outputs: list[float], values: list[float], base: float) -> None:
    """Lundberg, Erion and Lee, Consistent individualized feature attribution for tree ensembles (2018), figure 1.

    The background is every patient alike: a collection of four baselines.
    """
    table = torch.tensor(outputs, dtype=torch.float64)  # neither, fever, cough, both
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", lambda batch: table[(batch.round().long() * torch.tensor([1, 2])).sum(1)])
        con.register_input("patients", torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]]))
        con.register_input("x", torch.ones(2), baseline="patients", feature_names=["fever", "cough"])
        (answer,) = con.sql("select * from f(x) using exact()")
    assert answer.values == pytest.approx(values)
    assert answer.base_value == pytest.approx(base)


# pytorch/captum, tests/attr/test_shapley.py: inputs, feature mask, baseline, and the value of each group.
CAPTUM: Mapping[str, tuple[list[float], list[int], float, list[float]]] = {
    "simple": ([20, 50, 30], [0, 1, 2], 0, [76.66666, 196.66666, 116.66666]),
    "with_mask": ([20, 50, 30], [0, 0, 1], 0, [275, 115]),
    "with_baselines": ([20, 50, 30], [0, 0, 1], 4, [248, 104]),
    "multi_sample, first": ([2, 10, 3], [0, 1, 2], 0, [7, 32.5, 10.5]),
    "multi_sample_with_mask, first": ([2, 10, 3], [0, 0, 1], 0, [39.5, 10.5]),
    "multi_sample_with_mask, second": ([20, 50, 30], [1, 1, 0], 0, [115, 275]),
    "multi_task_output_with_mask, second": ([20, 50, 30], [0, 1, 1], 0, [75, 315]),
}


class BasicModelMultiLayer(nn.Module):
    """The model of Captum's tests, by its weights: 3 → 4 by ones, biases −10, 1, 1, 1, ReLU, 4 → 2 by ones, −1, 1."""

    def forward(self, batch: Tensor) -> Tensor:
        inside = torch.relu(batch.sum(1, keepdim=True) + torch.tensor([-10.0, 1, 1, 1]))
        return inside.sum(1, keepdim=True) + torch.tensor([-1.0, 1])


@pytest.mark.parametrize("name", CAPTUM)
def test_cases_of_captum_s_own_tests(name: str) -> None:
    x, mask, baseline, values = CAPTUM[name]
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", BasicModelMultiLayer())
        con.register_input("x", torch.tensor(x), baseline=baseline, players=torch.tensor(mask))
        (answer,) = con.sql("select * from f(x, target => 0) using exact()")
    assert answer.values == pytest.approx(values, rel=1e-6)


def test_the_sum_of_both_outputs_in_captum_s_own_tests() -> None:
    net = BasicModelMultiLayer()
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", lambda batch: net(batch).sum(1))
        con.register_input("x", torch.tensor([2.0, 10, 3]), players=torch.tensor([0, 0, 1]))
        (answer,) = con.sql("select * from f(x) using exact()")
    assert answer.values == pytest.approx([79, 21], rel=1e-6)
