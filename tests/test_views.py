"""Views and registered defaults: what a session keeps between statements."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra import BindError, ShapeError


@pytest.fixture
def con() -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 3)))
    con.register_input("x", torch.randn(2, 4, 4))
    con.register_input("y", torch.randn(2, 4, 4))
    return con


def test_a_view_stands_for_its_query_wherever_an_operand_may_stand(con):
    con.sql("create view v as select * from f(x) where row < 2")
    assert np.array_equal(con.sql("select * from v")[0].map, con.sql("select * from f(x) where row < 2")[0].map)
    joined = con.sql("select * from v join f(y)")[0].map
    assert np.allclose(joined, (con.sql("select * from v")[0].map + con.sql("select * from f(y)")[0].map) / 2)


def test_a_view_cannot_come_to_be_defined_by_itself(con):
    con.sql("create view a as select * from f(x); create view b as select * from a")
    for text in ("create or replace view a as select * from a", "create or replace view a as select * from b"):
        with pytest.raises(BindError, match="defined by itself"):
            con.sql(text)
    assert len(con.sql("select * from b")) == 1


def test_what_is_registered_with_an_input_has_no_name_of_its_own(con):
    con.register_input("z baseline", torch.ones(2, 4, 4))
    con.register_input("z", torch.randn(2, 4, 4), baseline=torch.zeros(2, 4, 4), players=torch.arange(16).view(4, 4))
    assert con.names()["inputs"] == ["x", "y", "z baseline", "z"]
    assert con.sql("show inputs").text.count("\n") == 3
    assert len(con.sql("select * from f(z)")[0].values) == 16
    assert con.sql('select * from f("z baseline")')[0].base_value == con.sql("select * from f(x)")[0].base_value


def test_masks_in_captum_s_form_are_players(con):
    mask = torch.arange(4).view(1, 2, 2).repeat_interleave(2, 1).repeat_interleave(2, 2)
    con.register_input("z", con._catalog.element(ialgebra_source("x")).tensor, players=mask[None])
    con.register_input("m", mask[0])
    con.register_input("m4", mask[None])
    expected = con.sql("select * from f(x, players => grid(2, 2))")[0].map
    assert np.allclose(con.sql("select * from f(z)")[0].map, expected)
    assert np.allclose(con.sql("select * from f(x, players => m)")[0].map, expected)
    assert np.allclose(con.sql("select * from f(x, players => m4)")[0].map, expected)


def ialgebra_source(name):
    from ialgebra.algebra.sources import Source

    return Source(name)


def test_defaults_that_do_not_fit_are_refused_when_they_are_registered(con):
    x = torch.randn(2, 4, 4)
    with pytest.raises(ShapeError, match=r"\(2, 3, 3\)"):
        con.register_input("z", x, baseline=torch.zeros(2, 3, 3))
    with pytest.raises(BindError, match="mean nothing"):
        con.register_input("z", x, players="tokens")
    with pytest.raises(BindError, match="integers"):
        con.register_input("z", x, players=torch.rand(4, 4))
    with pytest.raises(BindError, match="finite"):
        con.register_input("z", x, baseline=float("nan"))
    con.register_input("z", x, baseline=np.float32(0.5))
    assert con.sql("select * from f(z)")[0].baseline == "0.5"


def test_a_session_default_that_does_not_fit_says_that_it_is_one(con):
    con.register_input("t", torch.randn(32))
    con.sql("set players = grid(2, 2)")
    with pytest.raises(BindError, match="default players") as caught:
        con.sql("select * from f(t)")
    assert caught.value.column == 15
    con.sql("set players = default; select * from f(x)")


def test_tokens_with_a_vocabulary_are_named_by_it(con):
    words = ["the", "film", "was", "awful", "good", "not", "very", "so"]
    con.register_model("t", torch.nn.Sequential(torch.nn.Embedding(8, 2), torch.nn.Flatten(), torch.nn.Linear(8, 2)))
    con.register_input("s", torch.tensor([1, 2, 5, 4]), feature_names=words)
    (a,) = con.sql("select * from t(s) where token <> 'was'")
    assert a.feature_names == ("film", "was", "not", "good")
    assert a.player_names() == ["film", "not", "good"]
    with pytest.raises(BindError, match="awfull"):
        con.sql("select * from t(s) where token = 'awfull'")
    con.register_input("r", torch.tensor([1, 2, 5, 4]), feature_names=dict(enumerate(words)))
    assert np.array_equal(con.sql("select * from t(r) where token <> 'was'")[0].map, a.map)
    with pytest.raises(BindError, match="no token"):
        con.sql("select * from t(s, baseline => -1)")


def test_a_session_lets_go_of_a_model_that_was_registered_again(con):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 3))
    con.register_model("g", net)
    con.sql("select * from g(x) budget 20")
    gone = weakref.ref(net)
    con.register_model("g", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 3)))
    con.sql("select * from g(x) budget 20")
    del net
    gc.collect()
    assert gone() is None


def test_an_interrupt_before_the_first_row_is_an_interrupt(con, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ialgebra.execution.execution.designed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        con.sql("select * from f(x)")
    monkeypatch.undo()
    assert len(con.sql("select * from f(x)")) == 1


def test_python_arguments_of_the_wrong_kind_are_errors_with_a_name(con):
    text = "select * from f(x) budget 20"
    for seed in (-1, 1.5, "a", True):
        with pytest.raises(BindError, match="seed"):
            con.sql(text, seed=seed)
    with pytest.raises(BindError, match="strategy"):
        con.sql(text, strategy="QUICK")
    assert con.sql(text, strategy="as_written").details["strategy"] == "AS_WRITTEN"
    for names, said in ((["a"], "feature names"), (3, "feature_names"), ("abc", "feature_names")):
        with pytest.raises(BindError, match=said):
            con.register_input("q", torch.randn(2, 4, 4), feature_names=names)
    frozen = np.ones((2, 4, 4), dtype=np.float32)
    frozen.flags.writeable = False
    con.register_input("q", frozen)
    with pytest.raises(ShapeError, match="meta"):
        con.register_input("q", torch.empty(2, 4, 4, device="meta"))


def test_the_players_of_two_partitions_are_numbered_in_one_way_for_every_writing_and_strategy(con):
    left = "(select * from f(x, players => grid(2, 2)) where col >= 1)"
    right = "(select * from f(y, players => grid(2, 2)) where row < 3)"
    answers = [
        con.sql(f"select * from {text} using exact()", strategy=strategy)[0]
        for text in (f"{left} join {right}", f"{right} join {left}")
        for strategy in ("AS_WRITTEN", "LAWS", "BEST")
    ]
    for each in answers:
        assert np.array_equal(each.players, answers[0].players)
        assert np.allclose(each.values, answers[0].values)
    met = [player for player in dict.fromkeys(answers[0].players.ravel().tolist()) if player >= 0]
    assert met == sorted(met)
