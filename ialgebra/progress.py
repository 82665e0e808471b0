"""A progress bar on stderr for queries that take longer than a glance. In: rows done and rows in all; out: a bar."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .execution.executor import Progress as Listener

_PATIENCE = 0.5  # seconds before a bar appears


@contextmanager
def bar(shown: bool) -> Iterator[Listener | None]:
    """A listener that draws a bar of model rows once a query has run for half a second; None where none is wanted."""
    if not shown:
        yield None
        return
    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("rows", total=None)
    started = time.perf_counter()
    live = False

    def listen(done: int, total: int) -> None:
        nonlocal live
        progress.update(task, completed=done, total=total)
        if not live and time.perf_counter() - started > _PATIENCE:
            progress.start()
            live = True

    try:
        yield listen
    finally:
        if live:
            progress.stop()
