"""Coalition designs as values: which rows of a game are evaluated, and how an estimator reads them.

A `Design` holds distinct coalitions, ∅ and N first, and with them the chains of permutations or the pairs that they
were drawn as. Each estimator draws its own (`estimators`). Knows nothing of models, values, names or plans.

A design depends on (method, players, rows, seed) alone, so that equal queries use equal coalitions. Sampled designs
contain N∖S with every S, because a Shapley value depends only on the differences v(S) − v(N∖S).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..system.arguments import checked_fields
from ..system.arrays import Bools, Floats, Ints

MAX_EXACT_PLAYERS = 20  # 2^20 rows: 20 MiB of masks and 8 MiB a column; one more player doubles both


@dataclass(frozen=True, eq=False)
class Chains:
    """Paths from ∅ to N; chain 2p + 1 is chain 2p walked backwards, through the complements.

    `rows` (chains, blocks + 1) numbers the coalitions along each path; `block` (chains, players) says in which step of
    the path a player joins, `size` (chains, blocks) how many join in that step: one, unless rows were too few.
    """

    rows: Ints
    block: Ints
    size: Ints


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows 2 + 2p and 3 + 2p are pair p: S, not larger than its complement, and N∖S.

    `size` (pairs,) is |S|; `rate` (pairs,) in (0, 1] is the share of all the pairs of that size that the design holds.
    """

    size: Ints
    rate: Floats


@checked_fields
@dataclass(frozen=True, eq=False)
class Design:
    """Coalitions to evaluate: `coalitions` (m, players) bool, distinct, row 0 is ∅, row 1 is N (no players: one row).

    Equal `key`s mean equal designs. Estimates from equal designs have influences that may be added row by row. Raises
    BindError for a field of another type.
    """

    method: str
    players: int
    seed: int
    coalitions: Bools
    key: tuple[str, int, int, int]
    chains: Chains | None = field(default=None, repr=False)
    pairs: Pairs | None = field(default=None, repr=False)

    @cached_property
    def content(self) -> bytes:
        """A digest of all that an estimator reads of the design: designs of one content are equal, whatever they are
        called."""
        arrays = [np.packbits(self.coalitions, axis=1)]
        for part in (self.chains, self.pairs):
            arrays += [] if part is None else [np.ascontiguousarray(each) for each in vars(part).values()]
        head = (self.method, self.players, self.chains is None, self.pairs is None)
        told = hashlib.blake2b(repr((head, [(each.shape, each.dtype.str) for each in arrays])).encode(), digest_size=16)
        for each in arrays:
            told.update(each.tobytes())
        return told.digest()


def units(design: Design) -> NDArray[np.void]:
    """A key for each independent unit of a design, (units,) bytes. A unit is a pair, or an antithetic pair of chains.

    Designs that differ only in their number of rows have some units in common.
    """
    chains = design.chains
    marks = np.packbits(design.coalitions[2::2], axis=1) if chains is None else np.ascontiguousarray(chains.block[::2])
    return marks.view(f"V{marks.shape[1] * marks.itemsize}").ravel()


def distinct(masks: Bools) -> tuple[Ints, Ints]:
    """(the rows that no earlier row equals, in order; for every row, the position of its equal among these)."""
    packed = np.ascontiguousarray(np.packbits(masks, axis=1))
    _, first, kind = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[kind.ravel()]


def only_distinct(masks: Bools) -> Bools:
    """The rows of `masks` (n, players) that no earlier row equals, in order."""
    return masks[distinct(masks)[0]]
