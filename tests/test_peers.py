"""Differential tests: captum, shap and shapiq enumerate small games too, and `using exact()` agrees with them to 1e-5.

Nets, inputs, baselines, targets, windows and games are random. In the first half each library is handed the model and
the hybrids its own way, so that what is compared is the definition and not a shared helper. In the second half whole
queries are compared with sums of what a library says of the truncated, masked or exchanged models that they mean.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra
from tests import oracle, worlds
from tests.peers import (
    ORACLES,
    Floats,
    Oracle,
    Truncated,
    agree,
    captum_attr,
    scores,
    shap,
    shap_values,
    shapiq,
    shapiq_values,
    spread,
)

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


def seeds(count: int, quick: int = 3) -> list[object]:
    """`count` seeds, of which all but the first are left to the long run."""
    return [*range(quick), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(quick, count))]


@pytest.fixture
def con() -> Iterator[ialgebra.Session]:
    with ialgebra.connect(progress=False) as session:
        yield session


def tabular(seed: int, features: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A random net of `features` inputs and three classes, an input, and a baseline."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(features, 9), nn.Tanh(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 3))
    return scaled(net), torch.randn(features, dtype=torch.float64), torch.randn(features, dtype=torch.float64)


def image(seed: int, *, linear: bool = False) -> tuple[nn.Module, Tensor, Tensor]:
    """A random net of 2×6×6 images and three classes, an input, and a baseline."""
    torch.manual_seed(seed)
    between = nn.Identity() if linear else nn.Tanh()
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), between, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 3))
    return scaled(net), torch.randn(2, 6, 6, dtype=torch.float64), torch.randn(2, 6, 6, dtype=torch.float64)


def scaled(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    return net.double().eval().requires_grad_(False)


def exact(con: ialgebra.Session, text: str) -> list[ialgebra.Attribution]:
    answers = list(con.sql(f"{text} using exact()"))
    assert all((each.stderr == 0).all() for each in answers)
    return answers


# --- each library on models and hybrids of its own making


@pytest.mark.parametrize("output", ["logit", "probability"])
@pytest.mark.parametrize("seed", seeds(10))
def test_tabular_maps_are_those_of_shap(con: ialgebra.Session, seed: int, output: str) -> None:
    net, x, baseline = tabular(seed, features=7)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline)
    (answer,) = exact(con, f"select * from f(x, target => 1, output => '{output}')")

    def model(rows: Floats) -> Floats:
        logits = net(torch.from_numpy(rows))
        return (logits if output == "logit" else torch.softmax(logits, 1))[:, 1].numpy()

    explainer = shap.ExactExplainer(model, shap.maskers.Independent(baseline[None].numpy()))
    said = explainer(x[None].numpy())
    assert agree(answer.values, said.values[0])
    assert answer.base_value == pytest.approx(float(said.base_values[0]))


@pytest.mark.parametrize("seed", seeds(10))
def test_a_collection_of_baselines_is_a_background_of_shap(con: ialgebra.Session, seed: int) -> None:
    net, x, _ = tabular(seed, features=6)
    background = torch.randn(4, 6, dtype=torch.float64)
    con.register_model("f", net)
    con.register_input("them", background)
    con.register_input("x", x, baseline="them")
    (answer,) = exact(con, "select * from f(x, target => 2)")
    explainer = shap.ExactExplainer(
        lambda rows: net(torch.from_numpy(rows))[:, 2].numpy(), shap.maskers.Independent(background.numpy())
    )
    said = explainer(x[None].numpy())
    assert agree(answer.values, said.values[0])
    assert answer.base_value == pytest.approx(float(said.base_values[0]))


@pytest.mark.parametrize("seed", seeds(10))
def test_maps_of_a_feature_mask_are_those_of_captum(con: ialgebra.Session, seed: int) -> None:
    net, x, baseline = image(seed)
    mask = torch.cat([torch.arange(5), torch.randint(5, (67,))])[torch.randperm(72)].reshape(2, 6, 6)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline, players=mask)
    (answer,) = exact(con, "select * from f(x)")
    target = int(net(x[None])[0].argmax())
    said = captum_attr.ShapleyValues(net).attribute(
        x[None], baseline[None], target=target, feature_mask=mask[None], perturbations_per_eval=5
    )[0]
    assert answer.target in (target, str(target))
    assert agree(answer.values, np.array([said[mask == player][0].item() for player in range(5)]))
    assert agree(answer.map, (said / torch.bincount(mask.flatten())[mask]).numpy())


@pytest.mark.parametrize("seed", seeds(10))
def test_a_projection_is_captum_on_an_input_that_is_the_baseline_elsewhere(con: ialgebra.Session, seed: int) -> None:
    net, x, baseline = image(seed)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline, players="grid(2, 2)")
    (answer,) = exact(con, "select * from f(x) where row between 1 and 4 and col >= 2")
    mask = torch.full((2, 6, 6), 4)
    for player, (row, col) in enumerate([(1, 2), (1, 4), (3, 2), (3, 4)]):
        mask[:, row : row + 2, col : col + 2] = player
    projected = torch.where(mask < 4, x, baseline)
    said = captum_attr.ShapleyValues(net).attribute(
        projected[None], baseline[None], target=int(net(x[None])[0].argmax()), feature_mask=mask[None]
    )[0]
    assert agree(answer.values, np.array([said[mask == player][0].item() for player in range(4)]))
    assert (answer.map[(mask == 4).numpy()] == 0).all()


@pytest.mark.parametrize("seed", seeds(10))
def test_a_single_player_is_captum_s_ablation(con: ialgebra.Session, seed: int) -> None:
    net, x, baseline = image(seed)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline, players="pixels")
    row, col = seed % 6, seed * 5 % 6
    (answer,) = exact(con, f"select * from f(x, target => 0) where row = {row} and col = {col}")
    alone = torch.ones(2, 6, 6, dtype=torch.int64)
    alone[:, row, col] = 0
    said = captum_attr.FeatureAblation(net).attribute(
        torch.where(alone == 0, x, baseline)[None], baseline[None], target=0, feature_mask=alone[None]
    )[0]
    assert agree(answer.values, said[0, row, col].numpy().reshape(1))


@pytest.mark.parametrize("method", ["IntegratedGradients", "FeatureAblation", "DeepLift"])
@pytest.mark.parametrize("seed", seeds(10))
def test_of_a_linear_net_all_of_captum_s_methods_are_shapley_values(
    con: ialgebra.Session, seed: int, method: str
) -> None:
    net, x, baseline = image(seed, linear=True)
    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline, players="tile(2)")
    (answer,) = exact(con, "select * from f(x, target => 1)")
    cells = torch.arange(6) // 2
    mask = (3 * cells[:, None] + cells).expand(2, 6, 6)
    explainer = getattr(captum_attr, method)(net)
    said = explainer.attribute(x[None].requires_grad_(), baseline[None], target=1)[0].detach()
    assert agree(answer.values, torch.bincount(mask.flatten(), weights=said.flatten()).numpy())


@pytest.mark.parametrize("seed", seeds(10))
def test_of_a_linear_model_values_are_those_of_shap_s_own_formula(con: ialgebra.Session, seed: int) -> None:
    torch.manual_seed(seed)
    net = scaled(nn.Linear(9, 1))
    background = torch.randn(5, 9, dtype=torch.float64)
    x = torch.randn(9, dtype=torch.float64)
    con.register_model("f", net)
    con.register_input("them", background)
    con.register_input("x", x, baseline="mean(them)")
    (answer,) = exact(con, "select * from f(x)")
    model = (net.weight[0].numpy(), float(net.bias))
    said = shap.LinearExplainer(model, shap.maskers.Independent(background.numpy())).shap_values(x[None].numpy())
    assert agree(answer.values, said[0])


@pytest.mark.parametrize("seed", seeds(10))
def test_without_effects_of_three_shap_s_permutations_are_exact(con: ialgebra.Session, seed: int) -> None:
    """An order and its reverse give Shapley values where no more than two features act together, as shap documents."""
    torch.manual_seed(seed)
    factors = torch.randn(6, 4, dtype=torch.float64)
    x, baseline = torch.randn(2, 6, dtype=torch.float64)

    def net(batch: Tensor) -> Tensor:
        return (batch @ factors).square().sum(1) + batch[:, 0]

    con.register_model("f", net)
    con.register_input("x", x, baseline=baseline)
    (answer,) = exact(con, "select * from f(x)")
    explainer = shap.PermutationExplainer(
        lambda rows: net(torch.from_numpy(rows)).numpy(), shap.maskers.Independent(baseline[None].numpy()), seed=seed
    )
    assert agree(answer.values, explainer(x[None].numpy(), max_evals=13).values[0])


@pytest.mark.parametrize("seed", seeds(10))
def test_both_sides_of_an_anti_join_are_those_of_shapiq(con: ialgebra.Session, seed: int) -> None:
    net, x, other = tabular(seed, features=8)
    con.register_model("f", net)
    con.register_input("x", x)
    con.register_input("x'", other)
    sides = exact(con, "select * from f(x) left join (select * from f(x'))")
    for answer, foreground, background in zip(sides, (x, other), (other, x), strict=True):
        target = int(net(foreground[None])[0].argmax())

        def game(
            coalitions: NDArray[np.bool_], a: Tensor = foreground, b: Tensor = background, column: int = target
        ) -> Floats:
            rows = np.where(np.atleast_2d(coalitions), a.numpy(), b.numpy())
            return net(torch.from_numpy(rows))[:, column].numpy()

        said = shapiq.ExactComputer(n_players=8, game=game)("SV").get_n_order_values(1)
        assert agree(answer.values, said)


# --- games without a network


def answered(con: ialgebra.Session, worth: Floats) -> Floats:
    """The values of the game in which the coalition of the players in i's bits is worth `worth[i]`."""
    players = len(worth).bit_length() - 1
    place = 2 ** torch.arange(players)
    con.register_model("f", lambda batch: torch.from_numpy(worth)[(batch.round().long() * place).sum(1)])
    con.register_input("x", torch.ones(players))
    (answer,) = exact(con, "select * from f(x)")
    return answer.values


def read(worth: Floats, coalitions: NDArray[np.generic]) -> Floats:
    asked = np.atleast_2d(coalitions).astype(bool)
    return worth[asked @ (1 << np.arange(asked.shape[1]))]


@pytest.mark.parametrize("peer", ["shap", "shapiq"])
@pytest.mark.parametrize("players", range(2, 11))
@pytest.mark.parametrize("seed", seeds(5, quick=1))
def test_a_random_game_has_the_values_of_the_peers(con: ialgebra.Session, seed: int, players: int, peer: str) -> None:
    worth = np.random.default_rng((seed, players)).normal(size=2**players).cumsum()
    values = {"shap": shap_values, "shapiq": shapiq_values}[peer]
    assert agree(answered(con, worth), values(functools.partial(read, worth), players))


@pytest.mark.parametrize("seed", seeds(10))
def test_a_kernelshap_of_shapiq_that_sees_every_coalition_agrees(con: ialgebra.Session, seed: int) -> None:
    worth = np.random.default_rng(seed).exponential(size=2**7)
    said = shapiq.KernelSHAP(n=7, random_state=seed).approximate(2**7, functools.partial(read, worth))
    assert agree(answered(con, worth), said.get_n_order_values(1))


@pytest.mark.parametrize("seed", seeds(20, quick=5))
def test_shapiq_s_benchmark_of_unanimity_games_has_the_values_of_its_moebius_transform(
    con: ialgebra.Session, seed: int
) -> None:
    """shapiq_games.synthetic.SOUM; its Shapley values come from the transform, not from coalitions."""
    games = pytest.importorskip("shapiq_games.synthetic")
    players = 4 + seed % 9
    soum = games.SOUM(players, n_basis_games=5 + 3 * seed, min_interaction_size=1, random_state=seed)
    con.register_model("f", lambda batch: torch.from_numpy(soum(batch.numpy() > 0.5)))
    con.register_input("x", torch.ones(players))
    (answer,) = exact(con, "select * from f(x)")
    said = shapiq.game_theory.MoebiusConverter(soum.moebius_coefficients)("SV", 1)
    assert agree(answer.values, np.array([said[(player,)] for player in range(players)]))


# --- whole queries


@functools.cache
def case(kind: worlds.Kind, seed: int) -> worlds.Case:
    return worlds.case(kind, seed)


class Peer:
    """Maps of a world's models and inputs by one of the libraries."""

    def __init__(self, known: worlds.Case, values: Oracle) -> None:
        self.world, self.values = known.world, values

    def target(self, model: str, x: str) -> int:
        return int(self.world.nets[model].module(self.input(x)[None])[0].argmax())

    def input(self, name: str, index: int = 0) -> Tensor:
        return self.world.elements(name)[index]

    def map(
        self,
        x: str | Tensor,
        baseline: str | Tensor | None = None,
        *,
        target: int,
        model: str = "f",
        layer: int | None = None,
        window: str | None = None,
        output: str = "logit",
    ) -> Floats:
        """φ of the (truncated) model on x before a baseline (None: zeros), in a window by its name."""
        x = self.input(x) if isinstance(x, str) else x
        before = self.input(baseline) if isinstance(baseline, str) else baseline
        net = self.world.nets[model]
        cut = net.module if layer is None else Truncated(net.module, layer, net.heads[layer])
        inside = np.ones(x.shape, dtype=bool) if window is None else self.world.windows[window](x)
        labels = self.world.players[None](tuple(x.shape), inside)
        found = self.values(scores(cut, target, output), x, torch.zeros_like(x) if before is None else before, labels)
        return spread(found, labels)


KINDS: list[worlds.Kind] = ["image", "tabular", "tokens"]
FIRST = dict(zip(KINDS, ("captum", "shap", "shapiq"), strict=True))  # who is asked in the quick run about what


def asked(*cases: tuple[object, ...]) -> list[object]:
    """Cases of (kind, …, peer, seed) that are left to the long run, but those of one peer a kind and the first seed."""
    return [
        each if each[-2] == FIRST[each[0]] and each[-1] == 0 else pytest.param(*each, marks=pytest.mark.slow)  # type: ignore[index]
        for each in cases
    ]


every_kind_and_peer = pytest.mark.parametrize(
    ("kind", "peer", "seed"), asked(*itertools.product(KINDS, ORACLES, range(2)))
)


def check(kind: worlds.Kind, seed: int, text: str, *expected: Floats) -> None:
    answers = exact(case(kind, seed).con, text)
    assert len(answers) == len(expected)
    for answer, map_ in zip(answers, expected, strict=True):
        assert agree(answer.map, map_), answer.label


def peer_of(kind: worlds.Kind, seed: int, peer: str) -> Peer:
    return Peer(case(kind, seed), ORACLES[peer])


@every_kind_and_peer
@pytest.mark.parametrize("output", ["probability", "log_odds"])
def test_outputs(kind: worlds.Kind, seed: int, peer: str, output: str) -> None:
    by = peer_of(kind, seed, peer)
    check(
        kind, seed, f"select * from f(x, output => '{output}')", by.map("x", target=by.target("f", "x"), output=output)
    )


@every_kind_and_peer
def test_a_selection_is_a_peer_on_the_truncated_model(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    target = by.target("f", "x")
    check(
        kind,
        seed,
        "select 1, l, *, 4 from f(x)",
        *(by.map("x", target=target, layer=layer) for layer in (1, 2, None, 4)),
    )


@pytest.mark.parametrize(
    ("kind", "window", "peer", "seed"),
    asked(
        *(
            (kind, *rest)
            for kind in KINDS
            for rest in itertools.product([w for w in worlds.WINDOWS[kind] if w != "nothing"], ORACLES, range(2))
        )
    ),
)
def test_a_projection_is_a_peer_on_the_players_inside(kind: worlds.Kind, window: str, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    target = by.target("f", "x")
    check(kind, seed, f"select * from f(x) where {window}", by.map("x", target=target, window=window))


@every_kind_and_peer
def test_a_join_is_the_weighted_sum_of_a_peer_s_maps(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    one, other = (by.map(x, target=by.target("f", x)) for x in ("x", "x'"))
    check(kind, seed, "select * from f(x) join f(x') on weight = 0.3", 0.3 * one + 0.7 * other)


@every_kind_and_peer
def test_a_chain_with_a_collection_in_a_window_at_a_layer_is_the_mean(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    elements = by.world.elements("xs")
    there = {"layer": 2, "window": "w"}
    collection = [by.map(x, target=int(by.world.nets["f"].module(x[None])[0].argmax()), **there) for x in elements]
    parts = [np.mean(collection, axis=0), *(by.map(x, target=by.target("f", x), **there) for x in ("x", "y"))]
    check(kind, seed, "select l from f(xs) join f(x) join f(y) where w", np.mean(parts, axis=0))


@every_kind_and_peer
def test_an_anti_join_in_a_window_at_a_layer(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    sides = [by.map(x, other, target=by.target("f", x), layer=2, window="w") for x, other in (("x", "x'"), ("x'", "x"))]
    check(kind, seed, "select l from f(x) left join (select l from f(x')) where w", *sides)


@every_kind_and_peer
def test_an_anti_join_of_three_is_the_mean_over_the_others(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    names = ("x", "x'", "y")
    sides = [
        np.mean([by.map(x, other, target=by.target("f", x)) for other in names if other != x], axis=0) for x in names
    ]
    check(kind, seed, "select * from f(x) left join f(x') left join f(y)", *sides)


@every_kind_and_peer
def test_a_collection_in_an_anti_join_is_the_mean_over_its_elements(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    elements = by.world.elements("xs")
    own = [by.map(x, "y", target=int(by.world.nets["f"].module(x[None])[0].argmax())) for x in elements]
    other = [by.map("y", x, target=by.target("f", "y")) for x in elements]
    check(kind, seed, "select * from f(xs) left join f(y)", np.mean(own, axis=0), np.mean(other, axis=0))


@every_kind_and_peer
def test_two_models_are_compared_by_the_difference_of_their_maps(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    sides = []
    for own, other in (("f", "g"), ("g", "f")):
        target = by.target(own, "x")
        sides.append(by.map("x", target=target, model=own) - by.map("x", target=target, model=other))
    check(kind, seed, "select * from f(x) left join (select * from g(x))", *sides)


@every_kind_and_peer
def test_a_collection_of_baselines_is_the_mean_over_them(kind: worlds.Kind, seed: int, peer: str) -> None:
    by = peer_of(kind, seed, peer)
    target = by.target("f", "x")
    maps = [by.map("x", baseline, target=target) for baseline in by.world.elements("xs")]
    check(kind, seed, "select * from f(x, baseline => xs)", np.mean(maps, axis=0))


def test_what_the_peers_are_compared_on_is_not_what_the_other_tests_trust() -> None:
    """Three libraries and the enumeration of `oracle` agree among themselves, so none is wrong in the same way."""
    known = case("tabular", 0)
    x, labels = known.world.elements("x")[0], np.arange(5)
    score = scores(known.world.nets["f"].module, 0)
    said = [values(score, x, torch.zeros_like(x), labels) for values in ORACLES.values()]
    mine = oracle.attribution(lambda row: float(score(row[None])[0]), x, torch.zeros_like(x), labels)
    assert all(agree(each, mine) for each in said)
