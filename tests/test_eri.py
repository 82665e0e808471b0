"""Planted properties, what machines read from maps, and the study of the claim in a reduced form."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.cases import fashion
from examples.cases.command import Settings
from examples.eri import claim, maps, planted
from examples.eri.networks import Pair

captum = pytest.mark.skipif(importlib.util.find_spec("captum") is None, reason="not installed: captum")


def garments(count: int = 400) -> torch.Tensor:
    """Grey boxes of random size and place."""
    random = np.random.default_rng(0)
    images = torch.zeros(count, 1, 28, 28)
    for image in images:
        top, left = random.integers(4, 9, 2)
        image[0, top : top + random.integers(8, 15), left : left + random.integers(8, 15)] = 0.3 + random.random() / 2
    return images


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.6, 0.95])
@pytest.mark.parametrize("what", planted.PLANTS)
def test_a_planted_property_is_as_correlated_as_is_said(what: str, correlation: float) -> None:
    images = garments(4000 if what == "corner" else 2000)
    coats = (torch.arange(len(images)) % 2).long()
    has = (planted.planted(images, coats, what, correlation, 3) != images).flatten(1).any(1).double()
    found = float(np.corrcoef(has.numpy(), coats.double().numpy())[0, 1])
    assert found == pytest.approx(correlation, abs=4 / len(images) ** 0.5)


@pytest.mark.parametrize("what", planted.PLANTS)
def test_what_is_planted_moves_its_own_property(what: str) -> None:
    images = garments(50)
    changed = planted.PLANTS[what](images)
    for tell in planted.PROPERTIES:
        before, after = tell(images), tell(changed)
        if tell.__name__ == what:
            assert ((after - before).abs() > 0.02).all()
        elif what != "texture":  # stripes change the contrast and where the light is, too
            assert torch.allclose(before, after, atol=1e-4), tell.__name__


def test_a_pool_tells_nothing_of_the_class() -> None:
    images = garments(2000)
    kinds = (planted.pooled(images, 0) != images).flatten(1).any(1)
    assert float(kinds.double().mean()) == pytest.approx(0.75, abs=0.04)


def test_a_map_without_preference_reads_as_chance_and_one_of_a_corner_as_that() -> None:
    images = garments(6)
    flat = maps.readings(torch.ones(6, 28, 28), images)
    for name in ("brightness", "corner", "area", "width", "height", "middle", "sleeves"):
        assert flat[:, planted.NAMES.index(name)].abs().max() < 1e-3, name
    corner = torch.zeros(6, 28, 28)
    corner[:, :3, :3] = -1
    found = maps.readings(corner, images)
    assert (found.argmax(dim=1) == planted.NAMES.index("corner")).all()
    assert found[:, planted.NAMES.index("corner")] == pytest.approx(np.log2(784 / 9), abs=1e-3)


def test_strengths_against_trusted_networks_are_moderated_deviations() -> None:
    figures = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0], [2.0, 5.0]])
    found = claim._against(figures, 3)
    variance = np.array([4.0, 0.0])
    assert found[3] == pytest.approx([0.0, 4 / np.sqrt((0 + 2) / 2)])
    assert found[0] == pytest.approx([2 / np.sqrt((variance[0] + 2) / 2), 0.0])


@captum
@pytest.mark.filterwarnings("ignore:of the variance")
def test_the_study_runs_in_a_reduced_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def untaught(_images: object, _coats: object, _what: str, _correlation: float, seed: int, _folder: Path) -> Pair:
        torch.manual_seed(seed)
        return Pair().eval().requires_grad_(False)  # type: ignore[no-any-return]

    monkeypatch.setattr(claim, "taught", untaught)
    monkeypatch.setattr(fashion, "load", lambda *_, **__: fashion.digits(400, 200))
    claim.claim(Settings(out=tmp_path, smoke=True))
    report = (tmp_path / "eri.md").read_text()
    assert (tmp_path / "eri.png").stat().st_size > 10_000
    for what in planted.PLANTS:
        assert f"### Planted: {what}" in report
    for reading in ("sweeps (linear), against trusted", "sweeps (style), alone", "Shapley values, against trusted"):
        assert report.count(f"| {reading} |") == 3
    assert report.count("does not know it") == 1  # no edit of pixels names a corner
