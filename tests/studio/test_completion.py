"""What is offered at the cursor, and where a text is wrong: by the language's own parser and binder, without a row."""

from __future__ import annotations

import random
import time

import pytest
import torch

import ialgebra
from ialgebra.apps.studio.document.completion import Completion, TextProblem, completed, problem
from ialgebra.catalog.catalog import Catalog
from ialgebra.language.reader import parse
from tests import grammar
from tests.grammar import Grammar
from tests.studio import dictionaries, documents


@pytest.fixture
def catalog() -> Catalog:
    return documents.session()._catalog


def offered(text: str, catalog: Catalog) -> tuple[int, list[str]]:
    """What is offered at the bar of a text, and from where."""
    found = completed(text.replace("|", "", 1), text.index("|"), catalog)
    return found.start, [each.label for each in found.options]


IMAGE = ["row", "col", "channel", "value"]
EDITS = [
    f"{name}("
    for name in [
        "nullify",
        "substitute",
        "assign",
        "scale",
        "rotate",
        "shift",
        "clip",
        "noise",
        "brightness",
        "contrast",
        "blur",
    ]
]

EXACTLY: dict[str, list[str]] = {
    "sel|": ["select"],
    "select | from t(row)": ["*", "1", "2", "3", "4", "5", "fc1", "l", "fc2", "act2", "head"],
    "select 2, c| from f(cat)": ["conv1", "conv2", "act2"],
    "select * |": ["as", "from"],
    "select * from |": ["f", "g", "many", "t", "words", '"select"'],
    "select * from f(ca|": ["cat", "scan", "scale("],
    'select * from f("a|': ['"a ""quoted"" name"'],
    "select * from f(nullify(cat, r|": ["row", "circle("],
    "select * from f(substitute(cat, w, do|": ["dog"],
    "select * from f(rotate(cat, |": ["steps("],
    "select * from f(each(ca|": ["cat", "scan", "scale("],
    "select * from words(assign(passage, position < 2, 'g|": ["'good'"],
    "select * from f(cat |": [],
    "select * from f(cat, |": ["target =>", "baseline =>", "players =>", "output =>", "contrast =>"],
    "select * from f(cat, target => |": ["'lynx'", "'tabby'", "'it''s'", "all"],
    "select * from f(cat, target => 'l|": ["'lynx'"],
    "select * from f(cat, output => |": ["logit", "probability", "log_odds"],
    "select * from f(cat, players => gr|": ["grid("],
    "select * from words(passage, players => |w": ["tokens", "words", "sentences", "cat", "dog"],
    "select * from f(cat) |": [
        *("anti join", "join", "where", "having", "order by", "limit", "using", "budget", "error within", "within")
    ],
    "select * from f(cat) where w |": [
        *("and", "or", "having", "order by", "limit", "using", "budget", "error within", "within")
    ],
    "select * from f(cat) where |": ["w", '"select"', *IMAGE, "box(", "circle(", "not"],
    "select * from t(row) where feature = |": ["'age'", "'bmi'", "'it''s'", "'select'", "'e'"],
    "select * from t(row) where feature in ('age', 'b|": ["'bmi'"],
    "select * from words(passage) where token = 'a|": ["'awful'", "'was'"],
    "select * from f(xs) having prediction = |": ["'lynx'", "'tabby'", "'it''s'"],
    "select * from f(xs) order by index |": ["desc", "asc", "limit", "using", "budget", "error within", "within"],
    "select * from f(xs) order by mass(|": ["w", '"select"', *IMAGE, "box(", "circle("],
    "select * from f(cat) using permutations(|": [],
    "select * from f(cat) using shapley(met|": ["method =>"],
    "select * from f(cat) error within 5% |": ["at confidence", "having", "order by", "limit", "within"],
    "select * from f(cat) within 2 |": ["seconds", "milliseconds"],
    "select * from (|": ["select"],
    "select * from f(cat, baseline => mean(|": ["xs", "table"],
    "select * from f(mean(xs|": ["xs"],
    "show |": ["models", "inputs", "windows", "views", "concepts", "generators", "axes", "history"],
    "drop window |": ["w", '"select"'],
    "set strategy = |": ["as_written", "laws", "fused", "best", "default"],
    "create |": ["or replace", "window", "view", "axis"],
    "explain |": ["analyze", "select", "predict"],
    "predict |": ["f", "g", "many", "t", "words", '"select"'],
    "predict f, m|": ["many"],
    "predict f |": ["from"],
    "predict f(|": ["target =>", "output =>", "layer =>"],
    "predict f(output => lo|": ["logit", "log_odds"],
    "predict f(layer => con|": ["conv1", "conv2"],
    "predict f from sca|": ["scan", "scale("],
    "predict f from xs |": ["having", "order by", "limit"],
    "predict f from xs order by score(f, 'l|": ["'lynx'"],
    "show models; select * from f(cat) whe|": ["where"],
    "select * from f(cat) -- a comment |": [],
    "select * from f(cat) /* a comment |": [],
    "select * from f('|": [],
    "select * from h(cat, target => |": [],
}


@pytest.mark.parametrize("text", EXACTLY)
def test_what_may_stand_at_the_cursor_is_offered(text, catalog):
    _, labels = offered(text, catalog)
    expected = EXACTLY[text]
    assert labels[: len(expected)] == expected
    assert len(labels) == len(expected) or text.endswith("=> |w"), labels


def test_an_input_may_be_edited_by_what_means_something_for_its_kind(catalog):
    _, labels = offered("select * from f(|", catalog)
    assert labels[:3] == ["cat", "dog", "xs"]
    assert labels[-len(EDITS) :] == EDITS
    _, labels = offered("select * from words(|passage)", catalog)
    assert [each for each in labels if each.endswith("(")] == ["nullify(", "substitute(", "assign(", "shift("]


def test_options_say_what_they_are(catalog):
    found = completed("select  from f(cat)", 7, catalog).options
    assert found[:3] == (
        Completion("*", "layer", "the model itself"),
        Completion("1", "layer", "conv1, no head yet"),
        Completion("2", "layer", "l"),
    )
    assert Completion("f", "model", "Sequential, 7 layers, 3 classes, 2 trained heads") in (
        completed("select * from ", 14, catalog).options
    )
    assert Completion("w", "window", "row < 3") in completed("select * from f(cat) where ", 27, catalog).options
    assert Completion("cat", "input", "image, (2, 6, 6), torch.float32") in (
        completed("select * from f(", 16, catalog).options
    )


def test_of_a_thousand_classes_those_that_are_meant_are_offered(catalog):
    start, labels = offered("select * from many(cat, target => 'NUMBER 99|", catalog)
    assert start == len("select * from many(cat, target => ")
    assert labels == ["'class number 99'", *(f"'class number {number}'" for number in range(990, 996))]
    _, labels = offered("select * from many(cat, target => |", catalog)
    assert labels[:4] == ["'lynx'", "'tabby''s'", "'the \"cat\"'", "'</script>'"]
    assert len(labels) == 60


def test_what_is_offered_may_stand_there_wherever_that_is(catalog):
    """Each option, put in, gives a text that goes on: the parser does not stop before its end."""
    for text in EXACTLY:
        plain, at = text.replace("|", "", 1), text.index("|")
        found = completed(plain, at, catalog)
        for option in found.options:
            written = plain[: found.start] + option.label
            assert stops(written) >= len(written), written


def stops(text: str) -> int:
    """Where the parser stops reading."""
    try:
        parse(text)
    except ialgebra.ParseError as error:
        return len(text) if error.span is None else error.span.start
    return len(text)


def test_completion_and_carets_are_cheap_and_never_fail(catalog):
    texts = [grammar.spoilt(each.rng, each.text()) for each in (Grammar(random.Random(k)) for k in range(60))]
    before = time.process_time()
    for text in texts:
        for at in (0, len(text) // 2, len(text), -3, 10**9):
            found = completed(text, at, catalog)
            assert 0 <= found.start <= len(text)
        wrong = problem(text, catalog)
        assert wrong is None or 0 <= wrong.start <= wrong.end <= len(text)
    assert time.process_time() - before < 20


@pytest.fixture(scope="module")
def with_concepts() -> Catalog:
    """Models with dictionaries, and a generator of pictures with an axis."""
    con = dictionaries.session()
    components = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)) / 8
    generator = ialgebra.generators.LinearGenerator(torch.full((64,), 0.5), components, (1, 8, 8), 4)
    con.register_generator("lin", generator, collection="xs")
    con.register_axis("it's dark", lambda batch: batch.mean((1, 2, 3)))
    return con._catalog


OF_CONCEPTS: dict[str, list[str]] = {
    "select * from f.|": ["f.concepts", "f.g"],
    "select * from f(x, players => con|": ["concepts"],
    "select * from two(x, players => con|": ["concepts", "concepts('motifs')"],
    "select * from bare(x, players => con|": [],
    "select * from two(x, players => concepts(|": ["'concepts'", "'motifs'"],
    "select * from f.concepts(x, target => 'l|": ["'legs'"],
    "select * from f.concepts(x, target => 'a|": ["'a''1'", "'a \\ b'"],
    "select * from f(x, players => concepts) where c|": ["concept", "col", "channel", "circle("],
    "select * from f(x) where con|": [],
    "select * from f(x, players => concepts) where concept in ('legs', 'i|": ["'in'", "'</script>'"],
    "select * from two(x, players => concepts('motifs')) where concept = 'n1|": [
        f"'n{k}'" for k in (1, *range(10, 16))
    ],
    "select * from f(xs, players => concepts) order by rel|": ["relevance("],
    "select * from f(xs) order by activ|": ["activation("],
    "select * from f(xs) order by rel|": [],
    "select * from f(xs) order by activation('l|": ["'legs'"],
    "select * from f(xs) having prediction <> dec|": [],
    "select * from f(xs) having dec|": ["decision"],
    "select * from f(xs) having decision = 'l|": ["'lynx'"],
    "select * from bare(xs) order by activ|": [],
    "select * from f(la|": ["latent("],
    "select * from f(rec|": ["reconstruct("],
    "select * from f(mi|": ["mix("],
    "select * from f(counter|": ["counterfactual("],
    "select * from t(lat|": ["latent("],
    "select * from t(person|": ["person"],
    "select * from f(latent(x, |": ["'it''s dark'"],
    "select * from f(latent(x, 'it''s dark', |": ["steps("],
    "select * from f(latent(x, 'it''s dark', 1, |": ["generator =>", "keep =>", "within =>"],
    "select * from f(mix(x, y, |": ["layers =>", "p =>", "generator =>", "keep =>", "within =>"],
    "select * from f(reconstruct(x, generator => |": ["lin"],
    "select * from f(reconstruct(x, keep => |": ["residual"],
    "select * from f(counterfactual(x, target => 'l|": ["'lynx'"],
    "select * from f(counterfactual(x, model => tw|": ["two", "two.concepts", "two.g", "two.motifs", "two.motifs.g"],
}


@pytest.mark.parametrize("text", OF_CONCEPTS)
def test_attributes_axes_and_generators_are_offered_where_they_mean_something(text, with_concepts):
    _, labels = offered(text, with_concepts)
    assert labels[: len(OF_CONCEPTS[text])] == OF_CONCEPTS[text]
    if not OF_CONCEPTS[text]:
        assert labels == []


def test_what_is_offered_of_concepts_may_stand_there(with_concepts):
    for text in OF_CONCEPTS:
        plain, at = text.replace("|", "", 1), text.index("|")
        found = completed(plain, at, with_concepts)
        for option in found.options:
            written = plain[: found.start] + option.label
            assert stops(written) >= len(written), written


PROBLEMS: list[tuple[str, str, str]] = [  # a text, the word that is wrong, and what is said of it
    ("select * frm f(cat)", "frm", "expected ',', AS or FROM"),
    ("select * from h(cat)", "h", "unknown model 'h'"),
    ("select * from f(kat)", "kat", "did you mean 'cat'?"),
    ("select 99 from f(cat)", "99", "has no layer 99"),
    ("select * from f(cat, target => 'linx')", "'linx'", "did you mean 'lynx'"),
    ("select * from f(cat) where rwo < 3", "rwo", "unknown column 'rwo'"),
    ("select * from f(cat) error within 0%", "0%", "an error bound must lie above"),
    ("select 4 from (select 2 from f(cat))", "4", "layer 4 of a map that is already cut after layer 2 is undefined"),
    ("select * from (select * from f(cat) join f(dog)) anti join f(cat)", "anti join f(cat)", "an anti-join over"),
    ("show models; select * from h(cat)", "h", "unknown model 'h'"),
    ("create window w as row < 3", "w", "window 'w' exists"),
    ("create window v as top(0 percent, select * from f(cat))", "0", "more than 0 and at most 100"),
    ("create view v as select * from h(cat)", "h", "unknown model 'h'"),
    ("explain select * from h(cat)", "h", "unknown model 'h'"),
    ("drop view v", "v", "unknown view 'v'"),
    ("describe nobody", "nobody", "nothing is called 'nobody'"),
    ("set budgt = 3", "budgt", "unknown option 'budgt'"),
    ("set budget = 1", "1", "a budget of 1 rows is too small"),
]


@pytest.mark.parametrize(("text", "word", "message"), PROBLEMS)
def test_the_first_fault_of_a_text_is_shown_at_its_word(text, word, message, catalog):
    found = problem(text, catalog)
    assert found is not None
    assert text[found.start : found.end] == word
    assert message in found.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "select 2, * from f(cat) where w",
        "create window v as row < 2; select * from f(cat) where v",
        "create window v as top(5, select * from f(cat)); create view u as select * from f(cat) where v; describe u",
        "create or replace window w as row < 2; drop window w",
        "set seed = 3; set strategy = default; show history",
        "select * from new(cat)",
    ],
)
def test_a_text_that_means_something_has_no_fault(text, catalog):
    known = catalog.snapshot()
    known.models["new"] = ialgebra.models.network.Network("new", lambda x: x.flatten(1))  # not run yet
    assert problem(text, known) is None
    assert not known.models["new"].probed, "and nothing was run to know it"


def test_a_text_too_long_to_be_read_has_one_fault(catalog):
    text = "select " * 40_000
    found = problem(text, catalog)
    assert isinstance(found, TextProblem)
    assert "is too long" in found.message
    assert (found.start, found.end) == (0, len(text))
