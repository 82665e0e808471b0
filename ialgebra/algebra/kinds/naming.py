"""The names of one text's tokens, and the words and sentences that they form.

In: what a tokenizer calls its tokens. Out: `TextNames`, where a token that continues a word has a name that begins with
"##", whatever marks the tokenizer uses. May not know: tokenizers, ids, models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...system.arrays import Array, Ints

CONTINUES = "##"
"""How the name of a token begins that continues the word of the token before."""

SPACE = "␣"
"""The name of a token that is nothing but the space before a word."""

FILLED = "[PAD]"
"""The name of what fills a text up."""

_MARKS = ("Ġ", "▁")  # of tokens that begin with a space
_END_OF_WORD = "</w>"
_ENDS = (".", "!", "?", "…", "。", "！", "？")  # of sentences
_CLOSERS = frozenset(")]}\"'”’»") | frozenset(_ENDS)


@dataclass(frozen=True)
class TextNames:
    """The names of the tokens of a text (T,). `words` (T,) has the number of each token's word, −1 for a special token,
    which stands in no word: it marks a text's beginning or end, or fills it up."""

    tokens: tuple[str, ...]
    words: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def special(self) -> Array:
        """Which tokens are special, bool (T,)."""
        return np.array(self.words) < 0

    @cached_property
    def word_names(self) -> tuple[str, ...]:
        """The whole word of each token (T,); a special token's own name."""
        pieces: dict[int, str] = {}
        for name, word in zip(self.tokens, self.words, strict=True):
            pieces[word] = glued(pieces.get(word, ""), name)
        return tuple(name if word < 0 else pieces[word] for name, word in zip(self.tokens, self.words, strict=True))

    @cached_property
    def sentences(self) -> tuple[int, ...]:
        """The number of each token's sentence (T,), −1 for a special token. A sentence ends with a full stop or its
        like, and what closes after it."""
        found: list[int] = []
        number, ended, before = 0, False, -1
        for name, word in zip(self.word_names, self.words, strict=True):
            if word < 0:
                found.append(-1)
                continue
            if word != before and ended and name not in _CLOSERS:
                number, ended = number + 1, False
            ended |= name.endswith(_ENDS)
            ended &= name.endswith(_ENDS) or name in _CLOSERS
            before = word
            found.append(number)
        return tuple(found)

    def lengthened(self, length: int) -> TextNames:
        """The names of a text that is filled up to this length; what is added is special."""
        more = length - len(self)
        return TextNames((*self.tokens, *(FILLED,) * more), (*self.words, *(-1,) * more)) if more > 0 else self

    def renamed(self, tokens: Sequence[str]) -> TextNames:
        """The same words with other names of tokens."""
        return TextNames(tuple(tokens), self.words)


def text_names(names: Sequence[str]) -> TextNames:
    """The names of tokens of which no more is known, as they are; their marks tell which of them begin a word."""
    plain = list(map(str, names))
    return named_tokens(plain, None, [False] * len(plain), plain).renamed(plain)


def named_tokens(
    tokens: Sequence[str], word_ids: Sequence[int | None] | None, special: Sequence[bool], surfaces: Sequence[str]
) -> TextNames:
    """The names of the tokens of a text. `tokens` are as the tokenizer calls them, `surfaces` what they are in the
    text, and `word_ids` the words that it found them in (None: it did not look for words)."""
    marks = any(token.startswith(_MARKS) for token in tokens)
    ends = any(token.endswith(_END_OF_WORD) for token in tokens)
    names, words, count = list[str](), list[int](), -1
    last: int | None = None
    for k, token in enumerate(tokens):
        if special[k]:
            names.append(token)
            words.append(-1)
            last = None
            continue
        fresh = k == 0 or words[-1] < 0 or token.startswith(_MARKS)
        if word_ids is not None:
            fresh |= word_ids[k] != last
            last = word_ids[k]
        elif ends:
            fresh |= tokens[k - 1].endswith(_END_OF_WORD)
        elif not marks:
            fresh |= not token.startswith(CONTINUES)
        count += fresh
        words.append(count)
        surface = surfaces[k].removeprefix(CONTINUES) if token.startswith(CONTINUES) else surfaces[k]
        names.append((surface or SPACE) if fresh else CONTINUES + surface)
    return TextNames(tuple(names), tuple(words))


def surface(token: str) -> str:
    """What a token is in the text, without the marks of its tokenizer."""
    if token.startswith(_MARKS):
        token = token[1:]
    return token.removesuffix(_END_OF_WORD)


def glued(before: str, name: str) -> str:
    """The text that ends with a token: a part of a word joins it."""
    if not before:
        return name
    before = "" if before == SPACE else before
    return before + name.removeprefix(CONTINUES)


def named_passages(names: Iterable[str], positions: Iterable[int], shown: int) -> str:
    """The name of a group of tokens at these positions: words that follow one another, of which at most `shown` are
    named; after a gap, a comma."""
    words: list[str] = []
    last = -2
    for name, position in zip(names, positions, strict=True):
        if words and position == last + 1 and (name.startswith(CONTINUES) or words[-1] == SPACE):
            words[-1] = glued(words[-1], name)
        else:
            words.append(name if position == last + 1 or not words else f", {name}")
        last = position
    text = ""
    for word in words[:shown]:
        text += word if word.startswith(", ") or not text else f" {word}"
    return text + (f" +{len(words) - shown}" if len(words) > shown else "")


def columns(names: TextNames) -> dict[str, Array]:
    """The columns of predicates that names make: the word of each token, and the names of tokens and words."""
    return {
        "word": np.array(names.words),
        "token_name": np.array(names.tokens, dtype=np.object_),
        "word_name": np.array(names.word_names, dtype=np.object_),
    }


def members(names: TextNames, what: str) -> Ints:
    """The number of each token's word or sentence (T,), −1 for a special token."""
    return np.array(names.words if what == "words" else names.sentences, dtype=np.int64)
