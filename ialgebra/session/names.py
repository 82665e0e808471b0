"""Names that users give. In: a name; out: the name as the language reads it, or a BindError that says what to do."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import BindError
from ..language import tree


def valid_name(kind: str, name: str) -> str:
    """A name as the language reads it: ′ is '. Raises BindError for a name that no query could contain."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise BindError(f"{name!r} cannot name a {kind}; use a word such as f, x or x'")
    if kind == "window" and name.lower() in ("true", "false"):
        raise BindError(f"'{name}' is a predicate of its own and cannot name a window")
    return name.replace("′", "'")


def check_free(kind: str, name: tree.Name, taken: Collection[str], replace: bool) -> None:
    """Raise BindError for a name that is taken already, unless `replace`."""
    if name.value in taken and not replace:
        raise BindError(
            f"{kind} '{name.value}' exists; create or replace {kind} {name.value}, or drop it first", name.span
        )
