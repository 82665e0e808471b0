"""What the session knows about a kind of statement, and what a statement may use.

In: a syntax tree and its text, the catalog, the store, the history. Out: values that `registry` lists. It knows no
statement by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Generic, Protocol, TypeVar

from ...answering import explaining, loop, predicting
from ...answering.predicting import PredictRequest
from ...answering.question import Request
from ...answering.running import Watch
from ...catalog.catalog import Catalog
from ...errors import BindError, Span
from ...execution.store import Store
from ...language import reader, tree
from ...planner.strategy import PRESETS, Strategy
from ...planner.tempo import INTERACTIVE, TEMPOS
from ...results.relation import Relation
from ...results.scores import Scores
from ..history import History
from ..progress import bar


class Spanned(Protocol):
    """Anything of the syntax tree: it has its place in the text."""

    @property
    def span(self) -> Span: ...


_Node = TypeVar("_Node", bound=Spanned)


@dataclass(frozen=True, eq=False)
class StatementContext:
    """What a statement is run with: the session's belongings, and how the caller asked.

    A statement that changes the catalog holds `lock` while it does. Queries run without the lock, with the meaning that
    the names have when the query begins. `text` is the script that contains the statement. `seed` and `strategy` are
    the caller's, or None if the session's settings decide. `progress` says whether a bar is shown; `watch` is told, bar
    or not, how a query stands after every batch. `interactive` asks for answers early and often.
    """

    catalog: Catalog
    store: Store
    history: History
    lock: AbstractContextManager[object]
    progress: bool
    text: str
    seed: int | None = None
    strategy: Strategy | str | None = None
    watch: Watch | None = None
    interactive: bool = False

    def words(self, node: Spanned) -> str:
        """A node's own text."""
        return self.text[node.span.start : node.span.end]

    def request(self, query: tree.Query) -> Request:
        """A query with its seed and strategy; BindError for a seed or a strategy that is none."""
        return Request(query, self.text, *self._decided())

    def prediction(self, predict: tree.Predict) -> PredictRequest:
        """A PREDICT with its seed and strategy, likewise."""
        return PredictRequest(predict, self.text, *self._decided())

    def _decided(self) -> tuple[int, Strategy]:
        """The seed and the strategy of a statement."""
        settings = self.catalog.settings
        wish = self.strategy if self.strategy is not None else settings.strategy or "BEST"
        chosen = PRESETS.get(wish.upper()) if isinstance(wish, str) else wish
        if not isinstance(chosen, Strategy):
            raise BindError(f"unknown strategy {wish!r}; choose one of {', '.join(PRESETS)}, or a Strategy")
        if chosen.tempo is None and (self.interactive or settings.tempo is not None):
            tempo = INTERACTIVE if self.interactive else TEMPOS[settings.tempo or "usual"]
            chosen = replace(chosen, tempo=tempo)
        number = settings.seed or 0 if self.seed is None else self.seed
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 0:
            raise BindError(f"a seed must be a whole number of at least 0, not {self.seed!r}")
        return int(number), chosen

    def scored(self, request: PredictRequest) -> Scores:
        """The answer to a PREDICT."""
        with bar(self.progress, self.watch) as watch:
            return predicting.predicted(request, self.catalog.snapshot(), self.store, watch)

    def predicted(self, text: str) -> Scores:
        """The answer to a PREDICT that a statement asks for itself."""
        (predict,) = reader.parse(text)
        assert isinstance(predict, tree.Predict)
        return self.scored(PredictRequest(predict, text, *self._decided()))

    def answered(self, request: Request, *, analyze: bool = False) -> Relation:
        """The answer to a query; with `analyze` its text is the plan with what was measured."""
        with bar(self.progress, self.watch) as watch:
            return loop.answered(request, self.catalog.snapshot(), self.store, watch, analyze=analyze)

    def answers(self, request: Request) -> Iterator[Relation]:
        """The answer to a query, after those of the rounds before it if it has bounds."""
        return loop.answers(request, self.catalog.snapshot(), self.store, self.watch)

    def refined(self, request: Request) -> Iterator[Relation]:
        """The answers to a query, round by round."""
        return loop.refined(request, self.catalog.snapshot(), self.store, self.watch)

    def said(self, node: Spanned, words: str) -> Relation:
        """The answer of a statement in words."""
        return explaining.said(words, self.words(node))


def _nothing(statement: object) -> None:
    return None


def _whole(statement: Spanned) -> Span:
    return statement.span


@dataclass(frozen=True)
class StatementKind(Generic[_Node]):
    """One statement of the language.

    `node` is its type in the syntax tree, and `run` answers it. `keywords` are completed by the shell, besides those
    of queries; `help` has a line for each example: the statement, and what it does. `defines` names what the statement
    gives a meaning or takes it from, as a kind and a name; `query` is the query that it runs, whose WITHIN may stop it;
    `at_fault` is where an error belongs that has no place of its own.
    """

    node: type[_Node]
    run: Callable[[_Node, StatementContext], Relation]
    keywords: str
    help: tuple[tuple[str, str], ...] = ()
    defines: Callable[[_Node], tuple[str, str] | None] = _nothing
    query: Callable[[_Node], tree.Query | None] = _nothing
    at_fault: Callable[[_Node], Span] = _whole

    def timed(self, statement: _Node) -> bool:
        """Whether a clock may stop it."""
        query = self.query(statement)
        return query is not None and query.within is not None
