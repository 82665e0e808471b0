"""Baselines are the tensors that their texts say, and refuse inputs for which they mean nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ialgebra.algebra.baselines import (
    Baseline,
    Blur,
    Constant,
    Given,
    Mean,
    check_baseline,
    gaussian_blur,
    materialise,
)
from ialgebra.algebra.sources import Source
from ialgebra.errors import BindError, ShapeError

IMAGE = torch.rand(2, 9, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOKENS = torch.tensor([3, 1, 2])
OTHERS = {
    "image": IMAGE.flip(2),
    "bytes": (IMAGE * 255).to(torch.uint8),
    "table": torch.tensor([1.5, 2.5, -1.0]),
    "tokens": torch.tensor([9, 8, 7]),
}


def element(source: Source) -> Tensor:
    return OTHERS[source.name]


def collection(name: str) -> list[Tensor]:
    return {"xs": [TOKENS.float(), torch.tensor([1.0, 4.0, 2.0])], "bytes": [OTHERS["bytes"], OTHERS["bytes"] // 2]}[
        name
    ]


def kind(x: Tensor) -> str:
    return "image" if x.dim() == 3 else "tabular" if x.is_floating_point() else "tokens"


def made(baseline: Baseline, x: Tensor) -> Tensor:
    return materialise(baseline, kind(x), x, element, collection)


def test_baselines_print_as_a_query_says_them() -> None:
    said = {
        Constant(): "0",
        Constant(1.0): "1",
        Constant(-0.5): "-0.5",
        Constant(1 / 3): repr(1 / 3),
        Constant(1e6): "1e+06",
        Constant(123456789.0): "123456789.0",
        Mean("xs"): "mean(xs)",
        Mean("my photos"): 'mean("my photos")',
        Blur(): "blur()",
        Blur(None, 2.5): "blur(2.5)",
        Blur(Source("y")): "blur(y)",
        Blur(Source("y"), 3.0): "blur(y, 3)",
        Given(Source("x'")): "x'",
        Given(Source("from", 3)): '"from"[3]',
    }
    for baseline, text in said.items():
        assert str(baseline) == text


def test_a_constant_fills_the_inputs_shape_in_its_dtype_where_that_can_hold_it() -> None:
    for value, x, dtype in (
        (0.5, IMAGE, torch.float64),
        (0.5, IMAGE.float(), torch.float32),
        (-3.0, IMAGE.float(), torch.float32),
        (7.0, OTHERS["bytes"], torch.uint8),
        (255.0, OTHERS["bytes"], torch.uint8),
        (0.0, OTHERS["bytes"], torch.uint8),
        (256.0, OTHERS["bytes"], torch.float32),
        (-1.0, OTHERS["bytes"], torch.float32),
        (0.5, OTHERS["bytes"], torch.float32),
        (5.0, TOKENS, torch.int64),
    ):
        filled = made(Constant(value), x)
        assert filled.dtype == dtype
        assert filled.shape == x.shape
        assert (filled == value).all()
    assert not made(Constant(), IMAGE).any()


def test_a_mean_is_that_of_the_collection() -> None:
    table = torch.zeros(3)
    assert made(Mean("xs"), table).tolist() == [2.0, 2.5, 2.0]
    halves = made(Mean("bytes"), OTHERS["bytes"])
    assert halves.dtype == torch.float32
    expected = (OTHERS["bytes"].double() + torch.div(OTHERS["bytes"], 2, rounding_mode="floor").double()) / 2
    assert torch.equal(halves.double(), expected)


def test_a_given_baseline_is_the_other_input_itself() -> None:
    assert made(Given(Source("image")), IMAGE) is OTHERS["image"]
    assert made(Given(Source("tokens")), TOKENS) is OTHERS["tokens"]


def blurred(image: np.ndarray, sigma: float, reach: int) -> np.ndarray:
    """Pixel by pixel: a Gaussian mean over rows, then over columns, of pixels as far as `reach`, borders repeated."""
    weights = {offset: math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-reach, reach + 1)}
    total = sum(weights.values())
    for axis in (1, 2):
        length, result = image.shape[axis], np.zeros_like(image)
        for offset, weight in weights.items():
            places = np.clip(np.arange(length) + offset, 0, length - 1)
            result += weight / total * np.take(image, places, axis=axis)
        image = result
    return image


@pytest.mark.parametrize(("sigma", "reach"), [(0.4, 1), (1.0, 3), (1.5, 5), (2.0, 6)])
def test_a_blur_is_a_gaussian_mean_cut_off_at_three_sigma(sigma: float, reach: int) -> None:
    expected = blurred(IMAGE.numpy(), sigma, reach)
    np.testing.assert_allclose(gaussian_blur(IMAGE, sigma).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(made(Blur(None, sigma), IMAGE).numpy(), expected, atol=1e-12)
    assert gaussian_blur(IMAGE.float(), sigma).dtype == torch.float32


def test_a_blur_keeps_a_plain_image_and_its_channels_apart() -> None:
    plain = torch.full((3, 5, 6), 2.5, dtype=torch.float64)
    np.testing.assert_allclose(gaussian_blur(plain, 2.0), plain, atol=1e-12)
    first = torch.zeros(2, 9, 9)
    first[0, 4, 4] = 1
    found = gaussian_blur(first, 1.0)
    assert not found[1].any()
    assert found[0].sum() == pytest.approx(1)
    assert found[0, 4, 4] == found.max()


def test_a_blur_far_wider_than_the_image_reaches_four_times_its_side() -> None:
    line = torch.linspace(0, 1, 5, dtype=torch.float64).expand(1, 3, 5)
    np.testing.assert_allclose(gaussian_blur(line, 1e6), blurred_far(line.numpy()), atol=1e-9)


def blurred_far(image: np.ndarray) -> np.ndarray:
    """Where all weights are equal: the mean of the line and of its ends, each repeated as far as the blur reaches."""
    for axis in (1, 2):
        length = image.shape[axis]
        window = [np.clip(np.arange(length) + k, 0, length - 1) for k in range(-4 * length, 4 * length + 1)]
        image = np.mean([np.take(image, places, axis=axis) for places in window], axis=0)
    return image


def test_a_blur_without_a_width_takes_a_twentieth_of_the_shorter_side_and_a_pixel_at_least() -> None:
    wide = torch.rand(1, 40, 60, generator=torch.Generator().manual_seed(1))
    assert torch.equal(made(Blur(), wide), gaussian_blur(wide, 2.0))
    assert torch.equal(made(Blur(), wide.transpose(1, 2)), gaussian_blur(wide.transpose(1, 2), 2.0))
    assert torch.equal(made(Blur(), IMAGE), gaussian_blur(IMAGE, 1.0))
    assert torch.equal(made(Blur(Source("image"), 1.5), IMAGE), gaussian_blur(OTHERS["image"], 1.5))
    assert torch.equal(made(Blur(Source("bytes"), 1.5), IMAGE), gaussian_blur(OTHERS["bytes"].float(), 1.5))


@pytest.mark.parametrize(
    ("baseline", "x", "error", "said"),
    [
        (Constant(0.5), TOKENS, BindError, "0.5 is no token; the baseline of a token input is a whole number"),
        (Constant(-1.0), TOKENS, BindError, "-1 is no token; the baseline of a token input is a whole number"),
        (Constant(2.0**70), TOKENS, BindError, r"1.1805916207174113e\+21 is no token; the baseline of a token input"),
        (Mean("xs"), TOKENS, BindError, r"mean\(xs\) is no baseline for tokens; name one of its elements, or a const"),
        (Blur(), TOKENS, BindError, r"blur is a baseline of images \(C, H, W\) only"),
        (Blur(None, 1.0), torch.zeros(4), BindError, r"blur is a baseline of images \(C, H, W\) only"),
        (
            Given(Source("table")),
            IMAGE,
            ShapeError,
            r"the baseline table has shape \(3,\), the input \(2, 9, 12\); they must be equal",
        ),
        (Blur(Source("table")), IMAGE, ShapeError, r"the baseline blur\(table\) has shape \(3,\), the input \(2, 9, 1"),
        (
            Given(Source("table")),
            TOKENS,
            BindError,
            "the baseline table holds fractions; the baseline of a token input is tokens",
        ),
    ],
)
def test_a_baseline_that_means_nothing_is_refused(
    baseline: Baseline, x: Tensor, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"^{said}"):
        check_baseline(baseline, kind(x), x, element)
    with pytest.raises(error, match=f"^{said}"):
        made(baseline, x)


@pytest.mark.parametrize(
    ("baseline", "x"),
    [
        (Constant(0.0), TOKENS),
        (Constant(3.0), TOKENS),
        (Constant(0.5), torch.zeros(3)),
        (Constant(-1.0), OTHERS["bytes"]),
        (Mean("xs"), torch.zeros(3)),
        (Mean("bytes"), OTHERS["bytes"]),
        (Given(Source("tokens")), torch.zeros(3)),
        (Given(Source("table")), torch.zeros(3)),
        (Given(Source("bytes")), IMAGE),
        (Blur(Source("bytes")), IMAGE),
        (Blur(), OTHERS["bytes"]),
    ],
)
def test_a_baseline_that_fits_passes(baseline: Baseline, x: Tensor) -> None:
    check_baseline(baseline, kind(x), x, element)
    assert made(baseline, x).shape == x.shape


def test_the_largest_token_is_that_of_the_dtype() -> None:
    small = TOKENS.to(torch.uint8)
    assert made(Constant(255.0), small).tolist() == [255] * 3
    with pytest.raises(BindError, match="256 is no token"):
        check_baseline(Constant(256.0), "tokens", small, element)


def test_sources_print_for_reading_and_as_query_text() -> None:
    assert str(Source("my input")) == "my input"
    assert Source("my input").text == '"my input"'
    assert str(Source("xs", 0)) == Source("xs", 0).text == "xs[0]"
    assert Source("my xs", 2).text == '"my xs"[2]'
    assert str(Source("x\0baseline")) == "x baseline"
