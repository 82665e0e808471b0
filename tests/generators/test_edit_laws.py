"""The laws of edits, L19, L20 and L24: they hold of sound engines, and find defects; EXPLAIN says where L19 fired."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.algebra.sources import Source
from ialgebra.catalog import drawing
from ialgebra.catalog.drawing import Drawings, _Code
from ialgebra.generators import LinearGenerator
from ialgebra.generators.registered import RegisteredGenerator
from ialgebra.testing import check_laws

_LAWS = ["L19", "L20", "L24"]


class _Curved(nn.Module):
    """A generator that does not draw its inputs again: to edit twice is not to encode twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.levels, self.width = 3, 2
        self.inward, self.outward = nn.Linear(16, 6), nn.Linear(6, 16)

    def synthesis(self, codes: Tensor) -> Tensor:
        drawn: Tensor = torch.tanh(self.outward(codes.flatten(1))).reshape(-1, 1, 4, 4)
        return drawn

    def encode(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.inward(inputs.flatten(1)).reshape(-1, 3, 2)
        return found


@pytest.fixture
def con() -> Iterator[ialgebra.Session]:
    torch.manual_seed(0)
    xs = torch.randn(30, 1, 4, 4)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 3)))
        con.register_input("xs", xs)
        con.register_input("x", xs[3])
        con.register_input("y", xs[4])
        con.register_generator("G", _Curved(), collection="xs")
        con.register_generator("H", LinearGenerator.fit(xs, 5), collection="xs")
        con.sql("create axis one on G as score(f, 1); create axis two on G as pca(1); create axis three on H as pca(2)")
        yield con


def test_a_sound_engine_keeps_the_laws(con: ialgebra.Session) -> None:
    for each in check_laws(con, "f", ["x", "y"], _LAWS, examples=8, seed=1):
        assert each.passed, str(each)
        assert each.checked == 8


def _encoded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each edit is drawn and encoded anew."""
    sound = Drawings._codes

    def again(self: Drawings, source: Source, found: _Code, generator: RegisteredGenerator) -> _Code:
        if len(self.chain(source)) == 1:
            return found
        (drawn,) = generator.drawn(found.point[None])
        return replace(found, point=generator.codes([drawn.float()], [str(drawn.sum())])[0])

    def broken(self: Drawings, sources: Sequence[Source], generator: RegisteredGenerator) -> list[_Code]:
        found = sound(self, sources, generator)
        return [again(self, source, code, generator) for source, code in zip(sources, found, strict=True)]

    monkeypatch.setattr(Drawings, "_codes", broken)


def _moved_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moves along an axis are a hundredth too long."""
    sound = drawing._summed
    longer = lambda *given: {axis: 1.01 * amount for axis, amount in sound(*given).items()}  # noqa: E731
    monkeypatch.setattr(drawing, "_summed", longer)


def _lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the outermost edit is applied."""

    def broken(self: Drawings, sources: Sequence[Source], generator: RegisteredGenerator) -> Tensor:
        kept = [Source(each.name, each.index, (*self.base(each).edits, each.edits[-1])) for each in sources]
        return sound(self, kept, generator)

    sound = Drawings.codes
    monkeypatch.setattr(Drawings, "codes", broken)


@pytest.mark.parametrize("defect", [_encoded_twice, _moved_too_far, _lost])
def test_a_planted_defect_breaks_the_law(con: ialgebra.Session, defect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ialgebra.testing.check.SHRINKS", 2)
    defect(monkeypatch)
    (found,) = check_laws(con, "f", ["x", "y"], ["L19"], examples=30)
    assert found.passed is False
    assert "generator => " in str(found)


def test_a_map_that_loses_a_part_breaks_its_law(con: ialgebra.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ialgebra.testing.check.SHRINKS", 2)
    monkeypatch.setattr("ialgebra.planner.end_rows.EndRows._background", _of_zeros)
    (found,) = check_laws(con, "f", ["x", "y"], ["L24"], examples=30)
    assert found.passed is False


def _of_zeros(self: object, leaf: object, x: object) -> object:
    return type(x)(torch.zeros_like(x.tensor))  # type: ignore[attr-defined, call-arg]


def test_without_a_generator_they_are_not_applicable() -> None:
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Linear(4, 2))
        con.register_input("x", torch.randn(4))
        results = check_laws(con, "f", ["x"], _LAWS, examples=3)
        assert [each.passed for each in results] == [None, None, True]
        assert "no generator is registered" in results[0].reason


def test_explain_says_that_edits_were_made_one(con: ialgebra.Session) -> None:
    twice = "latent(latent(reconstruct(x, generator => G), 'one', 1, within => 1), 'two', 1, within => 1)"
    law = "edits of one generator are one: encoded once, moves added, drawn once (L19)"
    for query in (f"select * from f({twice})", f"predict f from {twice}"):
        assert f"{law}  × 2" in con.explain(query)
        assert [law, 2] in json.loads(con.sql(f"explain (format json) {query}").text)["laws"]
    once = "latent(clip(latent(x, 'one', 1, within => 1), -1, 1), 'two', 1, within => 1)"
    others = "latent(latent(x, 'one', 1, within => 1), 'three', 1, within => 1)"
    for each in (once, others):
        assert "L19" not in con.explain(f"select * from f({each})")
        assert "L19" not in con.explain(f"predict f from {each}")
