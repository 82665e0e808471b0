"""The coarse game of a query: its players put together into a few blocks, so few that all coalitions are evaluated.

In: a lowered query, and the rows that a game may take. Out: the query with blocks of neighbours as players, or None
where it has few players anyway, or games that are not Shapley values. A coalition of blocks is a coalition of their
players: its row is a row of the finer game. It runs no model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..algebra.operators import Estimation
from ..interpreters.shipped import SHAPLEY
from ..system.arrays import Floats, Ints
from .compile import Lowered
from .games import Answer, Board, Game, GameTerm, Hybrids

_WORTH = 4  # times fewer rows than the finer games have, from which a coarse game is worth its rows


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The players of a board and of its hybrids put together."""

    labels: NDArray[np.int64]
    active: NDArray[np.int64]
    hybrids: Hybrids
    count: int


def coarse(lowered: Lowered, rows: int, finer: int) -> Lowered | None:
    """The query over blocks, whose games take at most `rows` coalitions each; `finer` is how many rows the finer games
    of the whole query take."""
    most = int(math.log2(rows)) if rows else 0
    answers = lowered.answers(rewrite=lowered.strategy.rewrite, dual=lowered.strategy.dual is not False)
    terms = [term for each in answers for answer in each for term in answer.terms]
    plain = all(term.part == "shapley" and term.game.estimation.interpreter == SHAPLEY for term in terms)
    hybrids = {id(term.game.hybrids): term.game.hybrids for term in terms}
    blocks = [min(most, each.players) for each in hybrids.values()]
    taken = sum((1 << count) * each.rows for count, each in zip(blocks, hybrids.values(), strict=True))
    if most < 2 or not plain or not hybrids or _WORTH * taken > finer:
        return None
    made = _Coarse(most)
    return replace(
        lowered,
        _answers={
            (rewrite, dual): tuple(
                tuple(map(made.answer, each)) for each in lowered.answers(rewrite=rewrite, dual=dual)
            )
            for rewrite in (True, False)
            for dual in (True, False)
        },
        _traces={},
        _laws={},
    )


class _Coarse:
    """Makes answers over blocks; boards and hybrids that were one stay one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[int, tuple[Board, _Blocks]] = {}
        self._hybrids: dict[tuple[str, bytes], Hybrids] = {}

    def answer(self, answer: Answer) -> Answer:
        """An answer over blocks."""
        terms = tuple(map(self._term, answer.terms))
        return replace(answer, terms=terms, board=self._board(answer.board))

    def _term(self, term: GameTerm) -> GameTerm:
        board = self._board(term.board)
        read = term.game.target, term.game.output
        game = Game(term.game.model, term.game.layer, board.hybrids, *read, Estimation())
        return GameTerm(term.coefficient, game, board, term.part)

    def _board(self, board: Board) -> Board:
        if id(board) not in self._known:
            self._known[id(board)] = board, self._blocks(board)
        blocks = self._known[id(board)][1]
        return Board(blocks.labels, blocks.active, blocks.hybrids, board.swapped, blocks.count)

    def _blocks(self, board: Board) -> _Blocks:
        hybrids = board.hybrids
        if hybrids.players <= self._most:
            return _Blocks(board.labels, board.active, hybrids, board.count)
        place = np.full(board.count + 1, -1, dtype=np.int64)
        block_of = halved(_centres(board)[board.active], self._most)
        count = int(block_of.max()) + 1
        place[:-1] = count  # players that equal the background are one player of no effect
        place[board.active] = block_of
        own = np.append(block_of, -1)[hybrids.segments]
        key = hybrids.key, block_of.tobytes()
        if key not in self._hybrids:
            self._hybrids[key] = replace(hybrids, segments=own, players=count, key=f"{hybrids.key} in {count} blocks")
        labels = place[board.labels]
        return _Blocks(labels, np.arange(count), self._hybrids[key], int(labels.max(initial=-1)) + 1)


def _centres(board: Board) -> Floats:
    """(players, axes) the mean position of each player's features."""
    inside = board.labels >= 0
    player = board.labels[inside]
    sizes = np.maximum(np.bincount(player, minlength=board.count), 1)
    mean = partial(np.bincount, player, minlength=board.count)
    return np.stack([mean(weights=axis) / sizes for axis in np.nonzero(inside)], axis=1)


def halved(centres: Floats, most: int) -> Ints:
    """(players,) the block of each player, of at most `most`: halves by the axis along which they lie furthest apart,
    halved again as long as there are enough blocks."""
    blocks = [np.arange(len(centres))]
    while 2 * len(blocks) <= most and all(len(each) > 1 for each in blocks):
        blocks = [half for each in blocks for half in _halves(each, centres)]
    found = np.empty(len(centres), dtype=np.int64)
    for number, each in enumerate(blocks):
        found[each] = number
    return found


def _halves(players: Ints, centres: Floats) -> tuple[Ints, Ints]:
    own = centres[players]
    axis = int(np.ptp(own, axis=0).argmax())
    order = players[np.argsort(own[:, axis], kind="stable")]
    return order[: (len(order) + 1) // 2], order[(len(order) + 1) // 2 :]
