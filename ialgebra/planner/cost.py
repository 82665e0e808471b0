"""What things cost: rows, seconds and bytes of jobs and passes.

In: jobs, networks and their profiles. Out: numbers that the planner compares.

Seconds come from a model's `Profile`, what its passes were measured to take, and decide how a pass is run. What plans
share is decided by their work, rows weighted by the share of the network that they go through: see `search`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..catalog.catalog import Catalog
from ..kernels.estimators.estimator import seconds_of_means
from ..kernels.estimators.registry import find
from ..models.network import Network
from ..models.profile import Profile
from .physical import Cost, Job, Pass, Run
from .sampling import DesignSpec

_BATCH_ELEMENTS = 32 * 3 * 224 * 224  # 32 photos: the best batch of an EfficientNet-Lite0 on two CPU cores
_BATCH_LIMIT = 512

# Seconds beside the network's own, on a core of today: fitted by `benchmarks.costmodel`, and small beside the rest.
_A_BATCH = 1.5e-3  # to begin a batch, and to read and remember its values
_A_ROW, _AN_ELEMENT = 1.5e-5, 4e-9  # to compose a hybrid
_A_QUERY, _A_MAP, _A_JOB = 4e-3, 2.5e-3, 2e-3  # to parse and plan, and to build what is answered

NOTHING = Cost(0, 0.0, 0.0, 0)


def batch_size(elements: int, on_cpu: bool) -> int:
    """Rows a batch for inputs of `elements` numbers where nothing was measured: a power of two, fewer the larger the
    input."""
    ideal = _BATCH_ELEMENTS * (1 if on_cpu else 8) / max(1, elements)
    return int(min(_BATCH_LIMIT, max(1, 2 ** math.floor(math.log2(max(1.0, ideal))))))


def deepest(layers: Iterable[int | None]) -> int | None:
    """The layer at which a pass that reads `layers` may stop; None is the model's own output."""
    each = list(layers)
    return None if None in each else max(layer for layer in each if layer is not None)


def forward_cost(networks: Sequence[Network], layers: Sequence[int | None], rows: int, run: Run) -> Cost:
    """`rows` hybrids composed, and put through each network up to its layer, compiled first where they are to be and
    are not."""
    return forward_costs(networks, layers, rows, [run])[run]


def forward_costs(
    networks: Sequence[Network], layers: Sequence[int | None], rows: int, options: Iterable[Run]
) -> dict[Run, Cost]:
    """The same for each of several ways to run them."""
    profiles = [network.profile for network in networks]
    return {run: _forward_cost(networks, profiles, layers, rows, run) for run in options}


def _forward_cost(
    networks: Sequence[Network], profiles: Sequence[Profile], layers: Sequence[int | None], rows: int, run: Run
) -> Cost:
    total = NOTHING
    per_row = _A_ROW + _AN_ELEMENT * math.prod(networks[0].row_shape)
    for network, profile, layer in zip(networks, profiles, layers, strict=True):
        seconds: float | None = 0.0
        if rows:
            known = profile.known(run.mode)
            seconds = profile.seconds(rows, run.batch_size, layer=layer, mode=run.mode) if known else None
        if seconds is not None:
            seconds += _A_BATCH * math.ceil(rows / run.batch_size) + per_row * rows / len(networks)
        if seconds is not None and run.mode == "compiled" and not network.compiled_for(run.batch_size):
            seconds += profile.compile_seconds or math.inf
        peak = min(rows, run.batch_size) * profile.bytes_per_row
        total += Cost(rows, rows * profile.share(layer), seconds, peak)
    return total


def runs(networks: Sequence[Network], layers: Sequence[int | None], usual: int) -> list[Run]:
    """The ways to run a pass: the usual one, then what was measured on every network, batch sizes (D1), powers of two,
    of every mode that it can run in (D10)."""
    found = [Run(usual, "eager")]
    for mode in networks[0].modes(layers[0]):
        if all(mode in network.modes(layer) for network, layer in zip(networks, layers, strict=True)):
            sizes = set.intersection(*(set(network.profile.sizes(mode)) for network in networks))
            found += [Run(size, mode) for size in sorted(sizes) if size & (size - 1) == 0]
    return list(dict.fromkeys(found))


def cheapest(costs: Mapping[Run, Cost]) -> Run:
    """The first of `costs`, the usual way to run a pass, unless others are clearly cheaper: then, of those that are
    about as cheap as the cheapest, the one whose batches are most like the usual ones."""
    usual, known = next(iter(costs)), {run: cost for run, cost in costs.items() if cost.seconds is not None}
    if not any(cost.less(costs[usual]) for cost in known.values()):
        return usual
    least = min(known.values(), key=lambda cost: cost.seconds or 0.0)
    good = [run for run, cost in known.items() if not least.less(cost)]
    return min(good, key=lambda run: abs(math.log(run.batch_size / usual.batch_size)))


def plan_cost(jobs: Sequence[Job], passes: Sequence[Pass], catalog: Catalog, *, share: bool) -> Cost:
    """The passes, and each whole input x_∅ and x_N once, or once a job where they do not `share`."""
    total = sum((each.cost for each in passes), NOTHING)
    for model, layers in ends(jobs, share=share).items():
        total += forward_cost([catalog.model(model)], [deepest(layers)], len(layers), Run(len(layers), "eager"))
    return total


def overhead(jobs: Sequence[Job], maps: int) -> float:
    """Seconds that a query takes beside its batches: planning, drawing coalitions, estimating, building its maps."""
    columns: Counter[DesignSpec] = Counter()
    for job in jobs:
        columns[job.spec] += len(job.games)
    values = sum(_drawing(spec) + _estimating(spec, count) for spec, count in columns.items())
    return _A_QUERY + _A_MAP * maps + _A_JOB * len(jobs) + values


def _drawing(spec: DesignSpec) -> float:
    return 7e-5 * min(spec.rows / 2, 2048) + 1e-9 * spec.rows * spec.players


def _estimating(spec: DesignSpec, columns: int) -> float:
    estimator = find(spec.method)  # none where an interpreter of the user's own draws: about as cheap as means
    seconds = seconds_of_means if estimator is None else estimator.seconds
    return seconds(spec.players, spec.rows, columns)


def ends(jobs: Sequence[Job], *, share: bool) -> dict[str, list[int | None]]:
    """The whole inputs that the jobs need: for each model the layer at which each of them is read."""
    found: dict[tuple[str, str, int], set[int | None]] = {}
    for number, job in enumerate(jobs):
        for model in job.models:
            for row in (job.hybrids.full, job.hybrids.empty):
                found.setdefault((model, row, -1 if share else number), set()).update(job.layers(model))
    wanted: dict[str, list[int | None]] = {}
    for (model, _, _), layers in found.items():
        wanted.setdefault(model, []).append(deepest(layers))
    return wanted
