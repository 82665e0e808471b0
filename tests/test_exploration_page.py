"""Scores as one page of HTML: it holds what the models said and what they were given, and nothing else runs in it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.errors import BindError, IalgebraError
from ialgebra.generators import LinearGenerator
from ialgebra.results.scores import Scores
from tests import digits

pytest.importorskip("sklearn")

SWEEP = "predict f, g(output => probability), h(target => ('8', '3')) from latent({}, 'eight', steps(-3, 3, 7))"


@pytest.fixture(scope="module")
def con() -> Iterator[ialgebra.Session]:
    with digits.session() as con:
        yield con


def scores(con: ialgebra.Session, text: str) -> Scores:
    answer = con.sql(text)
    assert isinstance(answer, Scores)
    return answer


def parts(path: Path) -> tuple[dict[str, Any], str]:
    page = path.read_text()
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(data), page


def sheet(page: str) -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    (encoded,) = re.findall(r"data:image/png;base64,([^\"]+)", page)
    return np.asarray(image.open(io.BytesIO(base64.b64decode(encoded))))


def test_the_page_holds_what_the_models_said_of_each_step_and_input(con, tmp_path):
    answer = scores(con, SWEEP.format("xs") + " having index < 5")
    data, _ = parts(answer.export(tmp_path / "x.html"))
    assert data["answers"] == [{"query": answer.query, "inputs": [list(range(7 * k, 7 * k + 7)) for k in range(5)]}]
    assert [each["step"] for each in data["rows"]] == 5 * ["-3", "-2", "-1", "0", "1", "2", "3"]
    assert [each["input"] for each in data["rows"]] == list(answer.inputs)
    for told, known in zip(data["models"], answer.models, strict=True):
        assert told["name"] == known.model
        assert told["predicted"] == known.predicted_names()
        for row in range(answer.size):
            wanted = dict(zip(known.top[row].tolist(), known.top_scores[row], strict=True))
            wanted |= dict(zip(known.targets, known.target_scores[row], strict=True))
            for name, value in zip(told["classes"], told["scores"][row], strict=True):
                assert (value is None) == (int(name) not in wanted)
                assert value is None or value == pytest.approx(wanted[int(name)], rel=1e-3)
        assert told["low"] <= min(value for row in told["scores"] for value in row if value is not None)
    assert data["models"][2]["classes"] == ["8", "3"], "the classes that were asked for, in their order"


def test_the_pictures_are_what_the_models_were_given(con, tmp_path):
    answer = scores(con, SWEEP.format("x"))
    data, page = parts(answer.export(tmp_path / "x.html"))
    picture, across = sheet(page), data["across"]
    catalog = con.catalog()
    generator, axis = catalog.generator("G"), catalog.axis("eight")
    x = catalog.input("x").elements[0]
    (code,) = generator.codes([x.tensor], [x.digest])
    for number, row in enumerate(data["rows"]):
        drawn = generator.drawn((code + (number - 3) * axis.direction)[None])[0].float().numpy()[0]
        top, left = row["at"] // across * 8, row["at"] % across * 8
        cell = picture[top : top + 8, left : left + 8]
        assert (cell == cell[..., :1]).all()
        low, high = catalog.input("x").scale
        wanted = np.clip((drawn - low) / (high - low), 0, 1) * 255
        assert np.abs(cell[..., 0] - wanted).max() <= 0.51


def test_only_its_own_script_and_style_may_run_and_nothing_is_fetched(con, tmp_path):
    _, page = parts(scores(con, SWEEP.format("x")).export(tmp_path / "x.html"))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind, content in {
        "script-src": re.findall(r"<script>(.*?)</script>", page, re.DOTALL),
        "style-src": re.findall(r"<style>(.*?)</style>", page, re.DOTALL),
    }.items():
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert len(content) == 1
        assert rules[kind] == f"'sha256-{digest}'"
    assert "http" not in page.replace("http-equiv", "")
    assert len(re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]) < 2000


def test_names_are_text_and_no_more(tmp_path):
    evil = ["</script><script>alert(1)</script>", "<!--<script>", "a\u202eb", "\u2028"]
    with ialgebra.connect(progress=False) as con:
        name = "<img src=x onerror=alert(1)>"
        con.register_model(name, nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), classes=evil)
        con.register_input("x", torch.rand(1, 4, 4))
        path = scores(con, f'predict "{name}" from brightness(x, steps(0, .5, 3))').export(tmp_path / "x.html")
    data, page = parts(path)
    assert data["models"][0]["name"] == name
    assert "<img src=x" not in page
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert "<!--" not in page
    assert not set("\u202e\u2028") & set(page)


def test_answers_stand_on_one_page_and_products_are_capped(con, tmp_path):
    several = [
        scores(con, SWEEP.format(f"latent(x, '{digits.LIGHT.replace(chr(39), 2 * chr(39))}', {t})")) for t in (-1, 0, 1)
    ]
    data, _ = parts(several[0].export(tmp_path / "x.html", *several[1:]))
    assert [each["query"] for each in data["answers"]] == [each.query for each in several]
    assert [each["inputs"] for each in data["answers"]] == [[list(range(7 * k, 7 * k + 7))] for k in range(3)]
    large = scores(con, "predict f from latent(xs, 'eight', steps(-3, 3, 15))")
    with pytest.raises(
        BindError, match=r"holds 4,096 inputs at most, and these are 6,\d+; sliders in one another multiply"
    ):
        large.export(tmp_path / "y.html", large, several[0])
    assert not (tmp_path / "y.html").exists()


REFUSED = {
    "no inputs": ("predict f from xs having index < 0", "predict f from x", "an answer without inputs"),
    "other models": ("predict f from x", "predict g from x", "the same models"),
    "other scores": ("predict f from x", "predict f(output => probability) from x", "scores of one kind"),
    "other kinds": ("predict words from review", "predict words from review", None),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_fits_on_no_page_is_refused(con, tmp_path, which):
    one, other, said = REFUSED[which]
    answers = scores(con, one), scores(con, other)
    if said is None:
        data, _ = parts(answers[0].export(tmp_path / "x.html", answers[1]))
        assert data["lines"] == 2 * ["1, 3, 4, 5, 2, 6"]
        return
    with pytest.raises(BindError, match=said):
        answers[0].export(tmp_path / "x.html", answers[1])
    with pytest.raises(IalgebraError, match="cannot write the page"):
        scores(con, "predict f from x").export("/proc/no/x.html")


class Dimmed(nn.Module):
    """A generator whose weights are a network's."""

    levels, width = 1, 16

    def __init__(self) -> None:
        super().__init__()
        self.light = nn.Parameter(torch.ones(1))

    def synthesis(self, codes: torch.Tensor) -> torch.Tensor:
        return (self.light * codes.float()).reshape(-1, 1, 4, 4)

    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.reshape(-1, 1, 16)


def test_inputs_that_a_changed_generator_would_draw_otherwise_are_not_shown(tmp_path):
    with ialgebra.connect(progress=False) as con:
        xs, generator = torch.rand(20, 1, 4, 4), Dimmed()
        con.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))
        con.register_input("xs", xs)
        con.register_generator("G", generator, collection="xs")
        con.sql("create axis one on G as pca(1)")
        answer = scores(con, "predict f from latent(xs, 'one', steps(-1, 1, 3)) having index = 0")
        answer.export(tmp_path / "x.html")
        con.register_generator("G", LinearGenerator.fit(xs, 3), collection="xs")
        answer.export(tmp_path / "y.html")
        assert (tmp_path / "y.html").read_text() == (tmp_path / "x.html").read_text(), "as it was when it was asked"
        with torch.no_grad():
            generator.light.mul_(0.5)
        with pytest.raises(IalgebraError, match="what draws these inputs has changed"):
            answer.export(tmp_path / "z.html")


def test_curves_have_the_inputs_under_them(con):
    figure = scores(con, SWEEP.format("x")).plot()
    drawn = [axes for part in figure.subfigs for axes in part.get_axes() if axes.get_images()]
    assert [axes.get_title() for axes in drawn] == ["-3", "-2", "-1", "0", "1", "2", "3"]
    several = scores(con, SWEEP.format("xs") + " having index < 5").plot()
    assert sum(bool(axes.get_images()) for part in several.subfigs for axes in part.get_axes()) == 21
    alone = scores(con, "predict words from review").plot()
    assert not any(axes.get_images() for part in alone.subfigs for axes in part.get_axes())


def test_small_pictures_are_means_and_hold_every_pixel():
    from ialgebra.results.pixels import png, reduced

    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (40, 90, 3), dtype=np.uint8)
    small = reduced(rgb, 30)
    assert small.shape == (13, 30, 3)
    wanted = rgb[:, 3:6].astype(float)
    assert small[0, 1].tolist() == np.rint(wanted[0 : -(-40 // 13)].mean(axis=(0, 1))).tolist()
    assert reduced(rgb, 90) is rgb
    assert (np.asarray(image.open(io.BytesIO(png(rgb)))) == rgb).all()
