"""Interpreters other than the Shapley value: what they answer, what they cannot mean, and what they may not break."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, CompositionError, IalgebraError, ModelError, ResourceError, ShapeError
from ialgebra.answering.binding import bind
from ialgebra.interpreters import Design, Estimate, GameInterpreter, ModelInterpreter, Option, Question
from ialgebra.language import reader
from ialgebra.language.printer import to_sql
from tests import oracle
from tests.kernels.test_banzhaf import banzhaf

GRID = oracle.grid(2, 3)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(45, 3),
    )


class Case:
    """A network with heads, two images, and a table with a network."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net, self.other = network().train(), network().eval()
        self.net[1].running_mean.uniform_(-0.2, 0.2)
        self.x, self.y = torch.rand(2, 6, 6), torch.rand(2, 6, 6)
        self.con = ialgebra.connect(progress=False)
        self.con.register_model("f", self.net, classes=["cat", "dog", "owl"])
        self.con.register_model("g", self.other)
        self.con.register_model("bare", lambda batch: batch.flatten(1).sum(1))
        for name, value in (("x", self.x), ("y", self.y)):
            self.con.register_input(name, value, players="grid(2, 3)")
        self.con.register_input("xs", torch.stack([self.x, self.y]), players="grid(2, 3)")
        self.con.register_input("words", torch.tensor([1, 2, 3]))
        self.con.fit_heads("f", torch.rand(24, 2, 6, 6))

    def ask(self, text: str, **options) -> np.ndarray:
        (found,) = self.con.sql(text, **options)
        return found.map


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def close(found, expected, tolerance=2e-5) -> bool:
    return np.linalg.norm(found - np.asarray(expected)) <= tolerance * np.linalg.norm(expected)


# --- Banzhaf values


def value_of(case: Case, x: Tensor, baseline: Tensor, labels, target: int = 0, model: str = "f"):
    score = oracle.Net((case.net if model == "f" else case.other).eval()).score(target)
    return lambda S: score(oracle.hybrid(x, baseline, labels, frozenset(S)))


def labels(x: Tensor, window: np.ndarray | None = None):
    return GRID(tuple(x.shape), np.ones(x.shape, dtype=bool) if window is None else window)


@pytest.mark.parametrize("strategy", ["AS_WRITTEN", "BEST"])
def test_banzhaf_values_are_their_definition(case, strategy):
    (found,) = case.con.sql("select * from f(x, target => 0) using banzhaf()", strategy=strategy)
    v = value_of(case, case.x, torch.zeros_like(case.x), labels(case.x))
    assert close(found.values, banzhaf(v, 6))
    assert close(found.map, oracle.spread(banzhaf(v, 6), labels(case.x)))
    assert found.method == "banzhaf exact"
    assert not found.stderr.any()
    assert found.full_value == pytest.approx(v(range(6)), rel=1e-5)
    assert found.base_value == pytest.approx(v(()), rel=1e-5)
    assert abs(found.values.sum() - (found.full_value - found.base_value)) > 1e-5, "no efficiency"


def test_banzhaf_in_a_window_and_against_another_input(case):
    rows = np.zeros(case.x.shape, dtype=bool)
    rows[:, :4] = True
    inside = labels(case.x, rows)
    found = case.con.sql("select * from f(x, target => 0) left join f(y, target => 0) where row < 4 using banzhaf()")
    for map_, x, baseline in zip(found, (case.x, case.y), (case.y, case.x), strict=True):
        assert close(map_.map, oracle.spread(banzhaf(value_of(case, x, baseline, inside), 6), inside))


def test_banzhaf_turns_its_sign_with_the_sides_so_one_game_answers_both(case):
    whole = "select * from f(x, target => 0) left join f(y, target => 0) using banzhaf()"
    one, other = case.con.sql(whole)
    assert np.array_equal(one.values, -other.values)
    assert "(L13)" in case.con.explain(whole)
    v = value_of(case, case.y, case.x, labels(case.x))
    assert close(other.values, banzhaf(v, 6))


def test_a_join_weighs_banzhaf_and_shapley_maps_alike(case):
    text = "select * from (select * from f(x) using banzhaf()) join (select * from f(x) using exact()) on weight = 0.25"
    banzhaf_map, shapley_map = (case.ask(f"select * from f(x) using {name}()") for name in ("banzhaf", "exact"))
    assert np.allclose(case.ask(text), 0.25 * banzhaf_map + 0.75 * shapley_map, atol=1e-9)


def test_rows_are_reused_between_shapley_and_banzhaf():
    fresh = Case()
    paid = fresh.con.sql("select * from f(x) using exact()").stats.rows
    again = fresh.con.sql("select * from f(x) using banzhaf()").stats
    assert paid >= 64
    assert again.rows == 0
    assert again.reused_rows == 64


def test_sampled_banzhaf_keeps_its_bound_and_streams(case):
    text = "select * from f(x, players => pixels) using banzhaf() error within 15%"
    found = case.con.sql(text)
    assert found.stats.bound_met
    assert 0 < found[0].relative_error < 0.15
    assert found[0].method == "banzhaf uniform least squares"
    *_, last = case.con.stream(text)
    assert np.array_equal(last[0].values, found[0].values)
    longer = case.con.sql("select * from f(x, players => pixels) using banzhaf() budget 3000")[0]
    assert np.linalg.norm(found[0].values - longer.values) < 0.2 * np.linalg.norm(longer.values)
    rounds = [each[0].relative_error for each in case.con.stream(
        "select * from f(y, players => pixels) using banzhaf() budget 2000")]  # fmt: skip
    assert len(rounds) > 1
    assert rounds[-1] < rounds[0]


# --- the words of a query


def printed_back(con, using: str) -> None:
    """USING survives printing and reading, in any case of its name."""
    text = f"select * from f(x) using {using}"

    def plan(text: str):
        (query,) = reader.parse(text)
        return bind(query, text, con._catalog).maps[0].plan

    assert using in to_sql(plan(text))
    assert plan(to_sql(plan(text))) is plan(text)
    assert plan(text.replace("banzhaf", "BANZHAF").replace("captum.", "Captum.")) is plan(text)


@pytest.mark.parametrize("using", ["banzhaf()", "exact()", "mine(times => 2.5, times_all => false)"])
def test_using_prints_back(case, using):
    case.con.register_interpreter("mine", Gradient())
    printed_back(case.con, using)


def test_set_method_is_the_default_of_later_queries():
    fresh = Case()
    fresh.con.sql("set method = banzhaf")
    assert fresh.con.sql("select * from f(x)")[0].method == "banzhaf exact"
    assert fresh.con.sql("select * from f(x) using exact()")[0].method == "exact"
    fresh.con.sql("set method = default")
    assert fresh.con.sql("select * from f(x)")[0].method == "exact"


def test_without_captum_a_query_says_what_to_install(case, monkeypatch):
    import ialgebra.interpreters.captum as home

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(home.importlib, "import_module", missing)
    case.con.register_interpreter("fresh", home.CaptumMethod("Saliency"))
    with pytest.raises(BindError, match=r'Captum is not installed; run: pip install "ialgebra\[captum\]"'):
        case.con.sql("select * from f(x) using fresh()")


@pytest.mark.parametrize("name", ["os.system", "captum.attr", "captum._utils", "captum.NoiseTunnel", "__import__"])
def test_no_name_but_a_method_s_own_is_looked_up(case, name):
    with pytest.raises(IalgebraError):
        case.con.sql(f"select * from f(x) using {name}()")


# --- interpreters of users


class LeaveOneOut(GameInterpreter):
    """v(N) − v(N∖i)"""

    def choose(self, players, budget, options):
        return "leave one out", players + 2 if players > 1 else 2

    def design(self, method, players, rows, seed):
        coalitions = np.concatenate(
            [np.zeros((1, players), bool), np.ones((1, players), bool), ~np.eye(players, dtype=bool)]
        )
        return Design(method, players, 0, coalitions[:rows], (method, players, rows, 0))

    def estimate(self, design, values):
        d = design.players
        values = np.vstack([values, values[:1]]) if d == 1 else values
        return [Estimate(column[1] - column[2:], np.zeros((0, d)), "leave one out") for column in values.T]


def test_columns_of_one_design_are_estimated_together_and_each_by_itself(case):
    """Of many inputs and classes, as of each alone."""
    asked = []

    class Watched(LeaveOneOut):
        def estimate(self, design, values):
            asked.append(values.shape)
            return super().estimate(design, values)

    case.con.register_interpreter("watched", Watched())
    together = case.con.sql("select 2, * from f(xs, target => 0) using watched()")
    assert asked == [(8, 4)]  # of six players; two images, two layers
    for each in together:
        layer = "*" if each.layer is None else each.layer
        name = {"xs[0]": "x", "xs[1]": "y"}[each.input]
        (alone,) = case.con.sql(f"select {layer} from f({name}, target => 0) using watched()")
        assert close(each.values, alone.values)


class Gradient(ModelInterpreter):
    """∂f/∂x, times a number"""

    options = {"times": Option("number"), "times_all": Option("flag")}
    cannot = {"project": "a gradient sees no window", "antijoin": "it has no baseline", "join": "so says a test"}
    needs_gradients = True

    def __init__(self, spoil=lambda found: found) -> None:
        self.spoil = spoil

    def attribute(self, question: Question):
        x = question.foreground[None].clone().requires_grad_()
        (found,) = torch.autograd.grad(question.scalar(x).sum(), x)
        return self.spoil(found[0] * float(question.options.get("times", 1.0)))


def test_a_user_s_function_of_the_game(case):
    case.con.register_interpreter("loo", LeaveOneOut())
    for text, v in (
        ("select * from f(x, target => 0) using loo()", value_of(case, case.x, torch.zeros(2, 6, 6), labels(case.x))),
        ("select * from f(x, target => 0, baseline => y) using LOO()", value_of(case, case.x, case.y, labels(case.x))),
    ):
        (found,) = case.con.sql(text)
        expected = [v(range(6)) - v(set(range(6)) - {i}) for i in range(6)]
        assert close(found.values, expected)
        assert found.method == "loo leave one out"
    one, other = case.con.sql("select * from f(x, target => 0) left join f(y, target => 0) using loo()")
    v = value_of(case, case.y, case.x, labels(case.x))
    assert close(other.values, [v(range(6)) - v(set(range(6)) - {i}) for i in range(6)]), "no dual"
    assert not np.allclose(one.values, -other.values)


def test_a_user_s_own_way_to_ask_the_model(case):
    case.con.register_interpreter("my.gradient", Gradient())
    (found,) = case.con.sql("select * from f(x, target => 0) using my.gradient(times => 3)")
    x = case.x[None].clone().requires_grad_()
    net = copy.deepcopy(case.net).eval()
    net[2].inplace = False
    (expected,) = torch.autograd.grad(net(x)[0, 0], x)
    assert close(found.map, 3 * expected[0].numpy())
    assert found.values.sum() == pytest.approx(found.map.sum())
    assert not found.stderr.any()
    with pytest.raises(CompositionError, match=r"my\.gradient cannot be joined: so says a test"):
        case.con.sql("select * from f(x) join f(y) using my.gradient()")


class Blindly(GameInterpreter):
    """2 E[s_i v(S)], of coalitions drawn each by itself: its units are not pairs"""

    def choose(self, players, budget, options):
        return "blindly", budget or 20

    def design(self, method, players, rows, seed):
        drawn = np.random.default_rng([seed, players]).random((rows - 2, players)) < 0.5
        coalitions = np.concatenate([np.repeat([[False], [True]], players, axis=1), drawn])
        return Design(method, players, seed, coalitions, (method, players, rows, seed))

    def estimate(self, design, values):
        parts = (4 * design.coalitions[2:, None] - 2.0) * values[2:, :, None]
        error = (parts - parts.mean(axis=0)) / len(parts)
        return [Estimate(parts[:, k].mean(axis=0), error[:, k], "blindly") for k in range(values.shape[1])]


def test_errors_of_units_that_no_design_tells_are_added_as_if_they_went_together(case):
    case.con.register_interpreter("blindly", Blindly())
    one, other = "f(x, target => 0) using blindly() budget 20", "f(y, target => 0) using blindly() budget 40"
    (joined,) = case.con.sql(f"select * from (select * from {one}) join (select * from {other})")
    (a,), (b,) = case.con.sql(f"select * from {one}"), case.con.sql(f"select * from {other}")
    assert close(joined.values, (a.values + b.values) / 2)
    assert (joined.stderr >= (a.stderr + b.stderr) / 2 - 1e-12).all(), "which is the most that they can be"
    assert close(joined.stderr, np.hypot(a.stderr, b.stderr) / np.sqrt(2))


def test_another_interpreter_of_the_same_name_is_asked_anew(case):
    case.con.register_interpreter("mine", Gradient())
    one = case.ask("select * from f(x) using mine()")
    case.con.register_interpreter("mine", Gradient(lambda found: 2 * found))
    assert np.allclose(case.ask("select * from f(x) using mine()"), 2 * one)


class Raises(LeaveOneOut):
    def estimate(self, design, values):
        raise KeyError("what")


class Short(LeaveOneOut):
    def estimate(self, design, values):
        return [Estimate(np.zeros(2), np.zeros((0, 2)), "short")] * values.shape[1]


class Odd(LeaveOneOut):
    def estimate(self, design, values):
        return [Estimate(np.full(6, np.nan), np.zeros((0, 6)), "odd")] * values.shape[1]


class Answers(LeaveOneOut):
    """What it is told to, for each column"""

    def __init__(self, values=None, influence=None) -> None:
        self.found = np.zeros(6) if values is None else values, np.zeros((0, 6)) if influence is None else influence

    def estimate(self, design, values):
        return [Estimate(*self.found, "odd")] * values.shape[1]


class Keyed(LeaveOneOut):
    """Designs of a key that is none"""

    def __init__(self, key) -> None:
        self.key = key

    def design(self, method, players, rows, seed):
        return dataclasses.replace(super().design(method, players, rows, seed), key=self.key)


class Unsorted(LeaveOneOut):
    def design(self, method, players, rows, seed):
        found = super().design(method, players, rows, seed)
        return Design(method, players, 0, found.coalitions[::-1], found.key)


class Chooses(LeaveOneOut):
    def choose(self, players, budget, options):
        return 7


def fails(_found):
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("interpreter", "kind", "words"),
    [
        (Raises(), ModelError, "interpreter 'bad' raised KeyError: 'what'"),
        (Short(), ShapeError, "gave values (2,)"),
        (Odd(), ModelError, "gave values that are NaN or infinite"),
        (Answers([0.0] * 6), ModelError, "gave a list of values; arrays of real numbers are needed"),
        (Answers(torch.zeros(6)), ModelError, "gave a Tensor of values; arrays of real numbers are needed"),
        (Answers(np.array(["a"] * 6)), ModelError, "gave <U1 values; arrays of real numbers are needed"),
        (Answers(np.zeros(6, dtype=complex)), ModelError, "gave complex128 values"),
        (Answers(influence=7.0), ModelError, "gave a float of influences; arrays of real numbers are needed"),
        (Keyed(None), BindError, "argument 'key' of Design must be a list, not None"),
        (Keyed(("a",)), ModelError, "drew a design of key ('a',)"),
        (Keyed(("a", 6, [8], 0)), ModelError, "drew a design of key ('a', 6, [8], 0)"),
        (Unsorted(), ModelError, "do not begin with ∅ and N"),
        (Chooses(), ModelError, "chose 7; a method and a number of rows"),
        (Gradient(fails), ModelError, "interpreter 'bad' raised ZeroDivisionError: division by zero"),
        (Gradient(lambda found: found[:, :3]), ShapeError, "a map of shape (2, 3, 6) for an input of shape (2, 6, 6)"),
        (Gradient(lambda found: found * torch.nan), ModelError, "a map with NaN or infinity"),
        (Gradient(lambda found: "a map"), ModelError, "returned a str; a tensor of real numbers"),
        (Gradient(lambda found: None), ModelError, "returned a NoneType"),
    ],
)
def test_a_hostile_interpreter_is_named_and_the_session_goes_on(case, interpreter, kind, words):
    case.con.register_interpreter("bad", interpreter)
    before = [each.training for each in case.net.modules()]
    with pytest.raises(kind) as caught:
        case.con.sql("select * from f(x) using bad()")
    assert words in str(caught.value)
    assert "select * from f(x) using bad()" in str(caught.value)
    assert [each.training for each in case.net.modules()] == before
    assert case.con.sql("select * from f(x)")[0].values.any()


def test_out_of_memory_asks_again_with_half_the_rows(case):
    sizes = []

    class Greedy(Gradient):
        def attribute(self, question):
            sizes.append(question.batch_size)
            if question.batch_size > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().attribute(question)

    greedy = Greedy()
    greedy.most = 3
    case.con.register_interpreter("greedy", greedy)
    found = case.ask("select * from f(x) using greedy()")
    assert sizes == [2**k for k in range(9, 0, -1)]
    case.con.register_interpreter("mine", Gradient())
    assert np.array_equal(found, case.ask("select * from f(x) using mine()"))
    greedy.most = 0
    with pytest.raises(ResourceError, match="out of memory while greedy asks model 'f' one row at a time"):
        case.con.sql("select * from f(y) using greedy()")
    assert case.con.sql("select * from f(x)")[0].values.any()


def test_an_interrupt_leaves_the_model_as_it_was(case):
    already = case.net[0].register_forward_hook(lambda *_: None)

    def interrupt(_found):
        case.net[0].register_forward_hook(lambda *_: None)
        raise KeyboardInterrupt

    case.con.register_interpreter("bad", Gradient(interrupt))
    hooks = len(case.net[0]._forward_hooks)
    with pytest.raises(KeyboardInterrupt):
        case.con.sql("select * from f(x) using bad()")
    assert len(case.net[0]._forward_hooks) == hooks == 1
    already.remove()
    assert all(parameter.requires_grad for parameter in case.net.parameters())
    assert case.net[2].inplace
    assert case.con.sql("select * from f(x)")[0].values.any()


def test_a_model_that_fails_under_an_interpreter_is_named(case):
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(72))

        def forward(self, batch: Tensor) -> Tensor:
            found = batch.flatten(1) * self.weight
            if found.requires_grad:
                raise ValueError("no gradients, please")
            return found

    case.con.register_model("fails", Fails())
    case.con.register_interpreter("grad", Gradient())
    with pytest.raises(ModelError, match="model 'fails' raised ValueError: no gradients, please"):
        case.con.sql("select * from fails(x) using grad()")
    case.con.register_model("nan", lambda batch: batch.flatten(1) * (torch.nan if batch.requires_grad else 1.0))
    with pytest.raises(ModelError, match="model 'nan' returned NaN or infinity for row 0"):
        case.con.sql("select * from nan(x) using grad()")


@pytest.mark.parametrize("what", [3, "banzhaf", LeaveOneOut, lambda question: None])
def test_what_is_no_interpreter_is_refused(case, what):
    with pytest.raises(BindError, match="must be a GameInterpreter or a ModelInterpreter, not"):
        case.con.register_interpreter("bad", what)


@pytest.mark.parametrize("name", ["Banzhaf", "exact", "captum.saliency"])
def test_shipped_names_are_taken(case, name):
    with pytest.raises(BindError, match="is an interpreter that is shipped"):
        case.con.register_interpreter(name, LeaveOneOut())
