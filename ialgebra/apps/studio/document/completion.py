"""What may stand at the cursor, and where a text is wrong.

In: a text, the place of the cursor, a catalog. Out: options to choose from, or the first fault with its place. Which
names may stand there follows from the words before; which keywords, from the language's own parser, which is asked what
it expects. Runs no model. May not know: gestures, steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot.tokenizer_core import Token, TokenType

from ....algebra.attributes import COLUMNS, CONCEPT
from ....algebra.edits import (
    EDITS,
    LATENT_EDITS,
    InputArgument,
    NumberArgument,
    ValueArgument,
    WholeArgument,
    WindowArgument,
    meaningful,
)
from ....algebra.edits.form import AxisArgument, ClassArgument, EditArgument, EditForm, WordArgument
from ....algebra.kinds import KINDS, InputKind
from ....algebra.players import Blocks
from ....algebra.rankings import DECISION
from ....algebra.windows import sql_name, sql_text
from ....catalog.catalog import CONCEPTS, Catalog
from ....catalog.inputs import Entry
from ....errors import IalgebraError, ParseError
from ....interpreters.protocol import Interpreter
from ....interpreters.shipped import SHAPLEY
from ....kernels.estimators.registry import METHODS
from ....language.bind.inputs import EACH, SWEEP
from ....language.bind.operands import CALL_OPTIONS
from ....language.bind.options import CONTRASTS, OUTPUTS
from ....language.bind.predicates import SHAPES
from ....language.bind.predict import PREDICT_OPTIONS
from ....language.bind.ranking import OF_CONCEPTS
from ....language.dialect import lexed
from ....language.reader import parse
from ....models.concepts import Dictionary
from ....models.network import Network
from ....planner.strategy import PRESETS
from ....results.table import shorten
from ....session.descriptions import input_line, model_line, window_text
from ....session.statements.set_option import OPTIONS
from .attributes import dictionaries_of, explained_model
from .controls import FORMS
from .cursor import QUOTED, OpenFrame, StatementSubject, frames_of, subject_of, word_begun
from .meaning import check_text, said

_MOST: Final = 60  # options that are offered
_MOST_DETAIL: Final = 80  # characters
_COMPARED: Final = ("=", "<>", "!=")
_RANKED: Final = {
    "label": "as registered",
    "prediction": "the class that the model predicts",
    "index": "its number",
    "mass(": "mass(w): the share of the map inside a window",
    "entropy()": "how spread out the map is",
    "distance((": "distance((select …)): from another map",
    "score(": "score('class'): what the model answers",
    "argmax_row()": "the row of the highest value",
    "argmax_col()": "the column of the highest value",
}
_PARTITIONS: Final = (
    "grid(",
    "tile(",
    "slic(",
    "pixels",
    "features",
    "tokens",
    "words",
    "sentences",
    "spans(",
    "groups(",
)
_BASELINES: Final = ("zeros", "blur(", "mean(", "median(", "mode(", "constant(")


@dataclass(frozen=True)
class Completion:
    """One option: the text that is put in, what it is, and a few words about it."""

    label: str
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Completions:
    """Options for the text from `start` to the cursor."""

    start: int
    options: tuple[Completion, ...]


@dataclass(frozen=True)
class TextProblem:
    """The first fault of a text: what is wrong, and from where to where."""

    message: str
    start: int
    end: int


def problem(text: str, catalog: Catalog) -> TextProblem | None:
    """The first fault of a text; None if it means something, or is empty."""
    if not text.strip():
        return None
    try:
        check_text(text, catalog)
    except IalgebraError as error:
        start, end = error.span or (0, len(text))
        start = max(0, min(start, len(text)))
        return TextProblem(said(error), start, max(start, min(end, len(text))))
    return None


def completed(text: str, at: int, catalog: Catalog) -> Completions:
    """What may stand at the cursor, names first; what was typed of it is the text from `start` to the cursor."""
    at = max(0, min(at, len(text)))
    start, tokens = word_begun(text[:at])
    if tokens is None:
        return Completions(at, ())
    typed = text[start:at]
    place = _CursorPlace.of(tokens, text, at, catalog)
    expected = _expected(text[place.statement : start])
    options = [each for each in place.names() if _fits(each.label, typed)] if _name_fits(expected) else []
    if typed[:1] not in ("'", '"'):
        options += [Completion(each, "keyword") for each in place.keywords(expected or "") if _fits(each, typed)]
    wanted = typed.strip("'\"").casefold()
    options.sort(key=lambda each: not each.label.strip("'\"").casefold().startswith(wanted))
    each_once = {(each.label, each.kind): each for each in options}
    return Completions(start, tuple(each_once.values())[:_MOST])


def _fits(label: str, typed: str) -> bool:
    """Whether an option is one for what was typed: it begins so, or holds it, quotes aside."""
    quote = typed[:1] if typed[:1] in ("'", '"') else ""
    wanted = typed.removeprefix(quote).casefold()
    return label.startswith(quote) and wanted in label.strip("'\"").casefold()


@dataclass
class _CursorPlace:
    """Where the cursor stands."""

    tokens: Sequence[Token]
    frames: list[OpenFrame]
    subject: StatementSubject
    catalog: Catalog
    statement: int = 0  # the offset of its first character

    @classmethod
    def of(cls, tokens: list[Token], text: str, at: int, catalog: Catalog) -> _CursorPlace:
        ends = [number for number, each in enumerate(tokens) if each.token_type == TokenType.SEMICOLON]
        own = tokens[ends[-1] + 1 :] if ends else tokens
        after = lexed(text[at:])[0]
        rest = next((n for n, each in enumerate(after) if each.token_type == TokenType.SEMICOLON), len(after))
        begin = tokens[ends[-1]].end + 1 if ends else 0
        return cls(own, frames_of(own), subject_of([*own, *after[:rest]], catalog), catalog, begin)

    @property
    def frame(self) -> OpenFrame:
        return self.frames[-1]

    def back(self, count: int) -> str:
        """The text of a token before the cursor, in capitals; empty for one in quotes, or where there is none."""
        if count > len(self.tokens) or self.tokens[-count].token_type in QUOTED:
            return ""
        return self.tokens[-count].text.upper()

    # Names.

    def names(self) -> Iterator[Completion]:
        """The names that may stand here."""
        call, frame, catalog = self.frame.call, self.frame, self.catalog
        if call.lower() in FORMS:
            yield from self._of_edit(call.lower())
        elif call in catalog.models and len(self.frames) > 1 and self.frames[-2].clause in ("FROM", "JOIN", "PREDICT"):
            network = catalog.models[call]
            if frame.option:
                yield from self._values(frame.option, network)
            elif frame.commas == 0 and frame.clause != "PREDICT":
                yield from self._inputs_and_edits()
            elif self.back(1) in (",", "("):
                options = PREDICT_OPTIONS if frame.clause == "PREDICT" else CALL_OPTIONS
                yield from (Completion(f"{each} =>", "option") for each in options)
        elif call.lower() == EACH:
            yield from self._inputs_and_edits()
        elif call and frame.clause == "USING":
            yield from self._of_method(call)
        elif call.lower() in ("mean", "median", "mode"):
            yield from (each for each in self._inputs() if catalog.visible[self._registered(each)].collection)
        elif call.lower() == "blur":
            yield from self._inputs()
        elif call.lower() == "groups":
            yield from self._features()
        elif call.lower() == "score":
            yield from _classes(self.subject.model)
        elif call.lower() in OF_CONCEPTS and frame.clause in ("HAVING", "ORDER"):
            yield from self._attributes()
        elif call.lower() == CONCEPTS and frame.option == "":
            yield from (Completion(sql_text(each.name), "value", "dictionary") for each in self._dictionaries())
        elif call.lower() == "mass" or frame.clause == "WHERE":
            yield from self._of_predicate(self.subject.entry)
        else:
            yield from self._of_clause()

    def _of_clause(self) -> Iterator[Completion]:
        catalog, before = self.catalog, self.back(1)
        match self.frame.clause:
            case "FROM" | "JOIN" if before in ("FROM", "JOIN") and "PREDICT" in self._words:
                yield from self._inputs_and_edits()
            case "FROM" | "JOIN" if before in ("FROM", "JOIN"):
                yield from _models(catalog)
                yield from self._views()
            case "PREDICT" if before in ("PREDICT", ","):
                yield from _models(catalog)
            case "SELECT" if before in ("SELECT", ","):
                yield from self._layers()
            case "HAVING" | "ORDER":
                yield from self._of_ranking()
            case "USING" if before == "USING":
                yield from (Completion(each, "method", "an estimate of Shapley values") for each in METHODS)
                yield from (Completion(sql_name(each), "method") for each in catalog.interpreters)
            case "DESCRIBE" if before == "DESCRIBE":
                yield from _models(catalog)
                yield from self._inputs()
                yield from self._windows()
                yield from self._views()
            case "DROP" if before == "WINDOW":
                yield from self._windows()
            case "DROP" if before == "VIEW":
                yield from self._views()
            case "SET" if before == "SET":
                yield from (Completion(each, "option") for each in OPTIONS)
            case "SET" if before == "=":
                yield from self._settings(self.back(2).lower())
            case "CREATE" if "WINDOW" in self._words and "AS" in self._words:
                yield from self._of_predicate(None)
                yield from (Completion(each, "function") for each in ("top(", "above(") if before == "AS")

    @property
    def _words(self) -> list[str]:
        return [each.text.upper() for each in self.tokens if each.token_type not in QUOTED]

    def _of_edit(self, name: str) -> Iterator[Completion]:
        """What may be an argument of an edit; which, depends on the kind of the input that it edits."""
        form, frame = FORMS[name], self.frame
        if frame.option:
            yield from self._of_edits_option(form, frame.option)
            return
        if frame.commas == 0:
            yield from self._inputs_and_edits()
            return
        entry = self._first_input(self.tokens[frame.first :]) or self.subject.entry
        wanted = form.arguments(KINDS[entry.kind]) if entry is not None else None
        argument = wanted[frame.commas - 1] if wanted is not None and frame.commas <= len(wanted) else None
        match argument:
            case WindowArgument():
                yield from self._of_predicate(entry)
            case InputArgument():
                yield from self._inputs_and_edits()
            case NumberArgument() | WholeArgument():
                yield Completion(f"{SWEEP}(", "function", f"{SWEEP}(low, high, n): one input a step")
            case ValueArgument():
                yield Completion(f"{SWEEP}(", "function", f"{SWEEP}(low, high, n): one input a step")
                yield from (
                    self._entries_of("token", entry) if entry is not None and KINDS[entry.kind].vocabulary else ()
                )
            case AxisArgument():
                yield from (Completion(sql_text(each), "axis") for each in self.catalog.axes)
            case None if form.takes_baseline and wanted is not None:
                yield Completion("baseline =>", "option")
            case None if wanted is not None:
                yield from (Completion(f"{each.name} =>", "option") for each in form.options)

    def _of_edits_option(self, form: EditForm, option: str) -> Iterator[Completion]:
        """What an option of an edit may be."""
        argument: EditArgument | None = next((each.argument for each in form.options if each.name == option), None)
        match argument:
            case ClassArgument():
                yield from _classes(self.subject.model)
            case WordArgument(legal=(_, *_) as words):
                yield from (Completion(each, "value") for each in words)
            case WordArgument() if option == "generator":
                yield from (Completion(sql_name(each), "generator") for each in self.catalog.generators)
            case WordArgument() if option == "model":
                yield from _models(self.catalog)
            case None:
                yield from self._values(option, self.subject.model)

    def _of_method(self, call: str) -> Iterator[Completion]:
        name = SHAPLEY if call.lower() in METHODS else call
        known = self.catalog.interpreters.get(name)
        options = dict(known.options) if isinstance(known, Interpreter) else {}
        if call.lower() in METHODS:
            del options["method"]  # which the call names
        if not self.frame.option:
            yield from (Completion(f"{each} =>", "option", option.kind) for each, option in options.items())
        elif (option := options.get(self.frame.option)) is not None:
            words = ("true", "false") if option.kind == "flag" else option.legal
            yield from (Completion(each, "value") for each in words)
            if option.kind == "layer":
                yield from self._layers()

    def _of_predicate(self, entry: Entry | None) -> Iterator[Completion]:
        """What may stand in a window: of an input, or of any (None)."""
        column = self._compared()
        if column is not None:
            yield from self._entries_of(column, entry)
            return
        if self.back(1) in (*_COMPARED, "<", ">", "<=", ">="):
            return
        kind = KINDS[entry.kind] if entry is not None else None
        if self._over_attributes:
            yield from (Completion(each, "column", "of attributes") for each in COLUMNS)
        yield from self._windows()
        for name in kind.columns if kind is not None else dict.fromkeys(c for k in KINDS.values() for c in k.columns):
            yield Completion(name, "column", kind.article if kind is not None else "")
        if kind is None or "row" in kind.columns:
            yield from (Completion(f"{each}(", "function", f"{each}({', '.join(of)})") for each, of in SHAPES.items())

    def _compared(self) -> str | None:
        """The column that is compared with what stands here; None if none is."""
        if self.back(1) in _COMPARED:
            return self.back(2).lower()
        if self.frame.call == "" and len(self.frames) > 1 and self.frame.first > 1:  # in ('a', …
            before = self.tokens[self.frame.first - 2 : self.frame.first]
            opened = self.tokens[self.frame.first - 1]
            if opened.token_type == TokenType.L_PAREN and before[0].text.upper() == "IN" and self.frame.first > 2:
                return self.tokens[self.frame.first - 3].text.lower()
        return None

    def _entries_of(self, column: str, entry: Entry | None) -> Iterator[Completion]:
        """The words that the entries of a column are."""
        if column == CONCEPT:
            yield from self._attributes()
            return
        if entry is None:
            return
        kind = KINDS[entry.kind]
        words: Iterable[str] = kind.words.get(column, ())
        if column in ("token", "word"):
            words = entry.known_words[0] or entry.feature_names or ()
        elif column == "feature" and not words:
            words = entry.feature_names or ()
        yield from (Completion(sql_text(each), "value", column) for each in words)

    def _of_ranking(self) -> Iterator[Completion]:
        model, entry = self.subject
        match self._compared():
            case "prediction" | "decision":
                yield from _classes(model)
            case "label":
                labels = dict.fromkeys(entry.labels or ()) if entry is not None else {}
                yield from (Completion(sql_text(each), "value", "label") for each in labels if isinstance(each, str))
                yield from _classes(model)
            case None if self.back(1) not in (*_COMPARED, "<", ">", "<=", ">="):
                yield from (Completion(each, "function", detail) for each, detail in _RANKED.items())
                if self._dictionaries():
                    functions = (
                        OF_CONCEPTS if self._over_attributes else [each for each in OF_CONCEPTS if each in COLUMNS]
                    )
                    yield from (Completion(f"{each}(", "function", OF_CONCEPTS[each]) for each in functions)
                    yield Completion(DECISION, "function", "the class that the attributes decide for")

    # Dictionaries of concepts.

    @property
    def _over_attributes(self) -> bool:
        """Whether the statement's game is over attributes, as far as its words tell."""
        return CONCEPTS.upper() in self._words

    def _dictionaries(self) -> list[Dictionary]:
        model = self.subject.model
        return [] if model is None else dictionaries_of(explained_model(model.name, self.catalog), self.catalog)

    def _attributes(self) -> Iterator[Completion]:
        """The attributes of the dictionary that the statement names, or of the model's first one."""
        own, words = self._dictionaries(), {each.text for each in self.tokens if each.token_type in QUOTED}
        for each in [*(each for each in own if each.name in words), *own][:1]:
            yield from (Completion(sql_text(name), "attribute", each.name) for name in each.names)

    def _values(self, option: str, network: Network | None) -> Iterator[Completion]:
        """What an option of a model call may be."""
        kind = KINDS[self.subject.entry.kind] if self.subject.entry is not None else None
        match option:
            case "target":
                yield from _classes(network)
                yield Completion("all", "value", "a map for each class")
            case "output":
                yield from (Completion(each, "value") for each in OUTPUTS)
            case "contrast":
                yield from (Completion(each, "value") for each in CONTRASTS)
            case "layer":
                yield from self._layers(network)
            case "players":
                yield from (Completion(each, "function") for each in _PARTITIONS if _plays(each, kind))
                for each in self._dictionaries():
                    named = each.name == CONCEPTS
                    label = CONCEPTS if named else f"{CONCEPTS}({sql_text(each.name)})"
                    yield Completion(label, "function", f"{each.size} attributes")
                yield from self._inputs()
            case "baseline":
                words = ("'mask'", "'pad'", "'unk'", "'drop'") if kind is not None and kind.vocabulary else _BASELINES
                yield from (Completion(each, "function" if each.endswith("(") else "value") for each in words)
                yield from self._inputs_and_edits()

    def _settings(self, option: str) -> Iterator[Completion]:
        match option:
            case "strategy":
                yield from (Completion(each.lower(), "value") for each in PRESETS)
            case "method":
                yield from (
                    Completion(each, "method") for each in (*METHODS, *map(sql_name, self.catalog.interpreters))
                )
            case _:
                yield from self._values(option, None)
        yield Completion("default", "value", "takes the setting back")

    def _layers(self, network: Network | None = None) -> Iterator[Completion]:
        network = network or self.subject.model
        yield Completion("*", "layer", "the model itself")
        if network is None or not network.probed:
            return
        for layer in network.layers:
            state = "the model's output" if layer.is_output else "" if layer.index in network.heads else "no head yet"
            yield Completion(str(layer.index), "layer", ", ".join(filter(None, (layer.name, state))))
        yield from (Completion(sql_name(each.name), "layer", f"layer {each.index}") for each in network.layers)

    def _inputs(self) -> Iterator[Completion]:
        for name, entry in self.catalog.visible.items():
            yield Completion(
                sql_name(name), "input", shorten(input_line(entry).removeprefix(f"{name}: "), _MOST_DETAIL)
            )

    def _registered(self, option: Completion) -> str:
        return next(name for name in self.catalog.visible if sql_name(name) == option.label)

    def _inputs_and_edits(self) -> Iterator[Completion]:
        yield from self._inputs()
        known = self.subject.entry
        kind = KINDS[known.kind] if known is not None else None
        names = [*(meaningful(kind) if kind is not None else EDITS), *self._latent_edits()]
        yield from (Completion(f"{name}(", "edit", FORMS[name].written(kind)) for name in names)

    def _latent_edits(self) -> Iterator[str]:
        """The edits of codes, where a generator draws such inputs."""
        known = self.subject.entry
        if any(known is None or each.shape == known.shape for each in self.catalog.generators.values()):
            yield from LATENT_EDITS

    def _windows(self) -> Iterator[Completion]:
        for name, window in self.catalog.windows.items():
            yield Completion(sql_name(name), "window", shorten(window_text(window), _MOST_DETAIL))

    def _views(self) -> Iterator[Completion]:
        for name, text in self.catalog.views.items():
            yield Completion(sql_name(name), "view", shorten(text, _MOST_DETAIL))

    def _features(self) -> Iterator[Completion]:
        names = self.subject.entry.feature_names if self.subject.entry is not None else None
        yield from (Completion(sql_text(each), "value", "feature") for each in names or ())

    def _first_input(self, tokens: Sequence[Token]) -> Entry | None:
        names = (each.text.replace("′", "'") for each in tokens if each.token_type != TokenType.STRING)
        return next((self.catalog.visible[name] for name in names if name in self.catalog.visible), None)

    # Keywords.

    def keywords(self, expected: str) -> list[str]:
        """The keywords of what the parser expects, in small letters, and those that it does not name."""
        words = re.findall(r"\b[A-Z]{2,}(?: [A-Z]{2,})*\b", expected)
        if "JOIN" in words:
            words = ["ANTI JOIN", *words]
        if self.frame.clause == "ORDER" and not self.frame.call and self.back(1) not in ("ORDER", "BY", ","):
            words = ["DESC", "ASC", *words]
        if self.back(1) in ("WHERE", "AND", "OR", "HAVING", "NOT"):
            words = ["NOT", *words]
        if self.back(1) == "(" and self.frame.clause in ("FROM", "JOIN") and not self.frame.call:
            words = ["SELECT", *words]
        if self.back(1) == "%" and self.back(3) == "WITHIN":
            words = ["AT CONFIDENCE", *words]
        return [word.lower() for word in dict.fromkeys(words)]


def _expected(before: str) -> str | None:
    """What the parser expects after a text, in its words: it is asked by a sign that nearly nowhere may stand. None
    where it does not get so far; empty where the sign may stand."""
    try:
        parse(f"{before} =>")
    except ParseError as error:
        place = error.span.start - len(before) if error.span is not None else -1
        if place >= 0 and error.message.startswith("expected "):
            return error.message.partition(", found")[0] if place <= 1 else ""
    return None


def _name_fits(expected: str | None) -> bool:
    """Whether a name may stand where this is expected; also where it is not known what is."""
    return expected is None or any(word in expected for word in ("name", "layer", "operand", "method", "input"))


def _models(catalog: Catalog) -> Iterator[Completion]:
    for name, network in catalog.models.items():
        yield Completion(sql_name(name), "model", shorten(model_line(network).removeprefix(f"{name}: "), _MOST_DETAIL))


def _classes(network: Network | None) -> Iterator[Completion]:
    for number, name in enumerate((network.classes or ()) if network is not None else ()):
        yield Completion(sql_text(name), "class", f"class {number}")


def _plays(partition: str, kind: InputKind | None) -> bool:
    names = (
        {"grid" if each is Blocks else each.__name__.lower() for each in kind.partitions} if kind is not None else ()
    )
    return kind is None or partition.rstrip("(") in names
