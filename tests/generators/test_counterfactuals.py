"""Counterfactuals: the least move, others far from it, who agrees, what the search costs, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, IalgebraError, ModelError
from ialgebra.generators import LinearGenerator
from ialgebra.results.scores import Scores

_WIDTH = 6


def _inputs() -> Tensor:
    seeded = torch.Generator().manual_seed(5)
    mixed = torch.randn(40, _WIDTH, dtype=torch.float64, generator=seeded)
    return mixed @ torch.randn(_WIDTH, 9, dtype=torch.float64, generator=seeded)


def _linear(seed: int, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(9, classes).double()


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    xs = _inputs()
    near = _linear(1)
    with torch.no_grad():  # almost the first model
        near.weight.add_(1e-9)  # type: ignore[operator, union-attr]
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", _linear(1), classes=["a", "b", "c"], outputs="logits")
        con.register_model("near", near, classes=["a", "b", "c"], outputs="logits")
        con.register_model("far", _linear(2), classes=["a", "b", "c"], outputs="logits")
        con.register_model("other", _linear(3, 2), classes=["yes", "no"], outputs="logits")
        con.register_model("value", _linear(4, 1), outputs="values")
        con.register_model("pixels", nn.Identity(), outputs="values")
        con.register_input("xs", xs)
        con.register_input("x", xs[3])
        con.register_generator("G", LinearGenerator.fit(xs, _WIDTH), collection="xs", block=8)
        yield con


def _answer(con: ialgebra.Session, query: str) -> Scores:
    answer = con.sql(query)
    assert isinstance(answer, Scores)
    return answer


def _codes(con: ialgebra.Session, text: str) -> Tensor:
    """The codes of edited inputs, in standard deviations of the collection (the axes are not turned)."""
    made = con.catalog().generators["G"].generator
    assert isinstance(made, LinearGenerator)
    return made.encode(_drawn(con, text)).reshape(-1, _WIDTH)


def _drawn(con: ialgebra.Session, text: str) -> Tensor:
    return torch.from_numpy(_answer(con, f"predict pixels(target => all) from {text}").models[0].target_scores)


_LED = "counterfactual({}, target => '{}', model => f, margin => 2{})"


def test_several_lie_far_from_each_other(con: ialgebra.Session) -> None:
    """Codes of this generator have covariance 1. The first is the least move m. Of two linear scores the k-th is
    m + d_k, with d_k as long as m and at right angles to m and to all other d."""
    (start,) = _codes(con, "reconstruct(x)")
    predicted = _answer(con, "predict other from x").models[0].predicted_names()[0]
    led = f"counterfactual(x, target => '{'no' if predicted == 'yes' else 'yes'}', model => other, nth => {{}})"
    found = _codes(con, led.format("steps(1, 4, 4)")) - start
    first, asides = found[0], found[1:] - found[0]
    torch.testing.assert_close(first, _codes(con, led.format(1))[0] - start, rtol=0, atol=1e-9)
    every = torch.cat([first[None], asides])
    squared = every @ every.T
    torch.testing.assert_close(squared, float(first @ first) * torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-6)


def test_several_of_three_classes_lead_and_are_apart(con: ialgebra.Session) -> None:
    target = _other_class(con)
    found = _codes(con, _LED.format("x", target, ", nth => steps(1, 4, 4)"))
    (start,) = _codes(con, "reconstruct(x)")
    moves = (found - start).norm(dim=1)
    assert int(moves.argmin()) == 0
    apart = torch.cdist(found, found)[~torch.eye(4, dtype=torch.bool)]
    assert float(apart.min()) > 0.5 * float(moves[0])
    scores = _answer(con, f"predict f(target => all) from {_LED.format('x', target, ', nth => steps(1, 4, 4)')}")
    told = scores.models[0].target_scores
    place = "abc".index(target)
    lead = told[:, place] - np.delete(told, place, axis=1).max(axis=1)
    assert (lead >= 2 - 1e-9).all()


def _other_class(con: ialgebra.Session) -> str:
    predicted = _answer(con, "predict f from x").models[0].predicted[0]
    return "abc"[(int(predicted) + 1) % 3]


def test_one_of_several_is_the_same_alone_and_of_a_collection(con: ialgebra.Session) -> None:
    target = _other_class(con)
    swept = _drawn(con, _LED.format("x", target, ", nth => steps(1, 4, 4)"))
    assert torch.equal(_drawn(con, _LED.format("x", target, ""))[0], swept[0])
    for number in (2, 4):  # to the bit where a model's kernels do not look at where a row stands in its batch
        alone = _drawn(con, _LED.format("x", target, f", nth => {number}"))[0]
        torch.testing.assert_close(alone, swept[number - 1], rtol=0, atol=1e-12)
    of_all = _drawn(con, _LED.format("xs", target, ", nth => 2"))
    torch.testing.assert_close(of_all[3], swept[1], rtol=0, atol=1e-12)


def test_the_other_models_of_these_classes_say_whether_they_agree(con: ialgebra.Session) -> None:
    answer = _answer(con, f"predict f from {_LED.format('xs', 'b', '')}")
    assert list(answer.agreeing) == ["near", "far"]
    assert answer.agreeing["near"].all()
    far = _answer(con, f"predict far from {_LED.format('xs', 'b', '')}")
    np.testing.assert_array_equal(answer.agreeing["far"], far.models[0].predicted == 1)
    assert 0 < answer.agreeing["far"].sum() < 40
    assert "of 2: near" in answer.text
    assert {"near agrees", "far agrees"} <= set(answer.to_pandas().columns)
    ranked = _answer(con, f"predict f from {_LED.format('xs', 'b', '')} order by score(f, 'b') desc limit 3")
    rows = ranked.places
    np.testing.assert_array_equal(ranked.agreeing["far"], answer.agreeing["far"][rows])
    assert "agree" in _answer(con, f"predict f from {_LED.format('x', 'b', '')}").text
    assert not _answer(con, "predict f from reconstruct(xs)").agreeing


def test_the_rows_of_a_search_are_counted_once(con: ialgebra.Session) -> None:
    """Each step of a search is a row forward and backward, each halving a row."""
    query = "predict f from counterfactual(xs, target => 'c', model => f, margin => 2.5)"
    first = _answer(con, query)
    ends = 40 * 3  # of f, and of the two that are asked whether they agree
    assert first.stats.rows >= ends + 40 * (1 + 2 + 2 + 12)
    again = _answer(con, query)
    assert again.stats.rows == 0
    assert again.digest == first.digest


def test_what_is_not_found_is_told() -> None:
    """A model whose scores hardly move: for one input an error, for a collection a sentence."""
    xs = _inputs()

    class Flat(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            moved = torch.tanh(batch.sum(dim=1))
            return torch.stack([moved, 0.5 * moved], dim=1)

    with ialgebra.connect(progress=False) as con:
        con.register_model("f", Flat(), classes=["a", "b"], outputs="logits")
        con.register_input("xs", xs)
        con.register_input("x", xs[0])
        con.register_generator("G", LinearGenerator.fit(xs, _WIDTH), collection="xs")
        with pytest.raises(BindError, match=r"no counterfactual of .* the best leads by .* smaller margin"):
            con.sql("predict f from counterfactual(x, target => 'a', model => f, margin => 3)")
        answer = _answer(con, "predict f from counterfactual(xs, target => 'a', model => f, margin => 3)")
        assert "40 of 40 counterfactuals were not found" in answer.text
        found = _answer(con, "predict f from counterfactual(xs, target => 'a', model => f, margin => 0.2)")
        assert "not found" not in found.text


def test_with_the_residual_the_margin_is_that_of_the_input_itself(con: ialgebra.Session) -> None:
    """Of a generator that draws two directions only, the residual may take back what the move gave."""
    con.register_generator("H", LinearGenerator.fit(_inputs(), 2), collection="xs")
    led = "counterfactual(xs, target => 'b', model => f, margin => 2, generator => H, keep => residual)"
    answer = _answer(con, f"predict f(target => all) from {led}")
    told = answer.models[0].target_scores
    short = int((told[:, 1] - np.delete(told, 1, axis=1).max(axis=1) < 2 - 1e-4).sum())
    assert short > 0
    assert f"{short} of 40 counterfactuals were not found" in answer.text


def test_what_has_no_counterfactual_is_refused(con: ialgebra.Session) -> None:
    class Steps(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return nn.functional.one_hot(batch.argmax(dim=1) % 2, 2).double()

    class Fails(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            if torch.is_grad_enabled() and batch.requires_grad:
                raise RuntimeError("not here")
            return torch.stack([batch[:, 0], batch[:, 1]], dim=1)

    with ialgebra.connect(progress=False) as own:
        own.register_input("xs", _inputs())
        own.register_input("x", _inputs()[0])
        own.register_model("called", lambda batch: torch.stack([batch[:, 0], batch[:, 1]], dim=1))
        own.register_model("one", _linear(4, 1), outputs="values")
        own.register_model("steps", Steps(), outputs="logits")
        own.register_model("fails", Fails(), outputs="logits")
        own.register_model("f", _linear(1, 2), outputs="logits")
        own.register_generator("G", LinearGenerator.fit(_inputs(), 2), collection="xs")
        refused: dict[str, tuple[type[IalgebraError], str]] = {
            "target => 0, model => called": (BindError, "is a callable, through which no gradients"),
            "target => 0, model => one": (BindError, "has one output"),
            "target => 0, model => steps": (BindError, "no gradients can be taken through model 'steps'"),
            "target => 0, model => fails": (ModelError, "model 'fails' raised RuntimeError: not here"),
            "target => 7, model => f": (BindError, "has no class 7"),
            "target => 0, model => f, nth => 3": (BindError, "differ in 2 directions"),
            "target => 0, model => f, nth => 0": (BindError, "at least 1"),
            "target => 0, model => f, nth => 1.5": (BindError, "whole number"),
            "target => 0, model => f, nth => steps(1, 2, 3)": (BindError, "whole numbers"),
        }
        for options, (kind, words) in refused.items():
            with pytest.raises(kind, match=words) as caught:
                own.sql(f"predict f from counterfactual(x, {options})")
            assert caught.value.span is not None, options
