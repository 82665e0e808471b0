"""A bar on stderr for work in stages. In: what is being done, and how much of it. Out: a line, which goes away."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

BAR_AFTER: Final = 0.5
"""Seconds of work after which a bar appears."""

FittingProgress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is in all."""


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def shows_progress(wanted: bool | None) -> bool:
    """Whether a bar is shown: as wanted, or else (None) where somebody can see it, in terminals and notebooks."""
    return sys.stderr.isatty() or in_notebook() if wanted is None else wanted


@contextmanager
def stages(shown: bool) -> Iterator[FittingProgress]:
    """A bar on stderr for what has stages: it is told what is being done, how much of it is done, and how much there
    is. It appears once this has taken a second or so."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=None)
    started = time.perf_counter()

    def told(what: str, done: int, total: int) -> None:
        if not shown:
            return
        progress.update(task, completed=done, total=total, description=what)
        if not progress.live.is_started and time.perf_counter() - started > BAR_AFTER:
            progress.start()

    try:
        yield told
    finally:
        if progress.live.is_started:
            progress.stop()
