"""Texts and tokenizers: sentences, or what a tokenizer made of them, in; ids with names, words and special tokens out.

A tokenizer is one of Hugging Face's, fast or slow, a `tokenizers.Tokenizer`, or any callable from a text to ids or to a
mapping with `input_ids`. None is imported. May not know models, the catalog, queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from ..algebra.baselines import AbsentToken
from ..algebra.kinds.naming import TextNames, named_tokens, surface
from ..errors import BindError, ShapeError

ABSENT = ("mask", "pad", "unk", "drop")
"""What may stand for an absent token, as queries call it."""


@dataclass(frozen=True)
class AbsentTokens:
    """The tokens of a tokenizer that may stand for absent ones; None where it has none."""

    mask: int | None = None
    pad: int | None = None
    unk: int | None = None

    @property
    def default(self) -> AbsentToken:
        """The mask token or, without one, nothing."""
        return AbsentToken("mask", self.mask) if self.mask is not None else self.named("drop")

    def named(self, word: str) -> AbsentToken:
        """What stands for absent tokens if a query says this word. Raises BindError for a token that there is not."""
        if word == "drop":
            return AbsentToken("drop", self.pad or 0)
        token: int | None = getattr(self, word)
        if token is None:
            known = [each for each in ABSENT if each == "drop" or getattr(self, each) is not None]
            raise BindError(f"the tokenizer has no {word} token; it has {', '.join(map(repr, known))}")
        return AbsentToken(word, token)


_PICTURE = re.compile(r"\S\.(png|jpe?g|webp|gif|bmp|tiff?|heic|avif|ppm)$", re.IGNORECASE)


class ReadText(NamedTuple):
    """A text as a tokenizer reads it: ids (T,), the attention mask and the types (None: none), and names."""

    ids: Tensor
    attention: Tensor
    types: Tensor | None
    names: TextNames


def token_of(tokenizer: object, word: str) -> int | None:
    """The id of the token that stands for a word inside a text, or of the token of this name; None if there is none."""
    find = getattr(tokenizer, "convert_tokens_to_ids", None) or getattr(tokenizer, "token_to_id", None)
    if find is None:
        return None
    unknown = getattr(tokenizer, "unk_token_id", None)
    for each in (f"Ġ{word}", f"▁{word}", word, word.replace(" ", "Ġ"), word.replace(" ", "▁")):
        found = find(each)
        if isinstance(found, int) and found != unknown:
            return found
    return None


def token_name(tokenizer: object, token: int) -> str:
    """What a token stands for in a text, without the space before it; the tokenizer's name where that is nothing."""
    (own,) = _tokens(tokenizer, [token])
    return _surface(tokenizer, own).strip() or own


def is_picture_file(value: object) -> bool:
    """Whether a value is the path of a picture, or a list of such: it ends as one."""
    paths = list(value) if isinstance(value, list | tuple) else [value]
    return bool(paths) and all(isinstance(each, str | PathLike) and _PICTURE.search(str(each)) for each in paths)


def is_text(value: object) -> bool:
    """Whether a value is a text, or a list, array or Series of texts."""
    return isinstance(value, str) or _texts(value) is not None


def names_its_tokens(value: object) -> bool:
    """Whether a value is what a fast tokenizer of Hugging Face returns, or such a value as scripts write it: it tells
    the names of its tokens."""
    return isinstance(value, Mapping) and (bool(getattr(value, "encodings", None)) or "token_names" in value)


def said_absent(value: object) -> AbsentTokens | None:
    """What a script says may stand for absent tokens."""
    said = value.get("absent_tokens") if isinstance(value, Mapping) else None
    return AbsentTokens(**said) if isinstance(said, Mapping) else None


def no_tokenizer(name: str) -> BindError:
    """The error for a text of which nobody says how it becomes tokens."""
    return BindError(
        f"input '{name}' is a text; say which tokenizer makes it tokens: register_input({name!r}, …, "
        "tokenizer=tokenizer), the one of its model; tokenizer='words' for a model that takes texts themselves, such "
        "as a pipeline of scikit-learn with a vectorizer"
    )


def read_texts(name: str, value: object, tokenizer: object) -> tuple[list[ReadText], bool, AbsentTokens]:
    """The texts of an input, filled up at their ends to one length; whether it is a collection; and what may stand for
    absent tokens. `value` is a text, several, or what a tokenizer returned for some: a mapping or ids.

    Raises BindError for what is no tokenizer, or no text; ShapeError for a text without tokens.
    """
    texts = [value] if isinstance(value, str) else _texts(value)
    if texts is not None:
        if isinstance(tokenizer, str):
            raise BindError(
                f"tokenizer= of input '{name}' is the text {tokenizer!r}, which makes no tokens; give the tokenizer "
                f"itself: tokenizer=transformers.AutoTokenizer.from_pretrained({tokenizer!r}), or 'words' for a model "
                "that takes texts themselves"
            )
        if isinstance(tokenizer, bytes) or not (callable(tokenizer) or hasattr(tokenizer, "encode")):
            raise BindError(f"tokenizer= of input '{name}' is a {type(tokenizer).__name__}, which makes no tokens")
        found = [_read(name, _encoded(tokenizer, text), tokenizer) for text in texts]
        collection = not isinstance(value, str)
    else:
        parts, collection = _rows(name, value)
        found = [_read(name, part, tokenizer) for part in parts]
    absent = absent_tokens(tokenizer)
    return filled(found, absent), collection, absent


def absent_tokens(tokenizer: object) -> AbsentTokens:
    """The special tokens of a tokenizer by which absent ones may be replaced."""

    def token(word: str) -> int | None:
        known = getattr(tokenizer, f"{word}_token_id", None)
        find = getattr(tokenizer, "token_to_id", None)
        if known is None and find is not None:  # of the library `tokenizers`
            known = next((t for text in _USUAL[word] if (t := find(text)) is not None), None)
        return known if type(known) is int else None

    return AbsentTokens(*(token(word) for word in ("mask", "pad", "unk")))


_USUAL = {"mask": ("[MASK]", "<mask>"), "pad": ("[PAD]", "<pad>"), "unk": ("[UNK]", "<unk>")}


def filled(texts: Sequence[ReadText], absent: AbsentTokens) -> list[ReadText]:
    """The texts at one length: what is missing at the end is padding, which attention does not see."""
    length = max((len(each.ids) for each in texts), default=0)
    pad = next((each for each in (absent.pad, absent.unk) if each is not None), 0)
    typed = any(each.types is not None for each in texts)
    return [_longer(each, length, pad, typed) for each in texts]


def _longer(text: ReadText, length: int, pad: int, typed: bool) -> ReadText:
    missing = length - len(text.ids)
    types = text.types if text.types is not None or not typed else torch.zeros_like(text.ids)

    def more(part: Tensor, value: int) -> Tensor:
        return torch.nn.functional.pad(part, (0, missing), value=value)

    longer = more(text.ids, pad), more(text.attention, 0), None if types is None else more(types, 0)
    return ReadText(*longer, text.names.lengthened(length))


def _texts(value: object) -> list[str] | None:
    """The texts in a list, an array or a Series of nothing else; None for anything else."""
    if isinstance(value, Mapping | Tensor) or not isinstance(value, Iterable) or isinstance(value, str):
        return None
    if getattr(value, "ndim", 1) == 0:  # an array of one number or object, which says that it can be iterated
        return None
    if not isinstance(value, list | tuple) and getattr(value, "dtype", None) not in (object, "str", "string"):
        return None
    found = list(value)
    return [str(each) for each in found] if found and all(isinstance(each, str) for each in found) else None


def _encoded(tokenizer: object, text: str) -> Mapping[str, object]:
    """What a tokenizer makes of one text."""
    if not callable(tokenizer):  # one of the library `tokenizers`
        return _of_encoding(cast("Any", tokenizer).encode(text))
    found = tokenizer(text)
    if isinstance(found, Mapping):
        return _with_names(found, 0)
    return {"input_ids": found}


def _of_encoding(encoding: Any) -> dict[str, object]:
    return {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
        "tokens": encoding.tokens,
        "word_ids": encoding.word_ids,
        "special_tokens_mask": encoding.special_tokens_mask,
    }


def _with_names(found: Mapping[str, object], row: int) -> dict[str, object]:
    """The parts of a row, with the names and words that a fast tokenizer of Hugging Face keeps beside them."""
    encodings = cast("Any", getattr(found, "encodings", None))
    kept = {key: found[key] for key in _PARTS if found.get(key) is not None}
    if not encodings or row >= len(encodings):
        return kept
    held = _of_encoding(encodings[row])
    return {key: held[key] for key in ("tokens", "word_ids", "special_tokens_mask")} | kept


_PARTS = (
    *("input_ids", "attention_mask", "token_type_ids", "special_tokens_mask", "tokens", "word_ids"),
    *("token_names", "token_words"),
)


def _rows(name: str, value: object) -> tuple[list[Mapping[str, object]], bool]:
    """The texts in what a tokenizer returned, and whether there may be several."""
    if isinstance(value, Mapping):
        if "input_ids" not in value:
            raise BindError(f"input '{name}' is a mapping without 'input_ids', which is no text of a tokenizer")
        return _split(value)
    if isinstance(value, list | tuple) and value and all(isinstance(each, Mapping) for each in value):
        parts = [part for each in cast("list[Mapping[str, object]]", value) for part in _split(each)[0]]
        return parts, True
    if isinstance(value, Tensor | np.ndarray | list | tuple):
        return _split({"input_ids": value})
    raise BindError(f"input '{name}' is a {type(value).__name__}; with tokenizer=, a text or token ids are registered")


def _split(parts: Mapping[str, object]) -> tuple[list[Mapping[str, object]], bool]:
    ids = _list(parts["input_ids"])
    if not ids or not isinstance(ids[0], list):
        return [_with_names(parts, 0)], False
    found: list[Mapping[str, object]] = []
    for row in range(len(ids)):
        held = _with_names(parts, row)
        for key in _PARTS:
            if parts.get(key) is not None and key in parts:
                held[key] = _list(parts[key])[row]
        found.append(held)
    return found, len(ids) > 1


def _list(value: object) -> list[Any]:
    return value.tolist() if isinstance(value, Tensor | np.ndarray) else list(cast("Iterable[Any]", value))


def _read(name: str, parts: Mapping[str, object], tokenizer: object) -> ReadText:
    """One text from its parts; what is missing of them is asked of the tokenizer."""
    held = _list(parts["input_ids"])
    if len(held) == 1 and isinstance(held[0], list | Tensor | np.ndarray):
        held = _list(held[0])
    if not held or not all(isinstance(each, int | np.integer) for each in held):
        raise ShapeError(f"the tokenizer of input '{name}' made no token ids of it: {str(held)[:60]}")
    ids = [int(each) for each in held]
    if (said := _flat(parts.get("token_names"))) and (words_said := _flat(parts.get("token_words"))):
        names = TextNames(tuple(map(str, said)), tuple(map(int, words_said)))
        return ReadText(torch.tensor(ids), *_riders(parts, len(ids)), names)
    tokens = _flat(parts.get("tokens")) or _tokens(tokenizer, ids)
    special = [bool(each) for each in _flat(parts.get("special_tokens_mask")) or _special(tokenizer, ids)]
    attention, types = _riders(parts, len(ids))
    special = [each or not seen for each, seen in zip(special, attention.tolist(), strict=True)]
    words = None if parts.get("word_ids") is None else cast("list[int | None]", _flat(parts["word_ids"]))
    names = named_tokens(tokens, words, special, _surfaces(tokenizer, tokens))
    return ReadText(torch.tensor(ids), attention, types, names)


def _riders(parts: Mapping[str, object], length: int) -> tuple[Tensor, Tensor | None]:
    """The attention mask of a text, and its types if some are not 0."""
    attention = torch.tensor(_flat(parts.get("attention_mask")) or [1] * length)
    types = torch.tensor(_flat(parts.get("token_type_ids")) or [0])
    return attention, types if bool(types.any()) else None


def _flat(value: object) -> list[Any]:
    """A part of one text as a list; empty where there is none."""
    found = [] if value is None else _list(value)
    return _list(found[0]) if len(found) == 1 and isinstance(found[0], list) else found


def _tokens(tokenizer: object, ids: list[int]) -> list[str]:
    convert = getattr(tokenizer, "convert_ids_to_tokens", None)
    if convert is not None:
        return [str(each) for each in convert(ids)]
    find = getattr(tokenizer, "id_to_token", None)
    return [str(find(each)) if find is not None else str(each) for each in ids]


def _special(tokenizer: object, ids: list[int]) -> list[bool]:
    known = set(getattr(tokenizer, "all_special_ids", ())) - {getattr(tokenizer, "unk_token_id", None)}
    return [each in known for each in ids]


def _surfaces(tokenizer: object, tokens: list[str]) -> list[str]:
    """What tokens are in the text. Of several that are bytes of one character, the first one has it."""
    found = [_surface(tokenizer, each) for each in tokens]
    convert = getattr(tokenizer, "convert_tokens_to_string", None)
    first = 0
    while convert is not None and first < len(tokens):
        last = first
        while last < len(tokens) and _PART_OF_CHARACTER in found[last]:
            last += 1
        if last > first:
            found[first:last] = [str(convert(tokens[first:last])).strip(), *[""] * (last - first - 1)]
        first = last + 1
    return found


_PART_OF_CHARACTER = "\ufffd"


def _surface(tokenizer: object, token: str) -> str:
    """What a token is in the text. Tokens of bytes are decoded by their tokenizer."""
    plain = surface(token)
    if plain.isascii() and token.isascii():
        return plain
    convert = getattr(tokenizer, "convert_tokens_to_string", None)
    if convert is None:
        return plain
    decoded = str(convert([token])).strip()
    return decoded if decoded or not plain else plain
