"""The façade: `connect()` gives a Session, in which models and inputs are registered and queries asked.

One session is one catalog, one store of values already computed, and one history. Queries of several threads run at the
same time; where they share a model, they take turns. A failed or interrupted query leaves it usable. Everything that
a session does is a method here; the work is done elsewhere: registrations in `registration`, statements in
`statements`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, overload

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..answering import crossing, explaining, predicting
from ..answering.running import Watch
from ..catalog.catalog import Catalog
from ..errors import BindError
from ..execution.store import Store
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHIPPED
from ..language import reader, tree
from ..language.parameters import filled
from ..models.adapters.reducing import Reduce
from ..models.calibration import calibrate, table
from ..models.calls import Preprocess
from ..models.concepts import DerivedNetwork, Dictionary
from ..models.concepts.register import GivenHead
from ..models.fitting import HeadLabels, HeadReport, fit_heads
from ..models.head_files import load_heads, save_heads
from ..models.layers import LayerChoice
from ..models.reading import Batch
from ..planner.formats import PlanFormat
from ..planner.strategy import PRESETS, Strategy
from ..results.concept_report import ConceptReport
from ..results.cross_effects import CrossEffects
from ..results.crossings import Crossings
from ..results.gallery import Gallery
from ..results.relation import Relation
from ..results.shown_text import ShownText
from ..system import forking
from ..system.arguments import checked
from ..system.markup import preformatted
from ..system.shortage import enough_memory
from ..system.stages import in_notebook, shows_progress
from . import concepts, galleries, generators, interrupts, page, registration
from .answers import Answering
from .descriptions import input_line, session_text
from .history import History
from .page import OpenStudio
from .registration import Wish
from .statements.kind import StatementContext
from .statements.registry import kind_of_statement
from .statements.registry import run as answer_statement
from .steps import HistoryStep, PythonCall
from .submitted import Submitted
from .workers import Workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_BESIDE_BYTES = 64 << 20


@checked
def connect(*, store_bytes: int = 256 << 20, progress: bool | None = None) -> Session:
    """A new session; `store_bytes` bounds the values it keeps, `progress` shows how a query stands (None: in terminals
    and notebooks)."""
    return Session(store_bytes=store_bytes, progress=progress)


class Session:
    """A database for explanations: registered models, inputs, windows and views, and the queries over them.

    Use it as a context manager, or call `close`. Methods may be called from several threads. A query is answered over
    what the names meant when it began; queries that run one model take turns between its batches, and nothing else
    waits for a query. A child that `os.fork` makes at any time finds its session usable and its models as they were
    before other threads ran them; torch runs on one thread there, until `torch.set_num_threads` says otherwise.
    """

    def __init__(self, *, store_bytes: int = 256 << 20, progress: bool | None = None) -> None:
        self._catalog = Catalog()
        self._store = Store(store_bytes)
        self._beside = Store(min(store_bytes, _BESIDE_BYTES))  # of queries that are no steps
        self._lock = forking.lock()  # held while the catalog is changed; no query runs while it is held
        self.history = History(self.sql, store_bytes)
        self._workers = Workers()
        self._progress = shows_progress(progress)

    def __repr__(self) -> str:
        return session_text(self._catalog, sum(len(table.rows) for table in self._store.tables.values()))

    def _repr_html_(self) -> str:
        return preformatted(repr(self))

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what was submitted, wait until it has ended, and forget everything that is registered or stored."""
        self._workers.close()
        with self._lock:
            self._catalog = Catalog()
            self._store.clear()
            self._beside.clear()
            self.history.clear()

    # Registration.

    @checked
    def register_model(
        self,
        name: str,
        module: object,
        layers: Sequence[LayerChoice] | None = None,
        classes: Sequence[str] | Mapping[int, str] | None = None,
        output: str = "logit",
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        example: ArrayLike | Tensor | None = None,
        *,
        outputs: str = "auto",
        train_mode: bool = False,
        version: str | None = None,
        reduce: Reduce | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        """Register a model: a `torch.nn.Module`, one of Hugging Face's, an estimator of scikit-learn or its look-alikes
        (xgboost, LightGBM), or any callable from a batch (B, *input_shape) to (B, classes) or (B,).

        `layers`: names or modules to cut after, in order (None: found by themselves). `classes`: their names. `output`:
        what queries explain by default, 'logit' (the raw output), 'probability' or 'log_odds'. `device`: where queries
        run it. `batch_size`: rows a batch; a model that refuses a single row gets batches of just so many (of two, if
        it is not given), filled up with copies that are not counted. `example`: an input to run it on at once, which
        tells its layers and classes (None: the first query's). `outputs`: what the model returns, 'logits' of classes
        of which one holds, 'multilabel' (logits of classes that hold independently), 'probabilities',
        'log_probabilities', 'values' (a regression), or 'auto', which looks at the model and its rows. Queries run it
        in eval mode, and so the modules that a callable computes with; with `train_mode` all stay in the mode that they
        are in. `version`: your word for what the model is where not all of it can be read (a file, a server); rows of
        an equal model and version are trusted. `reduce`: of a model that returns (B, positions, K) or (B, K, *places),
        what is explained of a row, 'last', 'mean', 'max', or a function from what the model returns to (B, K).
        `preprocess`: a function that is given each batch, in the number type that was registered, and returns what the
        model is called with: a tensor, or a mapping of named arguments. Raises BindError for arguments that do not fit.
        """
        with ExitStack() as locked, self._step_of(f"register model {name}", "model", name) as step:
            network = registration.network_of(
                *(name, module, layers, classes, output, device, batch_size, example, outputs, train_mode, version),
                *(reduce, preprocess),
            )
            concepts.run_again(self._catalog, network)
            locked.enter_context(self._lock)  # until the step is listed; a pass of the example is run without it
            step.call = registration.register_model(self._catalog, self.history, network, classes, device)

    @checked
    def register_input(
        self,
        name: str,
        tensor: object,
        baseline: Wish | None = None,
        players: Wish | None = None,
        feature_names: Sequence[object] | Mapping[int, str] | None = None,
        labels: Sequence[int] | Sequence[str] | ArrayLike | None = None,
        kind: str | Mapping[str, str] | None = None,
        layout: str | Mapping[str, str] | None = None,
        *,
        tokenizer: object = None,
    ) -> None:
        """Register an input without batch dimension: image (C, H, W) or (H, W, C), a picture of Pillow, tabular (D,), a
        DataFrame or Series of pandas, integer tokens (T,) or what a tokenizer returns; if `kind` says so, a series
        (T, C), a signal (C, T), a volume (C, D, H, W) or a video (C, T, H, W); or a mapping of named parts, for a model
        of several inputs.

        A list or a batch registers a collection. An array over a file (`numpy.memmap`, `torch.from_file`), a dataset
        (an object with `__len__` and `__getitem__`, whose items may be pairs of an element and its label) and the path
        of a folder of pictures are collections that every query reads anew, in blocks. `baseline` and `players` are the
        defaults of its queries: text as in a query ('mean(xs)', 'grid(7, 7)'), a number, or a tensor of the input's
        shape (an integer feature mask for players). `labels`: of a collection, a whole number or a name an element,
        which HAVING reads. `kind`: 'image', 'table' (or 'tabular'), 'tokens', 'series', 'signal', 'volume' or 'video',
        where the shape does not tell, or tells otherwise. `layout`: how the axes of the array lie, such as 'HWC', 'CT',
        'DHWC' or 'TCHW'; pictures are held, and given to models, as (C, H, W). Of an input of parts, `kind` and
        `layout` map parts to words. `tokenizer`: of a text or a list of texts, what makes them tokens, whose words get
        names. Raises ShapeError for other forms, and for a picture that may lie in both ways; BindError for text that
        means nothing.
        """
        with self._registration(f"register input {name}", "input", name) as step:
            step.call = registration.register_input(
                self._catalog, name, tensor, baseline, players, feature_names, labels, kind, layout, tokenizer
            )
            step.text = f"register input {input_line(self._catalog.inputs[step.call.name])}"

    @checked
    def register_window(self, name: str, mask_or_predicate: object) -> None:
        """Register a window: a boolean mask, or a predicate over feature columns as text ('row < 112 and not w')."""
        with self._registration(f"register window {name}", "window", name) as step:
            step.call = registration.register_window(self._catalog, name, mask_or_predicate)

    @checked
    def register_interpreter(self, name: str, interpreter: GameInterpreter | ModelInterpreter) -> None:
        """Register what `USING name(option => value)` is to mean beside Shapley values: see `ialgebra.interpreters`.

        Raises BindError for what is no interpreter, and for the name of one that is shipped.
        """
        with self._registration(f"register interpreter {name}", "interpreter", name) as step:
            step.call = registration.register_interpreter(self._catalog, self.history, name, interpreter)

    @checked
    def register_generator(
        self,
        name: str,
        generator: object,
        encoder: object = None,
        collection: str | None = None,
        block: int = 16,
        refine: int = 0,
    ) -> None:
        """Register what draws inputs from codes, for the edits `reconstruct`, `latent` and `mix`.

        `generator` has `levels`, `width`, `synthesis(codes)`, from codes (n, levels, width) to inputs (n, *shape), and
        perhaps `encode(inputs)`: see `ialgebra.generators`. `encoder` is a function from inputs to codes that is used
        instead. `collection` names the registered inputs that its axes are fitted on. It is run in blocks of `block`
        rows, filled up with copies. `refine`: how many steps a code that was found takes towards its input, each level
        for itself; 50 take some milliseconds an input, once. Axes of an earlier generator of this name are forgotten.
        Raises BindError or ShapeError for a generator that does not fit, ModelError for one that fails.
        """
        with self._step_of(f"register generator {name}", "generator", name) as step:
            made = generators.registered(self._catalog.snapshot(), name, generator, encoder, collection, block, refine)
            with self._lock:
                step.call = generators.register(self._catalog, self.history, made)

    @checked
    def register_axis(
        self, name: str, what: generators.Followed, on: str | None = None, holding: Sequence[str] = ()
    ) -> None:
        """Register a direction in a generator's space of codes along which something grows.

        `what`: a function of a batch of inputs (n, *shape), such as their brightness, or a number for each input of the
        generator's collection, such as its label. `on` names the generator (None: the only one). `holding` names axes
        that it is not to move along. CREATE AXIS does the same for the score of a model. Raises BindError for what does
        not fit.
        """
        with self._step_of(f"register axis {name}", "axis", name) as step:
            axis, values = generators.measured_axis(self._catalog.snapshot(), name, what, on, tuple(holding))
            with self._lock:
                self._catalog.axes[axis.name] = axis
            held = tuple(holding) or None
            step.call = PythonCall("register_axis", axis.name, {"what": values, "on": axis.generator, "holding": held})

    @checked
    def cross_effects(self, axes: Sequence[str], models: Sequence[str], inputs: str) -> CrossEffects:
        """What one step along each axis does to each score of each model: a matrix with standard errors.

        Half the difference of a score one standard deviation ahead and behind, as a mean over the collection `inputs`:
        log-odds of classes, or values of a regression. Raises BindError for unknown names, and where a sweep does.
        """
        return generators.cross_effects(self.sql, self._catalog.snapshot(), axes, models, inputs)

    @checked
    def crossings(
        self,
        axis: str,
        models: Sequence[str] | str,
        inputs: str,
        *,
        to: float = 3.0,
        step: float = 0.25,
        keep: str | None = None,
    ) -> Crossings:
        """Where each model decides otherwise when inputs are moved along an axis, to a thousandth of a standard
        deviation.

        Inputs are drawn at 0 and moved towards `to` in steps of `step` until a model's prediction changes; between the
        last two steps the first change is found by bisection, for all inputs and models in batches. A change that is
        taken back within one step is not seen. `keep='residual'` adds what changed in the drawing to the input itself.
        Raises BindError for unknown names, and for models that decide nothing.
        """
        with _computing():
            asked = [models] if isinstance(models, str) else list(models)
            return crossing.crossings(self._catalog.snapshot(), self._beside, axis, asked, inputs, to, step, keep)

    @checked
    def fit_heads(
        self,
        model: str,
        inputs: Iterable[Batch] | Tensor | str,
        labels: HeadLabels | None = None,
        layers: Sequence[int | str] | None = None,
        *,
        seed: int = 0,
        holdout: float = 0.2,
        groups: Iterable[object] | Tensor | None = None,
    ) -> HeadReport:
        """Train the linear heads of the truncated models f_l (Eq. 4), all layers in one pass over `inputs`.

        `inputs`: a batch, an iterable of inputs, or the name of a registered collection. With `labels` multinomial
        logistic regression, without them distillation of the model's own outputs. A share `holdout` of the inputs
        (whole `groups` where given: crops of one photo, say) measures each layer's agreement with the model. Raises
        BindError or ShapeError for what does not fit, ModelError for a failing model.
        """
        with self._step_of(f"fit heads of {model}", "heads", model) as step:
            network = self._catalog.model(model)
            if isinstance(inputs, str):
                catalog = self._catalog.snapshot()
                tensors = [catalog.element_for(model, each).tensor for each in catalog.input(inputs).sources]
                network.probe(tensors[0])  # which tells single inputs from batches of them
                inputs = tensors
            report = fit_heads(network, inputs, labels, layers, seed=seed, holdout=holdout, groups=groups)
            registration.meet(network)
            step.call = registration.heads_of(network)
            return report

    @checked
    def save_heads(self, model: str, path: str | Path) -> Path:
        """Write a model's trained heads to a safetensors file."""
        with _computing():
            return save_heads(self._catalog.model(model), path)

    @checked
    def load_heads(self, model: str, path: str | Path) -> None:
        """Read heads that `save_heads` wrote; BindError or ShapeError for a file that is damaged or of another
        model."""
        with self._step_of(f"load heads of {model}", "heads", model) as step:
            network = self._catalog.model(model)
            load_heads(network, path)
            step.call = registration.heads_of(network)

    @checked
    def register_concepts(
        self,
        model: str,
        module: object,
        names: Sequence[str] | None = None,
        head: GivenHead | None = None,
        *,
        name: str = "concepts",
        inputs: concepts.Inputs | None = None,
        labels: HeadLabels | None = None,
        seed: int = 0,
        holdout: float = 0.2,
    ) -> ConceptReport | None:
        """Register concepts of your own for a model: a dictionary of J attributes, and a linear head that reads them.

        `module`: a module or function from a batch (B, *input_shape) to attributes (B, J), such as a concept bottleneck
        or the first half of the model; or a layer of the model, by index or name, or a submodule of it, whose outputs
        are the attributes; or a `Dictionary` that was made elsewhere, with its heads. Outputs (B, J, *places) are
        averaged over their places. `names`: of the attributes (None:
        a0, a1, …). `head`: what turns attributes into the model's outputs, an `nn.Linear` or its (weight (C, J), bias
        (C,)). None: it is fitted on `inputs`, as `fit_heads` takes them, to `labels` or to the model's own outputs,
        less a share of `holdout`; without inputs it is the linear map inside the model that gives its outputs of these
        attributes. `name`: of the dictionary. From then on `f.concepts` is a model of the attributes and `f.g` one of
        the head's outputs, and queries take `players => concepts`. Raises BindError or ShapeError for what does not
        fit and for names that are taken, ModelError for a failing module. Returns a report where there are inputs.
        """
        with self._concepts_of(f"register concepts of {model}", f"{model}.{name}") as made:
            made.append(concepts.given(self._catalog, model, module, names, head, name, inputs, labels, seed, holdout))
        return None if made[0].figures is None else ConceptReport(made[0].figures)

    @checked
    def fit_concepts(
        self,
        model: str,
        inputs: concepts.Inputs,
        labels: HeadLabels | None = None,
        layers: Sequence[int | str] | Mapping[str, Sequence[int | str]] | None = None,
        size: int = 25,
        name: str = "concepts",
        kind: Literal["flint", "nmf", "sae"] = "flint",
        also: Sequence[str] = (),
        seed: int = 0,
        holdout: float = 0.2,
        *,
        stability: int = 0,
    ) -> ConceptReport:
        """Learn a dictionary of `size` attributes from a model's hidden outputs, and a linear head g that gives the
        model's outputs of them (FLINT, Parekh et al., 2021); f itself is not changed.

        `inputs`: as `fit_heads` takes them, or an array, or the name of a registered collection. `labels`: of the
        inputs, which nothing is fitted to; the report says the accuracy of f and g by them (None: those of the
        collection, if any). `layers`: that are read (None: the last hidden one, and with 'flint' a convolution before
        it). `kind`: 'flint' learns an encoder; 'nmf' (nonnegative directions) and 'sae' (a sparse autoencoder) find
        directions of one layer, and `players => concepts` is then a game on f itself. `also`: other models that share
        the dictionary. A share `holdout` of the inputs is kept out for the report. `stability`: how many dictionaries
        of other seeds this one is compared with. Ctrl-C keeps the best so far. From then on `f.concepts` is a model of
        the attributes and `f.g` one of the surrogate. Raises BindError or ShapeError for what does not fit and for
        names that are taken, ModelError for a failing model.
        """
        with self._concepts_of(f"fit concepts of {model}", f"{model}.{name}") as made:
            made.append(
                concepts.fitted(
                    *(self._catalog, model, inputs, labels, layers, size, name, kind, also, seed, holdout, stability),
                    progress=self._progress,
                )
            )
        assert made[0].figures is not None
        return ConceptReport(made[0].figures)

    @checked
    def save_concepts(self, model: str, path: str | Path, name: str = "concepts") -> Path:
        """Write a model's dictionary of this name to a safetensors file. A module that you brought is not in it, but
        its numbers are."""
        with _computing():
            return concepts.save(self._catalog, model, path, name)

    @checked
    def load_concepts(
        self, model: str, path: str | Path, *, name: str | None = None, module: object = None
    ) -> ConceptReport | None:
        """Read a dictionary that `save_concepts` wrote, for a model of the same weights; others that it reads have to
        be registered by the names that they had. Returns the report that was made of it, if one was.

        `name`: of the dictionary, if not the one that it had. `module`: what gives the attributes, where you brought it
        yourself. BindError or ShapeError for a file that is damaged or of another model.
        """
        with self._concepts_of(f"load concepts of {model}", f"{model}.{name or 'concepts'}") as made:
            made.append(concepts.load(self._catalog, model, path, name, module))
        return None if made[0].figures is None else ConceptReport(made[0].figures)

    @checked
    def gallery(
        self,
        model: str,
        inputs: str | None = None,
        attributes: Sequence[str] | None = None,
        *,
        name: str = "concepts",
        seed: int = 0,
    ) -> Gallery:
        """What the attributes of a dictionary are, a row for each: the inputs that activate it most and least, where in
        them it is (Shapley maps), what it matters to, and for pictures one in which it was raised; for texts the words
        that activate it most, for tables the features by which its inputs differ.

        `inputs`: the registered collection that is shown (None: the only one that fits). `attributes`: some of them
        (None: all that are ever active, the most relevant first). `name`: of the dictionary. Raises BindError for
        unknown names, ModelError for a failing model.
        """
        with _computing():
            return galleries.gallery(self._catalog.snapshot(), self._asked, model, inputs, attributes, name, seed)

    @checked
    def picture(
        self,
        model: str,
        attribute: str,
        cls: str | int | None = None,
        *,
        inputs: str | None = None,
        name: str = "concepts",
        seed: int = 0,
    ) -> Figure:
        """One attribute of a dictionary as a picture, as in a row of its `gallery`; of pictures, a typical one of class
        `cls` (None: the class that it matters to most) before and after the attribute was raised in it.

        Raises BindError for unknown names, IalgebraError where matplotlib is not installed.
        """
        with _computing():
            catalog = self._catalog.snapshot()
            return galleries.picture(catalog, self._asked, model, attribute, cls, inputs, name, seed).plot()

    @checked
    def calibrate(self, model: str, input: str | None = None, *, compile: bool = False) -> Relation:
        """Measure what passes of a model cost on this machine, by batch size, mode and depth; ten seconds or so.

        `input` names what it is run on (None: the first registered input of the shape that the model was run with, or
        the only one). `compile` tries torch.compile too, which takes a minute. The profile is kept on disk, and queries
        are planned with it. Answers with a table as text. Raises BindError for unknown names, ModelError for a failing
        model, ResourceError out of memory.
        """
        with self._step_of(f"calibrate {model}", "profile", model):
            network = self._catalog.model(model)
            name = input or registration.example_of(self._catalog, network)
            example = self._catalog.element_for(model, self._catalog.input(name).sources[0])
            profile = calibrate(network, example.tensor, compile=compile)
            registration.meet(network)
            return explaining.said(table(network, profile), f"calibrate {model}")

    def catalog(self) -> Catalog:
        """What is registered now, as the engine holds it; later registrations do not change it."""
        return self._catalog.snapshot()

    def names(self) -> dict[str, list[str]]:
        """What is registered, by kind."""
        catalog = self._catalog
        return {
            "models": list(catalog.models),
            "inputs": list(catalog.visible),
            "windows": list(catalog.windows),
            "views": list(catalog.views),
            "generators": list(catalog.generators),
            "axes": list(catalog.axes),
        }

    def registered(self) -> dict[str, dict[str, object]]:
        """The objects that only the user has, by name: the models' modules, and interpreters that are not shipped."""
        own = {name: each for name, each in self._catalog.interpreters.items() if name not in SHIPPED}
        modules: dict[str, object] = {}
        for name, network in self._catalog.models.items():
            if isinstance(network, DerivedNetwork):
                continue
            parts = {"": network.model, " reduce": network.said[0], " preprocess": network.said[1]}
            modules |= {name + what: each for what, each in parts.items() if callable(each) or not what}
        for key, dictionary in self._catalog.concepts.items():
            if (brought := concepts.brought_module(dictionary)) is not None:
                modules[key] = brought
        for name, each in self._catalog.generators.items():
            drawing = {f"{name} generator": each.generator, f"{name} encoder": each.encoder}
            modules |= {what: part for what, part in drawing.items() if part is not None}
        return {"models": dict(modules), "interpreters": dict(own)}

    # Queries.

    @checked
    def sql(
        self,
        text: str,
        seed: int | None = None,
        strategy: Strategy | str | None = None,
        params: Sequence[object] | None = None,
    ) -> Relation:
        """Run a query or a script and return its last answer, at once and whole.

        `seed` fixes the sampled coalitions (default 0), `strategy` the optimizer's decisions: a preset by name, or a
        Strategy of its own (default BEST). `params` stand for the `?` of the text, in order: numbers, texts, and names
        where a query has names. Every failure is an IalgebraError placed in the text.
        """
        *_, last = self.run(text, seed, strategy, params)
        return last

    @checked
    def run(
        self,
        script: str,
        seed: int | None = None,
        strategy: Strategy | str | None = None,
        params: Sequence[object] | None = None,
    ) -> Answering:
        """Run a script statement by statement, yielding each answer as it comes; the whole script is parsed first."""
        return Answering(partial(self._answers, script, seed, strategy, params))

    @checked
    def stream(
        self,
        text: str,
        seed: int | None = None,
        strategy: Strategy | str | None = None,
        params: Sequence[object] | None = None,
    ) -> Answering:
        """Refined answers to one query, each with all rows of those before it; the last is what `sql` answers.

        The first comes after at most 8 model rows per player. With ERROR WITHIN rounds go on until the bound holds. All
        answers use what the names meant when the first was asked for. Its `close` ends it, from any thread, before the
        next batch. Raises ModelError where a model has changed between two answers.
        """
        return Answering(partial(self._stream, text, seed, strategy, params))

    @checked
    def submit(
        self,
        text: str,
        priority: int = 0,
        seed: int | None = None,
        strategy: Strategy | str | None = None,
        params: Sequence[object] | None = None,
        interactive: bool = False,
    ) -> Submitted:
        """Run a query or a script in another thread; the Future of what `sql` answers.

        `cancel` ends it before its next batch, from any thread. Of queries that want one model, that of the highest
        `priority` is next, and it starts at the next batch of a lower one; −1 is for what nobody waits for yet. With
        `interactive` answers come early and often. Every failure is an IalgebraError placed in the text, which `result`
        raises.
        """
        asked = partial(self._answers, text, seed, strategy, params, refined=True, interactive=interactive)
        answers = Answering(asked, priority)
        return self._workers.submit(Submitted(text, answers))

    def _answers(
        self,
        script: str,
        seed: int | None,
        strategy: Strategy | str | None,
        params: Sequence[object] | None,
        watch: Watch,
        *,
        refined: bool = False,
        interactive: bool = False,
    ) -> Iterator[Relation]:
        """The answers to the statements of a script; if `refined`, also those that come before the last of a query."""
        with _computing():
            script = script if params is None else filled(script, params)
            statements = reader.parse(script)
        context = replace(self._context(script, seed, strategy, watch), interactive=interactive)
        for statement in statements:
            with self._step(statement, context) as step:
                if refined and isinstance(statement, tree.Query):
                    yield from self._answered(context.answers(context.request(statement)), step)
                    continue
                with _computing():
                    answer = answer_statement(statement, context).of(self)
                step.answered(answer)
            yield answer

    def _stream(
        self,
        text: str,
        seed: int | None,
        strategy: Strategy | str | None,
        params: Sequence[object] | None,
        watch: Watch,
    ) -> Iterator[Relation]:
        """The rounds of one query."""
        with _computing():
            text = text if params is None else filled(text, params)
            (statement, *more) = reader.parse(text)
        if more or not isinstance(statement, tree.Query):
            raise BindError("only one query can be streamed", statement.span).at(text)
        context = self._context(text, seed, strategy, watch)
        rounds = context.refined(context.request(statement))
        with self._step(statement, context) as step:
            step.rounds = 0
            for answer in self._answered(rounds, step):
                step.rounds += 1
                yield answer

    def _answered(self, rounds: Iterator[Relation], step: HistoryStep) -> Iterator[Relation]:
        """The answers of the rounds of a query, which its step notes."""
        while True:
            with _computing():
                answer = next(rounds, None)
            if answer is None:
                return
            step.answered(answer)
            yield answer.of(self)

    @checked
    def explain(self, text: str, strategy: Strategy | str | None = None, params: Sequence[object] | None = None) -> str:
        """The plan of a query, which is not run: a text that prompts and notebooks show line by line."""
        with _computing():
            text = text if params is None else filled(text, params)
            statement = reader.parse(text)[-1]
        form: PlanFormat = "text"
        if isinstance(statement, tree.Explain):
            form, statement = statement.format, statement.query
        words = f"explain {text[statement.span.start : statement.span.end]}"
        with _computing(), self._listed(words, strategy=strategy):
            context = self._context(text, None, strategy)
            if isinstance(statement, tree.Predict):
                asked = context.prediction(statement)
                return ShownText(predicting.explained(asked, self._catalog.snapshot(), form).plan)
            if not isinstance(statement, tree.Query):
                raise BindError("only a query has a plan to explain", statement.span).at(text)
            request = context.request(statement)
            return ShownText(explaining.explained(request, self._catalog.snapshot(), form).plan)

    @overload
    def studio(
        self, port: int = 0, *, open: bool = True, block: bool | None = None, host: str = "127.0.0.1"
    ) -> OpenStudio: ...
    @overload
    def studio(self, *, widget: Literal[True]) -> object: ...
    @checked
    def studio(
        self,
        port: int = 0,
        *,
        open: bool = True,
        block: bool | None = None,
        host: str = "127.0.0.1",
        widget: bool = False,
    ) -> object:
        """Serve a page for this session, in which windows are drawn and maps refine, and show it in the browser.

        `port`: 0 takes a free one. `open`: whether the browser is opened. `block`: whether to return only when Ctrl-C
        closed it (None: yes, but not in a notebook); else it serves in the background until its `close()`. Its `url`
        holds the token that lets a browser in. `host`: where to listen; others than 127.0.0.1 can be reached from other
        machines, which is warned of. `widget`: nothing is served; the same page is the output of a notebook's cell,
        which it is returned for (the `notebook` extra). Raises IalgebraError where the packages of the `studio` extra
        are not installed, and for a port that is taken.
        """
        if widget:
            return page.widget(self)
        served = page.studio(self, host, port)
        if open:
            served.browse()
        if not in_notebook() if block is None else block:
            print(f"the studio is at {served.url}\nCtrl-C closes it", flush=True)
            with suppress(KeyboardInterrupt):
                served.wait()
            served.close()
        return served

    def explored(self, answer: Relation) -> object:
        """The widget that `answer.explore()` returns, for an answer of this session."""
        return page.widget(self, answer)

    def _asked(self, text: str, catalog: Catalog) -> Relation:
        """The answer to a query of a catalog that is no step of its own: no later step finds its rows, so that a script
        that takes the steps again gets the same bits."""
        context = replace(self._context(text, 0, None), catalog=catalog, progress=False, store=self._beside)
        (query,) = reader.parse(text)
        assert isinstance(query, tree.Query)
        return context.answered(context.request(query))

    def _context(
        self, text: str, seed: int | None, strategy: Strategy | str | None, watch: Watch | None = None
    ) -> StatementContext:
        return StatementContext(
            self._catalog, self._store, self.history, self._lock, self._progress, text, seed, strategy, watch
        )

    @contextmanager
    def _registration(self, text: str, kind: str, name: str) -> Iterator[HistoryStep]:
        """A step that changes the catalog, with the session's lock held."""
        with self._lock, self._step_of(text, kind, name) as step:
            yield step

    @contextmanager
    def _concepts_of(self, text: str, key: str) -> Iterator[list[Dictionary]]:
        """A step that registers the dictionary that is put into the list, under the session's lock."""
        made: list[Dictionary] = []
        with ExitStack() as locked, self._step_of(text, "concepts", key) as step:
            yield made
            locked.enter_context(self._lock)  # until the step is listed; models were run without it
            step.call = concepts.put(self._catalog, self.history, made[0])
            step.defines = ("concepts", f"{step.call.name}.{made[0].name}")

    @contextmanager
    def _step_of(self, text: str, kind: str, name: str) -> Iterator[HistoryStep]:
        """A step that is no statement."""
        with _computing(), self.history.step(HistoryStep(text, registration=True, defines=(kind, name))) as step:
            yield step

    @contextmanager
    def _step(self, statement: tree.Statement, context: StatementContext) -> Iterator[HistoryStep]:
        """A step that is a statement."""
        kind, words = kind_of_statement(statement), context.words(statement)
        with self._listed(words, kind.defines(statement), context.seed, context.strategy) as step:
            step.timed = kind.timed(statement)
            yield step

    def _listed(
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


@contextmanager
def _computing() -> Iterator[None]:
    """Out of memory outside a batch (batches retry smaller) is a ResourceError. In a forked child, threads are settled
    first."""
    forking.settle()
    with (
        interrupts.short(),
        enough_memory("outside the models' batches", "ask for fewer maps, players or rows at once"),
    ):
        yield
