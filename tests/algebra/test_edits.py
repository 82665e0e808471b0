"""Edits: what they make of a tensor, beside scikit-image, SciPy and plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ialgebra.algebra.baselines import Baseline, Blur, Constant, Given, Mean, gaussian_blur
from ialgebra.algebra.edits import (
    EDITS,
    Assign,
    Blurred,
    Brightened,
    Clip,
    Contrasted,
    EditForm,
    InputArgument,
    Noise,
    Nullify,
    NumberArgument,
    Rotate,
    Scale,
    Shift,
    Substitute,
    Surroundings,
    ValueArgument,
    WholeArgument,
    WindowArgument,
    edit_form,
    edited,
    form_of,
    meaningful,
    registered,
)
from ialgebra.algebra.edits.registry import _FORMS
from ialgebra.algebra.kinds import KINDS
from ialgebra.algebra.sources import Edit, Source
from ialgebra.algebra.windows import Box, Column, Compare
from ialgebra.algebra.windows import WindowConstant as Number
from ialgebra.catalog.catalog import Catalog
from ialgebra.catalog.inputs import entry
from ialgebra.errors import BindError, ShapeError
from ialgebra.language.bind.inputs import bind_input
from ialgebra.language.reader import parse

ZERO = Constant(0.0)
OTHERS = {"y": torch.full((2, 7, 9), 5.0), "tokens": torch.tensor([7, 7, 7, 7, 7]), "small": torch.zeros(2, 3, 3)}
OTHERS["odd"] = torch.zeros(2, 7, 9).index_fill(2, torch.tensor([3]), math.inf)


def photo(dtype: torch.dtype = torch.float32, shape: tuple[int, ...] = (2, 7, 9)) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)


def made(x: torch.Tensor, edit: Edit, kind: str = "image") -> torch.Tensor:
    before = x.clone()
    result = edited(
        x, edit, kind, None, lambda source: OTHERS[source.name], lambda name: [OTHERS[name], 3 * OTHERS[name]]
    )
    assert torch.allclose(x, before, rtol=0, atol=0, equal_nan=True), "an edit leaves its input as it is"
    assert result.shape == x.shape
    assert result.is_contiguous()
    return result


# --- windows


def test_nullify_puts_the_baseline_inside_the_window_and_leaves_the_rest():
    x, window = photo(), Box(*map(Number, (1, 2, 4, 9)))
    inside = np.zeros(x.shape, dtype=bool)
    inside[:, 1:4, 2:9] = True
    expected: dict[Baseline, np.ndarray] = {
        Constant(0.5): np.full(x.shape, 0.5),
        Given(Source("y")): OTHERS["y"].numpy(),
        Mean("y"): 2 * OTHERS["y"].numpy(),
        Blur(None, 2.0): gaussian_blur(x, 2.0).numpy(),
    }
    for baseline, absent in expected.items():
        found = made(x, Nullify(window, baseline)).numpy()
        assert np.array_equal(found, np.where(inside, absent, x.numpy())), baseline


def test_a_window_may_read_the_values_that_are_there_when_its_turn_comes():
    x = photo()
    found = made(x, Nullify(Compare(">", Column("value"), Number(0.5)), ZERO))
    assert found.max() <= 0.5
    assert torch.equal(found[x <= 0.5], x[x <= 0.5])


def test_substitute_puts_another_input_inside_the_window():
    x = photo()
    found = made(x, Substitute(Compare("<", Column("col"), Number(4)), Source("y")))
    assert (found[:, :, :4] == 5).all()
    assert torch.equal(found[:, :, 4:], x[:, :, 4:])
    with pytest.raises(ShapeError, match=r"\(2, 3, 3\)"):
        made(x, Substitute(Compare("<", Column("col"), Number(4)), Source("small")))


def test_tokens_and_tables_have_windows_too():
    tokens = torch.tensor([1, 2, 3, 4, 5])
    late = Compare(">=", Column("position"), Number(3))
    assert made(tokens, Nullify(late, ZERO), "tokens").tolist() == [1, 2, 3, 0, 0]
    assert made(tokens, Substitute(late, Source("tokens")), "tokens").tolist() == [1, 2, 3, 7, 7]
    row = torch.tensor([1.0, -2.0, 3.0])
    assert made(row, Nullify(Compare("<", Column("value"), Number(0)), Constant(9.0)), "tabular").tolist() == [1, 9, 3]


# --- moves


@pytest.mark.parametrize("background", [0.0, 0.25])
@pytest.mark.parametrize("degrees", [0, 15, -37.5, 90, 133, 180, 270, 719])
def test_rotate_is_scikit_images(degrees: float, background: float):
    transform = pytest.importorskip("skimage.transform")
    x = photo()
    found = made(x, Rotate(degrees, Constant(background))).numpy()
    for mine, plane in zip(found, x.numpy().astype(np.float64), strict=True):
        expected = transform.rotate(plane, degrees, order=1, mode="constant", cval=background, clip=False)
        assert np.abs(mine - expected).max() < 1e-4


@pytest.mark.parametrize("degrees", [15, -37.5, 133])
def test_rotate_is_scipys(degrees: float):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = photo()
    found = made(x, Rotate(degrees, ZERO)).numpy()
    expected = ndimage.rotate(
        x.numpy().astype(np.float64), degrees, (2, 1), reshape=False, order=1, mode="grid-constant"
    )
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("by", [(0, 0), (2, -3), (0.5, 0.25), (-1.75, 6), (100, 0)])
def test_shift_is_scipys(by: tuple[float, float]):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = photo()
    found = made(x, Shift(by, Constant(0.5))).numpy()
    expected = ndimage.shift(x.numpy().astype(np.float64), (0, *by), order=1, mode="grid-constant", cval=0.5)
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("factor", [1, 2, 0.5, 1.3, 0.77, 10])
def test_scale_is_scipys_zoom_about_the_centre(factor: float):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = photo()
    found = made(x, Scale(factor, ZERO)).numpy()
    centre = (np.array(x.shape[1:]) - 1) / 2
    for mine, plane in zip(found, x.numpy().astype(np.float64), strict=True):
        matrix, offset = np.eye(2) / factor, centre - centre / factor
        expected = ndimage.affine_transform(plane, matrix, offset, order=1, mode="grid-constant")
        assert np.abs(mine - expected).max() < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quarter_turns_and_whole_shifts_move_values_without_a_rounding(dtype: torch.dtype):
    x = photo(dtype, (3, 8, 8))
    for quarters in range(-4, 5):
        assert torch.equal(made(x, Rotate(90 * quarters, Constant(0.3))), torch.rot90(x, quarters, (1, 2)))
    moved = made(x, Shift((2, -1), Constant(0.3)))
    assert torch.equal(moved[:, 2:, :-1], x[:, :-2, 1:])
    assert (moved[:, :2] == torch.tensor(0.3, dtype=dtype)).all()
    assert torch.equal(made(x, Scale(1.0, Constant(0.3))), x)


def test_what_a_move_brings_in_is_the_baseline_in_its_own_place():
    x, y = photo(), torch.arange(126.0).reshape(2, 7, 9)
    OTHERS["numbered"] = y
    moved = made(x, Shift((0, 4), Given(Source("numbered"))))
    assert torch.equal(moved[:, :, :4], y[:, :, :4])
    far = made(x, Shift((1e308, -1e308), Given(Source("numbered"))))
    assert torch.equal(far, y)
    gone = made(photo(shape=(2, 8, 8)), Scale(1e-300, ZERO))
    assert not gone.any()
    assert torch.allclose(made(x, Scale(1e300, ZERO)), x[:, 3:4, 4:5].expand_as(x))


def test_images_of_whole_numbers_stay_whole_and_in_range():
    x = torch.randint(0, 256, (1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for edit in (Rotate(20, ZERO), Scale(1.5, ZERO), Shift((0.5, 0.5), ZERO), Noise(100.0, 1), Clip(20.4, 90.0)):
        found = made(x, edit)
        assert found.dtype == torch.uint8
        assert not torch.equal(found, x)
    assert made(x, Clip(20.0, 90.0)).min() >= 20
    halfway = made(x, Shift((0.0, 0.5), ZERO)).double()
    between = (x[:, :, 1:].double() + x[:, :, :-1].double()) / 2
    assert (halfway[:, :, 1:] - between).abs().max() <= 0.5
    assert made(x, Shift((1, 0), Constant(0.5))).dtype == torch.float32, "the baseline is a fraction"


def test_tokens_are_shifted_by_positions():
    tokens = torch.tensor([1, 2, 3, 4, 5])
    for by, expected in {
        0: [1, 2, 3, 4, 5],
        2: [9, 9, 1, 2, 3],
        -1: [2, 3, 4, 5, 9],
        5: [9] * 5,
        -1e300: [9] * 5,
    }.items():
        found = made(tokens, Shift((float(by),), Constant(9.0)), "tokens")
        assert found.tolist() == expected
        assert found.dtype == tokens.dtype


# --- values


def test_clip_bounds_every_value():
    x = photo()
    assert torch.equal(made(x, Clip(0.2, 0.7)), x.clamp(0.2, 0.7))
    assert torch.equal(made(x, Clip(-1e308, 1e308)), x)
    assert (made(x, Clip(0.5, 0.5)) == 0.5).all()
    whole = torch.arange(9).reshape(1, 3, 3)
    for dtype in (torch.uint8, torch.int64):
        assert torch.equal(made(whole.to(dtype), Clip(2.5, 5.5)), whole.clamp(3, 5).to(dtype)), "rounded inwards"
        with pytest.raises(BindError, match=rf"no {dtype} lies between 2.2 and 2.3"):
            made(whole.to(dtype), Clip(2.2, 2.3))
    large = whole + 2**62
    assert torch.equal(made(large, Clip(-1e300, 1e300)), large)


def test_noise_is_normal_and_depends_on_its_seed_alone():
    x = torch.zeros(3, 80, 80, dtype=torch.float64)
    found = made(x, Noise(0.3, 7))
    assert abs(float(found.mean())) < 4 * 0.3 / math.sqrt(found.numel())
    assert float(found.std()) == pytest.approx(0.3, rel=0.03)
    assert abs(float((found**4).mean()) / 0.3**4 - 3) < 0.2, "normal: the fourth moment is three variances squared"
    assert torch.equal(found, made(x, Noise(0.3, 7)))
    assert torch.allclose(made(x, Noise(0.6, 7)), 2 * found)
    assert not torch.equal(found, made(x, Noise(0.3, 8)))
    assert torch.equal(made(photo(), Noise(0.0, 1)), photo())


@pytest.mark.parametrize(
    ("x", "by", "expected"),
    [
        (torch.tensor([[[0.0, 0.25, 1.0]]]), 0.5, [0.5, 0.75, 1.0]),  # 0 … 1
        (torch.tensor([[[0.0, 0.25, 1.0]]]), -0.5, [0.0, 0.0, 0.5]),
        (torch.tensor([[[-1.0, 0.0, 0.5]]]), 0.25, [-0.5, 0.5, 1.0]),  # −1 … 1
        (torch.tensor([[[0, 100, 250]]], dtype=torch.uint8), 0.1, [26, 126, 255]),  # 25.5 more, to the even
        (torch.tensor([[[0.0, 100.0, 250.0]]]), -0.2, [0.0, 49.0, 199.0]),  # 0 … 255
        (torch.tensor([[[-2.0, 0.0, 2.0]]]), 0.5, [0.0, 2.0, 2.0]),  # its own range
        (torch.tensor([[[0, 1, 1]]], dtype=torch.uint8), 1.0, [255, 255, 255]),
    ],
)
def test_brightness_adds_a_share_of_the_range_from_black_to_white(x: torch.Tensor, by: float, expected: list[float]):
    found = made(x, Brightened(by))
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found.flatten().tolist(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "by", "expected"),
    [
        (torch.tensor([[[0.25, 0.5, 0.75]]]), 0.5, [0.125, 0.5, 0.875]),
        (torch.tensor([[[0.25, 0.5, 0.75]]]), -1.0, [0.5, 0.5, 0.5]),
        (torch.tensor([[[0.0, 0.5, 1.0]]]), 9.0, [0.0, 0.5, 1.0]),
        (torch.tensor([[[0.0, 0.25], [0.25, 0.5]]]), 1.0, [0.0, 0.25, 0.25, 0.75]),
        (torch.tensor([[[10, 20, 60]]], dtype=torch.uint8), 1.0, [0, 10, 90]),
    ],
)
def test_contrast_moves_values_away_from_the_mean(x: torch.Tensor, by: float, expected: list[float]):
    np.testing.assert_allclose(made(x, Contrasted(by)).flatten().tolist(), expected, atol=1e-6)


def test_light_and_blur_leave_a_picture_that_they_do_not_change():
    for x in (photo(), 3 * photo() - 1, (255 * photo()).to(torch.uint8), photo(torch.float16)):
        for edit in (Brightened(0.0), Contrasted(0.0), Blurred(0.0)):
            assert torch.equal(made(x, edit), x)
    beyond = 2 * photo()  # of a picture that was registered darker: what lies beyond white stays

    def scale() -> tuple[float, float]:
        return 0.0, 1.0

    found = edited(beyond, Brightened(0.0), "image", None, lambda _: beyond, lambda _: [beyond], scale)
    assert torch.equal(found, beyond)


def test_light_has_the_scale_of_the_picture_as_it_was_registered():
    def first(text: str, xs: torch.Tensor) -> torch.Tensor:
        catalog = Catalog(inputs={"xs": entry("xs", xs)})
        (query,) = parse(f"select * from f({text})")
        return catalog.element(bind_input(query.operand.arguments[0], catalog)[0]).tensor

    dark = torch.zeros(1, 2, 2)
    assert first("brightness(clip(xs, 0, 1), 0.5)", torch.stack([dark, dark + 200])).flatten().tolist() == [127.5] * 4
    assert first("brightness(clip(xs, 0, 1), 0.5)", torch.stack([dark, dark + 1])).flatten().tolist() == [0.5] * 4


def test_brightness_and_contrast_compose_where_nothing_is_cut():
    x = 0.4 + 0.2 * photo(torch.float64)
    twice = made(made(x, Brightened(0.1)), Brightened(0.15))
    np.testing.assert_allclose(twice, made(x, Brightened(0.25)), rtol=1e-12)
    grown = made(made(x, Contrasted(0.5)), Contrasted(0.2))
    np.testing.assert_allclose(grown, made(x, Contrasted(0.8)), rtol=1e-12)
    assert grown.mean().item() == pytest.approx(x.mean().item(), rel=1e-12)


def test_a_blurred_picture_is_the_baseline_of_that_name():
    row, selects = Compare("=", Column("row"), Number(1)), torch.zeros(2, 7, 9, dtype=torch.bool)
    selects[:, 1] = True
    for x in (photo(), photo(torch.float64)):
        assert torch.equal(made(x, Blurred(2.5)), gaussian_blur(x, 2.5))
        assert torch.equal(torch.where(selects, made(x, Blurred(2.0)), x), made(x, Nullify(row, Blur(None, 2.0))))
    whole = (255 * photo()).to(torch.uint8)
    found = made(whole, Blurred(2.0))
    assert found.dtype == torch.uint8
    assert torch.equal(found, gaussian_blur(whole.float(), 2.0).round().to(torch.uint8))


def test_assign_puts_one_value_inside_the_window():
    x, window = photo(), Compare("<", Column("col"), Number(4))
    found = made(x, Assign(window, 2.5))
    assert (found[:, :, :4] == 2.5).all()
    assert torch.equal(found[:, :, 4:], x[:, :, 4:])
    row = torch.tensor([1.0, -2.0, 3.0])
    assert made(row, Assign(Compare("=", Column("feature"), Number(1)), 9.0), "tabular").tolist() == [1, 9, 3]
    tokens = torch.tensor([1, 2, 3, 4, 5])
    assert made(tokens, Assign(Compare("=", Column("position"), Number(3)), 7.0), "tokens").tolist() == [1, 2, 3, 7, 5]
    whole = (255 * photo()).to(torch.uint8)
    assert (made(whole, Assign(window, 255.0))[:, :, :4] == 255).all()
    for value in (256.0, 2.5, -1.0):
        with pytest.raises(BindError, match="is no value of"):
            made(whole, Assign(window, value))
    with pytest.raises(BindError, match="is beyond"):
        made(photo(torch.float16), Assign(window, 1e6))
    with pytest.raises(BindError, match="is a text"):
        made(x, Assign(window, "red"))


def test_values_that_leave_the_range_of_their_numbers_are_an_error():
    for edit in (Noise(1e308, 0), Clip(1e300, 1e308)):
        with pytest.raises(BindError, match=r"leaves the range of torch\.float32"):
            made(photo(), edit)
    assert torch.isfinite(made(photo(torch.float64), Noise(1e300, 0))).all()
    zeros = torch.zeros(1, 6, 6)
    for dtype in (torch.uint8, torch.int64, torch.uint64):  # whole numbers stay at the end that they would leave by
        found, known = made(zeros.to(dtype), Noise(1e30, 0)).double(), torch.iinfo(dtype)
        ends = torch.where(made(zeros, Noise(1.0, 0)) > 0, float(known.max), float(known.min))
        assert torch.allclose(found, ends.double(), rtol=1e-6)


# --- all of them

MOVES = st.one_of(
    st.builds(Rotate, st.floats(-720, 720), st.just(ZERO)),
    st.builds(Scale, st.floats(0.05, 20), st.just(ZERO)),
    st.builds(Shift, st.tuples(st.floats(-12, 12), st.floats(-12, 12)), st.just(ZERO)),
)


@pytest.mark.parametrize("edit", [Rotate(0.0, ZERO), Rotate(90.0, ZERO), Scale(1.0, ZERO), Shift((1.0, -2.0), ZERO)])
def test_a_pixel_that_is_no_number_stays_one_pixel(edit: Edit):
    """What has no share in a pixel says nothing of it, be it infinite: 0 · ∞ is not taken."""
    odd, rows, cols = (
        photo(torch.float64, (1, 7, 7)),
        *torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij"),
    )
    odd[0, 2, 3], odd[0, 4, 4] = math.inf, math.nan
    where = made(torch.stack([rows, cols]).double() + 1, edit).long() - 1  # −1 where the baseline is
    expected = torch.where(where[:1] >= 0, odd[:, where[0], where[1]], 0.0)
    assert torch.equal(made(odd, edit).nan_to_num(7.0), expected.nan_to_num(7.0))


def test_a_baseline_that_is_no_number_comes_in_with_a_move_where_it_stands():
    found = made(photo(), Shift((1.0, 0.0), Given(Source("odd"))))
    assert torch.equal(found[:, 1:], photo()[:, :-1])
    assert torch.isinf(found[:, 0, 3]).all()
    assert torch.equal(found.isinf().sum(), torch.tensor(2))


@settings(max_examples=60, deadline=None)
@given(MOVES)
def test_moves_make_means_of_what_is_there(edit: Edit):
    """Linear in the input, within its range, and a picture of ones shows how much of each pixel is covered."""
    x, y = photo(torch.float64), photo(torch.float64).flip(1)
    assert torch.allclose(made(2 * x - y, edit), 2 * made(x, edit) - made(y, edit), atol=1e-12)
    covered = made(torch.ones_like(x), edit)
    assert covered.min() >= -1e-12
    assert covered.max() <= 1 + 1e-12
    assert (made(x, edit) <= covered * x.max() + 1e-12).all()


def test_all_names_that_a_source_reads_are_told():
    window = Compare("<", Column("row"), Number(3))
    inner = Source("z", None, (Nullify(window, Mean("zs")),))
    source = Source(
        "x", 1, (Rotate(3.0, Given(inner)), Substitute(window, Source("y")), Shift((1.0, 1.0), Blur(Source("b"), 2.0)))
    )
    assert list(registered([source, Given(Source("g"))])) == ["x", "z", "zs", "y", "b", "g"]
    assert list(registered([Source("x", None, (Scale(2.0, Given(Source("s"))), Clip(0, 1), Noise(1, 1)))])) == [
        "x",
        "s",
    ]


def test_edits_are_nodes_that_print_as_they_are_written():
    window = Compare("<", Column("row"), Number(3))
    source = Source("two words", None, (Nullify(window, ZERO), Rotate(15.0, Constant(0.5)), Noise(0.1, 3)))
    assert str(source) == "noise(rotate(nullify(two words, row < 3), 15), 0.1, 3)"
    assert source.text == 'noise(rotate(nullify("two words", row < 3, baseline => 0), 15, baseline => 0.5), 0.1, 3)'
    assert Source("two words", None, (Nullify(window, ZERO), Rotate(15.0, Constant(0.5)), Noise(0.1, 3))) is source
    assert Source("two words", None, (Rotate(15.0, Constant(0.5)), Nullify(window, ZERO), Noise(0.1, 3))) is not source
    assert str(Source("xs", 2, (Clip(0.0, 1e-9), Scale(1 / 3, ZERO)))) == f"scale(clip(xs[2], 0, 1e-09), {1 / 3!r})"


# --- forms


KIND_INPUTS = {"image": photo(), "tabular": torch.tensor([1.0, -2.0, 3.0]), "tokens": torch.tensor([1, 2, 3, 4, 5])}
ARGUMENTS = {
    WindowArgument: "value > 1",
    InputArgument: "x",
    NumberArgument: "1",
    ValueArgument: "2",
    WholeArgument: "3",
}
FORMS = [(kind, form) for kind in KIND_INPUTS for form in EDITS.values() if form.arguments(KINDS[kind]) is not None]


def bound(text: str, **inputs: torch.Tensor) -> Source:
    catalog = Catalog(inputs={name: entry(name, x) for name, x in inputs.items()})
    (query,) = parse(f"select * from f({text})")
    (source,) = bind_input(query.operand.arguments[0], catalog)
    return source


@pytest.mark.parametrize(("kind", "form"), FORMS, ids=lambda each: each if isinstance(each, str) else each.name)
def test_every_edit_is_written_as_its_form_says_reads_what_it_says_and_keeps_the_shape(kind: str, form: EditForm):
    x = KIND_INPUTS[kind]
    given = [ARGUMENTS[type(each)] for each in form.arguments(KINDS[kind])]
    if kind == "tokens":
        given = [each.replace("value", "position") for each in given]
    source = bound(f"{form.name}({', '.join(['x', *given])})", x=x)
    (edit,) = source.edits
    assert form_of(edit) is form
    assert isinstance(edit, form.node)
    assert edited(x, edit, kind, None, lambda source: x, lambda name: [x]).shape == x.shape
    assert form.written(KINDS[kind]).count(",") == len(given)
    assert set(registered([source])) == {"x"}
    assert ("baseline" in edit.around("x", whole=True)) == form.takes_baseline
    assert bound(source.text, x=x) is source


def test_what_means_nothing_for_a_kind_is_no_edit_of_it():
    assert meaningful(KINDS["image"]) == tuple(EDITS)
    assert meaningful(KINDS["tabular"]) == ("nullify", "substitute", "assign", "clip", "noise")
    assert meaningful(KINDS["tokens"]) == ("nullify", "substitute", "assign", "shift")


@pytest.mark.parametrize("tried", [True, False])
def test_an_edit_that_is_expensive_is_not_made_before_it_is_asked_for(tried: bool, monkeypatch: pytest.MonkeyPatch):
    calls: list[Edit] = []

    def apply(edit: Edit, x: torch.Tensor, surroundings: Surroundings) -> torch.Tensor:
        calls.append(edit)
        return x

    slow = edit_form(Noise, apply, EDITS["noise"].arguments, takes_baseline=False, tried=tried)
    monkeypatch.setitem(EDITS, "noise", slow)
    monkeypatch.setitem(_FORMS, Noise, slow)
    source = bound("clip(noise(x, 1, 2), 0, 1)", x=photo())
    assert bool(calls) == tried
    calls.clear()
    Catalog(inputs={"x": entry("x", photo())}).element(source)
    assert calls == [Noise(1.0, 2)]


def test_other_inputs_are_made_only_when_an_edit_asks_for_them():
    asked: list[str] = []

    def element(source: Source) -> torch.Tensor:
        asked.append(source.name)
        return OTHERS[source.name]

    x = photo()
    for edit in (Clip(0.0, 1.0), Noise(1.0, 0), Nullify(Box(*map(Number, (1, 2, 4, 9))), ZERO)):
        edited(x, edit, "image", None, element, lambda name: [])
    assert not asked
    edited(x, Substitute(Compare("<", Column("col"), Number(4)), Source("y")), "image", None, element, lambda name: [])
    assert asked == ["y"]
