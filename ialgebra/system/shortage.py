"""Memory that ran out. In: errors. Out: whether one says so, a frame that says it in a sentence, and one that blames
others for everything else.

Batches of rows are tried again in half their size where memory runs out; `enough_memory` is for everything else. It
imports only the standard library and may not know what was computed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import IalgebraError, ResourceError

# What libraries say when they get no memory: torch on each device, cuBLAS, and C++ (also through xgboost and LightGBM,
# whose errors are of types of their own).
_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")
_WHOLE = ("could not create a primitive", "could not create a memory object")  # oneDNN; more words say other things
_SIGNS_IN_ANY_ERROR = ("bad_alloc", "bad allocation")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the host or on a device, so that a smaller batch may pass."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, on any device
        return True
    if isinstance(error, IalgebraError) or not isinstance(error, Exception):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = str(error).lower()
    if isinstance(error, RuntimeError) and said in _WHOLE:
        return True
    signs = (*_SIGNS, *_SIGNS_IN_ANY_ERROR) if isinstance(error, RuntimeError) else _SIGNS_IN_ANY_ERROR
    return any(sign in said for sign in signs)


@contextmanager
def enough_memory(where: str, remedy: str) -> Iterator[None]:
    """A frame in which out of memory is a ResourceError: `out of memory {where}; {remedy}`. Other errors pass."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(f"out of memory {where}; {remedy}") from error


@contextmanager
def blamed(told: Callable[[Exception], IalgebraError]) -> Iterator[None]:
    """A frame around code that is not ours: what it raises becomes the error that `told` makes of it. Errors that are
    ours already pass, and out of memory passes, since fewer rows may help."""
    try:
        yield
    except IalgebraError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise told(error) from error
