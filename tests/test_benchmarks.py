"""Every benchmark runs from end to end at tiny sizes, and what it reports follows from what it measured."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from ialgebra import Strategy

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from benchmarks import costmodel, drilldown, gpu, limit, memory, report, scale, sets, strategies, workloads


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> workloads.World:
    return workloads.digits(tmp_path_factory.mktemp("heads"), steps=2)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, world: workloads.World) -> None:
    """One world for all, and sizes at which nothing is slow: the figures do not matter here."""
    for module in (strategies, limit, costmodel, scale):
        monkeypatch.setattr(module, "digits", lambda folder, steps=0: world)


@pytest.mark.parametrize(
    "benchmark",
    [pytest.param(each, marks=pytest.mark.slow) for each in (strategies, limit, costmodel, scale)],
    ids=lambda each: each.__name__,
)
def test_a_benchmark_runs_and_its_markdown_can_be_had_from_its_json(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main(["--quick", "--out", str(tmp_path)]) == 0
    name = benchmark.__name__.rsplit(".", 1)[1]
    data = json.loads((tmp_path / f"{name}.json").read_text())
    text = (tmp_path / f"{name}.md").read_text()
    assert capsys.readouterr().out == text == benchmark.report(data)
    assert benchmark.markdown(data) in text
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert tables
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "nan" not in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="says so only where there is no GPU")
def test_without_a_gpu_its_benchmark_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_sets_are_measured_against_all_coalitions_of_each_input() -> None:
    """f = 2 a + b c: its value of a is 2 (a − mean a), and b and c share what they do together."""
    rows, background = np.array([[1.0, 2.0, 3.0]]), np.array([[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]])
    found = sets.enumerated(lambda x: 2 * x[:, 0] + x[:, 1] * x[:, 2], rows, background)
    assert found == pytest.approx(np.array([[3.0, 3.5, 2.5]]))


def test_sets_run_with_whatever_is_installed() -> None:
    ours = sets.Explainer(sets.OURS, "", sets.ours)
    theirs = sets.Explainer("peer", "", lambda case, rows: case.exact[: len(rows)], most=1)
    lacking = sets.Explainer("nowhere", "", sets.ours, ("no_such_package",))
    case = sets.Case("exact", 2, 3, 3, "MLP", (ours, theirs, lacking), "peer")
    data = sets.measured(case, 1, memory=False)
    text = sets.markdown({"cases": [data]})
    assert [each["title"] for each in data["results"]] == ["ialgebra", "peer"]
    assert all(each["error"] < 1e-6 for each in data["results"])
    assert "Not installed: nowhere." in text
    assert "| peer | ~" in text
    data["results"][1] |= {"seconds": data["results"][0]["seconds"] / 2}
    assert sets.ratio(data) == pytest.approx(2)
    data["results"][0] |= {"error": 0.1}
    assert sets.ratio(data) is None, "a larger error is no fewer seconds"


@pytest.mark.slow
def test_sets_of_tiny_sizes_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sets.main(["--quick", "--out", str(tmp_path)]) == 0
    data = json.loads((tmp_path / "sets.json").read_text())
    assert capsys.readouterr().out == (tmp_path / "sets.md").read_text() == sets.report(data)


def test_an_ablation_forces_one_decision_and_no_other() -> None:
    found = strategies.ablations()
    assert len(found) >= 6
    for each in found.values():
        changed = [
            field.name
            for field in dataclasses.fields(Strategy)
            if field.name != "name" and getattr(each, field.name) != getattr(Strategy.BEST, field.name)
        ]
        assert len(changed) == 1
    assert len({each.name for each in found.values()}) == len(found)


def test_every_strategy_gives_the_same_maps_from_no_more_rows(world: workloads.World) -> None:
    drill = next(each for each in workloads.workloads(world, 24) if each.name == "drill-down")
    written, best = (strategies.run(world, drill, each, "cpu") for each in (Strategy.AS_WRITTEN, Strategy.BEST))
    assert len(written.values) == 16
    assert strategies.difference(best, written) < 1e-4
    assert best.rows < written.rows / 2
    off = dataclasses.replace(best, values=(best.values[0] * 1.5, *best.values[1:]))
    assert strategies.difference(off, best) == pytest.approx(0.5)


def test_a_drill_down_of_six_steps_takes_a_quarter_of_the_rows(world: workloads.World) -> None:
    asked = list(drilldown.steps(world, 24).values())
    with world.session() as con:
        ours = drilldown.together(con, asked)
        (hot,) = con.sql("select * from f(x, players => pixels) where hot using permutations() budget 3")
    written = drilldown.alone(world, asked, hot.players >= 0)
    assert [len(each) for each in ours] == [len(each) for each in written] == [1, 4, 1, 4, 1, 4]
    assert sum(each.stats.rows for each in ours) <= sum(each.stats.rows for each in written) / 4
    for one, other in zip(ours, written, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a.map, b.map, atol=1e-4 * np.linalg.norm(b.map))
    assert drilldown.differing(ours, ours) == 0
    assert drilldown.differing(ours[:1], ours[2:3]) == 1, "another layer's map is another"


def test_the_variant_is_another_network_of_the_same_form(world: workloads.World) -> None:
    pairs = list(zip(world.network.state_dict().values(), world.variant.state_dict().values(), strict=True))
    assert all(a.shape == b.shape for a, b in pairs)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("seed", range(5))
def test_random_queries_are_queries(world: workloads.World, seed: int) -> None:
    import random

    rng = random.Random(seed)
    with world.session() as con:
        con.sql("select * from f(x) budget 4")
        for _ in range(20):
            con.explain(costmodel.random_query(world, rng, (32, 64), (2, 3)))
            con.explain(costmodel.bounded_query(world, rng, (2, 3), (5, 10)))


def test_predictions_count_within_the_factor_either_way() -> None:
    assert costmodel.within([1.0, 1.4, 1 / 1.4, 1.6, 1 / 1.6]) == pytest.approx(0.6)
    assert math.isnan(costmodel.within([]))


def test_peak_memory_is_what_the_work_takes() -> None:
    found = memory.peak(lambda: np.ones(1 << 24).sum())  # 128 MiB
    if found is None:
        pytest.skip("this system does not tell")
    assert 120 << 20 < found < 200 << 20


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.012"), (1234.0, "1,234"), (0.5, "0.5"), (99.6, "100"), (float("nan"), "–"), (None, "–")],
)
def test_numbers_read_without_exponents(value: float | None, text: str) -> None:
    assert report.number(value) == text


def test_a_goal_that_is_missed_stands_in_bold() -> None:
    assert report.goal(0.3, 0.25) == "**0.3** (≤ 0.25)"
    assert report.goal(0.95, 0.92, at_most=False) == "0.95 (≥ 0.92)"
