"""Python's collector of cycles, at rest while many values are made.

A plan of ten thousand games makes a million values, none of them in a cycle. The collector would look through all of
them, and through those of torch, again and again, which takes a third of the time. The number of frames is counted for
the process; a collector that the user has switched off stays off.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from . import forking

_lock = forking.lock()
_resting: list[object] = []  # a token for each frame
_was_on = True


@contextmanager
def resting() -> Iterator[None]:
    """A frame in which no cycles are collected. No model may run in it: what a model leaves behind may be large."""
    token = object()

    def end() -> None:
        with _lock:
            if token in _resting:
                _resting.remove(token)
                if not _resting and _was_on:
                    _settle()
                    gc.enable()

    with forking.ended_in_child(end):
        try:
            _begin(token)
            yield
        finally:
            end()


def _settle() -> None:
    """Make the values of the frame old ones at once: the collector would look through all of them three times, as they
    grow old. What the user has frozen stays frozen."""
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


def _begin(token: object) -> None:
    global _was_on
    with _lock:
        if not _resting:
            _was_on = gc.isenabled()
        _resting.append(token)
        gc.disable()
