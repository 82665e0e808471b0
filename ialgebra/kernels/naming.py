"""Names for inputs, made so that the name of a hybrid follows from its coalition.

In: tensors, segments, coalitions. Out: 128-bit names, equal where every bit of two inputs is equal. Knows tensors and
arrays only: no store, no model, no plan.

The name of an input is two sums modulo 2^64 of pseudo-random numbers, one for each element, which depends on the
element's position and value. This is AdHash (Bellare & Micciancio, EUROCRYPT 1997), a sum where Zobrist's hashing of
chess boards has an exclusive or. To add a player to a coalition always adds the same number to the name, so m hybrids
of d players are named with m × d additions, and no hybrid has to be read as a whole. The name of x_S depends only on
its content: not on which of x and x' is the foreground, on the window, or on how features are grouped into players. The
chance that two different inputs among n share a name is about n² / 2^129: 10^-27 for a million inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..system.tensors import bits_of

HashNumbers = NDArray[np.uint64]

_CELLS = 1 << 22  # entries of the coalition matrix that are converted to 64-bit numbers at a time: 32 MiB
_AT_A_TIME = 1 << 15  # numbers of inputs that are named together, so that they stay near the processor


def element_numbers(tensor: Tensor) -> HashNumbers:
    """The numbers (2, *shape) that the elements of `tensor` (*shape) add to its name; 1.5 ms for 150,528 elements."""
    array = np.ascontiguousarray(bits_of(tensor))
    bits = array.view(f"u{array.itemsize}").astype(np.uint64)
    return _mixed(bits ^ _places(array.size).reshape(2, *array.shape))


def whole_name(tensor: Tensor, numbers: HashNumbers, packing: str = "") -> HashNumbers:
    """The name (2,) of a whole input, made from its dtype, its shape, its `element_numbers`, and a text that tells in
    what form models are given it, if not as it is."""
    name: HashNumbers = _of_form(tensor, packing) + numbers.reshape(2, -1).sum(axis=1)
    return name


def _of_form(tensor: Tensor, packing: str = "") -> HashNumbers:
    form = hashlib.blake2b(f"{tensor.dtype}{tuple(tensor.shape)}{packing}".encode(), digest_size=16).digest()
    return np.frombuffer(form, dtype=np.uint64)


def whole_names(tensors: Sequence[Tensor]) -> HashNumbers:
    """The names (n, 2) of whole inputs of one dtype and shape: those that `whole_name` gives, some at a time."""
    form = _of_form(tensors[0])
    names = np.empty((len(tensors), 2), dtype=np.uint64)
    size = max(1, _AT_A_TIME // max(1, tensors[0].numel()))
    for first in range(0, len(tensors), size):
        some = torch.stack([*tensors[first : first + size]])
        array = np.ascontiguousarray(bits_of(some.reshape(len(some), tensors[0].numel())))
        bits = array.view(f"u{array.itemsize}").astype(np.uint64)
        for half, places in enumerate(_places(array.shape[1])):
            names[first : first + size, half] = form[half] + _mixed(bits ^ places).sum(axis=1)
    return names


def hybrid_names(
    background: HashNumbers,
    foreground: HashNumbers,
    name: HashNumbers,
    segments: NDArray[np.int64],
    coalitions: NDArray[np.bool_],
) -> HashNumbers:
    """The names (m, 2) of the hybrids x_S of `coalitions` (m, d).

    background, foreground: `element_numbers` (2, *shape) of both; name: (2,) of the background as a whole; segments:
    the player of each element, −1 for none, broadcastable to shape.
    """
    added = foreground - background
    for axis, length in enumerate(segments.shape, start=1):
        if length == 1:
            added = added.sum(axis=axis, keepdims=True)
    players = coalitions.shape[1]
    numbers = np.zeros((players + 1, 2), dtype=np.uint64)  # the last entry: elements of no player
    for half in range(2):
        np.add.at(numbers[:, half], segments.ravel(), added[half].ravel())
    rows = max(1, _CELLS // max(1, players))
    pieces = [coalitions[first : first + rows] @ numbers[:-1] for first in range(0, len(coalitions), rows)]
    return name + np.concatenate(pieces)


@lru_cache(maxsize=4)
def _places(count: int) -> HashNumbers:
    """Two pseudo-random numbers for each place, (2, count): the same in every process."""
    return np.random.default_rng(count).integers(0, 1 << 64, size=(2, count), dtype=np.uint64)


def _mixed(numbers: HashNumbers) -> HashNumbers:
    """A permutation of the numbers below 2^64 without visible order, in place (Steele, Lea & Flood, OOPSLA 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers ^= numbers >> np.uint64(shift)
        numbers *= np.uint64(factor)
    numbers ^= numbers >> np.uint64(31)
    return numbers
