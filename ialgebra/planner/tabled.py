"""D11: which passes begin from pattern tables. In: passes with their jobs; out: the same with tables, if asked for.

A table holds the values of a prefix of the network for all coalitions of a game (`models.graph.patterns`). A strategy
asks for tables; that they are chosen by what they cost is not built. Nothing is run here but one row of a network that
has no graph yet, to learn the shapes of its values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..algebra.packings import packing_of
from ..catalog.catalog import Catalog
from ..models.network import Network
from ..models.tabling import TableOfGame
from .games import ReadAgain
from .physical import Job, Pass
from .strategy import Strategy

_FEWEST = 32  # rows of a game below which a table is not considered


def with_tables(passes: Sequence[Pass], jobs: Sequence[Job], strategy: Strategy, catalog: Catalog) -> tuple[Pass, ...]:
    """The passes with their tables."""
    if not strategy.table or strategy.pace.filled:
        return tuple(passes)
    return tuple(_with(each, dict(_tables(each, jobs, strategy, catalog)), catalog) for each in passes)


def _with(each: Pass, tables: dict[tuple[str, int], TableOfGame], catalog: Catalog) -> Pass:
    if each.asked:
        return each
    whys = [catalog.model(model).tabling.why(each.run.mode) for model in each.models]
    why = next(filter(None, whys), "no table has fewer rows than its game, or its players are not of plain rows")
    return replace(each, tables=tables, untabled="" if tables else why)


def _tables(
    each: Pass, jobs: Sequence[Job], strategy: Strategy, catalog: Catalog
) -> Iterator[tuple[tuple[str, int], TableOfGame]]:
    if each.asked:
        return
    for model in each.models:
        network = catalog.model(model)
        if not network.probed:
            continue
        content = None
        for number in each.jobs:
            job = jobs[number]
            if job.spec.rows < _FEWEST or not _plain(job, network):
                continue
            content = content or network.content()
            rows, players = job.spec.rows, job.spec.players
            planned = network.tabling.plan(
                content,
                job.hybrids.segments,
                players,
                rows,
                job.layers(model),
                each.run.mode,
            )
            if planned is not None:
                yield (model, number), TableOfGame(planned, content)


def _plain(job: Job, network: Network) -> bool:
    """Whether the rows of a job are single tensors like the one with which the network was probed."""
    hybrids = job.hybrids
    held = not any(isinstance(end, ReadAgain) or packing_of(end) is not None for end in hybrids.ends)
    return held and hybrids.copies is None and hybrids.row_shape == network.row_shape
