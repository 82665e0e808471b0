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
from pathlib import Path
from types import FrameType
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

import ialgebra

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


class Faulty(nn.Module):
    """A net whose `at`-th pass from now does what `fault` says to its batch; class attributes, since a model whose own
    were set would be another model."""

    at: ClassVar[int] = -1
    lasting: ClassVar[bool] = False  # all passes from there on
    passes: ClassVar[int] = 0
    rows: ClassVar[int] = 0
    fault: ClassVar[Callable[[Tensor], Tensor]]

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Tensor) -> Tensor:
        Faulty.passes += 1
        if Faulty.passes == Faulty.at or (Faulty.lasting and Faulty.passes > Faulty.at > 0):
            return Faulty.fault(self.net(batch))
        Faulty.rows += len(batch)
        return self.net(batch)


@contextmanager
def fault_at(at: int, fault: Callable[[Tensor], Tensor], lasting: bool = False) -> Iterator[None]:
    Faulty.at, Faulty.fault, Faulty.lasting, Faulty.passes = at, staticmethod(fault), lasting, 0
    try:
        yield
    finally:
        Faulty.at = -1


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
    """The same maps but for the rounding of batches of other sizes."""
    return len(one) == len(other) and all(
        np.allclose(getattr(a, field), getattr(b, field), rtol=1e-9, atol=1e-12)
        for a, b in zip(one, other, strict=True)
        for field in ("map", "values", "stderr")
    )
