"""A model call of FROM or JOIN, `f(x, option => value, …)`. In: the call, and what it inherits. Out: an Identity with
every default filled in, or one for each class for `target => all`; and the contrast of two models, if the call names
one.

An option that the call leaves out gets the default of its input, else that of the session. This module may not know
joins, windows, layers or rankings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

from ...algebra.baselines import Baseline, Given, check_baseline
from ...algebra.kinds import KINDS
from ...algebra.labelling import check_partition
from ...algebra.operators import Contrast, Estimation, Identity, OutputKind
from ...algebra.packings import packing_of
from ...algebra.players import OfConcepts
from ...algebra.sources import Source
from ...catalog.catalog import CONCEPTS
from ...catalog.inputs import Entry
from ...errors import BindError, IalgebraError
from ...interpreters.protocol import ModelInterpreter
from ...interpreters.shipped import LINEAR
from ...models.concepts import DerivedNetwork
from ...models.outputs import no_probability
from .. import tree
from .classes import bind_class, is_every_class
from .gaps import check_gaps
from .inputs import EACH, MODIFIERS, bind_baselines, bind_input, default_baselines, for_input
from .models import KnownModel, UnprobedModel
from .options import OUTPUTS, bind_contrast, bind_players, choice, word
from .plans import longer
from .scope import Inherited, Scope
from .using import bound_to, check_asks

CALL_OPTIONS: Final = ("target", "baseline", "players", "output", "contrast")


def bind_call(call: tree.CallExpr, scope: Scope, inherited: Inherited) -> tuple[list[Identity], Contrast | None]:
    """The identity of a model call, or one for each class; and the contrast that the call names, if any.

    Raises BindError or ShapeError at the wrong word, and NotKnownYet if the model is not probed yet.
    """
    with scope.at(call.span):
        return _CallBinder(call, scope, inherited).identities()


def _inside_each(call: tree.CallExpr) -> tree.Expression:
    if len(call.arguments) != 1 or call.options:
        raise BindError("each takes one input: each(rotate(x, steps(-30, 30, 7)))", call.span)
    return call.arguments[0]


@dataclass(frozen=True)
class _CallBinder:
    call: tree.CallExpr
    scope: Scope
    inherited: Inherited

    def identities(self) -> tuple[list[Identity], Contrast | None]:
        call, scope, inherited = self.call, self.scope, self.inherited
        catalog, name = scope.catalog, call.name.value
        with scope.at(call.name.span):
            if name not in catalog.models and name.lower() in MODIFIERS:
                raise BindError(f"{name} changes a model's input and stands inside its call, as in f({name}(x, …))")
            network = scope.model(name)
        if len(call.arguments) != 1:
            raise BindError(f"model '{name}' takes one input, as in {name}(x); got {len(call.arguments)}")
        (argument,), options = call.arguments, self.options
        with scope.at(argument.span):
            apart = isinstance(argument, tree.CallExpr) and argument.name.value.lower() == EACH
            inner = _inside_each(argument) if isinstance(argument, tree.CallExpr) and apart else argument
            sources = bind_input(inner, catalog, self.baselines)
            if apart and not sources[0].is_element:
                raise BindError("each(…) goes around a sweep or a collection: f(each(rotate(x, steps(-30, 30, 7))))")
            entry = catalog.input(sources[0].name)
            if not network.probed:
                scope.told(UnprobedModel(name, entry.name))
            check_asks(inherited.estimation.interpreter, network, entry, catalog)
        try:
            estimation = bound_to(inherited.estimation, network, catalog)
        except IalgebraError as error:  # the error of an option of USING is placed at USING
            raise error.at(*inherited.using) if inherited.using else error from error.__cause__
        baselines = self.baselines(entry)
        players = entry.players or catalog.settings.players or KINDS[entry.kind].default_partition
        targets: Sequence[int | None] = [None]
        output = catalog.settings.output or network.output
        contrast: Contrast | None = None
        for option, value in options.items():
            with scope.at(value.span):
                match option:
                    case "players":
                        players = bind_players(value, catalog)
                    case "target":
                        targets = self.targets(value, network, entry)
                    case "output":
                        output = choice("output", word(value, "an output"), OUTPUTS)
                    case "contrast":
                        contrast = bind_contrast(value)
        with self.default("output"):
            if output != "logit" and network.outputs.meaning == "values":
                raise BindError(f"model '{name}' has no {output} to explain: {no_probability(output)}")
        one_length = self.at_one_length(entry, sources, baselines)
        with self.default("baseline"):
            x = entry.example.tensor if one_length[0] is sources else catalog.element(one_length[0][0]).tensor
            sources, baselines = one_length
            if "baseline" in self.options or packing_of(x) is None:  # others are checked when they are needed
                for baseline in baselines:
                    check_baseline(baseline, entry.kind, x, lambda source: catalog.element(source).tensor)
        with self.default("players"):
            if isinstance(players, OfConcepts):
                players = self.concepts(players, estimation)
            else:
                check_partition(players, entry.kind, entry.shape, catalog.mask, entry.feature_names)
        kind = cast("OutputKind", output)
        depth = network.depth
        found = [
            Identity(name, some, baselines, players, each, kind, depth, estimation)
            for each in targets
            for some in ([(one,) for one in sources] if apart else [sources])
        ]
        with scope.at(argument.span):
            check_gaps(found, network, scope)
        return found, contrast

    def concepts(self, players: OfConcepts, estimation: Estimation) -> OfConcepts:
        """The attributes of the model's dictionary; of its only one, where the query names none and no other is called
        'concepts'. Raises BindError where there is none, and for an interpreter that asks the model itself."""
        catalog, name = self.scope.catalog, self.call.name.value
        network = catalog.model(name)
        of = network.of.name if isinstance(network, DerivedNetwork) else name
        own = [each.name for each in catalog.concepts.values() if of in each.models]
        if players.dictionary == CONCEPTS and CONCEPTS not in own and len(own) == 1:
            players = OfConcepts(own[0])
        game = catalog.concept_game(name, players.dictionary)
        if name == game.codes:
            raise BindError(f"'{name}' gives the concepts themselves; ask {of}(x, players => concepts)")
        interpreter = catalog.interpreter(estimation.interpreter)
        if isinstance(interpreter, ModelInterpreter) and estimation.interpreter != LINEAR:
            raise BindError(
                f"{estimation.interpreter} explains features of the input; games over concepts are those of "
                "using shapley(), using exact() or using linear()"
            )
        return players

    def at_one_length(
        self, entry: Entry, sources: tuple[Source, ...], baselines: tuple[Baseline, ...]
    ) -> tuple[tuple[Source, ...], tuple[Baseline, ...]]:
        """The inputs and their baselines; a text and one of another length, both at the longer one."""
        others = [self.scope.catalog.input(each.source.name) for each in baselines if isinstance(each, Given)]
        lengths = {each.shape for each in (entry, *others)}
        if len(lengths) == 1 or not KINDS[entry.kind].vocabulary:
            return sources, baselines
        tokens = max(lengths)[0]
        given = (Given(longer(each.source, tokens)) if isinstance(each, Given) else each for each in baselines)
        return tuple(longer(each, tokens) for each in sources), tuple(given)

    def targets(self, value: tree.ValueExpr, network: KnownModel, entry: Entry) -> Sequence[int]:
        """The class that `target` names, or every class for the word `all` without quotes; BindError for another."""
        return range(network.class_count) if is_every_class(value, network) else [bind_class(value, network, entry)]

    @cached_property
    def options(self) -> dict[str, tree.ValueExpr]:
        """The values of the call's options by name; BindError for an unknown one, and for one that is given twice."""
        found: dict[str, tree.ValueExpr] = {}
        for option in self.call.options:
            with self.scope.at(option.name.span):
                name = choice("option of a model call", option.name.value, CALL_OPTIONS)
                if name in found:
                    raise BindError(f"option '{name}' is given twice")
            found[name] = option.value
        return found

    def baselines(self, entry: Entry) -> tuple[Baseline, ...]:
        """The baselines in force: the call's own, or the default of the input that it reads."""
        if "baseline" not in self.options:
            return for_input(default_baselines(entry, self.scope.catalog), entry, self.scope.catalog)
        with self.scope.at(self.options["baseline"].span):
            return for_input(bind_baselines(self.options["baseline"], self.scope.catalog), entry, self.scope.catalog)

    @contextmanager
    def default(self, option: str) -> Iterator[None]:
        """A frame: an error of an option that the call leaves out says that the default is wrong."""
        given = self.options.get(option)
        try:
            with self.scope.at(given.span if given else self.call.span):
                yield
        except IalgebraError as error:
            if given is None:
                error.message += f" (the default {option} of this input or session)"
            raise
