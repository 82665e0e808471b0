"""The drawings, by the names that kinds of inputs use. A new drawing is added here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .drawing import Drawing
from .image import PHOTO
from .series import COURSE
from .slices import MOSAIC
from .tabular import BAR_CHART
from .text import PASSAGE

DRAWINGS: Final[Mapping[str, Drawing]] = {each.name: each for each in (PHOTO, BAR_CHART, PASSAGE, COURSE, MOSAIC)}
