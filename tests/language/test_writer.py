"""A tree becomes text that parses to the same tree: texts of the grammar, any tree, and a node of each kind."""

from __future__ import annotations

import random
from dataclasses import is_dataclass
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ialgebra.errors import Span
from ialgebra.language import tree
from ialgebra.language.reader import parse, parse_predicate
from ialgebra.language.tree import (
    AbsoluteExpr,
    AndExpr,
    ArithmeticExpr,
    Between,
    CallExpr,
    CompareExpr,
    CreateWindow,
    InExpr,
    Item,
    Name,
    NegateExpr,
    NotExpr,
    Number,
    NumberTuple,
    OptionExpr,
    OrExpr,
    Query,
    StarItem,
    Subquery,
    Text,
    TextTuple,
)
from ialgebra.language.writer import Writable, number, write
from tests.grammar import Grammar

NOWHERE = Span(0, 0)


@pytest.mark.parametrize("block", range(3))
def test_texts_of_the_grammar_are_written_so_that_they_say_the_same_and_once_written_stay_so(block):
    for seed in range(100 * block, 100 * (block + 1)):
        text = Grammar(random.Random(seed)).text()
        statements = parse(text)
        written = "; ".join(map(write, statements))
        assert parse(written) == statements, (text, written)
        assert "; ".join(map(write, parse(written))) == written


AS_WRITTEN = [
    "create axis smile on G as score(f, 'smile') holding light, width",
    "create or replace axis first on G as pca(1)",
    "select 2, * as whole, 'layer one', layer4.2.conv1 as 'a label' from f(x')",
    "select * from f'(nullify(x, w and not row < 3), target => 'it''s', players => grid(7, 7), baseline => blur(9))",
    "select * from f(x) join (select 2 from g(y) where w) on weight = .25 join v on weight = 0.5e0",
    'select * from "select"("two words") anti join f("a""b")',
    "select * from f(xs) where -row - -1 < 007 having mass(hot) > 0.5 order by distance((select * from f(x))) desc, "
    "index limit 12 using exact budget 500 error within 12.50% at confidence 99.9% within 500 milliseconds",
    "select * from f(x) where not (a or b) and (c or not d) and e in ('x', 2, -3) or row % 2 between 1 and col - 1",
    "select * from f(x) where -(1) < -(-row) and row between 1 and 2 = col < 3 and not not w",
    "select * from f(x) where a - (b - c) * -(d / e) + abs(f % 2) <> 1 and (a and b) and c = d = e and c = (d = e)",
    "select * from f(x, strides => (3, 8, 8)) using ablation(groups => ('a', 'b'), flag => true, f => blur())",
    "select * from f(x, players => groups('job', ('city', 'zip')))",
    "explain select * from f(x)",
    "explain analyze select * from f(x)",
    "explain (format json) select * from f(x)",
    "predict f from x",
    'predict f, "two words"(output => probability, target => (0, 2), layer => l) from nullify(x, row < 3)',
    "predict f(target => all) from xs having score(f, 'cat') > 0.5 order by score('cat') desc, index limit 3",
    "explain (analyze, format json) predict f, g from x limit 2",
    "explain (analyze, format dot) select * from f(x)",
    "create window w as top(10 percent, select * from f(x))",
    "create or replace window w as above(-0.5, select * from f(x))",
    "create window w as (top(3) and v)",
    "create or replace view v as select 2 from f(x)",
    "drop window w",
    'drop view "from"',
    "show history",
    'describe "zwölf"',
    "set method = permutations(pairs => 3)",
]


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_a_text_in_plain_form_is_written_as_it_stands(text):
    (statement,) = parse(text)
    assert parse(write(statement)) == (statement,)
    assert write(statement) == text


def test_words_that_the_language_spells_otherwise_are_written_in_one_way():
    (statement,) = parse("SELECT ALL FROM f(x′) LEFT JOIN g(x) WHERE a != 3 ERROR WITHIN 5 % WITHIN 2 SECOND;")
    assert write(statement) == "select ALL from f(x') anti join g(x) where a <> 3 error within 5% within 2 second"


@pytest.mark.parametrize(
    ("value", "text", "per", "digits"),
    [
        (0.1, "", 100, "10"),
        (0.05, "5%", 100, "5"),
        (0.05, "6%", 100, "5"),  # a text that says another number
        (0.07, "", 100, "7"),
        (1 / 3, "", 1, "0.3333333333333333"),
        (3, "3", 1, "3"),
        (1e300, "", 1, "1e+300"),
        (-2.5, "- /* less */ 2.5", 1, "-2.5"),
    ],
)
def test_a_number_has_the_digits_that_say_its_value(value, text, per, digits):
    assert number(Number(value, text, NOWHERE), per) == digits
    assert float(digits) / per == value


# --- any tree

names = st.one_of(
    st.sampled_from(["x", "x'", "f''", "layer4.2.conv1", "select", "NOT", "abs", "top", "true", "budget", "a b", "ß"]),
    st.text(min_size=1, max_size=6).filter(lambda text: "′" not in text),
).map(lambda value: Name(value, NOWHERE))
texts = st.text(max_size=6).map(lambda value: Text(value, NOWHERE))
numbers = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False)).map(
    lambda value: Number(value, "", NOWHERE)
)


def _calls(inner: st.SearchStrategy[tree.Expression]) -> st.SearchStrategy[CallExpr]:
    values = st.one_of(
        numbers,
        texts,
        names,
        st.lists(numbers, min_size=2, max_size=3).map(lambda each: NumberTuple(tuple(each), NOWHERE)),
        st.lists(texts, min_size=2, max_size=3).map(lambda each: TextTuple(tuple(each), NOWHERE)),
    )
    options = st.lists(
        st.builds(OptionExpr, names, values, st.just(NOWHERE)), max_size=2, unique_by=lambda each: each.name.value
    )
    called = names.filter(lambda name: name.value.lower() not in ("abs", "mass", "distance", "nullify", "substitute"))
    arguments = st.lists(st.one_of(numbers, texts, names), max_size=2).map(tuple)
    masses = inner.map(lambda each: (each,))
    return st.one_of(
        st.builds(CallExpr, called, arguments, options.map(tuple), st.just(NOWHERE)),
        st.builds(CallExpr, st.just(Name("mass", NOWHERE)), masses, st.just(()), st.just(NOWHERE)),
    )


def _larger(inner: st.SearchStrategy[tree.Expression]) -> st.SearchStrategy[tree.Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    here = st.just(NOWHERE)
    return st.one_of(
        st.builds(AndExpr, several, here),
        st.builds(OrExpr, several, here),
        st.builds(NotExpr, inner, here),
        st.builds(CompareExpr, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), inner, inner, here),
        st.builds(Between, inner, inner, inner, here),
        st.builds(InExpr, inner, several, here),
        st.builds(ArithmeticExpr, st.sampled_from(["+", "-", "*", "/", "%"]), inner, inner, here),
        st.builds(NegateExpr, inner, here),
        st.builds(AbsoluteExpr, inner, here),
        _calls(inner),
    )


expressions: st.SearchStrategy[tree.Expression] = st.recursive(st.one_of(numbers, texts, names), _larger, max_leaves=8)


@settings(max_examples=80, deadline=None)
@given(expressions)
def test_any_expression_is_written_so_that_it_parses_to_itself(expression):
    assert parse_predicate(write(expression)) == expression


@settings(max_examples=40, deadline=None)
@given(expressions, names, names, st.one_of(st.none(), st.text(max_size=5)))
def test_any_name_label_and_predicate_stand_in_a_statement(where, model, input_, label):
    item = Item(StarItem(NOWHERE), label, NOWHERE)
    call = CallExpr(model, (input_,), (), NOWHERE)
    query = Query((item,), call, (), where, None, (), None, None, None, None, None, None, NOWHERE)
    for statement in (query, CreateWindow(model, where, False, NOWHERE)):
        if statement is query and model.value.lower() == "abs":
            continue
        assert parse(write(statement)) == (statement,)


def test_every_kind_of_node_is_written():
    """A node that is added to the tree and not to the writer is missing here, or fails."""
    written: set[type] = set()

    def visit(node: object) -> None:
        if is_dataclass(node):
            written.add(type(node))
            if isinstance(node, get_args(Writable)):
                assert write(node)
            for each in vars(node).values():
                visit(each)
        elif isinstance(node, tuple):
            for each in node:
                visit(each)

    for text in AS_WRITTEN:
        visit(parse(text))
    visit(parse_predicate("distance((select * from f(x)))"))
    kinds = {each for each in vars(tree).values() if isinstance(each, type) and is_dataclass(each)}
    assert kinds - written == set()
    assert Subquery in written


def test_what_is_no_node_of_the_tree_is_refused():
    with pytest.raises(AssertionError):
        write(object())  # type: ignore[arg-type]
