"""A session through anything that users do to it, in any order, beside a simple model of it: a few dictionaries and the
oracle. Its answers are right or the right error, the models are left as they were found, and it goes on.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, CompositionError, IalgebraError, ModelError
from tests import oracle, worlds
from tests.oracle import Anti, Call, Join, Layer, Plan, Where

FEATURES, CLASSES, DEPTH = 4, 3, 4  # four layers: linear, tanh, dropout, linear


def _is_examined() -> bool:
    """Whether this pass only examines the model; no query hears of what fails there."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_name != "examine":
        frame = frame.f_back
    return frame.f_code.co_name == "examine"


class Guest(nn.Sequential):
    """A small model that can be told to fail in one of its next passes, and that shows whether dropout was left on."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        super().__init__(nn.Linear(FEATURES, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, CLASSES))
        self.double()
        self.trap: tuple[str, int] | None = None

    def forward(self, batch: Tensor) -> Tensor:
        if self.trap is not None and not _is_examined():
            kind, passes = self.trap
            self.trap = (kind, passes - 1) if passes else None
            if not passes:
                if kind == "interrupt":
                    raise KeyboardInterrupt
                if kind == "error":
                    raise ValueError("the model has a bad day")
                return super().forward(batch) * torch.nan
        return super().forward(batch)

    def state(self) -> tuple[object, ...]:
        """What a guest's host must leave alone."""
        modules = list(self.modules())
        return (
            [module.training for module in modules],
            [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules],
            [(each.requires_grad, each.grad is None, float(each.detach().sum())) for each in self.parameters()],
        )


@dataclass
class Known:
    """A model as the oracle sees it: a copy of its own, in evaluation mode, and the heads that it was given."""

    guest: Guest
    found: tuple[object, ...]
    heads: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def net(self) -> oracle.Net:
        return oracle.Net(nn.Sequential(*copy.deepcopy(list(self.guest.children()))).eval(), self.heads)


models = st.sampled_from(["f", "g"])
inputs = st.sampled_from(["x", "x'", "y"])
windows = st.sampled_from(["w", "u"])
views = st.sampled_from(["v", "t"])
layers = st.integers(1, DEPTH)
seeds = st.integers(0, 5)
calls = st.builds(
    Call, models, inputs, target=st.sampled_from([None, None, 1]), baseline=st.sampled_from([None, None, "0.5"])
)
single = st.recursive(calls, lambda of: st.builds(Where, windows, of) | st.builds(Layer, layers, of), max_leaves=2)
joined = st.builds(Join, st.tuples(single, single), st.sampled_from([None, "0.25", "1"]))
contrasted = st.builds(Anti, st.tuples(single, single) | st.tuples(calls, calls, calls))
composed = single | joined | contrasted
plans = composed | st.builds(Where, windows, composed) | st.builds(Layer, layers, composed)


class SessionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="ialgebra-session-")
        self.con = ialgebra.connect(progress=False)
        self.models: dict[str, Known] = {}
        self.inputs: dict[str, Tensor] = {}
        self.windows: dict[str, int] = {}
        self.views: dict[str, Plan] = {}
        self.options: dict[str, str] = {}
        self.heads_on_disk: dict[str, tuple[Known, dict[int, tuple[Tensor, Tensor]]]] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    # What is registered

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        for name in ("f", "g"):
            self.register_model(name, seed, train=False)
        for number, name in enumerate(("x", "x'", "y")):
            self.register_input(name, seed + number)
        self.register_window("w", 3)

    @rule(name=models, seed=seeds, train=st.booleans())
    def register_model(self, name: str, seed: int, train: bool) -> None:
        guest = Guest(seed).train(train)
        self.con.register_model(name, guest)
        self.models[name] = Known(guest, guest.state())

    @rule(name=inputs, seed=seeds)
    def register_input(self, name: str, seed: int) -> None:
        self.inputs[name] = torch.randn(FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.con.register_input(name, self.inputs[name])

    @rule(name=windows, below=st.integers(0, FEATURES), how=st.sampled_from(["python", "sql", "mask"]))
    def register_window(self, name: str, below: int, how: str = "python") -> None:
        match how:
            case "python":
                self.con.register_window(name, f"feature < {below}")
            case "sql":
                self.con.sql(f"create or replace window {name} as not feature >= {below}")
            case _:
                self.con.register_window(name, np.arange(FEATURES) < below)
        self.windows[name] = below

    @rule(name=views, plan=plans)
    def create_view(self, name: str, plan: Plan) -> None:
        text = f"create or replace view {name} as {oracle.query(plan)}"
        if not self.refused(plan, lambda: self.con.sql(text), defined=False):
            self.views[name] = plan

    @rule(name=views)
    def drop_view(self, name: str) -> None:
        if name in self.views:
            self.con.sql(f"drop view {name}")
            del self.views[name]
        else:
            with pytest.raises(BindError, match=f"unknown view '{name}'"):
                self.con.sql(f"drop view {name}")

    @rule(name=windows)
    def drop_window(self, name: str) -> None:
        if self.windows.pop(name, None) is not None:
            self.con.sql(f"drop window {name}")
        else:
            with pytest.raises(BindError, match=f"unknown window '{name}'"):
                self.con.sql(f"drop window {name}")

    @rule(name=st.sampled_from(["baseline", "output", "batch_size", "seed", "strategy"]), pick=st.integers(0, 2))
    def set_option(self, name: str, pick: int) -> None:
        values = {
            "baseline": ["default", "1", "-0.5"],
            "output": ["default", "probability", "log_odds"],
            "batch_size": ["default", "1", "5"],
            "seed": ["default", "1", "2"],
            "strategy": ["default", "as_written", "fused"],
        }
        value = values[name][pick]
        self.con.sql(f"set {name} = {value}")
        self.options[name] = value

    # Heads

    @rule(name=models, seed=seeds, labelled=st.booleans())
    def fit_heads(self, name: str, seed: int, labelled: bool) -> None:
        batch = torch.randn(12, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        labels = torch.arange(12) % CLASSES if labelled else None
        self.con.fit_heads(name, batch, labels, seed=seed)
        self.models[name].heads = self.heads_of(name)
        assert set(self.models[name].heads) >= {1, 2, 3}

    @rule(name=models)
    def save_heads(self, name: str) -> None:
        path = Path(self.folder.name, f"{name}.safetensors")
        known = self.models[name]
        if known.heads:
            self.con.save_heads(name, path)
            self.heads_on_disk[name] = (known, dict(known.heads))
        else:
            with pytest.raises(BindError):
                self.con.save_heads(name, path)

    @precondition(lambda self: self.heads_on_disk)
    @rule(data=st.data())
    def load_heads(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.heads_on_disk)))
        known, heads = self.heads_on_disk[name]
        path = Path(self.folder.name, f"{name}.safetensors")
        if self.models[name] is known:
            self.con.load_heads(name, path)
            known.heads = heads
            assert all(torch.equal(a, b) for k in heads for a, b in zip(self.heads_of(name)[k], heads[k], strict=True))
        else:
            before = self.heads_of(name)  # a model of other weights: refused, or taken, but never in part
            try:
                self.con.load_heads(name, path)
                self.models[name].heads = heads
            except IalgebraError:
                assert self.heads_of(name).keys() == before.keys()

    def heads_of(self, name: str) -> dict[int, tuple[Tensor, Tensor]]:
        return {index: (head.weight, head.bias) for index, head in self.con._catalog.model(name).heads.items()}

    # Queries

    @rule(plan=plans)
    def ask(self, plan: Plan) -> None:
        self.asked(plan, lambda text: self.con.sql(text))

    @rule(plan=plans)
    def ask_from_another_thread(self, plan: Plan) -> None:
        def elsewhere(text: str) -> ialgebra.Relation:
            answers: list[ialgebra.Relation] = []
            errors: list[BaseException] = []

            def work() -> None:
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        answers.append(self.con.sql(text))
                except BaseException as error:
                    errors.append(error)

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            for error in errors:
                raise error
            return answers[0]

        self.asked(plan, elsewhere)

    @rule(plan=plans)
    def stream_to_its_end(self, plan: Plan) -> None:
        self.asked(plan, lambda text: list(self.con.stream(text))[-1])

    @rule(plan=plans)
    def leave_a_stream(self, plan: Plan) -> None:
        self.refused(plan, lambda: next(self.con.stream(oracle.query(plan))))

    @rule(plan=plans)
    def explain(self, plan: Plan) -> None:
        self.refused(plan, lambda: self.con.explain(oracle.query(plan)))

    @rule(name=views)
    def ask_a_view(self, name: str) -> None:
        if name in self.views:
            self.asked(self.views[name], lambda _: self.con.sql(f"select * from {name}"))
        else:
            with pytest.raises(BindError, match=f"unknown view '{name}'"):
                self.con.sql(f"select * from {name}")

    @rule(plan=plans)
    def save_and_load_an_answer(self, plan: Plan) -> None:
        def through_a_file(text: str) -> ialgebra.Relation:
            path = self.con.sql(text).save(Path(self.folder.name, "answer"))
            return ialgebra.load(path)

        self.asked(plan, through_a_file)

    @rule(plan=plans, kind=st.sampled_from(["interrupt", "error", "nan"]), passes=st.integers(0, 2), name=models)
    def fail_in_the_middle(self, plan: Plan, kind: str, passes: int, name: str) -> None:
        """The failure is passed on, or never met, because the store knew the rows or the other model answered."""
        guest = self.models[name].guest
        guest.trap = (kind, passes)
        try:
            self.asked(plan, lambda text: self.con.sql(text))
            assert guest.trap is not None, "a failed pass cannot give an answer"
        except KeyboardInterrupt:
            assert kind == "interrupt"
        except ModelError as error:
            assert kind in ("error", "nan")
            assert f"model '{name}'" in str(error)
        finally:
            guest.trap = None
        self.models_are_as_they_were_found()
        self.asked(plan, lambda text: self.con.sql(text))

    # What is expected

    def asked(self, plan: Plan, ask: Callable[[str], ialgebra.Relation]) -> None:
        answers: list[ialgebra.Relation] = []
        if self.refused(plan, lambda: answers.append(ask(oracle.query(plan)))):
            return
        world = oracle.World(
            {name: known.net for name, known in self.models.items()},
            dict(self.inputs),
            {name: lambda x, k=below: np.arange(FEATURES) < k for name, below in self.windows.items()},
            {None: oracle.features},
            DEPTH,
        )
        expected = world.maps(self.with_defaults(plan))
        (relation,) = answers
        assert len(relation) == len(expected)
        scale = max(max(np.abs(map_).max() for map_ in expected), 1e-3)
        for answer, map_ in zip(relation, expected, strict=True):
            assert np.abs(answer.map - map_).max() <= 1e-7 * scale
            assert not answer.stderr.any()

    def refused(self, plan: Plan, act: Callable[[], object], defined: bool = True) -> bool:
        """Does `act`, which must raise one of the errors that `plan` deserves, if it deserves any."""
        deserved = set(self.faults(plan)) - (set() if defined else {CompositionError})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
            if not deserved:
                act()
                return False
            with pytest.raises(tuple(deserved)):
                act()
            return True

    def faults(self, plan: Plan, least: int | None = None) -> list[type[IalgebraError]]:
        """The errors that a plan deserves; `least` is the layer that an outer selection cuts at."""
        match plan:
            case Call(model=model, input=name):
                missing = model not in self.models or name not in self.inputs
                return [BindError] if missing else []
            case Where(window, of):
                return self.faults(of, least) + ([] if window in self.windows else [BindError])
            case Layer(layer, of):
                headless = layer < DEPTH and any(layer not in self.models[name].heads for name in _models(of))
                undefined = least is not None and least > layer
                own = [BindError] * headless + [CompositionError] * undefined
                return own + self.faults(of, layer if least is None else max(least, layer))
            case Join(of) | Anti(of):
                return [fault for each in of for fault in self.faults(each, least)]

    def with_defaults(self, plan: Plan) -> Plan:
        """The plan with the session's defaults written out."""
        match plan:
            case Call(baseline=baseline):
                default = self.options.get("baseline", "default")
                output = self.options.get("output", "default")
                return replace(
                    plan,
                    baseline=baseline or (None if default == "default" else default),
                    output="logit" if output == "default" else output,
                )
            case Where(_, of) | Layer(_, of):
                return replace(plan, of=self.with_defaults(of))
            case Join(of) | Anti(of):
                return replace(plan, of=tuple(map(self.with_defaults, of)))

    @invariant()
    def models_are_as_they_were_found(self) -> None:
        for known in self.models.values():
            assert known.guest.state() == known.found

    @invariant()
    def names_are_those_registered(self) -> None:
        names = {kind: set(found) for kind, found in self.con.names().items()}
        assert names == {
            "models": set(self.models),
            "inputs": set(self.inputs),
            "windows": set(self.windows),
            "views": set(self.views),
            "generators": set(),
            "axes": set(),
        }


def _models(plan: Plan) -> set[str]:
    match plan:
        case Call(model=model):
            return {model}
        case Where(_, of) | Layer(_, of):
            return _models(of)
        case Join(of) | Anti(of):
            return set().union(*map(_models, of))


USUAL = settings(
    max_examples=12, stateful_step_count=20, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class TestSession(SessionMachine.TestCase):
    settings = USUAL


class TestSessionAtLength(SessionMachine.TestCase):
    settings = settings(USUAL, max_examples=100, stateful_step_count=30)


TestSessionAtLength.pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def test_the_guest_shows_dropout_that_was_left_on():
    guest, x = Guest(0).train(), torch.ones(1, FEATURES, dtype=torch.float64)
    assert not torch.equal(guest(x), guest(x))
    assert worlds.close(guest.eval()(x).detach().numpy(), guest(x).detach().numpy())
