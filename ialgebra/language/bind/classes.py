"""Classes of a model, named by a query. In: a value of the syntax tree, a model, and the input that it is given. Out:
the number of the class. An unknown class is a BindError that suggests the nearest one. It runs no model.
"""

from __future__ import annotations

from ...catalog.inputs import Entry
from ...catalog.texts import token_of
from ...errors import BindError
from .. import tree
from .models import KnownModel
from .options import class_reference


def is_every_class(value: tree.ValueExpr, network: KnownModel) -> bool:
    """Whether a value is the word `all` without quotes, and no class is called so."""
    return isinstance(value, tree.Name) and value.value.lower() == "all" and "all" not in (network.classes or ())


def bind_class(value: tree.ValueExpr, network: KnownModel, entry: Entry) -> int:
    """The number of the class that a name, a text or a number means. Of a language model, a text names the token that
    stands for it. Raises BindError for another class."""
    named = class_reference(value)
    if isinstance(named, str) and network.classes is None and (by := network.tokenizer or entry.tokenizer):
        token = token_of(by, named)
        if token is None:
            raise BindError(f"'{named}' is no token of the tokenizer of '{entry.name}'; name one token, or its number")
        named = token
    return network.class_index(named)
