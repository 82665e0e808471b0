"""Whether passes begin from pattern tables is decided by what they cost, with the mode; no answer hangs on it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import Session, Strategy
from ialgebra.execution import coalitions
from ialgebra.models import tabling
from ialgebra.models.profile import Mode
from ialgebra.planner.cost import cheapest, forward_cost
from ialgebra.planner.physical import Run
from ialgebra.planner.tabled import TablesOfPass
from tests.models.graph.networks import NETWORKS, Case, Residual
from tests.models.zoo import seeded
from tests.test_tables import FALLING_BACK, PICTURES, network, session, values

OPEN = dataclasses.replace(Strategy.BEST, batch_size=32)
WHOLE = dataclasses.replace(OPEN, table=False, reuse=False)
ASKED = PICTURES[0]


def slow(con: Session, seconds: float = 0.05, mode: Mode = "eager", size: int = 32) -> Session:
    """The session, whose model is known by passes that took so many seconds a row."""
    network(con).probe(con._catalog.inputs["x"].example.tensor)
    network(con).profile.curves[mode] = {size: [size * seconds] * 8}
    network(con).profile._rates.clear()
    return con


def told(con: Session, strategy: Strategy, query: str = ASKED) -> list[dict[str, object]]:
    """What EXPLAIN says of D11."""
    details = con.sql(f"explain {query}", strategy=strategy).details
    return [dict(each) for each in details["decisions"] if each["id"] == "D11"]


def test_rows_that_take_long_begin_from_a_table_and_explain_says_what_whole_ones_cost() -> None:
    con = slow(session(seeded(NETWORKS["vgg"].build), NETWORKS["vgg"]))
    (line,) = told(con, OPEN)
    assert str(line["chosen"]).startswith("from a table of 16 rows")
    ((what, rows, seconds),) = line["rejected"]
    assert (what, rows) == ("whole", 98)
    assert seconds == pytest.approx(98 * 0.05, rel=0.05)
    forecast = con.sql(f"explain {ASKED}", strategy=OPEN).details
    assert forecast["batches"][0]["seconds"] < 0.8 * seconds
    assert forecast["seconds"] < con.sql(f"explain {ASKED}", strategy=WHOLE).details["seconds"] - 0.2 * seconds
    begun = values(con, ASKED, dataclasses.replace(OPEN, reuse=False))
    assert network(con).tabling.made.rows == 20
    assert np.array_equal(begun, values(con, ASKED, WHOLE))


def test_few_rows_that_are_left_cost_no_less_than_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are not full were measured to be much faster than full ones: no table saves more than they take."""
    made: list[TablesOfPass] = []

    class Watched(TablesOfPass):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(coalitions, "TablesOfPass", Watched)
    con = slow(session(seeded(NETWORKS["vgg"].build), NETWORKS["vgg"]))
    network(con).profile.curves["eager"][8] = [8e-6] * 8
    values(con, ASKED, dataclasses.replace(OPEN, mode="eager"))
    (tables,) = made
    whole = {Run(32, "eager"): forward_cost([network(con)], [None], 8, Run(32, "eager"))}
    begun = tables.costs(whole, left=8 / 98)
    assert begun
    assert all((cost.seconds or 0.0) >= 0 for cost in begun.values())
    assert cheapest(whole | begun).mode == "eager"


def test_short_rows_trace_nothing() -> None:
    con = slow(session(seeded(NETWORKS["vgg"].build), NETWORKS["vgg"]), seconds=1e-6)
    assert told(con, OPEN) == []
    values(con, ASKED, OPEN)
    assert not network(con).tabling.knows("eager")


def test_rows_of_unknown_cost_and_few_rows_are_run_whole() -> None:
    case = NETWORKS["vgg"]
    assert told(session(seeded(case.build), case), OPEN) == []
    con = slow(session(seeded(case.build), case))
    assert told(con, OPEN, ASKED.replace("100", "20")) == []
    assert told(con, dataclasses.replace(OPEN, measured=False)) == []
    assert told(con, WHOLE) == []
    assert not network(con).tabling.knows("eager")


def test_a_network_without_a_prefix_is_looked_at_once_and_told() -> None:
    case = Case(FALLING_BACK["state"], (3, 24, 24))
    con = slow(session(seeded(case.build), case))
    (line,) = told(con, OPEN)
    assert line["chosen"] == "whole: Counting: it keeps state between calls"


def test_a_table_that_saves_too_little_is_shown_with_its_cost() -> None:
    case = NETWORKS["vgg"]
    con = slow(session(seeded(case.build), case))
    told(con, OPEN)  # looks at the graph
    (line,) = told(con, OPEN, "select * from f(x, players => grid(4, 4)) budget 34")
    assert line["chosen"] == "whole"
    ((what, _, seconds),) = line["rejected"]
    assert what.startswith("from a table of 16 rows")
    assert seconds > 0.95 * 30 * 0.05


def test_mode_and_table_are_one_choice() -> None:
    case = NETWORKS["vgg"]
    con = slow(slow(session(seeded(case.build), case)), 0.04, "channels-last")
    details = con.sql(f"explain {ASKED}", strategy=OPEN).details
    assert details["batches"][0]["mode"] == "channels-last"
    (mode,) = [each for each in details["decisions"] if each["id"] == "D10"]
    ((other, _, seconds),) = mode["rejected"]
    assert other == "eager"
    assert seconds < 98 * 0.05, "eager passes could begin from a table too"


@pytest.mark.parametrize("mode", ["eager", "channels-last"])
def test_an_answer_from_tables_is_had_again_from_its_provenance(mode: Mode) -> None:
    con = slow(session(seeded(NETWORKS["vgg"].build), NETWORKS["vgg"]), mode=mode)
    strategy = dataclasses.replace(OPEN, mode=mode, reuse=False)
    first = con.sql(ASKED, strategy=strategy, seed=3)
    batches = first.provenance["batches"]
    assert [32, mode, 4, "table"] in batches
    decisions = {name: value for name, value in first.provenance["decisions"].items() if name != "rules"}
    other = session(seeded(NETWORKS["vgg"].build), NETWORKS["vgg"])  # whose passes nobody has measured
    again = other.sql(ASKED, seed=3, strategy=Strategy("BEST", **decisions, batches=batches))
    assert network(other).tabling.made.rows > 0
    assert again.provenance["batches"] == batches
    assert np.array_equal(again[0].values, first[0].values)


def test_a_script_says_which_batches_began_from_tables(tmp_path: Path) -> None:
    con = slow(session(seeded(NETWORKS["vgg"].build), NETWORKS["vgg"]))
    con.sql(ASKED, strategy=OPEN, seed=3)
    path = tmp_path / "analysis.py"
    con.history.export(path)
    script = path.read_text()
    assert "(32, 'eager', 4, 'table')" in script.replace('"', "'")


def test_groups_of_batches_are_checked() -> None:
    kept = dataclasses.replace(OPEN, batches=[[32, "eager", 4, "table"], [8, "folded", 1]])
    assert kept.batches == ((32, "eager", 4, "table"), (8, "folded", 1))
    for wrong in ([[32, "eager", 4, "tables"]], [[32, "eager"]], [[32, "eager", 4, "table", 1]], [[0, "eager", 1]]):
        with pytest.raises(ialgebra.errors.BindError, match="batches are rows, mode and how many"):
            dataclasses.replace(OPEN, batches=wrong)


# --- Several games


def test_several_backgrounds_and_inputs_have_tables_of_their_own() -> None:
    case = NETWORKS["vgg"]
    con = slow(session(seeded(case.build), case))
    con.register_input("ys", torch.rand(9, *case.shape, generator=torch.Generator().manual_seed(5)))
    queries = [
        "select * from f(x, players => grid(4, 4), baseline => ys) budget 100",
        "select * from f(ys, players => grid(4, 4)) budget 64",
    ]
    for query in queries:
        before = network(con).tabling.made.rows
        begun = values(con, query, dataclasses.replace(OPEN, reuse=False))
        assert network(con).tabling.made.rows - before == 9 * 20, query
        assert np.array_equal(begun, values(con, query, WHOLE)), query


def test_the_models_of_a_session_share_the_bytes_of_tables() -> None:
    case = NETWORKS["vgg"]
    con = slow(session(seeded(case.build), case))
    con.register_model("g", seeded(case.build))
    kept = con._catalog.tables
    strategy = dataclasses.replace(OPEN, table=True, mode="eager", reuse=False)
    values(con, ASKED, strategy)
    one = kept.nbytes
    values(con, ASKED.replace("f(", "g("), strategy)
    assert (len(kept), kept.nbytes) == (2, 2 * one)
    kept.limit = 2 * one
    values(con, ASKED.replace("f(x", "f(y"), strategy)
    assert (len(kept), kept.nbytes) == (2, 2 * one)
    assert con._catalog.models["g"].tabling.made.rows == 20
    values(con, ASKED.replace("f(", "g(").replace("100", "110"), strategy)
    assert con._catalog.models["g"].tabling.made.rows == 20, (
        "what was used longest ago was forgotten: the table of f(x)"
    )


def test_many_rows_begin_from_a_second_larger_table() -> None:
    case = Case(lambda: Residual(32), (3, 24, 24))
    con = session(seeded(case.build), case)
    query = "select * from f(x, players => grid(8, 8)) budget 3000"
    forced = dataclasses.replace(WHOLE, table=True, mode="eager")
    begun = values(con, query, forced)
    (line,) = told(con, forced, query)
    assert network(con).tabling.made.rows > 500, line
    assert not network(con).tabling.refused
    assert np.array_equal(begun, values(con, query, dataclasses.replace(WHOLE, mode="eager")))


def test_a_mode_whose_passes_begin_from_no_table_is_told() -> None:
    case = NETWORKS["vgg"]
    con = session(seeded(case.build), case)
    (line,) = told(con, dataclasses.replace(OPEN, table=True, mode="onednn"))
    assert line["chosen"] == "whole: passes in mode onednn begin from no table"
    assert network(con).tabling.made == tabling.Made()


# --- What may not be trusted


class ReadsFile(nn.Module):
    """Its answers hang on a file, which nothing else tells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.net, self.path = NETWORKS["vgg"].build(), path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x * float(self.path.read_text()))


@pytest.mark.parametrize("mode", ["eager", "folded"])
def test_a_model_that_may_change_unseen_is_neither_begun_from_tables_nor_folded(tmp_path: Path, mode: Mode) -> None:
    path = tmp_path / "factor"
    path.write_text("1")
    con = session(seeded(lambda: ReadsFile(path)), NETWORKS["vgg"])
    forced = dataclasses.replace(OPEN, table=True, mode=mode, reuse=False)
    values(con, ASKED, forced)
    path.write_text("2")
    found = values(con, ASKED, forced)
    assert np.allclose(found, values(con, ASKED, dataclasses.replace(WHOLE, mode="eager")), rtol=1e-5, atol=1e-6)
    assert network(con).tabling.made.rows == 0
    assert "folded" not in network(con).modes(None)


def test_an_error_while_a_table_is_made_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(tabling, "made", failing)
    con = session(seeded(NETWORKS["vgg"].build), NETWORKS["vgg"])
    begun = values(con, ASKED, dataclasses.replace(OPEN, table=True, mode="eager", reuse=False))
    assert network(con).tabling.refused == {"eager": "RuntimeError: a fault of ours"}
    assert np.array_equal(begun, values(con, ASKED, dataclasses.replace(WHOLE, mode="eager")))
