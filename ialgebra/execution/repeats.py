"""Rows that are met again, to learn what the models of a plan do to equal rows.

In: a job with its design, and a model that runs it. Out: the model's behaviour, if it was not known. It writes to no
table and no store, and none of its rows is on the tape.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..kernels.coalitions import Design
from ..kernels.compose import compose
from ..models.network import Network
from ..planner.physical import Job
from ..system.arrays import Bools
from .ends import whole

_LOOKED_AT = 64  # rows of a design among which that with about half of the players is chosen


def examine(network: Network, job: Job, design: Design) -> None:
    """Examine a model again, with x_N and a hybrid of about half of the players, if its first examination gave no
    result, or it was changed since."""
    if network.examination_due and job.hybrids.players:
        network.examine(whole(job), half_of(job, design))


def half_of(job: Job, design: Design) -> Tensor:
    """The hybrid (*shape) of about half of the players among the first of a design; x_∅ if it has only ∅ and N."""
    some = design.coalitions[2:_LOOKED_AT]
    if not len(some):
        some = design.coalitions[:1]
    half: Bools = some[int(np.abs(some.sum(axis=1) - design.players / 2).argmin())]
    hybrids = job.hybrids
    segments, masks = torch.from_numpy(hybrids.segments), torch.from_numpy(half[None])
    return compose(hybrids.foreground, hybrids.background, segments, masks)[0]
