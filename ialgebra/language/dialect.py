"""The query language as a sqlglot dialect. In: text; out: sqlglot's own nodes, each with its place in the text.

sqlglot's lexer makes the tokens, and sqlglot's precedence rules parse the expressions. Everything else of SQL is shut
out in two ways: characters and words that are not in our language become tokens that no rule of sqlglot accepts, and
the leaves, clauses and statements are parsed here. Only sqlglot's own node types are built, so other tools can read the
trees of `sqlglot.parse(text, dialect="ialgebra")`. Every error is a ParseError at its word. This module does not know
what a name means; `reader` turns the nodes into our own tree.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NoReturn, TypeVar

import sqlglot
from sqlglot import exp, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType
from sqlglot.trie import new_trie

from ..algebra.windows import RESERVED
from ..errors import ParseError, Span

if TYPE_CHECKING:
    from sqlglot.parser import Parser as _Parser
else:

    def _interpreted() -> type:
        """sqlglot's Parser as plain Python. `sqlglot[c]` installs a compiled one, which cannot be subclassed."""
        from sqlglot import parser

        if not parser.__file__.endswith(".py"):
            source = Path(sqlglot.__file__).with_name("parser.py")  # shipped beside the compiled module
            spec = importlib.util.spec_from_file_location("ialgebra._sqlglot_parser", source)
            spec.loader.exec_module(parser := importlib.util.module_from_spec(spec))
        return parser.Parser

    _Parser = _interpreted()

T = TokenType
N = TypeVar("N", bound=exp.Expr)

MAX_DEPTH: Final = 50  # levels of nesting; each takes up to 13 of the 1000 frames that Python allows
MAX_LENGTH: Final = 200_000  # characters of a script; to parse so many takes a second
RANKING: Final = ("HAVING", "ORDER BY", "LIMIT")  # clauses that may stand before, between or after the others
CLAUSES: Final = ("JOIN", "WHERE", *RANKING, "USING", "BUDGET", "ERROR WITHIN", "WITHIN")  # of a query, in order
STATEMENTS: Final = ("SELECT", "PREDICT", "EXPLAIN", "CREATE", "DROP", "SHOW", "DESCRIBE", "SET")
FORMATS: Final = ("TEXT", "JSON", "DOT")  # of EXPLAIN
SHOWN: Final = ("MODELS", "INPUTS", "WINDOWS", "VIEWS", "CONCEPTS", "GENERATORS", "AXES", "HISTORY")
PER_SECOND: Final = {"SECONDS": 1, "SECOND": 1, "MILLISECONDS": 1000, "MILLISECOND": 1000}
NO_QUERY: Final = (
    "a query cannot stand here; it is an operand of FROM or JOIN, or makes a window of its own: create window w as "
    "top(5, select …)"
)

_OPENERS = {"LEFT": 0, "ANTI": 0} | {clause.split()[0]: rank for rank, clause in enumerate(CLAUSES)}
_NOT_OF_PREDICT = {
    "WHERE": "a window belongs to a map; to change a part of the input, edit it, as in from nullify(x, row < 10)",
    "JOIN": "it has one input; name several models, as in predict f, g from x",
    "LEFT": "it has one input; name several models, as in predict f, g from x",
    "ANTI": "it has one input; name several models, as in predict f, g from x",
    "USING": "it explains nothing, so it needs no method",
    "BUDGET": "it takes one row of each model for each input",
    "ERROR": "scores are read, not estimated",
    "WITHIN": "it takes one row of each model for each input",
}
_CONNECTIVES = ("AND", "OR", "NOT", "BETWEEN", "IN", "ON")
_WRONG_QUOTES = "‘’‚“”„´″"
_TEXTUAL = (T.STRING, T.IDENTIFIER)
_SYMBOLS = "(),.;-=><%+/*!"


class IAlgebra(Dialect):
    """The dialect; importing this module registers it with sqlglot as `ialgebra`."""

    class Tokenizer(tokens.Tokenizer):
        VAR_SINGLE_TOKENS: ClassVar[set[str]] = {"'", "."}  # allowed inside a word: x', f'', layer4.2.conv1
        COMMANDS: ClassVar[set[TokenType]] = set()
        SINGLE_TOKENS: ClassVar[dict[str, TokenType]] = {
            char: kind if char in _SYMBOLS[:-1] else T.UNKNOWN for char, kind in tokens.Tokenizer.SINGLE_TOKENS.items()
        }
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            **{"=>": T.FARROW, ">=": T.GTE, "<=": T.LTE, "<>": T.NEQ, "!=": T.NEQ},
            **{word.upper(): T.ALIAS if word == "as" else TokenType[word.upper()] for word in sorted(RESERVED)},
        }

    class Parser(_Parser):
        RANGE_PARSERS: ClassVar[dict[TokenType, Callable[..., Any]]] = {
            T.BETWEEN: lambda self, this: self._parse_between(this),
            T.IN: lambda self, this: self._parse_in(this),
        }
        _depth = 0

        # Errors and places

        def raise_error(self, message: str, token: Token | None = None) -> NoReturn:
            """Raise ParseError at `token`; without it at the next token, or at the end of the statement."""
            token = token or self._curr
            end = self._prev.end + 1 if self._prev else 0
            span = Span(token.start, token.end + 1) if token else Span(end, end + 1)
            raise ParseError(message, span, self.sql)

        def expression(self, instance: N, token: Token | None = None, comments: list[str] | None = None) -> N:
            """Called by sqlglot for each finished node of an expression: gives it the span from its first child to the
            current token."""
            start = instance.this.meta["start"]
            return super().expression(instance, token, comments).update_positions(start=start, end=self._prev.end)

        def _placed(self, first: Token, node: N) -> N:
            return node.update_positions(line=first.line, col=first.col, start=first.start, end=self._prev.end)

        def _expected(self, what: str, words: Collection[str] = ()) -> NoReturn:
            """Raise ParseError that says what is expected here, and which of `words` was probably meant."""
            found = self._source(self._curr) if self._curr else "the end"
            message = f"expected {what}, found {found}"
            if near := self._nearly(self._curr, words):
                self.raise_error(f"{message}; did you mean {near}?")
            if "NOT" in words and self._nearly(self._prev, ("NOT",)):  # `nott w` fails at w, but the typo is before it
                self.raise_error(f"{self._source(self._prev)} does not go with {found}; did you mean NOT?", self._prev)
            self.raise_error(message)

        def _source(self, token: Token) -> str:
            source = self.sql[token.start : token.end + 1]
            shown = source if len(source) <= 40 else source[:40] + "…"
            return shown if token.token_type in _TEXTUAL else f"'{shown}'"

        def _nearly(self, token: Token, words: Collection[str]) -> str | None:
            return _nearest(token.text, words) if token and token.token_type == T.VAR else None

        def _at(self, *words: str) -> bool:
            return self._curr.token_type not in _TEXTUAL and self._curr.text.upper() in words

        def _take(self, *words: str) -> str | None:
            if not self._at(*words):
                return None
            self._advance()
            return self._prev.text.upper()

        def _need(self, *words: str) -> str:
            return self._take(*words) or self._expected(_either(words), words)

        def _close(self) -> None:
            if not self._match(T.R_PAREN):
                self._expected("')'", (*_CONNECTIVES, *_OPENERS))

        def _deeper(self) -> None:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                self.raise_error(f"nested too deeply: at most {MAX_DEPTH} levels")

        # Statements

        def _parse(self, parse_method: Any, raw_tokens: list[Token], sql: str | None = None) -> list[exp.Expr | None]:
            text = sql or ""
            for token in raw_tokens:
                if token.token_type == T.UNKNOWN:
                    raise ParseError(f"'{token.text}' is not in the language", Span(token.start, token.end + 1), text)
                if token.text and token.token_type not in (*_TEXTUAL, T.NUMBER) and token.text[0] not in _SYMBOLS:
                    _check_word(text[token.start : token.end + 1], token.start, text)
            return super()._parse(parse_method, raw_tokens, sql)

        def _parse_statement(self) -> exp.Expr | None:
            self._depth = 0
            if not self._curr or self._match(T.SEMICOLON):
                return None
            statement = self._statement()
            if self._curr:
                self._expected("the end of the statement", STATEMENTS)
            return statement

        def _statement(self) -> exp.Expr:
            first = self._curr
            if self._at("SELECT"):
                return self._query(outermost=True)
            if self._at("PREDICT"):
                return self._prediction()
            match self._take(*STATEMENTS):
                case "EXPLAIN":
                    said = self._explaining()
                    query = self._prediction() if self._at("PREDICT") else self._query(outermost=True)
                    return self._placed(
                        first, exp.Describe(this=query, style=said.get("ANALYZE"), format=said.get("FORMAT"))
                    )
                case "CREATE":
                    return self._create(first)
                case "DROP":
                    kind = self._need("WINDOW", "VIEW", "AXIS")
                    return self._placed(first, exp.Drop(kind=kind, this=self._name("the name to drop")))
                case "SHOW":
                    return self._placed(first, exp.Show(this=exp.var(self._need(*SHOWN))))
                case "DESCRIBE":
                    return self._placed(first, exp.Describe(this=self._name("the name to describe")))
                case "SET":
                    option = self._name("the name of an option")
                    if not self._match(T.EQ):
                        self._expected("'='")
                    equation = exp.EQ(this=option, expression=self._parse_disjunction())
                    return self._placed(first, exp.SetItem(this=equation))
            self._expected(f"a statement ({', '.join(STATEMENTS)})", STATEMENTS)

        def _explaining(self) -> dict[str, str]:
            """The words between EXPLAIN and its query: ANALYZE, or (ANALYZE, FORMAT JSON) in any order."""
            said: dict[str, str] = {}
            expected: tuple[str, ...] = ("ANALYZE", "SELECT", "PREDICT")
            if self._match(T.L_PAREN):
                while not said or self._match(T.COMMA):
                    option = self._need("ANALYZE", "FORMAT")
                    if option in said:
                        self.raise_error(f"{option} is said twice", self._prev)
                    said[option] = self._need(*FORMATS) if option == "FORMAT" else option
                if not self._match(T.R_PAREN):
                    self._expected("',' or ')'")
                expected = ("SELECT", "PREDICT")
            elif word := self._take("ANALYZE"):
                said[word] = word
                expected = ("SELECT", "PREDICT")
            if self._at("FORMAT", "("):
                self.raise_error("these options of EXPLAIN go in parentheses: explain (analyze, format json) select …")
            if not self._at("SELECT", "PREDICT"):
                self._expected(_either(expected), expected)
            return said

        def _create(self, first: Token) -> exp.Expr:
            replace = bool(self._take("OR") and self._need("REPLACE"))
            kind = self._take("WINDOW", "VIEW", "AXIS") or self._expected(
                "WINDOW, VIEW or AXIS" if replace else "OR REPLACE, WINDOW, VIEW or AXIS", ("WINDOW", "VIEW", "AXIS")
            )
            name = self._name(f"a name for the {kind.lower()}")
            if kind == "AXIS":
                return self._axis(first, name, replace)
            self._need("AS")
            body = self._query(outermost=True) if kind == "VIEW" else self._region() or self._parse_disjunction()
            return self._placed(first, exp.Create(kind=kind, this=name, expression=body, replace=replace))

        def _axis(self, first: Token, name: exp.Expr, replace: bool) -> exp.Create:
            """AXIS name ON generator AS score(model, class) HOLDING axis, …"""
            self._need("ON")
            generator = self._name("the name of a generator")
            self._need("AS")
            body = self._name_or_call("what it follows, such as score(f, 'smile')")
            held = self._parse_csv(lambda: self._name("the name of an axis")) if self._take("HOLDING") else []
            axis = exp.Create(kind="AXIS", this=name, expression=body, replace=replace, on=generator, holding=held)
            return self._placed(first, axis)

        def _region(self) -> exp.Anonymous | None:
            """top(10 percent, query), top(5, query) or above(0.5, query): a window from an answer."""
            first = self._curr
            if not self._at("TOP", "ABOVE") or self._next.token_type != T.L_PAREN:
                return None
            kind = self._need("TOP", "ABOVE")
            self._advance()
            amount = self._number("a number of players, or a percentage" if kind == "TOP" else "a value of a player")
            percent = kind == "TOP" and bool(self._take("PERCENT") or self._match(T.MOD))
            if not self._match(T.COMMA):
                self._expected(
                    "','" if percent or kind == "ABOVE" else "PERCENT or ','", ("PERCENT",) if kind == "TOP" else ()
                )
            query = self._query()
            self._close()
            return self._placed(first, exp.Anonymous(this=kind, expressions=[amount, query], percent=percent))

        # Predictions

        def _prediction(self) -> exp.Predict:
            """PREDICT model, … FROM input, and the clauses that rank the input's elements."""
            first = self._curr
            self._need("PREDICT")
            predict = exp.Predict(expressions=self._parse_csv(lambda: self._name_or_call("the name of a model")))
            if not self._at("FROM"):
                self._expected("',' or FROM", ("FROM",))
            self._advance()
            predict.set("from_", exp.From(this=self._name_or_call("an input: its name, or an edit of one")))
            done = -1
            while self._curr:
                word = self._curr.text.upper() if self._curr.token_type not in _TEXTUAL else ""
                if word in _NOT_OF_PREDICT:
                    self.raise_error(f"PREDICT has no {CLAUSES[_OPENERS[word]]}: {_NOT_OF_PREDICT[word]}")
                rank = _OPENERS.get(word, -1)
                if rank < 0:
                    break
                if rank <= done:
                    self._misplaced(rank, done)
                self._clause(predict, rank)
                done = rank
            if self._curr:
                more = [each for each in RANKING if CLAUSES.index(each) > done]
                joined = ["AND", "OR"] if done >= 0 and CLAUSES[done] == "HAVING" else []
                self._expected(_either((*joined, *more, "the end")), (*RANKING, *_CONNECTIVES))
            return self._placed(first, predict)

        # Queries

        def _query(self, outermost: bool = False) -> exp.Select:
            first = self._curr
            self._need("SELECT")
            select = exp.Select(expressions=self._parse_csv(self._item))
            if not self._at("FROM"):
                self._expected("',', AS or FROM", ("AS", "FROM"))
            self._advance()
            select.set("from_", exp.From(this=self._operand()))
            done: list[int] = []
            while (rank := _OPENERS.get(self._curr.text.upper(), -1)) >= 0 and self._curr.token_type not in _TEXTUAL:
                if later := [each for each in done if not _may_follow(rank, each)]:
                    self._misplaced(rank, rank if rank in later else later[-1])
                done.append(rank)
                self._clause(select, rank)
            if self._at("AS"):
                self.raise_error("a label belongs to the select list, as in: select * as cat from f(x)")
            if (outermost and self._curr) or not (outermost or self._match(T.R_PAREN, advance=False)):
                last = done[-1] if done else 0
                more = ["AND", "OR"] if CLAUSES[last] in ("WHERE", "HAVING") else []
                more += [each for k, each in enumerate(CLAUSES) if all(_may_follow(k, before) for before in done)]
                self._expected(_either((*more, "the end" if outermost else "')'")), (*_OPENERS, *_CONNECTIVES))
            return self._placed(first, select)

        def _misplaced(self, rank: int, done: int) -> NoReturn:
            clause, last = CLAUSES[rank], CLAUSES[done]
            if rank == done:
                self.raise_error(f"{clause} is given twice; a query has one")
            if rank == 0:
                self.raise_error(
                    f"JOIN belongs before {last}: from f(x) join f(y) {last.lower()} …; an operand's own {last} goes "
                    f"into a subquery: from (select … {last.lower()} …) join …"
                )
            self.raise_error(f"{clause} belongs before {last}; the order is {', '.join(CLAUSES)}")

        def _clause(self, select: exp.Select | exp.Predict, rank: int) -> None:
            first = self._curr
            match CLAUSES[rank]:
                case "JOIN":
                    select.append("joins", self._join())
                case "WHERE":
                    self._advance()
                    select.set("where", exp.Where(this=self._parse_disjunction()))
                case "HAVING":
                    self._advance()
                    select.set("having", exp.Having(this=self._parse_disjunction()))
                case "ORDER BY":
                    self._advance()
                    self._need("BY")
                    select.set("order", exp.Order(expressions=self._parse_csv(self._key)))
                case "LIMIT":
                    self._advance()
                    select.set("limit", exp.Limit(expression=self._number("a number of inputs")))
                case "USING":
                    self._advance()
                    method = self._name_or_call("a method such as exact")
                    if isinstance(method, exp.Column):  # without options it needs no parentheses
                        method = self._placed(self._prev, exp.Anonymous(this=method.this, expressions=[]))
                    select.set("using", method)
                case "BUDGET":
                    self._advance()
                    select.set("budget", self._number("a number of rows"))
                case "ERROR WITHIN":
                    self._advance()
                    self._need("WITHIN")
                    select.set("error", self._percentage())
                    if self._take("AT"):
                        self._need("CONFIDENCE")
                        select.set("confidence", self._percentage())
                case _:
                    self._advance()
                    first = self._curr
                    duration = self._number("a duration such as 2 SECONDS")
                    unit = self._take(*PER_SECOND) or self._expected("SECONDS or MILLISECONDS", PER_SECOND)
                    select.set("within", self._placed(first, exp.Interval(this=duration, unit=exp.var(unit))))

        def _key(self) -> exp.Expr:
            first = self._curr
            term = self._parse_bitwise()
            descending = self._take("ASC", "DESC") == "DESC"
            return self._placed(first, exp.Ordered(this=term, desc=descending))

        def _join(self) -> exp.Join:
            first = self._curr
            side = self._take("LEFT", "ANTI")
            self._need("JOIN")
            join = exp.Join(this=self._operand(), side=side)
            if self._match(T.ON):
                self._need("WEIGHT")
                if not self._match(T.EQ):
                    self._expected("'='")
                join.set("on", self._number("a weight between 0 and 1"))
            return self._placed(first, join)

        def _operand(self) -> exp.Expr:
            first = self._curr
            self._deeper()
            if self._match(T.L_PAREN):
                query = self._query()
                self._close()
                operand: exp.Expr = self._placed(first, exp.Subquery(this=query))
            else:
                operand = self._name_or_call("an operand: a model call such as f(x), a query in parentheses or a view")
            self._depth -= 1
            return operand

        def _item(self) -> exp.Expr:
            first = self._curr
            if self._match(T.STAR):
                item: exp.Expr = self._placed(first, exp.Star())
            elif self._match(T.STRING):
                item = self._placed(first, exp.Literal.string(first.text))
            elif self._match(T.NUMBER):
                item = self._placed(first, exp.Literal(this=first.text, is_string=False))
                if not first.text.isdecimal():
                    self.raise_error("a layer is given by a whole number, a name or *", first)
            else:
                item = self._name("*, or a layer: its number, its name or its 'name'")
            if not self._match(T.ALIAS):
                return item
            if not self._match_set((T.STRING, T.NUMBER, T.VAR, T.IDENTIFIER)):
                self._expected("a label")
            return self._placed(first, exp.Alias(this=item, alias=exp.to_identifier(self._prev.text, quoted=True)))

        # Expressions: sqlglot goes from _parse_disjunction down to the two ranges and the leaves, which are below

        def _parse_between(self, this: exp.Expr | None) -> exp.Between:
            low = self._parse_bitwise()
            self._need("AND")
            return self.expression(exp.Between(this=this, low=low, high=self._parse_bitwise()))

        def _parse_in(self, this: exp.Expr | None, alias: bool = False) -> exp.In:
            if not self._match(T.L_PAREN):
                self._expected("'('")
            values = self._parse_csv(self._parse_bitwise)
            self._close()
            return self.expression(exp.In(this=this, expressions=values))

        def _parse_unary(self) -> exp.Expr:
            first = self._curr
            self._deeper()
            if self._match(T.NOT):
                leaf: exp.Expr = self._placed(first, exp.Not(this=self._parse_equality()))
            elif self._at("SELECT"):
                self.raise_error(NO_QUERY)
            elif self._match(T.L_PAREN):
                inner = self._parse_disjunction()
                self._close()
                leaf = self._placed(first, exp.Paren(this=inner))
            elif self._match(T.STRING):
                leaf = self._placed(first, exp.Literal.string(first.text))
            elif first.token_type in (T.NUMBER, T.DOT) or (
                first.token_type == T.DASH and self._next.token_type in (T.NUMBER, T.DOT)
            ):
                leaf = self._number("a number")
            elif self._match(T.DASH):
                leaf = self._placed(first, exp.Neg(this=self._parse_unary()))
            else:
                leaf = self._name_or_call("a name, a number, a text or '('")
            self._depth -= 1
            return leaf

        def _name_or_call(self, what: str) -> exp.Expr:
            first = self._curr
            name = self._name(what)
            if not self._match(T.L_PAREN):
                return name
            arguments = [] if self._match(T.R_PAREN, advance=False) else self._parse_csv(self._argument)
            if self._at("PERCENT"):
                self.raise_error("PERCENT makes a window of its own: create window w as top(10 percent, select …)")
            self._close()
            return self._placed(first, exp.Anonymous(this=name.this, expressions=arguments))

        def _argument(self) -> exp.Expr | None:
            first = self._curr
            if first.token_type == T.L_PAREN and self._next and self._next.text.upper() == "SELECT":
                return self._operand()
            if first.token_type == T.L_PAREN and self._next and self._next.token_type == T.STRING:
                after = self._tokens[self._index + 2] if self._index + 2 < len(self._tokens) else None
                if after is not None and after.token_type == T.COMMA:
                    return self._option_value()
            if self._next.token_type != T.FARROW:
                return self._parse_disjunction()
            option = self._name("the name of an option")
            self._advance()
            return self._placed(first, exp.Kwarg(this=option, expression=self._option_value()))

        def _option_value(self) -> exp.Expr | None:
            """The value of an option: what an argument can be, or several in parentheses: (3, 8, 8) or ('a', 'b')."""
            first = self._curr
            if not self._match(T.L_PAREN):
                return self._parse_disjunction()
            values = self._parse_csv(self._parse_disjunction)
            self._close()
            return self._placed(first, exp.Tuple(expressions=values) if len(values) > 1 else exp.Paren(this=values[0]))

        def _name(self, what: str) -> exp.Column:
            first = self._curr
            if not self._match_set((T.VAR, T.IDENTIFIER)):
                self._expected(what)
            name = exp.Identifier(this=first.text.replace("′", "'"), quoted=first.token_type == T.IDENTIFIER)
            return self._placed(first, exp.Column(this=self._placed(first, name)))

        def _number(self, what: str) -> exp.Literal:
            first = self._curr
            sign = "-" if self._match(T.DASH) else ""
            point = "." if self._match(T.DOT) else ""
            if not self._match(T.NUMBER):
                self._expected(what)
            return self._placed(first, exp.Literal(this=sign + point + self._prev.text, is_string=False))

        def _percentage(self) -> exp.Literal:
            first = self._curr
            number = self._number("a percentage such as 5%")
            if not self._match(T.MOD):
                self._expected("'%'")
            return self._placed(first, number)

        def _predicate(self) -> exp.Expr | None:
            predicate = self._parse_disjunction()
            if self._curr:
                self._expected("AND, OR or the end", _CONNECTIVES)
            return predicate


# sqlglot fills this table in when the class is made. The language has no n'…' strings (n' is a name), no {# comments.
IAlgebra.Tokenizer._KEYWORD_TRIE = new_trie(
    ["--", "/*", "'", *(word for word in IAlgebra.Tokenizer.KEYWORDS if not word.isalpha())]
)


def read(text: str, form: Literal["script", "predicate"] = "script") -> list[exp.Expr]:
    """The nodes of a script's statements, or of one predicate. Raises ParseError, at the word, for any other text."""
    if len(text) > MAX_LENGTH:
        raise ParseError(f"a text of {len(text):,} characters is too long; the most is {MAX_LENGTH:,}")
    tokens, opening = lexed(text)
    if opening is not None:
        what = "comment" if text.startswith("/*", opening) else "quote"
        raise ParseError(f"this {what} is never closed", Span(opening, opening + 1), text)
    parser = IAlgebra.Parser(dialect=IAlgebra)
    start = IAlgebra.Parser._predicate if form == "predicate" else IAlgebra.Parser._parse_statement
    try:
        nodes = parser._parse(start, tokens, text)
    except RecursionError:  # the caller has used so many frames that too few are left for MAX_DEPTH levels
        raise ParseError("nested too deeply", Span(0, len(text)), text) from None
    return [node for node in nodes if node is not None]


def lexed(text: str) -> tuple[list[Token], int | None]:
    """The words and signs of a text; where a quote or comment is never closed, those before it, and where it opens."""
    tokenizer = IAlgebra.Tokenizer(dialect=IAlgebra)
    try:
        return tokenizer.tokenize(text), None
    except TokenError:
        opening: int = tokenizer._core._start  # sqlglot's lexer fails only at a quote or comment without an end
        return IAlgebra.Tokenizer(dialect=IAlgebra).tokenize(text[:opening]), opening


def _check_word(word: str, start: int, text: str) -> None:
    """Raise ParseError for a bare word that is not a name.

    A name begins with a letter, then has letters and digits, may have parts after dots, and may end in primes.
    """
    name = word.replace("′", "'").rstrip("'")
    head, *parts = name.split(".")
    if not name.isascii() and name.upper().isascii():  # otherwise ſelect would be taken for select
        odd: str | None = next(char for char in name if not char.isascii())
    else:
        odd = next((char for char in name if not (char.isalnum() or char in "_.'")), None)
    if odd is not None:
        hint = "; a text is written 'text', a prime ' or ′" if odd in _WRONG_QUOTES else ""
        place = start + word.index(odd)
        raise ParseError(f"{odd!r} (U+{ord(odd):04X}) is not in the language{hint}", Span(place, place + 1), text)
    if "'" in name:
        message = f"a prime ends a name, and a space goes before a text: {word.replace(chr(39), ' ' + chr(39), 1)}"
    elif head.isidentifier() and all(f"_{part}".isidentifier() and part for part in parts):
        return
    else:
        message = f"'{word}' is not a name; one that is not a word goes into double quotes: \"{word}\""
    raise ParseError(message, Span(start, start + len(word)), text)


def _may_follow(rank: int, before: int) -> bool:
    """Whether a clause may come after another. HAVING, ORDER BY and LIMIT must be in this order, but may stand anywhere
    among the other clauses."""
    both = {CLAUSES[rank], CLAUSES[before]} - {"JOIN", "WHERE"}
    crossing = len(both) == 2 and len(both & set(RANKING)) == 1
    return crossing or before < rank or rank == before == 0


def _nearest(word: str, words: Collection[str]) -> str | None:
    near = difflib.get_close_matches(word.upper(), list(words), n=1, cutoff=0.6)
    return near[0] if near else None


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
