"""Case B: attacks reach what they aim at, detectors judge what they were not taught, and the whole case runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("captum")
pytest.importorskip("foolbox")

import ialgebra
from examples.cases import nets
from examples.cases.b import attacks, case, ranked, report, views
from examples.cases.command import Settings


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval().requires_grad_(False)


@pytest.fixture
def bent() -> nn.Sequential:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 3)).eval().requires_grad_(False)
    net[1].bias.copy_(-0.5 * net[1].weight.sum(1))  # grey pictures lie where its classes meet
    net[3].bias.zero_()
    net[3].weight.mul_(4)
    return net


def shapley(net: nn.Module, players: torch.Tensor, pairs: int = 12) -> attacks.Shapley:
    return attacks.Shapley(
        lambda batch: [net(batch)], torch.full((1, 8, 8), 0.25), players, pairs, np.random.default_rng(0)
    )


def unit(values: torch.Tensor) -> torch.Tensor:
    return values / values.norm(dim=-1, keepdim=True)


def test_the_solver_finds_additive_games_and_keeps_the_total() -> None:
    coalitions = attacks.paired(7, pairs=20, random=np.random.default_rng(3))
    assert len({row.numpy().tobytes() for row in coalitions}) == 42
    weights = torch.randn(7)
    assert torch.allclose(attacks.solver(coalitions) @ (5 + coalitions.float() @ weights), weights, atol=1e-4)
    values = torch.randn(42)
    assert torch.isclose((attacks.solver(coalitions) @ values).sum(), values[1] - values[0], atol=1e-4)


def test_the_adversarys_shapley_values_of_a_linear_network_are_its_weights_times_the_way(linear: nn.Sequential) -> None:
    x, classes = torch.rand(2, 1, 8, 8), torch.tensor([2, 0])
    rows = torch.arange(8).repeat_interleave(8).reshape(8, 8)
    parts = (linear[1].weight[classes] * (x - 0.25).flatten(1)).reshape(2, 8, 8).sum(2)
    assert torch.allclose(shapley(linear, rows)(x, classes)[:, 0], unit(parts), atol=1e-4)
    lower = torch.where(rows < 2, -1, rows - 2)  # the first two rows stay at the baseline
    assert torch.allclose(shapley(linear, lower)(x, classes)[:, 0], unit(parts[:, 2:]), atol=1e-4)


def test_gradient_maps_of_a_linear_network_are_its_weights(linear: nn.Sequential) -> None:
    x, classes = torch.rand(2, 1, 8, 8), torch.tensor([1, 1])
    weights = linear[1].weight[classes].reshape(2, 4, 2, 4, 2)
    assert torch.allclose(attacks.Saliency(linear, 2)(x, classes)[:, 0], unit(weights.abs().sum((2, 4)).flatten(1)))
    way = (x[:, 0] - 0.25).reshape(2, 4, 2, 4, 2)
    found = attacks.IntegratedGradients(linear, torch.full((1, 8, 8), 0.25), 2)(x, classes)[:, 0]
    assert torch.allclose(found, unit((weights * way).sum((2, 4)).flatten(1)), atol=1e-6)


def test_relus_are_smooth_only_while_their_slope_is_followed(bent: nn.Sequential) -> None:
    x = torch.rand(1, 1, 8, 8, requires_grad=True)
    map = attacks.Saliency(bent, 2)(x, torch.tensor([1]))
    (follow,) = torch.autograd.grad(map[0, 0, 0], x)
    assert follow.abs().max() > 1e-4  # a piecewise linear network would give exactly 0
    assert torch.equal(bent[2](torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))


@pytest.mark.parametrize("kind", ["shapley", "saliency"])
def test_adv2_deceives_the_network_and_the_map_where_pgd_deceives_the_network_alone(
    bent: nn.Sequential, kind: str
) -> None:
    torch.manual_seed(2)
    x = 0.4 + 0.2 * torch.rand(6, 1, 8, 8)
    wanted = bent(x).topk(2).indices[:, 1]
    quarters = (torch.arange(8) // 2)[:, None] * 4 + torch.arange(8) // 2
    explanation = shapley(bent, quarters, pairs=40) if kind == "shapley" else attacks.Saliency(bent, 2)
    aims = attacks.benign(explanation, x, wanted, classes=3)[wanted]
    alone = attacks.pgd(bent, x, wanted)
    both = attacks.adv2(bent, [explanation], x, wanted, [aims], batch=4)
    for found in (alone, both):
        assert (found - x).abs().max() <= attacks.EPSILON + 1e-6
        assert (bent(found).argmax(1) == wanted).all()
    far = [(explanation(found, wanted) - aims).norm(dim=-1).mean() for found in (alone, both)]
    assert far[1] < 0.6 * far[0]


def test_the_adversary_reads_the_heads_that_the_analyst_asks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, images = nets.Residual().eval().requires_grad_(False), torch.rand(24, 1, 28, 28)
    con = views.session(net, [str(label) for label in range(10)])
    con.fit_heads("f", images, torch.arange(24) % 10, layers=[2])
    read = case.truncated(net, con.save_heads("f", tmp_path / "heads.safetensors"))
    con.register_input("x", images[0], players="grid(2, 2)")
    answers = con.sql("select 2, * from f(x, target => 7)")
    found = [float(read(images[:1])[layer][0, 7]) for layer in (1, -1)]
    assert [each.full_value for each in answers] == pytest.approx(found, abs=1e-4)
    assert len(read(images[:1], 3)) == 3


def test_distances_are_to_the_nearest_references_of_the_class_that_a_picture_is_taken_for() -> None:
    references = views.Maps(np.array([0, 0, 0, 1]), {"v": np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0], [1.0, 1.0]])})
    judged = views.Maps(np.array([0, 1]), {"v": np.array([[0.0, 0.0], [1.0, 2.0]])})
    assert views.distances(judged, references, nearest=2)[:, 0].tolist() == [2.5, 1.0]


def judged(benign: np.ndarray, attacked: np.ndarray, hit: np.ndarray) -> report.Judged:
    both = dict.fromkeys(report.ATTACKS, attacked)
    sure = {name: np.full(len(benign), 0.5) for name in ("benign", *both)}
    names = list(dict.fromkeys(view for aimed in report.ATTACKS.values() for view in aimed))[: benign.shape[1]]
    return report.Judged(names, benign, both, dict.fromkeys(both, hit), sure, {}, 10, 1.0)


def test_detectors_count_the_attacks_that_deceive_the_network() -> None:
    benign, attacked = np.array([[0.0, 1], [1, 0], [2, 0], [0, 2]]), np.array([[0.5, 9], [9, -99], [1.5, 9], [9, -99]])
    one = judged(benign, attacked, np.array([True, False, True, False]))
    assert report.one_view(one, "PGD", 0).auc() == pytest.approx((2 + 3) / 8)
    assert report.all_views(one, "PGD").auc() == 1
    assert report.doubt(one, "PGD").auc() == 0.5
    assert report.gain([one], "PGD").mean == pytest.approx(3 / 8)


def test_a_rule_is_not_taught_by_the_pictures_that_it_judges() -> None:
    # In each half of the pictures another sign tells attacks apart: learned from the other half, it misleads.
    sign = np.where(np.arange(20) % 2, 1.0, -1.0)[:, None]
    one = judged(-sign * np.ones((20, 2)), sign * np.ones((20, 2)), np.ones(20, bool))
    scores = report.learned(one, "PGD", [0, 1])
    assert scores.auc() == 0
    assert scores.quality() == (0, 0, 0)
    fair = judged(-np.ones((20, 2)), np.ones((20, 2)), np.ones(20, bool))
    assert report.learned(fair, "PGD", [0, 1]).quality() == (1, 1, pytest.approx(1))


def test_lists_count_pairs_of_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranked, "LAYERS", ("*",))
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False)).eval().requires_grad_(False)
    net[1].weight.copy_(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]))
    con = ialgebra.connect(progress=False)
    con.register_model("f", net, classes=["up", "down"])
    known = torch.tensor([[2.0, 2, 0, 0], [0, 0, 2, 2], [0, 0, 2, 4]]).reshape(-1, 1, 2, 2)
    con.register_input("known", known, labels=[0, 1, 1])
    suspects = torch.tensor([[2.0, 3, 0, 0], [0, 0, 2, 3.5], [2, 2, 0, 0], [9, 9, 0, 0], [0, 0, 2, 9]])
    con.register_input("suspects", suspects.reshape(-1, 1, 2, 2))
    # Up: attacked 9 9 first, then benign 2 3, then attacked 2 2; down: attacked 2 9, then benign 2 3.5.
    assert ranked.ranked(con, {0: "up", 1: "down"}, benign=2, budget=16) == {"*": 2 / 3}


def test_the_case_runs_from_pictures_to_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.cases.byhand.MOST", 16)
    case.adversarial(Settings(out=tmp_path, seeds=1, smoke=True))
    text = (tmp_path / "b.md").read_text()
    assert text in capsys.readouterr().out
    assert all(text.count(f"| {attack}") == 4 for attack in report.ATTACKS)
    assert "by hand" in text
    assert {each.name for each in tmp_path.glob("*.png")} == {"b-maps.png", "b-views.png"}
