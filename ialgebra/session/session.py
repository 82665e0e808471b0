"""The façade: `connect()` gives a Session, in which models and inputs are registered and queries asked.

One session is one catalog, one store of values already paid for, and one lock: threads take turns. A failed or
interrupted query leaves it usable. Everything that a session does is a method here; the work is done elsewhere.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import assert_never

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..algebra.baselines import Baseline, Constant, Given, check_baseline
from ..algebra.labelling import check_partition
from ..algebra.players import Labels, Partition
from ..algebra.sources import Source
from ..algebra.windows import Mask, Window
from ..answering import explaining, loop
from ..answering.question import Request
from ..catalog.catalog import Catalog
from ..catalog.inputs import Entry, entry, hidden, labels_of, snapshot
from ..errors import BindError, IalgebraError, ResourceError, did_you_mean
from ..execution.store import Store
from ..interpreters.checked import known_interpreter
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHIPPED
from ..kernels.estimators.registry import METHODS
from ..language import reader, tree
from ..language.bind import inputs, options
from ..language.bind import query as binder
from ..language.bind.predicates import bind_window
from ..language.printer import baseline_text
from ..models.calibration import calibrate, table
from ..models.fitting import HeadReport, fit_heads
from ..models.head_files import load_heads, save_heads, weights_digest
from ..models.layers import LayerChoice
from ..models.network import Model, Network, is_out_of_memory
from ..planner.strategy import PRESETS, Strategy
from ..results.relation import Relation
from .describe import describe, input_line, mask_text, show
from .history import History
from .progress import bar
from .regions import check_region, region_of
from .settings import set_option
from .steps import Heads, HistoryStep, PythonCall, PythonValue

Wish = str | float | ArrayLike | Tensor


def connect(*, store_bytes: int = 256 << 20, progress: bool | None = None) -> Session:
    """A new session; `store_bytes` bounds the values it keeps, `progress` shows a bar (None: where stderr is a
    terminal)."""
    return Session(store_bytes=store_bytes, progress=progress)


class Session:
    """A database for explanations: registered models, inputs, windows and views, and the queries over them.

    Use it as a context manager, or call `close`. Methods may be called from several threads; they take turns.
    """

    def __init__(self, *, store_bytes: int = 256 << 20, progress: bool | None = None) -> None:
        self._catalog = Catalog()
        self._store = Store(store_bytes)
        self._lock = threading.RLock()
        self.history = History(self.sql, store_bytes)
        self._progress = sys.stderr.isatty() if progress is None else progress

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything registered and everything paid for."""
        with self._lock:
            self._catalog = Catalog()
            self._store.clear()
            self.history.clear()

    # Registration.

    def register_model(
        self,
        name: str,
        module: nn.Module | Model,
        layers: Sequence[LayerChoice] | None = None,
        classes: Sequence[str] | Mapping[int, str] | None = None,
        output: str = "logit",
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        example: ArrayLike | Tensor | None = None,
    ) -> None:
        """Register a model: a module, or any callable from a batch (B, *input_shape) to (B, classes) or (B,).

        `layers`: names or modules to cut after, in order (None: found by themselves). `classes`: their names. `output`:
        what queries explain by default, 'logit' (the raw output), 'probability' or 'log_odds'. `device`: where queries
        run it. `batch_size`: rows a batch. `example`: an input to run it on at once, which tells its layers and
        classes (None: the first query's). Raises BindError for arguments that do not fit.
        """
        with self._lock, _enough_memory(), self._registration(f"register model {name}", "model", name) as step:
            name = _named("model", name)
            network = Network(name, module, layers, classes, output, device, batch_size)
            if example is not None:
                network.probe(snapshot(f"example of {name}", example))
            if isinstance(classes, Mapping):
                words: PythonValue = {int(k): str(word) for k, word in classes.items()}
            else:
                words = None if classes is None else tuple(map(str, classes))
            home = None if device is None else str(device)
            step.call = self.history.model(
                network,
                self._catalog.models.get(name),
                classes=words,
                output=output,
                device=home,
                batch_size=network.batch_size,
            )
            self._catalog.models[name] = network

    def register_input(
        self,
        name: str,
        tensor: object,
        baseline: Wish | None = None,
        players: Wish | None = None,
        feature_names: Sequence[str] | None = None,
        labels: Sequence[int] | Sequence[str] | ArrayLike | None = None,
    ) -> None:
        """Register an input without batch dimension: image (C, H, W), tabular (D,) or integer tokens (T,).

        A list or a batch registers a collection. `baseline` and `players` are the defaults of its queries: text as in a
        query ('mean(xs)', 'grid(7, 7)'), a number, or a tensor of the input's shape (an integer feature mask for
        players). `labels`: of a collection, a whole number or a name an element, which HAVING reads. Raises ShapeError
        for other forms, BindError for text that means nothing.
        """
        with self._lock, _enough_memory(), self._registration(f"register input {name}", "input", name) as step:
            name = _named("input", name)
            made = entry(name, tensor, feature_names)
            if labels is not None:
                made = dataclasses.replace(made, labels=labels_of(made, labels))
            before = dict(self._catalog.inputs)
            self._catalog.inputs[name] = made  # so that a baseline may name the collection itself: mean(xs)
            try:
                baselines = None if baseline is None else self._baselines(name, baseline)
                partition = None if players is None else self._players(name, players)
                for each in baselines or ():
                    check_baseline(each, made.elements[0].tensor, lambda source: self._catalog.element(source).tensor)
                if partition is not None:
                    check_partition(partition, made.kind, made.shape, self._catalog.mask)
                made = dataclasses.replace(made, baselines=baselines, players=partition)
                self._catalog.inputs[name] = made
            except BaseException:
                self._catalog.inputs = before  # with the tensors of the baseline and players that were there
                raise
            step.text = f"register input {input_line(made)}"
            step.call = PythonCall("register_input", name, self._as_registered(made))

    def register_window(self, name: str, mask_or_predicate: object) -> None:
        """Register a window: a boolean mask, or a predicate over feature columns as text ('row < 112 and not w')."""
        with self._lock, _enough_memory(), self._registration(f"register window {name}", "window", name) as step:
            name = _named("window", name)
            given: PythonValue
            if isinstance(mask_or_predicate, str):
                given = mask_or_predicate
                try:
                    window = bind_window(reader.parse_predicate(mask_or_predicate), self._catalog.windows, None)
                except IalgebraError as error:
                    raise error.at(mask_or_predicate) from error.__cause__
                self._catalog.windows[name] = window
            else:
                mask = mask_or_predicate
                if isinstance(mask, Tensor):  # NumPy knows neither bfloat16 nor sparse tensors
                    dense = mask.detach().cpu().to_dense()
                    mask = (dense.float() if dense.is_floating_point() else dense).numpy()
                given = self._catalog.windows[name] = Mask.of(name, np.asarray(mask))
            step.call = PythonCall("register_window", name, {"mask_or_predicate": given})

    def register_interpreter(self, name: str, interpreter: GameInterpreter | ModelInterpreter) -> None:
        """Register what `USING name(option => value)` is to mean beside Shapley values: see `ialgebra.interpreters`.

        Raises BindError for what is no interpreter, and for the name of one that is shipped.
        """
        with self._lock, self._registration(f"register interpreter {name}", "interpreter", name) as step:
            name = _named("interpreter", name)
            if name.lower() in {each.lower() for each in (*METHODS, *SHIPPED)}:
                raise BindError(f"'{name}' is an interpreter that is shipped; choose another name")
            again = self._catalog.interpreters.get(name) is interpreter
            self._catalog.interpreters[name] = known_interpreter(name, interpreter)
            own = self.history.given("interpreters", name, again)
            step.call = PythonCall("register_interpreter", name, {"interpreter": own})

    def fit_heads(
        self,
        model: str,
        inputs: Iterable[Tensor] | Tensor | str,
        labels: Sequence[int] | Tensor | None = None,
        layers: Sequence[int | str] | None = None,
        *,
        seed: int = 0,
        holdout: float = 0.2,
        groups: Sequence[object] | None = None,
    ) -> HeadReport:
        """Train the linear heads of the truncated models f_l (Eq. 4), all layers in one pass over `inputs`.

        `inputs`: a batch, an iterable of inputs, or the name of a registered collection. With `labels` multinomial
        logistic regression, without them distillation of the model's own outputs. A share `holdout` of the inputs
        (whole `groups` where given: crops of one photo, say) measures each layer's agreement with the model. Raises
        BindError or ShapeError for what does not fit, ModelError for a failing model.
        """
        with self._lock, _enough_memory(), self._registration(f"fit heads of {model}", "heads", model) as step:
            network = self._catalog.model(model)
            if isinstance(inputs, str):
                inputs = [each.tensor for each in self._catalog.input(inputs).elements]
            report = fit_heads(network, inputs, labels, layers, seed=seed, holdout=holdout, groups=groups)
            step.call = _heads_of(network)
            return report

    def save_heads(self, model: str, path: str | Path) -> Path:
        """Write a model's trained heads to a safetensors file."""
        with self._lock, _enough_memory():
            return save_heads(self._catalog.model(model), path)

    def load_heads(self, model: str, path: str | Path) -> None:
        """Read heads that `save_heads` wrote; BindError or ShapeError for a file that is damaged or of another
        model."""
        with self._lock, _enough_memory(), self._registration(f"load heads of {model}", "heads", model) as step:
            network = self._catalog.model(model)
            load_heads(network, path)
            step.call = _heads_of(network)

    def calibrate(self, model: str, input: str | None = None, *, compile: bool = False) -> Relation:
        """Measure what passes of a model cost on this machine, by batch size, mode and depth; ten seconds or so.

        `input` names what it is run on (None: the first registered input of the shape that the model was run with, or
        the only one). `compile` tries torch.compile too, which takes a minute. The profile is kept on disk, and queries
        are planned with it. Answers with a table as text. Raises BindError for unknown names, ModelError for a failing
        model, ResourceError out of memory.
        """
        with self._lock, _enough_memory(), self._registration(f"calibrate {model}", "profile", model):
            network = self._catalog.model(model)
            example = self._catalog.input(input or self._example(network)).elements[0].tensor
            profile = calibrate(network, example, compile=compile)
            return explaining.said(table(network, profile), f"calibrate {model}")

    def names(self) -> dict[str, list[str]]:
        """What is registered, by kind."""
        catalog = self._catalog
        return {
            "models": list(catalog.models),
            "inputs": list(catalog.visible),
            "windows": list(catalog.windows),
            "views": list(catalog.views),
        }

    def registered(self) -> dict[str, dict[str, object]]:
        """The objects that only the user has, by name: the models' modules, and interpreters that are not shipped."""
        own = {name: each for name, each in self._catalog.interpreters.items() if name not in SHIPPED}
        modules = {name: network.module for name, network in self._catalog.models.items()}
        return {"models": dict(modules), "interpreters": dict(own)}

    # Queries.

    def sql(self, text: str, seed: int | None = None, strategy: Strategy | str | None = None) -> Relation:
        """Run a query or a script and return its last answer, at once and whole.

        `seed` fixes the sampled coalitions (default 0), `strategy` the optimizer's decisions: a preset by name, or a
        Strategy of its own (default BEST). Every failure is an IalgebraError placed in the text.
        """
        *_, last = self.run(text, seed, strategy)
        return last

    def run(self, script: str, seed: int | None = None, strategy: Strategy | str | None = None) -> Iterator[Relation]:
        """Run a script statement by statement, yielding each answer as it comes; the whole script is parsed first."""
        with _enough_memory():
            statements = reader.parse(script)
        for statement in statements:
            words = script[statement.span.start : statement.span.end]
            with self._lock, _enough_memory(), self._step(words, _defined(statement), seed, strategy) as step:
                answer = self._statement(statement, script, seed, strategy)
                step.answered(answer)
                step.timed = _timed(statement)
            yield answer

    def stream(self, text: str, seed: int | None = None, strategy: Strategy | str | None = None) -> Iterator[Relation]:
        """Refined answers to one query, each with all rows of those before it; the last is what `sql` answers.

        The first comes after at most 8 model rows a player. With ERROR WITHIN rounds go on until the bound holds. All
        are of what the names meant when the first was asked for. Raises ModelError where a model has changed between
        two answers.
        """
        with _enough_memory():
            (statement, *more) = reader.parse(text)
        if more or not isinstance(statement, tree.Query):
            raise BindError("only one query can be streamed", statement.span).at(text)
        with self._lock:
            request = self._request(statement, text, seed, strategy)
            rounds = loop.refined(request, self._catalog.snapshot(), self._store)
        with self._step(request.own_text, None, seed, strategy) as step:
            step.rounds, step.timed = 0, _timed(statement)
            while True:
                with self._lock, _enough_memory():
                    answer = next(rounds, None)
                if answer is None:
                    return
                step.rounds += 1
                step.answered(answer)
                yield answer

    def explain(self, text: str, strategy: Strategy | str | None = None) -> str:
        """The plan of a query, which is not run."""
        with self._lock, _enough_memory():
            statement = reader.parse(text)[-1]
        if isinstance(statement, tree.Explain):
            statement = statement.query
        words = f"explain {text[statement.span.start : statement.span.end]}"
        with self._lock, _enough_memory(), self._step(words, strategy=strategy):
            if not isinstance(statement, tree.Query):
                raise BindError("only a query has a plan to explain", statement.span).at(text)
            return explaining.explained(self._request(statement, text, None, strategy), self._catalog).plan

    def _statement(
        self, statement: tree.Statement, text: str, seed: int | None, strategy: Strategy | str | None
    ) -> Relation:
        catalog = self._catalog
        try:
            match statement:
                case tree.Query():
                    return self._answered(self._request(statement, text, seed, strategy), analyze=False)
                case tree.Explain(inner, analyze):
                    request = self._request(inner, text, seed, strategy)
                    return self._answered(request, analyze=True) if analyze else explaining.explained(request, catalog)
                case tree.CreateWindow(name, tree.Region() as region, replace):
                    _free("window", name, catalog.windows, replace)
                    check_region(region)
                    request = self._request(region.query, text, seed, strategy)
                    explaining.only_map(request, catalog)
                    answer = self._answered(request, analyze=False)
                    mask = region_of(answer, region, _named("window", name.value))
                    catalog.windows[mask.name] = mask
                    said = f"window {mask.name} created: {mask_text(mask)}"
                    return answer.told(said, text[statement.span.start : statement.span.end])
                case tree.CreateWindow(name, where, replace):
                    assert not isinstance(where, tree.Region)
                    _free("window", name, catalog.windows, replace)
                    catalog.windows[_named("window", name.value)] = bind_window(where, catalog.windows, None)
                    said = f"window {name.value} created"
                case tree.CreateView(name, inner, view_text, replace):
                    _free("view", name, catalog.views, replace)
                    binder.bind(inner, text, catalog, within=(name.value,))
                    catalog.views[name.value] = view_text
                    said = f"view {name.value} created"
                case tree.Drop(kind, name):
                    known: dict[str, Window] | dict[str, str] = catalog.windows if kind == "window" else catalog.views
                    if name.value not in known:
                        raise BindError(f"unknown {kind} '{name.value}'{did_you_mean(name.value, known)}", name.span)
                    del known[name.value]
                    said = f"{kind} {name.value} dropped"
                case tree.Show("history"):
                    said = str(self.history)
                case tree.Show(kind):
                    said = show(kind, catalog)
                case tree.Describe(name):
                    said = describe(name.value, catalog)
                case tree.SetOption(name, value):
                    said = set_option(name, value, catalog)
                case _:
                    assert_never(statement)
        except IalgebraError as error:
            word = statement.name.span if isinstance(statement, tree.Describe) else statement.span
            raise error.at(text, word) from error.__cause__
        return explaining.said(said, text[statement.span.start : statement.span.end])

    def _registration(self, text: str, kind: str, name: str) -> AbstractContextManager[HistoryStep]:
        return self.history.step(HistoryStep(text, registration=True, defines=(kind, name)))

    def _step(
        self,
        text: str,
        defines: tuple[str, str] | None = None,
        seed: int | None = None,
        strategy: Strategy | str | None = None,
    ) -> AbstractContextManager[HistoryStep]:
        preset = PRESETS.get(strategy.upper()) if isinstance(strategy, str) else strategy
        return self.history.step(
            HistoryStep(text, seed, preset if isinstance(preset, Strategy) else None, defines=defines)
        )

    def _request(self, asked: tree.Query, text: str, seed: int | None, strategy: Strategy | str | None) -> Request:
        settings = self._catalog.settings
        wish = strategy if strategy is not None else settings.strategy or "BEST"
        chosen = PRESETS.get(wish.upper()) if isinstance(wish, str) else wish
        if not isinstance(chosen, Strategy):
            raise BindError(f"unknown strategy {wish!r}; choose one of {', '.join(PRESETS)}, or a Strategy")
        number = settings.seed or 0 if seed is None else seed
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 0:
            raise BindError(f"a seed must be a whole number of at least 0, not {seed!r}")
        return Request(asked, text, int(number), chosen)

    def _answered(self, request: Request, *, analyze: bool) -> Relation:
        with bar(self._progress) as progress:
            return loop.answered(request, self._catalog, self._store, progress, analyze=analyze)

    def _example(self, network: Network) -> str:
        """The name of an input that the model can be run on."""
        inputs = self._catalog.visible
        fitting = [name for name, each in inputs.items() if not network.probed or network.row_shape == each.shape]
        if not fitting or not (network.probed or len(fitting) == 1):
            raise BindError(f"name an input to run model '{network.name}' on{did_you_mean('', inputs)}")
        return fitting[0]

    def _as_registered(self, made: Entry) -> dict[str, PythonValue]:
        """What makes an input again as it is registered."""
        baseline: PythonValue = made.baselines and baseline_text(made.baselines)
        players: PythonValue = None if made.players is None else str(made.players)
        inputs = self._catalog.inputs  # in which the tensors of a former registration may be too, read no more
        own = {name: inputs[name] for what in ("baseline", "players") if (name := hidden(made.name, what)) in inputs}
        if made.baselines and isinstance(first := made.baselines[0], Given):
            baseline = own.get(first.source.name, baseline)
        if isinstance(made.players, Labels):
            players = own.get(made.players.source.name, players)
        return {
            "tensor": made,
            "baseline": baseline,
            "players": players,
            "feature_names": made.feature_names,
            "labels": made.labels,
        }

    # What Python says in objects and a query in text.

    def _baselines(self, name: str, wish: object) -> tuple[Baseline, ...]:
        if isinstance(wish, str):
            return inputs.bind_baselines(reader.parse_value(wish), self._catalog)
        if isinstance(wish, Real) or (isinstance(wish, (Tensor, np.ndarray)) and wish.ndim == 0):
            value = float(wish)
            if not math.isfinite(value):
                raise BindError(f"the baseline of '{name}' is {value}; a finite number is needed")
            return (Constant(value),)
        own = entry(hidden(name, "baseline"), wish)
        self._catalog.inputs[own.name] = own
        return tuple(Given(source) for source in own.sources)

    def _players(self, name: str, wish: object) -> Partition:
        if isinstance(wish, str):
            return options.bind_players(reader.parse_value(wish), self._catalog)
        own = entry(hidden(name, "players"), wish)
        self._catalog.inputs[own.name] = own
        return Labels(Source(own.name))


def _heads_of(network: Network) -> PythonCall:
    """The heads that a model has now, however it came by them."""
    return PythonCall("load_heads", network.name, {"path": Heads(network.named_heads, weights_digest(network))})


def _defined(statement: tree.Statement) -> tuple[str, str] | None:
    """The kind and the name of what a statement gives a meaning, or takes it from."""
    match statement:
        case tree.CreateWindow(name):
            return "window", name.value
        case tree.CreateView(name):
            return "view", name.value
        case tree.Drop(kind, name):
            return kind, name.value
        case tree.SetOption(name):
            return "option", name.value.lower()
    return None


def _timed(statement: tree.Statement) -> bool:
    """Whether a clock may stop a statement."""
    match statement:
        case tree.Explain(asked) | tree.CreateWindow(where=tree.Region(query=asked)):
            return asked.within is not None
    return isinstance(statement, tree.Query) and statement.within is not None


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Memory that runs out beside the batches, of which smaller ones are tried, is a ResourceError."""
    try:
        yield
    except IalgebraError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(
            "out of memory beside the batches of the models; ask for fewer maps, players or rows at once"
        ) from error


def _named(what: str, name: str) -> str:
    """A name as the language reads it: ′ is '. BindError for what no query could say."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise BindError(f"{name!r} cannot name a {what}; use a word such as f, x or x'")
    if what == "window" and name.lower() in ("true", "false"):
        raise BindError(f"'{name}' is a predicate of its own and cannot name a window")
    return name.replace("′", "'")


def _free(what: str, name: tree.Name, taken: Mapping[str, object], replace: bool) -> None:
    if name.value in taken and not replace:
        raise BindError(
            f"{what} '{name.value}' exists; create or replace {what} {name.value}, or drop it first", name.span
        )
