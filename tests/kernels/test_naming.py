"""Names: equal exactly where inputs are equal bit for bit, which is checked against the tensors themselves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ialgebra.kernels.compose import compose
from ialgebra.kernels.naming import _mixed, element_numbers, hybrid_names, whole_name, whole_names

SHAPES = [(2, 3, 4), (7,), (1, 5, 5)]
DTYPES = [torch.float32, torch.float64, torch.int64, torch.uint8]


def name(x: Tensor) -> bytes:
    return whole_name(x, element_numbers(x)).tobytes()


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bool, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (3, 0), *SHAPES, (1, 200, 300)])
def test_several_inputs_have_the_names_that_each_has_alone(dtype, shape):
    torch.manual_seed(0)
    inputs = [(8 * torch.randn(shape)).abs().to(dtype) for _ in range(5)]
    assert [each.tobytes() for each in whole_names(inputs)] == [name(each) for each in inputs]


def bits(x: Tensor) -> tuple[object, ...]:
    return x.dtype, tuple(x.shape), x.numpy().tobytes()


@st.composite
def games(draw):
    """Two inputs that often agree, drawn from few numbers (0 and −0 among them), and players, some of them nobody's."""
    shape, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pool = np.array([0.0, -0.0, 1.0, 2.0]) if dtype.is_floating_point else np.array([0, 1, 2])
    foreground, background = (torch.from_numpy(rng.choice(pool, shape)).to(dtype) for _ in range(2))
    players = draw(st.integers(0, 5))
    plane = len(shape) == 3 and draw(st.booleans())
    segments = rng.integers(-1, players, (1, *shape[1:]) if plane else shape)
    coalitions = rng.random((draw(st.integers(1, 12)), players)) < 0.5
    return foreground, background, segments, coalitions


def names_of(foreground, background, segments, coalitions) -> list[bytes]:
    numbers = element_numbers(background)
    whole = whole_name(background, numbers)
    found = hybrid_names(numbers, element_numbers(foreground), whole, segments, coalitions)
    return [row.tobytes() for row in found]


@settings(max_examples=150, deadline=None)
@given(games())
def test_a_hybrid_is_named_by_its_coalition_as_it_is_by_its_content(game):
    foreground, background, segments, coalitions = game
    rows = compose(foreground, background, torch.from_numpy(segments), torch.from_numpy(coalitions))
    assert names_of(*game) == [name(row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(games(), games())
def test_names_are_equal_where_inputs_are_and_only_there(one, other):
    named: dict[bytes, tuple[object, ...]] = {}
    for foreground, background, segments, coalitions in (one, other):
        rows = compose(foreground, background, torch.from_numpy(segments), torch.from_numpy(coalitions))
        for row, each in zip(rows, names_of(foreground, background, segments, coalitions), strict=True):
            assert named.setdefault(each, bits(row)) == bits(row)
    assert len(set(named.values())) == len(named)


def test_every_bit_counts_and_every_place():
    variants = [torch.zeros(64, dtype=torch.float64)]
    for place, bit in itertools.product(range(64), range(64)):
        changed = np.zeros(64, dtype=np.uint64)
        changed[place] = np.uint64(1) << np.uint64(bit)
        variants.append(torch.from_numpy(changed.view(np.float64)))
    names = np.stack([whole_name(x, element_numbers(x)) for x in variants])
    assert len(np.unique(names[:, 0])) == len(np.unique(names[:, 1])) == len(variants), "either half alone tells them"


def test_form_counts():
    zeros = [torch.zeros(6), torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(6, dtype=torch.int32)]
    assert len({name(x) for x in zeros}) == 4


@pytest.mark.parametrize("players", [40, 400])
def test_many_coalitions_are_named_piece_by_piece(players, monkeypatch):
    from ialgebra.kernels import naming

    rng = np.random.default_rng(0)
    game = (
        torch.randn(1, 20, 20),
        torch.randn(1, 20, 20),
        rng.integers(-1, players, (1, 20, 20)),
        rng.random((50, players)) < 0.5,
    )
    at_once = names_of(*game)
    monkeypatch.setattr(naming, "_CELLS", 7 * players)
    assert names_of(*game) == at_once


def test_numbers_are_mixed_as_splitmix_mixes_its_counter() -> None:
    """The first outputs of SplitMix64 from seed 0, as published with it: its counter grows by the golden ratio."""
    counter = np.array([0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A, 0xDAA66D2C7DDF743F], dtype=np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert _mixed(counter).tolist() == expected
