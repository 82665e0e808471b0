"""The kinds of inputs: images, tabular inputs, token sequences.

What lives here: one module per kind, each with one `InputKind` value, and their registry. In: names of kinds, and
shapes, types and values of inputs. Out: kinds, columns for predicates and names of players. All other rooms read the
registry where they depend on the kind of an input, so that a new kind is one module here, its line in the registry, and
a drawing if none of the present ones serves. It may not know the catalog, queries, plans, or how drawings are made.
"""

from .kind import InputKind, Layout
from .registry import (
    KINDS,
    all_columns,
    columns_of,
    describe_columns,
    forms,
    is_batch,
    kind_named,
    kind_of,
    named_columns,
)

__all__ = [
    "KINDS",
    "InputKind",
    "Layout",
    "all_columns",
    "columns_of",
    "describe_columns",
    "forms",
    "is_batch",
    "kind_named",
    "kind_of",
    "named_columns",
]
