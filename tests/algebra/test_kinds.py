"""Every kind of input is complete: what it accepts it can label, name, select in, edit and draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra.algebra.kinds import KINDS, InputKind, columns_of, describe_columns, is_batch, kind_named, kind_of
from ialgebra.algebra.labelling import labels
from ialgebra.catalog.inputs import entry
from ialgebra.errors import BindError
from tests.relations import attribution, relation

EXAMPLES = {
    "image": torch.linspace(0, 1, 2 * 8 * 8).reshape(2, 8, 8),
    "tabular": torch.tensor([0.5, -1.0, 2.0, 0.0, 3.0]),
    "tokens": torch.tensor([3, 1, 4, 1, 5]),
    "series": torch.linspace(-1, 2, 20 * 3).reshape(20, 3),
    "signal": torch.linspace(-1, 2, 2 * 20).reshape(2, 20),
    "volume": torch.linspace(0, 1, 3 * 4 * 6 * 5).reshape(3, 4, 6, 5),
    "video": torch.linspace(0, 1, 3 * 6 * 4 * 5).reshape(3, 6, 4, 5),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)


def example(kind: InputKind) -> torch.Tensor:
    """An input of this kind; a new kind needs one here."""
    return EXAMPLES[kind.name]


def test_there_is_an_example_of_every_kind():
    assert set(EXAMPLES) == set(KINDS)


@every_kind
def test_a_kind_is_found_by_its_name_and_by_the_inputs_that_it_accepts(kind):
    x = example(kind)
    assert kind_named(kind.name) is kind
    assert (kind_of(tuple(x.shape), x.dtype) is kind) == (not kind.by_name_only)
    assert x.dim() == kind.dimensions
    named = kind.name if kind.by_name_only else None
    assert entry("x", x, kind=named).kind == entry("x", x, kind=kind.name).kind == kind.name
    assert is_batch(x.dim()) == kind.by_name_only
    batch = entry("xs", [x, x], kind=named)
    assert (batch.kind, batch.collection, len(batch.elements)) == (kind.name, True, 2)


@every_kind
def test_a_kind_has_the_columns_that_it_tells_of(kind):
    x = example(kind).numpy()
    columns = columns_of(kind.name, x)
    assert set(kind.columns) <= set(columns)
    assert np.array_equal(columns["value"], x)
    for column in columns.values():
        assert np.broadcast_shapes(column.shape, x.shape) == x.shape
    assert all(name in describe_columns(kind.name) for name in kind.columns)
    if kind.named is not None:
        names = [f"n{k}" for k in range(len(x))]
        assert list(columns_of(kind.name, x, names)[f"{kind.named}_name"]) == names


@every_kind
def test_the_default_players_of_a_kind_are_legal_cover_the_input_and_have_names(kind):
    x = example(kind).numpy()
    assert isinstance(kind.default_partition, kind.partitions)
    found = labels(kind.default_partition, kind.name, x, np.ones(x.shape, bool), lambda source: np.zeros(0))
    count = int(found.max()) + 1
    assert count > 1
    assert np.array_equal(np.unique(found), np.arange(count))
    names = kind.player_names(np.broadcast_to(found, x.shape), count, x, None)
    assert len(set(names)) == len(names) == count or kind.vocabulary


@every_kind
def test_a_map_of_a_kind_can_be_drawn_by_its_drawing_alone(kind):
    drawings = pytest.importorskip("ialgebra.results.plots.registry").DRAWINGS
    x = example(kind).numpy()
    found = labels(kind.default_partition, kind.name, x, np.ones(x.shape, bool), lambda source: np.zeros(0))
    values = np.linspace(-1, 1, int(found.max()) + 1)
    a = attribution(values, np.broadcast_to(found, x.shape), content=x, kind=kind.name)
    figure = relation(a).plot()
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert bool(bars) == drawings[kind.drawing].colour_bar
    others = {each.drawing for each in KINDS.values()}
    assert others <= set(drawings)


@every_kind
def test_an_input_of_any_kind_is_explained_by_a_query(kind):
    x = example(kind)
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch.flatten(1).double() @ torch.ones(x.numel(), 2, dtype=torch.float64))
    con.register_input("x", x, kind=kind.name)
    (a,) = con.sql("select * from f(x, target => 0) budget 40")
    assert a.kind == kind.name
    assert a.values == pytest.approx(np.bincount(a.players.ravel(), x.double().numpy().ravel()))


def test_an_unknown_kind_is_an_error_that_names_the_nearest():
    with pytest.raises(BindError, match="unknown kind of input 'imag'; did you mean 'image'"):
        kind_named("imag")


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((3, 4, 5), torch.uint8, "image"),
        ((3, 4, 5), torch.float32, "image"),
        ((7,), torch.float64, "tabular"),
        ((7,), torch.int64, "tokens"),
        ((), torch.float32, None),
        ((2, 3), torch.float32, None),
        ((1, 2, 3, 4), torch.float32, None),
    ],
)
def test_shape_and_type_decide_the_kind(shape, dtype, kind):
    found = kind_of(shape, dtype)
    assert (found and found.name) == kind
    assert is_batch(len(shape)) == (len(shape) in (2, 4))
