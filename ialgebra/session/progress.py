"""One live line on stderr for queries that take longer than half a second.

In: how a query stands, batch by batch. Out: rows done and forecast, seconds, the error reached and the one asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..answering.running import Standing, Watch

_BAR_AFTER = 0.5  # seconds


@contextmanager
def bar(shown: bool) -> Iterator[Watch | None]:
    """A watcher that draws a bar of model rows once a query has run for half a second; None where none is wanted."""
    if not shown:
        yield None
        return
    columns = (
        TextColumn("rows"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=None)
    started = time.perf_counter()
    live = False

    def watch(standing: Standing) -> None:
        nonlocal live
        progress.update(task, completed=standing.rows, total=standing.forecast, description=error_line(standing))
        if not live and time.perf_counter() - started > _BAR_AFTER:
            progress.start()
            live = True

    try:
        yield watch
    finally:
        if live:
            progress.stop()


def error_line(standing: Standing) -> str:
    """The error so far against the one asked for, if any: `error ≤ 12 %, asked 5 %`."""
    if standing.asked is None:
        return ""
    reached = standing.error
    known = f"error ≤ {100 * reached:.2g} %" if reached is not None and math.isfinite(reached) else "error unknown"
    return f"{known}, asked {100 * standing.asked:.2g} %"
