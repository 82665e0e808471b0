"""The same question gives the same answer: in other batches, threads and processes, and from what a saved answer tells.

Bits are equal where nothing is left to differ; elsewhere errors are held to what `docs/repeating.md` promises.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from tests import worlds
from tests.threads import threads

QUERIES = [
    "select 2, * from f(x) left join f(x') where w using exact()",
    "select * from f(x, players => pixels) join g(x', players => pixels) on weight = 0.3 using regression() budget 200",
    "select 4, * from f(x, players => pixels) using permutations() budget 100",
    "select * from f(x, players => pixels) left join g(x, players => pixels) using unbiased() budget 200",
    "select * from f(x, players => pixels) join f(x') where not w error within 20%",
]


def apart(one: ialgebra.Relation, other: ialgebra.Relation) -> float:
    """The largest ‖difference‖ / ‖map‖ of two answers to one question."""
    assert [each.label for each in one] == [each.label for each in other]
    assert [each.target for each in one] == [each.target for each in other]
    return max(
        float(np.linalg.norm(a.values - b.values) / np.linalg.norm(a.values)) for a, b in zip(one, other, strict=True)
    )


def bits(answer: ialgebra.Relation) -> list[str]:
    return [each.map.tobytes().hex() + each.stderr.tobytes().hex() for each in answer]


# --- batches and threads

WIDE = [
    "select * from f(x) left join f(x') budget 200",
    pytest.param(
        "select * from f(x, output => 'probability') join f(x') using permutations() budget 200", marks=pytest.mark.slow
    ),
    pytest.param("select * from f(x, target => 4) using unbiased() budget 200", marks=pytest.mark.slow),
]


@functools.cache
def wide(dtype: torch.dtype) -> ialgebra.Session:
    """A net that torch runs by other kernels in other batches."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    con = ialgebra.connect(progress=False)
    con.register_model("f", net.to(dtype).eval())
    for name in ("x", "x'"):
        con.register_input(name, torch.randn(3, 32, 32, dtype=dtype))
    return con


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-11)], ids=["32", "64"])
@pytest.mark.parametrize("query", WIDE)
def test_batches_layouts_and_threads_show_in_the_last_digits_only(
    query: str, dtype: torch.dtype, tolerance: float
) -> None:
    con = wide(dtype)
    alone = replace(Strategy.BEST, reuse=False, measured=False)
    usual = con.sql(query, seed=5, strategy=alone)
    for other in ({"batch_size": 1}, {"batch_size": 7}, {"mode": "channels-last"}):
        assert apart(usual, con.sql(query, seed=5, strategy=replace(alone, **other))) <= tolerance
    with threads(2):
        assert apart(usual, con.sql(query, seed=5, strategy=alone)) <= tolerance
    assert apart(usual, con.sql(query, seed=6, strategy=alone)) > 100 * tolerance


def test_batches_of_a_former_run_come_first_and_what_was_run_is_written_down() -> None:
    query = "select * from f(x, players => pixels) error within 20%"
    wish = ((2, "eager", 1), (7, "channels-last", 2), (3, "eager", 1))
    usual, found = (
        worlds.case("image", seed=3, dtype=torch.float32).con.sql(query, strategy=replace(Strategy.BEST, batches=given))
        for given in (None, wish)
    )
    ran: Any = found.provenance["batches"]
    assert ran[:3] == [list(each) for each in wish[:3]]
    assert ran[3:], "and then as planned"
    assert usual.provenance["batches"] != ran
    assert "batches" not in usual.provenance["decisions"]
    assert apart(usual, found) <= 1e-5
    again = worlds.case("image", seed=3, dtype=torch.float32).con
    assert bits(again.sql(query, strategy=replace(Strategy.BEST, batches=ran))) == bits(found)


@pytest.mark.parametrize(
    "batches", [((0, "eager", 1),), ((4, "fast", 1),), ((4, "eager", 0),), (3,), "abc", ((4, "eager"),)]
)
def test_batches_that_cannot_be_run_are_refused(batches: Any) -> None:
    said = (
        "argument 'batches' of Strategy must be a list" if batches == "abc" else "batches are rows, mode and how many"
    )
    with pytest.raises(ialgebra.BindError, match=said):
        Strategy("mine", batches=batches)


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_asked_again_in_another_session_has_the_same_bits(query: str) -> None:
    first, again = (worlds.case("image", seed=3, dtype=torch.float32).con.sql(query, seed=5) for _ in range(2))
    assert bits(first) == bits(again)
    assert first.provenance == again.provenance


# --- processes

SCRIPT = """
import json, sys, torch
torch.set_num_threads(int(sys.argv[1]))
from tests import test_repeating as t
con = t.worlds.case("image", seed=3, dtype=torch.float32).con
answers = [con.sql(query, seed=5) for query in t.QUERIES]
print(json.dumps([[t.bits(each), each[0].values.tolist(), each.provenance] for each in answers]))
"""


def elsewhere(count: int, **variables: str) -> list[Any]:
    """What another process answers with so many threads under these variables of its environment."""
    root = str(Path(__file__).parent.parent)
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": root} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Any] = json.loads(told.stdout)
    return found


@pytest.mark.slow
def test_processes_agree_in_every_bit_whatever_python_s_hashes() -> None:
    first, *others = (elsewhere(1, PYTHONHASHSEED=seed) for seed in ("0", "1", "random"))
    assert all(each == first for each in others)
    with threads(1):
        con = worlds.case("image", seed=3, dtype=torch.float32).con
        here = [con.sql(query, seed=5) for query in QUERIES]
    assert [bits(each) for each in here] == [bits_ for bits_, _, _ in first]
    assert json.loads(json.dumps([each.provenance for each in here])) == [told for _, _, told in first]


@pytest.mark.slow
def test_processes_of_other_threads_agree_to_rounding() -> None:
    one = elsewhere(1, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    two = elsewhere(2, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    for (_, values, told), (_, others, also) in zip(one, two, strict=True):
        assert np.linalg.norm(np.subtract(values, others)) <= 1e-5 * np.linalg.norm(values)
        assert (told["threads"], also["threads"]) == (1, 2)
        assert {**told, "threads": 2} == also


# --- provenance


class Repeated:
    """A session rebuilt from a provenance, given the modules and tensors that it names."""

    def __init__(
        self, told: Mapping[str, Any], models: Mapping[str, Any], tensors: Mapping[str, Tensor], heads: Path
    ) -> None:
        self.told, self.con = told, ialgebra.connect(progress=False)
        for name, each in told["models"].items():
            self.con.register_model(
                name, models[name], layers=each["layers"] or None, output=each["output"], batch_size=each["batch_size"]
            )
            self.con.load_heads(name, heads)
        named = {name: each for name, each in told["inputs"].items() if name in tensors and " " not in name}
        for defaults in (False, True):  # a default may name another input
            for name, each in named.items():
                wishes = {key: tensors.get(each[key], each[key]) for key in ("baseline", "players") if defaults}
                self.con.register_input(name, tensors[name], **wishes)
        for name, each in told["windows"].items():
            mask = tensors.get(name)
            self.con.register_window(name, each["text"] if mask is None else mask)
        for name, text in told["views"].items():
            self.con.sql(f"create view {name} as {text}")
        for option, value in told["settings"].items():
            self.con.sql(f"set {option} = {value}")

    def answer(self) -> ialgebra.Relation:
        """The same query, with its passes cut as they were."""
        decisions = {key: value for key, value in self.told["decisions"].items() if key != "rules"}
        strategy = Strategy(self.told["strategy"], **decisions, batches=self.told["batches"])
        return self.con.sql(self.told["query"], seed=self.told["seed"], strategy=strategy)


def studio(heads: int = 0) -> tuple[ialgebra.Session, dict[str, nn.Module], dict[str, Tensor]]:
    """A session in which as much as can be said beside the query is said beside the query."""
    torch.manual_seed(11)
    nets = {name: worlds.network("image") for name in ("f", "g")}
    tensors = {
        "x": torch.randn(2, 6, 6),
        "y": torch.randn(2, 6, 6),
        "them": torch.randn(3, 2, 6, 6),
        "x baseline": torch.randn(2, 6, 6),
        "parts": torch.randint(9, (1, 6, 6)),
        "m": torch.rand(2, 6, 6) < 0.8,
    }
    con = ialgebra.connect(progress=False)
    con.register_model("f", nets["f"], batch_size=5)
    con.register_model("g", nets["g"], output="probability")
    con.register_input("them", tensors["them"])
    con.register_input("parts", tensors["parts"])
    con.register_input("x", tensors["x"], baseline=tensors["x baseline"], players="pixels")
    con.register_input("y", tensors["y"], baseline="mean(them)", players=tensors["parts"])
    tensors["y players"] = tensors["parts"]
    con.fit_heads("f", torch.randn(30, 2, 6, 6, generator=torch.Generator().manual_seed(heads)), layers=["l", 4])
    con.register_window("m", tensors["m"])
    con.register_window("w", "row > 0 and m or col = 0")
    con.sql("create view v as select l from f(y, players => pixels, target => 1) where w")
    con.sql("set budget = 120; set seed = 9; set output = 'log_odds'")
    return con, nets, tensors


ASKED = "select * from (select l from f(x, target => 1)) join v where not m"


def test_a_saved_answer_is_repeated_from_its_provenance_bit_for_bit(tmp_path: Path) -> None:
    con, nets, tensors = studio()
    con.save_heads("f", tmp_path / "heads")
    answer = con.sql(ASKED, strategy=replace(Strategy.BEST, allocate=False))
    con.close()
    saved = ialgebra.load(answer.save(tmp_path / "answer"))
    assert saved.provenance == answer.provenance
    found = Repeated(saved.provenance, nets, tensors, tmp_path / "heads").answer()
    assert 0 < found[0].relative_error < 1
    assert bits(found) == bits(saved)
    assert found.provenance == saved.provenance


def test_provenance_says_what_stands_beside_the_query() -> None:
    con, nets, _ = studio()
    answer = con.sql(ASKED, strategy=Strategy.FUSED)
    told: Any = answer.provenance
    assert told["query"] == ASKED
    assert (told["seed"], told["strategy"], told["decisions"]["share"]) == (9, "FUSED", True)
    assert told["settings"] == {"budget": 120, "seed": 9, "output": "log_odds"}
    assert list(told["views"]) == ["v"]
    assert list(told["windows"]) == ["m", "w"]
    assert list(told["inputs"]) == ["them", "x", "x baseline", "y"]
    assert told["inputs"]["x"]["baseline"] == "x baseline"
    assert (told["inputs"]["y"]["baseline"], told["inputs"]["them"]["count"]) == ("mean(them)", 3)
    assert list(told["models"]) == ["f"]
    assert list(told["models"]["f"]["heads"]) == ["l"]
    assert told["models"]["f"]["layers"] == [name for name, _ in nets["f"].named_children()]
    assert told["passes"] == [{"models": ["f"], "batch_size": 5, "mode": "eager"}]
    assert {(rows, mode) for rows, mode, _ in told["batches"]} == {(5, "eager")}
    assert sum(rows * count for rows, _, count in told["batches"]) >= answer.stats.rows > 4 * 5
    assert told["torch"] == torch.__version__
    assert json.loads(json.dumps(told)) == told


@functools.cache
def told_after(change: str) -> Any:
    """The provenance of one answer, after one thing was changed."""
    con, nets, _ = studio(heads=1 if change == "head" else 0)
    match change:
        case "weight":
            nets["f"][0].weight.data[0, 0, 0, 0] += 1
        case "input":
            con.register_input("y", torch.zeros(2, 6, 6), baseline="mean(them)")
        case "baseline":
            con.register_input("them", torch.zeros(3, 2, 6, 6))
        case "mask":
            con.register_window("m", torch.zeros(2, 6, 6, dtype=torch.bool))
        case "window":
            con.sql("create or replace window w as row > 1")
        case "view":
            con.sql("create or replace view v as select l from f(y, target => 1)")
        case "setting":
            con.sql("set budget = 110")
    return con.sql(ASKED).provenance


CHANGES = {
    "weight": "models",
    "head": "models",
    "input": "inputs",
    "baseline": "inputs",
    "mask": "windows",
    "window": "windows",
    "view": "views",
    "setting": "settings",
}


@pytest.mark.parametrize("change", CHANGES)
def test_provenance_changes_with_whatever_the_answer_hangs_on(change: str) -> None:
    one, other = told_after("nothing"), told_after(change)
    assert one[CHANGES[change]] != other[CHANGES[change]]


def test_a_statement_in_words_is_saved_with_its_versions(tmp_path: Path) -> None:
    con, *_ = studio()
    back = ialgebra.load(con.sql("show models").save(tmp_path / "said"))
    assert back.provenance["torch"] == torch.__version__
    assert back.provenance["ialgebra"] == ialgebra.__version__
