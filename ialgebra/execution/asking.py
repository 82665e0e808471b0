"""Interpreters that run a model themselves (gradients, other packages): the columns of jobs in, their maps out.

Maps are looked up in the store first. The rows that an interpreter runs are counted; out of memory halves its batches.
This file forms no batches, and runs interpreters outside the lanes, on the device of the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..algebra.packings import packing_of, plain
from ..catalog.catalog import Catalog
from ..errors import BindError, ResourceError
from ..interpreters.checked import attributed, attributed_all, known_map
from ..interpreters.protocol import ModelInterpreter, Question, Questions
from ..models.embedded import EmbeddedScalar, embeddings
from ..models.inputs import computes_in
from ..models.scalar import ExplainedScalar, PresenceScalar, asking
from ..planner.fuse import form
from ..planner.games import Game, Hybrids
from ..planner.physical import Job, Run
from ..system.arrays import Floats, Ints
from ..system.shortage import is_out_of_memory
from .ends import whole
from .memory import ASKED
from .tables import Tables
from .tape import Tape


class _AskedMap(NamedTuple):
    """A column of a job whose map is to be had, and how its pass was planned."""

    number: int
    k: int
    planned: Run

    def of(self, tables: Tables) -> tuple[Job, Game]:
        job = tables.plan.jobs[self.number]
        return job, job.games[self.k]


def ask(tables: Tables, catalog: Catalog, tape: Tape, after_map: Callable[[], None]) -> None:
    """The maps of all columns of the plan whose interpreters run the models themselves, from these or from the store;
    `after_map` is called when some were made."""
    together: dict[tuple[object, ...], list[_AskedMap]] = {}
    for each in tables.plan.passes:
        for number in each.jobs if each.asked else ():
            for k, game in enumerate(tables.plan.jobs[number].games):
                asked, interpreter = _AskedMap(number, k, each.run), _interpreter(game, catalog)
                if _recalled(asked, tables, interpreter):
                    continue
                if interpreter.together:
                    scalar = game.model, game.layer, tables.target(game), game.output, game.estimation
                    together.setdefault((scalar, form(tables.plan.jobs[number])), []).append(asked)
                else:
                    _made([asked], tables, interpreter, tape, _asked_alone)
                    after_map()
    for group in together.values():
        interpreter, size = _interpreter(group[0].of(tables)[1], catalog), tables.plan.strategy.block or len(group)
        for part in range(0, len(group), size):
            _made(group[part : part + size], tables, interpreter, tape, _asked_together)
            after_map()


def _interpreter(game: Game, catalog: Catalog) -> ModelInterpreter:
    interpreter = catalog.interpreter(game.estimation.interpreter)
    assert isinstance(interpreter, ModelInterpreter)
    return interpreter


def _recalled(asked: _AskedMap, tables: Tables, interpreter: ModelInterpreter) -> bool:
    """Whether the store has the map; it is then entered into the tables."""
    if not tables.plan.strategy.reuse:
        return False
    column = tables.column(asked.of(tables)[1])
    known = tables.memory.find_map(asked.number, asked.k, column, tables.plan.seed, interpreter)
    if known is None:
        return False
    tables.outcome.maps[asked.number, asked.k], ends, rows = known
    values = tables.outcome.values[asked.number][:, asked.k]
    values[np.isnan(values)] = ends[: len(values)][np.isnan(values)]  # a view
    tables.spend(hits={ASKED: rows})
    return True


_MapsOf = Callable[[Sequence[_AskedMap], ModelInterpreter, int, Tables], list[Floats]]
"""Asks an interpreter for the maps of some columns, in batches of at most so many rows."""


def _made(group: Sequence[_AskedMap], tables: Tables, interpreter: ModelInterpreter, tape: Tape, maps: _MapsOf) -> None:
    """Enter the maps of a group into the tables and the store."""
    before, started = tables.outcome.spending.rows, time.perf_counter()
    run = tape.next(group[0].planned)
    found = maps(group, interpreter, run.batch_size, tables)
    tape.keep(run)
    rows, seconds = tables.outcome.spending.rows - before, time.perf_counter() - started
    for asked, each in zip(group, found, strict=True):
        tables.outcome.maps[asked.number, asked.k] = each
        column = tables.column(asked.of(tables)[1])
        ends = tables.outcome.values[asked.number][:, asked.k]
        paid = rows if asked is group[0] else 0
        tables.memory.keep_map(
            asked.number, asked.k, column, tables.plan.seed, interpreter, each, ends, paid, seconds / len(group)
        )


def _asked_alone(
    group: Sequence[_AskedMap], interpreter: ModelInterpreter, batch_size: int, tables: Tables
) -> list[Floats]:
    (asked,) = group
    job, game = asked.of(tables)
    return [_asked(job, game, interpreter, batch_size, tables)]


def _asked_together(
    group: Sequence[_AskedMap], interpreter: ModelInterpreter, batch_size: int, tables: Tables
) -> list[Floats]:
    """The maps of questions about one scalar, each in the shape of its input."""
    jobs, game = [asked.of(tables)[0] for asked in group], group[0].of(tables)[1]
    network, name = tables.networks[game.model], game.estimation.interpreter
    scalar = ExplainedScalar(network, game.layer, tables.target(game), game.output)
    foregrounds, baselines, pairs = _ends_of([job.hybrids for job in jobs])
    questions = Questions(
        len(jobs),
        scalar,
        network.ready(foregrounds),
        network.ready(baselines),
        pairs,
        list({id(job.hybrids.segments): job.hybrids.first.segments for job in jobs}.values()),
        dict(game.estimation.options),
        batch_size,
        tables.plan.seed,
    )
    started = time.perf_counter()
    try:
        with asking(network, tables.plan.seed):
            found = attributed_all(name, interpreter, questions)
            _read_ends(group, questions, tables)
    finally:
        tables.spend(scalar.rows, scalar.passes, time.perf_counter() - started)
    return [
        known_map(name, one, np.broadcast_to(job.hybrids.first.segments, one.shape))
        for one, job in zip(found, jobs, strict=True)
    ]


def _ends_of(every: Sequence[Hybrids]) -> tuple[Tensor, Tensor, Ints]:
    """Foregrounds and backgrounds (n, *shape), each row once, and (game, foreground, background) of each pair of each
    game."""
    parts: tuple[dict[object, Tensor], dict[object, Tensor]] = {}, {}
    starts: tuple[dict[object, int], dict[object, int]] = {}, {}
    lengths, pairs = [0, 0], []
    for number, hybrids in enumerate(every):
        x, background = hybrids.foreground, hybrids.background
        one = hybrids.copies is None
        whole = torch.where(torch.from_numpy(hybrids.segments) >= 0, x, background)
        if one or hybrids.covering:
            whole = whole[None] if one else whole[:1]
        rows = whole, background[None] if one else background
        names = hybrids.full, hybrids.empty
        place = []
        for end in (0, 1):
            if names[end] not in starts[end]:
                starts[end][names[end]] = lengths[end]
                parts[end][names[end]] = rows[end]
                lengths[end] += len(rows[end])
            place.append(starts[end][names[end]] + np.arange(len(rows[end])))
        pairs.append(np.stack(np.broadcast_arrays(number, *place), axis=1))
    return torch.cat([*parts[0].values()]), torch.cat([*parts[1].values()]), np.concatenate(pairs)


def _read_ends(group: Sequence[_AskedMap], questions: Questions, tables: Tables) -> None:
    """Enter v(∅) and v(N) of games over several backgrounds, which are means over rows."""
    several = [k for k, asked in enumerate(group) if asked.of(tables)[0].hybrids.copies is not None]
    if not several:
        return
    counts = np.bincount(questions.pairs[:, 0], minlength=questions.count)
    for position, rows, end in ((0, questions.baselines, 2), (1, questions.foregrounds, 1)):
        tails = [(k, tables.outcome.values[group[k].number][position:, group[k].k]) for k in several]
        lacking = [(k, tail) for k, tail in tails if np.isnan(tail[:1]).any()]  # without players both are one
        if not lacking:
            continue
        parts = torch.split(rows, questions.batch_size)
        values = torch.cat([questions.scalar(part).detach().cpu().double() for part in parts]).numpy()
        sums = np.bincount(questions.pairs[:, 0], values[questions.pairs[:, end]], minlength=questions.count)
        for k, tail in lacking:
            tail[0] = sums[k] / counts[k]


def _holds_tokens(ends: Tensor) -> bool:
    """Whether rows (2, …) may be token ids."""
    return ends.dim() == 2 and not ends.is_floating_point() and packing_of(ends) is None


def _of_embeddings(question: Question, scalar: ExplainedScalar) -> Question:
    """The question of the embeddings (T, E) of a text's tokens, each of which belongs to its token's player."""
    embedded = EmbeddedScalar(scalar, question.foreground)
    ends = [embedded.embedded(each) for each in (question.foreground, question.baseline)]
    players = np.broadcast_to(question.players[:, None], tuple(ends[0].shape))
    return replace(question, scalar=embedded, foreground=ends[0], baseline=ends[1], players=players)


def _asked(job: Job, game: Game, interpreter: ModelInterpreter, batch_size: int, tables: Tables) -> Floats:
    """The map of one game, in the shape of the input."""
    network, hybrids, name = tables.networks[game.model], job.hybrids, game.estimation.interpreter
    players = np.broadcast_to(hybrids.segments, hybrids.form.shape)
    if hybrids.players == 0:  # an empty window
        return np.zeros(players.shape)
    scalar = ExplainedScalar(network, game.layer, tables.target(game), game.output)
    ends = network.ready(torch.stack([whole(job), hybrids.background]))
    of_tokens = interpreter.needs_gradients and _holds_tokens(ends) and bool(embeddings(scalar.model))
    if interpreter.needs_gradients and not of_tokens and not ends.is_floating_point():
        ends = ends.to(computes_in(network.module) or torch.float32)  # whole numbers have no gradients
    layers = {each.index: each.tap.module for each in network.layers if each.index <= (game.layer or each.index)}
    options, seed = dict(game.estimation.options), tables.plan.seed
    asked: ExplainedScalar | PresenceScalar = scalar
    packing = packing_of(ends)
    if packing is not None and (lacking := packing.without_arithmetic(plain(ends))):
        if interpreter.needs_gradients:
            raise BindError(
                f"{name} needs gradients, which do not flow through {lacking}; ask a "
                "method that replaces features, such as captum.FeatureAblation, or using shapley()"
            )
        asked = PresenceScalar(scalar, ends)
        ends = asked.ends
    question = Question(asked, ends[0], ends[1], players, options, layers, batch_size, seed)
    started = time.perf_counter()
    try:
        with asking(network, seed):
            if of_tokens:
                by_number: Floats = attributed(name, interpreter, _of_embeddings(question, scalar)).sum(axis=-1)
                return by_number
            return attributed(name, interpreter, question)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if batch_size == 1:
            raise ResourceError(
                f"out of memory while {name} asks model '{game.model}' one row at a time; use a smaller model or "
                "input, or options that ask for less"
            ) from error
    finally:
        tables.spend(scalar.rows, scalar.passes, time.perf_counter() - started)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return _asked(job, game, interpreter, batch_size // 2, tables)
