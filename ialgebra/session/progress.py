"""One live line for queries that take longer than half a second: on stderr, or below a notebook's cell.

In: how a query stands, batch by batch. Out: rows done and forecast, seconds, the error reached and the one asked for.
The line goes away when the query ends. IPython is used only where it runs already.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..answering.running import Standing, Watch
from ..system.stages import BAR_AFTER, in_notebook

_REFRESHED = 0.25  # seconds between two states of a notebook's line


class _Handle(Protocol):
    """The part of IPython's DisplayHandle that is used here."""

    def update(self, shown: object) -> None: ...


@contextmanager
def bar(shown: bool, also: Watch | None = None) -> Iterator[Watch | None]:
    """A watcher that draws a bar of model rows once a query has run for half a second, and tells `also`; without a bar
    only that."""
    if not shown:
        yield also
        return
    with _below_a_cell() if in_notebook() else _on_stderr() as drawn:

        def watch(standing: Standing) -> None:
            drawn(standing)
            if also is not None:
                also(standing)

        yield watch


@contextmanager
def _below_a_cell() -> Iterator[Watch]:
    import IPython.display

    html: Callable[[str], object] = IPython.display.HTML
    display: Callable[..., _Handle] = IPython.display.display
    started = drawn = time.perf_counter()
    handle: _Handle | None = None

    def watch(standing: Standing) -> None:
        nonlocal handle, drawn
        now = time.perf_counter()
        if now - started < BAR_AFTER or now - drawn < _REFRESHED:
            return
        drawn = now
        line = html(html_line(standing, now - started))
        if handle is None:
            handle = display(line, display_id=True)
        else:
            handle.update(line)

    try:
        yield watch
    finally:
        if handle is not None:
            handle.update(html(""))


def html_line(standing: Standing, seconds: float) -> str:
    """How a query stands, as one line of HTML: `rows 120 of 300 · 4 s · error ≤ 12 %, asked 5 %`."""
    of = "" if standing.forecast is None else f" of {standing.forecast:,}"
    share = min(standing.rows / standing.forecast, 1.0) if standing.forecast else 0.0
    drawn = (
        '<span style="display:inline-block;width:9em;height:.55em;background:rgba(128,128,128,.25);border-radius:3px">'
        f'<span style="display:block;width:{100 * share:.0f}%;height:100%;background:#3f8ddb;border-radius:3px">'
        "</span></span>"
    )
    said = " · ".join(filter(None, (f"rows {standing.rows:,}{of}", f"{seconds:.0f} s", error_line(standing))))
    return f'<div style="opacity:.75;font-size:90%">{drawn} {said}</div>'


@contextmanager
def _on_stderr() -> Iterator[Watch]:
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
        if not live and time.perf_counter() - started > BAR_AFTER:
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
