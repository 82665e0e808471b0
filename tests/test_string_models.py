"""Estimators that take texts themselves: values by enumeration over texts from which words are cut out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ialgebra
from ialgebra.errors import BindError, ModelError

pytest.importorskip("sklearn")
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer

GOOD = ("a good film", "good and kind", "we loved this film", "kind people, a joy", "a joy to see")
BAD = ("a bad film", "bad and dull", "we hated this film", "dull people, a bore", "a bore to see")
TEXTS, CLASSES = [*GOOD, *BAD], ["good"] * 5 + ["bad"] * 5
TEXT, WORDS = "we  loved this dull film, café!", ["we", "loved", "this", "dull", "film", ",", "café", "!"]

MODELS: dict[str, Callable[[], Any]] = {
    "tfidf": lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, CLASSES),
    "counts": lambda: make_pipeline(CountVectorizer(ngram_range=(1, 2)), MultinomialNB()).fit(TEXTS, CLASSES),
    "characters": lambda: make_pipeline(TfidfVectorizer(analyzer="char_wb"), LogisticRegression()).fit(TEXTS, CLASSES),
    "decisions": lambda: make_pipeline(HashingVectorizer(n_features=64), SGDClassifier()).fit(TEXTS, CLASSES),
    "values": lambda: make_pipeline(TfidfVectorizer(), Ridge()).fit(TEXTS, range(10)),
    "searched": lambda: GridSearchCV(
        make_pipeline(TfidfVectorizer(), LogisticRegression()), {"logisticregression__C": [1.0, 9.0]}, cv=2
    ).fit(TEXTS, CLASSES),
    "united": lambda: make_pipeline(
        FunctionTransformer(), make_union(CountVectorizer(), TfidfVectorizer(analyzer="char")), LogisticRegression()
    ).fit(TEXTS, CLASSES),
    "calibrated": lambda: CalibratedClassifierCV(
        make_pipeline(TfidfVectorizer(), LogisticRegression()), cv=2
    ).fit(TEXTS, CLASSES),
}  # fmt: skip


def score(model: Any, text: str, target: int) -> float:
    """What the model returns for a class of a text, or its one output."""
    for method in ("predict_proba", "decision_function", "predict"):
        if hasattr(model, method):
            found = np.asarray(getattr(model, method)([text]))[0]
            return float(found if found.ndim == 0 else found[target])
    raise AssertionError


def enumerated(play: Callable[[str], float], text: str, words: list[str]) -> list[float]:
    """Shapley values of the words of a text, by Eq. 1; an absent word is cut out of the text."""
    spans, start = [], 0
    for word in words:
        first = text.index(word, start)
        spans.append((first, start := first + len(word)))

    def value(present: tuple[int, ...]) -> float:
        gone = {k for n, (first, last) in enumerate(spans) if n not in present for k in range(first, last)}
        return play("".join(each for k, each in enumerate(text) if k not in gone))

    count = len(words)
    values = {s: value(s) for size in range(count + 1) for s in itertools.combinations(range(count), size)}
    return [
        sum(
            math.factorial(len(s)) * math.factorial(count - len(s) - 1) / math.factorial(count)
            * (values[tuple(sorted((*s, k)))] - value_without)
            for s, value_without in values.items() if k not in s
        )
        for k in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_a_model_of_texts_takes_a_text_and_its_words_have_the_values_of_enumeration(model: str) -> None:
    fitted = MODELS[model]()
    con = ialgebra.connect(progress=False)
    con.register_model("f", fitted)
    con.register_input("x", TEXT)
    (a,) = con.sql("select * from f(x)")
    assert a.player_names() == WORDS
    pair = model == "decisions"  # one decision, which speaks for the second class and against the first
    sign = -1.0 if pair and a.target == 0 else 1.0
    expected = enumerated(lambda text: sign * score(fitted, text, int(a.target or 0)), TEXT, WORDS)
    assert np.allclose(a.values, expected, atol=1e-5)
    assert a.full_value == pytest.approx(sign * score(fitted, TEXT, int(a.target or 0)), abs=1e-5)


def test_texts_come_one_by_one_in_lists_and_in_any_order_of_registration() -> None:
    con = ialgebra.connect(progress=False)
    with pytest.raises(BindError, match="tokenizer='words' for a model that takes texts"):
        con.register_input("early", "a good film")
    con.register_input("early", "a good film", tokenizer="words")
    con.register_model("f", MODELS["tfidf"]())
    con.register_input("all", ["a good film", "dull", "we hated this very bad film"])
    (early,) = con.sql("select * from f(early)")
    first, second, third = con.sql("select * from f(all)")
    assert np.allclose(first.values, early.values, atol=1e-6)
    assert second.player_names() == ["dull"]
    assert third.player_names() == ["we", "hated", "this", "very", "bad", "film"]
    (window,) = con.sql("select * from f(early) where word = 'good'")
    assert window.player_names() == ["good"]


def test_what_is_no_text_for_a_model_of_texts_is_refused_with_advice_that_works() -> None:
    pandas = pytest.importorskip("pandas")
    con = ialgebra.connect(progress=False)
    con.register_model("f", MODELS["tfidf"]())
    frame = pandas.DataFrame({"text": ["a good film", "a bad film"]})
    con.register_input("frame", frame, baseline="frame")
    with pytest.raises(ModelError, match=r"register_input\('xs', frame\['text'\]\.tolist\(\)\)"):
        con.sql("select * from f(frame)")
    con.register_input("xs", frame["text"].tolist())
    assert [a.player_names() for a in con.sql("select * from f(xs)")] == [["a", "good", "film"], ["a", "bad", "film"]]
    con.register_input("numbers", np.arange(3.5))
    with pytest.raises(ModelError, match="takes texts"):
        con.sql("select * from f(numbers)")


def test_a_text_for_tokens_and_a_model_of_texts_do_not_meet() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", MODELS["tfidf"]())
    con.register_input("ids", "a good film", tokenizer=lambda text: [1, 2, 3])
    with pytest.raises(BindError, match="register it with tokenizer='words'"):
        con.sql("select * from f(ids)")
    con.register_model("g", lambda batch: batch.float().sum(1, keepdim=True))
    con.register_input("words", "a good film", tokenizer="words")
    with pytest.raises(BindError, match="register it with the tokenizer of its model"):
        con.sql("select * from g(words)")
