"""Where a cursor stands in a text that is being typed: the word that was begun, the parentheses that are open, and what
the statement speaks of.

In: the words of a text as the language's own lexer makes them, a catalog. Out: frames, the innermost last. A text that
is being typed has no tree, so this looks at the words alone. May not know: what is offered there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlglot.tokenizer_core import Token, TokenType

from ....algebra.windows import RESERVED
from ....catalog.catalog import Catalog
from ....catalog.inputs import Entry
from ....language.dialect import lexed
from ....models.network import Network

QUOTED: Final = (TokenType.STRING, TokenType.IDENTIFIER)
_CLAUSES: Final = (
    *("SELECT", "PREDICT", "FROM", "JOIN", "WHERE", "HAVING", "ORDER", "LIMIT", "USING", "BUDGET", "ERROR", "WITHIN"),
    *("SHOW", "DESCRIBE", "SET", "DROP", "CREATE"),
)


@dataclass
class OpenFrame:
    """What is known of a parenthesis, or of a statement: whose call it is, its clause, and how far it is."""

    call: str = ""
    clause: str = ""
    commas: int = 0
    option: str = ""
    first: int = 0  # the number of its first token


class StatementSubject(NamedTuple):
    """The first model and the first input that a statement names."""

    model: Network | None
    entry: Entry | None


def word_begun(before: str) -> tuple[int, list[Token] | None]:
    """Where the word at the end of a text begins, and the words before it; None within a comment."""
    tokens, opening = lexed(before)
    if opening is not None:
        return opening, None if before.startswith("/*", opening) else tokens
    end = tokens[-1].end + 1 if tokens else 0
    if "--" in before[end:].rpartition("\n")[2]:
        return len(before), None
    if end == len(before) and tokens and tokens[-1].token_type not in QUOTED and _is_word(before[tokens[-1].start]):
        return tokens[-1].start, tokens[:-1]
    return len(before), tokens


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def frames_of(tokens: Sequence[Token]) -> list[OpenFrame]:
    """The statement and the parentheses that are open at its end, the innermost last."""
    frames = [OpenFrame()]
    for number, token in enumerate(tokens):
        frame, before = frames[-1], tokens[number - 1] if number else None
        match token.token_type:
            case TokenType.L_PAREN:
                called = before is not None and _is_name(before)
                frames.append(OpenFrame(before.text if called and before else "", frame.clause, first=number + 1))
            case TokenType.R_PAREN:
                if len(frames) > 1:
                    frames.pop()
            case TokenType.COMMA:
                frame.commas, frame.option = frame.commas + 1, ""
            case TokenType.FARROW:
                frame.option = before.text.lower() if before is not None else ""
            case _ if token.token_type not in QUOTED and token.text.upper() in _CLAUSES:
                frame.clause = token.text.upper()
    return frames


def _is_name(token: Token) -> bool:
    if token.token_type == TokenType.IDENTIFIER:
        return True
    return token.token_type == TokenType.VAR and token.text.lower() not in RESERVED


def subject_of(tokens: Sequence[Token], catalog: Catalog) -> StatementSubject:
    """The first model after FROM or PREDICT, and the first input after that."""
    asked = next((n for n, each in enumerate(tokens) if each.text.upper() in ("FROM", "PREDICT", "JOIN")), None)
    network: Network | None = None
    for token in tokens[asked + 1 :] if asked is not None else ():
        name = token.text.replace("′", "'")
        if token.token_type == TokenType.STRING:
            continue
        if network is None and name in catalog.models:
            network = catalog.models[name]
        elif name in catalog.visible:
            return StatementSubject(network, catalog.visible[name])
    return StatementSubject(network, None)
