"""Files of concepts: what is saved comes back bit for bit, and what is foreign or damaged is refused by name."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, IalgebraError, Session, ShapeError
from ialgebra.models.concepts import Dictionary
from tests import mutated

NAMES = ("fur", "ears", "tail")
COUNT = 100
RAW = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, MemoryError, AssertionError)


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), nn.Sigmoid(), nn.Linear(3, 2)).eval()


class Own(nn.Module):
    """A module of somebody's own, with numbers of two types."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 3).double(), nn.BatchNorm1d(3).double()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(self.linear(x.double()))
        return found


@pytest.fixture
def con() -> Iterator[Session]:
    with ialgebra.connect(progress=False) as session:
        session.register_model("f", net())
        session.register_input("x", torch.tensor([1.0, -2.0, 0.5, 3.0]))
        yield session


def values(con: Session, model: str = "f.g") -> list[np.ndarray]:
    return [con.sql(f"select * from {model}(x, target => {k}) using exact()")[0].values for k in range(2)]


def same(one: Dictionary, other: Dictionary) -> bool:
    states = [each.encoder.state_dict() for each in (one, other)]
    return (
        (one.kind, one.names, dict(one.layers)) == (other.kind, other.names, dict(other.layers))
        and states[0].keys() == states[1].keys()
        and all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        and all(torch.equal(one.heads[key].weight, other.heads[key].weight) for key in one.heads)
        and all(torch.equal(one.heads[key].bias, other.heads[key].bias) for key in one.heads)
        and (one.directions is None) == (other.directions is None)
        and (one.directions is None or torch.equal(one.directions, other.directions))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("module", ["layer", "own", "function"])
def test_a_dictionary_comes_back_bit_for_bit(con: Session, tmp_path: Path, module: str) -> None:
    torch.manual_seed(1)
    own: dict[str, object] = {"layer": "2", "own": Own(), "function": lambda batch: batch[:, :3]}
    con.register_concepts("f", own[module], NAMES, head=nn.Linear(3, 2))
    before, kept = values(con), con.catalog().dictionary("f")
    path = con.save_concepts("f", tmp_path / "concepts.safetensors")
    brought = None if module == "layer" else Own() if module == "own" else own[module]
    with ialgebra.connect() as other:
        other.register_model("f", net())
        other.register_input("x", torch.tensor([1.0, -2.0, 0.5, 3.0]))
        other.load_concepts("f", path, module=brought)
        assert same(kept, other.catalog().dictionary("f"))
        assert all(map(np.array_equal, before, values(other)))
        other.load_concepts("f", path, module=brought, name="motifs")
        assert all(map(np.array_equal, before, values(other, "f.motifs.g")))
        other.load_concepts("f", other.save_concepts("f", tmp_path / "again"), module=brought)
        assert same(kept, other.catalog().dictionary("f"))


def test_a_module_that_is_missing_or_of_another_form_is_asked_for(con: Session, tmp_path: Path) -> None:
    con.register_concepts("f", Own(), NAMES, head=nn.Linear(3, 2))
    path = con.save_concepts("f", tmp_path / "own")
    with pytest.raises(BindError, match="give it, as in load_concepts"):
        con.load_concepts("f", path)
    with pytest.raises(BindError, match=r"its encoder (lacks|has) the tensor"):
        con.load_concepts("f", path, module=nn.Linear(4, 3))
    with pytest.raises(ShapeError, match="the module has"):
        con.load_concepts("f", path, module=Own().float())
    con.register_concepts("f", "3", NAMES)
    path = con.save_concepts("f", tmp_path / "layer")
    with pytest.raises(BindError, match="leave module out"):
        con.load_concepts("f", path, module=Own())


def test_weights_of_another_model_are_refused(con: Session, tmp_path: Path) -> None:
    con.register_concepts("f", "3", NAMES)
    path = con.save_concepts("f", tmp_path / "concepts")
    con.register_model("h", net(seed=1))
    con.register_model("k", net())
    with pytest.raises(BindError, match="made for other weights than those of model 'h'"):
        con.load_concepts("h", path)
    con.load_concepts("k", path)  # the same weights by another name
    assert con.catalog().dictionary("k").models == ("k",)
    with pytest.raises(BindError, match="no concepts called 'motifs'"):
        con.save_concepts("f", tmp_path / "concepts", name="motifs")
    for spoilt in (tmp_path / "none", tmp_path):
        with pytest.raises(BindError, match=r"cannot read concepts|is no file of concepts"):
            con.load_concepts("f", spoilt)
    con.fit_heads("f", torch.randn(20, 4))
    with pytest.raises(BindError, match="is no file of concepts"):
        con.load_concepts("f", con.save_heads("f", tmp_path / "heads"))


def test_the_report_comes_back_with_its_dictionary(con: Session, tmp_path: Path) -> None:
    rows = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    labels = [int(row[0] > 0) for row in rows]
    for given, name in ((labels, "known"), (None, "unknown")):
        made = con.fit_concepts("f", rows, given, size=3, kind="nmf", name=name, stability=1)
        path = con.save_concepts("f", tmp_path / name, name)
        con.register_model("k", net())
        back = con.load_concepts("k", path)
        assert back is not None
        kept, found = made.figures, back.figures
        assert str(back) == str(made).replace(" of f", " of k")
        assert repr(found.fits[0]).replace("'k'", "'f'") == repr(kept.fits[0])
        assert np.array_equal(found.fits[0].relevance, kept.fits[0].relevance, equal_nan=True)
        assert (found.seconds, found.stability, found.reconstruction) == (
            *(kept.seconds, kept.stability, kept.reconstruction),
        )
        assert "fidelity" in str(con.sql(f"describe k.{name}"))
    con.register_concepts("f", "3", NAMES)
    assert con.load_concepts("f", con.save_concepts("f", tmp_path / "own")) is None


def test_a_file_of_the_first_version_is_read_without_figures(con: Session, tmp_path: Path) -> None:
    rows = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    con.fit_concepts("f", rows, size=3, kind="flint")
    kept = con.catalog().dictionary("f")
    stored = mutated.Stored.of(con.save_concepts("f", tmp_path / "new").read_bytes())
    document = json.loads(stored.metadata["concepts"])
    del document["figures"]
    for arm in document["encoder"]["arms"]:
        assert arm.pop("leak") == 0.02
    stored.metadata |= {"concepts": json.dumps(document), "format": "ialgebra concepts 1"}
    mutated.concepts_digest(stored)
    path = tmp_path / "old"
    path.write_bytes(stored.bytes())
    assert con.load_concepts("f", path) is None
    found = con.catalog().dictionary("f")
    assert same(kept, found)
    assert found.figures is None
    (arm,) = found.encoder.arms
    assert arm.leak == 0  # as arms were then


@pytest.mark.parametrize("kind", ["given", "nmf"])
def test_a_mutated_file_of_concepts_is_refused_by_name_or_read_rightly(
    con: Session, tmp_path: Path, kind: Literal["given", "nmf"]
) -> None:
    if kind == "given":
        con.register_concepts("f", "3", NAMES)
    else:
        rows = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        con.fit_concepts("f", rows, size=3, kind=kind)
    content = con.save_concepts("f", tmp_path / "good").read_bytes()
    before, kept = values(con), con.catalog().dictionary("f")
    path, refused, unnamed = tmp_path / "mutated", 0, 0
    for what, spoilt in mutated.files(content, mutated.CONCEPTS, COUNT, seed=COUNT):
        path.write_bytes(spoilt)
        try:
            con.load_concepts("f", path, name="concepts")
        except IalgebraError as error:
            refused += 1
            unnamed += str(path) not in error.message
            assert con.catalog().dictionary("f") is kept, what
            continue
        except RAW as error:
            raise AssertionError(f"{what}: {error!r}") from error
        found = con.catalog().dictionary("f")
        if what.startswith(("cut", "bits", "header version", "longer")):
            assert same(found, kept), what
            assert all(map(np.array_equal, before, values(con))), what
        assert all(np.isfinite(each).all() for each in values(con)), what
        con.save_concepts("f", tmp_path / "again")
        con.load_concepts("f", tmp_path / "again")
        assert same(found, con.catalog().dictionary("f")), what
        con.load_concepts("f", tmp_path / "good")
        kept = con.catalog().dictionary("f")
    assert refused > COUNT / 2
    assert unnamed < COUNT / 20  # other names of models and dictionaries are refused by name


def test_a_script_registers_the_same_concepts_again(con: Session, tmp_path: Path) -> None:
    torch.manual_seed(1)
    con.register_concepts("f", "3", NAMES)
    con.register_concepts("f", Own(), NAMES, head=nn.Linear(3, 2), name="motifs")
    con.register_input("xs", torch.stack([torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.zeros(4)]))
    con.gallery("f", "xs")  # no step, so that no later step may find its rows
    answers = [con.sql("select * from f.g(x)"), con.sql("select * from f.motifs(x, target => 'ears')")]
    path = con.history.export(tmp_path / "analysis.py")
    given = con.registered()["models"]
    assert set(given) == {"f", "f.motifs"}
    again = list(runpy.run_path(str(path))["analysis"](given))
    for one, two in zip(answers, again, strict=True):
        assert one.stats.rows == two.stats.rows
        assert np.array_equal(one[0].values, two[0].values)
