"""What any other object holds: an object in; its line in a walk out.

Content that lies where Python cannot read it is read through the state that the object pickles. What cannot be read at
all is noted. No method of an object is called but those by which it pickles itself.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Iterator

from . import guards
from .objects import MISSING, attributes, compiled, hidden, pickled, pickles_itself, slot, slots
from .origins import remote
from .walk import Walk, long_content

_READ_OTHERWISE: tuple[type, ...] = (types.SimpleNamespace, types.MappingProxyType, bytearray, memoryview)


def read_object(walk: Walk, value: object) -> str:
    """The line of an object: its class, what it contains, its attributes, its slots, and the state that it pickles."""
    kind = type(value)
    if hidden(value) or remote(kind):
        return walk.unreadable(value)
    words = [walk.ref(kind), _contained(walk, value)]
    held, places = attributes(value), slots(kind)
    inside = [*(held or {}).values(), *(slot(each, value) for _, each in places)]
    whole = not compiled(kind) or isinstance(value, _READ_OTHERWISE)
    if not whole or any(map(hidden, inside)):
        # Content lies where Python cannot read it; but the object may know how to tell it.
        state = pickled(value) if not whole or pickles_itself(kind) else None
        if state is None:
            return walk.unreadable(value)
        walk.guarded = False
        parts = [list(each) if isinstance(each, Iterator) else each for each in state]
        walk.kept += [state, parts]
        words.append(f"state {walk.refs(parts)}")
    if held is not None:
        words.append(walk.items(held))
    if places:
        words.append(slots_of(walk, value))
    return " ".join(words)


def slots_of(walk: Walk, value: object) -> str:
    """What an object has in its slots."""
    places = slots(type(value))
    if not places:
        return ""
    walk.guards.append(guards.slotted(value, places))
    found = [(name, slot(each, value)) for name, each in places]
    return "".join(f".{name}={walk.ref(part)}" for name, part in found if part is not MISSING and not hidden(part))


def _contained(walk: Walk, value: object) -> str:
    """What an object holds as the container, the text or the number that it is too."""
    match value:
        case dict() | types.MappingProxyType():
            return walk.items(value)
        case list() | tuple() | collections.deque():
            walk.guards.append(guards.parts(value))
            limit = f" of {value.maxlen}" if isinstance(value, collections.deque) else ""
            return f"[{walk.refs(list(value))}]{limit}"
        case set() | frozenset():
            walk.guards.append(guards.parts(value))
            return f"set({walk.unordered(value)})"
        case bytearray() | memoryview():
            walk.guarded = False
            return long_content(bytes(value))
        case str():
            return walk.ref(str.__str__(value))
        case bytes():
            return walk.ref(bytes(value))
        case int():
            return walk.ref(int(value))
        case float() | complex():
            return repr(complex(value))
        case BaseException():
            return walk.ref(value.args)
    return ""
