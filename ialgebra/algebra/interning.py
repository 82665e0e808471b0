"""Interned nodes: building the same node twice gives the same object.

Equality is therefore identity, hashing is free, and a shared subplan is one node. `key` is a digest of a node's content
that does not depend on the process, for canonical orders and seeds.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, TypeVar, dataclass_transform
from weakref import WeakValueDictionary

_T = TypeVar("_T")


class _Interning(type):
    """Hands out the one object of a class with the given fields."""

    _pool: WeakValueDictionary[tuple[object, ...], object] = WeakValueDictionary()
    _lock = threading.Lock()

    def __call__(cls: type[_T], *args: Any, **kwargs: Any) -> _T:
        node = super().__call__(*args, **kwargs)  # type: ignore[misc]
        # 1, 1.0, True and Fraction(1) are equal to a dictionary; the types keep them apart.
        content = tuple(getattr(node, field.name) for field in fields(node))
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
        digest = hashlib.blake2b((self.digested_as or type(self).__name__).encode(), digest_size=12)
        for field in fields(self):  # type: ignore[arg-type]
            digest.update(_content(getattr(self, field.name)))
        return digest.hexdigest()


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
