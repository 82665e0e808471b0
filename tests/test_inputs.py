"""How inputs are read, from registration to the map: masks of players, pictures, series.

Right values are by enumeration of all coalitions, written here in full.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from tests import oracle

Score = Callable[[Tensor], Tensor]  # a batch of inputs to one number each


def shapley(score: Score, x: Tensor, baseline: Tensor, players: list[Tensor]) -> list[float]:
    """The Shapley values of `players`, boolean masks in the shape of `x`, by enumeration; other features are absent."""

    @functools.cache
    def value(coalition: frozenset[int]) -> float:
        present = torch.zeros(x.shape, dtype=torch.bool)
        for player in coalition:
            present |= players[player]
        return float(score(torch.where(present, x, baseline)[None])[0])

    return oracle.shapley(value, value, len(players)).tolist()


def groups(mask: list[int]) -> list[Tensor]:
    """The players of a mask of five features: equal numbers are one player, negative ones none."""
    return [torch.tensor([each == number for each in mask]) for number in sorted({each for each in mask if each >= 0})]


X = torch.tensor([1.0, -1.5, 0.5, 2.0, 0.7])


def curved(batch: Tensor) -> Tensor:
    """A score in which features multiply, so that it matters what a feature without a player shows."""
    return torch.stack([batch.double().prod(1) + batch[:, 0] * batch[:, 1], (batch.double() + 1.3).prod(1)], 1)


@pytest.mark.parametrize(
    "mask",
    [[-1, 0, 0, 1, -1], [2, -1, 2, 5, -1], [-100, 3, -1, 3, 7], [0, 1, 2, 3, -1], [-1, -1, -1, 4, -1], [-1] * 5],
    ids=str,
)
@pytest.mark.parametrize("baseline", [0.0, 0.25])
def test_a_negative_number_in_a_mask_of_players_is_no_player(mask: list[int], baseline: float) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", curved)
    con.register_input("x", X, baseline=baseline)
    con.register_input("m", torch.tensor(mask))
    expected = shapley(lambda batch: curved(batch)[:, 1], X, torch.full_like(X, baseline), groups(mask))
    con.register_input("own", X, baseline=baseline, players=torch.tensor(mask))
    con.register_input("words", X, baseline=baseline, players=[None if each < 0 else each for each in mask])
    for text in ("f(x, target => 1, players => m)", "f(own, target => 1)", "f(words, target => 1)"):
        (a,) = con.sql(f"select * from {text} using exact()")
        assert a.values == pytest.approx(expected, abs=1e-6)
        assert (a.players < 0).tolist() == [each < 0 for each in mask]
        assert a.map[np.array(mask) < 0] == pytest.approx(0)
    con.sql("set players = m")
    (a,) = con.sql("select * from f(x, target => 1) using exact()")
    assert a.values == pytest.approx(expected, abs=1e-6)


def test_the_players_of_an_answer_are_a_mask_that_asks_for_the_same_players_again() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: torch.tanh(batch.flatten(1).double()).prod(1, keepdim=True).repeat(1, 2))
    con.register_input("x", torch.rand(2, 4, 4) + 0.5)
    for where in ("row < 3 and col > 0", "row + col > 2"):
        (a,) = con.sql(f"select * from f(x, target => 0, players => grid(2, 2)) where {where} using exact()")
        con.register_input("m", a.players)
        (b,) = con.sql("select * from f(x, target => 0, players => m) using exact()")
        assert (b.players == a.players).all()
        assert b.values == pytest.approx(a.values, abs=1e-9)
        con.register_input("plane", a.players[0])
        (c,) = con.sql("select * from f(x, target => 0, players => plane) using exact()")
        assert c.values == pytest.approx(a.values, abs=1e-9)


def test_a_mask_of_two_truth_values_has_two_players() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", curved)
    con.register_input("x", X, players=torch.tensor([True, False, False, True, True]))
    (a,) = con.sql("select * from f(x, target => 1) using exact()")
    expected = shapley(lambda batch: curved(batch)[:, 1], X, torch.zeros_like(X), groups([1, 0, 0, 1, 1]))
    assert a.values == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", ["shapley()", "banzhaf()", "permutations()", "regression()"])
def test_every_method_leaves_out_what_is_no_player(method: str) -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: (batch.double() @ weights)[:, None].repeat(1, 2))
    con.register_input("x", X, players=[None, 0, 0, 1, None])
    (a,) = con.sql(f"select * from f(x, target => 0) using {method} budget 4")
    assert a.values == pytest.approx([-1.5 * 2 + 0.5 * 3, 2.0 * 4])


@pytest.mark.parametrize("method", ["captum.FeatureAblation", "captum.ShapleyValues", "captum.KernelShap"])
def test_captum_s_methods_leave_out_what_is_no_player(method: str) -> None:
    pytest.importorskip("captum")
    con = ialgebra.connect(progress=False)
    con.register_model("f", torch.nn.Linear(5, 2))
    con.register_input("x", X, players=[None, 0, 0, 1, None])
    (shown,) = con.sql("select * from f(x, target => 0) using exact()")
    (a,) = con.sql(f"select * from f(x, target => 0) using {method}()")
    assert a.values == pytest.approx(shown.values, abs=1e-4)
    assert (a.players == shown.players).all()


# --- Pictures: where the channels are


class Colours(torch.nn.Module):
    """Of (B, 3, H, W): the product of each channel's mean in the upper half, and how much redder the left half is."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.dim() == 4
        assert x.shape[1] == 3
        x = x.double()
        upper = x[:, :, : x.shape[2] // 2].mean(dim=(2, 3))
        red = x[:, 0].flatten(1)
        return torch.stack([upper.prod(1), torch.tanh(red[:, ::2].mean(1) - x[:, 2].mean(dim=(1, 2)))], 1)


def corners(height: int, width: int) -> list[Tensor]:
    """The four quarters of a picture (3, height, width)."""
    masks = []
    for top in (0, height // 2):
        for left in (0, width // 2):
            mask = torch.zeros(3, height, width, dtype=torch.bool)
            mask[:, top : top + height // 2, left : left + width // 2] = True
            masks.append(mask)
    return masks


def picture(height: int = 8, width: int = 12) -> np.ndarray:
    return np.random.default_rng(3).random((height, width, 3))


def test_an_array_whose_channels_come_last_is_read_as_a_picture() -> None:
    hwc = picture()
    chw = torch.from_numpy(hwc).permute(2, 0, 1)
    score = Colours()
    expected = shapley(lambda batch: score(batch)[:, 0], chw, torch.zeros_like(chw), corners(8, 12))
    con = ialgebra.connect(progress=False)
    con.register_model("f", score)
    said = {
        "array": hwc,
        "tensor": torch.from_numpy(hwc),
        "turned": chw.numpy().transpose(1, 2, 0),
        "listed": hwc.tolist(),
        "channels_first": chw,
    }
    for name, value in said.items():
        con.register_input(name, value)
        (a,) = con.sql(f"select * from f({name}, target => 0, players => grid(2, 2)) using exact()")
        assert a.kind == "image"
        assert a.map.shape == (3, 8, 12)
        assert a.values == pytest.approx(expected, abs=1e-9)
    con.register_input("several", np.stack([hwc, hwc / 2]))
    con.register_input("list", [hwc, hwc / 2])
    for name in ("several", "list"):
        first, second = con.sql(f"select * from f({name}, target => 0, players => grid(2, 2)) using exact()")
        assert first.values == pytest.approx(expected, abs=1e-9)
        assert (second.content == first.content / 2).all()


def test_baselines_masks_and_windows_of_a_picture_whose_channels_come_last_lie_as_it_does() -> None:
    hwc, blank = picture(), picture()[::-1].copy()
    chw, background = (torch.from_numpy(each.copy()).permute(2, 0, 1) for each in (hwc, blank))
    players = np.zeros((8, 12), dtype=np.int64)
    players[:, 6:] = 1
    players[:2] = -1
    halves = [torch.from_numpy(players == number).expand(3, 8, 12) for number in (0, 1)]
    score = Colours()
    expected = shapley(lambda batch: score(batch)[:, 1], chw, background, halves)
    for mask in (players, players[..., None], np.repeat(players[..., None], 3, axis=2)):
        con = ialgebra.connect(progress=False)
        con.register_model("f", score)
        con.register_input("x", hwc, baseline=blank, players=mask)
        (a,) = con.sql("select * from f(x, target => 1) using exact()")
        assert a.values == pytest.approx(expected, abs=1e-9)
    (b,) = con.sql("select * from f(x, target => 1) where row < 4 and channel = 0 using exact()")
    assert b.players.shape == (3, 8, 12)
    assert (b.players[1:] == -1).all()


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 32, 3), (2, 3, 5, 3), (1, 6, 4), (4, 4, 4), (32, 32, 2)])
def test_a_shape_that_may_lie_in_two_ways_is_asked_about_and_the_advice_works(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    con = ialgebra.connect(progress=False)
    with pytest.raises(ialgebra.ShapeError, match=r"say which with layout='CHW' or layout='HWC'"):
        con.register_input("x", x)
    one = shape[-3:]
    con.register_model("f", lambda batch: batch.flatten(1).double().cumsum(1)[:, ::2])
    for layout, held in (("CHW", one), ("HWC", (one[2], *one[:2]))):
        con.register_input("x", x, layout=layout)
        a = con.sql("select * from f(x, target => 0) budget 20")[0]
        assert a.content.shape == held
    assert (a.content == x.reshape(-1, *one)[0].permute(2, 0, 1).numpy()).all()


@pytest.mark.parametrize(
    ("shape", "held"),
    [
        ((32, 32, 3), (3, 32, 32)),
        ((32, 32, 1), (1, 32, 32)),
        ((32, 24, 4), (4, 32, 24)),
        ((5, 6, 1), (1, 5, 6)),
        ((3, 32, 32), (3, 32, 32)),
        ((1, 28, 28), (1, 28, 28)),
        ((3, 4, 4), (3, 4, 4)),
        ((1, 4, 4), (1, 4, 4)),
        ((1, 3, 3), (1, 3, 3)),
        ((4, 4, 3), (3, 4, 4)),
        ((2, 4, 4), (2, 4, 4)),
        ((2, 8, 8), (2, 8, 8)),
        ((64, 7, 7), (64, 7, 7)),
        ((2, 5, 6), (2, 5, 6)),
        ((1, 1, 40), (1, 1, 40)),
        ((12, 2, 40), (12, 2, 40)),
    ],
)
def test_a_plain_shape_tells_where_the_channels_are(shape: tuple[int, ...], held: tuple[int, ...]) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch.flatten(1).double().sum(1, keepdim=True).repeat(1, 2))
    for value, count in ((torch.rand(shape), 1), (np.random.default_rng(0).random((2, *shape)), 2)):
        con.register_input("x", value)
        maps = con.sql("select * from f(x, target => 0, players => grid(1, 1))")
        assert [each.content.shape for each in maps] == [held] * count


def test_a_grey_picture_has_one_channel_where_its_kind_or_layout_is_said() -> None:
    grey = np.random.default_rng(1).random((6, 9))
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch.double().flatten(1).sum(1, keepdim=True).repeat(1, 2))
    for said, value, count in (
        ({"kind": "image"}, grey, 1),
        ({"layout": "HW"}, grey, 1),
        ({"layout": "NHW"}, np.stack([grey, grey]), 2),
        ({"kind": "image"}, [grey, grey, grey], 3),
    ):
        con.register_input("x", value, **said)
        maps = con.sql("select * from f(x, target => 0)")
        assert [each.map.shape for each in maps] == [(1, 6, 9)] * count


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "F"])
def test_a_picture_of_pillow_is_read_with_the_numbers_that_it_holds(mode: str) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = (picture(8, 6) * 255).astype(np.uint8)
    held = image.fromarray(pixels).convert("P" if mode == "P" else mode)
    shown = np.asarray(held.convert("RGB") if mode == "P" else held)
    shown = np.moveaxis(shown.reshape(8, 6, -1), -1, 0)
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch.double().flatten(1).sum(1, keepdim=True).repeat(1, 2))
    con.register_input("x", held)
    con.register_input("xs", [held, held])
    (a,) = con.sql("select * from f(x, target => 0)")
    assert (a.content == shown).all()
    assert a.content.dtype == shown.dtype
    assert a.values.sum() == pytest.approx(float(shown.sum()))
    assert len(con.sql("select * from f(xs, target => 0)")) == 2
    with pytest.raises(ialgebra.BindError, match="a picture of Pillow, which lies"):
        con.register_input("x", held, layout="CHW")


def test_an_example_of_a_model_may_be_a_picture_whose_channels_come_last() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = (picture(8, 12) * 255).astype(np.uint8)
    for example in (pixels, image.fromarray(pixels), torch.from_numpy(pixels).permute(2, 0, 1)):
        con = ialgebra.connect(progress=False)
        con.register_model("f", Colours(), example=example)
        assert "2 classes" in con.sql("describe f").text


# --- Series and signals


class Walk(torch.nn.Module):
    """An LSTM over (B, T, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
        self.head = torch.nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        assert x.dim() == 3
        assert x.shape[2] == 3
        result: Tensor = self.head(self.lstm(x)[0][:, -1])
        return result


def times(count: int, spans: list[range]) -> list[Tensor]:
    """Players of a series (count, 3): one a span."""
    masks = []
    for span in spans:
        mask = torch.zeros(count, 3, dtype=torch.bool)
        mask[span.start : span.stop] = True
        masks.append(mask)
    return masks


def test_a_series_is_one_input_and_its_players_are_times() -> None:
    model = Walk().double()
    x = torch.from_numpy(np.random.default_rng(5).normal(size=(5, 3)))

    def score(batch: Tensor) -> Tensor:
        with torch.no_grad():
            return model(batch)[:, 1]

    expected = shapley(score, x, torch.zeros_like(x), times(5, [range(k, k + 1) for k in range(5)]))
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    for value, said in (
        (x, {"kind": "series"}),
        (x.numpy(), {"layout": "TC"}),
        (x.T, {"kind": "series", "layout": "CT"}),
        (x.tolist(), {"kind": "series"}),
    ):
        con.register_input("x", value, **said)
        (a,) = con.sql("select * from f(x, target => 1) using exact()")
        assert a.kind == "series"
        assert a.map.shape == (5, 3)
        assert a.values == pytest.approx(expected, abs=1e-12)
        assert a.player_names() == [f"time {k}" for k in range(5)]
    con.register_input("xs", torch.stack([x, 2 * x]), kind="series")
    first, _ = con.sql("select * from f(xs, target => 1) using exact()")
    assert first.values == pytest.approx(expected, abs=1e-12)


def test_spans_and_windows_of_a_series() -> None:
    model = Walk().double()
    x = torch.from_numpy(np.random.default_rng(6).normal(size=(40, 3)))
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("x", x, kind="series", baseline="0.5")

    def score(batch: Tensor) -> Tensor:
        with torch.no_grad():
            return model(batch)[:, 0]

    background = torch.full_like(x, 0.5)
    expected = shapley(score, x, background, times(40, [range(k, k + 10) for k in range(0, 40, 10)]))
    (a,) = con.sql("select * from f(x, target => 0, players => spans(4)) using exact()")
    assert a.values == pytest.approx(expected, abs=1e-12)
    assert a.player_names() == ["times 0-9", "times 10-19", "times 20-29", "times 30-39"]
    (a,) = con.sql("select * from f(x, target => 0) where time between 8 and 15 using exact()")
    assert a.values == pytest.approx(
        shapley(score, x, background, times(40, [range(k, k + 1) for k in range(8, 16)])), abs=1e-12
    )
    (a,) = con.sql("select * from f(x, target => 0, players => spans(2)) where channel = 1 and value > 0 using exact()")
    inside = (x > 0) & (torch.arange(3) == 1)
    low, high = int(inside.any(1).nonzero().min()), int(inside.any(1).nonzero().max())
    half = [(torch.arange(40) - low) * 2 // (high - low + 1) == k for k in range(2)]
    assert a.values == pytest.approx(
        shapley(score, x, background, [inside & each[:, None] for each in half]), abs=1e-12
    )
    assert len(con.sql("select * from f(x, target => 0) budget 40")[0].values) == 16
    (a,) = con.sql("select * from f(clip(x, -1, 1), target => 0, players => spans(1)) left join f(x)")[:1]
    assert a.values.sum() == pytest.approx(float(score(x.clip(-1, 1)[None]) - score(x[None])), abs=1e-9)


def test_heads_of_a_registered_collection_of_series_are_fitted_on_series() -> None:
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    con.register_model("f", Walk())
    con.register_input("xs", torch.randn(30, 6, 3), kind="series")
    assert con.fit_heads("f", "xs").fitted == 24
    assert con.sql("select 1 from f(xs) budget 20")[0].map.shape == (6, 3)


def test_a_signal_has_its_channels_first() -> None:
    torch.manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    x = torch.randn(2, 6)

    def score(batch: Tensor) -> Tensor:
        with torch.no_grad():
            return model(batch)[:, 0]

    players = [(torch.arange(6) == k).expand(2, 6) for k in range(6)]
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    for value, said in (
        (x, {"kind": "signal"}),
        (x.T.numpy(), {"kind": "signal", "layout": "TC"}),
        (x, {"layout": "CT"}),
    ):
        con.register_input("x", value, **said)
        (a,) = con.sql("select * from f(x, target => 0) using exact()")
        assert a.map.shape == (2, 6)
        assert a.values == pytest.approx(shapley(score, x, torch.zeros_like(x), players), abs=1e-6)
    (a,) = con.sql("select * from f(x, target => 0) where time > 2 and channel = 0 using exact()")
    assert a.player_names() == [f"time {k}, channel 0" for k in (3, 4, 5)]


class Steps(Walk):
    """An LSTM that takes a batch of vectors for one series, so that they mix."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.lstm(x)[0])
        return result


def test_a_series_that_is_read_as_a_table_whose_rows_mix_is_said() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", Steps())
    con.register_input("x", torch.randn(5, 3))
    with pytest.warns(ialgebra.IalgebraWarning) as caught:
        maps = con.sql("select * from f(x, target => 0)")
    assert len(maps) == 5
    assert not any("exact" in each.method for each in maps)
    (said,) = [str(each.message) for each in caught if "batch-dependent" in str(each.message)]
    assert "'x' of shape (5, 3) was read as 5 inputs, each a tabular input (features,)" in said
    assert "kind='series'" in said


def test_an_input_that_a_model_refuses_is_said_how_it_was_read_and_the_advice_works() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", Walk())
    x = torch.randn(5, 3)
    con.register_input("x", x)
    with pytest.raises(
        ialgebra.ModelError, match=r"'x' of shape \(5, 3\) was read as 5 inputs, each a tabular"
    ) as caught:
        con.sql("select * from f(x)")
    assert "kind='series'" in caught.value.message
    con.register_input("x", x, kind="series")
    assert con.sql("select * from f(x)")[0].map.shape == (5, 3)
    con.register_input("x", x)  # now that the model is known
    with pytest.raises(ialgebra.ModelError, match=r"kind='image', kind='series' or kind='signal' in register_input"):
        con.sql("select * from f(x)")
    con.register_input("p", torch.rand(32, 32, 3), layout="CHW")
    con.register_model("g", Colours())
    with pytest.raises(ialgebra.ModelError, match=r"'p' of shape \(32, 32, 3\) was read as an image .*layout='HWC'"):
        con.sql("select * from g(p)")


@pytest.mark.parametrize(
    ("value", "said", "error", "message"),
    [
        (torch.rand(3, 8, 8), {"layout": "CWH"}, ialgebra.BindError, "unknown layout 'CWH'.*did you mean 'CHW'"),
        (torch.rand(3, 8, 8), {"layout": 3}, ialgebra.BindError, "argument 'layout' of register_input must be a text"),
        (torch.rand(3, 8, 8), {"kind": "picture"}, ialgebra.BindError, "unknown kind of input 'picture'"),
        (torch.rand(3, 8, 8), {"kind": 3}, ialgebra.BindError, "argument 'kind' of register_input must be a text"),
        (torch.rand(3), {"kind": "tokens"}, ialgebra.BindError, "a token sequence is of whole numbers"),
        (torch.rand(3), {"kind": "image"}, ialgebra.ShapeError, r"kind='image' needs \(channels, rows, cols\)"),
        (torch.rand(2, 3, 4, 5), {"kind": "series"}, ialgebra.ShapeError, r"kind='series' needs \(time, channels\)"),
        (torch.rand(3, 8), {"layout": "HWC"}, ialgebra.ShapeError, "layout='HWC' has 3 axes"),
        (torch.rand(3, 8), {"kind": "tabular", "layout": "HWC"}, ialgebra.BindError, "means nothing for a tabular"),
        (torch.rand(3, 8), {"kind": "series", "layout": "HWC"}, ialgebra.BindError, "means nothing for a series"),
        ([torch.rand(3, 8), torch.rand(3, 8)], {}, ialgebra.ShapeError, r"\(2, 3, 8\).*kind='series'"),
    ],
)
def test_a_kind_or_layout_that_does_not_fit_is_refused(
    value: object, said: dict[str, object], error: type[Exception], message: str
) -> None:
    con = ialgebra.connect(progress=False)
    with pytest.raises(error, match=message):
        con.register_input("x", value, **said)
    assert con.names()["inputs"] == []


def test_whole_numbers_are_a_table_where_the_registration_says_so() -> None:
    ages = torch.tensor([[31, 2, 7], [54, 1, 9]])
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: (batch.double() @ torch.tensor([[2.0], [3.0], [5.0]]).double()).repeat(1, 2))
    con.register_input("people", ages, kind="tabular", feature_names=["age", "rooms", "floor"], baseline="mean(people)")
    first, second = con.sql("select * from f(people, target => 0) where feature <> 'floor' using exact()")
    assert first.kind == "tabular"
    assert first.values == pytest.approx([2 * (31 - 42.5), 3 * 0.5])
    assert second.values == pytest.approx([2 * (54 - 42.5), 3 * -0.5])


def test_an_exported_script_registers_inputs_as_they_were_read(tmp_path) -> None:
    con = ialgebra.connect(progress=False)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(27, 2))
    con.register_model("f", model)
    x = torch.rand(3, 3, 3)
    con.register_input("p", x, layout="HWC", baseline=x / 2)
    con.register_input("s", x.reshape(9, 3), kind="series", baseline=x.reshape(9, 3) / 2)
    con.register_input("t", torch.arange(27), kind="tabular")
    con.register_input("q", torch.rand(3, 1, 9))
    for name in "pstq":
        con.sql(f"select * from f({name}) budget 30")
    script = con.history.export(tmp_path / "again.py")
    space: dict[str, object] = {"__file__": str(script), "__name__": "again"}
    exec(compile(script.read_text(), str(script), "exec"), space)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = list(space["analysis"]({"f": model}))
    assert [answer[0].kind for answer in answers] == ["image", "series", "tabular", "image"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1"])
def test_a_picture_without_three_channels_is_advised_to_become_rgb_which_works(mode: str) -> None:
    pillow = pytest.importorskip("PIL.Image")
    picture = pillow.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype("uint8")).convert(mode)
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    con.register_input("x", picture)
    with pytest.raises(
        ialgebra.ModelError, match=r"register the picture of Pillow as picture\.convert\('RGB'\)"
    ) as said:
        con.sql("select * from f(x, players => grid(2, 2))")
    assert "layout='CHW'" not in str(said.value)
    con.register_input("x", np.asarray(picture.convert("RGB")) / 255)
    assert len(con.sql("select * from f(x, players => grid(2, 2))")) == 1


@pytest.mark.parametrize("path", ["a/photo.png", "a.JPEG", Path("b.webp"), ["a.png", "b.png"]])
def test_the_path_of_a_picture_is_to_be_opened(path: object) -> None:
    con = ialgebra.connect(progress=False)
    with pytest.raises(ialgebra.BindError, match=r"PIL\.Image\.open\(path\)\.convert\('RGB'\)"):
        con.register_input("x", path)
