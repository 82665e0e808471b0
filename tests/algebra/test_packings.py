"""Packings: values of any type as numbers and back, and what models are called with."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from ialgebra.algebra.packings import PackedTensor, agreed, carrying, packing_of, plain
from ialgebra.algebra.packings.codes import code, is_code, numbers, value_of
from ialgebra.algebra.packings.frames import packed_frame
from ialgebra.algebra.packings.parts import InputPart, PartsPacking, packed_parts
from ialgebra.errors import BindError, ShapeError

DAYS = pd.Timestamp("2020-02-29") + pd.to_timedelta([0, 1, 2], unit="D")
FRAME = pd.DataFrame(
    {
        "whole": [1, -2, 3],
        "small": np.array([1, 2, 3], dtype=np.int8),
        "large": [2**62 + 1, -(2**62) - 1, 7],
        "unsigned": np.array([2**64 - 1, 0, 1], dtype=np.uint64),
        "fraction": [0.1, np.nan, -np.inf],
        "huge": [1.5 * 2.0**1000, 1e300, 0.0],
        "narrow": np.array([0.1, 0.2, np.nan], dtype=np.float32),
        "yes": [True, False, True],
        "maybe": pd.array([True, None, False], dtype="boolean"),
        "count": pd.array([5, None, 2**60 + 1], dtype="Int64"),
        "share": pd.array([0.5, None, 2.0], dtype="Float64"),
        "text": ["a", "", None],
        "string": pd.array(["a", "ü\n'", None], dtype="string"),
        "mixed": np.array(["a", 1, None], dtype=object),
        "truths": np.array([True, False, np.nan], dtype=object),
        "exact": np.array([decimal.Decimal("1.10"), datetime.date(2020, 1, 1), (1, "a")], dtype=object),
        "city": pd.Categorical(["A", None, "B"], categories=["B", "C", "A"]),
        "size": pd.Categorical([2, 1, 2], categories=[1, 2, 3], ordered=True),
        "day": DAYS,
        "moment": DAYS.as_unit("ns") + pd.to_timedelta([1, 10, 1001], unit="ns"),
        "far": np.array(["1000-01-01", "NaT", "3000-01-01"], dtype="datetime64[s]"),
        "zoned": DAYS.tz_localize("Europe/Berlin"),
        "gap": pd.to_timedelta([1, None, 3], unit="s"),
        "long": pd.to_timedelta([2**60, None, 3], unit="ns"),
        "sparse": pd.arrays.SparseArray([0.0, np.nan, 2.0]),
        "month": pd.period_range("2020-01", periods=3, freq="M"),
        "span": pd.interval_range(0, 3),
        3: [0.0, 1.0, 2.0],
        ("a", "b"): [0.0, 1.0, 2.0],
    }
)


def packed(frame: pd.DataFrame) -> Tensor:
    """The first row of a frame, with its packing."""
    held, packing = packed_frame("x", frame)
    return carrying(torch.from_numpy(held[0]), packing)


def test_a_frame_comes_back_with_its_dtypes_categories_and_missing_values() -> None:
    held, packing = packed_frame("x", FRAME)
    back = packing.unpack(torch.from_numpy(held))
    pd.testing.assert_frame_equal(back, FRAME, check_exact=True)
    assert [type(each) for each in back["mixed"]] == [str, int, type(None)]
    assert [type(each) for each in back["truths"]] == [bool, bool, float]
    one_by_one = pd.concat([packing.unpack(torch.from_numpy(row[None])) for row in held], ignore_index=True)
    pd.testing.assert_frame_equal(one_by_one.astype(FRAME.dtypes), FRAME, check_exact=True)


def test_equal_values_of_two_frames_have_equal_codes_whatever_stands_beside_them() -> None:
    one, _ = packed_frame("x", pd.DataFrame({"job": ["clerk", "baker"], "city": pd.Categorical(["A", "B"])}))
    other = pd.DataFrame({"job": ["baker"], "city": pd.Categorical(["B"], categories=["Z", "B", "A"])})
    two, _ = packed_frame("y", other)
    assert (one[1] == two[0]).all()
    assert not (one[0] == two[0]).any()


def test_values_that_are_equal_in_python_and_of_other_types_have_other_codes() -> None:
    values = [True, 1.0, "1", b"1", decimal.Decimal(1), "True", None, "None", (1,), ("1",)]
    found = [code(each) for each in values]
    assert len(set(found)) == len(values)
    assert is_code(np.array(found)).all()
    for each, held in zip(values, found, strict=True):
        assert value_of(held) == each
        assert type(value_of(held)) is type(each)
    assert code("clerk").hex() == "0x1.9e181e5a166dcp+1000"  # the same in every process
    with pytest.raises(BindError, match="edits with numbers"):
        value_of(code("clerk") * 1.0001)


def test_whole_numbers_are_exact_at_any_size() -> None:
    given = np.array([0, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
    held = numbers(given)
    assert is_code(held).tolist() == [False, False, False, True, True, True, False]
    assert [value_of(each) if coded else int(each) for each, coded in zip(held, is_code(held), strict=True)] == list(
        given
    )


def test_what_is_made_of_packed_tensors_carries_their_packing() -> None:
    held, packing = packed_frame("x", FRAME[["whole", "text"]])
    x, y, _ = (carrying(row, packing) for row in torch.from_numpy(held))
    made: list[Tensor] = [
        torch.stack([x, y]),
        torch.cat([x[None], y[None]]),
        torch.where(torch.tensor([True, False]), x, y),
        x[None],
        x.clone(),
        x.detach().cpu().to(torch.float64).contiguous(),
        torch.stack([x, y])[torch.tensor([True, False])],
        torch.stack([x, y])[1:],
    ]
    assert [packing_of(each) for each in made] == [packing] * len(made)
    assert not isinstance(plain(x), PackedTensor)
    assert packing_of(plain(x) + 1) is None


def test_rows_in_two_forms_cannot_share_a_batch() -> None:
    x, y = (packed(pd.DataFrame({name: [1.0]})) for name in "ab")
    with pytest.raises(ShapeError, match="different forms"):
        torch.stack([x, y])


def test_categories_that_only_a_background_has_come_last() -> None:
    x = pd.DataFrame({"city": pd.Categorical(["A"], categories=["B", "A"])})
    y = pd.DataFrame({"city": pd.Categorical(["C"], categories=["C", "A"])})
    one, two = agreed(packed(x), packed(y))
    packing = packing_of(one)
    assert packing is not None
    frame = packing.unpack(plain(torch.stack([one, two])))
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["city"]) == ["A", "C"]
    assert list(frame["city"].cat.categories) == ["B", "A", "C"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (pd.DataFrame({"b": ["u"], "a": [1]}), "in another order"),
        (pd.DataFrame({"a": [1]}), "lacks 'b'"),
        (pd.DataFrame({"a": [1], "c": ["u"]}), "lacks 'b'"),
        (pd.DataFrame({"a": ["1"], "b": ["u"]}), r"column 'a' is int64 in one frame and str in the other.*astype"),
        (pd.DataFrame({"a": [1], "b": pd.Categorical(["u"])}), "column 'b' is str in one frame and category"),
    ],
)
def test_frames_that_do_not_fit_together_say_why(other: pd.DataFrame, said: str) -> None:
    frames = (pd.DataFrame({"a": [1], "b": ["u"]}), other)
    x, y = map(packed, frames)
    with pytest.raises((BindError, ShapeError), match=said):
        agreed(x, y)


@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}, np.zeros(2), object()])
def test_a_cell_without_a_value_of_its_own_is_refused_by_its_column(cell: object) -> None:
    column = np.empty(1, dtype=object)
    column[0] = cell
    with pytest.raises(BindError, match=r"column 'bad'.*astype"):
        packed_frame("x", pd.DataFrame({"good": [1], "bad": column}))


def test_parts_come_back_in_their_shapes_and_types() -> None:
    parts = {
        "photo": torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2),
        "ids": torch.tensor([2**62 + 1, 3]),
        "weights": torch.tensor([0.1, 0.2], dtype=torch.float32),
    }
    row = packed_parts(parts)
    packing = PartsPacking(tuple(InputPart(name, tuple(each.shape), each.dtype) for name, each in parts.items()))
    back = packing.unpack(row[None])
    assert list(back) == list(parts)
    for name, each in parts.items():
        found = back[name]
        assert isinstance(found, Tensor)
        assert found.dtype == each.dtype
        assert torch.equal(found[0], each)
