"""Partitions: descriptions of the players that the coalition game is played on.

In: their parameters. Out: interned nodes; `str(partition)` is the text in a query. `labelling` computes their labels.
May not know: inputs, or which partitions a kind of input has (see `kinds`).
"""

from __future__ import annotations

from .interning import Node, node
from .sources import Source


@node
class Pixels(Node):
    """Each pixel is a player, with all its channels; of a volume or a video each voxel."""

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
class Words(Node):
    """Each word of a text is a player, whatever tokens it is made of."""

    def __str__(self) -> str:
        return "words"


@node
class Sentences(Node):
    """Each sentence of a text is a player."""

    def __str__(self) -> str:
        return "sentences"


@node
class Grid(Node):
    """rows × cols cells over the bounding box of the window, so that a smaller window has smaller cells."""

    rows: int
    cols: int

    def __str__(self) -> str:
        return f"grid({self.rows}, {self.cols})"


@node
class Blocks(Node):
    """depth × rows × cols blocks over the bounding box of the window, of a volume or a video."""

    depth: int
    rows: int
    cols: int

    def __str__(self) -> str:
        return f"grid({self.depth}, {self.rows}, {self.cols})"


@node
class Parts(Node):
    """Each part of a composite is a player."""

    def __str__(self) -> str:
        return "parts"


@node
class OfParts(Node):
    """Each part of a composite has the players that an input of its kind has by default."""

    def __str__(self) -> str:
        return "of_parts"


@node
class Tile(Node):
    """Squares, or cubes, of `size` pixels anchored at the origin; of each, only the part in the window plays."""

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
class Groups(Node):
    """Features of a table in groups, each a player, by their names or by the beginning that one-hot columns share; a
    feature of no group is a player by itself."""

    groups: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        said = (quoted(each) if len(each) > 1 else quoted(each)[1:-1] for each in self.groups)
        return f"groups({', '.join(said)})"


def quoted(names: tuple[str, ...]) -> str:
    """Texts in parentheses as a query writes them."""
    return "(" + ", ".join("'" + name.replace("'", "''") + "'" for name in names) + ")"


@node
class Labels(Node):
    """An integer feature mask as in Captum, a registered input: equal numbers are one player, negative ones none."""

    source: Source

    def __str__(self) -> str:
        return self.source.text


@node
class OfConcepts(Node):
    """The attributes of a dictionary of concepts are the players: the game is played on the code of the input."""

    dictionary: str = "concepts"

    def __str__(self) -> str:
        return "concepts" if self.dictionary == "concepts" else f"concepts{quoted((self.dictionary,))}"


@node
class OnePlayer(Node):
    """The whole window is one player. No query writes it: it tells f(x) − f(x̄) in the terms of a game."""

    def __str__(self) -> str:
        return "whole"


Partition = (
    Pixels
    | Features
    | Tokens
    | Words
    | Sentences
    | Grid
    | Blocks
    | Parts
    | OfParts
    | Tile
    | Slic
    | Spans
    | Groups
    | Labels
    | OfConcepts
    | OnePlayer
)
