"""What is said and drawn of a dictionary: figures by NumPy, warnings, galleries of pictures, tables and texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, Session
from ialgebra.models import Network
from ialgebra.models.concepts import ConceptHead, Dictionary
from ialgebra.models.concepts.figures import ConceptFigures, ConceptFit
from ialgebra.models.concepts.maximising import maximised, typical
from ialgebra.models.concepts.measuring import figures_of
from ialgebra.results.concept_report import ConceptReport
from ialgebra.results.gallery import Gallery

pytest.importorskip("matplotlib")
CHANCE = torch.Generator().manual_seed(0)


class Corners(nn.Module):
    """Pictures (1, 16, 16) → the brightness of three quarters → two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.AvgPool2d(8)
        self.head = nn.Linear(4, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[3.0, -1.0, 0.0, 0.5], [-1.0, 3.0, 0.0, 0.5]]))
            self.head.bias.zero_()

    def concepts(self, x: Tensor) -> Tensor:
        found: Tensor = self.look(x).flatten(1)
        return found

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.concepts(x))
        return found


@pytest.fixture(scope="module")
def con() -> Iterator[Session]:
    corners = Corners().eval()
    with ialgebra.connect(progress=False) as session:
        session.register_model("f", corners, classes=["left", "right"])
        pictures = torch.rand(24, 4, 1, 1, generator=CHANCE).reshape(24, 1, 2, 2).repeat_interleave(8, 2)
        session.register_input("xs", pictures.repeat_interleave(8, 3))
        session.register_concepts("f", corners.concepts, ["nw", "ne", "sw", "se"], head=corners.head)
        yield session


def test_figures_are_those_of_ten_lines_of_numpy() -> None:
    torch.manual_seed(0)
    codes, weight, bias = torch.rand(50, 3), torch.randn(4, 3), torch.randn(4)
    codes[:, 2] = 0
    network = Network("f", nn.Linear(3, 4), classes=list("abcd"))
    network.probe(torch.zeros(3))
    dictionary = Dictionary(
        "concepts", "given", {"f": ()}, ("p", "q", "r"), nn.Identity(), {"f": ConceptHead(weight, bias)}
    )
    outputs, truth = torch.randn(50, 4), torch.randint(0, 4, (50,))
    fit = figures_of(dictionary, {"f": network}, codes, {"f": outputs}, truth, fitted=7).of("f")
    z, f = codes.double().numpy(), outputs.double().numpy()
    g = z @ weight.double().numpy().T + bias.double().numpy()
    c = f.argmax(1)
    assert fit.fidelity == pytest.approx(np.mean(g.argmax(1) == c))
    assert fit.majority == pytest.approx(np.bincount(c).max() / 50)
    assert fit.accuracy == pytest.approx(np.mean(g.argmax(1) == truth.numpy()))
    assert fit.own_accuracy == pytest.approx(np.mean(c == truth.numpy()))
    alpha = z * weight.double().numpy()[c]
    r = alpha / np.abs(alpha).max(1, keepdims=True)
    assert fit.conciseness == pytest.approx([(np.abs(r) > 1 / tau).sum(1).mean() for tau in (1.5, 2, 5)])
    expected = np.stack([r[c == k].mean(0) for k in range(4)])
    assert fit.relevance == pytest.approx(expected, abs=1e-5)
    used = np.abs(expected) > 0.2
    assert (fit.live, fit.used, fit.shared) == (2, used.any(0).sum(), (used.sum(0) > 1).sum())
    a, b = (each - each.mean(1, keepdims=True) for each in (g, f))
    assert fit.logits == pytest.approx(1 - ((a - b) ** 2).sum() / ((b - b.mean(0)) ** 2).sum(), rel=1e-5)


@pytest.mark.parametrize("outputs", ["one logit", "multilabel", "values", "probabilities"])
def test_a_surrogate_that_is_the_model_is_found_faithful_whatever_its_outputs_mean(outputs: str) -> None:
    torch.manual_seed(0)
    rows, classes = torch.randn(200, 4), 1 if outputs == "one logit" else 3
    names = ["no", "yes"] if outputs == "one logit" else None
    last: nn.Module = nn.Softmax(dim=1) if outputs == "probabilities" else nn.Identity()
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, classes), last).eval()
    with torch.no_grad():
        model[2].bias -= model[:3](rows).median(dim=0).values
    said = {"one logit": "auto"}.get(outputs, outputs)
    with ialgebra.connect() as con:
        con.register_model("f", model, classes=names, outputs=said)
        report = con.register_concepts("f", nn.Sequential(model[0], model[1]), inputs=rows)
        assert report is not None
        fit = report.figures.fits[0]
        assert fit.fidelity > 0.97
        assert fit.logits > 0.97
        assert fit.shuffled < (0 if outputs == "values" else min(fit.majority + 0.1, 0.95))
        assert fit.relevance.shape == (2 if outputs == "one logit" else classes, 5)
        assert str(report) in con.sql("describe concepts").text.replace("\n  ", "\n")
        report.plot()


def fit_of(**changed: object) -> ConceptFit:
    fit = ConceptFit(
        "f", ("a", "b", "c"), 0.98, 0.4, 0.35, 0.9, 0.92, 0.95, (1.2, 1.5, 3.0), 5, 5, 2, np.zeros((3, 5)), False
    )
    return replace(fit, **changed)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("changed", "stability", "words"),
    [
        ({}, 0.9, []),
        ({"used": 3, "shared": 0}, None, ["class detector"]),
        ({"used": 3, "shared": 1}, None, []),
        ({"live": 3}, None, ["2 of 5 attributes are dead"]),
        ({"fidelity": 0.6}, None, ["explains little"]),
        ({"logits": 0.3}, None, ["explains little"]),
        ({"shuffled": 0.6}, None, ["control does not fail"]),
        ({}, 0.5, ["unstable"]),
        (
            {"live": 0, "used": 0, "shared": 0, "fidelity": 0.4, "logits": 0.0},
            0.1,
            ["dead", "detector", "little", "unstable"],
        ),
    ],
)
def test_warnings_say_what_is_wrong_with_a_dictionary(
    changed: dict[str, object], stability: float | None, words: list[str]
) -> None:
    figures = ConceptFigures(
        "concepts", "nmf", "fc of f", tuple("pqrst"), 80, 20, (fit_of(**changed),), stability=stability
    )
    assert len(figures.warnings) == len(words)
    assert all(word in told for word, told in zip(words, figures.warnings, strict=True))
    assert str(figures).count("warning:") == len(words)
    assert not replace(figures, held_out=0).warnings


def test_a_dictionary_is_fitted_and_reported_kept_in_files_and_scripts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    rows = torch.randn(300, 6)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", model)
        con.register_input("xs", rows, labels=model(rows).argmax(dim=1).tolist())
        con.register_input("x", rows[0])
        for inputs in ("xs", rows, rows.numpy()[::-1], list(rows), rows.split(50), iter(rows)):
            report = con.fit_concepts("f", inputs, size=6, kind="nmf", seed=1)
            assert report.fidelity > 0.8
        report = con.fit_concepts("f", "xs", size=6, kind="nmf", seed=1, stability=1)
        assert report.figures.fits[0].own_accuracy == 1.0
        assert report.figures.stability is not None
        assert "stability" in str(report)
        assert "<td" in report._repr_html_()
        report.plot(tmp_path / "report.png")
        before = con.sql("select * from f.g(x, target => 1) using exact()")[0].values
        path = con.save_concepts("f", tmp_path / "concepts")
        con.load_concepts("f", path)
        assert np.array_equal(before, con.sql("select * from f.g(x, target => 1) using exact()")[0].values)
        with pytest.raises(BindError, match="leave module out"):
            con.load_concepts("f", path, module=model)
        with pytest.raises(BindError, match="numbers are needed"):
            con.fit_concepts("f", np.array([["a"] * 6] * 3, dtype=object))
        with pytest.raises(BindError, match="unknown input 'ys'"):
            con.fit_concepts("f", "ys")
        assert "fit concepts of f" in str(con.history)


def test_a_gallery_shows_what_activates_an_attribute_and_where(con: Session, tmp_path: Path) -> None:
    shown = con.gallery("f", attributes=["ne", "nw"])
    assert [row.name for row in shown] == ["ne", "nw"]
    row = shown["ne"]
    pictures = con.catalog().input("xs").elements
    order = sorted(range(24), key=lambda k: -float(pictures[k].tensor[0, 0, 15]))
    assert [each.name for each in row.most] == [f"xs[{k}]" for k in order[:4]]
    assert row.most[0].activation == pytest.approx(float(pictures[order[0]].tensor[0, 0, 15]))
    assert row.of == "right"
    assert {each.label for each in row.least} == {"right"}
    assert row.classes[0][0] == "right"
    where = row.where[0].map[0]
    assert where[:7, 9:].sum() > 0.6 * where.sum()  # players lie across the middle
    assert abs(where[9:, :7]).sum() < 0.02 * where.sum()
    assert row.maximum is not None
    began, ended = row.maximum.activations
    assert began < ended <= row.largest + 1e-6
    page = shown.save(tmp_path / "gallery.html").read_text()
    assert page.count("data:image/png") == 2
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    shown.plot(tmp_path / "gallery.png")
    assert "ne" in str(shown)
    con.picture("f", "sw", cls="left")
    assert not [step for step in con.history if "select" in step.text]  # its queries are no steps
    for wrong in ({"attributes": ["nee"]}, {"inputs": "ys"}, {"name": "motifs"}):
        with pytest.raises(BindError, match=r"did you mean|unknown|no concepts"):
            con.gallery("f", **wrong)  # type: ignore[arg-type]


def test_activation_is_raised_to_what_the_data_has_and_no_further(con: Session) -> None:
    network = con.catalog().model("f.concepts")
    dim = torch.full((1, 16, 16), 0.2)
    for most in (0.3, 0.6):
        found = maximised(network, 0, dim, 0.0, 1.0, most)
        assert found.activations[0] == pytest.approx(0.12)
        assert found.activations[0] < found.activations[1] <= most
        assert found.after[0, :8, :8].mean() > found.after[0, 8:, 8:].mean() + 0.05
    again = maximised(network, 0, dim, 0.0, 1.0, 0.6)
    assert torch.equal(again.after, found.after)
    with pytest.raises(BindError, match="above 0 for no input"):
        maximised(network, 0, dim, 0.0, 1.0, 0.0)
    with pytest.raises(ialgebra.ShapeError, match="not in inputs of shape"):
        maximised(network, 0, dim[0], 0.0, 1.0, 1.0)
    assert typical(torch.tensor([[0.0], [5.0], [4.0], [100.0]])) in (1, 2)


def test_tables_have_profiles_and_texts_have_words() -> None:
    torch.manual_seed(0)
    rows = torch.randn(100, 4)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Linear(4, 2))
        con.register_input("xs", rows, feature_names=["age", "income", "debt", "rooms"])
        con.register_concepts("f", lambda batch: batch[:, 1:3].relu(), ["rich", "owes"], head=nn.Linear(2, 2))
        row = con.gallery("f")["owes"]
        assert row.profile[0][0] == "debt"
        assert row.profile[0][1] > 1
        assert "debt" in con.gallery("f")._repr_html_()
        con.gallery("f").plot()

    words = ["a", "good", "bad", "film", "plot", "the"]

    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(6, 3)
            self.head = nn.Linear(3, 2)

        def forward(self, tokens: Tensor) -> Tensor:
            found: Tensor = self.head(self.embed(tokens).mean(dim=1))
            return found

    with ialgebra.connect(progress=False) as con:
        con.register_model("f", Bag())
        con.register_input("xs", torch.randint(0, 6, (30, 5)), kind="tokens", feature_names=words, baseline=0)
        con.register_concepts(
            "f", lambda tokens: (tokens == 1).float().sum(dim=1, keepdim=True), ["praise"], head=nn.Linear(1, 2)
        )
        row = con.gallery("f")["praise"]
        assert isinstance(con.gallery("f"), Gallery)
        assert row.words[0][0] == "good"
        assert "good" in con.gallery("f")._repr_html_()
        con.gallery("f").plot()


def test_a_report_is_nothing_but_its_figures() -> None:
    figures = ConceptFigures("c", "nmf", "fc of f", tuple("pqrst"), 80, 20, (fit_of(),))
    assert str(ConceptReport(figures)) == str(figures)
