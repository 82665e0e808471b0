"""Estimators that take texts themselves, such as a pipeline of TfidfVectorizer and LogisticRegression.

In: an estimator whose first step makes numbers of texts. Out: a callable from texts that are spelled (B, T), one number
a character, to what the estimator returns; and what spells texts. A character that is absent is left out, so that an
absent word is no part of the text. Nothing is imported. Knows no query and no input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any, cast

from torch import Tensor

from ...errors import ModelError
from . import estimators
from .opened import Opened

ABSENT = 0
"""The number of a character that is left out."""

_WORDS = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]+")
_INSIDE = ("best_estimator_", "estimator", "estimators", "transformer_list")
"""Where estimators keep those that they ask, or a list of them, each with its name."""


@dataclass(frozen=True)
class Spelling:
    """A tokenizer that needs no vocabulary: the tokens of a text are its characters, numbered as in Unicode; its words
    are what stands between spaces, without the marks around it. Spaces never play."""

    mask_token_id: int = ABSENT

    def __call__(self, text: str) -> dict[str, object]:
        """A text (T characters) as `input_ids`, `tokens`, `word_ids` (None: a space) and `special_tokens_mask`."""
        words: list[int | None] = [None] * len(text)
        for number, found in enumerate(_WORDS.finditer(text)):
            words[found.start() : found.end()] = [number] * (found.end() - found.start())
        return {
            "input_ids": [ord(each) for each in text],
            "tokens": list(text),
            "word_ids": words,
            "special_tokens_mask": [int(each is None) for each in words],
        }


SPELLING = Spelling()
"""The one that models of texts bring."""


@dataclass(frozen=True, eq=False)
class TextCall:
    """An estimator that is given texts, as a list."""

    asked: estimators.EstimatorCall

    def __call__(self, batch: object) -> object:
        if not isinstance(batch, Tensor) or batch.dim() != 2 or batch.is_floating_point():
            given = f"numbers {tuple(batch.shape)}" if isinstance(batch, Tensor) else f"a {type(batch).__name__}"
            raise ModelError(
                f"takes texts, but the input is {given}; register a text, or a list of texts, as in "
                "register_input('x', 'some words') or register_input('xs', frame['text'].tolist())"
            )
        return self.asked(texts_of(batch))


def texts_of(batch: Tensor) -> list[str]:
    """The texts that numbers (B, T) spell, without what is absent."""
    rows = batch.detach().cpu().numpy().astype("<u4")
    return [row[row != ABSENT].tobytes().decode("utf-32-le", "surrogatepass") for row in rows]


def opened(model: object) -> Opened | None:
    """An estimator that takes texts as a callable, with what spells them; None for anything else.

    Raises BindError for an estimator that is not fitted.
    """
    if not estimators.is_estimator(model) and not isinstance(model, MethodType):
        return None
    found = estimators.opened(model)
    if found is None or not isinstance(found.run, estimators.EstimatorCall) or not takes_texts(found.run.estimator):
        return None
    return replace(found, run=TextCall(found.run), tokenizer=SPELLING)


def takes_texts(model: object) -> bool:
    """Whether what an estimator does first is to make numbers of texts."""
    if callable(getattr(model, "build_analyzer", None)):  # the vectorizers of scikit-learn
        return True
    steps = cast("list[tuple[str, object]]", getattr(model, "steps", None) or [])
    for _, step in steps:
        if step is not None and step != "passthrough" and type(step).__name__ != "FunctionTransformer":
            return takes_texts(step)
    if steps:
        return False
    return any(takes_texts(each) for each in _asked(model))


def _asked(model: object) -> list[object]:
    """The estimators inside one that gives them what it is given."""
    for name in _INSIDE:
        held: Any = getattr(model, name, None)
        if isinstance(held, list):
            return [each[1] if isinstance(each, tuple) else each for each in held]
        if held is not None:
            return [held]
    return []
