"""Fusion: answers become jobs, and jobs become passes. In: answers and a strategy; out: what to run, shared as
allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..catalog import Catalog
from .cost import batch_size
from .games import Answer, Game, Hybrids, game_key
from .physical import Job, Pass, Reading
from .sampling import DesignSpec, Effort, seeds, spec
from .strategy import Strategy


class _Place(NamedTuple):
    """What games must have in common to be columns of one job; `apart` keeps those asunder that may not share."""

    hybrids: Hybrids
    design: DesignSpec
    apart: object


def fuse(
    answers: Sequence[Answer], strategy: Strategy, seed: int, effort: Effort | None = None
) -> tuple[list[Job], list[tuple[Reading, ...]]]:
    """The jobs that the answers need, and for each answer where its terms are read.

    With `share`, games over one set of hybrids and one design are columns of one job (D3); with `rewrite` only equal
    games are; without either, each term of each answer is a job of its own.
    """
    halves = {term.game for answer in answers for term in answer.terms if term.part != "shapley"}
    columns: dict[_Place, dict[Game, None]] = {}
    where: list[list[tuple[_Place, Game]]] = []
    own = seeds(answers, seed, effort)
    for number, answer in enumerate(answers):
        where.append([])
        for position, term in enumerate(answer.terms):
            game = term.game
            design = spec(game, own.get(game.hybrids.key, seed), halves=game in halves, effort=effort)
            apart = None if strategy.share else game if strategy.rewrite else (number, position)
            place = _Place(game.hybrids, design, apart)
            columns.setdefault(place, {})[game] = None
            where[-1].append((place, game))
    jobs = {
        place: Job(place.hybrids, place.design, tuple(sorted(games, key=game_key))) for place, games in columns.items()
    }
    ordered = sorted(jobs, key=lambda place: _job_key(jobs[place])) if strategy.share else list(jobs)
    numbers = {place: number for number, place in enumerate(ordered)}
    readings = [
        tuple(Reading(numbers[place], jobs[place].games.index(game)) for place, game in entries) for entries in where
    ]
    return [jobs[place] for place in ordered], readings


def _job_key(job: Job) -> tuple[object, ...]:
    return (job.models, job.hybrids.key, job.spec)


def schedule(jobs: Sequence[Job], strategy: Strategy, catalog: Catalog) -> list[Pass]:
    """Which jobs share batches (D6): those that go through the same models, to the same depth, with inputs of one
    form."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, job in enumerate(jobs):
        form = (tuple(job.hybrids.foreground.shape), job.hybrids.foreground.dtype)
        depths = tuple(
            max(float("inf") if layer is None else layer for layer in job.layers(model)) for model in job.models
        )
        key: tuple[object, ...] = (job.models, depths, form) if strategy.pack else (number,)
        groups.setdefault(key, []).append(number)
    return [
        Pass(jobs[group[0]].models, tuple(group), _rows_a_batch(jobs[group[0]], strategy, catalog))
        for group in groups.values()
    ]


def _rows_a_batch(job: Job, strategy: Strategy, catalog: Catalog) -> int:
    networks = [catalog.model(name) for name in job.models]
    wished = [
        size for size in (strategy.batch_size, catalog.settings.batch_size, *(n.batch_size for n in networks)) if size
    ]
    on_cpu = all(network.runs_on.type == "cpu" for network in networks)
    return wished[0] if wished else batch_size(job.hybrids.foreground.numel(), on_cpu)
