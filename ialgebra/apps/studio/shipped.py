"""The panels that come with the studio, in the order in which the page shows them."""

from __future__ import annotations

from typing import Final

from . import axes, concepts
from .panels import StudioPanel

SHIPPED: Final[tuple[StudioPanel, ...]] = (concepts.PANEL, axes.PANEL)
