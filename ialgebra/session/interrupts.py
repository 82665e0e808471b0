"""Ctrl-C while ialgebra computes: a short report, and what was computed is kept.

In: a KeyboardInterrupt on its way out. Out: a new one, without our own frames. It may not know queries or sessions.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OURS = str(Path(__file__).parent.parent)
_SAID = "stopped; the rows that were computed are kept, and asking again goes on from there"


class _Stopped(KeyboardInterrupt):
    """A KeyboardInterrupt that a notebook shows with the caller's own lines only."""

    def _render_traceback_(self) -> list[str]:
        frames = traceback.extract_tb(self.__traceback__)
        foreign = ("contextlib.py", "interactiveshell.py")
        own = [f for f in frames if not f.filename.startswith(_OURS) and not f.filename.endswith(foreign)]
        return [*(f"line {frame.lineno}: {frame.line}" for frame in own[:2]), f"KeyboardInterrupt: {self}"]


_Stopped.__name__ = _Stopped.__qualname__ = KeyboardInterrupt.__name__  # what a terminal calls it
_Stopped.__module__ = KeyboardInterrupt.__module__


@contextmanager
def short() -> Iterator[None]:
    """Within this, a KeyboardInterrupt is replaced by one without the frames below."""
    try:
        yield
    except _Stopped:
        raise
    except KeyboardInterrupt:
        raise _Stopped(_SAID) from None
