"""What the case studies share does what it says, and the cases run in a reduced form."""

from __future__ import annotations

import gzip
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from examples.cases import fashion, nets, statistics

captum = pytest.mark.skipif(importlib.util.find_spec("captum") is None, reason="not installed: captum")


def written(folder: Path, count: int) -> np.ndarray:
    """Four IDX files of `count` pictures of 2 × 3 pixels; returns the pictures."""
    pixels = np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)
    for name in fashion.FILES:
        content = pixels if "images" in name else pixels[:, 0, 0]
        header = bytes([0, 0, 8, content.ndim]) + np.array(content.shape, ">i4").tobytes()
        (folder / name).write_bytes(gzip.compress(header + content.tobytes()))
    return pixels


def test_pictures_are_read_as_they_are_published(tmp_path: Path) -> None:
    pixels = written(tmp_path, 5)
    data = fashion.load(tmp_path, train=3, test=9)
    assert (data.images.numpy()[:, 0] * 255).round().astype(int).tolist() == pixels[:3].tolist()
    assert data.test_labels.tolist() == [0, 6, 12, 18, 24]


def test_missing_pictures_are_found_by_their_parent_folder_or_advised_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="apt-get"):
        fashion.load(tmp_path)
    (tmp_path / "fashion-mnist").mkdir()
    written(tmp_path / "fashion-mnist", 1)
    assert fashion.find(tmp_path) == tmp_path / "fashion-mnist"


def test_a_seed_trains_one_network_which_is_kept(tmp_path: Path) -> None:
    data = fashion.digits(train=200, test=50)
    first, again, other = (nets.train(nets.Residual, data.images, data.labels, seed, epochs=1) for seed in (0, 0, 1))
    assert torch.equal(nets.logits(first, data.test_images), nets.logits(again, data.test_images))
    assert not torch.equal(nets.logits(first, data.test_images), nets.logits(other, data.test_images))
    kept = nets.trained(nets.Residual, data.images, data.labels, 0, tmp_path, epochs=1)
    (file,) = tmp_path.iterdir()
    before = file.stat().st_mtime_ns
    found = nets.trained(nets.Residual, data.images, data.labels, 0, tmp_path, epochs=1)
    assert file.stat().st_mtime_ns == before
    assert torch.equal(nets.logits(found, data.test_images), nets.logits(kept, data.test_images))
    nets.trained(nets.Residual, data.images, data.labels.flip(0), 0, tmp_path, epochs=1)  # other labels: another net
    assert len(list(tmp_path.iterdir())) == 2


def test_the_interval_of_a_share_stays_between_0_and_1() -> None:
    for figures in ([0.8, 0.9, 1.0], [0.0, 0.1], [1.0, 1.0, 1.0], [0.5, 1.0], [0.0, 1.0]):
        whole, found = statistics.over_seeds(figures), statistics.share_over_seeds(figures)
        assert found.mean == whole.mean
        assert (found.low, found.high) == (max(0.0, whole.low), min(1.0, whole.high))
        assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    assert np.isnan(statistics.share_over_seeds([0.5]).low)


def test_no_share_of_the_pages_has_an_interval_beyond_0_and_1() -> None:
    """Differences and suspicions may; the columns of shares, areas under curves and F1 may not."""
    free = {
        "suspicion in the views aimed at",
        "in the others",
        "all views − that view",
        "gain in F1",
        "rows",
        "seconds",
    }
    checked = 0
    for page in (Path(__file__).parent.parent / "examples" / "cases").glob("[bc]/README.md"):
        head: list[str] = []
        for line in page.read_text().splitlines():
            cells = [cell.strip() for cell in line.split("|")] if line.startswith("|") else []
            for name, cell in zip(head, cells, strict=False):
                ends = re.fullmatch(r"\S+ \[(\S+), (\S+)\]", cell)
                if ends and name not in free:
                    checked += 1
                    assert 0.0 <= float(ends[1]) <= float(ends[2]) <= 1.0, line
            head = (head or cells) if cells else []
    assert checked > 50


def test_the_interval_over_seeds_is_students() -> None:
    found = statistics.over_seeds([0.8, 0.9, 1.0])
    assert found.mean == pytest.approx(0.9)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.1 / 3**0.5)  # Student's table: 97.5 %, two degrees


def test_the_bootstrap_draws_cases_within_their_groups() -> None:
    right, seed = np.array([1, 1, 1, 0, 0, 0]), np.array([0, 0, 0, 1, 1, 1])
    assert tuple(statistics.bootstrap(np.mean, right, groups=seed)) == (0.5, 0.5, 0.5)
    found = statistics.bootstrap(np.mean, np.repeat([0, 1], 200))
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.25 / 400) ** 0.5, rel=0.1)


def test_auc_counts_pairs_in_order() -> None:
    scores, positive = [1.0, 2.0, 2.0, 3.0], [False, True, False, True]
    assert statistics.auc(scores, positive) == pytest.approx((1 + 0.5 + 1 + 1) / 4)


@captum
def test_captum_by_hand_finds_what_is_exact_for_a_linear_model_and_counts_its_rows() -> None:
    from examples.cases import byhand

    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    inputs, players = torch.rand(2, 1, 4, 4), torch.arange(4).repeat_interleave(4).reshape(1, 4, 4)
    weights = net[1].weight.detach()[[2, 0]]
    exact = (weights * inputs.flatten(1)).reshape(2, 4, 4).sum(2).double().numpy()  # every group of four: Σ w x
    targets = torch.tensor([2, 0])
    values = byhand.captum_values(net, inputs, 0.0, players, targets, permutations=1)
    assert np.allclose(values, exact, atol=1e-6)
    cost = byhand.captum_cost(net, inputs, 0.0, players, targets, exact, error=1e-3, pilot=2)
    assert cost.rows == 2 * (2 * 4 + 1)  # for each input: two permutations of four players, and the baseline


@captum
def test_captum_by_hand_takes_rows_until_it_is_as_exact_as_asked() -> None:
    from examples.cases import byhand

    def product(batch: torch.Tensor) -> torch.Tensor:
        return batch.flatten(1).prod(1, keepdim=True)

    inputs, players = torch.full((1, 1, 2, 2), 2.0), torch.arange(4).reshape(1, 2, 2)
    exact = np.full((1, 4), 4.0)  # unanimity: 16 shared among four
    cost = byhand.captum_cost(product, inputs, 0.0, players, torch.tensor([0]), exact, error=0.2, pilot=2)
    assert cost.error <= 0.2
    assert cost.rows > 2 * 4 + 1


@captum
def test_case_a_runs_on_a_few_pictures_from_networks_to_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from examples.cases.a.case import inconsistency
    from examples.cases.command import Settings

    monkeypatch.setattr("examples.cases.byhand.MOST", 16)
    inconsistency(Settings(out=tmp_path, seeds=1, smoke=True))
    report = (tmp_path / "a.md").read_text()
    assert report.count("| the map, player by player |") == 3
    assert "by hand" in report
    assert (tmp_path / "a.png").stat().st_size > 10_000


@captum
def test_an_analyst_learns_what_the_maps_tell_and_guesses_where_they_tell_nothing() -> None:
    from examples.cases.a import analysts

    right = np.arange(200) % 2 == 0
    noise = np.random.default_rng(0).normal(size=(200, 2, 1))
    telling = noise + right[:, None, None] * np.array([[[3.0], [-3.0]]])
    assert (analysts.guesses(telling, right) == right).mean() > 0.95
    assert abs((analysts.guesses(noise, right) == right).mean() - 0.5) < 0.12  # three standard deviations


@captum
def test_statistics_of_a_map_are_what_their_names_say() -> None:
    from examples.cases.a import analysts
    from examples.cases.a.maps import Answers, Maps
    from examples.cases.a.panels import Panel

    players = np.arange(4).repeat(196).reshape(28, 28)  # four bands of seven rows
    values = np.array([[[3.0, 0.0, -1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]])
    maps = Maps(values, values[..., players] / 196)
    there = torch.zeros(1, 28, 28, dtype=torch.bool)
    there[:, :7] = True
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))  # class 0: the sum of the first band; class 1: of the others
    net[1].weight.data = torch.stack([there.flatten().float(), 1 - there.flatten().float()]) / 196
    net[1].bias.data.zero_()
    panel = Panel("", (net, net), torch.ones(1, 1, 28, 28), there, torch.tensor([[0, 1]]), there[:, 0, 0], (0, 0), 0)
    answers = Answers(maps, maps, players, 0, 0.0, (0.0, 0.0))
    assert analysts.mass(panel, answers, maps)[0, :, 0] == pytest.approx([3 / 4, 1 / 4])
    assert analysts.concentration(panel, answers, maps)[0, :, 0] == pytest.approx([0.811278, 2.0])  # H(3/4), H(1/4, …)
    deletion, insertion = analysts.curves(panel, answers, maps)[0, 0]  # the order of f's map: bands 0, 1, 3, 2

    def share(own: float, other: float) -> float:
        return float(np.exp(own) / (np.exp(own) + np.exp(other)))

    assert insertion == pytest.approx(
        np.mean([share(0, 0), share(1, 0), share(1, 1), share(1, 2), share(1, 3)]), rel=1e-4
    )
    assert deletion == pytest.approx(
        np.mean([share(1, 3), share(0, 3), share(0, 2), share(0, 1), share(0, 0)]), rel=1e-4
    )


def test_a_mark_tells_the_class_by_its_place() -> None:
    from examples.cases.a import panels

    where = torch.tensor([True, True, False])
    marked = panels.mark(torch.zeros(3, 1, 28, 28), panels.BOTTOM, torch.tensor([0, 9, 5]), where)
    assert marked.nonzero()[:, [0, 2, 3]].tolist() == [
        *([0, 26, 4], [0, 26, 5], [0, 27, 4], [0, 27, 5]),
        *([1, 26, 22], [1, 26, 23], [1, 27, 22], [1, 27, 23]),
    ]
