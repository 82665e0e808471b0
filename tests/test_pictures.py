"""Pictures of every kind beside those that were looked at and kept, in light colours and in dark ones.

`IALGEBRA_REWRITE=1` writes them anew, to be looked at: they lie in tests/fixtures/pictures. They are compared after
shrinking, since texts are set a little differently by other versions of matplotlib and FreeType.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import SHOWN

matplotlib = pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")
plots = pytest.importorskip("ialgebra.results.plots")

FOLDER = Path(__file__).with_name("fixtures") / "pictures"
PAPERS = {"light": "#ffffff", "dark": "#15161a"}
SHRUNK = 6  # pixels of a picture in one that is compared
LARGEST, USUAL = 0.20, 0.012  # differences of a compared pixel: the largest that is allowed, and the mean


def drawn(name: str, paper: str) -> bytes:
    answer, kind = SHOWN[name]
    with matplotlib.rc_context({"figure.facecolor": PAPERS[paper]}):
        return plots.png(answer.plot(kind), 60)


def small(content: bytes) -> np.ndarray:
    """The picture as means of squares of SHRUNK pixels, (h, w, 3) in [0, 1]."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float) / 255
    high, wide = (size // SHRUNK * SHRUNK for size in pixels.shape[:2])
    return pixels[:high, :wide].reshape(high // SHRUNK, SHRUNK, wide // SHRUNK, SHRUNK, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_is_the_one_that_was_looked_at(name: str, paper: str) -> None:
    path, content = FOLDER / f"{name}-{paper}.png", drawn(name, paper)
    if os.environ.get("IALGEBRA_REWRITE") == "1":
        path.parent.mkdir(exist_ok=True)
        Image.open(io.BytesIO(content)).convert("RGB").quantize(64, dither=0).save(path, optimize=True)
    found, kept = small(content), small(path.read_bytes())
    assert abs(found.shape[0] - kept.shape[0]) <= 1
    assert abs(found.shape[1] - kept.shape[1]) <= 1
    high, wide = np.minimum(found.shape, kept.shape)[:2]
    apart = np.abs(found[:high, :wide] - kept[:high, :wide])
    assert apart.mean() <= USUAL
    assert apart.max() <= LARGEST
