"""Interpreters that run a model themselves (gradients, other packages): a job's columns in, their maps out.

Maps are looked up in the store first. The rows that an interpreter runs are counted; out of memory halves its batches.
This file forms no batches, and runs interpreters outside the lanes, on the device of the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..algebra.packings import packing_of, plain
from ..catalog.catalog import Catalog
from ..errors import BindError, ResourceError
from ..interpreters.checked import attributed
from ..interpreters.protocol import ModelInterpreter, Question
from ..models.embedded import EmbeddedScalar, embeddings
from ..models.inputs import computes_in
from ..models.scalar import ExplainedScalar, PresenceScalar, asking
from ..planner.games import Game
from ..planner.physical import Job, Run
from ..system.arrays import Floats
from ..system.shortage import is_out_of_memory
from .ends import whole
from .memory import ASKED
from .tables import Tables
from .tape import Tape


def ask(number: int, planned: Run, tables: Tables, catalog: Catalog, tape: Tape, after_map: Callable[[], None]) -> None:
    """The maps of a job's columns, from the interpreter or from the store; `after_map` is called when one was made."""
    job, seed = tables.plan.jobs[number], tables.plan.seed
    for k, game in enumerate(job.games):
        interpreter = catalog.interpreter(game.estimation.interpreter)
        assert isinstance(interpreter, ModelInterpreter)
        column = tables.column(game)
        known = tables.memory.find_map(number, k, column, seed, interpreter) if tables.plan.strategy.reuse else None
        if known is not None:
            tables.outcome.maps[number, k], rows = known
            tables.spend(hits={ASKED: rows})
            continue
        before, started = tables.outcome.spending.rows, time.perf_counter()
        run = tape.next(planned)
        found = _asked(job, game, interpreter, run.batch_size, tables)
        tape.keep(run)
        tables.outcome.maps[number, k] = found
        rows, seconds = tables.outcome.spending.rows - before, time.perf_counter() - started
        tables.memory.keep_map(number, k, column, seed, interpreter, found, rows, seconds)
        after_map()


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
    players = np.broadcast_to(hybrids.segments, tuple(hybrids.foreground.shape))
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
