"""Interned nodes: building the same node twice gives the same object.

So equal nodes are identical, hashing is cheap, and a shared subplan is one node. Copying a node, or pickling and
loading it in the same process, gives the same object; loading it in another process gives the node with the same
content and `key` there. `key` is a digest of a node's content that is the same in every process, for canonical orders
and seeds.

Nodes may be nested as deep as memory allows: no function here recurses from a node into its operands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, dataclass_transform
from weakref import WeakValueDictionary

from ..system import forking

_T = TypeVar("_T")
_MOST_SHOWN = 2_000  # characters of a node that are shown inside another node


class _Interning(type):
    """The metaclass of nodes: a constructor returns the existing node with the same class and fields, if there is
    one."""

    _pool: WeakValueDictionary[tuple[object, ...], object] = WeakValueDictionary()
    _lock = forking.lock()

    def __call__(cls: type[_T], *args: Any, **kwargs: Any) -> _T:
        if not kwargs and len(args) == len(cls.__match_args__):  # type: ignore[attr-defined]
            with _Interning._lock:  # a node that is there already need not be built once more
                known = _Interning._pool.get((cls, args, tuple(map(type, args))))
            if known is not None:
                return known  # type: ignore[return-value]
        node = super().__call__(*args, **kwargs)  # type: ignore[misc]
        # As dictionary keys 1, 1.0, True and Fraction(1) are equal, so the key also has the types of the fields.
        content = values_of(node)
        identity = (cls, content, tuple(map(type, content)))
        with _Interning._lock:
            return _Interning._pool.setdefault(identity, node)  # type: ignore[return-value]


class Node(metaclass=_Interning):
    """Base of interned frozen dataclasses; subclass it with `@node`.

    `digested_as` is the former name of a renamed class: with it, keys stay the same, and so do orders and seeds.
    """

    digested_as: ClassVar[str | None] = None

    @cached_property
    def key(self) -> str:
        """A digest of the content, the same in every process (hex)."""
        for part in inner_first(self, without_key=True):
            if part is not self:
                _ = part.key  # does not recurse: the keys of its parts are cached already
        digest = hashlib.blake2b((self.digested_as or type(self).__name__).encode(), digest_size=12)
        for value in values_of(self):
            digest.update(_content(value))
        return digest.hexdigest()

    def __repr__(self) -> str:
        """As that of a dataclass, but "…" stands for the fields of nodes whose text would be too long."""
        texts: dict[Node, str] = {}
        for part in inner_first(self):
            texts[part] = repr(part) if type(part).__repr__ is not Node.__repr__ else _constructed(part, texts)
        return texts[self]

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Node], tuple[list[_Record]]]:
        """A flat list of this node and all nodes below it; pickling operands one inside the other would recurse."""
        places: dict[Node, _Numbered] = {}
        records: list[_Record] = []
        for part in inner_first(self):
            records.append((type(part), tuple(_mapped(value, places.__getitem__) for value in values_of(part))))
            places[part] = _Numbered(len(places))
        return _rebuilt, (records,)


class _Numbered(NamedTuple):
    """A reference to a node in a pickle: the position of its record in the list of records."""

    number: int


_Record = tuple[type[Node], tuple[object, ...]]


def _rebuilt(records: list[_Record]) -> Node:
    """Build the nodes that `Node.__reduce__` recorded, parts before the nodes that hold them; return the last one."""
    built: list[Node] = []
    for kind, values in records:
        built.append(kind(*(_filled_in(value, built) for value in values)))
    return built[-1]


def _filled_in(value: object, built: list[Node]) -> object:
    if isinstance(value, _Numbered):
        return built[value.number]
    return tuple(_filled_in(part, built) for part in value) if isinstance(value, tuple) else value


def _mapped(value: object, place: Callable[[Node], _Numbered]) -> object:
    if isinstance(value, Node):
        return place(value)
    return tuple(_mapped(part, place) for part in value) if isinstance(value, tuple) else value


def values_of(node: object) -> tuple[object, ...]:
    """The values of a node's fields, in order."""
    return tuple([getattr(node, name) for name in type(node).__match_args__])  # type: ignore[attr-defined]


def fields_of(node: object) -> Iterator[tuple[str, Any]]:
    """The names and values of a node's fields, in order."""
    return zip(type(node).__match_args__, values_of(node), strict=True)  # type: ignore[attr-defined]


def _nodes_in(value: object) -> Iterator[Node]:
    """The nodes in a field's value: the value itself, or the nodes in a tuple, also in nested tuples."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _nodes_in(part)


def inner_first(root: Node, *, without_key: bool = False) -> Iterator[Node]:
    """Every distinct node in `root`, parts before the nodes that hold them, and `root` last; with `without_key` only
    nodes whose key is not computed yet."""
    seen: set[Node] = set()
    stack = [(root, False)]
    while stack:
        part, ready = stack.pop()
        if part in seen or (without_key and "key" in vars(part)):
            continue
        if ready:
            seen.add(part)
            yield part
            continue
        stack.append((part, True))
        inner = [each for value in values_of(part) for each in _nodes_in(value)]
        stack.extend((each, False) for each in reversed(inner))


def _constructed(node: Node, texts: dict[Node, str]) -> str:
    """The text of a node, from the texts of the nodes in it."""

    def shown(value: object) -> str:
        if isinstance(value, Node):
            text = texts[value]
            return text if len(text) <= _MOST_SHOWN else f"{type(value).__name__}(…)"
        if isinstance(value, tuple):
            return f"({', '.join(map(shown, value))}{',' * (len(value) == 1)})"
        return repr(value)

    return f"{type(node).__name__}({', '.join(f'{name}={shown(value)}' for name, value in fields_of(node))})"


def _content(value: object) -> bytes:
    if isinstance(value, Node):
        return b"<" + value.key.encode() + b">"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_content, value)) + b")"
    return f"[{type(value).__name__}:{value!r}]".encode()


@dataclass_transform(frozen_default=True)
def node(cls: type[_T]) -> type[_T]:
    """A frozen dataclass that compares and hashes by identity, which is the same as by content because nodes are
    interned."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)
