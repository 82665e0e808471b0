"""Windows have one normal form, are evaluated on the columns of an input, and refuse what does not fit it."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from ialgebra.algebra.kinds import KINDS, columns_of
from ialgebra.algebra.windows import (
    EVERYTHING,
    NOTHING,
    Absolute,
    And,
    Arithmetic,
    Box,
    Circle,
    Column,
    Compare,
    In,
    Mask,
    Negate,
    Not,
    Or,
    WindowConstant,
    both,
    check_masks,
    complement,
    either,
    evaluate,
    reads,
    sql_name,
)
from ialgebra.errors import BindError, ShapeError

IMAGE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ROW, COL, VALUE = Column("row"), Column("col"), Column("value")
A = Compare("<", ROW, WindowConstant(2))
B = Compare(">=", COL, WindowConstant(1))
C = In(ROW, (WindowConstant(0), WindowConstant(2)))
M = Mask.of("m", np.eye(3, 4, dtype=bool))


def test_a_conjunction_has_one_normal_form_whatever_the_order() -> None:
    forms = {both(*order) for order in itertools.permutations([A, B, C, M])}
    forms |= {both(both(A, B), both(C, M, A)), both(A, both(B, both(C, both(M, EVERYTHING))))}
    assert len(forms) == 1
    (form,) = forms
    assert isinstance(form, And)
    assert set(form.parts) == {A, B, C, M}
    assert list(form.parts) == sorted(form.parts, key=lambda part: part.key)


def test_conjunctions_and_disjunctions_are_bounded_by_nothing_and_everything() -> None:
    assert both() is EVERYTHING
    assert both(A, EVERYTHING) is A
    assert both(A, A) is A
    assert both(A, B, NOTHING) is NOTHING
    assert either() is NOTHING
    assert either(A, NOTHING) is A
    assert either(A, A) is A
    assert either(A, B, EVERYTHING) is EVERYTHING
    assert either(A, either(B, C)) is either(C, B, A)
    assert isinstance(either(A, B), Or)
    assert both(A, either(B, C)) is not either(both(A, B), C)


def test_complement_is_an_involution() -> None:
    assert complement(complement(A)) is A
    assert isinstance(complement(A), Not)
    assert complement(EVERYTHING) is NOTHING
    assert complement(NOTHING) is EVERYTHING


def test_equal_content_is_one_object() -> None:
    assert WindowConstant(1) is WindowConstant(1.0) is WindowConstant(float(np.float32(1)))
    assert type(WindowConstant(np.float64(2.0)).value) is int
    assert type(WindowConstant(0.5).value) is float
    assert WindowConstant(-0.0) is WindowConstant(0)
    assert WindowConstant(1) is not WindowConstant("1")
    assert In(ROW, (WindowConstant(2), WindowConstant(0.0), WindowConstant(2))) is C
    assert Mask.of("m", np.eye(3, 4, dtype=int)) is M
    assert Mask.of("n", np.eye(3, 4)) is not M
    assert Mask.of("m", np.eye(4, 3)) is not M
    assert Mask.of("m", np.zeros((4, 4))) is not Mask.of("m", np.zeros((2, 8)))


def test_keys_do_not_depend_on_the_process() -> None:
    assert both(C, A).key == both(A, C).key == "4fbcdd5112ff67b4e312f4ad", (
        "seeds and orders of past answers depend on it"
    )


def test_windows_print_as_predicates() -> None:
    printed = {
        EVERYTHING: "true",
        NOTHING: "false",
        M: "m",
        Mask.of("my mask", [[True]]): '"my mask"',
        complement(either(M, A)): f"not ({either(M, A)})",
        Compare("=", Column("token"), WindowConstant("don't")): "token = 'don''t'",
        Compare(
            "<", Arithmetic("*", Arithmetic("+", ROW, COL), Negate(ROW)), WindowConstant(-1.5)
        ): "(row + col) * -row < -1.5",
        Compare(
            ">", Arithmetic("-", ROW, Arithmetic("-", COL, WindowConstant(-3))), WindowConstant(1)
        ): "row - (col - -3) > 1",
        Compare(">", Negate(Arithmetic("+", ROW, COL)), Absolute(Negate(ROW))): "-(row + col) > abs(-row)",
        Box(*map(WindowConstant, (1, 2, 3, 4.5))): "box(1, 2, 3, 4.5)",
        Circle(*map(WindowConstant, (1, 2, 3))): "circle(1, 2, 3)",
        C: "row in (0, 2)",
    }
    for window, text in printed.items():
        assert str(window) == text
    assert len(repr(Mask.of("big", np.zeros((999, 999))))) < 40, "a mask's bits are not for reading"


def test_names_are_quoted_where_the_language_could_not_read_them() -> None:
    for plain in ("w", "x'", "f''", "layer4.2.conv1", "w_2", "budget"):
        assert sql_name(plain) == plain
    assert sql_name("Select") == '"Select"'
    assert sql_name("größe") == '"größe"', "letters of ASCII alone go bare"
    assert sql_name('a "b"') == '"a ""b"""'
    assert [sql_name(odd) for odd in ("", "2", "a-b", "x'y")] == ['""', '"2"', '"a-b"', '"x\'y"']


def test_the_columns_of_each_kind() -> None:
    image = columns_of("image", IMAGE, None)
    channel, row, col = np.indices(IMAGE.shape)
    for name, expected in {"row": row, "col": col, "channel": channel, "value": IMAGE}.items():
        np.testing.assert_array_equal(np.broadcast_to(image[name], IMAGE.shape), expected)
    table = columns_of("tabular", np.array([1.0, 2.0]), ("a", "b"))
    assert table["feature"].tolist() == [0, 1]
    assert table["feature_name"].tolist() == ["a", "b"]
    tokens = columns_of("tokens", np.array([2, 0, 2]), ("x", "y", "z", "t"))
    assert tokens["token_name"].tolist() == ["z", "x", "z"], "more words than positions are a vocabulary"
    tokens = columns_of("tokens", np.array([2, 0, 2]), ("x", "y", "z"))
    assert tokens["token_name"].tolist() == ["x", "y", "z"], "as many words as positions are the words themselves"
    for kind, columns in (("image", image), ("tabular", table), ("tokens", tokens)):
        assert set(KINDS[kind].columns) <= set(columns)


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"an image has shape \(channels, rows, cols\), not \(3, 4\)"):
        columns_of("image", IMAGE[0], None)
    with pytest.raises(ShapeError, match=r"a tabular input has shape \(features,\), not \(1, 2\)"):
        columns_of("tabular", np.zeros((1, 2)), None)
    with pytest.raises(ShapeError, match=r"3 feature names do not name the features of an input of shape \(2,\)"):
        columns_of("tabular", np.zeros(2), ("a", "b", "c"))
    with pytest.raises(ShapeError, match="2 feature names"):
        columns_of("tokens", np.array([0, 1, 2]), ("a", "b"))
    with pytest.raises(BindError, match="unknown kind of input 'imag'; did you mean 'image'"):
        columns_of("imag", IMAGE, None)


def test_a_mask_fits_the_image_or_is_spread_over_its_channels() -> None:
    columns = columns_of("image", IMAGE, None)
    eye = np.eye(3, 4, dtype=bool)
    for mask in (eye, eye[None], np.stack([eye, eye])):
        np.testing.assert_array_equal(evaluate(Mask.of("m", mask), columns), np.stack([eye, eye]))
    for wrong in (
        np.eye(4, 3),
        np.zeros((3, 3, 4)),
        np.zeros((2, 1, 4)),
        np.zeros(4),
        np.zeros((1, 1, 3, 4)),
        np.True_,
    ):
        with pytest.raises(ShapeError) as caught:
            evaluate(both(A, complement(Mask.of("my", wrong))), columns)
        shapes = f"window 'my' has shape {np.shape(wrong)}, which does not fit an input of shape (2, 3, 4)"
        assert caught.value.message == shapes
    table = columns_of("tabular", np.zeros(4), None)
    assert evaluate(Mask.of("m", [1, 0, 0, 1]), table).tolist() == [True, False, False, True]
    with pytest.raises(ShapeError, match=r"shape \(1, 4\).*shape \(4,\)"):
        evaluate(Mask.of("m", [[1, 0, 0, 1]]), table)
    with pytest.raises(BindError, match="mask 'm' must be boolean"):
        Mask.of("m", [0, 1, 2])


def test_masks_are_checked_wherever_they_stand_in_a_window() -> None:
    wrong = Mask.of("wrong", np.eye(4, 3))
    for window in (wrong, complement(wrong), both(A, wrong), either(A, both(B, complement(wrong)))):
        with pytest.raises(ShapeError, match=r"^window 'wrong' has shape"):
            check_masks(window, IMAGE.shape)
    for window in (M, complement(M), both(A, M), either(M, C), EVERYTHING, Box(*map(WindowConstant, (0, 0, 1, 1)))):
        check_masks(window, IMAGE.shape)


def test_every_window_has_the_inputs_shape_and_cannot_be_spoilt() -> None:
    columns = columns_of("image", IMAGE, None)
    for window in (EVERYTHING, NOTHING, A, M, C, both(A, B), Box(*map(WindowConstant, (0, 0, 1, 1)))):
        selected = evaluate(window, columns)
        assert selected.shape == IMAGE.shape
        assert selected.dtype == np.bool_
        with pytest.raises(ValueError, match="read-only"):
            selected[...] = False
    assert evaluate(EVERYTHING, columns).all()


def test_values_of_any_dtype_are_compared_as_numbers() -> None:
    for dtype in (np.float16, np.int8, np.uint8, np.int64, np.bool_):
        columns = columns_of("image", IMAGE.astype(dtype), None)
        above = evaluate(Compare(">", Arithmetic("-", VALUE, WindowConstant(1)), WindowConstant(-0.5)), columns)
        np.testing.assert_array_equal(above, IMAGE.astype(dtype).astype(float) - 1 > -0.5)
    small = columns_of("image", (IMAGE * 10).astype(np.uint8), None)
    doubled = evaluate(Compare(">", Arithmetic("+", VALUE, VALUE), WindowConstant(255)), small)
    np.testing.assert_array_equal(doubled, IMAGE * 20 > 255)
    np.testing.assert_array_equal(evaluate(Compare("<", Negate(VALUE), WindowConstant(-5)), small), IMAGE * 10 > 5)
    huge = evaluate(Compare("<", VALUE, WindowConstant(10**300)), columns_of("image", IMAGE.astype(np.int64), None))
    assert huge.all()


def test_a_predicate_without_a_value_selects_nothing_and_warns_nowhere() -> None:
    columns = columns_of("tabular", np.array([0.0, np.nan, 4.0, -np.inf]), None)
    undefined = Compare(">", Arithmetic("/", WindowConstant(1), VALUE), WindowConstant(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(undefined, columns).tolist() == [False, False, True, False]
        assert evaluate(complement(undefined), columns).tolist() == [False, False, False, True]
        assert evaluate(either(undefined, complement(undefined)), columns).tolist() == [False, False, True, True]
        modulo = Compare("=", Arithmetic("%", VALUE, VALUE), WindowConstant(0))
        assert evaluate(modulo, columns).tolist() == [False, False, True, False]


def test_a_window_tells_which_columns_it_reads() -> None:
    assert reads(both(A, complement(either(M, Compare("<", Absolute(Negate(VALUE)), WindowConstant(1)))))) == {
        "row",
        "value",
    }
    assert (
        reads(Box(*map(WindowConstant, (0, 0, 1, 1))))
        == reads(Circle(*map(WindowConstant, (0, 0, 1))))
        == {"row", "col"}
    )
    assert reads(In(Arithmetic("+", ROW, Column("channel")), (WindowConstant(1),))) == {"row", "channel"}
    assert reads(EVERYTHING) == reads(M) == frozenset()


def test_a_column_or_a_name_that_the_input_lacks_is_an_error() -> None:
    with pytest.raises(BindError) as caught:
        evaluate(Compare("=", Column("feature"), WindowConstant(1)), columns_of("image", IMAGE, None))
    known = "row, col, channel, value"
    assert sorted(caught.value.message.split("it has ")[1].split(", ")) == sorted(known.split(", "))
    named = columns_of("tabular", np.zeros(2), ("a", "b"))
    with pytest.raises(
        BindError, match=r"^the window reads 'row', which this input does not have; it has feature, value$"
    ):
        evaluate(Compare("=", ROW, WindowConstant(1)), named)
    with pytest.raises(BindError, match="'age' names no feature: the input was registered without feature_names"):
        evaluate(Compare("=", Column("feature"), WindowConstant("age")), columns_of("tabular", np.zeros(2), None))


def test_nodes_refuse_what_no_predicate_can_mean() -> None:
    with pytest.raises(BindError, match="must be finite, not nan"):
        WindowConstant(float("nan"))
    with pytest.raises(BindError, match="at least 0, not -1"):
        Circle(WindowConstant(0), WindowConstant(0), WindowConstant(-1))
