"""Parameters of a text: each `?` becomes the value that stands for it. In: a text, and its values. Out: a text.

What is asked, kept in the history and repeated later is the text that comes out, so nothing else knows parameters. A
text stands for a name wherever a query has a name: an input, a view, a layer; elsewhere it is a text in quotes. This
file knows no catalog.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Final

import numpy as np
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from ..errors import BindError, Span
from ..system.checks import shown
from .dialect import IAlgebra

_QUOTED: Final = (TokenType.STRING, TokenType.IDENTIFIER)
_BEFORE_NAMES: Final = ("from", "join", "select", "describe", "view", "window")
_NAMED_OPTIONS: Final = ("baseline", "players")
"""Options of a model call whose values are names of inputs."""


def filled(text: str, params: Sequence[object]) -> str:
    """The text with its `?` replaced by `params`, in order.

    BindError, at its place, where their numbers differ or a value is neither a number nor a text.
    """
    try:
        tokens = list(IAlgebra().tokenize(text))
    except TokenError:
        return text  # which the reader refuses, in its own words
    marks = [number for number, token in enumerate(tokens) if token.text == "?" and token.token_type not in _QUOTED]
    if len(marks) != len(params):
        raise BindError(f"params has {len(params)} for the {len(marks)} of `?` in the text; give one for each").at(text)
    pieces, end = [], 0
    for number, value in zip(marks, params, strict=True):
        token = tokens[number]
        pieces += [
            text[end : token.start],
            _written(value, _names(tokens, number), Span(token.start, token.end + 1), text),
        ]
        end = token.end + 1
    return "".join([*pieces, text[end:]])


def _written(value: object, named: bool, span: Span, text: str) -> str:
    """A value as a query has it."""
    match value:
        case bool() | np.bool_():
            return str(bool(value)).lower()
        case Integral():
            return str(int(value))
        case Real() if math.isfinite(value):
            return repr(float(value))
        case str() if named:
            return '"' + value.replace('"', '""') + '"'
        case str():
            return "'" + value.replace("'", "''") + "'"
    raise BindError(f"a parameter must be a finite number or a text, not {shown(value)}", span).at(text)


def _names(tokens: Sequence[Token], number: int) -> bool:
    """Whether a name stands where the token with this number stands."""
    before = tokens[number - 1] if number else None
    if before is None:
        return False
    if before.token_type not in _QUOTED and before.text.lower() in _BEFORE_NAMES:
        return True
    if before.token_type == TokenType.FARROW:
        return number > 1 and tokens[number - 2].text.lower() in _NAMED_OPTIONS
    depth, opened = 0, number - 1
    if before.token_type not in (TokenType.L_PAREN, TokenType.COMMA):
        return False
    while opened >= 0:  # the parenthesis around the argument
        kind = tokens[opened].token_type
        depth += (kind == TokenType.R_PAREN) - (kind == TokenType.L_PAREN)
        if depth < 0:
            break
        opened -= 1
    if opened < 1:
        return before.token_type == TokenType.COMMA  # an item of a select list
    called = tokens[opened - 1]
    return called.token_type in (TokenType.VAR, TokenType.IDENTIFIER) or called.text == "?"
