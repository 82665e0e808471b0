"""Kinds of inputs beyond pictures and tables: volumes, videos and inputs of several named parts; and what an error says
that reads an input otherwise, which is then done."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import Session
from ialgebra.algebra.kinds import KINDS, kind_named
from ialgebra.errors import BindError, IalgebraError, ShapeError
from ialgebra.testing import check_laws

PHOTO = torch.linspace(0, 1, 3 * 8 * 8).reshape(3, 8, 8)
ROW = pd.DataFrame({"age": [39], "job": ["clerk"]})


@pytest.fixture
def con() -> Iterator[Session]:
    with ialgebra.connect(progress=False) as session:
        yield session


def both(photo: Tensor, row: pd.DataFrame) -> Tensor:
    """A product, so that the parts do not simply add up."""
    clerk = torch.tensor((row["job"] == "clerk").to_numpy(dtype=float).copy())
    age = torch.tensor(row["age"].to_numpy(dtype=float).copy())
    return photo.double().sum((1, 2, 3)) * (1 + clerk) + age


def test_parts_are_players_and_values_are_those_by_hand(con: Session) -> None:
    con.register_model("f", both)
    baseline = {"photo": torch.zeros(3, 8, 8), "row": pd.DataFrame({"age": [9], "job": ["baker"]})}
    con.register_input("x", {"photo": PHOTO, "row": ROW}, baseline=baseline)
    (a,) = con.sql("select * from f(x, players => parts) using exact()")
    total = float(PHOTO.sum())
    alone = {"photo": total, "row": 30.0}
    together = 2 * total + 30.0
    assert a.player_names() == ["photo", "row"]
    assert a.values == pytest.approx(
        [(alone["photo"] + together - 30) / 2, (alone["row"] + together - alone["photo"]) / 2]
    )
    assert kind_named(a.kind).columns == ("part", "row", "col", "channel", "value", "feature")


def test_the_players_of_a_composite_are_those_of_its_parts(con: Session) -> None:
    con.register_model("f", lambda photo, series, row: photo.sum((1, 2, 3)) + series.sum((1, 2)) + row.sum(1))
    value = {"photo": PHOTO, "series": torch.ones(32, 2), "row": torch.ones(3, dtype=torch.float64)}
    con.register_input("x", value, kind={"series": "series"})
    (a,) = con.sql("select * from f(x) budget 400")
    names = a.player_names()
    assert names[0] == "photo: rows 0-1, cols 0-1"
    assert names[16] == "series: times 0-1"
    assert names[32:] == ["row: feature 0", "row: feature 1", "row: feature 2"]
    assert a.values[16:] == pytest.approx([4.0] * 16 + [1.0] * 3, abs=1e-5)

    def plays(where: str) -> list[str]:
        return con.sql(f"select * from f(x) where {where} budget 60")[0].player_names()

    assert plays("part = 'row' and feature > 0") == ["row: feature 1", "row: feature 2"]
    assert len(plays("part in ('photo', 'series')")) == 32
    assert plays("time >= 31") == ["series: time 31"]
    assert plays("part <> 'photo' and part <> 'series'") == names[32:]
    with pytest.raises(BindError, match="unknown part 'foto'; did you mean 'photo'"):
        plays("part = 'foto'")
    with pytest.raises(BindError, match="position"):
        plays("position = 3")
    nullified = con.sql("select * from f(nullify(x, part = 'photo')) budget 60")[0]
    assert nullified.full_value == pytest.approx(67.0)


def test_masks_ride_along_and_never_play(con: Session) -> None:
    def mean(input_ids: Tensor, pixel_values: Tensor, attention_mask: Tensor) -> Tensor:
        assert attention_mask.dtype == torch.int64
        assert attention_mask.tolist() == [[1, 1, 0]] * len(attention_mask)
        return (input_ids * attention_mask).sum(1) / attention_mask.sum(1) + pixel_values.sum((1, 2, 3))

    con.register_model("f", mean)
    ids, mask = torch.tensor([[5, 7, 9]]), torch.tensor([[1, 1, 0]])
    con.register_input("x", {"input_ids": ids, "attention_mask": mask, "pixel_values": torch.ones(1, 1, 4, 4)})
    for answer in (con.sql("select * from f(x) budget 200"), con.sql("select * from f(x, players => parts)")):
        assert not any("attention" in name for name in answer[0].player_names())
        assert answer[0].full_value == pytest.approx(22.0)
        assert answer[0].values.sum() == pytest.approx(22.0)


def test_collections_of_parts_are_one_map_each_and_have_a_mean(con: Session) -> None:
    con.register_model("f", both)
    photos = torch.stack([PHOTO, 2 * PHOTO])
    rows = pd.DataFrame({"age": [30, 41], "job": ["clerk", "baker"]})
    con.register_input("xs", {"photo": photos, "row": rows})
    answer = con.sql("select * from f(xs, baseline => mean(xs), players => parts) using exact()")
    total = float(PHOTO.sum())
    assert [a.full_value for a in answer] == pytest.approx([2 * total + 30, 2 * total + 41])
    assert answer[0].base_value == pytest.approx(3 * total + 35.5)
    con.register_input("ys", [{"photo": PHOTO, "row": rows.iloc[[0]]}, {"photo": 2 * PHOTO, "row": rows.iloc[[1]]}])
    again = con.sql("select * from f(ys, baseline => mean(ys), players => parts) using exact()")
    assert [a.values.tolist() for a in again] == [a.values.tolist() for a in answer]


def test_numbers_of_any_type_arrive_in_it(con: Session) -> None:
    seen: dict[str, torch.dtype] = {}

    def model(**parts: Tensor) -> Tensor:
        seen.update({name: each.dtype for name, each in parts.items()})
        return parts["ids"].sum(1).double() / 2**62

    types = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int32, torch.bool]
    value = {str(dtype).removeprefix("torch."): torch.ones(3, dtype=dtype) for dtype in types}
    con.register_model("f", model)
    con.register_input("x", {**value, "ids": torch.tensor([2**62 + 1, 0])})
    assert con.sql("select * from f(x, players => parts) using exact()")[0].full_value == 1.0
    assert seen["ids"] == torch.int64
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        assert seen[str(dtype).removeprefix("torch.")] == dtype


def test_gradients_flow_into_the_parts(con: Session) -> None:
    pytest.importorskip("captum")
    net = nn.Linear(5, 2)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            found: Tensor = self.net(torch.cat([a, b], dim=1))
            return found

    con.register_model("f", Both())
    con.register_input("x", {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0, 5.0], dtype=torch.float64)})
    (a,) = con.sql("select * from f(x, target => 1) using captum.IntegratedGradients()")
    assert a.map == pytest.approx(net.weight[1].detach().numpy() * np.arange(1, 6), rel=1e-5)


def test_an_answer_about_parts_is_saved_shown_and_exported(con: Session, tmp_path: Path) -> None:
    con.register_model("f", both)
    con.register_input("bg", {"photo": torch.zeros(3, 8, 8), "row": pd.DataFrame({"age": [9], "job": ["baker"]})})
    con.register_input("x", {"photo": PHOTO, "row": ROW}, baseline="bg")
    con.register_model("g", lambda clip, ids: clip.sum((1, 2, 3, 4)) + ids.sum(1))
    con.register_input(
        "y", {"clip": torch.ones(2, 3, 4, 4), "ids": [1, 2]}, kind={"clip": "video"}, layout={"clip": "TCHW"}
    )
    answers = [con.sql("select * from f(x) budget 60"), con.sql("select * from g(y) budget 60")]
    for number, answer in enumerate(answers):
        (a,) = ialgebra.load(answer.save(tmp_path / f"{number}.safetensors"))
        assert a.player_names() == answer[0].player_names()
        assert list(a.content) == list(answer[0].content)
        assert len(answer.to_pandas()) == len(a.values)
        assert "<" in answer._repr_html_()
    path = con.history.export(tmp_path / "again.py")
    for one, two in zip(answers, runpy.run_path(str(path))["analysis"](con.registered()["models"]), strict=True):
        assert one[0].map.tobytes() == two[0].map.tobytes()
    assert "'photo' an image (3, 8, 8), 'row' a tabular input (2,)" in str(con.sql("describe x").text)


def test_a_volume_has_depths_and_blocks(con: Session) -> None:
    con.register_model("f", lambda x: x.sum((1, 2, 3, 4)))
    con.register_input("x", torch.ones(2, 8, 6, 5), kind="volume")
    (a,) = con.sql("select * from f(x) using exact()")
    assert len(a.values) == 16
    assert a.player_names()[:2] == ["depths 0-1, rows 0-2, cols 0-2", "depths 0-1, rows 0-2, cols 3-4"]
    assert a.values == pytest.approx([36.0, 24.0] * 8)
    (a,) = con.sql(
        "select * from f(x, players => grid(2, 1, 1)) where depth between 2 and 5 and channel = 0 using exact()"
    )
    assert a.player_names() == ["depths 2-3, rows 0-5, cols 0-4", "depths 4-5, rows 0-5, cols 0-4"]
    assert a.values == pytest.approx([60.0, 60.0])
    (a,) = con.sql("select * from f(x, players => tile(4)) budget 100")
    assert len(a.values) == 2 * 2 * 2
    (a,) = con.sql("select * from f(x, players => pixels) where box(0, 0, 1, 2) and depth = 0 using exact()")
    assert len(a.values) == 2
    with pytest.raises(BindError, match=r"it has grid\(depth, rows, cols\), pixels, tile, slic or a feature mask"):
        con.sql("select * from f(x, players => grid(2, 2))")
    mask = np.arange(8)[:, None, None] // 4 * np.ones((1, 6, 5), dtype=int)
    con.register_input("y", torch.ones(2, 8, 6, 5), kind="volume", players=mask)
    assert con.sql("select * from f(y) using exact()")[0].values == pytest.approx([240.0, 240.0])


def test_a_video_has_frames(con: Session) -> None:
    con.register_model("f", lambda x: x.sum((1, 2, 3, 4)))
    con.register_input("x", torch.ones(8, 3, 4, 4), layout="TCHW")
    (a,) = con.sql("select * from f(x, players => grid(4, 1, 1)) where frame < 4 using exact()")
    assert a.map.shape == (3, 8, 4, 4)
    assert a.player_names() == [f"frames {k}-{k}, rows 0-3, cols 0-3" for k in range(4)]


@pytest.mark.parametrize(
    ("shape", "said", "held"),
    [
        ((1, 8, 6, 5), {"kind": "volume"}, (1, 8, 6, 5)),
        ((8, 6, 4), {"kind": "volume"}, (1, 8, 6, 4)),
        ((8, 6, 5, 3), {"kind": "volume"}, (3, 8, 6, 5)),
        ((2, 8, 6, 5), {"kind": "volume"}, (2, 8, 6, 5)),
        ((7, 3, 8, 8), {"kind": "video"}, (3, 7, 8, 8)),
        ((3, 7, 8, 8), {"kind": "video"}, (3, 7, 8, 8)),
        ((7, 8, 8, 3), {"kind": "video"}, (3, 7, 8, 8)),
        ((7, 8, 8), {"kind": "video"}, (1, 7, 8, 8)),
        ((5, 7, 3, 8, 8), {"kind": "video"}, (3, 7, 8, 8)),
        ((5, 7, 3, 8, 8), {"layout": "NTCHW"}, (3, 7, 8, 8)),
        ((8, 6, 5, 3), {"layout": "DHWC"}, (3, 8, 6, 5)),
    ],
)
def test_volumes_and_videos_are_read_however_they_lie(
    con: Session, shape: tuple[int, ...], said: dict[str, str], held: tuple[int, ...]
) -> None:
    con.register_input("x", torch.zeros(shape), **said)
    assert con._catalog.input("x").shape == held


class Trial:
    """A model, what is registered first, what the error says, and what it advises."""

    def __init__(self, model: Callable[..., object], value: object, said: str, **advice: object) -> None:
        self.model, self.value, self.said, self.advice = model, value, said, advice


def mean_of(*axes: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.float().mean(axes)


TRIALS = {
    "whole numbers as a table": Trial(
        lambda x: x.double(), torch.tensor([30, 2, 5]), "feature",
        kind="tabular", feature_names=["age", "debt", "own"], ask="select * from f(x) where feature = 'age'",
    ),
    "a signal (1, L)": Trial(
        nn.Sequential(nn.Conv1d(1, 2, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten()), torch.rand(1, 199),
        "kind='signal'", kind="signal",
    ),
    "a volume": Trial(
        nn.Sequential(nn.Conv3d(2, 2, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten()), torch.rand(2, 8, 8, 8),
        "kind='volume'", kind="volume",
    ),
    "a video": Trial(
        nn.Sequential(nn.Conv3d(3, 2, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten()), torch.rand(3, 9, 8, 8),
        "kind='video'", kind="video",
    ),
    "a picture that may lie in two ways": Trial(
        mean_of(2, 3), torch.rand(3, 8, 3), "layout='HWC'", layout="HWC",
    ),
    "a volume that may lie in two ways": Trial(
        mean_of(2, 3, 4), torch.rand(4, 8, 8, 4), "layout='DHWC'", first={"kind": "volume"}, layout="DHWC",
    ),
    "a clip that may lie in two ways": Trial(
        mean_of(2, 3, 4), torch.rand(4, 3, 8, 8), "layout='TCHW'", first={"kind": "video"}, layout="TCHW",
    ),
    "five axes": Trial(mean_of(2, 3, 4), torch.rand(2, 3, 4, 9, 8), "kind='volume'", kind="volume"),
    "several tensors": Trial(
        lambda photo, row: photo.mean((2, 3)) + row.mean(1, keepdim=True), [PHOTO, torch.rand(4)],
        "mapping from the names in its forward", instead={"photo": PHOTO, "row": torch.rand(4)},
    ),
    "parts of other names": Trial(
        nn.Bilinear(2, 3, 2), {"a": torch.ones(2), "b": torch.ones(3)}, "called with these names, as in its forward",
        instead={"input1": torch.ones(2), "input2": torch.ones(3)},
    ),
    "a part that is a series": Trial(
        lambda photo, walk: photo.mean((2, 3)) + walk.mean((1, 2))[:, None],
        {"photo": PHOTO, "walk": torch.rand(7, 4)}, r"kind={'part': 'series'}", kind={"walk": "series"},
    ),
    "texts in an array": Trial(
        lambda frame: torch.ones(len(frame), 2), np.array([["a", 1], ["b", 2]], dtype=object),
        "pandas.DataFrame(values)", instead=pd.DataFrame(np.array([["a", 1], ["b", 2]], dtype=object)),
    ),
    "a mapping of single values": Trial(
        lambda frame: torch.ones(len(frame), 2), {"age": 3, "job": "clerk"}, "pandas.DataFrame([values])",
        instead=pd.DataFrame([{"age": 3, "job": "clerk"}]), ask="select * from f(x, baseline => x)",
    ),
    "a column of lists": Trial(
        lambda frame: torch.ones(len(frame), 2), pd.DataFrame({"a": [[1], [2]]}), "frame['a'].astype(str)",
        instead=pd.DataFrame({"a": [[1], [2]]}).astype(str),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIALS)
def test_an_error_says_how_an_input_was_read_and_its_advice_works(con: Session, name: str) -> None:
    trial = TRIALS[name]
    advice = dict(trial.advice)
    ask, first = str(advice.pop("ask", "select * from f(x) budget 100")), advice.pop("first", {})
    con.register_model("f", trial.model)

    def told() -> None:
        con.register_input("x", trial.value, **first)  # type: ignore[arg-type]
        con.sql(ask)

    with pytest.raises(IalgebraError) as caught:
        told()
    assert trial.said in str(caught.value)
    value = advice.pop("instead", trial.value)
    con.register_input("x", value, **{**first, **advice})  # type: ignore[dict-item, arg-type]
    assert con.sql(ask)[0].values.size


@pytest.mark.parametrize(
    ("value", "words", "error", "said"),
    [
        ({1: torch.rand(3)}, {}, BindError, "named by texts, as in forward; 1 is none"),
        ({"a": PHOTO}, {"kind": {"b": "image"}}, BindError, "has no part 'b'; known: 'a'"),
        ({"a": PHOTO, "b": PHOTO}, {"kind": "image"}, BindError, "say the kind of each: kind={'part': 'image'}"),
        ({"a": PHOTO}, {"feature_names": ["u"]}, BindError, "leave feature_names out"),
        (PHOTO, {"kind": {"a": "image"}}, BindError, "has no named parts; give one word"),
        ([{"a": PHOTO}, {"b": PHOTO}], {}, ShapeError, r"input 1 .* has the parts \['b'\], input 0 \['a'\]"),
        ({"a": torch.rand(0)}, {}, ShapeError, "'x.a' is empty"),
        (PHOTO, {"kind": "composite"}, BindError, "unknown kind of input 'composite'"),
        (PHOTO, {"kind": "composite(1)"}, BindError, "unknown kind"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_read_says_why(
    con: Session, value: object, words: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        con.register_input("x", value, **words)  # type: ignore[arg-type]


def test_a_table_is_a_kind_by_that_name_too(con: Session) -> None:
    con.register_input("x", torch.tensor([1, 2, 3]), kind="table")
    assert con._catalog.input("x").kind == "tabular"
    assert kind_named("table") is KINDS["tabular"]


@pytest.mark.parametrize("form", ["parts", "series", "frame"])
def test_laws_are_checked_on_inputs_of_other_forms(con: Session, form: str) -> None:
    draw = np.random.default_rng(0)
    if form == "parts":
        con.register_model("f", lambda p, q: torch.stack([p.sum(1) * q.prod(1), q.sum(1)], dim=1))
        inputs: list[object] = [{"p": draw.random(2), "q": draw.random(3)} for _ in range(2)]
    elif form == "series":
        con.register_model("f", lambda x: torch.stack([x[:, 0].prod(1), x.sum((1, 2))], dim=1))
        inputs = list(draw.random((2, 3, 2)))
    else:
        con.register_model("f", lambda x: torch.tensor((x["a"] * x["b"] + x["c"]).to_numpy(dtype=float).copy()))
        inputs = [pd.DataFrame({"a": [k + 2], "b": [0.5 + k], "c": [1.0 - k]}) for k in range(2)]
    for name, value in zip("xy", inputs, strict=True):
        con.register_input(name, value, kind="series" if form == "series" else None)
    found = check_laws(con, model="f", inputs=["x", "y"], laws=["L3", "L13", "L15", "L16", "L17"], examples=2)
    assert [(each.id, each.passed) for each in found] == [(each.id, True) for each in found]
    con.register_input("z", ROW)
    with pytest.raises(BindError, match="laws are checked on amounts, which column 'job'"):
        check_laws(con, model="f", inputs=["z"])
