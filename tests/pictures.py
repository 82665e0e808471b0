"""Answers whose pictures are kept: every kind, with unknown, unsure and exact players. In: nothing; out: `SHOWN`."""

from __future__ import annotations

import math

import numpy as np

from ialgebra.results.relation import Relation
from tests.relations import attribution, grid, relation, tabular, tokens


def photo(high: int = 72, wide: int = 96, light: float = 1.0, dark: float = 0.0) -> np.ndarray:
    """A ball above a striped floor, (3, H, W) between `dark` and `light`."""
    row, col = np.mgrid[0:high, 0:wide] / high
    floor = 0.35 + 0.25 * np.sin(40 * col + 12 * row) * (row > 0.6)
    ball = np.clip(1 - ((row - 0.45) ** 2 + (col - 0.6) ** 2) / 0.07, 0, 1)
    layers = [floor + 0.5 * ball, floor * 0.9 + 0.1 * ball, floor * 0.7]
    return dark + (light - dark) * np.clip(np.stack(layers), 0, 1)


def photo_map(values: list[float], content: np.ndarray, stderr: list[float], **fields: object):
    players = grid(2, len(values) // 2, content.shape)
    return attribution(values, players, content, stderr=np.array(stderr), **fields)


VALUES = [2.0, -1.5, 0.1, 0.8, 0.0, -0.4]
UNSURE = [0.1, 0.2, 0.3, 0.1, 0.2, 0.1]
MIXED = [0.0, math.inf, 0.3, 0.0, 0.2, 0.1]


def volume(kind: str) -> Relation:
    players = np.broadcast_to(grid(2, 2, (1, 16, 16))[:, None], (1, 6, 16, 16)).copy()
    players[:, 3:] += 4
    content = np.random.RandomState(0).rand(1, 6, 16, 16)
    stderr = np.array([0, 0.1, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1])
    return relation(attribution([1, -1, 0, 2, 0.5, 0.2, -2, 0], players, content, kind=kind, stderr=stderr))


def series(kind: str) -> Relation:
    time = np.linspace(0, 9, 60)
    content = np.column_stack([np.sin(time), np.cos(2 * time)])
    players = np.repeat(np.arange(6), 10)[:, None] * np.ones((1, 2), dtype=int)
    if kind == "signal":
        content, players = content.T, players.T
    return relation(attribution(VALUES, players, content, kind=kind, stderr=np.array(MIXED)))


def table(rows: int) -> Relation:
    random = np.random.RandomState(1)
    names = ("age", "debt", "income of the household", "income of the neighbourhood", "city")
    maps = []
    for row in range(rows):
        content = random.randn(5)
        values = content * [2.0, -1.0, 0.5, 0.2, 0.0]
        maps.append(
            tabular(values, content=content, feature_names=names, stderr=np.full(5, 0.2), label=f"f(xs[{row}])")
        )
    return relation(*maps)


def text() -> Relation:
    words = "a gorgeous , witty , seductive movie that never feels as long as it is but rather dull at its very end"
    values = np.random.RandomState(2).randn(len(words.split())).round(2)
    stderr = np.where(values > 1.2, 0.0, 0.3)
    stderr[3] = math.inf
    return relation(tokens(words, values, stderr=stderr))


SHOWN: dict[str, tuple[Relation, str | None]] = {
    "photo": (relation(photo_map(VALUES, photo(), MIXED, target_name="espresso")), None),
    "exact": (relation(photo_map(VALUES, photo(light=0.2), [0.0] * 6)), None),  # of a dark photo
    "unknown": (relation(photo_map(VALUES, photo(dark=0.85), [math.inf] * 6)), None),  # of a bright one
    "pair": (
        relation(
            photo_map(VALUES, photo(), UNSURE, label="f(cup) against dog", component=0),
            photo_map(VALUES[::-1], photo()[:, ::-1].copy(), UNSURE, label="f(dog) against cup", component=1),
        ),
        None,
    ),
    "volume": (volume("volume"), None),
    "video": (volume("video"), None),
    "series": (series("series"), None),
    "signal": (series("signal"), None),
    "text": (text(), None),
    "bars": (table(2), None),
    "waterfall": (table(1), "waterfall"),
    "importance": (table(40), None),
    "beeswarm": (table(40), "beeswarm"),
    "dependence": (table(40), "dependence"),
}
