"""Supports: which elements of an input each element of an activation can see, by interval arithmetic.

In: a graph, and the shapes of its values. Out: for the values of a prefix of the graph a `Support`. Along each axis of
the input, what an element sees lies in an interval, which depends on the element's place along one axis of the
activation. Intervals may be too wide, never too narrow. Knows shapes and settings of operations, and no number of an
activation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
_BEYOND = np.iinfo(np.int32).max  # where nothing is seen, the interval begins here and ends at 0


class Link(NamedTuple):
    """What is seen along one axis of the input: from `low` (n,) to before `high` (n,), by the place along `axis` of the
    activation, counted with the batch; without an axis n is 1."""

    axis: int | None
    low: Places
    high: Places

    @property
    def widest(self) -> Link:
        """What all places together see."""
        return Link(None, self.low.min(keepdims=True), self.high.max(keepdims=True))

    def at(self, places: Places) -> Link:
        """The link along an axis with these places, −1 for places that see nothing."""
        inside = places >= 0
        low, high = self.low[np.maximum(places, 0)], self.high[np.maximum(places, 0)]
        return Link(self.axis, np.where(inside, low, _BEYOND), np.where(inside, high, 0))

    def windows(self, places: Places) -> Link:
        """The link along an axis whose places see each a row of `places` (n, k), −1 for none."""
        found = self.at(places.ravel())
        return Link(
            self.axis, found.low.reshape(places.shape).min(axis=1), found.high.reshape(places.shape).max(axis=1)
        )

    def union(self, other: Link) -> Link:
        """What is seen by either, for links along one axis, or along none."""
        return Link(
            self.axis if self.axis is not None else other.axis,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


@dataclass(frozen=True, eq=False)
class Support:
    """What each element of an activation of `shape` (with 1 for the batch) sees: a link for each axis of the input."""

    shape: tuple[int, ...]
    links: tuple[Link, ...]

    @classmethod
    def of_input(cls, shape: Sequence[int]) -> Support:
        """Each element of the input sees itself."""
        each = [Link(axis, np.arange(size), np.arange(size) + 1) for axis, size in enumerate(shape[1:], start=1)]
        return cls(tuple(shape), tuple(each))

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which elements see different parts of the input."""
        return tuple(sorted({link.axis for link in self.links if link.axis is not None}))

    def along(self, axis: int, change: Callable[[Link], Link]) -> Support:
        """The links along one axis changed."""
        return Support(self.shape, tuple(change(link) if link.axis == axis else link for link in self.links))

    def mixed(self, axes: Iterable[int]) -> Support:
        """Every place along these axes sees what all of them see."""
        gone = set(axes)
        return Support(self.shape, tuple(link.widest if link.axis in gone else link for link in self.links))

    def shaped(self, shape: Sequence[int]) -> Support | None:
        """The support of an activation of this shape; None if the links do not fit it."""
        fits = all(
            len(link.low) == (1 if link.axis is None else shape[link.axis] if link.axis < len(shape) else -1)
            for link in self.links
        )
        return Support(tuple(shape), self.links) if fits and len(shape) > 1 and shape[0] == 1 else None

    def moved(self, order: Sequence[int], shape: Sequence[int]) -> Support | None:
        """The support of the activation with its axes in this order: the new axis i is the old axis `order[i]`."""
        places = {old: new for new, old in enumerate(order)}
        links = [link if link.axis is None else link._replace(axis=places[link.axis]) for link in self.links]
        return Support(tuple(shape), tuple(links)).shaped(shape)

    def merged(self, first: int, last: int) -> Support:
        """The axes `first` to `last` made into one."""
        sizes = self.shape[first : last + 1]
        grid = dict(zip(range(first, last + 1), np.indices(sizes).reshape(len(sizes), -1), strict=True))

        def of(link: Link) -> Link:
            if link.axis is None or link.axis < first:
                return link
            if link.axis > last:
                return link._replace(axis=link.axis - (last - first))
            return Link(first, link.low[grid[link.axis]], link.high[grid[link.axis]])

        shape = (*self.shape[:first], int(np.prod(sizes)), *self.shape[last + 1 :])
        return Support(shape, tuple(map(of, self.links)))


def together(supports: Sequence[Support], shape: Sequence[int]) -> Support | None:
    """What an element sees that is computed from the elements at its place of several activations, which are broadcast
    to `shape`; None if they see the input along different axes."""
    spread = [_spread(each, shape) for each in supports]
    links: list[Link] = []
    for several in zip(*(each.links for each in spread), strict=True):
        axes = {link.axis for link in several if link.axis is not None}
        if len(axes) > 1:
            return None
        link = several[0]
        for other in several[1:]:
            link = link.union(other)
        links.append(link)
    return Support(tuple(shape), tuple(links)).shaped(shape)


def _spread(support: Support, shape: Sequence[int]) -> Support:
    """A support as it is after its activation was broadcast to a shape."""
    more = len(shape) - len(support.shape)

    def of(link: Link) -> Link:
        if link.axis is None:
            return link
        axis = link.axis + more
        if len(link.low) == shape[axis]:
            return link._replace(axis=axis)
        return Link(axis, np.repeat(link.low, shape[axis]), np.repeat(link.high, shape[axis]))

    return Support(tuple(shape), tuple(map(of, support.links)))


def joined(supports: Sequence[Support], axis: int, shape: Sequence[int]) -> Support | None:
    """The support of activations that are joined along an axis."""
    links: list[Link] = []
    for several in zip(*(each.links for each in supports), strict=True):
        axes = {link.axis for link in several}
        if len(axes - {None}) > 1:
            return None
        if axes == {axis}:
            ends = [np.concatenate(each) for each in zip(*(link[1:] for link in several), strict=True)]
            links.append(Link(axis, *ends))
            continue
        if axis in axes:  # others see the same from all places along it
            sizes = [each.shape[axis] for each in supports]
            parts = [
                (link.low, link.high) if link.axis == axis else (np.repeat(link.low, n), np.repeat(link.high, n))
                for link, n in zip(several, sizes, strict=True)
            ]
            links.append(Link(axis, *(np.concatenate(each) for each in zip(*parts, strict=True))))
            continue
        link = several[0]
        for other in several[1:]:
            link = link.union(other)
        links.append(link)
    return Support(tuple(shape), tuple(links)).shaped(shape)


_PADDING = {"zeros": "constant", "constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(size: int, before: int, after: int, mode: str) -> Places | None:
    """The places of a padded axis, as places of the axis, −1 for what is filled in; None for padding that is not known.
    Negative padding cuts."""
    if mode not in _PADDING:
        return None
    places = np.arange(size)[max(0, -before) : size - max(0, -after)]
    wide = max(0, before), max(0, after)
    if _PADDING[mode] == "constant":
        return np.pad(places, wide, constant_values=-1)
    return np.pad(places, wide, mode=_PADDING[mode])  # type: ignore[call-overload,no-any-return]


def slid(places: Places, count: int, size: int, stride: int, dilation: int) -> Places:
    """What `count` windows of `size` places see of an axis with these `places`: (count, size)."""
    index = np.arange(count)[:, None] * stride + np.arange(size)[None] * dilation
    return np.where(index < len(places), places[np.minimum(index, len(places) - 1)], -1)


def slid_backwards(size: int, count: int, window: int, stride: int, padding: int, dilation: int) -> Places:
    """What each of `count` places sees of an axis of `size` places, of which each is spread over a window."""
    shifted = np.arange(count)[:, None] + padding - np.arange(window)[None] * dilation
    source = shifted // stride
    return np.where((shifted % stride == 0) & (source >= 0) & (source < size), source, -1)


def shared_out(size: int, count: int) -> Places:
    """What `count` places see of an axis of `size` places that adaptive pooling shares out among them."""
    first, end = np.arange(count) * size // count, -(-(np.arange(count) + 1) * size // count)
    index = first[:, None] + np.arange(int((end - first).max()))[None]
    return np.where(index < end[:, None], index, -1)


_REACH = 3  # places to either side that an interpolated place may see, more than any kernel needs


def resampled(size: int, count: int, scale: float | None) -> Places:
    """What `count` places see of an axis of `size` places that is interpolated, by `scale` if it was given."""
    place = np.arange(count)
    centres = [
        place * size / count,
        (place + 0.5) * size / count - 0.5,
        place * (size - 1) / max(1, count - 1),
        *([] if scale is None else [place / scale, (place + 0.5) / scale - 0.5]),
    ]
    low = np.floor(np.min(centres, axis=0)).astype(np.int64) - _REACH
    high = np.ceil(np.max(centres, axis=0)).astype(np.int64) + _REACH
    index = low[:, None] + np.arange(int((high - low).max()) + 1)[None]
    return np.where((index >= 0) & (index < size) & (index <= high[:, None]), index, -1)


def sections(sizes: Sequence[int]) -> list[slice]:
    """Where the parts of an axis lie that is split into parts of these sizes."""
    ends = list(itertools.accumulate(sizes))
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
