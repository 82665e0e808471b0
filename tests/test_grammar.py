"""The text path from end to end: what the grammar allows is read alike however it is spelt, and survives printing;
what nobody would write is refused soon; and no text reaches the file system, an import or the interpreter.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import ialgebra
from ialgebra import IalgebraError, ParseError
from ialgebra.algebra.operators import leaves
from ialgebra.answering import binding as binder
from ialgebra.language import printer, reader, tree
from ialgebra.language.dialect import MAX_DEPTH
from tests import grammar, worlds
from tests.grammar import Grammar

BLOCKS, BLOCK = 3, 50
PATIENCE = 20.0  # seconds of this process for the worst of texts, some of which take a second on a machine of one's own
LEGAL = (ialgebra.BindError, ialgebra.CompositionError, ialgebra.BudgetError, ialgebra.ShapeError)


@pytest.fixture(scope="module")
def con() -> ialgebra.Session:
    return grammar.session()


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        yield


def drawn(block: int) -> Iterator[Grammar]:
    for number in range(BLOCK * block, BLOCK * (block + 1)):
        yield Grammar(random.Random(number))


# --- what the grammar allows


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_text_of_the_grammar_parses_and_its_spelling_does_not_matter(block):
    for each in drawn(block):
        words = each.rng.choice([each.query, each.script, each.explained, each.created, each.other])()
        spellings = [each.spelt(words) for _ in range(3)]
        first = reader.parse(spellings[0])
        for text in spellings:
            assert reader.parse(text) == first, spellings


@pytest.mark.parametrize("block", range(BLOCKS))
def test_predicates_of_the_grammar_parse_alone_as_in_a_query(block):
    for each in drawn(block):
        text = each.predicate_text()
        (query,) = reader.parse(f"select * from f(x) where {text}")
        assert query.where == reader.parse_predicate(text)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_queries_of_the_grammar_print_as_texts_of_the_same_plans(block, con):
    printed = 0
    for each in drawn(block):
        text = each.query_text()
        try:
            maps = bound(con, text)
        except LEGAL:
            continue
        for plan in maps:
            if any(
                source.index is not None and len(leaf.inputs) == 1 for leaf in leaves(plan) for source in leaf.inputs
            ):
                continue  # the language has no word for one element of a collection
            assert bound(con, printer.to_sql(plan)) == [plan], text
            printed += 1
    assert printed > BLOCK / 2


def bound(con: ialgebra.Session, text: str) -> list[object]:
    (query,) = reader.parse(text)
    return [each.plan for each in binder.bind(query, text, con._catalog).maps]


@pytest.mark.parametrize("block", range(BLOCKS))
def test_queries_of_the_grammar_are_explained_or_refused_with_a_reason(block, con):
    explained = 0
    for each in drawn(block):
        text = each.query_text()
        try:
            assert con.explain(text).startswith("plan as written")
            explained += 1
        except LEGAL as error:
            assert error.line is not None, text
            assert error.span.start < len(text), text
    assert explained > BLOCK / 2


def test_scripts_of_the_grammar_run_and_leave_the_session_whole():
    con = grammar.session()
    afterwards = "select 2, * from f(x, output => logit, baseline => 0, players => grid(2, 2)) using exact() budget 99"
    expected = [each.map for each in con.sql(afterwards)]
    answered = 0
    for each in drawn(0):
        text = each.spelt(each.script())
        try:
            answered += len(list(con.run(text)))
        except LEGAL as error:
            assert str(error)
    assert answered > BLOCK
    con.sql("set strategy = default; set contrast = default; set batch_size = default")
    for answer, map_ in zip(con.sql(afterwards), expected, strict=True):
        assert worlds.close(answer.map, map_)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_spoilt_texts_raise_nothing_but_errors_of_ours(block, con):
    refused = 0
    for each in drawn(block):
        text = grammar.spoilt(each.rng, each.text())
        try:
            con.explain(text)
        except IalgebraError as error:
            assert str(error)
            assert error.span is None or 0 <= error.span.start <= len(text)
            refused += 1
    assert refused > BLOCK / 4


# --- what nobody would write


LONG = [name for name, text in grammar.HOSTILE.items() if 40_000 < len(text) < 1_000_000]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in grammar.HOSTILE]
)
def test_hostile_texts_are_refused_or_answered_and_soon(name, con):
    text = grammar.HOSTILE[name]
    before = time.process_time()
    for ask in (con.explain, con.sql):
        try:
            ask(text)
        except IalgebraError as error:
            assert str(error)
    assert time.process_time() - before < PATIENCE
    assert con.sql("select * from f(x, players => grid(1, 2))")[0].values.any(), "the session goes on"


def test_a_circle_so_far_away_that_its_numbers_overflow_holds_nothing(con):
    (far,) = con.sql("select * from f(x) where circle(1e308, 0, 1e200)")
    assert not far.map.any()
    (huge,), (whole,) = con.sql("select * from f(x) where circle(0, 0, 1e308)"), con.sql("select * from f(x)")
    assert np.array_equal(huge.map, whole.map)


@pytest.mark.parametrize("name", ["parentheses", "subqueries", "nots", "minuses", "abs", "calls"])
def test_deep_texts_are_told_how_deep_they_may_be(name, con):
    with pytest.raises(ParseError, match=f"nested too deeply: at most {MAX_DEPTH} levels"):
        con.sql(grammar.HOSTILE[name])


def test_look_alikes_of_keywords_and_names_are_never_taken_for_them(con):
    statement = "select * from f(x) left join f(y) where row between 1 and 3 using exact() budget 40"
    con.sql(statement)
    for letter, others in {
        "s": "ѕſｓ",
        "o": "оοｏ",
        "e": "еｅ",
        "i": "іıｉ",
        "a": "аａ",
        "x": "хｘ",
        "f": "ｆ",
        "r": "ｒг",
    }.items():
        for place in (k for k, each in enumerate(statement) if each == letter):
            for other in others:
                with pytest.raises((ParseError, ialgebra.BindError)):
                    con.sql(statement[:place] + other + statement[place + 1 :])


@pytest.mark.parametrize("mark", ["\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\u00ad", "\u0301", "\x00", "\x1b"])
def test_invisible_characters_are_refused_wherever_they_stand_in_a_word(mark, con):
    statement = "select * from f(x) where row < 3"
    for place in (2, 9, 15, 17, 21, 26):
        with pytest.raises(ParseError):
            con.sql(statement[:place] + mark + statement[place:])


# --- what no text may reach

_EVENTS: list[tuple[str, object]] | None = None
_FORBIDDEN = (
    "open",
    "exec",
    "compile",
    "import",
    "os.",
    "subprocess.",
    "shutil.",
    "socket.",
    "ctypes.",
    "pickle.",
    "glob.",
)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _EVENTS is not None and event.startswith(_FORBIDDEN):
        _EVENTS.append((event, arguments))


@contextmanager
def audited() -> Iterator[list[tuple[str, object]]]:
    """What the interpreter reports of files, imports, processes and code made of text, by its own audit events."""
    global _EVENTS
    if not getattr(sys, "_ialgebra_tests_hear", False):
        sys.addaudithook(_hear)  # for good: a hook cannot be taken back
        sys._ialgebra_tests_hear = True
    _EVENTS = heard = []
    try:
        yield heard
    finally:
        _EVENTS = None


def test_no_text_reaches_files_imports_processes_or_the_interpreter(con):
    tempting = [
        "select * from f('/etc/passwd')",
        'select * from f("../../etc/passwd")',
        "select * from f(x, baseline => open('/etc/passwd'))",
        "select * from f(x, players => __import__('os'))",
        "select * from f(x) where eval('1') = 1",
        "select * from f(x) using exec('import os')",
        "select * from os.system(x)",
        "select 'f.__class__' from f(x)",
        'describe "/etc/passwd"',
        'create view "/tmp/ialgebra-was-here" as select * from f(x); drop view "/tmp/ialgebra-was-here"',
        "set strategy = '__import__'",
        "select * from read_csv('/etc/passwd')",
        "copy f to '/tmp/ialgebra-was-here'",
        "load pickle",
        "attach '/tmp/ialgebra-was-here'",
    ]
    texts = [each.text() for each in drawn(0)] + [grammar.spoilt(each.rng, each.text()) for each in drawn(1)]
    for ask in (con.explain, con.sql):  # what is imported or written once is so before
        ask("select 2, * from f(x, players => slic(3), baseline => blur(2)) left join f(y) budget 40 error within 20%")
    with audited() as heard:
        for text in [*tempting, *texts]:
            try:
                statements = reader.parse(text)
                for statement in statements:
                    if isinstance(statement, tree.Query):
                        binder.bind(statement, text, con._catalog)
                con.explain(text)
            except IalgebraError:
                pass
    assert heard == []
    with audited() as heard:
        open(__file__).close()
        eval("1 + 1")
    assert {event for event, _ in heard} >= {"open", "compile", "exec"}, "the audit hears"
