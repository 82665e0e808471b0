"""Dictionaries are found again where they were planted, are repeatable, and learn from no input that is held out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, ShapeError
from ialgebra.models import Network
from ialgebra.models.concepts import Dictionary, Fitted, activations_of, by_design, fit, learning, surrogate_of
from ialgebra.models.concepts.encoders import NonnegativeEncoder, SparseEncoder, built, described, places_last
from ialgebra.models.concepts.factors import SparseCoder, nmf, nonnegative_codes, top_codes
from ialgebra.models.concepts.metrics import matched_correlation

PLANTED = 5


def planted(rows: int = 600, features: int = 12, size: int = PLANTED, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (N, F) = sparse codes (N, J) · directions (J, F), all nonnegative."""
    rng = np.random.default_rng(seed)
    directions = rng.exponential(size=(size, features)) * (rng.random((size, features)) < 0.5) + 0.05
    codes = rng.exponential(size=(rows, size)) * (rng.random((rows, size)) < 0.4)
    return tuple(torch.from_numpy(each).float() for each in (codes @ directions, codes, directions))


class Reader(nn.Module):
    """A net whose hidden layer is its input, above 0."""

    def __init__(self, features: int = 12, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, features, bias=False), nn.ReLU(), nn.Linear(features, classes))
        with torch.no_grad():
            self.body[0].weight.copy_(torch.eye(features))
            last = self.body[2]
            last.weight -= last.weight.mean(dim=0)  # each class is predicted of some
            last.bias.copy_(-last.weight @ planted()[0].mean(dim=0))

    def forward(self, batch: Tensor) -> Tensor:
        return self.body(batch)


def network(name: str = "f", seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network(name, Reader(), classes=["cat", "dog", "owl"])


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """FLINT is trained for fewer steps than usual: these nets are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_WARM_STEPS", 60)
        patch.setattr(learning, "_STEPS", 120)
        yield


@pytest.fixture(scope="module")
def fitted() -> tuple[Network, Dictionary, Fitted]:
    net = network()
    return net, *fit({"f": net}, planted()[0], size=PLANTED, kind="nmf")


def test_nmf_finds_a_planted_dictionary(fitted: tuple[Network, Dictionary, Fitted]) -> None:
    _, dictionary, seen = fitted
    _, codes, directions = planted()
    assert dictionary.directions is not None
    assert matched_correlation(dictionary.directions.T, directions.T) > 0.95
    assert matched_correlation(seen.codes, codes[seen.held_out]) > 0.95
    assert seen.reconstruction > 0.99


def test_nmf_is_as_near_as_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    rows = torch.from_numpy(np.random.default_rng(1).exponential(size=(200, 10)))
    directions, codes = nmf(rows, 4)
    theirs = decomposition.NMF(4, init="nndsvda", max_iter=2000, tol=1e-8).fit(rows.numpy())
    ours = float((rows - codes @ directions).norm())
    assert ours <= theirs.reconstruction_err_ * 1.001
    assert float(directions.min()) >= 0
    assert float(codes.min()) >= 0


def test_codes_are_nonnegative_least_squares() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(2)
    directions, rows = rng.exponential(size=(4, 7)), rng.exponential(size=(20, 7))
    expected = np.array([optimize.nnls(directions.T, row)[0] for row in rows])
    found = nonnegative_codes(torch.from_numpy(rows), torch.from_numpy(directions))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_more_directions_than_features_are_found_without_failing() -> None:
    directions, codes = nmf(planted(50, features=3, size=2)[0], 6, seed=1)
    assert directions.shape == (6, 3)
    assert bool(torch.isfinite(directions).all() & torch.isfinite(codes).all())


def test_fitting_again_gives_the_same_bits(fitted: tuple[Network, Dictionary, Fitted]) -> None:
    _, first, seen = fitted
    again, seen_again = fit({"f": network()}, planted()[0], size=PLANTED, kind="nmf")
    for name, value in first.encoder.state_dict().items():
        assert torch.equal(value, again.encoder.state_dict()[name])
    assert torch.equal(first.heads["f"].weight, again.heads["f"].weight)
    assert torch.equal(seen.codes, seen_again.codes)


def test_what_is_held_out_is_not_learned_from(fitted: tuple[Network, Dictionary, Fitted]) -> None:
    _, first, seen = fitted
    rows = planted()[0].clone()
    rows[seen.held_out] = 7.0
    second, _ = fit({"f": network()}, rows, size=PLANTED, kind="nmf")
    assert torch.equal(first.directions, second.directions)
    assert torch.equal(first.heads["f"].weight, second.heads["f"].weight)
    assert seen.rows + len(seen.held_out) == len(rows)


def test_what_fitting_saw_is_what_the_derived_models_say(fitted: tuple[Network, Dictionary, Fitted]) -> None:
    net, dictionary, seen = fitted
    x = planted()[0][seen.held_out]
    attributes = activations_of("f", {"f": net}, dictionary).forward(x, [None])[None]
    torch.testing.assert_close(attributes, seen.codes, atol=1e-5, rtol=1e-4)
    g = surrogate_of("f", {"f": net}, dictionary).forward(x, [None])[None]
    torch.testing.assert_close(g, seen.surrogates["f"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(net.forward(x, [None])[None], seen.outputs["f"], atol=1e-5, rtol=1e-5)
    assert float((g.argmax(1) == seen.outputs["f"].argmax(1)).float().mean()) > 0.95


def test_hidden_outputs_that_do_not_fit_are_read_again(fitted: tuple[Network, Dictionary, Fitted]) -> None:
    _, first, _ = fitted
    second, _ = fit({"f": network()}, planted()[0], size=PLANTED, kind="nmf", at_most=10)
    torch.testing.assert_close(first.directions, second.directions, atol=1e-4, rtol=1e-4)


def test_codes_at_positions_rebuild_a_layer_with_positions() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    net = Network("f", model)
    dictionary, seen = fit({"f": net}, torch.rand(60, 1, 4, 4), layers=[2], size=3, kind="nmf")
    hidden = model[:2](torch.rand(5, 1, 4, 4)).detach()
    encoder = dictionary.encoder
    assert isinstance(encoder, NonnegativeEncoder)
    maps = encoder.maps(hidden)
    assert maps.shape == (5, 3, 16)
    torch.testing.assert_close(encoder(hidden), maps.mean(dim=2))
    rebuilt = torch.einsum("bjp,jf->bfp", maps, dictionary.directions).reshape(5, 3, 4, 4)
    assert float((rebuilt - hidden).norm() / hidden.norm()) < 0.2
    assert seen.reconstruction > 0.9


def test_negative_outputs_are_split_into_two_parts() -> None:
    torch.manual_seed(0)
    net = Network("f", nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)))
    dictionary, seen = fit({"f": net}, torch.randn(300, 6), size=16, kind="nmf")
    assert float(dictionary.directions.min()) < 0
    assert seen.reconstruction > 0.9


def test_a_form_builds_the_same_encoder(fitted: tuple[Network, Dictionary, Fitted]) -> None:
    encoder = fitted[1].encoder
    again = built(described(encoder))
    again.load_state_dict(encoder.state_dict())
    x = planted()[0][:9]
    assert torch.equal(again(x), encoder(x))


def test_positions_come_last_in_row_major_order() -> None:
    value = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert torch.equal(places_last(value, (2, 3)), value.reshape(2, 3, 20))
    assert torch.equal(places_last(value, (1, 2)), value.reshape(2, 12, 5).transpose(1, 2))
    assert places_last(value, ()).shape == (2, 60, 1)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"kind": "pca"}, BindError, "kind is 'pca'"),
        ({"size": 0}, BindError, "size is 0"),
        ({"holdout": 1.0}, BindError, "holdout is 1.0"),
        ({"seed": -1}, BindError, "seed is -1"),
        ({"layers": ["nowhere"]}, BindError, "no layer 'nowhere'"),
        ({"layers": [1, 2]}, BindError, "the directions of one layer"),
        ({"layers": {"h": [1]}}, BindError, "model 'h'"),
        ({"labels": [0, 1]}, ShapeError, "2 labels were given for 600 inputs"),
        ({"inputs": torch.rand(1, 12)}, BindError, "at least 2 inputs"),
        ({"inputs": [torch.rand(3, 12), torch.rand(3, 11)]}, ShapeError, "differ in shape"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_a_sentence(given: dict, error: type[Exception], words: str) -> None:
    rows = given.pop("inputs", planted()[0])
    with pytest.raises(error, match=words):
        fit({"f": network()}, rows, **({"kind": "nmf", "size": 3} | given))


@pytest.fixture(scope="module")
def flint() -> tuple[Network, Dictionary, Fitted]:
    net = network()
    return net, *fit({"f": net}, planted()[0], size=8)


def test_flint_is_faithful_and_rebuilds_inputs(flint: tuple[Network, Dictionary, Fitted]) -> None:
    _, dictionary, seen = flint
    f, g = seen.outputs["f"].argmax(1), seen.surrogates["f"].argmax(1)
    assert float((f == g).float().mean()) > 0.95
    assert seen.reconstruction > 0.8
    assert seen.rebuilt == "the input"
    assert float(seen.codes.min()) >= 0
    assert dictionary.directions is None


def test_a_head_without_its_own_attributes_is_not_faithful(flint: tuple[Network, Dictionary, Fitted]) -> None:
    _, dictionary, seen = flint
    order = torch.randperm(len(seen.codes), generator=torch.Generator().manual_seed(0))
    f, g = seen.outputs["f"].argmax(1), dictionary.heads["f"](seen.codes[order]).argmax(1)
    assert float((f == g).float().mean()) < 0.6


def test_flint_fits_again_to_the_same_bits(flint: tuple[Network, Dictionary, Fitted]) -> None:
    again, seen = fit({"f": network()}, planted()[0], size=8)
    assert torch.equal(flint[2].codes, seen.codes)
    assert torch.equal(flint[1].heads["f"].weight, again.heads["f"].weight)
    for name, value in flint[1].encoder.state_dict().items():
        assert torch.equal(value, again.encoder.state_dict()[name])


def test_ctrl_c_keeps_the_best_so_far(flint: tuple[Network, Dictionary, Fitted]) -> None:
    def progress(what: str, done: int, total: int) -> None:
        if what == "flint" and done > total // 2:
            raise KeyboardInterrupt

    net = network()
    dictionary, seen = fit({"f": net}, planted()[0], size=8, progress=progress)
    f, g = seen.outputs["f"].argmax(1), seen.surrogates["f"].argmax(1)
    assert seen.interrupted
    assert not flint[2].interrupted
    assert float((f == g).float().mean()) > 0.9
    again = activations_of("f", {"f": net}, dictionary).forward(planted()[0][seen.held_out], [None])[None]
    torch.testing.assert_close(again, seen.codes, atol=1e-4, rtol=1e-4)


class Words(nn.Module):
    """A net of word ids: a convolution over positions and the largest of them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.conv = nn.Conv1d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.conv(self.embed(ids).transpose(1, 2)).relu().amax(dim=2))


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 9), nn.ReLU(), nn.Linear(9, 3)),
         torch.rand(120, 1, 8, 8)),
        (nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)),
         torch.rand(120, 2, 40)),
        (nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)), torch.rand(120, 1, 6, 6, 6)),
        (Words(), torch.randint(0, 20, (120, 9))),
        (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), torch.randn(120, 4)),
        (lambda batch: torch.stack([batch[:, 0], batch[:, 1]], dim=1), torch.randn(120, 5)),
    ],
    ids=["image", "series", "volume", "words", "regression", "callable"],
)  # fmt: skip
def test_any_architecture_gets_arms_by_the_shape_of_its_layers(model: object, inputs: Tensor) -> None:
    net = Network("f", model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_WARM_STEPS", 4)
        patch.setattr(learning, "_STEPS", 4)
        dictionary, seen = fit({"f": net}, inputs, size=4)
    again = activations_of("f", {"f": net}, dictionary).forward(inputs[seen.held_out], [None])[None]
    torch.testing.assert_close(again, seen.codes, atol=1e-4, rtol=1e-4)
    encoder = built(described(dictionary.encoder))
    encoder.load_state_dict(dictionary.encoder.state_dict())
    assert seen.surrogates["f"].shape == seen.outputs["f"].shape


def test_two_models_have_one_dictionary_and_a_head_each() -> None:
    nets = {"f": network("f", 0), "h": network("h", 1)}
    dictionary, seen = fit(nets, planted()[0], size=8)
    assert dictionary.models == ("f", "h")
    for name, net in nets.items():
        f, g = seen.outputs[name].argmax(1), seen.surrogates[name].argmax(1)
        assert float((f == g).float().mean()) > 0.9
        again = surrogate_of(name, nets, dictionary).forward(planted()[0][seen.held_out], [None])[None]
        torch.testing.assert_close(again, seen.surrogates[name], atol=1e-3, rtol=1e-3)
        assert torch.equal(net.forward(planted()[0][seen.held_out], [None])[None].argmax(1), f)


def test_a_sparse_autoencoder_finds_a_planted_dictionary() -> None:
    rows, _, directions = planted()
    dictionary, seen = fit({"f": network()}, rows, size=PLANTED, kind="sae")
    encoder = dictionary.encoder
    assert isinstance(encoder, SparseEncoder)
    assert matched_correlation(dictionary.directions.T, directions.T) > 0.95
    active = (encoder(rows) > 0).sum(dim=1)
    assert int(active.max()) <= encoder.active < PLANTED
    again, seen_again = fit({"f": network()}, rows, size=PLANTED, kind="sae")
    assert torch.equal(dictionary.directions, again.directions)
    assert torch.equal(seen.codes, seen_again.codes)


def test_the_largest_codes_stay() -> None:
    one = torch.eye(4)
    coder = SparseCoder(one, torch.zeros(4), one, torch.zeros(4))
    found = top_codes(torch.tensor([[1.0, 3, 2, -5], [-1, -2, -3, 0.5]]), coder, 2)
    assert torch.equal(found, torch.tensor([[0.0, 3, 2, 0], [0, 0, 0, 0.5]]))


def test_learning_by_design_trains_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_design, "_RATE_OF_MODEL", 5e-3)
    monkeypatch.setattr(by_design, "_RATE_OF_INTERPRETER", 5e-3)
    rows, codes, _ = planted()
    torch.manual_seed(0)
    module = Reader()
    labels = codes[:, :3].argmax(dim=1)
    known = float((module(rows).argmax(dim=1) == labels).float().mean())
    module.body[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    learned = ialgebra.learn(module, rows, labels, size=8, classes=["cat", "dog", "owl"], epochs=30)
    assert learned.model is module
    assert any(not torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not module.body[0].weight.requires_grad
    assert all(each.grad is None for each in module.parameters())
    assert module.training
    with torch.no_grad():
        assert float((module(rows).argmax(dim=1) == labels).float().mean()) > known + 0.05
    figures = learned.report.figures.fits[0]
    assert figures.fidelity > figures.shuffled + 0.1
    con = ialgebra.connect()
    con.register_model("h", module, classes=["cat", "dog", "owl"])
    con.register_input("x", rows[0])
    con.register_concepts("h", learned.dictionary)
    answer = con.sql("select * from h(x, players => concepts)")[0]
    assert len(answer.values) == 8


def test_learning_by_design_again_gives_the_same_bits() -> None:
    rows, found = planted()[0], []
    for _ in range(2):
        torch.manual_seed(0)
        module = Reader()
        learned = ialgebra.learn(module, rows, module(rows).argmax(dim=1), size=4, epochs=1)
        found.append({**module.state_dict(), **learned.dictionary.encoder.state_dict()})
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "labels are needed"),
        ({"labels": [0, 1, 2], "inputs": "xs"}, "inputs"),
        ({"labels": [0], "size": 0}, "size"),
    ],
)
def test_what_cannot_be_learned_by_design_is_refused(given: dict, words: str) -> None:
    with pytest.raises(BindError, match=words):
        ialgebra.learn(Reader(), **({"inputs": planted()[0]} | given))
