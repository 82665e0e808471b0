"""A predicate selects the features that its text says, one by one; what it does not say is an error at its word."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ialgebra.algebra.kinds import columns_of
from ialgebra.algebra.windows import (
    EVERYTHING,
    NOTHING,
    Box,
    Circle,
    Column,
    Compare,
    In,
    Mask,
    Window,
    WindowConstant,
    both,
    complement,
    either,
    evaluate,
)
from ialgebra.errors import BindError
from ialgebra.language.bind.predicates import bind_window
from ialgebra.language.reader import parse_predicate
from ialgebra.language.tree import (
    AbsoluteExpr,
    AndExpr,
    ArithmeticExpr,
    Between,
    CallExpr,
    Expression,
    Name,
    NegateExpr,
    NotExpr,
    Number,
    OrExpr,
    Text,
)
from ialgebra.language.tree import CompareExpr as Compared
from ialgebra.language.tree import InExpr as Member

IMAGE = np.random.default_rng(0).normal(size=(3, 6, 7)).round(1)
IMAGE[1, 2, 3], IMAGE[0, 0, 0] = np.nan, np.inf
W = Mask.of("w", np.random.default_rng(1).random((6, 7)) < 0.5)
WINDOWS: Mapping[str, Window] = {
    "w": W,
    "W": Mask.of("W", np.zeros((6, 7))),
    "x'": Mask.of("x'", np.random.default_rng(2).random((1, 6, 7)) < 0.5),
    "a b": Mask.of("a b", np.random.default_rng(3).random((3, 6, 7)) < 0.5),
    "not": Mask.of("not", np.ones((6, 7))),
    "row": Mask.of("row", np.eye(6, 7)),
    "top": Compare("<", Column("row"), WindowConstant(2)),
    "old": Compare("=", Column("feature"), WindowConstant("age")),
}
CHANNEL, ROW, COL = np.indices(IMAGE.shape)
NAMES = ("age", "bmi", "sex", "bp")
TABLE = np.array([0.5, -1.0, np.nan, 2.0])
IDS = np.array([5, 0, 2, 5])
WORDS = ("what", "an", "awful", "what")
VOCABULARY = ("an", "the", "awful", "film", "was", "what")


def bind(text: str, kind: str | None = "image", **names: tuple[str, ...]) -> Window:
    return bind_window(parse_predicate(text), WINDOWS, kind, **names)


def image(text: str) -> NDArray[np.bool_]:
    return evaluate(bind(text), columns_of("image", IMAGE, None))


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_images_select_by_row_col_channel_and_value() -> None:
    mask = W.array[None] & np.ones((3, 1, 1), bool)
    expected = {
        "row between 1 and 3": (ROW >= 1) & (ROW <= 3),
        "row between 1 and 3 and col >= 2 and not w": (ROW >= 1) & (ROW <= 3) & (COL >= 2) & ~mask,
        "channel = 1 or col <> 3": (CHANNEL == 1) | (COL != 3),
        "channel != 1": CHANNEL != 1,
        "col in (1, 5, 99)": np.isin(COL, (1, 5)),
        "row not in (1, 2)": ~np.isin(ROW, (1, 2)),
        "(row + col) % 2 = 0": (ROW + COL) % 2 == 0,
        "(row - 5) % 3 = 1": (ROW - 5) % 3 == 1,
        "abs(row - 3) * 2 + 1 <= col / 2": abs(ROW - 3) * 2 + 1 <= COL / 2,
        "-row > -2": ROW < 2,
        "10 - col - row > 2": 10 - COL - ROW > 2,
        "row < col": ROW < COL,
        "value > 0.2": IMAGE > 0.2,
        "box(1, 2, 4, 6)": (ROW >= 1) & (ROW < 4) & (COL >= 2) & (COL < 6),
        "BOX(0.5, 0, 2, 3.5)": (ROW >= 0.5) & (ROW < 2) & (COL < 3.5),
        "box(4, 4, 1, 1)": ROW < 0,
        "circle(2, 3, 2)": (ROW - 2) ** 2 + (COL - 3) ** 2 <= 4,
        "circle(2.5, 3, 0)": ROW < 0,
        "w": mask,
        "W": ROW < 0,
        '"a b"': WINDOWS["a b"].array,  # type: ignore[attr-defined]
        "row and row < 3": np.eye(6, 7, dtype=bool) & (ROW < 3),
        "top or x′": (ROW < 2) | WINDOWS["x'"].array,  # type: ignore[attr-defined]
        "true": ROW >= 0,
        "FALSE or not true": ROW < 0,
    }
    for text, selected in expected.items():
        np.testing.assert_array_equal(image(text), selected, err_msg=text)


def test_what_has_no_value_is_neither_selected_nor_excluded() -> None:
    nan = np.isnan(IMAGE)
    np.testing.assert_array_equal(image("not value > 0.2"), (IMAGE <= 0.2) & ~nan)
    np.testing.assert_array_equal(image("value <> 3"), (IMAGE != 3) & ~nan)
    np.testing.assert_array_equal(image("value > 0 or not value > 0"), ~nan)
    np.testing.assert_array_equal(image("value = value or row = 2"), ~nan | (ROW == 2))
    np.testing.assert_array_equal(image("not (value > 0 and row <> 2)"), ((IMAGE <= 0) & ~nan) | (ROW == 2))
    np.testing.assert_array_equal(image("12 / row >= 3"), (ROW >= 1) & (ROW <= 4))
    np.testing.assert_array_equal(image("not 12 / row >= 3"), ROW == 5)
    np.testing.assert_array_equal(image("col % row = 0 or not col % row = 0"), ROW > 0)
    np.testing.assert_array_equal(image("value not in (1, 2)"), ~np.isin(IMAGE, (1, 2)) & ~nan)
    assert not image("value > 1e300 * 1e300 / 0").any()


def test_tables_select_by_feature_and_value() -> None:
    columns = columns_of("tabular", TABLE, NAMES)
    expected = {
        "feature in ('age', 'bp')": [1, 0, 0, 1],
        "feature = 'bmi'": [0, 1, 0, 0],
        "'bmi' <> feature": [1, 0, 1, 1],
        "feature >= 2": [0, 0, 1, 1],
        "feature in ('age', 1)": [1, 1, 0, 0],
        "feature not in ('age', 1)": [0, 0, 1, 1],
        "value > 0": [1, 0, 0, 1],
        "old or value = 2": [1, 0, 0, 1],
    }
    for text, selected in expected.items():
        window = bind(text, "tabular", feature_names=NAMES)
        np.testing.assert_array_equal(evaluate(window, columns), np.array(selected, bool), err_msg=text)


def test_token_sequences_select_by_position_and_token() -> None:
    expected = {
        "token = 'awful'": [0, 0, 1, 0],
        "token in ('what', 'an')": [1, 1, 0, 1],
        "token = 5": [1, 0, 0, 1],
        "token <> 'what' and position < 2": [0, 1, 0, 0],
        "position between 1 and 2": [0, 1, 1, 0],
    }
    for text, selected in expected.items():
        for names in (WORDS, VOCABULARY):
            window = bind(text, "tokens", feature_names=names)
            np.testing.assert_array_equal(evaluate(window, columns_of("tokens", IDS, names)), np.array(selected, bool))


def test_a_word_that_the_tokens_lack_selects_nothing_but_one_that_the_vocabulary_lacks_is_an_error() -> None:
    window = bind("token = 'dull'", "tokens", feature_names=WORDS)
    assert not evaluate(window, columns_of("tokens", IDS, WORDS)).any()
    with pytest.raises(BindError, match="unknown token 'awfull'; did you mean 'awful'"):
        bind("token = 'awfull'", "tokens", vocabulary=VOCABULARY)


def test_equal_predicates_are_one_window() -> None:
    same = [
        "row < 3 and not w and col in (2, 1)",
        "col in (1, 2.0, 2) and (row < 3.0 and not w)",
        "not not (not w and true and ROW < 3) and col in (1, 2)",
    ]
    assert len({bind(text) for text in same}) == 1
    assert bind("w or true") is EVERYTHING
    assert bind("w and false") is NOTHING
    assert bind("not true") is NOTHING
    assert bind("'age' = feature", None) is bind("feature = 'age'", None)
    assert bind("- (3) < row") is bind("-3 < row")


def test_any_columns_may_be_named_before_the_input_is_known() -> None:
    window = bind("row < 3 or feature = 'age' or token = 'x' or position = 1 or channel = value + col", None)
    assert str(window)
    with pytest.raises(BindError, match="the window reads"):
        evaluate(window, columns_of("image", IMAGE, None))


AN_IMAGE = "an image has row, col, channel and value"
A_TABLE = "a tabular input has feature and value"
ERRORS = [
    ("image", "«rwo» < 3", f"unknown column 'rwo'; {AN_IMAGE}"),
    ("image", "row < 3 and «feature» = 3", f"unknown column 'feature'; {AN_IMAGE}"),
    ("tabular", "«col» < 3", f"unknown column 'col'; {A_TABLE}"),
    ("tokens", "«value» < 3", "unknown column 'value'; a token sequence has position, token and word"),
    ("none", "«rwo» < 3", "unknown column 'rwo'; did you mean 'row'?"),
    ("image", "w and «w2»", "unknown window 'w2'; did you mean 'w'?"),
    ("image", "«col»", "col alone selects nothing; compare it, as in col < 10"),
    ("image", "not («3»)", "3 alone selects nothing; compare it with a column"),
    ("image", "w or «'w'»", "the text 'w' selects nothing; a window's name has no single quotes"),
    ("image", "«row + 1»", "a calculation alone selects nothing; compare it with a number"),
    ("image", "«w» < 3", "'w' is a window, where a column is needed"),
    ("image", "row = «true»", "'true' is a window, where a column is needed"),
    (
        "image",
        "«1 < row» < 3",
        "a predicate, where a number is needed; predicates are joined by AND and OR",
    ),
    (
        "image",
        "row = «'age'»",
        "'age' is a text; only a feature, a token, a part or a table's value is compared with one",
    ),
    (
        "image",
        "row in (1, «'a'»)",
        "'a' is a text; only a feature, a token, a part or a table's value is compared with one",
    ),
    ("image", "row in (1, «col»)", "a list holds numbers and texts only"),
    ("image", "row + «'a'» < 3", "'a' is a text, where a number is needed"),
    ("image", "«box(1, 2, 3)»", "box takes 4 numbers: box(top, left, bottom, right)"),
    ("image", "«box(1, 2, 3, row)»", "box takes 4 numbers: box(top, left, bottom, right)"),
    ("image", "«circle(1, 2, radius => 3)»", "circle takes 3 numbers: circle(row, col, radius)"),
    ("image", "«circle(1, 2, -3)»", "the radius of a circle must be at least 0, not -3"),
    ("image", "«bx»(1, 2)", "unknown function 'bx'; did you mean 'box'?"),
    ("image", "«nott»(w)", "unknown function 'nott'; did you mean 'not'?"),
    ("image", "«box(1, 2, 3, 4)» > 1", "box is a window, where a number is needed"),
    ("image", "«sqrt»(row) < 3", "unknown function 'sqrt'; the one function is abs"),
    ("image", "w and «old»", f"window 'old' reads feature, but {AN_IMAGE}"),
    ("tabular", "«top»", f"window 'top' reads row, but {A_TABLE}"),
    ("tabular", "«box(1, 2, 3, 4)»", f"box is for images; {A_TABLE}"),
    ("tabular", "feature = «'bmu'»", "unknown feature 'bmu'; did you mean 'bmi'?"),
    ("tabular", "«age» > 3", "unknown column 'age'; a feature is named in quotes: feature = 'age'"),
    ("tabular", "feature = «bmi»", "unknown column 'bmi'; a feature is named in quotes: feature = 'bmi'"),
    ("tabular", "feature < «'bmi'»", "'bmi' has no order; compare it by = or <>"),
    ("tabular", "feature between 0 and «'bmi'»", "'bmi' is a text, where a number is needed"),
    (
        "tabular",
        "feature + 1 = «'bmi'»",
        "'bmi' is a text; only a feature, a token, a part or a table's value is compared with one",
    ),
    (
        "tabular",
        "«'bmi'» = 'bmi'",
        "'bmi' is a text; only a feature, a token, a part or a table's value is compared with one",
    ),
    ("unnamed", "feature = «'bmi'»", "no feature is named 'bmi': the input was registered without feature_names"),
]


@pytest.mark.parametrize(("kind", "marked", "message"), ERRORS)
def test_errors_stand_under_their_own_word(kind: str, marked: str, message: str) -> None:
    text = marked.replace("«", "").replace("»", "")
    kinds = {"none": None, "unnamed": "tabular"}
    with pytest.raises(BindError) as caught:
        bind_window(
            parse_predicate(text),
            WINDOWS,
            kinds.get(kind, kind),
            feature_names=NAMES if kind == "tabular" else None,
        )
    start, end = marked.index("«"), marked.index("»") - 1
    assert caught.value.message == message
    assert caught.value.span == (start, end)
    assert str(caught.value.at(text)).endswith(f"  {text}\n  {' ' * start}{'^' * (end - start)}")


# A second, slower reading of predicates: one pixel at a time, in Python's numbers, None where there is no value.


def truth(expression: Expression, pixel: tuple[int, int, int]) -> bool | None:
    match expression:
        case Name(name) if name in ("true", "false"):
            return name == "true"
        case Name(name):
            mask = WINDOWS[name]
            assert isinstance(mask, Mask)
            return bool(np.broadcast_to(mask.array, IMAGE.shape)[pixel])
        case NotExpr(of):
            inner = truth(of, pixel)
            return None if inner is None else not inner
        case AndExpr(parts) | OrExpr(parts):
            decisive = isinstance(expression, OrExpr)
            found = [truth(part, pixel) for part in parts]
            return decisive if decisive in found else None if None in found else not decisive
        case Between(of, low, high):
            return truth(AndExpr((Compared(">=", of, low, (0, 0)), Compared("<=", of, high, (0, 0))), (0, 0)), pixel)  # type: ignore[arg-type]
        case Member(of, values):
            return truth(OrExpr(tuple(Compared("=", of, value, (0, 0)) for value in values), (0, 0)), pixel)  # type: ignore[arg-type]
        case CallExpr(Name(name), arguments):
            numbers = [argument.value for argument in arguments if isinstance(argument, Number)]
            _, row, col = pixel
            if name == "box":
                top, left, bottom, right = numbers
                return top <= row < bottom and left <= col < right
            return (row - numbers[0]) ** 2 + (col - numbers[1]) ** 2 <= numbers[2] ** 2
        case Compared(op, left, right):
            one, other = value(left, pixel), value(right, pixel)
            if one is None or other is None:
                return None
            return {"=": one == other, "<>": one != other, "<": one < other, "<=": one <= other}.get(
                op, one > other or (op == ">=" and one == other)
            )
    raise AssertionError(expression)


def value(expression: Expression, pixel: tuple[int, int, int]) -> float | None:
    match expression:
        case Number(number):
            return float(number)
        case Name(name):
            channel, row, col = pixel
            here = {"row": row, "col": col, "channel": channel, "value": float(IMAGE[pixel])}[name]
            return None if math.isnan(here) else float(here)
        case NegateExpr(of):
            inner = value(of, pixel)
            return None if inner is None else -inner
        case AbsoluteExpr(of):
            inner = value(of, pixel)
            return None if inner is None else abs(inner)
        case ArithmeticExpr(op, left, right):
            one, other = value(left, pixel), value(right, pixel)
            if one is None or other is None or (op in "/%" and other == 0):
                return None
            if op == "%" and math.isinf(one):
                return None
            result = {
                "+": lambda: one + other,
                "-": lambda: one - other,
                "*": lambda: one * other,
                "/": lambda: one / other,
                "%": lambda: float(np.mod(one, other)),
            }[op]()
            return None if math.isnan(result) else result
    raise AssertionError(expression)


COLUMN = st.sampled_from(["row", "col", "channel", "value"])
DECIMAL = st.sampled_from(["0", "1", "2", "3", "5", "0.5", "-1", "- 2", ".3", "1e1"])
TERMS = st.recursive(
    COLUMN | DECIMAL,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/%"), inner)
        | st.builds("abs({})".format, inner)
        | st.builds("- {}".format, inner)
    ),
    max_leaves=4,
)
COMPARISON = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
ATOMS = (
    st.builds("{} {} {}".format, TERMS, COMPARISON, TERMS)
    | st.builds("{} {} {} and {}".format, TERMS, st.sampled_from(["between", "not between"]), TERMS, TERMS)
    | st.builds("{} {} ({}, {})".format, TERMS, st.sampled_from(["in", "not in"]), DECIMAL, DECIMAL)
    | st.sampled_from(["w", '"a b"', "x'", '"not"', "true", "false", "box(1, 1, 4, 5)", "circle(2, 3, 2)"])
)
PREDICATES = st.recursive(
    ATOMS,
    lambda inner: (
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("not {}".format, inner)
        | st.builds("({})".format, inner)
    ),
    max_leaves=5,
)
PIXELS = list(np.ndindex(*IMAGE.shape))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PREDICATES)
def test_a_predicate_selects_the_pixels_of_which_it_is_true(text: str) -> None:
    expression = parse_predicate(text)
    selected = evaluate(bind_window(expression, WINDOWS, "image"), columns_of("image", IMAGE, None))
    expected = [truth(expression, pixel) is True for pixel in PIXELS]
    np.testing.assert_array_equal(selected.ravel(), expected, err_msg=text)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(PREDICATES)
def test_a_windows_text_binds_to_the_same_window(text: str) -> None:
    window = bind(text)
    assert bind(str(window)) is window


def numbers() -> st.SearchStrategy[WindowConstant]:
    finite = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(WindowConstant, finite)


NAMED = st.builds(WindowConstant, st.text(max_size=8))
LEAVES = (
    st.sampled_from([W, WINDOWS["x'"], WINDOWS["a b"], WINDOWS["not"], EVERYTHING, NOTHING])
    | st.builds(Compare, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), st.just(Column("value")), numbers())
    | st.builds(Compare, st.sampled_from(["=", "<>"]), st.sampled_from([Column("feature"), Column("token")]), NAMED)
    | st.builds(In, st.just(Column("token")), st.lists(NAMED | numbers(), min_size=1, max_size=3).map(tuple))
    | st.builds(Box, numbers(), numbers(), numbers(), numbers())
    | st.builds(Circle, numbers(), numbers(), st.builds(WindowConstant, st.integers(0, 9)))
)
BUILT = st.recursive(
    LEAVES,
    lambda inner: st.builds(both, inner, inner, inner) | st.builds(either, inner, inner) | inner.map(complement),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(BUILT)
def test_a_window_built_in_python_prints_text_that_binds_to_it(window: Window) -> None:
    assert bind(str(window), None) is window


def test_texts_are_quoted_whatever_they_hold() -> None:
    for word in ("don't", "''", "", "a\nb", "-- no", "/* no */", "\0", "′", 'a "b"'):
        window = Compare("=", Column("token"), WindowConstant(word))
        assert bind(str(window), None) is window
        assert parse_predicate(f"token = {WindowConstant(word)}").right == Text(word, (0, 0))  # type: ignore[union-attr, arg-type]
