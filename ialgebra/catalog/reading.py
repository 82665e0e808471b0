"""Collections that are read when they are needed: arrays over files, datasets, folders of pictures.

In: such a value, as a caller registered it. Out: its elements as raw values, one at a time, and the words that errors
call them by; and a sequence of read elements that keeps few of them. It may not know kinds, layouts or queries.

A query reads each element anew, so that a file that changed is never answered from memory: what an element is called is
its content as this query read it. An element that a query reads twice must be the same both times.
"""

from __future__ import annotations

import array
import math
from collections import OrderedDict, UserList, UserString, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib import import_module
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor

from ..errors import BindError, IalgebraError, ShapeError
from ..system import forking
from .frames import is_frame

BLOCK_BYTES = 64 << 20
"""The most bytes of the elements that are held at a time to be planned or run together."""

MOST_IN_A_BLOCK = 1024
"""The most elements that are held at a time to be planned or run together."""

_BLOCKS_HELD = 2  # one that is read while the one before is still used
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
_ONE_VALUE = (str, bytes, bytearray, memoryview, UserString)
_IN_MEMORY = (*_ONE_VALUE, list, tuple, range, array.array, deque, UserList, Mapping, Set, np.ndarray, Tensor)


def block_of(nbytes: int) -> int:
    """How many elements of so many bytes make a block; at least 1."""
    return max(1, min(MOST_IN_A_BLOCK, BLOCK_BYTES // max(1, nbytes)))


class HasDigest(Protocol):
    """An element, which has a name for its content."""

    @property
    def digest(self) -> str: ...


_Element = TypeVar("_Element", bound=HasDigest)


@dataclass(frozen=True)
class FileArray:
    """An array in a file, from a byte on: what `numpy.memmap` is told, or `torch.from_file`."""

    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    order: Literal["C", "F"] = "C"
    torch: bool = False

    def array(self) -> np.memmap | Tensor:
        """The array, mapped into memory again."""
        if not self.torch:
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)
        dtype: torch.dtype = getattr(torch, self.dtype)
        first, count = self.offset // dtype.itemsize, math.prod(self.shape)
        return torch.from_file(self.path, shared=True, size=first + count, dtype=dtype)[first:].reshape(self.shape)


@dataclass(frozen=True)
class Folder:
    """A folder of pictures."""

    path: str


@dataclass(frozen=True, eq=False)
class RawItems:
    """The elements of a collection as they lie: `count` of them, which `raw` reads one at a time.

    `listed` says that they are separate values; if not, they lie along the first axis of one array. `origin` says how
    to register the collection again; None if it can only be copied. `labelled` says that `raw` returns an element with
    its label. `labels` are those that are known without reading.
    """

    name: str
    count: int
    raw: Callable[[int], object]
    said: Callable[[int], str]
    listed: bool = True
    origin: FileArray | Folder | None = None
    labelled: bool = False
    labels: tuple[str, ...] | None = None

    def read(self, index: int) -> object:
        """One element as it lies; BindError if it cannot be read."""
        found = self._item(index)
        if self.labelled:
            if not isinstance(found, tuple) or not found:
                raise BindError(
                    f"{self.said(index)} of '{self.name}' is a {type(found).__name__}, while the first is a pair of an "
                    "element and its label; make all of one form"
                )
            return found[0]
        return found

    def label(self, index: int) -> int | str:
        """The label of one element; BindError if it is neither a whole number nor a name."""
        found = cast("tuple[object, ...]", self._item(index))
        label = plain_label(found[1]) if isinstance(found, tuple) and len(found) > 1 else None
        if label is None:
            raise BindError(f"{self.said(index)} of '{self.name}' has no label that is a whole number or a name")
        return label

    def _item(self, index: int) -> object:
        try:
            return self.raw(index)
        except IalgebraError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise BindError(f"{self.said(index)} of '{self.name}' could not be read: {reason}") from error


def plain_label(value: object) -> int | str | None:
    """A label as a whole number or a name; None for any other value."""
    if isinstance(value, Tensor | np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, str):
        return value
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def raw_items(name: str, value: object) -> RawItems | None:
    """The elements of a value that is read when it is needed; None for a value that is held in memory.

    Raises ShapeError for an empty one, BindError for a folder that cannot be read.
    """
    if isinstance(value, np.memmap):
        return _of_array(name, value)
    if isinstance(value, Tensor):
        return _of_tensor(name, value)
    if is_folder(value):
        return _of_folder(name, Path(cast("str | PathLike[str]", value)))
    return _of_dataset(name, value) if _is_dataset(value) else None


def is_folder(value: object, *, bare: bool = False) -> bool:
    """Whether a value is the path of a folder. A str without a slash may be a text: it is one only if `bare`."""
    if not isinstance(value, str | PathLike) or (isinstance(value, str) and not bare and not {"/", "\\"} & set(value)):
        return False
    try:
        return Path(value).is_dir()
    except (OSError, ValueError):  # longer than any path, or with a null character: a text
        return False


def _of_array(name: str, value: np.memmap) -> RawItems | None:
    if value.ndim < 2 or value.dtype.hasobject or value.dtype.names:
        return None  # one input, or none: copied, or refused, as any array is
    origin = None
    if value.filename is not None and not isinstance(value.base, np.ndarray):  # else it is a part of another array
        order: Literal["C", "F"] = "C" if value.flags.c_contiguous else "F"
        origin = FileArray(str(value.filename), value.dtype.str, value.offset, value.shape, order)
    return RawItems(name, len(value), lambda index: np.array(value[index]), _numbered, listed=False, origin=origin)


def _of_tensor(name: str, value: Tensor) -> RawItems | None:
    if value.dim() < 2 or value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        return None
    path = getattr(value.untyped_storage(), "filename", None)
    if path is None:
        return None
    origin = None
    if value.is_contiguous():
        offset = int(value.storage_offset()) * value.itemsize
        kind = str(value.dtype).removeprefix("torch.")
        origin = FileArray(str(path), kind, offset, tuple(value.shape), torch=True)
    return RawItems(name, len(value), lambda index: value[index], _numbered, listed=False, origin=origin)


def _is_dataset(value: object) -> bool:
    of = type(value)
    known = isinstance(value, _IN_MEMORY) or is_frame(value)
    arrays = any(hasattr(of, each) for each in ("__array__", "__array_interface__", "__dlpack__", "keys"))
    return not known and not arrays and hasattr(of, "__len__") and hasattr(of, "__getitem__")


def _of_dataset(name: str, value: object) -> RawItems:
    dataset = cast("Sequence[object]", value)
    count = len(dataset)
    if count == 0:
        raise ShapeError(f"collection '{name}' is empty: its dataset has length 0")
    items = RawItems(name, count, dataset.__getitem__, _numbered)
    first = items.read(0)
    if not isinstance(first, tuple):
        return items
    if not first:
        raise ShapeError(f"element 0 of '{name}' is an empty tuple; a dataset gives (element, label), or the element")
    return RawItems(name, count, dataset.__getitem__, _numbered, labelled=True)


def _of_folder(name: str, path: Path) -> RawItems:
    try:
        pictures = import_module("PIL.Image")
    except ImportError:
        raise BindError("a folder of pictures is read by Pillow; install it: pip install Pillow") from None
    try:
        found = sorted(
            each.relative_to(path)
            for each in path.rglob("*")
            if each.suffix.lower() in _PICTURES
            and not any(part.startswith(".") for part in each.relative_to(path).parts)
        )
    except OSError as error:
        raise BindError(f"folder '{path}' of '{name}' cannot be read: {error.strerror or error}") from error
    if not found:
        raise ShapeError(f"folder '{path}' of '{name}' holds no pictures ({', '.join(sorted(_PICTURES))})")

    def raw(index: int) -> object:
        with pictures.open(path / found[index]) as picture:
            picture.load()
            return picture

    labels = tuple(each.parts[0] for each in found) if all(len(each.parts) > 1 for each in found) else None
    origin = Folder(str(path.resolve()))
    return RawItems(name, len(found), raw, lambda index: f"picture '{found[index]}'", origin=origin, labels=labels)


def _numbered(index: int) -> str:
    return f"element {index}"


class _ItemLabels(Sequence[int | str]):
    """The labels of a dataset's items, each read when it is asked for, and then kept; all numbers, or all names."""

    def __init__(self, items: RawItems, first: int | str) -> None:
        self._items, self._known = items, {0: first}

    def __len__(self) -> int:
        return self._items.count

    @overload
    def __getitem__(self, index: int) -> int | str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int | str]: ...
    def __getitem__(self, index: int | slice) -> int | str | Sequence[int | str]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        index = range(len(self))[index]
        if index not in self._known:
            label = self._items.label(index)
            if type(label) is not type(self._known[0]):
                raise BindError(
                    f"the label of {self._items.said(index)} of '{self._items.name}' is {label!r}, and that of the "
                    f"first is {self._known[0]!r}; labels are all whole numbers or all names"
                )
            self._known[index] = label
        return self._known[index]


def item_labels(items: RawItems) -> Sequence[int] | Sequence[str] | None:
    """The labels that a collection brings with it: those that are known, or those of a dataset whose items are pairs.
    None if there are none, or if what its items hold beside the element is no label."""
    if not items.labelled:
        return items.labels
    raw = items.raw(0)
    label = plain_label(raw[1]) if isinstance(raw, tuple) and len(raw) > 1 else None
    return None if label is None else cast("Sequence[int] | Sequence[str]", _ItemLabels(items, label))


class ReadElements(Sequence[_Element], Generic[_Element]):
    """The elements of a collection, each read when it is asked for. Those that were used last are kept, up to two
    blocks; `opened` gives the same elements as another query reads them.

    Raises what `read` raises, and BindError for an element that has changed since it was first read.
    """

    def __init__(self, count: int, nbytes: int, said: Callable[[int], str], read: Callable[[int], _Element]) -> None:
        self._count, self._nbytes, self._said, self._read = count, nbytes, said, read
        self._most = _BLOCKS_HELD * block_of(nbytes)
        self._kept: OrderedDict[int, _Element] = OrderedDict()
        self._digests: dict[int, str] = {}
        self._lock = forking.lock()

    def opened(self, *, again: bool = False) -> ReadElements[_Element]:
        """The same elements, none of them read yet; with `again` they must be what they were found to be here."""
        found = ReadElements(self._count, self._nbytes, self._said, self._read)
        if again:
            found._digests = self._digests
        return found

    @property
    def block(self) -> int:
        """How many elements are planned and run together."""
        return block_of(self._nbytes)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_Element]:
        return (self[index] for index in range(self._count))

    @overload
    def __getitem__(self, index: int) -> _Element: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_Element]: ...
    def __getitem__(self, index: int | slice) -> _Element | Sequence[_Element]:
        if isinstance(index, slice):
            return [self[each] for each in range(self._count)[index]]
        index = range(self._count)[index]
        with self._lock:
            if (known := self._kept.get(index)) is not None:
                self._kept.move_to_end(index)
                return known
            found = self._read(index)
            digest = found.digest
            if self._digests.setdefault(index, digest) != digest:
                raise BindError(
                    f"{self._said(index)} was read twice and was not the same: a dataset must give the same element "
                    "each time, without random changes, and a file must not change while a query or its answer reads "
                    "it; ask again"
                )
            self._kept[index] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return found

    def digest(self, index: int) -> str:
        """The digest of an element, which is not read again for it."""
        return self._digests.get(index) or self[index].digest
