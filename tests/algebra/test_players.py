"""Partitions label every feature as their definitions say, cut by windows of any form, and refuse what does not fit."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ialgebra.algebra.kinds import KINDS
from ialgebra.algebra.labelling import check_partition, labels
from ialgebra.algebra.players import (
    Features,
    Grid,
    Labels,
    Partition,
    Pixels,
    Slic,
    Tile,
    Tokens,
)
from ialgebra.algebra.sources import Source
from ialgebra.errors import BindError, ShapeError
from tests import oracle

SHAPE = (2, 5, 7)
IMAGE = np.random.default_rng(0).random(SHAPE)


def no_mask(source: Source) -> np.ndarray:
    raise AssertionError("no mask is asked for")


def windows() -> list[np.ndarray]:
    """Of whole rows and columns, of both channels alike or not, none at all, and everything."""
    rng = np.random.default_rng(1)
    made = [np.ones(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)]
    for bits in (rng.random(SHAPE) < 0.4, rng.random((1, 5, 7)) < 0.3, rng.random((5, 1)) < 0.5, rng.random(7) < 0.4):
        made.append(np.broadcast_to(bits, SHAPE))
    one = np.zeros(SHAPE, dtype=bool)
    one[:, 1:4, 2:] = True
    corner = np.zeros(SHAPE, dtype=bool)
    corner[1, 4, 6] = True
    return [*made, one, corner]


EXPECTED: dict[Partition, oracle.Partition] = {
    Pixels(): oracle.pixels,
    **{Grid(rows, cols): oracle.grid(rows, cols) for rows, cols in ((2, 2), (3, 1), (4, 6))},
    **{Tile(size): oracle.tile(size) for size in (1, 2, 3, 99)},
}


@pytest.mark.parametrize("partition", EXPECTED, ids=str)
def test_players_of_an_image_are_numbered_as_their_definition_says(partition: Partition) -> None:
    for window in windows():
        found = np.broadcast_to(labels(partition, "image", IMAGE, window, no_mask), SHAPE)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, EXPECTED[partition](SHAPE, window))


def test_more_cells_than_rows_are_as_many_as_there_are_rows() -> None:
    for window in windows():
        found = np.broadcast_to(labels(Grid(50, 60), "image", IMAGE, window, no_mask), SHAPE)
        np.testing.assert_array_equal(found, oracle.pixels(SHAPE, window))


def test_channels_that_are_alike_have_one_plane_of_labels() -> None:
    everything = np.broadcast_to(True, SHAPE)
    assert labels(Tile(2), "image", IMAGE, everything, no_mask).shape == (1, 5, 7)
    assert labels(Grid(2, 2), "image", IMAGE, np.broadcast_to(IMAGE[:1] > 0.5, SHAPE), no_mask).shape == (1, 5, 7)
    assert labels(Tile(2), "image", IMAGE, IMAGE > 0.5, no_mask).shape == SHAPE


@pytest.mark.parametrize(("partition", "kind"), [(Features(), "tabular"), (Tokens(), "tokens")])
def test_each_feature_in_the_window_is_a_player(partition: Partition, kind: str) -> None:
    window = np.array([True, False, True, True, False])
    assert labels(partition, kind, np.zeros(5), window, no_mask).tolist() == [0, -1, 1, 2, -1]
    assert labels(partition, kind, np.zeros(5), ~window, no_mask).tolist() == [-1, 0, -1, -1, 1]
    assert labels(partition, kind, np.zeros(5), window & False, no_mask).tolist() == [-1] * 5


def test_equal_numbers_of_a_mask_are_one_player_in_the_order_of_the_numbers() -> None:
    masks = {
        "plane": np.array([[7, -3, 7, 0, 0, 0, 9]] * 5),
        "row": np.array([5, 4, 5, 4, 3, 3, 3]),
        "column": np.arange(5)[::-1].reshape(1, 5, 1),
        "channels": np.array([1, 0]).reshape(2, 1, 1),
        "full": np.random.default_rng(2).integers(-4, 4, size=SHAPE).astype(np.uint8),
    }
    for name, mask in masks.items():
        for window in windows():
            found = labels(Labels(Source(name)), "image", IMAGE, window, lambda source: masks[source.name])
            np.testing.assert_array_equal(np.broadcast_to(found, SHAPE), oracle.given(mask)(SHAPE, window))
    found = labels(
        Labels(Source("m", 1)), "tabular", np.zeros(3), np.ones(3, dtype=bool), lambda _: np.array([2, 1, 2])
    )
    assert found.tolist() == [1, 0, 1]


def test_superpixels_are_connected_patches_that_follow_the_colours() -> None:
    pytest.importorskip("skimage")
    image = np.zeros((3, 24, 24))
    image[:, :, 12:] = np.array([0.9, 0.1, 0.2])[:, None, None]
    everything = np.ones(image.shape, dtype=bool)
    for content in (image, 1000 * image - 7, image[:2], image[:1]):
        found = labels(Slic(8), "image", content, everything[: len(content)], no_mask)
        plane = np.broadcast_to(found, content.shape)[0]
        assert 4 <= plane.max() + 1 <= 12
        if len(content) == 3:
            assert set(plane[:, :12].ravel().tolist()).isdisjoint(plane[:, 12:].ravel().tolist())
        assert sorted(set(plane.ravel().tolist())) == list(range(plane.max() + 1))
    np.testing.assert_array_equal(
        labels(Slic(8), "image", image, everything, no_mask),
        labels(Slic(8), "image", 9 * image + 3, everything, no_mask),
    )
    counts = [labels(Slic(n), "image", image, everything, no_mask).max() + 1 for n in (2, 8, 40)]
    assert counts == sorted(set(counts))
    rng = np.random.default_rng(3)
    texture = np.kron(rng.random((3, 6, 6)), np.ones((4, 4)))
    np.testing.assert_array_equal(
        labels(Slic(8), "image", texture, everything, no_mask),
        labels(Slic(8), "image", 50 * texture - 7, everything, no_mask),
    )
    flat = labels(Slic(4), "image", np.full((3, 8, 8), 5.0), np.ones((3, 8, 8), dtype=bool), no_mask)
    assert flat.max() + 1 in range(2, 7)
    assert labels(Slic(10**9), "image", image[:, :4, :4], everything[:, :4, :4], no_mask).min() == 0


def test_superpixels_need_a_package_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(BindError, match=r"^slic players need scikit-image: pip install 'ialgebra\[images\]'$"):
        labels(Slic(4), "image", IMAGE, np.ones(SHAPE, dtype=bool), no_mask)


def test_defaults_are_those_of_the_kind() -> None:
    assert KINDS["image"].default_partition is Grid(4, 4)
    assert KINDS["tabular"].default_partition is Features()
    assert KINDS["tokens"].default_partition is Tokens()


def test_partitions_print_as_a_query_says_them() -> None:
    said = {
        Pixels(): "pixels",
        Features(): "features",
        Tokens(): "tokens",
        Grid(3, 5): "grid(3, 5)",
        Tile(8): "tile(8)",
        Slic(50): "slic(50)",
        Labels(Source("m")): "m",
        Labels(Source("my mask", 2)): '"my mask"[2]',
    }
    assert {str(each) for each in said} == set(said.values())
    assert all(str(each) == text for each, text in said.items())


@pytest.mark.parametrize(
    ("partition", "kind", "said"),
    [
        (Features(), "image", "players features mean nothing for an image; it has pixels, grid, tile, slic or a"),
        (Tokens(), "image", "players tokens mean nothing for an image"),
        (
            Tokens(),
            "tabular",
            "players tokens mean nothing for a tabular input; it has features, groups or a feature mask",
        ),
        (Grid(2, 3), "tabular", r"players grid\(2, 3\) mean nothing for a tabular input"),
        (
            Pixels(),
            "tokens",
            "players pixels mean nothing for a token sequence; it has tokens, words, sentences or a feature mask",
        ),
        (Features(), "tokens", "players features mean nothing for a token sequence"),
        (Slic(3), "tokens", r"players slic\(3\) mean nothing"),
    ],
)
def test_a_partition_of_another_kind_is_refused(partition: Partition, kind: str, said: str) -> None:
    with pytest.raises(BindError, match=f"^{said}"):
        check_partition(partition, kind, (5,), no_mask)
    shape = SHAPE if kind == "image" else (5,)
    with pytest.raises(BindError, match=f"^{said}"):
        labels(partition, kind, np.zeros(shape), np.ones(shape, dtype=bool), no_mask)


def test_a_mask_that_does_not_fit_is_refused() -> None:
    def check(mask: np.ndarray) -> None:
        check_partition(Labels(Source("m")), "image", SHAPE, lambda source: mask)

    for fitting in (np.zeros(SHAPE, int), np.zeros((5, 7), np.uint8), np.zeros((1, 5, 1), int), np.zeros((), int)):
        check(fitting)
    for shape in ((5, 6), (7, 5), (2, 2, 5, 7), (3, 5, 7), (1, 1, 5, 7)):
        with pytest.raises(ShapeError) as caught:
            check(np.zeros(shape, dtype=int))
        assert caught.value.message == (
            f"the feature mask m has shape {shape}, the input (2, 5, 7); it must broadcast to it"
        )
    check(np.zeros((5, 7), dtype=bool))
    with pytest.raises(BindError, match=r"^the feature mask m holds float64 values; a partition needs int"):
        check(np.zeros((5, 7)))
