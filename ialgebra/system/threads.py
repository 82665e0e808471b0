"""Threads: parts of one computation that are independent of each other, on the processor's cores.

In: a function and its arguments, one a part. Out: its results, in the order of the parts. Parts run on as many threads
as torch uses, so `OMP_NUM_THREADS` and `torch.set_num_threads` hold for them too. Only NumPy and torch, which run
without the interpreter's lock, get faster by it. It knows nothing of what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import torch

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def threads() -> int:
    """On how many threads torch computes."""
    return torch.get_num_threads()


def in_parts(function: Callable[[_In], _Out], parts: Sequence[_In]) -> list[_Out]:
    """What `function` gives for each of the `parts`, in their order.

    If one fails or the caller is interrupted, parts that have not begun are left out, and the error is raised once
    those that run have ended. Threads are started for each call and ended with it, so a fork finds none of them.
    """
    count = min(len(parts), threads())
    if count < 2:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(count, thread_name_prefix="ialgebra") as pool:
        running = [pool.submit(copy_context().run, function, part) for part in parts]
        try:
            return [each.result() for each in running]
        finally:
            for each in running:
                each.cancel()
