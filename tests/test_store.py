"""What a session has paid for it never pays again: counted inside the model, and compared with fresh sessions.

The world of these tests computes exactly (small integers, means over powers of two), so that an answer may not differ
in its last bit, whichever batch a row was evaluated in.
"""

from __future__ import annotations

import gc
from collections import Counter, OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import ialgebra
from ialgebra import Strategy
from ialgebra.answering import running
from ialgebra.errors import ModelError
from ialgebra.execution.execution import Execution
from ialgebra.execution.memory import ValueColumn
from ialgebra.execution.store import Origin, Store
from ialgebra.interpreters import ModelInterpreter, Question
from ialgebra.models import Head
from ialgebra.models.identity import serial
from ialgebra.models.outputs import LOGITS, OutputReading
from tests.unread import Unread

TILES = "players => tile(2)"  # four players, and a window of two rows holds two of them whole


class Counted(nn.Sequential):
    """Counts what goes through it: `seen`, rows by content; fails beyond 50 rows while it is `limited`, which is
    unread, because anything else would count as a change of the model."""

    limited = Unread(False)

    def forward(self, batch: Tensor) -> Tensor:
        if self.limited.value and self.seen.total() + len(batch) > 50:
            raise RuntimeError("enough")
        self.seen.update(row.numpy().tobytes() for row in batch)
        return super().forward(batch)

    seen: Counter[bytes] = Counter()


def integers(*shape: int, most: int = 3) -> Tensor:
    return torch.randint(-most, most + 1, shape, dtype=torch.float64)


def network(classes: int = 3) -> Counted:
    parts = OrderedDict(
        conv1=nn.Conv2d(2, 4, 3, padding=1),
        l=nn.ReLU(),
        conv2=nn.Conv2d(4, 4, 3, padding=1),
        act2=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        head=nn.Linear(4, classes),
    )
    net = Counted(parts).double().eval()
    for parameter in net.parameters():
        parameter.data = integers(*parameter.shape, most=2)
    net.seen = Counter()
    return net


class World:
    """A session over models f and g with heads at layers l and act2, inputs x, x' and y of 4 × 4 pixels, and x without
    its upper half."""

    def __init__(self, classes: int = 3, **options: int) -> None:
        torch.manual_seed(0)
        self.con = ialgebra.connect(progress=False, **options)
        self.models = {name: network(classes) for name in ("f", "g")}
        self.inputs = {name: integers(2, 4, 4) for name in ("x", "x'", "y")}
        self.inputs["half"] = self.inputs["x"].clone()
        self.inputs["half"][:, :2] = 0
        for name, x in self.inputs.items():
            self.con.register_input(name, x)
        for name, model in self.models.items():
            self.con.register_model(name, model)
            self.con._catalog.model(name).probe(self.inputs["x"])
            self.con._catalog.model(name).take_first_pass()  # so that no row is there beforehand
            for layer in ("l", "act2"):
                self.set_head(name, layer)
            model.seen.clear()
        self.con.sql("create window top as row < 2")

    def set_head(self, model: str, layer: str) -> None:
        known = self.con._catalog.model(model)
        found = known.layers[known.layer_index(layer) - 1]
        weight = integers(known.class_count, found.features)
        known.heads[found.index] = Head(weight, integers(known.class_count), found.pool)

    def cost(self, text: str, **options: object) -> int:
        """The rows that a query sends through the models, which its statistics must tell."""
        before = self.rows
        relation = self.con.sql(text, **options)
        assert relation.stats.rows == self.rows - before
        return self.rows - before

    @property
    def rows(self) -> int:
        return sum(model.seen.total() for model in self.models.values())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def outcomes(monkeypatch):
    """The outcome of every execution."""
    found = []

    class Watched(Execution):
        def run(self):
            found.append(super().run())
            return found[-1]

    monkeypatch.setattr(running, "Execution", Watched)
    return found


# --- what need not be evaluated

EXACT = f"select * from f(x, {TILES})"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"select  * from f(x, {TILES})", "same game"),  # in other words, so that the whole answer is not found
        (f"select act2 from f(x, {TILES})", "another layer or class"),
        (f"select l, act2, * from f(x, {TILES}, target => 1)", "another layer or class"),
        (f"select * from f(x, {TILES}, output => probability)", "another layer or class"),
        (f"select * from f(x, {TILES}) join f(x, {TILES}, target => 2, output => log_odds)", "another layer or class"),
        (f"select * from f(x, {TILES}) where top", "another window or partition"),
        (f"select * from f(x, {TILES}) where not top", "another window or partition"),
        ("select * from f(x, players => grid(1, 2))", "another window or partition"),
        ("select * from f(x, players => grid(2, 1)) where col >= 2", "another window or partition"),
        (f"select * from f(half, {TILES})", "another input or baseline"),
        (f"select * from f(x, {TILES}, baseline => half)", "another input or baseline"),
        (f"select * from f(x, {TILES}) using permutations() budget 12", "same game"),
    ],
)
def test_what_coincides_with_the_identity_is_not_evaluated_after_it(world, outcomes, text, kind):
    assert world.cost(EXACT) == 2**4
    fresh = World().cost(text)
    assert fresh > 0
    assert world.cost(text) == 0
    assert outcomes[-1].spending.hits[kind] > 0
    assert sum(outcomes[-1].spending.hits.values()) == outcomes[-1].spending.reused >= fresh


def test_the_identity_after_a_projection_evaluates_what_lies_outside():
    """The window has 2² hybrids, and x as a whole was evaluated for its class."""
    world = World()
    assert world.cost(f"{EXACT} where top") == 2**2 + 1
    assert world.cost(EXACT) == 2**4 - 2**2 - 1


def test_the_identity_after_a_drill_down_over_layers_and_windows_evaluates_the_rest():
    world = World()
    for window in ("top", "not top", "col < 2"):
        world.cost(f"select l, act2, * from f(x, {TILES}) where {window}")
    rows = world.rows
    assert rows == 1 + 3 + 3 + 1 + 1, "∅, inside top, inside its complement, the left column, x"
    assert world.cost(f"select l, act2, * from f(x, {TILES})") == 2**4 - rows
    assert max(world.models["f"].seen.values()) == 1


def test_another_estimator_evaluates_the_difference():
    world = World()
    assert world.cost("select * from f(x) budget 100") == 100
    assert world.cost("select * from f(x) using permutations() budget 60") < 60, "at least its ends are there"
    rows = world.rows
    assert world.cost("select * from f(x) using exact()") == 2**16 - rows
    assert max(world.models["f"].seen.values()) == 1


def test_twice_the_budget_evaluates_the_difference():
    world = World()
    for budget in (100, 200, 400):
        world.cost(f"select l, * from f(x) left join f(x') budget {budget}")
        assert world.rows == budget


def test_an_antijoin_is_paid_for_by_its_swap(world, outcomes):
    text = "select l, * from f({}) left join (select l, * from f({})) budget 64"
    assert world.cost(text.format("x", "x'")) == 64
    assert world.cost(text.format("x'", "x")) == 0
    assert world.cost("select act2 from f(x', baseline => x, target => 2) budget 64") == 0


def test_one_direction_of_an_antijoin_pays_for_the_other_also_where_no_law_says_so(world, outcomes):
    """Without L13 the two directions are two games, whose hybrids are the same inputs."""
    without = replace(Strategy.BEST, dual=False)
    assert world.cost("select * from f(x, baseline => x') budget 64", strategy=without) == 64
    assert world.cost("select * from f(x', baseline => x) budget 64", strategy=without) == 0
    assert outcomes[-1].spending.hits == {"the other side of an anti-join": 62, "an input as a whole": 2}
    assert World().cost("select * from f(x) left join f(x') budget 64", strategy=without) == 64


def test_a_comparison_of_models_pays_for_the_other_model_only(world):
    assert world.cost("select * from f(x) budget 64") == 64
    assert world.cost("select * from f(x) left join (select * from g(x)) budget 64") == 64
    assert world.models["g"].seen == world.models["f"].seen


def test_a_batch_goes_through_each_model_with_the_rows_that_it_lacks(world):
    text = "select * from f(x) left join (select * from g(x)) budget 128"
    assert world.cost("select * from f(x) budget 64") == 64
    warm, cold = world.con.sql(text), World().con.sql(text)
    assert warm.stats.rows == 2 * 128 - 64
    for a, b in zip(warm, cold, strict=True):
        assert np.array_equal(a.map, b.map)


def test_games_of_one_query_evaluate_once_what_they_have_in_common(world, outcomes):
    text = f"select * from f(x, {TILES}) join (select * from f(x, {TILES}) where top)"
    assert world.cost(text) == 2**4
    assert outcomes[-1].spending.hits == {"another game of this query": 2}
    assert max(world.models["f"].seen.values()) == 1
    assert World().cost(text, strategy=Strategy.FUSED) > 2**4


def test_a_store_that_remembers_nothing_evaluates_again_and_says_so():
    world = World(store_bytes=0)
    text = f"select * from f(x, {TILES}) join (select * from f(x, {TILES}) where top)"
    for _ in range(2):
        assert world.cost(text) == 2**4
    assert max(world.models["f"].seen.values()) == 2  # once a query
    assert not world.con._store.tables


@pytest.mark.parametrize(
    "text",
    [
        "select * from f(xs, target => 0) error within 5%",
        "select * from f(xs) error within 5%",  # the classes are predicted
        "select l, act2 from f(xs) error within 20%",
        "select * from f(x) left join (select * from g(x)) error within 10%",
        "select * from f(x) left join (select * from f(y)) error within 10%",
        "select * from f(xs) having prediction = 1 error within 5%",
        "select * from f(xs, output => 'probability') order by mass(top) desc limit 2 error within 10%",
        "select * from f(xs, baseline => y, players => grid(3, 3)) budget 400 error within 5%",
    ],
)
def test_a_bound_pays_once_for_a_row_however_small_the_store(text: str):
    def asked(store_bytes: int) -> tuple[int, int, str]:
        world = World(store_bytes=store_bytes)
        world.con.register_input("xs", integers(4, 2, 4, 4))
        world.con.sql("select * from f(x) budget 2; select * from g(x) budget 2")  # probes and first ends
        for model in world.models.values():
            model.seen.clear()
        answer = world.con.sql(text)
        twice = max(model.seen.most_common(1)[0][1] for model in world.models.values() if model.seen)
        return answer.stats.rows, twice, answer.columns.digest

    rows, most, digest = asked(256 << 20)
    assert most == 1
    assert asked(6_000) == (rows, 1, digest)


def test_a_failure_keeps_the_finished_batches(world):
    world.con.sql("set batch_size = 10")
    Counted.limited.value = True
    with pytest.raises(ModelError, match="enough"):
        world.con.sql("select * from f(x) budget 100")
    finished = world.rows
    assert 20 < finished <= 50
    Counted.limited.value = False
    world.con.sql("select * from f(x) budget 100")
    assert world.rows == 100
    assert max(world.models["f"].seen.values()) == 1


# --- what must be evaluated


def test_changed_weights_are_another_model(world):
    world.cost(EXACT)
    world.models["f"][0].weight.data[0, 0, 0, 0] += 1
    assert world.cost(EXACT) == 2**4
    world.models["f"][0].weight.data[0, 0, 0, 0] -= 1
    assert world.cost(EXACT) == 0, "and back"


def test_another_head_is_another_layer_and_leaves_the_rest_alone(world):
    text = "select {} from f(x, target => 0, " + TILES + ")"
    world.cost(text.format("l, act2, *"))
    world.set_head("f", "l")
    assert world.cost(text.format("act2, *")) == 0
    assert world.cost(text.format("l")) == 2**4


def test_inputs_that_differ_in_the_sign_of_zero_are_two():
    """1 / x tells them apart."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: (1 / batch).clamp(-9, 9).sum(dim=1, keepdim=True))
    for name, zero in (("x", 0.0), ("z", -0.0)):
        con.register_input(name, torch.tensor([zero, 2.0], dtype=torch.float64), baseline=torch.ones(2).double())
    assert [con.sql(f"select * from f({name})")[0].full_value for name in ("x", "z")] == [9.5, -8.5]


def test_a_layer_that_nobody_asked_for_fails_no_query(world):
    head = world.con._catalog.model("f").heads
    for layer in list(head):
        head[layer] = Head(head[layer].weight * torch.nan, head[layer].bias, head[layer].pool)
    assert np.array_equal(world.con.sql(EXACT)[0].map, World().con.sql(EXACT)[0].map)
    with pytest.raises(ModelError, match="returned NaN at layer"):
        world.con.sql(f"select l from f(x, {TILES})")


# --- answers


@st.composite
def queries(draw) -> str:
    pick = lambda *choices: draw(st.sampled_from(choices))  # noqa: E731
    output = pick("logit", "logit", "probability", "log_odds")
    players = pick("tile(2)", "grid(2, 2)", "grid(2, 4)", "grid(4, 4)", "pixels")
    call = f"{pick('f', 'f', 'g')}({pick('x', 'x', 'half')}, players => {players}, output => {output}"
    call += pick("", ", target => 0", ", target => 2") + pick("", "", ", baseline => y", ", baseline => 1") + ")"
    items = pick("*", "l", "l, act2, *", "act2")
    join = pick(
        "",
        "",
        f" left join (select {items} from f(x', players => {players}, output => {output}))",
        f" join (select {items} from f(x, players => {players}, target => 1))",
    )
    where = pick("", "", " where top", " where col >= 2", " where not top")
    using = pick("", "", " using permutations()", " using regression()")
    return f"select {items} from {call}{join}{where}{using} budget {draw(st.integers(8, 120))}"


@settings(max_examples=25, deadline=None)
@given(st.lists(queries(), min_size=2, max_size=5), st.sampled_from([256 << 20, 60_000, 20_000]))
def test_no_answer_depends_on_what_was_asked_before_nor_on_what_is_remembered(texts, store_bytes):
    used = World(store_bytes=store_bytes)
    for text in texts:
        warm, cold = used.con.sql(text, seed=1), World().con.sql(text, seed=1)
        for a, b in zip(warm, cold, strict=True):
            assert np.array_equal(a.map, b.map), text
            assert np.array_equal(a.stderr, b.stderr), text
            assert (a.target, a.base_value, a.full_value) == (b.target, b.base_value, b.full_value), text
        assert sum(table.nbytes for table in used.con._store.tables.values()) <= store_bytes


@pytest.mark.parametrize("output", ["logit", "probability", "log_odds"])
@pytest.mark.parametrize("classes", [1, 2, 10, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_remembered_row_reads_as_it_did_in_its_batch(output, classes, dtype):
    torch.manual_seed(0)
    logits = 10 * torch.randn(64, classes, dtype=dtype)
    reading = LOGITS if classes > 1 else OutputReading("logits", "independent")
    read = ValueColumn(None, classes // 2, output, reading).read
    for rows in ([3], [0, 1, 2], [63, 5], list(range(0, 64, 7))):
        assert np.array_equal(read(logits)[rows], read(torch.from_numpy(logits.numpy()[rows])))


# --- what is remembered


def test_of_many_classes_those_asked_for_are_kept_where_all_are_too_many():
    """100 rows of 50 classes and one layer are 40,000 bytes: the eighth of a store of 320,000."""
    for store_bytes, kept in ((400_000, True), (300_000, False)):
        world = World(classes=50, store_bytes=store_bytes)
        text = "select {} from f(x, target => {}) budget 100"
        world.cost(text.format("*", 7))
        assert world.cost(text.format("l, act2, *", 7)) == 0, "the same class of the layers on the way"
        assert (world.cost(text.format("*", 8)) == 0) == kept


# --- names of tables


class Masked(nn.Module):
    """Reads a sparse mask, which a fingerprint knows by identity only."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.to_sparse())

    def forward(self, batch: Tensor) -> Tensor:
        return (self.mask.to_dense() @ batch.flatten(1).T).T


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["mask", "model", "interpreter", "ask"]), st.integers(0, 3)), max_size=12))
def test_no_object_that_died_lends_its_rows_to_one_that_takes_its_place_in_memory(steps):
    """Masks, models and interpreters come and go; each time the answer is that of a session that saw no other."""
    masks = [torch.eye(3, 4).double() * (1 + number) for number in range(4)]
    x, text = torch.arange(1, 5).double(), "select * from f(x, target => 0)"
    con = ialgebra.connect(progress=False)
    con.register_input("x", x)
    con.register_model("f", Masked(masks[0]))
    now = 0
    for what, number in [*steps, ("ask", 0)]:
        if what == "mask":
            now = number
            del con._catalog.model("f").module.mask
            con._catalog.model("f").module.register_buffer("mask", masks[number].to_sparse())
        elif what == "model":
            now = number
            con.register_model("f", Masked(masks[number]))
        elif what == "interpreter":
            con.register_interpreter("times", Times(number))
            found = con.sql(f"{text} using times()")[0]
            assert found.values.tolist() == [number] * 4
        else:
            assert con.sql(text)[0].values.tolist() == [x[0] * (1 + now), 0, 0, 0]


class Times(ModelInterpreter):
    """Gives each feature the same value."""

    def __init__(self, value: int) -> None:
        self.value = value

    def attribute(self, question: Question) -> Tensor:
        return torch.full_like(question.foreground, self.value)


def test_a_serial_number_is_given_once():
    ids, numbers = set(), []
    for _ in range(1000):
        thing = torch.empty(0)
        ids.add(id(thing))
        numbers += [serial(thing), serial(thing)]
        del thing
    assert len(ids) < 1000, "ids are used again"
    assert numbers[::2] == numbers[1::2]
    assert len(set(numbers)) == 1000


def test_tables_of_models_that_are_gone_are_forgotten_first():
    con = ialgebra.connect(progress=False, store_bytes=60_000)
    con.register_input("x", integers(2, 4, 4))
    for _ in range(8):
        con.register_model("f", network())
        con.sql("select * from f(x) budget 60")
    gc.collect()
    alive = [key for key in con._store.tables if key.owner() is not None]
    con.sql("select * from f(x) budget 400")
    assert [key for key in con._store.tables if key.owner() is None] == []
    assert len(alive) == 1
    assert all(len(key.digest) == 16 for key in con._store.tables)


def names(block: str) -> list[bytes]:
    return [f"{block}{number:04}".encode() for number in range(100)]


def remembered(store: Store, block: str) -> int:
    return int((store.table("model").places(names(block)) >= 0).sum())


def keep(store: Store, block: str, seconds: float = 1.0) -> None:
    """A run that evaluates 100 rows of about 33 kB."""
    store.begin()
    store.keep("model", names(block), {None: np.ones((100, 20))}, seconds, Origin(block, b"", b""))
    assert sum(table.nbytes for table in store.tables.values()) <= store.limit


def test_what_is_old_is_forgotten_first():
    store = Store(limit=200_000)
    for block in "abcdefg":
        keep(store, block)
    found = [remembered(store, block) for block in "abcdefg"]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 100)


def test_what_is_cheap_is_forgotten_first():
    store = Store(limit=200_000)
    for block in "abcdef":
        keep(store, block, 1e-3 if block == "c" else 1.0)
    assert remembered(store, "c") == 0 < remembered(store, "b")


def test_what_was_of_use_is_young_again():
    store = Store(limit=200_000)
    for block in "abcdefghi":
        keep(store, block)
        store.use("model", store.table("model").places(names("a")))
    assert remembered(store, "a") == 100
    assert remembered(store, "b") == 0


def test_forgetting_keeps_the_values_of_what_stays():
    store, rng = Store(limit=50_000), np.random.default_rng(0)
    known: dict[bytes, np.ndarray] = {}
    for number in range(30):
        store.begin()
        names = [rng.bytes(16) for _ in range(20)]
        values = {"deep": rng.normal(size=(20, 6)), "early": rng.normal(size=(20, 1)).astype(np.float32)}
        known |= {name: values["deep"][k] for k, name in enumerate(names)}
        store.keep(number % 2, names, values, rng.random(), Origin(str(number), b"", b""))
        assert sum(table.nbytes for table in store.tables.values()) <= store.limit
    checked = 0
    for table in store.tables.values():
        for name, place in table.rows.items():
            found, values = table.read(np.array([place]), "deep")
            assert found.all()
            assert np.array_equal(values[0], known[name])
            checked += 1
        assert set(table.origins.values()) == set(table.origin[: len(table.rows)].tolist())
    assert 0 < checked < len(known)
