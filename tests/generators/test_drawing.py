"""Inputs that a generator draws: many are drawn together, with the bits of each alone; none is drawn twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.generators import LinearGenerator, RegisteredGenerator
from ialgebra.generators.counterfactuals import counterfactuals
from ialgebra.results.scores import Scores

_COUNT = 300


@pytest.fixture
def con() -> Iterator[ialgebra.Session]:
    torch.manual_seed(0)
    xs = torch.rand(_COUNT, 1, 5, 5)
    with ialgebra.connect(progress=False) as con:
        con.register_input("xs", xs)
        con.register_input("x", xs[201])
        for number in range(3):
            con.register_model(f"m{number}", nn.Sequential(nn.Flatten(), nn.Linear(25, 3)))
        con.register_model("pixels", nn.Flatten(), outputs="values")
        con.register_generator("G", LinearGenerator.fit(xs, 6, 3), collection="xs", block=8)
        con.register_axis("light", lambda batch: batch.mean(dim=(1, 2, 3)))
        yield con


def _counted(monkeypatch: pytest.MonkeyPatch, what: str) -> list[object]:
    """Where each use of an attribute of registered generators is listed from now on."""
    used, own = list[object](), getattr(RegisteredGenerator, what)
    run = own.fget if isinstance(own, property) else own

    def counting(*given: object) -> object:
        used.append(given)
        return run(*given)

    monkeypatch.setattr(RegisteredGenerator, what, property(counting) if isinstance(own, property) else counting)
    return used


def _scores(con: ialgebra.Session, text: str) -> Scores:
    answer = con.sql(text)
    assert isinstance(answer, Scores)
    return answer


@pytest.mark.parametrize(
    "edit", ["reconstruct({})", "latent({}, 'light', 2)", "latent({}, 'light', 2, keep => residual)"]
)
def test_a_collection_has_the_bits_of_each_element_alone(con: ialgebra.Session, edit: str) -> None:
    alone = _scores(con, f"predict pixels(target => all) from {edit.format('x')}").models[0].target_scores
    together = _scores(con, f"predict pixels(target => all) from {edit.format('xs')}").models[0].target_scores
    assert np.array_equal(alone[0], together[201])
    assert not np.array_equal(alone[0], together[200])


def test_content_is_read_a_few_times_for_many_inputs(con: ialgebra.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    read = _counted(monkeypatch, "content")
    _scores(con, "predict m0, m1, m2 from latent(xs, 'light', 1)")
    assert len(read) < _COUNT / 8  # of which each block would need one


def test_what_is_asked_again_is_neither_drawn_nor_encoded(
    con: ialgebra.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, found = (_counted(monkeypatch, each) for each in ("drawn", "_code_block"))
    text = "predict m0, m1, m2 from latent(x, 'light', steps({}, {}, {}))"
    assert _scores(con, text.format(-2, 2, 11)).stats.rows == 3 * 11
    before = len(drawn)
    assert _scores(con, text.format(-2, 2, 11)).stats.rows == 0
    assert len(drawn) == before
    assert _scores(con, text.format(-2, 2.8, 13)).stats.rows == 3 * 2  # in steps of .4 too
    assert len(drawn) == before + 2  # in blocks of 8
    assert not found  # the axis found the code


def test_a_generator_that_was_changed_draws_anew(con: ialgebra.Session) -> None:
    text = "predict pixels(target => all) from latent(xs, 'light', 1)"
    before = _scores(con, text).models[0].target_scores
    con.catalog().generators["G"].generator.mean.add_(1)
    after = _scores(con, text).models[0].target_scores
    assert np.abs(after - before).max() > 0.1
    con.catalog().generators["G"].generator.mean.sub_(1)
    np.testing.assert_allclose(_scores(con, text).models[0].target_scores, before, atol=1e-6)


def test_where_scores_bend_a_counterfactual_goes_towards_the_nearest_example_beyond_the_margin() -> None:
    torch.manual_seed(0)
    net = (
        nn.Sequential(nn.Flatten(), nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3, bias=False))
        .double()
        .requires_grad_(False)
    )
    with torch.no_grad():
        net[3].weight.mul_(8)
        examples, start = torch.randn(200, 2, 3).double(), torch.randn(5, 2, 3).double()
        scores = net(examples)
    stretch = torch.diag(torch.tensor([1.0, 4, 1, 1, 9, 1], dtype=torch.float64))
    found, leads = counterfactuals(start, net, 1, 2.0, stretch, examples=(examples, scores))
    assert bool((leads >= 2).all())
    rest = scores[:, [0, 2]].amax(dim=1)
    beyond = examples[scores[:, 1] - rest >= 2].flatten(1)
    for one, end in zip(start.flatten(1), found.flatten(1), strict=True):
        if torch.equal(one, end):
            continue
        nearest = beyond[((beyond - one) / stretch.diag().sqrt()).square().sum(dim=1).argmin()]
        share = float((end - one) @ (nearest - one) / (nearest - one).square().sum())
        assert 0 < share <= 1
        torch.testing.assert_close(end, one + share * (nearest - one), rtol=0, atol=1e-9)
        short = net((one + (share - 2**-12) * (nearest - one))[None])[0]
        assert float(short[1] - max(short[0], short[2])) < 2


def test_a_statement_reads_a_generator_once_and_anew_where_it_is_asked_to() -> None:
    torch.manual_seed(0)
    xs = torch.rand(20, 1, 5, 5)
    generator = LinearGenerator.fit(xs, 6)
    with ialgebra.connect(progress=False) as con:
        con.register_input("xs", xs)
        con.register_generator("G", generator, collection="xs")
        statement = con._catalog.snapshot().readings
        first = statement.generator("G")
        generator.mean.add_(1)
        now = con._catalog.readings.generator("G")
        assert now != first
        assert statement.generator("G") == first
        assert statement.generator("G", anew=True) == now
        assert statement.generator("G") == now
