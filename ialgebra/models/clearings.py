"""How often a function that remembers was told to forget: its cache in; a number that grows, out.

What such a cache holds cannot be read. While it fills, the function computes the same; once it was cleared, it may
compute something else. A cache that now has fewer misses than when it was last looked at was cleared in between.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any, TypeAlias

from ..system import forking

Remembering: TypeAlias = "functools._lru_cache_wrapper[Any]"

_lock = forking.lock()
_seen: weakref.WeakKeyDictionary[Remembering, tuple[int, int]] = weakref.WeakKeyDictionary()  # clearings, misses


def clearings(cache: Remembering) -> int:
    """How often the cache was seen to be cleared."""
    misses = cache.cache_info().misses
    with _lock:
        count, before = _seen.get(cache, (0, 0))
        count += misses < before
        _seen[cache] = count, misses
    return count
