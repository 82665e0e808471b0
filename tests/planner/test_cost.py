"""What passes are foretold to cost, on networks that are numbers only."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from ialgebra.kernels.estimators.regression import A_FIT
from ialgebra.planner import cost as formulas
from ialgebra.planner.cost import (
    NOTHING,
    batch_size,
    cheapest,
    deepest,
    ends,
    forward_cost,
    overhead,
    plan_cost,
    reads,
    runs,
)
from ialgebra.planner.physical import Cost, Job, Run
from ialgebra.planner.sampling import DesignSpec


class Passes:
    """A profile: seconds a row by mode and batch size, of a network whose layers are equally dear."""

    def __init__(
        self,
        per_row: dict[str, dict[int, float]],
        layers: int = 4,
        compile_seconds: float | None = None,
        making: dict[str, float] | None = None,
    ):
        self.per_row, self.layers, self.compile_seconds = per_row, layers, compile_seconds
        self.making = making or {}
        self.bytes_per_row = 1000

    def known(self, mode: str) -> bool:
        return mode in self.per_row

    def sizes(self, mode: str) -> tuple[int, ...]:
        return tuple(self.per_row.get(mode, ()))

    def share(self, layer: int | None) -> float:
        return 1.0 if layer is None else layer / self.layers

    def seconds(self, rows: int, batch: int, *, layer: int | None, mode: str) -> float:
        curve = self.per_row[mode]
        return rows * self.share(layer) * curve.get(batch, next(iter(curve.values())))


def network(
    per_row: dict[str, dict[int, float]], compiled: tuple[int, ...] = (), copied: tuple[str, ...] = (), **options: Any
) -> Any:
    """A network of inputs of 100 numbers."""
    profile = Passes(per_row, **options)

    def modes(layer: int | None) -> list[str]:
        return [mode for mode in ("eager", "channels-last", "compiled") if mode in per_row]

    return SimpleNamespace(
        row_shape=(4, 25),
        profile=profile,
        modes=modes,
        compiled_for=compiled.__contains__,
        copied=copied.__contains__,
    )


EAGER = network({"eager": {8: 0.01}})
BESIDE = formulas._SECONDS_A_ROW + 100 * formulas._SECONDS_AN_ELEMENT  # seconds to compose a row of 100 numbers
BATCH = formulas._SECONDS_A_BATCH  # seconds beside those of a batch


@pytest.mark.parametrize(
    ("elements", "on_cpu", "expected"),
    [
        (3 * 224 * 224, True, 32),  # a photo
        (3 * 224 * 224, False, 256),
        (3 * 224 * 224 + 1, True, 16),
        (3 * 32 * 32, True, 512),
        (3 * 96 * 96, True, 128),
        (3 * 2048 * 2048, True, 1),
        (3 * 224 * 224 * 32, True, 1),
        (3 * 224 * 224 * 16, True, 2),
        (0, True, 512),
        (1, True, 512),
        (3 * 224 * 224 * 200, True, 1),
        (3 * 224 * 224 * 16, False, 16),
    ],
)
def test_batches_are_powers_of_two_about_as_large_as_32_photos(elements: int, on_cpu: bool, expected: int) -> None:
    assert batch_size(elements, on_cpu) == expected


def test_the_deepest_layer_is_the_models_own_output_where_that_is_read() -> None:
    assert deepest([2, 5, 3]) == 5
    assert deepest([2, None, 3]) is None
    assert deepest(iter([4])) == 4


def test_a_pass_costs_its_rows_and_something_beside_them() -> None:
    cost = forward_cost([EAGER], [None], 20, Run(8, "eager"))
    assert cost.rows == 20
    assert cost.work == 20
    assert cost.peak == 8 * 1000
    assert cost.seconds == pytest.approx(20 * 0.01 + 3 * BATCH + 20 * BESIDE, rel=1e-9)
    assert forward_cost([EAGER], [None], 16, Run(8, "eager")).seconds == pytest.approx(
        16 * 0.01 + 2 * BATCH + 16 * BESIDE, rel=1e-9
    )
    assert forward_cost([EAGER], [None], 5, Run(8, "eager")).peak == 5 * 1000
    assert forward_cost([EAGER], [None], 0, Run(8, "eager")) == Cost(0, 0.0, 0.0, 0)
    early = forward_cost([EAGER], [1], 20, Run(8, "eager"))
    assert early.work == 5
    assert early.seconds == pytest.approx(20 * 0.01 / 4 + 3 * BATCH + 20 * BESIDE, rel=1e-9)


def test_what_was_not_measured_has_no_seconds_but_rows() -> None:
    unknown = network({})
    assert forward_cost([unknown], [None], 20, Run(8, "eager")) == Cost(20, 20.0, None, 8000)
    assert forward_cost([unknown], [None], 0, Run(8, "eager")).seconds == 0
    both = forward_cost([EAGER, unknown], [None, 2], 20, Run(8, "eager"))
    assert both == Cost(40, 30.0, None, 8000)
    assert forward_cost([EAGER], [None], 20, Run(8, "compiled")).seconds is None


def test_two_models_share_what_composing_their_rows_takes() -> None:
    one = forward_cost([EAGER], [None], 20, Run(8, "eager"))
    two = forward_cost([EAGER, EAGER], [None, None], 20, Run(8, "eager"))
    assert two.seconds == pytest.approx(2 * one.seconds - 20 * BESIDE, rel=1e-9)
    assert (two.rows, two.work, two.peak) == (40, 40, 8000)


def test_weights_that_are_not_copied_yet_are_copied_first() -> None:
    curves, run = {"eager": {8: 0.02}, "folded": {8: 0.01}}, Run(8, "folded")
    ready = forward_cost([network(curves, copied=("folded",), making={"folded": 0.5})], [None], 16, run)
    fresh = [network(curves, making={"folded": 0.5})]
    assert forward_cost(fresh, [None], 16, run).seconds == pytest.approx(ready.seconds + 0.5 + 4 * 0.02)
    for rows, expected in ((40, "eager"), (80, "folded")):  # a copy and its check cost as much as 58 rows save
        costs = {each: forward_cost(fresh, [None], rows, each) for each in (Run(8, "eager"), run)}
        assert cheapest(costs).mode == expected


def test_what_is_not_compiled_yet_is_compiled_first() -> None:
    curves = {"compiled": {8: 0.01}}
    run = Run(8, "compiled")
    ready = forward_cost([network(curves, (8,), compile_seconds=30.0)], [None], 16, run)
    fresh = forward_cost([network(curves, (16,), compile_seconds=30.0)], [None], 16, run)
    assert fresh.seconds == pytest.approx(ready.seconds + 30)
    assert forward_cost([network(curves)], [None], 16, run).seconds == math.inf
    eager = forward_cost([network({"eager": {8: 0.01}}, (), compile_seconds=30.0)], [None], 16, Run(8, "eager"))
    assert eager.seconds < 1


def test_the_ways_to_run_a_pass_are_those_that_every_network_was_measured_in() -> None:
    one = network({"eager": {8: 1.0, 64: 1.0, 12: 1.0}, "channels-last": {32: 1.0}})
    assert runs([one], [None], 16) == [Run(16, "eager"), Run(8, "eager"), Run(64, "eager"), Run(32, "channels-last")]
    assert runs([one], [None], 8) == [Run(8, "eager"), Run(64, "eager"), Run(32, "channels-last")]
    other = network({"eager": {64: 1.0, 128: 1.0}})
    assert runs([one, other], [None, None], 16) == [Run(16, "eager"), Run(64, "eager")]
    assert runs([other, one], [None, None], 16) == [Run(16, "eager"), Run(64, "eager")]
    assert runs([network({})], [None], 16) == [Run(16, "eager")]


def test_modes_depend_on_where_a_pass_ends() -> None:
    asked = []

    def network_of(name: str) -> Any:
        made = network({"eager": {8: 1.0}})
        made.modes = lambda layer: asked.append((name, layer)) or ["eager"]  # type: ignore[func-returns-value]
        return made

    runs([network_of("one"), network_of("other")], [3, None], 16)
    assert set(asked) == {("one", 3), ("other", None)}


def test_the_usual_way_is_kept_unless_others_are_clearly_cheaper() -> None:
    def taken(**seconds: float | None) -> int:
        """The batch size that is taken; the usual one comes first."""
        costs = {Run(int(name[1:]), "eager"): Cost(10, 10.0, took, 0) for name, took in seconds.items()}
        return cheapest(costs).batch_size

    assert taken(b64=1.0, b32=0.97) == 64
    assert taken(b64=1.0, b32=0.90) == 32
    assert taken(b64=1.0, b32=0.5, b8=0.49) == 32, "about as cheap, and more like the usual"
    assert taken(b64=1.0, b8=0.5, b32=0.51) == 32
    assert taken(b64=1.0, b32=0.5, b8=0.3) == 8
    assert taken(b64=1.0, b16=0.5, b512=0.5) == 16, "a quarter is nearer than eight times"
    assert taken(b64=1.0, b8=0.5, b256=0.5) == 256
    assert taken(b64=None, b8=0.5) == 64
    assert taken(b64=1.0, b8=None) == 64
    assert taken(b64=None) == 64


# --- Whole plans


def job(number: int, full: str, empty: str, *columns: tuple[str, int | None], spec: DesignSpec | None = None) -> Job:
    games = tuple(SimpleNamespace(model=model, layer=layer) for model, layer in columns)
    hybrids = SimpleNamespace(full=full, empty=empty, key=str(number), copies=None)
    return Job(hybrids, spec or DesignSpec("regression", 8, 50, 0), games)  # type: ignore[arg-type]


JOBS = (
    job(0, "x", "0", ("f", 2), ("f", 3)),
    job(1, "y", "0", ("f", None), ("g", 1)),
    job(2, "x", "0", ("f", 1)),
)
READ = [(reads(each.games), [each.hybrids]) for each in JOBS]


def test_whole_inputs_are_read_once_at_the_deepest_layer_that_any_job_reads() -> None:
    found = ends(READ, share=True)
    assert found.keys() == {"f", "g"}
    assert found["f"] == [3, None, None]  # x, the baseline that y's job reads to the end, and y
    assert ends(READ[::-1], share=True)["f"] == [3, None, None]
    assert found["g"] == [1, 1]
    apart = ends(READ, share=False)
    assert apart["f"] == [3, 3, None, None, 1, 1]
    assert apart["g"] == [1, 1]


def test_a_plan_costs_its_passes_and_its_ends() -> None:
    catalog: Any = SimpleNamespace(model={"f": EAGER, "g": network({"eager": {8: 0.1}})}.__getitem__)
    passes, shared = [Cost(48, 30.0, 2.0, 77_000)], ends(READ, share=True)
    total = plan_cost(passes, shared, catalog)
    assert total.rows == 48 + 3 + 2
    assert total.work == 30 + 3 + 2 / 4
    assert total.peak == 77_000
    assert total.seconds == pytest.approx(2 + 3 * 0.01 + 2 * 0.1 / 4 + 2 * BATCH + 5 * BESIDE)
    assert plan_cost(passes, ends(READ, share=False), catalog).rows == 48 + 6 + 2
    assert plan_cost([], ends([], share=True), catalog) == NOTHING == Cost(0, 0.0, 0.0, 0)
    assert plan_cost(passes * 2, shared, catalog).rows == 96 + 5
    assert passes[0].times(2) == passes[0] + passes[0]


def test_a_query_takes_milliseconds_beside_its_batches_more_for_more_jobs_maps_and_columns() -> None:
    exact = DesignSpec("exact", 4, 16, 0)
    one = job(0, "x", "0", ("f", None), spec=exact)
    least = overhead([one], 1)
    assert 0.002 < least < 0.05
    assert overhead([one], 3) - least == pytest.approx(2 * formulas._SECONDS_A_MAP)
    again = overhead([one, one], 1) - least  # the design is drawn once
    assert formulas._SECONDS_A_JOB < again < formulas._SECONDS_A_JOB + 1e-5
    other = job(1, "y", "0", ("f", None), spec=exact._replace(seed=1))
    drawing = overhead([one, other], 1) - least - again
    assert drawing == pytest.approx(3e-5 * 8, rel=0.01)
    assert overhead([], 0) == pytest.approx(formulas._SECONDS_A_QUERY)


def test_estimating_grows_with_pairs_times_centres_and_with_the_columns() -> None:
    def estimating(rows: int, players: int, columns: int, method: str = "regression") -> float:
        spec = DesignSpec(method, players, rows, 0)
        return overhead([job(0, "x", "0", *[("f", k) for k in range(columns)], spec=spec)], 0)

    few, more = (estimating(1000, 20, columns) for columns in (1, 11))
    spectrum = 1e-7 * (499**2 + 249**2)  # of 499 pairs, all of them centres, and of half of them
    assert (more - few) / 10 == pytest.approx(2 * 3e-4 + 2 * spectrum, rel=1e-6)
    drawing = 3e-5 * 500 + 1e-9 * 1000 * 20
    beside = formulas._SECONDS_A_QUERY + formulas._SECONDS_A_JOB + 2 * A_FIT
    assert few == pytest.approx(beside + drawing + 2 * 3e-4 + 3 * spectrum, rel=1e-6)
    growth = estimating(8002, 20, 11) - estimating(8002, 20, 1)
    # Of 4,000 pairs, and of 2,000, 320 are centres, and no threes are read.
    spectrum = 1e-7 * 320 * (4320 + 2320) / 2
    assert growth / 10 == pytest.approx(2 * 3e-4 + spectrum, rel=1e-6)
    growth = estimating(8000, 20, 11, "permutations") - estimating(8000, 20, 1, "permutations")
    assert growth / 10 == pytest.approx(1e-8 * 8000 * 20, rel=1e-4)
    wide, narrow = estimating(100_000, 300, 0, "permutations"), estimating(4096, 300, 0, "permutations")
    assert wide - narrow == pytest.approx((100_000 - 4096) * 300 * 1e-9, rel=1e-6)  # balancing has an end
