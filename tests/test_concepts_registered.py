"""Concepts that people bring: what they are registered as, which models they give, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, IalgebraWarning, Session, ShapeError
from ialgebra.models.concepts import DerivedNetwork


class _Bottleneck(nn.Module):
    """x (4,) → concepts (3,) → logits (2,)."""

    def __init__(self) -> None:
        super().__init__()
        self.concepts = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), nn.Sigmoid())
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.concepts(x))
        return out


@pytest.fixture
def model() -> _Bottleneck:
    torch.manual_seed(0)
    return _Bottleneck().eval()


@pytest.fixture
def con(model: _Bottleneck) -> Any:
    with ialgebra.connect() as session:
        session.register_model("f", model, classes=["cat", "dog"])
        session.register_input("x", torch.tensor([1.0, -2.0, 0.5, 3.0]))
        yield session


NAMES = ("fur", "ears", "tail")


def _scores(con: Session, model: str, classes: int) -> list[float]:
    found = [con.sql(f"select * from {model}(x, target => {k}) using exact()")[0].full_value for k in range(classes)]
    return [float(each) for each in found]


@pytest.mark.parametrize("place", ["module", "path", "function", "copy"])
def test_a_bottleneck_is_registered_as_it_is_given(con: Session, model: _Bottleneck, place: str) -> None:
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    given: dict[str, object] = {
        "module": model.concepts,
        "path": "concepts",
        "function": lambda batch: torch.sigmoid(batch[:, :3]),
        "copy": nn.Sequential(*model.concepts),
    }
    con.register_concepts("f", given[place], NAMES, head=model.head)
    wanted = torch.sigmoid(x[:, :3]) if place == "function" else model.concepts(x)
    assert _scores(con, "f.concepts", 3) == pytest.approx(wanted[0].tolist(), rel=1e-6)
    assert _scores(con, "f.g", 2) == pytest.approx(model.head(wanted)[0].tolist(), rel=1e-6)
    answer = con.sql("select * from f.concepts(x, target => 'ears') using exact()")[0]
    assert answer.target == 1
    assert answer.map.sum() == pytest.approx(answer.full_value - answer.base_value)


def test_a_layer_is_read_by_name_or_index_and_averaged_over_its_places() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    x = torch.rand(1, 5, 5)
    with ialgebra.connect() as con:
        con.register_model("f", net)
        con.register_input("x", x)
        con.register_concepts("f", 2)  # the head is found: the mean of layer 2 is what the last layer reads
        mean = net[1](net[0](x.unsqueeze(0))).mean(dim=(2, 3))[0]
        assert _scores(con, "f.concepts", 3) == pytest.approx(mean.tolist(), rel=1e-5)
        assert _scores(con, "f.g", 2) == pytest.approx(net(x.unsqueeze(0))[0].tolist(), rel=1e-4)
        con.register_concepts("f", "1", head=net[4], name="motifs")
        assert _scores(con, "f.motifs.g", 2) == pytest.approx(net(x.unsqueeze(0))[0].tolist(), rel=1e-4)


def test_a_head_is_found_in_the_model_given_as_numbers_or_fitted(con: Session, model: _Bottleneck) -> None:
    con.register_concepts("f", model.concepts, NAMES)
    assert torch.equal(con.catalog().dictionary("f").heads["f"].weight, model.head.weight)
    weight = np.array([[1.0, 0, 0], [0, 1, 2]])
    con.register_concepts("f", model.concepts, NAMES, head=(weight, [0.5, 0.25]))
    with torch.no_grad():
        z = model.concepts(torch.tensor([[1.0, -2.0, 0.5, 3.0]]))[0].tolist()
    assert _scores(con, "f.g", 2) == pytest.approx([z[0] + 0.5, z[1] + 2 * z[2] + 0.25], rel=1e-6)
    rows = torch.randn(400, 4, generator=torch.Generator().manual_seed(1))
    con.register_input("xs", rows)
    for inputs in (rows, list(rows), iter(rows), rows.split(64), "xs"):
        con.register_concepts("f", model.concepts, NAMES, inputs=inputs)
        fitted = con.catalog().dictionary("f").heads["f"]
        with torch.no_grad():
            codes = model.concepts(rows)
            assert float((fitted(codes).argmax(1) == model(rows).argmax(1)).float().mean()) > 0.98
    con.register_concepts("f", model.concepts, NAMES, inputs=rows, labels=(rows[:, 0] > 0).long())
    by_labels = con.catalog().dictionary("f").heads["f"]
    assert not torch.allclose(by_labels.weight, fitted.weight)


def test_what_does_not_fit_is_refused_and_nothing_is_registered(con: Session, model: _Bottleneck) -> None:
    mistakes: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ShapeError, "3 attributes and 2 names", {"names": ["a", "b"]}),
        (BindError, "a name of its own", {"names": ["a", "a", "b"]}),
        (ShapeError, "do not fit 3 attributes and 2 outputs", {"head": nn.Linear(4, 2)}),
        (ShapeError, "do not fit", {"head": (torch.zeros(2, 3), torch.zeros(3))}),
        (BindError, "is a nn.Linear", {"head": (1, 2, 3)}),
        (BindError, "finite", {"head": (torch.full((2, 3), torch.nan), torch.zeros(2))}),
        (BindError, "cannot name a dictionary", {"name": "g"}),
        (BindError, "a dot", {"name": "a.b"}),
        (BindError, "must be a module", {"module": 3.5}),
        (BindError, "no layer 'concept'; did you mean 'concepts'", {"module": "concept"}),
        (BindError, "no layer 9", {"module": 9}),
        (BindError, "cannot be the model itself", {"module": model}),
        (BindError, "no linear map", {"module": lambda batch: batch[:, :3]}),
        (BindError, "unknown model 'h'", {"model": "h"}),
        (ialgebra.ModelError, "cannot be read", {"module": lambda batch: batch.nothing}),
    ]
    for kind, words, given in mistakes:
        with pytest.raises(kind, match=words):
            con.register_concepts(**({"model": "f", "module": model.concepts, "names": NAMES} | given))
    assert con.sql("show concepts").text == "no concepts"
    assert list(con.catalog().models) == ["f"]


def test_names_that_clash_are_refused(con: Session, model: _Bottleneck) -> None:
    con.register_model("f.motifs", model)
    with pytest.raises(BindError, match=r"a model called 'f\.motifs' is registered"):
        con.register_concepts("f", model.concepts, NAMES, name="motifs")
    con.register_concepts("f", model.concepts, NAMES)
    for taken in ("f.concepts", "f.g"):
        with pytest.raises(BindError, match=f"'{taken}' is a model that a dictionary"):
            con.register_model(taken, model)
    with pytest.raises(BindError, match="made of concepts itself"):
        con.register_concepts("f.g", model.concepts)


def test_two_dictionaries_of_one_model_and_one_of_each_of_two(con: Session, model: _Bottleneck) -> None:
    con.register_concepts("f", model.concepts, name="motifs")
    assert sorted(con.catalog().models) == ["f", "f.g", "f.motifs", "f.motifs.g"]
    con.register_concepts("f", model.concepts, name="others")
    assert sorted(con.catalog().models) == ["f", "f.motifs", "f.motifs.g", "f.others", "f.others.g"]
    con.register_concepts("f", model.concepts, NAMES)
    before = con.catalog()
    con.register_model("h", _Bottleneck().eval())
    con.register_concepts("h", lambda batch: batch[:, :3], head=nn.Linear(3, 2))
    after = con.catalog()
    assert after.dictionary("f") is before.dictionary("f") is not after.dictionary("h")
    assert after.models["f.g"] is before.models["f.g"]  # what nobody touched is kept, with its rows
    with pytest.raises(BindError, match="no concepts called 'motif'; did you mean 'motifs'"):
        after.dictionary("f", "motif")
    con.register_model("k", _Bottleneck().eval())
    with pytest.raises(BindError, match=r'con.fit_concepts\("k", inputs\)'):
        con.catalog().dictionary("k")


def test_a_snapshot_keeps_its_dictionary(con: Session, model: _Bottleneck) -> None:
    con.register_concepts("f", model.concepts, NAMES)
    kept = con.catalog()
    dictionary, attributes = kept.dictionary("f"), kept.models["f.concepts"]
    con.register_concepts("f", model.concepts)
    assert kept.dictionary("f") is dictionary
    assert kept.models["f.concepts"] is attributes
    assert con.catalog().models["f.concepts"] is not attributes


def test_a_model_that_is_registered_again_is_what_its_concepts_are_read_from(con: Session, model: _Bottleneck) -> None:
    con.register_concepts("f", "concepts", NAMES, head=model.head)
    other = _Bottleneck().eval()
    with pytest.warns(IalgebraWarning, match="'f.concepts' was made for 'f' as it was registered before"):
        con.register_model("f", other)
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    assert _scores(con, "f.concepts", 3) == pytest.approx(other.concepts(x)[0].tolist(), rel=1e-6)
    made = con.catalog().models["f.concepts"]
    assert isinstance(made, DerivedNetwork)
    assert made.of is con.catalog().models["f"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        con.register_model("f", nn.Sequential(nn.Linear(4, 2)))
    assert ["is dropped, because 'f' was registered again" in str(each.message) for each in told] == [True]
    assert list(con.catalog().models) == ["f"]
    assert not con.catalog().concepts


def test_a_change_of_the_model_or_of_the_module_changes_answers(con: Session, model: _Bottleneck) -> None:
    outside = nn.Linear(4, 3)
    con.register_concepts("f", outside, NAMES, head=model.head)
    first = _scores(con, "f.g", 2)
    with torch.no_grad():
        outside.bias += 1
    second = _scores(con, "f.g", 2)
    added = model.head.weight.detach().sum(dim=1).tolist()
    assert second == pytest.approx([a + b for a, b in zip(first, added, strict=True)])


def test_show_and_describe_say_what_there_is(con: Session, model: _Bottleneck) -> None:
    con.register_concepts("f", model.concepts, NAMES)
    assert con.sql("show concepts").text == "f.concepts: 3 attributes (given), of concepts of f"
    assert "f.g: derived, surrogate of f" in con.sql("show models").text
    assert "f.concepts: derived, attributes of f" in con.sql("show models").text
    for name in ("concepts", "f.concepts"):
        assert "names: fur, ears, tail" in con.sql(f"describe {name}").text
    with pytest.raises(BindError, match="did you mean 'concepts'"):
        con.sql("describe concept")
    assert set(con.registered()["models"]) == {"f"}


def test_a_table_and_texts_reach_a_module_as_they_reach_the_model() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [30, 60], "job": ["a", "b"]})

    def logits(rows: Any) -> Tensor:
        return torch.tensor(np.stack([rows["age"] / 10.0, (rows["job"] == "a") * 1.0], axis=1))

    def concepts(rows: Any) -> Tensor:
        return torch.tensor(np.stack([rows["age"] > 40, rows["job"] == "a"], axis=1) * 1.0)

    with ialgebra.connect() as con:
        con.register_model("f", logits)
        con.register_input("x", frame.iloc[[1]], baseline=frame.iloc[[0]])
        con.register_concepts("f", concepts, ["old", "in job a"], head=nn.Linear(2, 2))
        assert _scores(con, "f.concepts", 2) == [1.0, 0.0]


def test_a_dictionary_that_was_made_elsewhere_is_registered_as_it_is(con: Session, model: _Bottleneck) -> None:
    con.register_concepts("f", model.concepts, NAMES, inputs=torch.randn(40, 4), labels=torch.arange(40) % 2)
    made = con.catalog().dictionary("f")
    con.register_model("h", model)
    con.register_concepts("h", made, ["p", "q", "r"])
    found = con.catalog().dictionary("h")
    assert found.models == ("h",)
    assert found.names == ("p", "q", "r")
    assert found.figures is not None
    assert found.figures.fits[0].model == "h"
    assert _scores(con, "h.g", 2) == _scores(con, "f.g", 2)
    con.register_model("wide", nn.Linear(4, 3))
    with pytest.raises(ShapeError, match="has 2 outputs; the model has 3"):
        con.register_concepts("wide", made)
    with pytest.raises(BindError, match="leave head and inputs out"):
        con.register_concepts("h", made, head=model.head)
