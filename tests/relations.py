"""Answers made by hand, for the tests of what is done with answers: no model, no query, no session."""

from __future__ import annotations

import numpy as np

from ialgebra.results.attribution import Attribution
from ialgebra.results.relation import Relation, Stats

STATS = Stats(rows=1024, seconds=1.25, bound_met=True, batches=32, forward_seconds=1.0, reused_rows=0)


def grid(rows: int, cols: int, shape: tuple[int, int, int] = (3, 8, 8)) -> np.ndarray:
    """Players of a grid over an image, all channels of a pixel in one player."""
    _, high, wide = shape
    r, c = np.mgrid[0:high, 0:wide]
    return np.broadcast_to((r * rows // high) * cols + c * cols // wide, shape).copy()


def attribution(values, players=None, content=None, **fields) -> Attribution:
    """An Attribution of these values; by default an image of one grey, on a grid of one row."""
    values = np.asarray(values, dtype=float)
    if players is None:
        players = grid(1, len(values))
    players = np.asarray(players)
    content = np.zeros(players.shape) if content is None else content
    sizes = np.bincount(players[players >= 0].ravel(), minlength=len(values))
    each = np.append(values / np.maximum(sizes, 1), 0.0)  # the last is for −1, outside the window
    usual = {
        "map": each[players],
        "values": values,
        "stderr": np.zeros(len(values)),
        "players": players,
        "label": "f(x)",
        "model": "f",
        "layer": None,
        "input": "x",
        "baseline": "zeros",
        "target": 1,
        "target_name": "espresso",
        "base_value": 0.5,
        "full_value": 0.5 + float(values.sum()),
        "kind": "image",
        "content": content,
        "feature_names": None,
        "method": "exact",
        "component": None,
        "item": 0,
    }
    return Attribution(**(usual | fields))


def tabular(values, **fields) -> Attribution:
    players = np.arange(len(values))
    return attribution(values, players, **({"kind": "tabular", "content": np.linspace(-1, 1, len(values))} | fields))


def tokens(words: str, values, **fields) -> Attribution:
    named = {"kind": "tokens", "content": np.arange(len(values)), "feature_names": tuple(words.split())}
    return attribution(values, **({"players": np.arange(len(values))} | named | fields))


def relation(*attributions: Attribution, **fields) -> Relation:
    usual = {
        "attributions": attributions,
        "stats": STATS,
        "plan": "the plan",
        "details": {"rows": 1024},
        "text": None,
        "query": "select * from f(x)",
        "provenance": {"seed": 0},
    }
    return Relation(**(usual | fields))
