"""The catalog: registered models, inputs, windows, views and interpreters by name, and the session's settings.

In: names. Out: what is registered under them; an unknown name is a BindError that suggests the nearest one. Plans hold
only names: tensors and networks stay here. It runs no query and knows no plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..algebra.attributes import columns_of_code
from ..algebra.baselines import Baseline
from ..algebra.kinds import KINDS, columns_of
from ..algebra.kinds.naming import TextNames
from ..algebra.operators import Estimation
from ..algebra.players import Partition
from ..algebra.sources import Source
from ..algebra.windows import Window
from ..errors import BindError, ShapeError, did_you_mean
from ..generators.axes import Axis
from ..generators.registered import RegisteredGenerator
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHIPPED
from ..models.adapters.strings import SPELLING
from ..models.concepts import DerivedNetwork, Dictionary, PlayedNetwork
from ..models.concepts.resuming import plays_on_model
from ..models.network import Network
from ..models.tabling import KEPT_BYTES, KeptTables
from ..system.kept import Kept
from .drawing import Drawings
from .edited import KEPT_BYTES as KEPT_INPUTS_BYTES
from .edited import Alike, Edited, ReadBy
from .inputs import Element, Entry, ReadTensors, hidden, is_hidden
from .readings import HeldContents

CONCEPTS = "concepts"  # the name of a model's dictionary where nobody gave another

_T = TypeVar("_T")


class ConceptGame(NamedTuple):
    """A game over the attributes of a dictionary: the model `of` that it explains, the model that gives the `codes` of
    inputs, and the network that the game is `played` on."""

    dictionary: Dictionary
    of: str
    codes: str
    played: str
    on_model: bool  # whether attributes are taken out of the model itself, and not out of its surrogate

    @property
    def surrogate(self) -> str:
        """The model of inputs that decides by their attributes alone."""
        return f"{self.of}.g" if self.dictionary.name == CONCEPTS else f"{self.of}.{self.dictionary.name}.g"


@dataclass(frozen=True, eq=False)
class CodeBook:
    """The codes of inputs as a collection of a table's rows, which grows while a query is planned. `places` has the
    number of each code, by what it is the code of; `elements` are those that are known."""

    entry: Entry
    places: dict[object, int]
    elements: list[Element]

    @classmethod
    def of(cls, name: str, dictionary: Dictionary) -> CodeBook:
        """An empty book of codes."""
        elements: list[Element] = []
        dtype = next(iter(dictionary.heads.values())).weight.dtype
        form = Element(torch.zeros(dictionary.size, dtype=dtype))
        return cls(Entry(name, elements, True, "tabular", dictionary.names, first=form), {}, elements)

    def source(self, what: object) -> Source:
        """The reference to the code of something; a KeyError where it is not in the book."""
        return Source(self.entry.name, self.places[what])

    def enter(self, what: object, code: Tensor) -> None:
        """Note the code (J,) of something."""
        self.places[what] = len(self.elements)
        self.elements.append(Element(code))


@dataclass(eq=False)
class Settings:
    """What `SET option = value` changes: the defaults of later queries. None leaves the choice to the planner."""

    seed: int | None = None
    budget: int | None = None
    method: Estimation | None = None
    baselines: tuple[Baseline, ...] | None = None
    players: Partition | None = None
    output: str | None = None
    contrast: str | None = None
    strategy: str | None = None
    batch_size: int | None = None
    tempo: str | None = None


@dataclass(eq=False)
class Catalog:
    """The names of a session, each with what it stands for."""

    models: dict[str, Network] = field(default_factory=dict)
    inputs: dict[str, Entry] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    interpreters: dict[str, GameInterpreter | ModelInterpreter] = field(default_factory=lambda: dict(SHIPPED))
    generators: dict[str, RegisteredGenerator] = field(default_factory=dict)
    axes: dict[str, Axis] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    kept: Kept[Element] = field(default_factory=lambda: Kept(KEPT_INPUTS_BYTES))  # inputs that were edited
    concepts: dict[str, Dictionary] = field(default_factory=dict)  # by the model of its attributes, 'f.concepts'
    heads: dict[str, PlayedNetwork] = field(default_factory=dict)  # what games over attributes are played on
    shares: dict[tuple[object, ...], object] = field(default_factory=dict)  # of scores that generators keep
    tables: KeptTables = field(default_factory=lambda: Kept(KEPT_BYTES))  # of its models
    search_rows: int = 0  # of models, forward and backward, that searches for counterfactuals ran for one query
    codes: dict[str, CodeBook] = field(default_factory=dict)  # of one query, by the hidden name of their input
    read: dict[tuple[str, str], object] | None = None  # of one query: what models and generators held, as read last
    drawn_by: dict[Alike, ReadBy] = field(default_factory=dict)  # of one query: what its inputs are drawn by

    def snapshot(self) -> Catalog:
        """A copy that later registrations, drops and settings do not change. It shares the cache of edited inputs."""
        return Catalog(
            dict(self.models),
            {name: each.opened() for name, each in self.inputs.items()},
            dict(self.windows),
            dict(self.views),
            dict(self.interpreters),
            dict(self.generators),
            dict(self.axes),
            replace(self.settings),
            self.kept,
            dict(self.concepts),
            dict(self.heads),
            self.shares,
            self.tables,
            read={},
        )

    def inputs_again(self) -> Catalog:
        """A catalog of these inputs alone; what is read again must be as this catalog found it."""
        return Catalog(inputs={name: each.opened(again=True) for name, each in self.inputs.items()})

    def model(self, name: str) -> Network:
        return self.heads[name] if name in self.heads else _look_up("model", name, self.models)

    def dictionary(self, model: str, name: str = CONCEPTS) -> Dictionary:
        """The dictionary of concepts that a model has by this name; BindError that says how to make one."""
        key = f"{self.model(model).name}.{name}"
        if key not in self.concepts:
            own = [each.name for each in self.concepts.values() if model in each.models]
            hint = did_you_mean(name, own) if own else f'; make them with con.fit_concepts("{model}", inputs)'
            raise BindError(f"model '{model}' has no concepts called '{name}'{hint}")
        return self.concepts[key]

    def concept_game(self, model: str, name: str = CONCEPTS) -> ConceptGame:
        """The game over the attributes of a model, or of its surrogate, by a dictionary of this name; BindError where
        it has none."""
        network = self.model(model)
        of = network.of.name if isinstance(network, DerivedNetwork) else model
        dictionary = self.dictionary(of, name)
        first = dictionary.models[0]
        on_model = of == model and plays_on_model(dictionary)
        return ConceptGame(dictionary, of, f"{first}.{dictionary.name}", f"{of}.{dictionary.name}.head", on_model)

    def code_book(self, model: str) -> CodeBook:
        """The codes of a query that a model of attributes gives, such as 'f.concepts'; none are known at first."""
        name = hidden(model, "codes")
        if name not in self.codes:
            self.codes[name] = CodeBook.of(name, self.concepts[model])
        return self.codes[name]

    def input(self, name: str) -> Entry:
        if name in self.codes:
            return self.codes[name].entry
        return self.inputs[name] if name in self.inputs else _look_up("input", name, self.visible)

    @property
    def visible(self) -> dict[str, Entry]:
        """The inputs that users registered by name."""
        return {name: each for name, each in self.inputs.items() if not is_hidden(name)}

    def how_read(self, names: Iterable[str]) -> str:
        """The end of a sentence about a model that does not fit these inputs: how they were read, and what in their
        registration would have them read otherwise; empty where nothing would."""
        read = [
            f"'{name}' {how}" for name in dict.fromkeys(names) if name in self.inputs and (how := self.inputs[name].how)
        ]
        return f" ({'; '.join(read[:2])})" if read else ""

    def view(self, name: str) -> str:
        return _look_up("view", name, self.views)

    def interpreter(self, name: str) -> GameInterpreter | ModelInterpreter:
        return _look_up("interpreter", name, self.interpreters)

    def generator(self, name: str) -> RegisteredGenerator:
        return _look_up("generator", name, self.generators)

    def axis(self, name: str) -> Axis:
        return _look_up("axis", name, self.axes)

    def generator_for(self, entry: Entry, named: str) -> RegisteredGenerator:
        """The generator that is named, or the only one that draws inputs of this shape; ShapeError if it draws
        others."""
        if named:
            found = self.generator(named)
            if found.shape != entry.shape:
                raise ShapeError(f"generator '{named}' draws inputs {found.shape}; '{entry.name}' is {entry.shape}")
            return found
        fitting = [each for each in self.generators.values() if each.shape == entry.shape]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(each.name for each in fitting)
            raise BindError(f"several generators draw such inputs ({names}); say which: generator => {fitting[0].name}")
        raise BindError(
            f"no generator draws inputs {entry.shape} such as '{entry.name}'; register one with con.register_generator"
        )

    def element(self, source: Source) -> Element:
        """The input that `source` names, after its edits; BindError for a collection of several inputs without an
        index."""
        entry = self.input(source.name)
        if source.index is None and len(entry.elements) > 1:
            raise BindError(
                f"'{source.name}' is a collection of {len(entry.elements)} inputs; one input is needed here"
            )
        return self.edited.element(source) if source.edits else entry.elements[source.index or 0]

    @property
    def edited(self) -> Edited:
        """The inputs as edits make them."""
        return Edited(self, self.kept, self.drawn_by)

    @property
    def readings(self) -> HeldContents:
        """What generators, axes and models hold; of a snapshot, also what was read last."""
        return HeldContents(self.generator, self.axis, self.model, self.read)

    @property
    def drawings(self) -> Drawings:
        """What draws the inputs that are edited in a generator's space of codes."""

        def count(source: Source) -> int:
            return len(self.input(source.name).elements)

        def spent(rows: int) -> None:
            self.search_rows += rows

        return Drawings(self.generators, self.axes, self.model, self.element, count, spent)

    def tensors(self, name: str) -> Sequence[Tensor]:
        """The tensors of a collection: a list, if they are held."""
        entry = self.input(name)
        return [each.tensor for each in entry.held] if entry.block is None else ReadTensors(entry.elements)

    def shape(self, source: Source) -> tuple[int, ...]:
        """The shape of an input after its edits."""
        return tuple(self.element(source).tensor.shape) if source.edits else self.input(source.name).shape

    def digest_for(self, model: str, source: Source) -> str:
        """The digest of `element_for`, without reading again what this catalog has read."""
        entry = self.input(source.name)
        plain_element = not source.edits and not KINDS[entry.kind].vocabulary
        return entry.digest(source.index or 0) if plain_element else self.element_for(model, source).digest

    def names(self, source: Source) -> Sequence[str] | TextNames | None:
        """The names of the features of an input. Of a text whose tokens were edited, each is what its id is called."""
        entry = self.input(source.name)
        if entry.block is not None:
            return entry.feature_names
        element = entry.elements[source.index or 0]
        names = element.names
        if names is None:
            return entry.feature_names
        if not source.edits:
            return names
        now, known = self.element(source).tensor.tolist(), dict[int, str]()
        for each in (*self.inputs.values(), entry):
            known |= each.token_names
        kept = zip(now, element.tensor.tolist(), names.tokens, strict=False)
        called = [name if new == old else known.get(new, f"token {new}") for new, old, name in kept]
        return names.renamed(called).lengthened(len(now))

    def columns(self, source: Source) -> dict[str, NDArray[np.generic]]:
        """The columns that predicates read of an input."""
        array, names = self.element(source).array, self.names(source)
        if source.name in self.codes:
            return dict(columns_of_code(array, self.codes[source.name].entry.feature_names or ()))
        return columns_of(self.input(source.name).kind, array, names)

    def element_for(self, model: str, source: Source) -> Element:
        """The input that `source` names as this model is given it: token sequences with their attention mask, if the
        model reads one (`models.tokens`)."""
        element, reader, entry = self.element(source), self.model(model).tokens, self.input(source.name)
        if not self.has_tokens(source):
            return element
        self._check_spelling(model, entry)
        if reader is None:
            if len(element.tensor) != len(entry.elements[source.index or 0].tensor):
                raise ShapeError(
                    f"'{source}' is shorter than the text that it meets, and model '{model}' reads no attention mask "
                    "that could hide its end; register both as one list of texts, which pads them"
                )
            return element
        return element.packed(reader, entry.elements[source.index or 0])

    def elements_for(self, model: str, sources: Sequence[Source]) -> list[Element]:
        """`element_for` of several inputs of one name."""
        if sources and self.has_tokens(sources[0]):
            return [self.element_for(model, each) for each in sources]
        return self.edited.elements(sources)

    def has_tokens(self, source: Source) -> bool:
        """Whether an input is of tokens, which each model is given in its own way."""
        return KINDS[self.input(source.name).kind].vocabulary

    def _check_spelling(self, model: str, entry: Entry) -> None:
        """Raise BindError where one of a text and a model speaks of the text itself, and the other of a tokenizer's
        tokens."""
        takes = self.model(model).tokenizer
        if entry.tokenizer is None or (takes is SPELLING) == (entry.tokenizer is SPELLING):
            return
        if takes is SPELLING:
            raise BindError(
                f"model '{model}' takes texts themselves, but input '{entry.name}' was registered with a tokenizer; "
                "register it with tokenizer='words'"
            )
        raise BindError(
            f"input '{entry.name}' was registered as words, for a model that takes texts themselves, but model "
            f"'{model}' takes tokens; register it with the tokenizer of its model, tokenizer=tokenizer"
        )

    def mask(self, source: Source) -> NDArray[np.generic]:
        """A registered feature mask. A mask (H, W) is registered as a collection of H inputs, and is put together
        here."""
        entry = self.input(source.name)
        if entry.collection and source.index is None:
            rows = np.stack([each.array for each in entry.elements])
            return rows[0] if len(rows) == 1 else rows  # Captum's masks have a batch dimension of 1
        return self.element(source).array


def _look_up(what: str, name: str, names: Mapping[str, _T]) -> _T:
    if name not in names:
        raise BindError(f"unknown {what} '{name}'{did_you_mean(name, names)}")
    return names[name]
