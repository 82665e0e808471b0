"""What things cost: rows, seconds and bytes of jobs and passes.

In: jobs, networks and their profiles. Out: numbers that the planner compares.

Seconds come from a model's `Profile`, which holds measured times of its passes; they decide how a pass is run. They do
not decide what a plan shares: plans are compared by their work, which is the number of rows, each weighted by the share
of the network that it goes through (see `search`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..catalog.catalog import Catalog
from ..kernels.estimators.estimator import seconds_of_means
from ..kernels.estimators.registry import find
from ..models.network import Network
from ..models.passes import COMPARED
from ..models.profile import Mode, Profile
from .games import Game, Hybrids
from .physical import Cost, Job, Run
from .sampling import DesignSpec

_BATCH_ELEMENTS = 32 * 3 * 224 * 224  # 32 photos: the best batch of an EfficientNet-Lite0 on two CPU cores
_BATCH_LIMIT = 512  # rows
_BATCHES, _MOST_ROWS = 64, 16384  # batches of a pass of very many rows, and rows of each at most

# Seconds that a query takes outside the network, on one CPU core: fitted by `benchmarks.costmodel`. Most are small
# beside the seconds of the network.
_SECONDS_A_BATCH = 8e-4  # to begin a batch, and to read and store its values
_SECONDS_A_ROW = 1.5e-5  # to compose one hybrid, beside the time of its elements
_SECONDS_AN_ELEMENT = 4e-9  # to compose one number of a hybrid
_SECONDS_A_QUERY = 1.5e-3  # to parse and plan a query
_SECONDS_A_MAP = 6e-4  # for each map of the answer
_SECONDS_A_JOB = 1.5e-3  # for each job

NOTHING = Cost(0, 0.0, 0.0, 0)


def batch_size(elements: int, on_cpu: bool, rows: int = 0) -> int:
    """Rows a batch for inputs of `elements` numbers, where nothing was measured: a power of two, smaller for larger
    inputs, larger for passes of very many `rows`."""
    ideal = _BATCH_ELEMENTS * (1 if on_cpu else 8) / max(1, elements)
    most = min(_MOST_ROWS, max(_BATCH_LIMIT, rows // _BATCHES))
    return 1 << math.floor(math.log2(max(1.0, min(ideal, most))))


def deepest(layers: Iterable[int | None]) -> int | None:
    """The layer at which a pass that reads `layers` may stop; None is the model's own output."""
    each = list(layers)
    return None if None in each else max(layer for layer in each if layer is not None)


def forward_cost(networks: Sequence[Network], layers: Sequence[int | None], rows: int, run: Run) -> Cost:
    """The cost to compose `rows` hybrids and run them through each network up to its layer; it includes the time to
    compile a network, or to copy its weights, if `run` needs that and it is not done yet."""
    return forward_costs(networks, layers, rows, [run])[run]


def forward_costs(
    networks: Sequence[Network], layers: Sequence[int | None], rows: int, options: Iterable[Run]
) -> dict[Run, Cost]:
    """`forward_cost` for each of several ways to run the pass."""
    profiles = [network.profile for network in networks]
    return {run: _forward_cost(networks, profiles, layers, rows, run) for run in options}


def seconds_to_compose(network: Network) -> float:
    """Seconds to compose the elements of one row of a network."""
    return _SECONDS_AN_ELEMENT * math.prod(network.row_shape)


def _forward_cost(
    networks: Sequence[Network], profiles: Sequence[Profile], layers: Sequence[int | None], rows: int, run: Run
) -> Cost:
    total = NOTHING
    per_row = _SECONDS_A_ROW + seconds_to_compose(networks[0])
    for network, profile, layer in zip(networks, profiles, layers, strict=True):
        seconds: float | None = 0.0
        if rows:
            known = profile.known(run.mode)
            seconds = profile.seconds(rows, run.batch_size, layer=layer, mode=run.mode) if known else None
        if seconds is not None:
            seconds += _SECONDS_A_BATCH * math.ceil(rows / run.batch_size) + per_row * rows / len(networks)
        if seconds is not None and run.mode == "compiled" and not network.compiled_for(run.batch_size):
            seconds += profile.compile_seconds or math.inf
        if seconds is not None and run.mode in profile.making and not network.copied(run.mode):
            seconds += profile.making[run.mode] + profile.seconds(COMPARED, COMPARED, layer=layer, mode="eager")
        peak = min(rows, run.batch_size) * profile.bytes_per_row
        total += Cost(rows, rows * profile.share(layer), seconds, peak)
    return total


def runs(
    networks: Sequence[Network], layers: Sequence[int | None], usual: int, modes: Sequence[Mode] | None = None
) -> list[Run]:
    """The ways to run a pass: first the usual one, then those that were measured on every network. They differ in the
    batch size (D1), a power of two, and in the mode (D10): one of `modes`, if they are given."""
    found = [Run(usual, "eager")]
    if modes is None:
        each_has = [network.modes(layer) for network, layer in zip(networks, layers, strict=True)]
        modes = [mode for mode in each_has[0] if all(mode in has for has in each_has)]
    for mode in modes:
        sizes = set.intersection(*(set(network.profile.sizes(mode)) for network in networks))
        found += [Run(size, mode) for size in sorted(sizes) if size & (size - 1) == 0]
    return list(dict.fromkeys(found))


def cheapest(costs: Mapping[Run, Cost]) -> Run:
    """The usual way to run a pass, which is the first of `costs`, unless another way is clearly cheaper. Then, among
    the ways that cost about as little as the cheapest, the one whose batch size is nearest to the usual one."""
    usual, known = next(iter(costs)), {run: cost for run, cost in costs.items() if cost.seconds is not None}
    if not any(cost.less(costs[usual]) for cost in known.values()):
        return usual
    least = min(known.values(), key=lambda cost: cost.seconds or 0.0)
    good = [run for run, cost in known.items() if not least.less(cost)]
    return min(good, key=lambda run: abs(math.log(run.batch_size / usual.batch_size)))


def plan_cost(passes: Iterable[Cost], whole: Ends, catalog: Catalog) -> Cost:
    """The cost of a plan: of its passes, and of its ends x_∅ and x_N."""
    total = sum(passes, NOTHING)
    for model, layers in whole.items():
        total += forward_cost([catalog.model(model)], [deepest(layers)], len(layers), Run(len(layers), "eager"))
    return total


def overhead(jobs: Sequence[Job], maps: int) -> float:
    """Seconds that a query takes beside its batches: planning, drawing coalitions, estimating, building its maps."""
    columns: Counter[DesignSpec] = Counter()
    for job in jobs:
        columns[job.spec] += len(job.games)
    values = sum(_drawing(spec) + _estimating(spec, count) for spec, count in columns.items())
    return _SECONDS_A_QUERY + _SECONDS_A_MAP * maps + _SECONDS_A_JOB * len(jobs) + values


def _drawing(spec: DesignSpec) -> float:
    return 3e-5 * min(spec.rows / 2, 2048) + 1e-9 * spec.rows * spec.players


def _estimating(spec: DesignSpec, columns: int) -> float:
    estimator = find(spec.method)  # None for an interpreter of the user: it is taken to cost as much as means
    seconds = seconds_of_means if estimator is None else estimator.seconds
    return seconds(spec.players, spec.rows, columns)


Reads = tuple[tuple[str, ...], tuple[int | None, ...]]
"""The models of a job, and for each model the deepest layer that the job reads of it."""

Ends = Mapping[str, Sequence[int | None]]
"""For each model, the layer at which each of its ends is read."""


def reads(games: Sequence[Game]) -> Reads:
    """What the games of a job read."""
    if len(games) == 1:
        return (games[0].model,), (games[0].layer,)
    layers: dict[str, list[int | None]] = {}
    for game in games:
        layers.setdefault(game.model, []).append(game.layer)
    return tuple(layers), tuple(map(deepest, layers.values()))


def ends(jobs: Iterable[tuple[Reads, Sequence[Hybrids]]], *, share: bool) -> Ends:
    """The ends x_∅ and x_N that jobs need, given what they read, and of which hybrids: each end once, or, without
    `share`, once for each job. Ends of several rows belong to the pass of their job."""
    apart: dict[str, list[int | None]] = {}
    shared: dict[str, dict[str, int | None]] = {}
    for read, found in jobs:
        every = [each for each in found if each.copies is None]
        if not every:
            continue
        rows = dict.fromkeys(row for each in every for row in (each.full, each.empty))
        count = sum(1 + (each.full != each.empty) for each in every)
        for model, layer in zip(*read, strict=True):
            apart.setdefault(model, []).extend([layer] * count)
            known = shared.setdefault(model, {})
            met = {row: deepest((layer, known[row])) for row in known.keys() & rows}
            known.update(dict.fromkeys(rows, layer))
            known.update(met)
    return {model: list(known.values()) for model, known in shared.items()} if share else apart
