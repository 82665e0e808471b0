"""Where an input is changed on one player, no element changes that is said not to see the player."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ialgebra.models.graph import Graph, traced
from ialgebra.models.graph.anatomy import Anatomy
from ialgebra.models.graph.sights import Sights, coloured
from ialgebra.models.graph.supports import Support
from tests.models.graph.networks import NETWORKS, OPERATIONS, Case
from tests.models.zoo import seeded

CASES = {**NETWORKS, **OPERATIONS}
PLAYERS = 7


def drawn(case: Case, seed: int) -> Tensor:
    """Two random inputs (2, *shape)."""
    generator = torch.Generator().manual_seed(seed)
    if len(case.shape) == 1:
        return torch.randint(0, 20, (2, *case.shape), generator=generator)
    return torch.randn((2, *case.shape), generator=generator, dtype=torch.float64)


def segments(case: Case, seed: int) -> NDArray[np.int64]:
    """Players at random: of single elements, of runs of them, or of all channels together."""
    generator = np.random.default_rng(seed)
    shape = case.shape if seed % 2 or len(case.shape) == 1 else (1, *case.shape[1:])
    found = generator.integers(-1, PLAYERS, shape)
    if seed % 3 == 0:
        flat = np.sort(found.ravel())
        found = flat.reshape(shape)
    return found


def anatomy(case: Case) -> Anatomy:
    model = seeded(case.build)
    model = model if len(case.shape) == 1 else model.double()
    with torch.no_grad():
        graph = traced(model)
        assert isinstance(graph, Graph), graph
        return Anatomy.of(graph, drawn(case, 0)[:1])


def values(found: Anatomy, row: Tensor) -> dict[int, Tensor]:
    kept: dict[int, Tensor] = {0: row}
    with torch.no_grad():
        found.graph.run(
            {0: row},
            1,
            len(found.graph.steps),
            after=lambda step, value: kept.update({step.number: value.clone()} if isinstance(value, Tensor) else {}),
        )
    return kept


def moved(before: Tensor, after: Tensor, support: Support) -> NDArray[np.bool_]:
    """Which places along the support's axes changed."""
    changed = ((before - after).abs() > 1e-12).numpy()[0]
    others = tuple(axis - 1 for axis in range(1, before.dim()) if axis not in support.axes)
    return np.asarray(changed.any(axis=others)).ravel()


@pytest.mark.parametrize("name", CASES)
def test_nothing_moves_outside_what_is_seen(name: str) -> None:
    case = CASES[name]
    found = anatomy(case)
    assert len(found.supports) > 1, "no rule knew the first operation"
    for seed in range(4):
        labels = segments(case, seed)
        sights = Sights(labels, PLAYERS, case.shape)
        row, other = drawn(case, seed).split(1)
        before = values(found, row)
        seen = {number: sights.of(support) for number, support in found.supports.items()}
        for player in range(PLAYERS):
            changed = torch.where(torch.from_numpy(np.broadcast_to(labels, case.shape) == player), other, row)
            after = values(found, changed)
            for number, support in found.supports.items():
                outside = moved(before[number], after[number], support) & ~seen[number][player]
                assert not outside.any(), (found.graph.steps[number].name, player)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_a_rule_to_the_end(name: str) -> None:
    found = anatomy(OPERATIONS[name])
    assert found.graph.output.step in found.supports


def test_supports_are_no_wider_than_the_kernels() -> None:
    found = anatomy(Case(lambda: nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.MaxPool1d(2)), (1, 8)))
    link = found.supports[1].links[1]
    assert link.low.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert link.high.tolist() == [2, 3, 4, 5, 6, 7, 8, 8]
    link = found.supports[2].links[1]
    assert list(zip(link.low.tolist(), link.high.tolist(), strict=True)) == [(0, 3), (1, 5), (3, 7), (5, 8)]


def test_the_whole_picture_is_seen_after_squeeze_and_excitation() -> None:
    found = anatomy(NETWORKS["excited"])
    labels = np.arange(16).repeat(16).reshape(1, 16, 16) // 2
    product = next(step.number for step in found.graph.steps if step.name == "mul")
    assert Sights(labels, 8, (3, 16, 16)).of(found.supports[product]).all()


def test_a_grid_has_four_colours_while_no_place_sees_more_than_two_by_two_tiles() -> None:
    found = anatomy(NETWORKS["vgg"])
    tile = np.arange(24) // 6
    labels = (tile[:, None] * 4 + tile[None])[None]
    sights = Sights(labels, 16, (3, 24, 24))
    colours = [int(coloured([sights.of(found.supports[n])]).max()) + 1 for n in sorted(found.supports) if n < 8]
    assert colours[0] == 1
    assert 4 in colours


@pytest.mark.parametrize("seed", range(6))
def test_no_place_sees_two_players_of_one_colour(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sight = generator.random((70, 40)) < 0.06
    colours = coloured([sight, generator.random((70, 9)) < 0.03])
    for place in sight.T:
        own = colours[place]
        assert len(set(own.tolist())) == len(own)
    assert set(colours.tolist()) == set(range(int(colours.max()) + 1))
