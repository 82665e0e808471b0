"""Faults on purpose: errors at the k-th step of the engine, models that fail at a batch, children that are killed."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from torch import Tensor, nn

import ialgebra
from tests.unread import Unread

PACKAGE = str(Path(ialgebra.__file__).parent)


def resident() -> int:
    """Bytes of this process in memory, without what an allocator keeps for later."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def held_memory(mebibytes: float = 50) -> Iterator[None]:
    """What happens within leaves the process as large as it was."""
    before = resident()
    yield
    grown = (resident() - before) / 2**20
    assert grown < mebibytes, f"{grown:.0f} MiB more than before"


class Steps:
    """Counts the calls within some part of the package, and raises at one of them: there Python looks for Ctrl-C."""

    def __init__(self, part: str = "", at: int = -1, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.part, self.at, self.error = f"{PACKAGE}/{part}", at, error
        self.count = 0

    def __enter__(self) -> Steps:
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, _argument: object) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(self.part):
            self.count += 1
            if self.count == self.at:
                raise self.error


@dataclass
class Failing:
    """Which pass of a model fails, and how."""

    at: int = -1
    passes: int = 0
    rows: int = 0
    lasting: bool = False  # all passes from there on
    fault: Callable[[Tensor], Tensor] = lambda logits: logits


FAILING = Unread(Failing())


class Faulty(nn.Module):
    """A net whose `at`-th pass from now does what `fault` says to its batch: see `FAILING`."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Tensor) -> Tensor:
        failing = FAILING.value
        failing.passes += 1
        if failing.passes == failing.at or (failing.lasting and failing.passes > failing.at > 0):
            return failing.fault(self.net(batch))
        failing.rows += len(batch)
        logits: Tensor = self.net(batch)
        return logits


@contextmanager
def fault_at(at: int, fault: Callable[[Tensor], Tensor], lasting: bool = False) -> Iterator[None]:
    failing = FAILING.value
    failing.at, failing.fault, failing.lasting, failing.passes = at, fault, lasting, 0
    try:
        yield
    finally:
        failing.at = -1


def raising(error: BaseException) -> Callable[[Tensor], Tensor]:
    def fail(_: Tensor) -> Tensor:
        raise error

    return fail


def in_child(task: Callable[[], object], seconds: float = 60) -> int:
    """Runs `task` in a fork of this process; its exit status: 0, 1 where it raised, −n where signal n ended it."""
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(int(seconds))
            task()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def same(one: ialgebra.Relation, other: ialgebra.Relation) -> bool:
    """The same maps but for the rounding of batches of other sizes.

    A standard error follows from the shares in which rungs are mixed. Two rungs that fit almost alike have a Gram
    matrix of condition 1e9: rounding of 1e-16 moves their shares by 1e-7, and the values, alike on both, by much less.
    """
    return len(one) == len(other) and all(
        np.allclose(getattr(a, field), getattr(b, field), rtol=rtol, atol=1e-12)
        for a, b in zip(one, other, strict=True)
        for field, rtol in (("map", 1e-9), ("values", 1e-9), ("stderr", 1e-5))
    )
