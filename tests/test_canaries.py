"""Models that cannot be read whole say so, and a few remembered rows are evaluated anew before others are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError
from tests.changes import row

TEXT = "select * from f({}, target => 0) budget 200"


class Filed(nn.Module):
    """A linear model that is scaled by what stands in a file, and counts its rows beside itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        path.write_text("1.0")
        self.hidden = nn.Linear(10, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x))) * float(self.path.read_text())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "factor"


def session(model: Callable[[Tensor], object], version: str | None = None) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model, version=version)
    torch.manual_seed(1)
    con.register_input("x", torch.randn(10))
    con.register_input("y", torch.randn(10))
    return con


def made(path: Path) -> Filed:
    torch.manual_seed(0)
    return Filed(path)


def canaries(con: ialgebra.Session, text: str) -> list[str]:
    told = con.sql("explain analyze " + text).text
    assert told is not None
    return [line for line in told.splitlines() if line.startswith("canaries")]


def values(con: ialgebra.Session, text: str) -> list[list[float]]:
    return [each.values.tolist() for each in con.sql(text)]


def test_a_few_rows_are_evaluated_anew_and_the_others_are_found(path: Path) -> None:
    con = session(made(path))
    first = con.sql(TEXT.format("x"))
    assert first.stats.rows >= 200
    again = con.sql(TEXT.format("x"))
    assert again.stats.rows <= 6
    assert again.stats.reused_rows == 200
    assert again[0].values.tolist() == first[0].values.tolist()
    (line,) = canaries(con, TEXT.format("x"))
    assert "model 'f' answers as remembered" in line
    assert line.split()[-2:] == [str(again.stats.rows), "rows"]


def test_a_difference_forgets_all_rows_of_the_model_and_says_so(path: Path) -> None:
    model = made(path)
    con, text = session(model), TEXT.format("x")
    before = values(con, text)
    path.write_text("2.0")
    (line,) = canaries(con, text)
    assert "answers otherwise; all rows of it were forgotten" in line
    after = values(con, text)
    assert after == values(session(model), text)
    assert after != before


def test_a_query_that_shares_no_row_with_those_before_checks_them_too(path: Path) -> None:
    model = made(path)
    con = session(model)
    con.sql(TEXT.format("x"))
    path.write_text("2.0")
    con.sql(TEXT.format("y"))
    right = values(session(model), TEXT.format("x"))
    assert np.allclose(values(con, TEXT.format("x")), right, rtol=1e-5), "to rounding: batches are cut otherwise"


def test_the_maps_of_interpreters_are_forgotten_too(path: Path) -> None:
    pytest.importorskip("captum")
    model = made(path)
    con = session(model)
    text = "select * from f(x, target => 0) using captum.IntegratedGradients(n_steps => 4)"
    before = values(con, text)
    path.write_text("2.0")
    after = values(con, text)
    assert after == values(session(model), text)
    assert after != before


def test_the_rows_of_layers_are_checked(path: Path, tmp_path: Path) -> None:
    class Layered(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * float(path.read_text()))

    path.write_text("1.0")
    model, text = Layered(nn.Linear(10, 4), nn.ReLU(), nn.Linear(4, 2)), 'select "1" from f(x, target => 0) budget 200'
    con, other = session(model), session(model)
    con.fit_heads("f", torch.randn(40, 10), torch.arange(40) % 2)
    other.load_heads("f", con.save_heads("f", tmp_path / "heads"))
    before = values(con, text)
    assert "answers as remembered" in canaries(con, text)[0]
    path.write_text("2.0")
    after = values(con, text)
    assert after == values(other, text)
    assert after != before


def test_a_model_that_is_read_whole_has_no_canaries() -> None:
    con = session(nn.Linear(10, 2))
    con.sql(TEXT.format("x"))
    assert con.sql(TEXT.format("x")).stats.rows == 0
    assert canaries(con, TEXT.format("x")) == []


def test_describe_says_what_could_not_be_read(path: Path) -> None:
    model = made(path)
    told = session(model).sql("describe f").text
    assert told is not None
    assert "sameness: opaque: 'read_text' in 'Filed.forward' could not be read; a few remembered rows" in told
    told = session(model, "v3").sql("describe f").text
    assert told is not None
    assert "sameness: version 'v3', which is trusted for what could not be read ('read_text' in" in told
    told = session(nn.Linear(10, 2)).sql("describe f").text
    assert told is not None
    assert "sameness" not in told


def test_a_version_is_the_user_s_word(path: Path) -> None:
    model = made(path)
    con, text = session(model, "v1"), TEXT.format("x")
    before = values(con, text)
    assert con.sql(text).stats.rows == 0
    assert canaries(con, text) == []
    con.register_model("f", model, version="v1")
    assert con.sql(text).stats.rows == 1, "the row that tells its layers"
    path.write_text("2.0")
    con.register_model("f", model, version="v2")
    assert con.sql(text).stats.rows >= 200
    assert values(con, text) != before


@pytest.mark.parametrize("version", ["", 3, b"v"])
def test_a_version_is_a_text(version: object) -> None:
    with pytest.raises(BindError, match=r"version.* (must be a text|is ''; a text that is not empty is needed)"):
        session(nn.Linear(10, 2), version)  # type: ignore[arg-type]


def test_a_version_makes_another_model_of_one_that_is_read_whole() -> None:
    model = nn.Linear(10, 2)
    con = session(model)
    con.sql(TEXT.format("x"))
    con.register_model("f", model, version="v1")
    assert con.sql(TEXT.format("x")).stats.rows >= 200


def test_provenance_says_what_was_not_read_and_the_version(path: Path) -> None:
    told = session(made(path), "v3").sql(TEXT.format("x")).provenance["models"]
    assert isinstance(told, dict)
    assert told["f"]["version"] == "v3"
    assert told["f"]["unread"] == ["'read_text' in 'Filed.forward'"]
    other = session(made(path), "v4").sql(TEXT.format("x")).provenance["models"]
    assert isinstance(other, dict)
    assert other["f"]["content"] != told["f"]["content"]


@pytest.mark.filterwarnings("ignore")  # of random models
def test_a_random_model_is_told_apart_and_does_not_go_round_in_circles(path: Path) -> None:
    class Noisy(Filed):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.rand(len(x), 1)

    con, text = session(Noisy(path)), TEXT.format("x")
    rows = con.sql(text).stats.rows
    for _ in range(2):
        assert canaries(con, text) == [], "the engine met a row twice, and knows that it is random"
    assert con.sql(text).stats.rows <= rows


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_becomes_random_is_told_from_one_that_changed(path: Path) -> None:
    class Later(Filed):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + (torch.rand(len(x), 1) if float(self.path.read_text()) > 1 else 0)

    con, text = session(Later(path)), TEXT.format("x")
    con.sql(text)
    path.write_text("2.0")
    (line,) = canaries(con, text)
    assert "answers one row in two ways; all rows of it were forgotten" in line
    assert con.sql(text).stats.rows <= 220


def test_models_of_equal_words_that_cannot_be_read_share_no_rows() -> None:
    def stream(factor: float) -> Callable[[Tensor], Tensor]:
        factors = (factor for _ in iter(int, 1))
        return lambda x: row(x) * next(factors)

    con = session(stream(1.0))
    con.register_model("g", stream(2.0))
    one, other = values(con, TEXT.format("x")), values(con, TEXT.format("x").replace("f(", "g("))
    assert one != other
    assert values(con, TEXT.format("x")) == one
