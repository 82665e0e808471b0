"""Models and inputs that misbehave: each is a right answer or a clear error, and the session goes on.

Right means: as the oracle says, whose networks are in eval mode and on the CPU.
"""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, ModelError, ResourceError, ShapeError
from tests import oracle, worlds
from tests.oracle import Anti, Call, Join, Layer, Where
from tests.worlds import close

QUERY = "select * from f(x, target => 0)"


def net(features: int = 6, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, classes)).eval()


def session(model: Callable[[Tensor], object], x: object | None = None, **options: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, **options)
    con.register_input("x", torch.randn(6) if x is None else x)
    return con


def expected(module: nn.Module, x: Tensor, **options: object) -> oracle.Map:
    plan = Call("f", "x", **{"target": 0, **options})
    (map_,) = oracle.World({"f": oracle.Net(module)}, {"x": x}, {}, {None: oracle.features}).maps(plan)
    return map_


# --- models as they are found


class Noisy(nn.Module):
    """BatchNorm and dropout: in train mode every row depends on its batch and on chance."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.norm(self.conv(x)).tanh()).flatten(1))


def noisy() -> Noisy:
    model = Noisy().double()
    model.norm.running_mean.uniform_(-1, 1)
    model.norm.running_var.uniform_(0.5, 2)
    model.train()
    model.conv.eval()  # a part that is frozen
    model.conv.weight.requires_grad_(False)
    model.to(memory_format=torch.channels_last)
    return model


class State(NamedTuple):
    training: list[bool]
    gradients: list[bool]
    strides: list[tuple[int, ...]]
    storages: list[int]
    hooks: list[int]
    content: dict[str, Tensor]
    grad_enabled: bool
    inference: bool
    random: Tensor


def state(model: nn.Module) -> State:
    tensors = [*model.parameters(), *model.buffers()]
    return State(
        [module.training for module in model.modules()],
        [tensor.requires_grad for tensor in tensors],
        [tensor.stride() for tensor in tensors],
        [tensor.data_ptr() for tensor in tensors],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_rng_state(),
    )


def same_state(one: State, other: State) -> bool:
    return (
        one[:5] == other[:5]
        and one[6:8] == other[6:8]
        and torch.equal(one.random, other.random)
        and all(torch.equal(value, other.content[name]) for name, value in one.content.items())
    )


def test_a_model_in_train_mode_answers_as_in_eval_mode_and_stays_in_train_mode():
    model, x = noisy(), torch.randn(2, 6, 6).double()
    con = session(model, x)
    before = state(model)
    (answer,) = con.sql("select * from f(x, target => 1, players => grid(2, 2))")
    assert same_state(state(model), before)
    world = oracle.World({"f": oracle.Net(copy.deepcopy(model).eval())}, {"x": x}, {}, {None: oracle.grid(2, 2)})
    assert close(answer.map, world.maps(Call("f", "x", target=1))[0])


def test_heads_are_fitted_without_a_trace_on_the_model():
    model = noisy()
    con, crops = session(model, torch.randn(2, 6, 6).double()), torch.randn(12, 2, 6, 6).double()
    before = state(model)
    con.fit_heads("f", crops, layers=["conv"])
    con.sql("select conv from f(x, players => grid(2, 2))")
    assert same_state(state(model), before)


def test_a_models_own_hooks_stay_and_run():
    model, x = noisy(), torch.randn(2, 6, 6).double()
    model.norm.register_forward_hook(lambda module, inputs, output: 2 * output)
    con = session(model, x)
    before = state(model)
    (answer,) = con.sql("select * from f(x, target => 1, players => grid(2, 2))")
    assert same_state(state(model), before)
    world = oracle.World({"f": oracle.Net(copy.deepcopy(model).eval())}, {"x": x}, {}, {None: oracle.grid(2, 2)})
    assert close(answer.map, world.maps(Call("f", "x", target=1))[0])


@pytest.mark.parametrize("failure", [RuntimeError("boom"), KeyboardInterrupt(), torch.OutOfMemoryError("no memory")])
def test_a_model_is_as_it_was_found_also_after_a_failure(failure):
    model = noisy()
    con = session(model, torch.randn(2, 6, 6).double(), batch_size=4)
    con.sql(f"{QUERY} budget 2")
    before = state(model)

    class Failing:
        armed = True

        def __call__(self, module: nn.Module, inputs: object) -> None:
            if self.armed:
                raise failure

    hook = Failing()
    model.head.register_forward_pre_hook(hook)
    with pytest.raises((ModelError, KeyboardInterrupt, ResourceError)):
        con.sql(f"{QUERY} budget 40")
    hooks = [*before.hooks[:-1], before.hooks[-1] + 1]
    assert same_state(state(model)._replace(hooks=hooks), before._replace(hooks=hooks))
    assert state(model).hooks == hooks
    hook.armed = False
    assert con.sql(f"{QUERY} budget 40")[0].values.any()


def test_a_model_can_be_trained_after_queries():
    model = net()
    con = session(model.train())
    con.sql(f"{QUERY} budget 20")
    model(torch.randn(4, 6)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_queries_work_under_any_autograd_mode():
    model, x = net(), torch.randn(6)
    for frame in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with frame():
            (answer,) = session(model, x).sql(QUERY)
            assert torch.is_inference_mode_enabled() == (frame is torch.inference_mode)
        assert close(answer.map, expected(model, x))


# --- what models return


class Wrapped(nn.Module):
    """A net that returns something else than a tensor (B, K)."""

    def __init__(self, wrap: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.net, self.wrap = net(), wrap

    def forward(self, batch: Tensor) -> object:
        return self.wrap(self.net(batch))


class Output(NamedTuple):
    logits: Tensor
    hidden: None = None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: {"logits": y, "loss": y.sum()},
        lambda y: {"scores": y},
        lambda y: (y, None),
        lambda y: [y],
        lambda y: Output(y),
        lambda y: y.double(),
        lambda y: y.requires_grad_(False).t().contiguous().t(),
    ],
    ids=["mapping", "one tensor", "tuple", "list", "object", "double", "strided"],
)
def test_outputs_that_hold_logits(wrap):
    model, x = Wrapped(wrap), torch.randn(6)
    (answer,) = session(model, x).sql(QUERY)
    assert close(answer.map, expected(model.net, x))


def test_an_output_without_a_class_dimension_is_one_class():
    model, x = Wrapped(lambda y: y[:, 0]), torch.randn(6)
    (answer,) = session(model, x).sql("select * from f(x)")
    assert close(answer.map, expected(model.net, x))


def test_half_precision_outputs_are_answers_of_their_own_precision():
    model, x = Wrapped(lambda y: y.bfloat16()), torch.randn(6)
    (answer,) = session(model, x).sql(QUERY)
    assert close(answer.map, expected(model.net, x), 0.05)


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda y: y[:-1] if len(y) > 1 else y, "rows"),
        (lambda y: torch.cat([y, y[:1]]) if len(y) > 1 else y, "rows"),
        (lambda y: y[:, :, None, None], "reduce='mean'"),
        (lambda y: y[:, :0], "no class"),
        (lambda y: None, "None"),
        (lambda y: "cat", "str"),
        (lambda y: {"a": y, "b": y}, "'a', 'b'"),
        (lambda y: y.numpy().astype(str), "ndarray"),
        (lambda y: y.to(torch.complex64), "complex"),
        (lambda y: y if len(y) == 1 else y[:, :2], "classes"),
    ],
)
def test_outputs_that_cannot_be_used(wrap, words):
    con = session(Wrapped(wrap))
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            con.sql(QUERY)
        assert words in str(caught.value)
        assert "model 'f'" in str(caught.value)
    con.register_model("f", net())
    assert con.sql(QUERY)[0].values.any()


@pytest.mark.parametrize(("bad", "word"), [("nan", "NaN"), ("inf", "infinity"), ("-inf", "infinity")])
def test_a_row_without_a_finite_output_is_named(bad, word):
    """Only where features 2 and 3 are absent together."""

    def model(batch: Tensor) -> Tensor:
        y = batch.sum(1, keepdim=True) * torch.tensor([1.0, 2.0])
        y[(batch[:, 2] == 0) & (batch[:, 3] == 0) & (batch[:, 1] != 0)] = float(bad)
        return y

    con = session(model, torch.arange(1.0, 7.0))
    with pytest.raises(ModelError) as caught:
        con.sql(QUERY)
    assert word in str(caught.value)
    present = str(caught.value).split("{")[1].split("}")[0].split(", ")
    assert "2" not in present
    assert "3" not in present
    assert "1" in present
    assert con.sql(f"{QUERY} where feature in (2, 3)")[0].values.any()


def test_a_layer_without_a_finite_output_is_named():
    class Logarithm(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log()

    class Forgiving(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.nan_to_num(0, 0, 0)

    model = nn.Sequential(nn.Linear(6, 8), Logarithm(), Forgiving(), nn.Linear(8, 3))
    con = session(model)
    worlds.with_random_heads(con, "f", torch.randn(6))
    with pytest.raises(ModelError, match=r"at layer 2"):
        con.sql("select 2 from f(x, target => 0)")
    assert con.sql(QUERY)[0].values.any()


# --- failures midway


class Midway(nn.Module):
    """Fails after `left` more passes. Semaphores and queues are no part of what a model computes; with an attribute of
    another type it would be another model to the store."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.net, self.failure = net(8), failure
        self.left, self.ran = threading.Semaphore(99), queue.SimpleQueue[int]()

    def forward(self, batch: Tensor) -> Tensor:
        if not self.left.acquire(blocking=False):
            raise self.failure
        self.ran.put(len(batch))
        return self.net(batch)

    def rows(self) -> int:
        """Rows that went through it since it was asked last."""
        return sum(self.ran.get() for _ in range(self.ran.qsize()))


@pytest.mark.parametrize("failure", [ValueError("the sky fell"), KeyboardInterrupt()])
def test_a_failure_in_the_third_batch_keeps_the_rows_of_the_first_two(failure):
    model, x = Midway(failure), torch.randn(8)
    con = session(model, x, batch_size=16)
    con.sql("select * from f(x) where feature > 99")  # so that the model is known
    model.rows()
    model.left = threading.Semaphore(3)
    with pytest.raises(ModelError if isinstance(failure, Exception) else KeyboardInterrupt) as caught:
        con.sql(f"{QUERY} using exact()")
    if isinstance(failure, Exception):
        assert "model 'f' raised ValueError: the sky fell" in str(caught.value)
        assert caught.value.__cause__ is failure
    finished = model.rows()
    assert finished >= 32
    model.left = threading.Semaphore(99)
    relation = con.sql(f"{QUERY} using exact()")
    assert relation.stats.reused_rows >= 32
    assert finished + model.rows() <= 2**8 + 2, "finished rows are not evaluated again"
    assert close(relation[0].map, expected(model.net, x))


class Small(nn.Module):
    """A device with memory for so many rows."""

    def __init__(self, rows: int, error: type[BaseException] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.net, self.limit, self.error = net(8), rows, error
        self.sizes: list[int] = []

    def forward(self, batch: Tensor) -> Tensor:
        if len(batch) > self.limit:
            raise self.error("CUDA out of memory. Tried to allocate 1.00 GiB")
        self.sizes.append(len(batch))
        return self.net(batch)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_out_of_memory_halves_the_batch_and_the_answer_is_right(rows, error):
    model, x = Small(rows, error), torch.randn(8)
    relation = session(model, x).sql(QUERY)
    assert close(relation[0].map, expected(model.net, x))
    assert max(model.sizes) > rows // 2
    assert len(model.sizes) <= 3 + 2 * -(-(2**8) // rows), "the size that fits is kept"


def test_out_of_memory_at_one_row_is_a_resource_error():
    model = Small(1)
    con = session(model, torch.randn(8))
    con.sql("select * from f(x) where feature > 99")
    model.limit = 0
    with pytest.raises(ResourceError, match="one row of model 'f'"):
        con.sql(QUERY)
    model.limit = 64
    assert con.sql(QUERY)[0].values.any()


def test_out_of_memory_in_the_very_first_pass_is_a_resource_error():
    with pytest.raises(ResourceError):
        session(Small(0), torch.randn(8)).sql(QUERY)


# --- inputs


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_images_of_other_dtypes(dtype):
    model = worlds.network("image")
    x = (torch.rand(2, 6, 6) * 3).to(dtype)
    con = session(model, x)
    (answer,) = con.sql("select * from f(x, target => 1, players => grid(2, 2))")
    world = oracle.World({"f": oracle.Net(model)}, {"x": x.float()}, {}, {None: oracle.grid(2, 2)})
    assert close(answer.map, world.maps(Call("f", "x", target=1))[0])


def test_inputs_of_two_dtypes_meet_unharmed():
    """A hybrid of bytes and fractions keeps both."""
    model = worlds.network("image")
    fine, coarse = torch.rand(2, 6, 6) * 3, torch.randint(0, 5, (2, 6, 6), dtype=torch.uint8)
    con = session(model, fine)
    con.register_input("u", coarse)
    inputs = {"x": fine, "u": coarse.float()}
    world = oracle.World({"f": oracle.Net(model)}, inputs, {}, {"grid(2, 2)": oracle.grid(2, 2)})
    one, other = (Call("f", name, target=0, players="grid(2, 2)") for name in inputs)
    half, against = (replace(other, baseline=baseline) for baseline in ("0.5", "x"))
    for plan in (Anti((one, other)), Join((one, other)), half, against, replace(one, baseline="u")):
        for answer, map_ in zip(con.sql(oracle.query(plan)), world.maps(plan), strict=True):
            assert close(answer.map, map_), oracle.query(plan)


@pytest.mark.parametrize("number", ["99999999999", "100000000000000000000"])
@pytest.mark.parametrize(
    "text",
    [
        "select * from f(x, players => tile({})) budget 20",
        "select * from f(x, players => grid({}, 2)) budget 20",
        "select * from f(x, players => grid(2, 2), baseline => {}) where row < {} and col * {} > -{}",
        "set seed = {}; select * from f(x) budget 20",
        "set batch_size = {}; select * from f(x) budget 20",
        "select * from f(x) where circle({}, 0, {}) or box(0, 0, {}, {}) budget 20",
    ],
)
def test_numbers_beyond_reason(text, number):
    con = session(worlds.network("image"), torch.rand(2, 6, 6))
    (answer,) = con.sql(text.replace("{}", number))
    assert answer.map.shape == (2, 6, 6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_dtypes(dtype):
    model, x = net(), torch.randn(6)
    (answer,) = session(copy.deepcopy(model).to(dtype), x).sql(QUERY)
    assert close(answer.map, expected(model, x), 1e-5 if dtype == torch.float64 else 0.1)


@pytest.mark.parametrize("form", [list, np.array, lambda x: np.array(x[::-1])[::-1]], ids=["list", "array", "view"])
def test_inputs_in_other_forms(form):
    model, x = net(), torch.randn(6)
    (answer,) = session(model, form(x.tolist())).sql(QUERY)
    assert close(answer.map, expected(model, x))


@pytest.mark.parametrize(
    "value",
    [
        [],
        torch.zeros(0),
        torch.zeros(3, 0, 4),
        torch.zeros(1, 1, 1, 1, 1),
        3.0,
        "cat",
        None,
        [[1, 2], [3]],
        object(),
        [torch.zeros(3), torch.zeros(4)],
        torch.zeros(3, dtype=torch.complex64),
        torch.zeros(2, 2).to_sparse(),
    ],
)
def test_inputs_that_cannot_be_used(value):
    con = session(net())
    with pytest.raises((ShapeError, BindError)) as caught:
        con.register_input("odd", value)
    assert "'odd'" in str(caught.value)
    assert "odd" not in con.names()["inputs"]


def test_a_registered_input_is_a_snapshot():
    model, x = net(), torch.randn(6)
    con = session(model, x)
    right = expected(model, x.clone())
    x.zero_()
    assert close(con.sql(QUERY)[0].map, right)


def test_inputs_that_the_model_cannot_read():
    con = session(net(), torch.randn(7))
    with pytest.raises(ModelError, match=r"model 'f' raised RuntimeError: .*\(1x7 and 6x8\)"):
        con.sql(QUERY)
    con.register_input("x", torch.randn(6))
    assert con.sql(QUERY)[0].values.any()


def test_a_model_that_writes_into_its_batch():
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, batch: Tensor) -> Tensor:
            y = self.net(batch)
            batch.fill_(99)
            return y

    model, x = Writing(), torch.randn(6)
    con = session(model, x)
    assert close(con.sql(QUERY)[0].map, expected(model.net, x))
    assert close(con.sql("select * from f(x, target => 1)")[0].map, expected(model.net, x, target=1))
    con.register_model("g", other := net())  # which reads the same batch after it
    nets = {"f": oracle.Net(model.net), "g": oracle.Net(other)}
    world = oracle.World(nets, {"x": x}, {}, {None: oracle.features})
    for names in ("fg", "gf"):
        plan = Anti(tuple(Call(name, "x", target=0) for name in names))
        for answer, map_ in zip(con.sql(oracle.query(plan)), world.maps(plan), strict=True):
            assert close(answer.map, map_)


def test_a_window_of_the_wrong_shape_states_both_shapes():
    con = session(net())
    con.register_window("w", np.ones(5, dtype=bool))
    with pytest.raises(ShapeError, match=r"\(5,\).*\(6,\)"):
        con.sql(f"{QUERY} where w")
    con.register_window("w", np.arange(6) < 3)
    assert (con.sql(f"{QUERY} where w")[0].players == [0, 1, 2, -1, -1, -1]).all()


def test_a_mask_window_is_its_predicate():
    found = worlds.case("image", seed=4)
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[:3] = True
    for given in (mask, mask.numpy(), mask[None], mask.expand(2, 6, 6), mask.int()):
        found.con.register_window("w", given)
        for plan in (Where("w", Call("f", "x")), Layer(2, Where("w", Anti((Call("f", "x"), Call("f", "x'")))))):
            relation = found.con.sql(oracle.query(plan))
            for answer, map_ in zip(relation, found.world.maps(plan), strict=True):
                assert close(answer.map, map_)


# --- nothing stale


@pytest.mark.parametrize("change", ["in place", "data", "buffer", "load", "train step"])
def test_a_model_that_changed_between_queries_is_asked_again(change):
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).eval()
    x = torch.randn(6)
    con = session(model, x)
    worlds.with_random_heads(con, "f", x)
    first = con.sql("select 3, * from f(x, target => 0)")
    match change:
        case "in place":
            with torch.no_grad():
                model[0].weight[2, 3] += 0.5
        case "data":
            model[0].weight.data[1, 1] = 3.0
        case "buffer":
            model[1].running_mean += 1.0
        case "load":
            model.load_state_dict({name: value * 1.5 for name, value in model.state_dict().items()})
        case "train step":
            model(torch.randn(4, 6)).pow(2).sum().backward()
            torch.optim.SGD(model.parameters(), 0.1).step()
    second = con.sql("select 3, * from f(x, target => 0)")
    assert second.stats.reused_rows == 0
    assert close(second[1].map, expected(model, x))
    for one, other in zip(first, second, strict=True):
        assert not close(one.map, other.map)


def test_heads_that_were_fitted_again_are_asked_again():
    con = session(net())
    con.fit_heads("f", torch.randn(20, 6), layers=[1])
    first = con.sql("select 1 from f(x, target => 0)")[0]
    con.fit_heads("f", torch.randn(20, 6), layers=[1])
    second = con.sql("select 1 from f(x, target => 0)")[0]
    assert not close(first.map, second.map)


def test_names_that_were_registered_again_mean_the_new_thing():
    one, other = net(), net()
    con, x = session(one, first := torch.randn(6)), torch.randn(6)
    con.register_window("w", "feature < 3")
    assert close(con.sql(QUERY)[0].map, expected(one, first))
    con.register_model("f", other)
    assert close(con.sql(QUERY)[0].map, expected(other, first))
    con.register_input("x", x)
    assert close(con.sql(QUERY)[0].map, expected(other, x))
    con.sql("create or replace window w as feature < 2")
    assert con.sql(f"{QUERY} where w")[0].players.max() == 1
    con.register_input("x", x, baseline=0.5)
    assert close(con.sql(QUERY)[0].map, expected(other, x, baseline="0.5"))


# --- one session, many callers


def test_threads_take_turns():
    found = worlds.case("tabular", seed=4)
    plans = [Call("f", "x"), Layer(2, Where("w", Call("f", "y"))), Anti((Call("f", "x"), Call("f", "x'")))]
    right = [found.world.maps(plan) for plan in plans]
    wrong: list[object] = []

    def ask(number: int) -> None:
        try:
            for turn in range(5):
                k = (number + turn) % len(plans)
                relation = found.con.sql(oracle.query(plans[k]))
                if not all(close(a.map, m) for a, m in zip(relation, right[k], strict=True)):
                    wrong.append(relation)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_sessions_are_strangers():
    one, other = session(net()), ialgebra.connect(progress=False)
    with pytest.raises(BindError):
        other.sql(QUERY)
    assert one.sql(QUERY)[0].values.any()


def test_a_closed_session_forgets():
    with session(net()) as con:
        con.sql(QUERY)
    with pytest.raises(BindError):
        con.sql(QUERY)


def test_a_model_that_changes_between_a_plan_and_its_query_is_asked_anew():
    net = worlds.network("image")
    x = worlds.sample("image").float()
    con = ialgebra.connect(progress=False)
    con.register_model("f", net.float())
    con.register_input("x", x)
    con.explain("select * from f(x)")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(-0.5)
    (a,) = con.sql("select * from f(x, target => 1) using exact()")
    with torch.inference_mode():
        assert a.full_value == pytest.approx(float(net(x[None])[0, 1]), rel=1e-5)
    assert con.sql("select * from f(x)")[0].target == int(net(x[None]).argmax())
