"""Text becomes the right tree with the right spans, or a ParseError at its very word; nothing is half understood."""

from __future__ import annotations

import random
import re
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from ialgebra.algebra.windows import RESERVED
from ialgebra.errors import IalgebraError, ParseError, Span
from ialgebra.language import tree
from ialgebra.language.dialect import MAX_DEPTH, STATEMENTS
from ialgebra.language.reader import parse, parse_predicate, parse_value
from ialgebra.language.tree import (
    AbsoluteExpr,
    AndExpr,
    ArithmeticExpr,
    Between,
    CallExpr,
    CompareExpr,
    CreateView,
    CreateWindow,
    Describe,
    Drop,
    Explain,
    InExpr,
    Item,
    Joined,
    Name,
    NegateExpr,
    NotExpr,
    Number,
    NumberTuple,
    OptionExpr,
    OrExpr,
    Predict,
    Query,
    Region,
    SetOption,
    Show,
    SortKey,
    StarItem,
    Statement,
    Subquery,
    Text,
)

AT = Span(0, 0)  # spans take no part in equality


def name(value: str) -> Name:
    return Name(value, AT)


def number(value: float) -> Number:
    return Number(value, "", AT)


def call(model: str, *arguments: tree.Expression, **options: tree.ValueExpr) -> CallExpr:
    given = tuple(OptionExpr(name(option), value, AT) for option, value in options.items())
    return CallExpr(name(model), arguments, given, AT)


def query(item: str | int, operand: tree.Operand, *joins: Joined, where: tree.Expression | None = None) -> Query:
    what = StarItem(AT) if item == "*" else name(item) if isinstance(item, str) else number(item)
    return Query((Item(what, None, AT),), operand, joins, where, None, (), None, None, None, None, None, None, AT)


def subquery(*args: object, **kwargs: object) -> Subquery:
    return Subquery(query(*args, **kwargs), AT)  # type: ignore[arg-type]


def joined(operand: tree.Operand, weight: float | None = None) -> Joined:
    return Joined("join", operand, None if weight is None else number(weight), AT)


def anti(operand: tree.Operand) -> Joined:
    return Joined("anti", operand, None, AT)


def only(text: str) -> Statement:
    (statement,) = parse(text)
    return statement


def failure(text: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse(text)
    return caught.value


FX = call("f", name("x"))
FX_ = call("f", name("x'"))

PAPER = {
    "select * from f(x)": query("*", FX),
    "select * from f(x) where w": query("*", FX, where=name("w")),
    "select l from f(x)": query("l", FX),
    "select l from f(x) where w": query("l", FX, where=name("w")),
    "select * from f(x) join (select * from f(x'))": query("*", FX, joined(subquery("*", FX_))),
    "select * from f(x) left join (select * from f(x'))": query("*", FX, anti(subquery("*", FX_))),
    "select l from f(x) left join (select l from f(x'))": query("l", FX, anti(subquery("l", FX_))),
    "select * from f(x) left join (select * from f'(x))": query("*", FX, anti(subquery("*", call("f'", name("x"))))),
    "select * from f(x) left join (select * from g(x))": query("*", FX, anti(subquery("*", call("g", name("x"))))),
    "select l from f(x) left join (select l from f(x') where w)": query(
        "l", FX, anti(subquery("l", FX_, where=name("w")))
    ),
}


@pytest.mark.parametrize("text", PAPER)
def test_the_papers_statements_parse_as_printed(text: str) -> None:
    assert only(text) == PAPER[text]
    assert only(text.replace("'", "′")) == PAPER[text], "both primes are one"
    assert only(f"-- a comment\n{text} /* and /* another */ */ ;") == PAPER[text]


@pytest.mark.parametrize("text", PAPER)
def test_keywords_have_no_case_and_names_do(text: str) -> None:
    shouted = re.sub(r"\b(select|from|where|left|join)\b", lambda word: word.group().upper(), text)
    assert only(shouted) == PAPER[text]
    assert only(text.replace("f(x)", "F(x)")) != PAPER[text]


def test_every_clause_has_its_place_in_the_tree() -> None:
    text = (
        "select layer4.2.conv1 as cat, 2 as 281, 'a.b' as 'hot dog', * from f(x, target => 'cat', baseline => blur(3)) "
        "join f(x'') on weight = .3 left join v anti join (select 2 from g(x)) where w "
        "having label = 3 and mass(not w) > .5 "
        "order by distance((select * from v)) - index desc, entropy() asc limit 7 "
        "using shapley(folds => 2, x => -1.5) budget 2000 error within 5% at confidence 95% within 500 milliseconds"
    )
    assert only(text) == Query(
        items=(
            Item(name("layer4.2.conv1"), "cat", AT),
            Item(number(2), "281", AT),
            Item(Text("a.b", AT), "hot dog", AT),
            Item(StarItem(AT), None, AT),
        ),
        operand=call("f", name("x"), target=Text("cat", AT), baseline=call("blur", number(3))),
        joins=(
            joined(call("f", name("x''")), 0.3),
            anti(name("v")),
            anti(subquery(2, call("g", name("x")))),
        ),
        where=name("w"),
        having=AndExpr(
            (
                CompareExpr("=", name("label"), number(3), AT),
                CompareExpr(">", call("mass", NotExpr(name("w"), AT)), number(0.5), AT),
            ),
            AT,
        ),
        order=(
            SortKey(
                ArithmeticExpr("-", CallExpr(name("distance"), (subquery("*", name("v")),), (), AT), name("index"), AT),
                True,
                AT,
            ),
            SortKey(call("entropy"), False, AT),
        ),
        limit=number(7),
        using=call("shapley", folds=number(2), x=number(-1.5)),
        budget=number(2000),
        error=number(0.05),
        confidence=number(0.95),
        within=number(0.5),
        span=AT,
    )


@pytest.mark.parametrize(
    "clauses",
    [
        "having a < 1 order by b limit 2 using exact() budget 3 within 1 second",
        "using exact() budget 3 within 1 second having a < 1 order by b limit 2",
        "having a < 1 using exact() order by b budget 3 limit 2 within 1 second",
    ],
)
def test_having_order_by_and_limit_keep_their_order_among_themselves_only(clauses: str) -> None:
    assert only(f"select * from f(x) where w {clauses}") == replace(
        query("*", FX, where=name("w")),
        having=CompareExpr("<", name("a"), number(1), AT),
        order=(SortKey(name("b"), False, AT),),
        limit=number(2),
        using=call("exact"),
        budget=number(3),
        within=number(1),
    )


def test_the_other_statements() -> None:
    text = """
        explain select * from v; EXPLAIN ANALYZE select * from v;
        explain (format json) select * from v; explain (analyze) select * from v;
        explain (Format DOT, ANALYZE) select * from v; explain (analyze, format text) select * from v;
        create window w as row < 3; create or replace window "my w" as not w;
        create view v as select * from f(x); create or replace view v as select l from f(x);
        drop window w; drop view v; show models; show INPUTS; show windows; show views; describe f'; set seed = -3;
        set players = grid(7, 7); predict f from x;
        PREDICT f(output => probability, target => (0, 2)), g() from nullify(x, row < 3) having score(f, 1) > 3
        order by score(1) desc, index limit 4; explain analyze predict f from x
    """
    on_v, small = query("*", name("v")), CompareExpr("<", name("row"), number(3), AT)
    of_x = Predict((call("f"),), name("x"), None, (), None, AT)
    classes = NumberTuple((number(0), number(2)), AT)
    assert parse(text) == (
        Explain(on_v, False, AT),
        Explain(on_v, True, AT),
        Explain(on_v, False, AT, "json"),
        Explain(on_v, True, AT),
        Explain(on_v, True, AT, "dot"),
        Explain(on_v, True, AT, "text"),
        CreateWindow(name("w"), small, False, AT),
        CreateWindow(name("my w"), NotExpr(name("w"), AT), True, AT),
        CreateView(name("v"), query("*", FX), "", False, AT),
        CreateView(name("v"), query("l", FX), "", True, AT),
        Drop("window", name("w"), AT),
        Drop("view", name("v"), AT),
        Show("models", AT),
        Show("inputs", AT),
        Show("windows", AT),
        Show("views", AT),
        Describe(name("f'"), AT),
        SetOption(name("seed"), number(-3), AT),
        SetOption(name("players"), call("grid", number(7), number(7)), AT),
        of_x,
        Predict(
            (call("f", output=name("probability"), target=classes), call("g")),
            call("nullify", name("x"), small),
            CompareExpr(">", call("score", name("f"), number(1)), number(3), AT),
            (SortKey(call("score", number(1)), True, AT), SortKey(name("index"), False, AT)),
            number(4),
            AT,
        ),
        Explain(of_x, True, AT),
    )


@pytest.mark.parametrize(
    ("text", "kind", "amount", "percent"),
    [
        ("top(10 percent, select * from f(x))", "top", number(10), True),
        ("TOP ( .5 % , select * from f(x) )", "top", number(0.5), True),
        ("Top(3, select * from f(x))", "top", number(3), False),
        ("above(-0.5, select * from f(x))", "above", number(-0.5), False),
    ],
)
def test_a_window_from_an_answer_keeps_its_own_text(text: str, kind: str, amount: Number, percent: bool) -> None:
    (made,) = parse(f"create or replace window hot as /* so */ {text} ;")
    assert made == CreateWindow(name("hot"), Region(kind, amount, percent, query("*", FX), "", AT), True, AT)
    assert made.where.text == text
    assert isinstance(only(f"select * from {kind}(percent)"), Query), "elsewhere the words are names"


def test_a_view_keeps_its_querys_own_text() -> None:
    view = parse("select * from u;\n create view v as\n select l  from f(x') -- why\n where w ;")[1]
    assert isinstance(view, CreateView)
    assert view.text == "select l  from f(x') -- why\n where w"
    assert only(view.text) == view.query


ROW, COL, W = name("row"), name("col"), name("w")
PREDICATES = {
    "w": W,
    '"my w"': name("my w"),
    "row": ROW,
    "true": name("true"),
    "window(10, 10)": call("window", number(10), number(10)),
    "row != 3": CompareExpr("<>", ROW, number(3), AT),
    "a and b and c": AndExpr((name("a"), name("b"), name("c")), AT),
    "a and (b and c)": AndExpr((name("a"), AndExpr((name("b"), name("c")), AT)), AT),
    "a or b and not c": OrExpr((name("a"), AndExpr((name("b"), NotExpr(name("c"), AT)), AT)), AT),
    "not row = 3 and w": AndExpr((NotExpr(CompareExpr("=", ROW, number(3), AT), AT), W), AT),
    "not not w": NotExpr(NotExpr(W, AT), AT),
    "row between 40 and 120 and w": AndExpr((Between(ROW, number(40), number(120), AT), W), AT),
    "row not between 1 and 2": NotExpr(Between(ROW, number(1), number(2), AT), AT),
    "feature in ('age','bmi', 3)": InExpr(name("feature"), (Text("age", AT), Text("bmi", AT), number(3)), AT),
    "row not in (1)": NotExpr(InExpr(ROW, (number(1),), AT), AT),
    "token = 'don''t'": CompareExpr("=", name("token"), Text("don't", AT), AT),
    "row + 2 * col - 1 < 3": CompareExpr(
        "<",
        ArithmeticExpr("-", ArithmeticExpr("+", ROW, ArithmeticExpr("*", number(2), COL, AT), AT), number(1), AT),
        number(3),
        AT,
    ),
    "(row + 2) % 3 >= -1": CompareExpr(
        ">=", ArithmeticExpr("%", ArithmeticExpr("+", ROW, number(2), AT), number(3), AT), number(-1), AT
    ),
    "row - -3 <= - col / 2": CompareExpr(
        "<=", ArithmeticExpr("-", ROW, number(-3), AT), ArithmeticExpr("/", NegateExpr(COL, AT), number(2), AT), AT
    ),
    "ABS(row - 3) < 1e-3": CompareExpr(
        "<", AbsoluteExpr(ArithmeticExpr("-", ROW, number(3), AT), AT), number(0.001), AT
    ),
    "1 < row < 3": CompareExpr("<", CompareExpr("<", number(1), ROW, AT), number(3), AT),
}


@pytest.mark.parametrize("text", PREDICATES)
def test_predicates_have_sqls_precedence(text: str) -> None:
    assert parse_predicate(text) == PREDICATES[text]
    assert only(f"select * from f(x) where {text} budget 3").where == PREDICATES[text]  # type: ignore[union-attr]


def test_words_of_sql_are_names_here() -> None:
    for word in (
        "date",
        "row",
        "index",
        "group",
        "order",
        "limit",
        "union",
        "table",
        "values",
        "window",
        "left'",
        "n'",
    ):
        assert only(f"select {word} from {word}({word}) where {word}") == query(
            word, call(word, name(word)), where=name(word)
        )
    for function in ("abs", "sum", "median", "if", "cast", "count", "extract"):
        assert only(f"select * from {function}(x)") == query("*", call(function, name("x")))
    for word in ("budget", "within", "error", "weight", "set", "show", "replace"):
        assert only(f"select {word} from {word} where {word}") == query(word, name(word), where=name(word))


def test_reserved_words_are_names_in_double_quotes_only() -> None:
    for word in RESERVED:
        assert only(f'select "{word}" from "{word}"') == query(word, name(word))
        assert failure(f"select * from {word}").line == 1
    assert only('select * from "a ""b"" c"') == query("*", name('a "b" c'))


def test_numbers() -> None:
    assert type(parse_value("10").value) is int  # type: ignore[union-attr]
    assert type(parse_value("10.0").value) is float  # type: ignore[union-attr]
    for text in ("0", "-7", "1.", ".5", "-.5", "1e-3", "2.5E+2", "- 4", "9" * 15):
        value = parse_value(text)
        assert isinstance(value, Number)
        assert value.value == float(text.replace(" ", ""))
        assert value.text == text
    for text in ("9" * 100_000, "1e999", "-1e999"):
        with pytest.raises(ParseError, match="too large"):
            parse_value(text)


def test_values_are_closed() -> None:
    assert parse_value("grid(4, 4)") == call("grid", number(4), number(4))
    for text in ("row < 3", "1 + 2", "not w", "f(x + 1)", "abs(x)", "(select * from v)", "a b", "a; b"):
        with pytest.raises(ParseError):
            parse_value(text)


# Spans


def nodes(node: object) -> Iterator[object]:
    if isinstance(node, tuple) and not isinstance(node, Span):
        for each in node:
            yield from nodes(each)
    elif is_dataclass(node):
        yield node
        for each in fields(node):
            yield from nodes(getattr(node, each.name))


SPANNED = (
    "explain analyze select layer4.2 as 'cat', 'a b' , 3 as 4 from f (x′, target => 'it''s', b=>blur( y , -.5)) "
    'join (select * from "v w" where (not(a)) and row not  in ( 1,2 ) ) on weight = 0.25 left  join g(x) '
    "where ((a or b) and abs( row - (3) ) < - 2 and col between (1+2)*3 and - col ) or token = 'é' using m(k=>v) "
    "budget 10 error within 5 % at confidence 95% within 2 seconds"
)


def test_every_span_cuts_out_its_own_words() -> None:
    def cut(node: object) -> str:
        return SPANNED[slice(*node.span)]  # type: ignore[attr-defined]

    found = list(nodes(only(SPANNED)))
    for node in found:
        text = cut(node)
        assert text == text.strip()
        for inner in list(nodes(node))[1:]:
            assert node.span.start <= inner.span.start < inner.span.end <= node.span.end  # type: ignore[attr-defined]
        match node:
            case Name(value):
                assert text.replace("′", "'").strip('"') == value
            case Number(value, own) if own[-1].isdigit():
                assert own == text
                assert float(text.replace(" ", "")) == value
            case Text(value):
                assert text == "'" + value.replace("'", "''") + "'"
    cuts = {(type(node).__name__, cut(node)) for node in found}
    assert cuts >= {
        ("Explain", SPANNED),
        ("Query", SPANNED[16:]),
        ("Item", "layer4.2 as 'cat'"),
        ("Item", "'a b'"),
        ("CallExpr", "f (x′, target => 'it''s', b=>blur( y , -.5))"),
        ("OptionExpr", "b=>blur( y , -.5)"),
        ("Joined", 'join (select * from "v w" where (not(a)) and row not  in ( 1,2 ) ) on weight = 0.25'),
        ("Joined", "left  join g(x)"),
        ("Subquery", '(select * from "v w" where (not(a)) and row not  in ( 1,2 ) )'),
        ("NotExpr", "not(a)"),
        ("InExpr", "row not  in ( 1,2 )"),
        ("AndExpr", "(a or b) and abs( row - (3) ) < - 2 and col between (1+2)*3 and - col"),
        ("OrExpr", "a or b"),
        ("AbsoluteExpr", "abs( row - (3) )"),
        ("ArithmeticExpr", "(1+2)*3"),
        ("NegateExpr", "- col"),
        ("Number", "- 2"),
        ("Number", "5 %"),
        ("Number", "2 seconds"),
        ("CompareExpr", "token = 'é'"),
    }


# Errors

CLAUSES = "expected JOIN, WHERE, HAVING, ORDER BY, LIMIT, USING, BUDGET, ERROR WITHIN, WITHIN or the end, found"
EXPLAINING = "these options of EXPLAIN go in parentheses: explain (analyze, format json) select …"
VALUE = "expected a name, a number, a text or a call such as grid(4, 4)"
STATEMENT = f"expected a statement ({', '.join(STATEMENTS)}), found"
ERRORS = [
    ("select * from f(x) «lefft» join f(y)", f"{CLAUSES} 'lefft'; did you mean LEFT?"),
    ("select l «frm» f(x)", "expected ',', AS or FROM, found 'frm'; did you mean FROM?"),
    ("select * «form» f(x)", "expected ',', AS or FROM, found 'form'; did you mean FROM?"),
    ("«selct» * from f(x)", f"{STATEMENT} 'selct'; did you mean SELECT?"),
    ("select * from f(x) «were» w", f"{CLAUSES} 'were'; did you mean WHERE?"),
    ("select * from f(x) where «nott» w", "'nott' does not go with 'w'; did you mean NOT?"),
    (
        "select * from f(x) where a «adn» b",
        "expected AND, OR, HAVING, ORDER BY, LIMIT, USING, BUDGET, ERROR WITHIN, WITHIN or the end, found 'adn'; "
        "did you mean AND?",
    ),
    ("select * from f(x) where row between 3 «adn» 4", "expected AND, found 'adn'; did you mean AND?"),
    ("select * from f(x) where row between 3«»", "expected AND, found the end"),
    (
        "explain «analyse» select * from v",
        "expected ANALYZE, SELECT or PREDICT, found 'analyse'; did you mean ANALYZE?",
    ),
    ("explain («selct» * from v)", "expected ANALYZE or FORMAT, found 'selct'"),
    ("explain («»", "expected ANALYZE or FORMAT, found the end"),
    ("explain («formt» json) select * from v", "expected ANALYZE or FORMAT, found 'formt'; did you mean FORMAT?"),
    ("explain (format «jsn») select * from v", "expected TEXT, JSON or DOT, found 'jsn'; did you mean JSON?"),
    ("explain (format «'json'») select * from v", "expected TEXT, JSON or DOT, found 'json'"),
    ("explain (format json, «format» dot) select * from v", "FORMAT is said twice"),
    ("explain (analyze «format» json) select * from v", "expected ',' or ')', found 'format'"),
    ("explain (analyze) «show» models", "expected SELECT or PREDICT, found 'show'"),
    ("create «windw» w as a", "expected OR REPLACE, WINDOW, VIEW or AXIS, found 'windw'; did you mean WINDOW?"),
    ("create window w «row» < 3", "expected AS, found 'row'"),
    ("drop «model» f", "expected WINDOW, VIEW or AXIS, found 'model'"),
    (
        "show «model»",
        "expected MODELS, INPUTS, WINDOWS, VIEWS, CONCEPTS, GENERATORS, AXES or HISTORY, found 'model'; "
        "did you mean MODELS?",
    ),
    ("set seed «3»", "expected '=', found '3'"),
    ("select * from f(x) join g(x) on «wieght» = 1", "expected WEIGHT, found 'wieght'; did you mean WEIGHT?"),
    ("select * from f(x) join g(x) on weight «0.3»", "expected '=', found '0.3'"),
    ("select * from f(x) «on» weight = 1", f"{CLAUSES} 'on'"),
    (
        "select * from f(x) where w «join» f(y)",
        "JOIN belongs before WHERE: from f(x) join f(y) where …; an operand's own WHERE goes into a subquery: "
        "from (select … where …) join …",
    ),
    (
        "select * from f(x) where w «left» join f(y)",
        "JOIN belongs before WHERE: from f(x) join f(y) where …; an operand's own WHERE goes into a subquery: "
        "from (select … where …) join …",
    ),
    (
        "select * from f(x) budget 3 «where» w",
        "WHERE belongs before BUDGET; the order is JOIN, WHERE, HAVING, ORDER BY, LIMIT, USING, BUDGET, ERROR WITHIN, "
        "WITHIN",
    ),
    (
        "select * from f(x) limit 3 budget 2 «having» a = 1",
        "HAVING belongs before LIMIT; the order is JOIN, WHERE, HAVING, ORDER BY, LIMIT, USING, BUDGET, ERROR WITHIN, "
        "WITHIN",
    ),
    ("select * from f(x) order by a limit 3 «order» by b", "ORDER BY is given twice; a query has one"),
    ("select * from f(x) order «a»", "expected BY, found 'a'"),
    (
        "select * from f(x) order by a «dessc»",
        "expected LIMIT, USING, BUDGET, ERROR WITHIN, WITHIN or the end, found 'dessc'",
    ),
    ("select * from f(x) limit «many»", "expected a number of inputs, found 'many'"),
    ("select * from f(x) where w «where» w", "WHERE is given twice; a query has one"),
    ("select * from f(x) budget 3 «budget» 4", "BUDGET is given twice; a query has one"),
    (
        "select * from f(x) within 3 seconds «budget» 4",
        "BUDGET belongs before WITHIN; the order is JOIN, WHERE, HAVING, ORDER BY, LIMIT, USING, BUDGET, ERROR WITHIN, "
        "WITHIN",
    ),
    ("select * from f(x) error «5»%", "expected WITHIN, found '5'"),
    ("select * from f(x) error within 5 «budget»", "expected '%', found 'budget'"),
    ("select * from f(x) within 5 «minutes»", "expected SECONDS or MILLISECONDS, found 'minutes'"),
    ("select * from f(x) budget «many»", "expected a number of rows, found 'many'"),
    ("select * from f(x) using «5»", "expected a method such as exact, found '5'"),
    ("select * from f(x) using exact(«»", "expected a name, a number, a text or '(', found the end"),
    ("explain analyze «(»format json) select * from f(x)", EXPLAINING),
    ("explain «format» dot select * from f(x)", EXPLAINING),
    ("explain analyze «analyze» select * from f(x)", "expected SELECT or PREDICT, found 'analyze'"),
    ("select l «+» 1 from f(x)", "expected ',', AS or FROM, found '+'"),
    ("select «from» f(x)", "expected *, or a layer: its number, its name or its 'name', found 'from'"),
    ("select «1.5» from f(x)", "a layer is given by a whole number, a name or *"),
    ("«from» f", f"{STATEMENT} 'from'"),
    ("select * from f(x«»", "expected ')', found the end"),
    (
        "select * from (select * from f(x)«» ; show models",
        "expected JOIN, WHERE, HAVING, ORDER BY, LIMIT, USING, BUDGET, ERROR WITHIN, WITHIN or ')', found the end",
    ),
    ("select * from («f»(x))", "expected SELECT, found 'f'"),
    ("select * from «f()»", "a model call names its input: f(x)"),
    ("select * from f(x,«)»", "expected a name, a number, a text or '(', found ')'"),
    ("select * from f(«x + 1»)", VALUE),
    ("select * from f(x, «target = 3»)", "an option is given by =>, not =: target => …"),
    ("select * from f(x, a => 1, «a => 2»)", "option 'a' is given twice"),
    ("select * from f(x, a => 1, «y»)", "arguments go before the options: f(x, option => value)"),
    ("select * from f(x) «as» cat", "a label belongs to the select list, as in: select * as cat from f(x)"),
    ("select * as «from» f(x)", "expected a label, found 'from'"),
    (
        "select * from f(x) where («select» * from v)",
        "a query cannot stand here; it is an operand of FROM or JOIN, or makes a window of its own: "
        "create window w as top(5, select …)",
    ),
    ("select * from f(x) where «row >> 3»", "'row >> 3' is not in the language"),
    ("select * from f(x) where «abs(1, 2)» < 3", "abs takes one argument: abs(row - 50)"),
    (
        "select * from f(x) where row «is» null",
        "expected AND, OR, HAVING, ORDER BY, LIMIT, USING, BUDGET, ERROR WITHIN, WITHIN or the end, found 'is'",
    ),
    ("select * from f(x) «offset» 3", f"{CLAUSES} 'offset'"),
    ('select * from f(x) «"where"» w', f'{CLAUSES} "where"'),
    ("select * from f(x) «'budget'» 3", f"{CLAUSES} 'budget'"),
    ('«"show"» models', f'{STATEMENT} "show"'),
    ("select * from f(x)«[»0]", "'[' is not in the language"),
    ("select «$»1 from f(x)", "'$' (U+0024) is not in the language"),
    ("select * from f(x) where row «–» 3 < 2", "'–' (U+2013) is not in the language"),
    (
        "select * from f(x) where token = «‘»a’",
        "'‘' (U+2018) is not in the language; a text is written 'text', a prime ' or ′",
    ),
    ("«ſ»elect * from f(x)", "'ſ' (U+017F) is not in the language"),
    ("select * from f(x) where «!»w", "'!' is not in the language"),
    ("select * from f(«x'y»)", "a prime ends a name, and a space goes before a text: x 'y"),
    ("select * from «f..g»(x)", "'f..g' is not a name; one that is not a word goes into double quotes: \"f..g\""),
    ('select * from «""»', "a name cannot be empty"),
    ("select * from f(x) where «'»abc", "this quote is never closed"),
    ('select * from «"»f(x)', "this quote is never closed"),
    ("select * from f(x) «/»* /* a */", "this comment is never closed"),
    ("select * from f(x) budget «1e»", "'1e' is not a number"),
    ("select * from f(x) where row < «1e999»", "this number is too large"),
]


@pytest.mark.parametrize(("marked", "message"), ERRORS)
def test_errors_stand_under_their_own_word(marked: str, message: str) -> None:
    text = re.sub("[«»]", "", marked)
    start = marked.index("«")
    width = marked.index("»") - start - 1
    error = failure(text)
    assert error.span == Span(start, start + max(width, 1)), "an error at the end stands just behind it"
    assert str(error) == f"{message} (line 1, column {start + 1})\n  {text}\n  {' ' * start}{'^' * max(width, 1)}"


def test_an_error_names_its_line() -> None:
    error = failure("select *\nfrom f(x)\n  lefft join f(y)")
    assert str(error) == (f"{CLAUSES} 'lefft'; did you mean LEFT? (line 3, column 3)\n    lefft join f(y)\n    ^^^^^")
    assert "line 2" in str(failure("select * from v;\nselect * frm v; show models"))


@pytest.mark.parametrize("text", ["", "  \n", ";", " ; ;; ", "-- nothing", "/* nothing */", "/* a */;-- b"])
def test_a_text_without_a_statement_is_refused(text: str) -> None:
    assert failure(text).message == "the text holds no statement"


def test_scripts_may_hold_empty_statements_and_comments() -> None:
    assert len(parse("; select * from v;; /* a */ ; -- b\n show models; -- c")) == 2


@pytest.mark.parametrize("method", ["exact", "banzhaf", "captum.IntegratedGradients", '"a method"', "budget"])
@pytest.mark.parametrize(
    "around",
    [
        "select * from f(x) using {}",
        "select*from f(x)using {};",
        "select * from f(x)\n\tUSING /* a */ {} -- b",
        "select * from f(x) using {} budget 20 error within 5%",
        "select * from f(x) using {} having score() > 1",
        "select * from (select * from f(x) using {}) join f(y)",
        "explain analyze select * from f(x) using {} within 2 seconds",
        "create view v as select * from f(x) using {} ; ;",
        "create window w as top(5, select * from f(x) using {})",
    ],
)
def test_a_method_without_options_needs_no_parentheses(around: str, method: str) -> None:
    assert parse(around.format(method)) == parse(around.format(f"{method}()"))


DEEP = {
    "parentheses": lambda n: f"select * from f(x) where {'(' * n}w{')' * n}",
    "negations": lambda n: f"select * from f(x) where {'not ' * n}w",
    "signs": lambda n: f"select * from f(x) where {'- ' * n}row < 1",
    "calls": lambda n: f"select * from {'f(' * n}x{')' * n}",
    "functions": lambda n: f"select * from f(x) where {'abs(' * n}row{')' * n} < 1",
    "queries": lambda n: f"select * from {'(select * from ' * n}v{')' * n}",
    "sums": lambda n: f"select * from f(x) where row{' + 1' * n} < 1",
}


@pytest.mark.parametrize("kind", DEEP)
def test_nesting_ends_in_a_named_error(kind: str) -> None:
    assert only(DEEP[kind](MAX_DEPTH - 3)) is not None
    for depth in (MAX_DEPTH + 1, 1000, 10_000):
        assert failure(DEEP[kind](depth)).message == f"nested too deeply: at most {MAX_DEPTH} levels"


def test_nesting_is_a_named_error_even_where_the_stack_is_nearly_used_up() -> None:
    def sink(levels: int) -> ParseError:
        return sink(levels - 1) if levels else failure(DEEP["calls"](MAX_DEPTH - 3))

    assert sink(500).message == "nested too deeply"


def test_long_chains_are_not_deep() -> None:
    conjunction = parse_predicate("w" + " and w" * 5000)
    assert isinstance(conjunction, AndExpr)
    assert len(conjunction.parts) == 5001
    assert len(only("select *" + ", 1" * 2000 + " from f(x)" + " join f(x)" * 500).joins) == 500  # type: ignore[union-attr]


CORPUS = [
    *PAPER,
    SPANNED,
    "create or replace window w as row between 40 and 120 and not w2 or col in (1, 2)",
    "create or replace view v as select * from f(x) anti join g(x) where a or b using m() budget 3 within 2 seconds",
    "drop window w; drop view v; show models; show inputs; describe f; set seed = 3",
    "explain (analyze, format json) select * from f(x)",
]
KEYWORDS = re.compile(
    r"\b(select|from|left|anti|join|where|and|or|not(?! *\()|between|in|as|on|weight|using|budget|error|within|at|"
    r"confidence|seconds|explain|analyze|create|replace|window|view|drop|show|models|inputs|describe|set)\b"
)


def misspellings(word: str) -> set[str]:
    gaps = range(len(word))
    wrong = {word[:i] + word[i + 1 :] for i in gaps} | {word[:i] + word[i] + word[i:] for i in gaps}
    wrong |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in gaps[:-1]}
    return {each for each in wrong if each and each != word} - {"second"}


@pytest.mark.parametrize("text", CORPUS)
def test_a_misspelt_keyword_never_parses(text: str) -> None:
    for keyword in KEYWORDS.finditer(text):
        for wrong in misspellings(keyword.group()):
            failure(text[: keyword.start()] + wrong + text[keyword.end() :])


def mutations(seed: int, count: int) -> Iterator[str]:
    chance = random.Random(seed)
    pieces = [piece for text in CORPUS for piece in re.findall(r"\w+|\s+|[^\w\s]", text)]
    pieces += [
        "'",
        '"',
        "′",
        "--",
        "/*",
        "*/",
        ";",
        "\0",
        "1e999",
        "9" * 400,
        "(" * 60,
        "not " * 60,
        "ſ",
        "\ud800",
        "\n",
        "{#",
    ]
    for _ in range(count):
        words = re.findall(r"\w+|\s+|[^\w\s]", chance.choice(CORPUS))
        for _ in range(chance.choice([1, 1, 2, 3, 8])):
            place = chance.randrange(len(words) + 1)
            match chance.randrange(5):
                case 0:
                    words[place : place + 1] = []
                case 1:
                    words.insert(place, chance.choice(pieces))
                case 2:
                    words[place : place + 1] = [chance.choice(pieces)]
                case 3:
                    other = chance.randrange(len(words) + 1)
                    words[place:place] = words[other : other + chance.randrange(9)]
                case _:
                    letters = list("".join(words) or " ")
                    letters[chance.randrange(len(letters))] = chance.choice(string.printable + "′’é–")
                    words = ["".join(letters)]
        yield "".join(words)


def outcome(reader: Callable[[str], object], text: str) -> object:
    try:
        return reader(text)
    except IalgebraError as error:
        return error


def test_mutated_queries_raise_nothing_but_our_errors_and_quickly() -> None:
    parsed = 0
    for text in mutations(seed=7, count=2000):
        start = time.process_time()  # of this process: others may be busy
        found = outcome(parse, text)
        assert time.process_time() - start < 1
        if isinstance(found, IalgebraError):
            assert found.text == text
            assert found.span is not None
            assert 0 <= found.span.start <= found.span.end <= len(text) + 1
            assert "^" in str(found)
        else:
            parsed += 1
            for node in nodes(found):
                assert 0 <= node.span.start < node.span.end <= len(text)  # type: ignore[attr-defined]
    assert parsed > 100, "a fuzz that never parses tests the errors only"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=80))
def test_any_text_at_all_parses_or_is_refused(text: str) -> None:
    for reader in (parse, parse_predicate, parse_value):
        found = outcome(reader, text)
        assert not isinstance(found, IalgebraError) or (found.text == text and str(found))


def test_the_dialect_is_known_to_sqlglot() -> None:
    (tree,) = sqlglot.parse("select l from f(x') where w", dialect="ialgebra")
    assert tree is not None
    assert [call.meta["start"] for call in tree.find_all(sqlglot.exp.Anonymous)] == [14]


def test_a_text_of_no_reasonable_length_is_refused_at_once() -> None:
    with pytest.raises(ParseError, match="too long"):
        parse("select * from f(x)" + " join f(x)" * 100_000)
