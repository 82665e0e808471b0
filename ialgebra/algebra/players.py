"""Partitions: descriptions of the players that the coalition game is played on.

In: their parameters. Out: interned nodes; `str(partition)` is the text in a query. `labelling` computes their labels.
May not know: inputs, or which partitions a kind of input has (see `kinds`).
"""

from __future__ import annotations

from .interning import Node, node
from .sources import Source


@node
class Pixels(Node):
    """Each pixel is a player, with all its channels."""

    def __str__(self) -> str:
        return "pixels"


@node
class Features(Node):
    """Each feature of a tabular input is a player."""

    def __str__(self) -> str:
        return "features"


@node
class Tokens(Node):
    """Each token is a player."""

    def __str__(self) -> str:
        return "tokens"


@node
class Grid(Node):
    """rows × cols cells over the bounding box of the window, so that a smaller window has smaller cells."""

    rows: int
    cols: int

    def __str__(self) -> str:
        return f"grid({self.rows}, {self.cols})"


@node
class Tile(Node):
    """Squares of `size` pixels anchored at the origin; of a square, only the part in the window plays."""

    size: int

    def __str__(self) -> str:
        return f"tile({self.size})"


@node
class Slic(Node):
    """About `segments` superpixels of the input (scikit-image's SLIC)."""

    segments: int

    def __str__(self) -> str:
        return f"slic({self.segments})"


@node
class Spans(Node):
    """About `count` spans of time of equal length, each over all channels; of the window's times, where it has some."""

    count: int

    def __str__(self) -> str:
        return f"spans({self.count})"


@node
class Labels(Node):
    """An integer feature mask as in Captum, a registered input: equal numbers are one player, negative ones none."""

    source: Source

    def __str__(self) -> str:
        return self.source.text


Partition = Pixels | Features | Tokens | Grid | Tile | Slic | Spans | Labels
