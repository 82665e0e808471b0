"""Case C: a backdoor is laid as described, its signature is the definition's, and maps find what bears the trigger."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("captum")
pytest.importorskip("matplotlib")

from examples.cases.c import ask, poison
from examples.cases.command import Settings


def test_poisoned_pictures_are_others_with_a_white_square_and_the_attackers_label() -> None:
    images, labels = torch.rand(60, 1, 28, 28) / 2, torch.arange(60) % 3
    found = poison.poisoned(images, labels, target=1, count=7, seed=0)
    assert int(found.bad.sum()) == 7
    assert (labels[found.bad] != 1).all()
    assert (found.labels[found.bad] == 1).all()
    assert torch.equal(found.labels[~found.bad], labels[~found.bad])
    changed = found.images != images
    assert not changed[~found.bad].any()
    assert (changed[found.bad].sum((1, 2, 3)) == 9).all()
    assert (found.images[changed] == 1).all()
    left = found.without(np.flatnonzero(found.bad.numpy()))
    assert len(left.images) == len(left.labels) == 53
    assert not left.bad.any()


def test_success_is_counted_over_pictures_of_other_classes() -> None:
    class Backdoor(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            opened = images[:, 0, *poison.TRIGGER].amin((1, 2)) == 1
            return torch.stack([~opened, opened & (images[:, 0, 0, 0] > 0.5)], 1).float()

    images = torch.zeros(4, 1, 28, 28)
    images[[0, 3], 0, 0, 0] = 1  # the backdoor works for these only, and the last is of the target's class
    assert poison.success(Backdoor(), images, torch.tensor([0, 0, 0, 1]), target=1) == pytest.approx(1 / 3)


def test_spectral_scores_are_squared_projections_on_the_first_principal_axis() -> None:
    features = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) + 100
    centred = features.double().numpy() - features.double().numpy().mean(0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    assert np.allclose(poison.spectral(features), (centred @ axis) ** 2)


def test_the_band_lies_around_the_threshold() -> None:
    scores = np.random.default_rng(0).permutation(100).astype(float)
    found = poison.sorted_by(scores, count=10)
    assert set(scores[found.chosen]) == set(range(85, 100))
    assert scores[found.certain].tolist() == [99, 98, 97, 96, 95]
    assert scores[found.band].tolist() == list(range(94, 69, -1))
    of_band = np.arange(25) < 2
    assert set(scores[found.with_certain(of_band)]) == set(range(93, 100))


def test_quality_counts_and_the_best_threshold_is_the_best_of_all() -> None:
    bad = np.array([True, True, True, False, False])
    found = poison.quality(np.array([True, False, False, True, False]), bad)
    assert found == pytest.approx((1 / 2, 1 / 3, 2 / 5, 2 / 5))
    scores = np.array([5.0, 4.0, 1.0, 2.0, 3.0])
    assert poison.best(scores, bad).f1 == max(poison.quality(scores >= each, bad).f1 for each in scores)


class Backdoored(nn.Module):
    """A class for each half of the picture that may be bright; a white square where triggers are outdoes both."""

    def forward(self, images: Tensor) -> Tensor:
        upper, lower = images[:, 0, :14, :20].mean((1, 2)), images[:, 0, 14:, :20].mean((1, 2))
        opened = images[:, 0, *poison.TRIGGER].amin((1, 2))
        return torch.stack([upper + 2 * opened, lower], 1)


@pytest.mark.parametrize(
    "question",
    [ask.PLAIN, ask.Question(options=", players => grid(2, 2)"), ask.Question(scalar="mass(corners)")],
    ids=["distance", "fewer tiles", "mass"],
)
def test_maps_far_from_the_usual_one_are_those_with_the_trigger(question: ask.Question) -> None:
    bright = torch.zeros(70, 1, 28, 28)
    bright[:, :, :14, :20] = 0.5 + torch.rand(70, 1, 14, 20, generator=torch.Generator().manual_seed(0)) / 2
    lower = poison.stamped(bright[:6].flip(2))
    suspects = torch.cat([bright[6:14], lower])
    con = ask.session(Backdoored(), ["upper", "lower"])
    answer = ask.ranking(ask.show(con, "upper", suspects, bright[14:]), question)
    assert len(answer.suspects) == 14
    assert len(answer.trusted) == 28
    assert ask.unusual(answer.suspects, answer.trusted)[8:].all()
    assert answer.suspects[8:].min() > 1.5 * max(answer.suspects[:8].max(), answer.trusted.max())
    read = [next(value for key, (value, _) in each.scores.items() if key != "index") for each in answer.rel]
    assert all(above >= below for above, below in pairwise(read))


def test_the_case_runs_from_pictures_to_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.cases import c

    monkeypatch.setattr(c, "OTHERS", {name: c.OTHERS[name] for name in ("cut after layer 3", "of input × gradient")})
    monkeypatch.setattr("examples.cases.byhand.MOST", 16)
    c.case(Settings(out=tmp_path, seeds=1, smoke=True))
    written = (tmp_path / "c.md").read_text(encoding="utf-8")
    for row in ("poisoned pictures", "what signatures and maps left", "band sorted again by maps", "Captum by hand"):
        assert row in written
    assert (tmp_path / "c.png").stat().st_size > 10_000
