"""Dictionaries of hostile inputs, odd networks and several models: a finite answer, or a sentence that says why not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ialgebra
from ialgebra.errors import BindError, IalgebraError, IalgebraWarning
from ialgebra.models import Network
from ialgebra.models.concepts import Fitted, by_design, factors, learning
from ialgebra.models.concepts.by_design import learn_by_design
from ialgebra.models.concepts.learning import FlintLosses, total_loss
from ialgebra.models.regression import Goal

Kind = Literal["flint", "nmf", "sae"]
KINDS: tuple[Kind, ...] = ("flint", "nmf", "sae")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_WARM_STEPS", "_STEPS"):
        monkeypatch.setattr(learning, name, 4)
    monkeypatch.setattr(factors, "_CODER_STEPS", 4)


class Tokens(nn.Module):
    """A transformer of token ids that returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.layer(self.embed(ids))
        return self.head(hidden.mean(dim=1)), hidden


def perceptron(features: int = 4, classes: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(features, 5), nn.ReLU(), nn.Linear(5, classes)).eval()


def series() -> nn.Sequential:
    torch.manual_seed(0)
    body = (nn.Conv1d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 4, 3), nn.ReLU())
    return nn.Sequential(*body, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2))


ROWS = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
ODD: dict[str, tuple[Callable[[], nn.Module], Tensor, int]] = {
    "series": (series, torch.randn(60, 2, 20, generator=torch.Generator().manual_seed(1)), 5),
    "tokens, a tuple": (Tokens, torch.randint(0, 11, (60, 7), generator=torch.Generator().manual_seed(1)), 5),
    "doubles": (lambda: perceptron().double(), ROWS.double(), 5),
    "frozen": (lambda: perceptron().requires_grad_(False), ROWS, 5),
    "two classes": (lambda: perceptron(classes=2), ROWS, 5),
    "one output": (lambda: perceptron(classes=1), ROWS, 5),
    "one attribute": (perceptron, ROWS, 1),
    "more attributes than features": (perceptron, ROWS, 12),
    "more attributes than inputs": (perceptron, ROWS[:9], 30),
    "constant inputs": (perceptron, torch.ones(60, 4), 5),
    "inputs of 0": (
        lambda: nn.Sequential(nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 3)),
        torch.zeros(60, 4),
        5,
    ),
}


@pytest.mark.filterwarnings("ignore::ialgebra.errors.IalgebraWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ODD)
def test_odd_networks_and_inputs_have_finite_dictionaries(name: str, kind: Kind) -> None:
    make, inputs, size = ODD[name]
    torch.manual_seed(0)
    model = make().eval()
    flags = [each.requires_grad for each in model.parameters()]
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", model)
        con.register_input("xs", list(inputs), layout="CT" if name == "series" else None)
        report = con.fit_concepts("f", inputs, size=size, kind=kind)
        assert len(report.figures.names) == size
        assert str(report)
        for each in report.figures.fits:
            assert 0 <= each.live <= size
            assert np.isfinite(each.relevance[~np.isnan(each.relevance)]).all()
        dictionary = con.catalog().dictionary("f")
        head = dictionary.heads["f"]
        tensors = (*dictionary.encoder.state_dict().values(), head.weight, head.bias)
        assert all(bool(torch.isfinite(each).all()) for each in tensors)
        (answer,) = con.sql("select * from f.g(xs, players => concepts, target => 0) having index = 1")
        assert answer.unexplained is not None
        total = float(answer.values.sum()) + answer.unexplained
        assert np.isfinite(total)
        if kind != "flint":
            (played,) = con.sql("select * from f(xs, players => concepts, target => 0) having index = 1")
            assert played.values.sum() == pytest.approx(played.full_value - played.base_value, abs=1e-4)
    assert [each.requires_grad for each in model.parameters()] == flags


@pytest.mark.parametrize("kind", KINDS)
def test_two_models_share_a_dictionary_or_are_refused(kind: Kind) -> None:
    with ialgebra.connect(progress=False) as con:
        for seed, name in enumerate("fh"):
            con.register_model(name, perceptron(seed=seed))
        con.register_input("xs", ROWS)
        if kind != "flint":
            with pytest.raises(BindError, match=f"kind '{kind}' has the directions of one layer of one model"):
                con.fit_concepts("f", ROWS, size=3, kind=kind, also=["h"])
            return
        report = con.fit_concepts("f", ROWS, size=3, also=["h", "f", "h"])
        assert [each.model for each in report.figures.fits] == ["f", "h"]
        (pair,) = [
            con.sql("select * from f(xs, players => concepts) left join (select * from h(xs, players => concepts))")
        ]
        assert all(np.isfinite(each.values).all() for each in pair)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"also": ["g"]}, "'g'"),
        ({"also": "h"}, "also"),
        ({"also": ["wide"]}, r"wide|shape|(4|6) "),
        ({"also": ["h"], "layers": {"k": [1]}}, "'k'|one layer"),
        ({"inputs": torch.full((20, 4), torch.nan)}, "NaN|finite"),
        ({"inputs": torch.empty(0, 4)}, "at least 2|no inputs|empty"),
        ({"inputs": "ys"}, "'ys'"),
        ({"labels": [0] * 59}, "59 labels"),
        ({"name": "g"}, "'g' cannot name"),
        ({"stability": -1}, "stability"),
    ],
)
def test_what_cannot_be_learned_is_refused_and_leaves_no_dictionary(kind: Kind, given: dict, words: str) -> None:
    with ialgebra.connect(progress=False) as con:
        for seed, name in enumerate("fh"):
            con.register_model(name, perceptron(seed=seed))
        con.register_model("wide", perceptron(6))
        con.register_input("xs", ROWS)
        inputs = given.get("inputs", ROWS)
        rest = {key: value for key, value in given.items() if key != "inputs"}
        with pytest.raises(IalgebraError, match=words):
            con.fit_concepts("f", inputs, size=3, kind=kind, **rest)
        assert not con.catalog().concepts
        con.fit_concepts("f", ROWS, size=3, kind=kind)


def test_losses_have_finite_gradients_where_attributes_are_0_and_where_there_is_one() -> None:
    goal = Goal(soft=torch.full((6, 3), 1 / 3), near=torch.zeros(6, 3))
    for attributes in (torch.zeros(6, 5), torch.zeros(6, 1), torch.eye(6)[:, :1], torch.full((6, 5), 1e-30)):
        given = attributes.clone().requires_grad_()
        loss = total_loss(
            FlintLosses(), given, [given.sum(1, keepdim=True).repeat(1, 3)], given, {"f": goal}, given * 0
        )
        loss.backward()
        assert bool(torch.isfinite(loss))
        assert given.grad is not None
        assert bool(torch.isfinite(given.grad).all())


def test_ctrl_c_while_learning_by_design_keeps_the_best_module_and_its_dictionary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(by_design, "_MAY_LOSE", 1.0)  # any epoch is good enough
    labels = (ROWS[:, 0] > 0).long()
    states: list[dict[str, Tensor]] = []

    def learned(stop: int) -> tuple[nn.Module, Fitted]:
        module = perceptron(classes=2)

        def progress(what: str, done: int, total: int) -> None:
            if what == "by design" and done == stop:
                raise KeyboardInterrupt

        network = Network("f", module)
        return module, learn_by_design(network, ROWS, labels, size=3, epochs=3, progress=progress)[1]

    before = {name: each.clone() for name, each in perceptron(classes=2).state_dict().items()}
    for stop in (1, 2):  # in the first epoch; in the second
        module, seen = learned(stop)
        states.append({name: each.clone() for name, each in module.state_dict().items()})
        assert seen.interrupted
        assert module.training is False
        with torch.no_grad():
            f = module(ROWS[seen.held_out])
        torch.testing.assert_close(seen.outputs["f"], f, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(each, before[name]) for name, each in states[0].items())
    assert any(not torch.equal(each, before[name]) for name, each in states[1].items())


def test_a_dictionary_that_ctrl_c_ended_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def stages(shown: bool) -> Iterator[Callable[[str, int, int], None]]:
        def told(what: str, done: int, total: int) -> None:
            if what == "flint" and done == total:
                raise KeyboardInterrupt

        yield told

    monkeypatch.setattr("ialgebra.session.concepts.stages", stages)
    monkeypatch.setattr("ialgebra.session.learning.stages", stages)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", perceptron())
        with pytest.warns(IalgebraWarning, match="'parts' was interrupted"):
            con.fit_concepts("f", ROWS, size=3, name="parts")
        assert "f.parts" in con.catalog().concepts
    with pytest.warns(IalgebraWarning, match="'concepts' was interrupted"):
        ialgebra.learn(perceptron(), ROWS, [0, 1, 2] * 20, size=3)


def test_arms_do_not_die_where_hidden_outputs_hardly_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a net that was hardly trained: steps push all of an arm's features below 0."""
    monkeypatch.setattr(learning, "_WARM_STEPS", 60)
    monkeypatch.setattr(learning, "_LEARNING_RATE", 0.05)
    torch.manual_seed(0)
    x = torch.rand(200, 6) * 0.1 + 3
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
    with ialgebra.connect(progress=False) as con, warnings.catch_warnings():
        warnings.simplefilter("ignore", IalgebraWarning)
        con.register_model("f", net)
        con.fit_concepts("f", x, size=4)
        encoder = con.catalog().dictionary("f").encoder
    assert isinstance(encoder, nn.Module)
    (arm,) = encoder.arms
    with torch.no_grad():
        assert float(arm(F.relu(net[0](x))).std(dim=0).min()) > 0
