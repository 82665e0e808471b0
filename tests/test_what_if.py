"""What-if queries: edited inputs in every place where an input stands, what they cost, and the law that they keep."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import Strategy
from tests import worlds

BEST, WRITTEN = (  # without what hangs on the clock: batches of another size round differently
    dataclasses.replace(each, measured=False, mode="eager") for each in (Strategy.BEST, Strategy.AS_WRITTEN)
)


class Counted(nn.Module):
    """A module that counts the rows that it is given."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.rows = inner, 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.rows += len(batch)
        return self.inner(batch)


def counted(con: ialgebra.Session) -> Counted:
    """Registers and returns a model `c` of images that counts."""
    model = Counted(worlds.network("image").double())
    con.register_model("c", model)
    con.sql("select * from c(x, players => grid(1, 1))")  # its first row tells what it is
    model.rows = 0
    return model


@pytest.fixture
def con() -> ialgebra.Session:
    return worlds.case("image", seed=11).con


def cold(text: str, strategy: Strategy = BEST, kind: worlds.Kind = "image", seed: int = 0, **more: object):
    """The answers of a session in which nothing else was asked."""
    con = worlds.case(kind, seed=11).con
    for name, value in more.items():
        con.register_input(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        return con.sql(text, seed=seed, strategy=strategy)


# --- L14

PAIRED, CHAINS = "budget 160", "using permutations() budget 150"


def by_player(answer: ialgebra.Attribution, whole: np.ndarray) -> list[tuple[float, float]]:
    """The value and the standard error of each player of the whole input; a map of its part lacks some."""
    found = []
    for player in range(whole.max() + 1):
        there = set(answer.players[whole == player].tolist()) - {-1}
        assert len(there) <= 1
        found += [(answer.values[k], answer.stderr[k]) for k in there] or [(0.0, 0.0)]
    return found


@pytest.mark.parametrize(
    ("players", "baseline", "window", "clauses", "strategy"),
    [
        ("tile(1)", "0", "ring", PAIRED, BEST),
        ("tile(1)", "y", "value > 0.3", CHAINS, BEST),
        ("tile(1)", "0.5", "value > 0.3", PAIRED, WRITTEN),
        ("pixels", "y", "ring", PAIRED, BEST),
        ("pixels", "y", "ring", CHAINS, WRITTEN),
        ("pixels", "nullify(y, w2)", "channel = 0", PAIRED, BEST),
        ("blocks", "x'", "value > 0.3", PAIRED, BEST),
        ("blocks", "y", "nothing", PAIRED, BEST),
        ("blocks", "mean(xs)", "ring", CHAINS, BEST),
        ("tile(4)", "y", "ring", PAIRED, BEST),
        ("tile(2)", "x'", "ring", "using exact()", BEST),
        ("tile(2)", "y", "ring", "using exact()", BEST),
    ],
)
def test_a_nullified_input_is_explained_as_the_projection_on_the_rest_to_the_bit(
    players, baseline, window, clauses, strategy
):
    blocks = (torch.arange(72) // 5).reshape(2, 6, 6)
    options = f"target => 1, players => {players}, baseline => {baseline}"
    (one,) = cold(f"select 3 from f(nullify(x, {window}), {options}) where col > 0 {clauses}", strategy, blocks=blocks)
    (other,) = cold(f"select 3 from f(x, {options}) where col > 0 and not {window} {clauses}", strategy, blocks=blocks)
    (whole,) = cold(f"select * from f(x, {options}) budget 2", blocks=blocks)
    assert by_player(one, whole.players) == by_player(other, whole.players)
    assert other.stderr.any() == (players not in ("tile(2)", "tile(4)"))


@pytest.mark.parametrize("kind", ["tabular", "tokens"])
def test_features_and_tokens_keep_the_law_on_the_whole_map(kind):
    for clauses in ("using exact()", "budget 8"):
        (one,) = cold(f"select * from f(nullify(x, w2), target => 0) {clauses}", kind=kind)
        (other,) = cold(f"select * from f(x, target => 0) where not w2 {clauses}", kind=kind)
        assert np.array_equal(one.map, other.map)


def test_substituting_the_baseline_nullifies():
    for players in ("grid(2, 2)", "tile(2)"):
        options = f"baseline => y, players => {players}) budget 12"
        (one,) = cold(f"select * from f(substitute(x, w2, y), {options}")
        (other,) = cold(f"select * from f(nullify(x, w2), {options}")
        assert np.array_equal(one.map, other.map)
        assert np.array_equal(one.stderr, other.stderr)
        assert one.stderr.any() or players == "grid(2, 2)"


def test_one_plan_answers_both_sides_of_the_law_from_the_rows_of_one(con):
    options = "target => 1, players => tile(1), baseline => y"
    text = f"select * from f(nullify(x, w), {options}) join (select * from f(x, {options}) where not w) budget 40"
    alone = cold(f"select * from f(x, {options}) where not w budget 40").stats.rows
    found = con.sql(text)
    assert found.stats.rows == alone > 30
    assert "φ(nullify(x, w)) = Π_¬w φ(x) (L14)" in found.explain()
    again = f"select * from f(nullify(x, w), {options}) budget 40"
    assert con.sql(again).stats.rows == 0, "a nullified input after the projection costs nothing"
    for other in (again, f"select * from f(x, {options}) where not w", "select * from f(x) join f(nullify(x, w))"):
        assert "(L14)" not in con.explain(other)


# --- what they cost


def test_before_and_after_costs_the_rows_of_one_game(con):
    model = counted(con)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of before and after, the same class is what was meant
        tiles = "players => tile(2)"
        found = con.sql(
            f"select * from c(nullify(x, w), {tiles}) left join (select * from c(x, {tiles})) using exact()"
        )
    assert model.rows == found.stats.rows
    assert found.stats.reused_rows == 1, "x itself had been evaluated"
    alone = cold(
        "select * from f(nullify(x, w, baseline => 0), players => tile(2), baseline => x) using exact()"
    ).stats.rows
    assert model.rows + 1 == alone == 64
    after, before = found
    assert (after.input, before.input) == ("nullify(x, row < 3)", "x")
    assert after.target == before.target or not np.array_equal(after.map, -before.map)


def test_rows_that_edits_have_in_common_are_evaluated_once(con):
    model = counted(con)
    options = "players => grid(2, 2), target => 0"
    con.sql(f"select * from c(x, {options}) using exact()")
    first = model.rows
    con.sql(f"select * from c(clip(x, -100, 100), {options}) using exact()")  # the same input by its content
    con.sql(f"select * from c(nullify(x, row < 3 and col < 3), {options}) using exact()")
    assert model.rows == first
    con.sql(f"select * from c(clip(x, -0.1, 0.1), {options}) using exact()")
    assert model.rows > first


# --- where they stand


def test_edits_nest_and_are_made_from_the_inside(con):
    x = con.sql("select * from f(x, players => grid(1, 1))")[0].content
    for text, expected in {
        "shift(nullify(x, row < 2), 1, 0)": np.concatenate([0 * x[:, :3], x[:, 2:5]], 1),
        "nullify(shift(x, 1, 0), row < 2)": np.concatenate([0 * x[:, :2], x[:, 1:5]], 1),
        "clip(substitute(x, w, clip(x, 3, 3)), -1, 2)": np.concatenate([0 * x[:, :3] + 2, x[:, 3:].clip(-1, 2)], 1),
    }.items():
        (answer,) = con.sql(f"select * from f({text}, players => grid(1, 1))")
        assert np.array_equal(answer.content, expected), text
        assert con.sql("select * from f(x, players => grid(1, 1))")[0].content.tolist() == x.tolist()


def test_the_baseline_in_force_is_the_call_s_then_the_input_s_then_the_session_s(con):
    x = torch.rand(2, 6, 6, dtype=torch.float64)
    con.register_input("own", x, baseline=0.25, players="grid(1, 1)")
    con.register_input("other", x, players="grid(1, 1)")

    def top(call: str) -> float:
        (answer,) = con.sql(f"select * from f({call})")
        (value,) = set(answer.content[:, :2].ravel().tolist())
        return value

    assert top("nullify(other, row < 2)") == 0
    assert top("nullify(own, row < 2)") == 0.25
    assert top("nullify(own, row < 2), baseline => 3") == 3
    assert top("nullify(own, row < 2, baseline => 4), baseline => 3") == 4
    assert top("substitute(other, row < 2, nullify(own, true))") == 0.25
    con.sql("set baseline = 7")
    assert top("nullify(other, row < 2)") == 7
    assert top("shift(other, 2, 0)") == 7
    assert top("nullify(own, row < 2)") == 0.25


def test_an_edit_of_a_collection_edits_each_element(con):
    edited = con.sql("select * from f(scale(xs, 0.5), target => 1)")
    whole = [answer.content for answer in con.sql("select * from f(xs, target => 1)")]
    assert [answer.input for answer in edited] == [f"scale(xs[{k}], 0.5)" for k in range(3)]
    for k, answer in enumerate(edited):
        con.register_input("one", whole[k], players="grid(2, 2)")
        (alone,) = con.sql("select * from f(scale(one, 0.5), target => 1)")
        assert np.array_equal(answer.content, alone.content)
        assert worlds.close(answer.map, alone.map, 1e-9)
    (joined,) = con.sql("select * from f(scale(xs, 0.5), target => 1) join f(scale(xs, 0.5), target => 1)")
    assert worlds.close(joined.map, np.mean([answer.map for answer in edited], axis=0), 1e-9)
    (several,) = con.sql("select * from f(x, baseline => nullify(xs, w), target => 1)")
    apart = [
        con.sql("select * from f(x, baseline => e, target => 1)")[0].map
        for each in whole
        if con.register_input("e", np.where(np.indices(each.shape)[1] < 3, 0, each)) is None
    ]
    assert worlds.close(several.map, np.mean(apart, axis=0), 1e-9)


def test_a_collection_of_one_stands_where_one_input_does(con):
    alone = torch.randn(2, 6, 6).double()
    con.register_input("alone", alone)
    con.register_input("single", [alone])
    for edit in (
        "substitute(x, row < 3, {})",
        "nullify(x, row < 3, baseline => {})",
        "rotate(x, 9, baseline => nullify({}, col < 2))",
        "nullify(x, row < 3, baseline => blur({}, 2))",
    ):
        one, other = (con.sql(f"select * from f({edit.format(name)})") for name in ("single", "alone"))
        assert np.array_equal(one[0].map, other[0].map)
        assert "[" not in one[0].input, "the language has no word for an element"


def test_an_input_that_is_registered_anew_is_edited_anew(con):
    for value in (1.0, 2.0):
        con.register_input("z", torch.full((2, 6, 6), value, dtype=torch.float64), players="grid(1, 1)")
        con.register_input("fresh", torch.zeros(2, 6, 6, dtype=torch.float64), players="grid(1, 1)")
        (answer,) = con.sql("select * from f(substitute(fresh, w, z))")
        assert set(answer.content[:, :3].ravel().tolist()) == {value}


def test_an_empty_window_changes_nothing_and_a_full_one_leaves_nothing(con):
    (plain,) = con.sql("select * from f(x)")
    assert np.array_equal(con.sql("select * from f(nullify(x, nothing))")[0].map, plain.map)
    found = con.sql("select * from f(nullify(x, true))")
    assert not found[0].values.any()
    assert not found[0].stderr.any()


def test_answers_and_files_say_the_edits(con, tmp_path):
    found = con.sql(
        "select 2 as early, * from f(rotate(nullify(x, w), 15), baseline => 0.5) left join f(substitute(y, w, x'))"
    )
    assert [answer.input for answer in found] == ["rotate(nullify(x, row < 3), 15)", "substitute(y, row < 3, x')"] * 2
    assert found[2].label == "f(rotate(nullify(x, row < 3), 15)) against substitute(y, row < 3, x')"
    saved = ialgebra.load(found.save(tmp_path / "answer"))
    assert saved[0].input == found[0].input
    assert "rotate(nullify(x, w), 15)" in saved.provenance["query"]
    assert set(saved.provenance["inputs"]) == {"x", "y", "x'"}
    assert set(saved.provenance["windows"]) == {"w"}


def test_views_hold_edits(con):
    con.sql("create view turned as select * from f(rotate(x, 30))")
    assert np.array_equal(con.sql("select 2 from turned")[0].map, con.sql("select 2 from f(rotate(x, 30))")[0].map)


def test_the_printed_contrast_of_two_models_is_not_read_from_a_game_whose_ends_changed_places():
    for seed in range(4):  # which of the ends is called the foreground hangs on their contents
        con = worlds.case("tabular", seed=seed).con
        text = "select * from f(x, baseline => y) left join g(x, baseline => y) using exact(contrast => 'literal')"
        one, other = (
            con.sql(text, strategy=dataclasses.replace(Strategy.BEST, dual=dual, reuse=False)) for dual in (True, False)
        )
        for a, b in zip(one, other, strict=True):
            assert worlds.close(a.map, b.map, 1e-9)


def test_modifiers_are_nested_as_deep_as_queries_are(con):
    deep = "rotate(" * 48 + "x" + ", 1)" * 48
    (answer,) = con.sql(f"select * from f({deep}, players => grid(1, 1))")
    assert answer.input == deep
    with pytest.raises(ialgebra.ParseError, match="nested too deeply"):
        con.sql(f"select * from f({'rotate(' * 1000}x{', 1)' * 1000})")
