"""What a generator does not draw: the map of it, the warnings, and the sentence about sweeps that tell nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, IalgebraWarning
from ialgebra.generators import LinearGenerator
from ialgebra.results.scores import Scores

_FIRST, _OTHERS = 5.0, 0.3


def _inputs() -> Tensor:
    """90 inputs (1, 3, 3) that differ in four pixels of large variance, and in a corner of small variance that tells
    nothing of these."""
    drawn = torch.randn(90, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    alone, _ = torch.linalg.qr(drawn - drawn.mean(dim=0))
    xs = torch.zeros(90, 1, 3, 3, dtype=torch.float64)
    xs[:, 0, 1:, 1:], xs[:, 0, 0, 0] = _FIRST * alone[:, :4].reshape(90, 2, 2), _OTHERS * alone[:, 4] + 0.1
    return xs


def _linear(*pixels: tuple[int, int]) -> nn.Module:
    """A model of two logits, (0, sum of these pixels)."""
    made = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double()
    with torch.no_grad():
        made[1].weight.zero_()
        made[1].bias.zero_()
        for row, col in pixels:
            made[1].weight[1, 3 * row + col] = 1
    return made


@pytest.fixture
def con() -> Iterator[ialgebra.Session]:
    xs = _inputs()
    with ialgebra.connect(progress=False) as con:
        con.register_model("corner", _linear((0, 0)), classes=["no", "yes"])
        con.register_model("middle", _linear((1, 1), (1, 2)), classes=["no", "yes"])
        con.register_input("xs", xs)
        con.register_input("x", xs[3])
        con.register_generator("G", LinearGenerator.fit(xs, 4), collection="xs")
        con.sql("create axis first on G as pca(1)")
        yield con


def test_a_map_against_its_own_drawing_shows_what_the_generator_does_not_draw(con: ialgebra.Session) -> None:
    """φ(x; G(E(x))) of a linear model is w (x − G(E(x))), of every element against its own drawing."""
    xs, made = _inputs(), con.catalog().generators["G"].generator
    assert isinstance(made, LinearGenerator)
    lost = (xs - made.synthesis(made.encode(xs))).numpy()
    query = "select * from corner({}, baseline => {}, players => pixels, target => 'yes')"
    answers = con.sql(query.format("xs", "reconstruct"))
    assert len(answers) == len(xs)
    for each, wanted in zip(answers, lost, strict=True):
        expected = np.zeros((1, 3, 3))
        expected[0, 0, 0] = wanted[0, 0, 0]
        np.testing.assert_allclose(each.map, expected, rtol=0, atol=1e-12)
    (one,) = con.sql(query.format("x", "reconstruct(generator => G)"))
    assert np.array_equal(one.map, answers[3].map)
    assert one.baseline == "reconstruct(generator => G)"
    (other,) = con.sql(query.format("x", "reconstruct(x)"))
    np.testing.assert_allclose(other.map, one.map, rtol=0, atol=1e-12)
    (edited,) = con.sql(query.format("latent(x, 'first', 1)", "reconstruct"))
    assert not edited.map.any()  # what is drawn is its own drawing
    con.sql("set baseline = reconstruct")
    (by_default,) = con.sql("select * from corner(x, players => pixels, target => 'yes')")
    assert np.array_equal(by_default.map, one.map)
    exactly = con.sql(query.format("xs", "reconstruct"), strategy="AS_WRITTEN")
    for each, same in zip(answers, exactly, strict=True):
        np.testing.assert_allclose(each.map, same.map, rtol=0, atol=1e-12)


def test_each_element_has_a_drawing_of_its_own(con: ialgebra.Session) -> None:
    """Of a generator that draws two directions the others are lost, of each element by an amount of its own."""
    made = LinearGenerator.fit(_inputs(), 2)
    con.register_generator("H", made, collection="xs")
    xs = _inputs()
    lost = (xs - made.synthesis(made.encode(xs))).numpy()
    query = "select * from middle(xs, baseline => reconstruct(generator => H), players => pixels, target => 'yes')"
    weight = np.zeros((1, 3, 3))
    weight[0, 1, 1:] = 1
    answers = con.sql(query)
    assert len({float(each.map.sum()) for each in answers}) == len(xs)
    for each, own in zip(answers, lost, strict=True):
        np.testing.assert_allclose(each.map, weight * own, rtol=0, atol=1e-9)


def test_what_cannot_be_drawn_against_is_refused(con: ialgebra.Session) -> None:
    con.register_input("small", torch.zeros(1, 2, 2, dtype=torch.float64))
    refused = {
        "corner(nullify(x, row < 1), baseline => reconstruct)": "no baseline of an edit",
        "corner(x, baseline => reconstruct(generator => H))": "unknown generator 'H'",
        "corner(x, baseline => reconstruct(keep => residual))": "has one option",
        "corner(small, baseline => reconstruct)": "no generator draws",
    }
    for text, words in refused.items():
        with pytest.raises(BindError, match=words) as caught:
            con.sql(f"select * from {text}")
        assert caught.value.span is not None, text


@pytest.mark.parametrize("how", ["set", "own"])
def test_a_default_that_is_drawn_is_drawn_anew(con: ialgebra.Session, how: str) -> None:
    if how == "set":
        con.sql("set baseline = reconstruct")
    con.register_input("z", _inputs()[5], baseline="reconstruct" if how == "own" else None)
    query = "select * from corner(z, players => pixels, target => 'yes')"
    before = con.sql(query)
    assert con.sql(query).digest == before.digest
    assert "generators" in before.provenance
    made = con.catalog().generators["G"].generator
    assert isinstance(made, LinearGenerator)
    with torch.no_grad():
        made.mean.add_(1.0)
    assert con.sql(query).digest != before.digest


def test_a_model_of_which_little_is_drawn_is_warned_of_once(con: ialgebra.Session) -> None:
    """No component holds the corner: nothing of that model's scores is left."""
    said = con.sql("describe G").text
    assert "model middle keeps 100% of the variance of its scores, predicts the same for 100%" in said
    assert "model corner keeps" in said
    line = next(each for each in said.splitlines() if "corner" in each)
    assert "most of what decides is not drawn" in line
    assert "baseline => reconstruct" in line
    with pytest.warns(IalgebraWarning, match=r"'corner' keeps \d+% of the variance .* generator 'G'"):
        answer = con.sql("predict corner, middle from latent(x, 'first', 1)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        con.sql("predict corner from latent(x, 'first', 2)")
        con.sql("select * from corner(latent(x, 'first', 2, keep => residual))")
        con.sql("predict middle from latent(x, 'first', 2)")
    assert answer.stats.rows == 2
    with torch.no_grad():
        con.catalog().generators["G"].generator.mean.add_(1.0)  # type: ignore[attr-defined]
    with pytest.warns(IalgebraWarning, match="'corner' keeps"):
        con.sql("select * from corner(latent(x, 'first', 2, keep => residual))")


def test_a_silent_sweep_says_that_it_tells_nothing(con: ialgebra.Session) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in ("x", "xs"):
            answer = con.sql(f"predict corner, middle from latent({text}, 'first', steps(-2, 2, 5))")
            assert isinstance(answer, Scores)
            assert len(answer.notes) == 1
            assert "corner does not move along 'first', but generator 'G' keeps only" in answer.notes[0]
            assert answer.notes[0] in answer.text
            assert answer[:0].stats == answer.stats
        alone = con.sql("predict corner from latent(x, 'first', 1)")
        assert isinstance(alone, Scores)
        assert alone.notes == ()


def test_what_cannot_be_measured_is_told_by_describe_alone(con: ialgebra.Session) -> None:
    def broken(batch: Tensor) -> Tensor:
        raise RuntimeError("no such inputs")

    con.register_model("broken", broken)
    con.register_model("still", _linear(), classes=["no", "yes"])
    said = con.sql("describe G").text
    assert "model broken cannot be asked: " in said
    assert "model still gives all of them the same scores" in said
    con.sql("predict still from latent(x, 'first', 1)")
