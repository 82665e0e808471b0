"""Rows that are met again, to learn what the models of a plan do to equal rows.

In: the jobs of a plan with their designs, the models that run them, and the lane. Out: each model's behaviour, if it
was not known, and of random models outputs of rows that were run several times. It writes to no table and no store,
and none of its rows is on the tape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import IalgebraError
from ..kernels.coalitions import Design
from ..kernels.compose import compose
from ..models.network import Network
from ..models.noise import RepeatedRows, is_alike, is_shared, is_shifted
from ..planner.physical import Job, PhysicalPlan
from ..system.arrays import Bools
from ..system.shortage import is_out_of_memory
from .ends import whole
from .lanes import HybridRows, Lane, Rows, Work

TIMES, TIMES_ALONE = 20, 8
"""Passes in which rows of a random model are repeated, a hybrid of half of the players twice in each; and passes of
that hybrid alone."""

MOST_JOBS = 4
"""Jobs of a query whose rows are repeated, if the noise of a model is not the same everywhere."""

_LOOKED_AT = 64  # rows of a design among which that with about half of the players is chosen

_LayerNumber = int | None


def examine(network: Network, job: Job, design: Design) -> None:
    """Examine a model again, with x_N and a hybrid of about half of the players, if its first examination gave no
    result, or it was changed since."""
    if network.examination_due and job.hybrids.players:
        hybrids, masks = job.hybrids.first, torch.from_numpy(_half(design)[None])
        half = compose(hybrids.foreground, hybrids.background, torch.from_numpy(hybrids.segments), masks)[0]
        network.examine(whole(job), half)


def repeat(
    name: str, network: Network, content: object, jobs: Sequence[tuple[Job, Design]], lane: Lane
) -> list[RepeatedRows]:
    """What is known of the noise of a random model, with rows of these jobs repeated where it is not known enough.

    If the noise is the same everywhere, rows of one job are enough, and no later query repeats any.
    """
    behaviour = network.behaviour
    repeated = 0
    for job, design in jobs:
        for layer in job.layers(name):
            known = _known(network, content, layer)
            mine = any(each.ends == (job.hybrids.first.empty, job.hybrids.first.full) for each in known)
            plain = all(game.output == "logit" for game in job.games if game.model == name)
            if mine or (known and plain and is_alike(known)) or repeated >= MOST_JOBS * len(job.layers(name)):
                continue
            repeated += 1
            trial = _Trial(name, layer, job, design, lane)
            try:
                behaviour.repeated.append(trial.sample(network, content))
            except Exception as error:  # the rows of the query tell how the model fails
                if not isinstance(error, IalgebraError) and not is_out_of_memory(error):
                    raise
            behaviour.rows += trial.rows
    return [each for each in behaviour.repeated if each.content == content]


def _known(network: Network, content: object, layer: _LayerNumber) -> list[RepeatedRows]:
    place = network.head_place(layer)
    return [each for each in network.behaviour.repeated if each.content == content and each.layer == place]


class _Trial:
    """Passes of a few rows of one job through one model, read at one layer; `rows` counts them."""

    def __init__(self, name: str, layer: _LayerNumber, job: Job, design: Design, lane: Lane) -> None:
        self.rows = 0
        self._name = name
        self._layer = layer
        self._job = job
        self._lane = lane
        self._masks = {
            "half": _half(design),
            "full": np.ones(design.players, dtype=bool),
            "empty": np.zeros(design.players, dtype=bool),
        }

    def sample(self, network: Network, content: object) -> RepeatedRows:
        """The outputs of x_∅, x_N and a hybrid. If equal rows of one pass share their noise, or lie elsewhere than
        alone, the model is batch-dependent too."""
        if not network.behaviour.batch_dependent and network.batch_size != 1:
            passes = torch.stack([self._run("half", "half", "full", "empty") for _ in range(TIMES)])
            alone = torch.cat([self._run("half") for _ in range(TIMES_ALONE)])
            half = passes[:, :2].flatten(0, 1)
            if not is_shared(passes[:, :2]) and not is_shifted(alone, half):
                return self._sample(network, content, passes[:, 3], passes[:, 2], half)
            network.behaviour.batch_dependent = True
        each = [[self._run(row) for _ in range(TIMES)] for row in ("empty", "full", "half")]
        return self._sample(network, content, *(torch.cat(rows) for rows in each))

    def _sample(self, network: Network, content: object, empty: Tensor, full: Tensor, between: Tensor) -> RepeatedRows:
        hybrids = self._job.hybrids.first
        ends = hybrids.empty, hybrids.full
        found = RepeatedRows(content, network.head_place(self._layer), ends, empty, full, between)
        network.behaviour.random = network.behaviour.random and found.noisy
        return found

    def _run(self, *names: str) -> Tensor:
        masks = np.stack([self._masks[name] for name in names])
        work = Work(self._name, Rows(hybrids=(HybridRows(self._job.hybrids.first, masks),)), (self._layer,))
        ticket = self._lane.submit(work)
        while True:
            arrived, done = self._lane.wait()
            if arrived == ticket and done is None:
                ticket = self._lane.submit(work)
            elif arrived == ticket and done is not None:
                self.rows += done.ran
                if done.error is not None:
                    raise done.error
                return done.logits[self._layer]


def _half(design: Design) -> Bools:
    """The coalition of about half of the players among the first of a design; ∅ if it has only ∅ and N."""
    some: NDArray[np.bool_] = design.coalitions[2:_LOOKED_AT]
    if not len(some):
        some = design.coalitions[:1]
    half: Bools = some[int(np.abs(some.sum(axis=1) - design.players / 2).argmin())]
    return half


def by_model(plan: PhysicalPlan) -> Mapping[str, Sequence[int]]:
    """The numbers of the jobs with players, by the models that run them."""
    found: dict[str, list[int]] = {}
    for each in plan.families:
        for name in each.models if each.spec.players else ():
            found.setdefault(name, []).extend(each.jobs)
    return {name: sorted(numbers) for name, numbers in found.items()}
