"""Interned nodes: building the same node twice gives the same object.

Equality is therefore identity, hashing is free, and a shared subplan is one node. A copy of a node is the node, and so
is what comes back from a pickle of it in the same process; in another process it is the node of the same content and
`key` there. `key` is a digest of a node's content that does not depend on the process, for canonical orders and seeds.

Nodes may be nested as deep as memory allows: nothing here recurses from a node into its operands.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, dataclass_transform
from weakref import WeakValueDictionary

_T = TypeVar("_T")


class _Interning(type):
    """Hands out the one object of a class with the given fields."""

    _pool: WeakValueDictionary[tuple[object, ...], object] = WeakValueDictionary()
    _lock = threading.Lock()

    def __call__(cls: type[_T], *args: Any, **kwargs: Any) -> _T:
        node = super().__call__(*args, **kwargs)  # type: ignore[misc]
        # 1, 1.0, True and Fraction(1) are equal to a dictionary; the types keep them apart.
        content = _values(node)
        identity = (cls, content, tuple(map(type, content)))
        with _Interning._lock:
            return _Interning._pool.setdefault(identity, node)  # type: ignore[return-value]


class Node(metaclass=_Interning):
    """Base of interned frozen dataclasses; subclass it with `@node`.

    `digested_as` keeps the keys of a class that was renamed; orders and seeds are derived from keys.
    """

    digested_as: ClassVar[str | None] = None

    @cached_property
    def key(self) -> str:
        """A digest of the content, the same in every process (hex)."""
        for part in _inner_first(self, without_key=True):
            if part is not self:
                _ = part.key  # the keys of its own parts are known by now
        digest = hashlib.blake2b((self.digested_as or type(self).__name__).encode(), digest_size=12)
        for value in _values(self):
            digest.update(_content(value))
        return digest.hexdigest()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[..., Node], tuple[list[_Record]]]:
        """All nodes below and this one, flat: a pickle that followed the operands would recurse once an operand."""
        places: dict[Node, _Numbered] = {}
        records: list[_Record] = []
        for part in _inner_first(self):
            records.append((type(part), tuple(_mapped(value, places.__getitem__) for value in _values(part))))
            places[part] = _Numbered(len(places))
        return _rebuilt, (records,)


class _Numbered(NamedTuple):
    """Stands in a pickle for a node: where its record lies among those of all nodes."""

    number: int


_Record = tuple[type[Node], tuple[object, ...]]


def _rebuilt(records: list[_Record]) -> Node:
    """The last of the nodes that `Node.__reduce__` wrote down, each after its parts."""
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


def _values(node: object) -> tuple[object, ...]:
    return tuple(getattr(node, field.name) for field in fields(node))  # type: ignore[arg-type]


def _nodes_in(value: object) -> Iterator[Node]:
    """The nodes in a field's value: itself, or those in a tuple or in tuples of tuples."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _nodes_in(part)


def _inner_first(root: Node, *, without_key: bool = False) -> Iterator[Node]:
    """Every distinct node in `root` and at last `root` itself, parts before what holds them; with `without_key` only
    nodes whose key is not known yet."""
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
        inner = [each for value in _values(part) for each in _nodes_in(value)]
        stack.extend((each, False) for each in reversed(inner))


def _content(value: object) -> bytes:
    if isinstance(value, Node):
        return b"<" + value.key.encode() + b">"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_content, value)) + b")"
    return f"[{type(value).__name__}:{value!r}]".encode()


@dataclass_transform(frozen_default=True)
def node(cls: type[_T]) -> type[_T]:
    """A frozen dataclass that compares and hashes by identity, which interning makes the same as by content."""
    return dataclass(frozen=True, eq=False)(cls)
