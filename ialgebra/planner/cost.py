"""What things cost: rows of a plan, rows a batch. In: jobs and shapes; out: numbers that the planner compares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .physical import Job

_BATCH_ELEMENTS = 32 * 3 * 224 * 224  # 32 photos: the best batch of an EfficientNet-Lite0 on two CPU cores
_BATCH_LIMIT = 512


def batch_size(elements: int, on_cpu: bool) -> int:
    """Rows a batch for inputs of `elements` numbers (D1): a power of two, fewer the larger the input."""
    ideal = _BATCH_ELEMENTS * (1 if on_cpu else 8) / max(1, elements)
    return int(min(_BATCH_LIMIT, max(1, 2 ** math.floor(math.log2(max(1.0, ideal))))))


def rows(jobs: Sequence[Job], *, share: bool) -> int:
    """Model rows of `jobs`: each job's coalitions once a model, and the ends x_∅, x_N and predictions, shared or
    not."""
    inner = sum(max(0, job.spec.rows - 2) * len(job.models) for job in jobs)
    ends = {
        (number if not share else -1, model, row)
        for number, job in enumerate(jobs)
        for model in job.models
        for row in (job.hybrids.full, job.hybrids.empty)
    }
    return inner + len(ends)
