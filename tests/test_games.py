"""What the comparison with other libraries rests on: its exact answers, its counted rows, its report."""

from __future__ import annotations

import itertools
import json
import math
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from benchmarks import games, readme

Floats = NDArray[np.float64]


def random_game(d: int, seed: int) -> games.Table:
    return games.Table("random, logit", np.random.default_rng(seed).normal(size=2**d))


def test_a_table_has_the_shapley_values_of_all_orders_in_which_players_come() -> None:
    game = random_game(5, seed=0)
    mean = np.zeros(5)
    for order in itertools.permutations(range(5)):
        for place, player in enumerate(order):
            before = sum(1 << other for other in order[:place])
            mean[player] += (game.table[before | 1 << player] - game.table[before]) / math.factorial(5)
    assert game.shapley == pytest.approx(mean, abs=1e-12)


def test_a_table_s_values_are_those_of_the_players_that_are_present() -> None:
    game = random_game(4, seed=1)
    assert (game.values(games.every(4)) == game.table).all()
    assert game.values(np.array([[True, False, False, True]]))[0] == game.table[0b1001]


def test_a_long_run_is_within_the_errors_that_it_states() -> None:
    d = 9
    columns = np.random.default_rng(2).normal(size=(2**d, 2))
    mean, error = games.permuted(lambda rows: columns[rows @ (1 << np.arange(d))], d, pairs=300)
    exact = np.stack([games.Table("", column).shapley for column in columns.T], axis=1)
    assert 0.5 < np.sqrt(np.mean(((mean - exact) / error) ** 2)) < 1.5
    assert mean.sum(axis=0) == pytest.approx(columns[-1] - columns[0])


def test_a_coalition_is_asked_of_the_network_once() -> None:
    asked = []

    def columns(rows: NDArray[np.bool_]) -> Floats:
        asked.append(len(rows))
        return np.stack([rows.sum(axis=1), -rows.sum(axis=1)], axis=1).astype(float)

    known: dict[bytes, Floats] = {}
    rows = games.every(4)
    assert (games.remembered(columns, known, 0, rows[[1, 3, 1]]) == [1, 2, 1]).all()
    assert (games.remembered(columns, known, 1, rows[[3, 7]]) == [-2, -3]).all()
    assert asked == [2, 1]


def test_hybrids_are_the_input_where_players_are_present() -> None:
    x, baseline, players = torch.ones(1, 4, 4), torch.zeros(1, 4, 4), games.tiles(4, 2, 2)
    hybrid = games.hybrids(x, baseline, players)[0b0110][0]
    assert hybrid.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    module = torch.nn.Flatten()
    assert (games.logits_of(module, x, baseline, players, games.every(4)[6:7])[0] == hybrid.flatten()).all()


def test_fashion_mnist_is_read_from_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    for name in games.FASHION:
        images = "images" in name
        shape = (2, 3, 3) if images else (2,)
        header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
        (tmp_path / f"{name}-ubyte.gz").write_bytes(gzip.compress(header + bytes(range(math.prod(shape)))))
    monkeypatch.setenv("IALGEBRA_DATA", str(tmp_path))
    assert games.fashion_folder() == tmp_path
    assert games.idx(tmp_path / f"{games.FASHION[0]}-ubyte.gz").tolist() == np.arange(18).reshape(2, 3, 3).tolist()


def test_what_was_built_by_the_same_recipe_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(games, "OUT", tmp_path)
    built = []

    def build() -> games.Arrays:
        built.append(1)
        return {"values": np.arange(3)}

    for recipe in ("a", "a", "b"):
        assert games.kept("game", recipe, build)["values"].tolist() == [0, 1, 2]
    assert len(built) == 2


# --- The tables of docs/benchmarks.md


def test_a_section_of_the_readme_is_written_anew_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = SimpleNamespace(markdown=lambda data: f"measured {data['figure']}")
    monkeypatch.setitem(sys.modules, "benchmarks.seconds", report)
    text = "head\n<!-- seconds -->\nold\n<!-- /seconds -->\n<!-- peers -->\nkept\n<!-- /peers -->\ntail\n"
    assert readme.filled(text, tmp_path) == text
    (tmp_path / "seconds.json").write_text(json.dumps({"figure": 7}))
    once = readme.filled(text, tmp_path)
    assert "measured 7" in once
    assert "old" not in once
    assert once.replace("\nmeasured 7\n\n", "old\n") == text
    assert readme.filled(once, tmp_path) == once


# --- Peers


@pytest.fixture(scope="module")
def explainers():  # type: ignore[no-untyped-def]
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        for package in ("captum", "shap", "shapiq"):
            pytest.importorskip(package)
        from benchmarks import explainers

        return explainers


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_every_peer_finds_a_nearly_additive_game_and_its_rows_are_counted(explainers) -> None:  # type: ignore[no-untyped-def]
    strength, noise = np.arange(1.0, 9.0), np.random.default_rng(3).normal(size=256)
    game = games.Table("nearly additive, logit", games.every(8) @ strength + 0.5 * noise)
    for peer in (*explainers.PEERS, *explainers.newest_peers()):
        values, rows = peer.run(game, 200, seed=0)
        assert rows >= 200
        assert values.shape == (8,)
        assert np.linalg.norm(values - game.shapley) < 0.25 * np.linalg.norm(game.shapley), peer.title


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_the_comparison_subtracts_the_reference_s_own_error_and_says_where_we_lose(explainers) -> None:  # type: ignore[no-untyped-def]
    from benchmarks import peers

    def result(library: str, errors: tuple[float, ...], doubt: float = 0.0) -> peers.Result:
        return peers.Result("net, logit", 8, 64, doubt, library, "way", 64.0, errors)

    assert result("a", (0.5, 0.5), doubt=0.3).error == pytest.approx(0.4)
    assert result("a", (0.1, 0.1), doubt=0.3).error == 0
    own, worse, better = result(peers.OURS, (0.2, 0.4)), result("a", (0.5, 0.6)), result("b", (0.1, 0.2))
    assert "in none" in peers.losses([own, worse])
    assert "b way, 0.50 of our error" in peers.losses([own, worse, better])
    assert "**2.00**" in peers.brief([own, worse, better])
    assert "0 of 1" in peers.tally([own, worse, better])
    assert "1 of 1" in peers.tally([own, worse])


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_ours_and_all_peers_are_compared_from_end_to_end(
    explainers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    from benchmarks import peers

    monkeypatch.setattr(peers, "OUT", tmp_path)
    monkeypatch.setattr(peers, "SEEDS", 2)
    chosen = (explainers.PEERS[0], explainers.PEERS[7])
    game = random_game(7, seed=4)
    results = list(peers.compared(game, [28, 56], chosen))
    assert [each.library for each in results] == [peers.OURS, "captum", explainers.SHAPIQ] * 2
    for own, *others in (results[:3], results[3:]):
        assert 0 < own.rows <= own.budget + 1
        assert all(each.rows >= own.rows - 1 for each in others)
    costs = [peers.Cost(peers.OURS, "one plan", 28.0, 0.1)]
    text = peers.save(results, costs, 28)
    data = json.loads((tmp_path / "peers.json").read_text())
    assert data["equal_rows"][0]["error"] == pytest.approx(results[0].error)
    assert "random, logit" in text
    assert "random, logit" in peers.markdown(data)
    monkeypatch.setattr(explainers.Peer, "run", None)  # what peers answered is remembered
    assert list(peers.compared(game, [28, 56], chosen)) == results
