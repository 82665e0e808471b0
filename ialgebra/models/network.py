"""A registered model: a module or any callable in; layers, classes, heads and checked logits out.

All of a model's rows pass through `Network.forward`, which asks for the logits of any set of layers f_l in one pass.
Whatever a faulty model does becomes a ModelError that names the model and the row. Knows no query, no input and no
plan.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from numbers import Integral
from typing import NamedTuple, NoReturn, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..errors import BindError, IalgebraError, ModelError, ResourceError, ShapeError, did_you_mean
from ..kernels.forward import Tap, TapError, as_found, uncompiled
from ..system import forking
from ..system.shortage import is_out_of_memory
from .adapters import opened, results
from .adapters.opened import Runs
from .adapters.reducing import Reduce, known_reduction
from .arguments import check_class_count, class_names, known_device, positive, version_name
from .behaviour import Behaviour, form_of
from .calls import CalledByForm, Preprocess, as_callable
from .checksums import checksum
from .contents import Contents, contents
from .examining import random_or_batch_dependent, without_half
from .filling import NO_FILLING, ONE_SIZE, Filling, may_be_of_sizes
from .graph import Graph
from .head import Head
from .identity import buffers, noticed, parameters, parts, serial, settings, structure
from .inputs import Cast, Intake, computes_in, home
from .layers import Layer, LayerChoice, ModuleCall, chosen_layers, cost, find_layers, resolve, trace
from .modes import Backend
from .output_evidence import AUTO, LastOperation, OutputEvidence
from .outputs import OutputReading, check_output, no_probability
from .passes import OTHERWISE, Answers, Begun, ContentOfPasses, Passes, PassReading, ReadingOfBatch
from .profile import Mode, Profile
from .tabling import Tabling
from .tokens import TokenReader, is_packed, maskless_reader, named_classes, token_reader
from .turns import turn

Model = Callable[[Tensor], object]
"""A model that is called with a batch (B, *shape)."""

_FirstRun = tuple[Tensor, bool, ModuleCall | None, object, float, float]  # see `Network._first_run`
_T = TypeVar("_T")

_MOST_WITHIN = 512  # rows of a batch that must not take long
_FEWEST_WITHIN, _TOO_LONG = 4, 4.0  # fewer are slow, and measured on a busy machine; unless these take so many seconds
_UNMEASURED = 4  # a batch that must not take long has so many times fewer rows, before passes were measured
_SHOWN_CLASS = re.compile(r"(?:class|output) (0|[1-9]\d{0,8})")  # the name of a class that was given none
_profiles = forking.lock()  # held for moments: profiles are read while a model runs


class FirstPass(NamedTuple):
    """The row `example` (*shape) with which a model was probed, its `logits` (K,), and what the model was then."""

    example: Tensor
    logits: Tensor
    content: tuple[object, ...]


class Whole(NamedTuple):
    """All that decides what a model computes, where it is more than the model itself."""

    module: Runs
    preprocess: Preprocess | None
    reduce: Reduce | None


class Network:
    """A registered model: a module or callable, its layers, heads, classes.

    `model` is what was registered; `module` is what runs for it, see `adapters`: it maps a batch (B, *shape) to (B, K)
    or (B,), or to what `adapters.results.logits` understands. `preprocess` is applied to batches before, and `reduce`
    to outputs of other forms after; see `calls`. Equal batches must give equal outputs. A change of what
    `fingerprint` reads is noticed; `unread` says what it cannot read (a file, for example), whose changes a new
    `version` says. A module from `torch.compile` runs compiled if only its output is read, and eagerly if layers are
    read; one from `torch.jit` has no layers. While it runs, its modules, and those that a callable refers to, are in
    eval mode; with `train_mode` they are in the mode that they are found in. `layers` are module names, modules, (name,
    module) or (name, Tap), in order of execution; None finds them. `classes` are K names, or a mapping from index to
    name. `device` moves the model there while it runs (None: it runs where it is).
    Raises BindError for what cannot be used; layers and classes are checked against the model itself by `probe`.
    """

    def __init__(
        self,
        name: str,
        model: object,
        layers: Sequence[LayerChoice] | None = None,
        classes: Sequence[str] | Mapping[int, str] | None = None,
        output: str = "logit",
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        *,
        outputs: str = AUTO,
        train_mode: bool = False,
        version: str | None = None,
        reduce: Reduce | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        found = opened(name, model)
        module = found.run
        if isinstance(layers, str | nn.Module):
            raise BindError(f"layers of model '{name}' must be a list, not one {type(layers).__name__}")
        if layers is not None and not isinstance(module, nn.Module):
            raise BindError(f"model '{name}' is a callable, which has no layers; register the torch.nn.Module itself")
        self.name = name
        self.model = model
        self.module = module
        self.said = known_reduction(name, reduce), as_callable(name, preprocess)
        self.reduce = found.reduce if reduce is None else self.said[0]
        self.preprocess = found.preprocess if preprocess is None else self.said[1]
        self.tokenizer = found.tokenizer
        plain = self.reduce is None and self.preprocess is None
        self._whole: object = uncompiled(module) if plain else Whole(uncompiled(module), self.preprocess, self.reduce)
        self.train_mode = train_mode
        self.version = None if version is None else version_name(name, version)
        self.output = check_output(output)
        self.device = None if device is None else known_device(name, device)
        self.batch_size = None if batch_size is None else positive(name, batch_size)
        self.tokens = token_reader(module)
        own = named_classes(module) if found.classes is None else found.classes
        if classes is None:
            classes = own
        elif own is not None and reduce is None:
            check_class_count(name, classes, len(own))
        self.classes = None if classes is None else class_names(name, classes)
        self._intake = Intake()
        self.heads: dict[int, Head] = {}
        self._names_open = isinstance(classes, Mapping)  # the rest of a mapping is filled in once K is known
        self._choices = None
        if layers is not None and isinstance(module, nn.Module):
            self._choices = resolve(uncompiled(module), layers)
        self._layers: tuple[Layer, ...] | None = None
        self._columns = 0
        self._told = found.meaning
        self._evidence = self._new_evidence(outputs)
        self._evidence_of = ""  # the settings of the model when its evidence was gathered
        self._operations: LastOperation | None = None  # of the pass that is being watched
        if self._evidence.said == "values" and output != "logit":
            raise BindError(f"model '{name}' has no {output} to explain: {no_probability(output)}")
        self._row_dim: int | None = None
        self.example: Tensor | None = None  # what `probe` was given
        self._first_pass: FirstPass | None = None
        self._saved_heads: dict[str, Head] = {}
        self._misfit = ""
        self._runner: int | None = None  # the thread that is in the frame for passes
        self._untouched = False  # whether no pass has run in this frame
        self._held_content: ContentOfPasses | None = None  # of this frame, once it was asked for
        self._noticed = noticed(self._whole)
        self._passes: Passes | None = None
        self.behaviour = Behaviour()
        self.tabling = Tabling(self)
        self.filling = NO_FILLING  # of batches, found by `probe`
        self._batches_within: dict[float, int] = {}  # rows of batches that take at most so many seconds
        self.trees_refused = ""  # why trees, chosen without being named, did not tell what was asked of this model
        self.told: set[str] = set()  # the words with which the user was warned of this model

    # What is known of the model ---------------------------------------------------------------------------------------

    def probe(self, example: Tensor) -> None:
        """Learns layers, output layer and class count from one pass of one row, `example` (*shape), once.

        `take_first_pass` hands out what the pass found. Raises ModelError when the model fails on the row,
        ResourceError when memory runs out, BindError when the chosen layers or class names do not fit.
        """
        if self._layers is None:
            with turn(self.module):
                self._probe(example)

    def _probe(self, example: Tensor) -> None:
        if self._layers is not None:  # another thread had its turn first
            return
        if isinstance(self.module, nn.Module) and any(is_lazy(each) for each in self.module.parameters()):
            raise BindError(f"model '{self.name}' has lazy parameters; run it once before it is registered")
        with self.running():
            self.touched()
            logits, (row, writes, calls, raw, started, ended) = self._first_rows(example)
            found: tuple[Layer, ...] = ()
            if calls is not None:
                held = results.output_tensor(raw)
                found = find_layers(calls, held) if self._choices is None else chosen_layers(calls, self._choices, held)
        self._check_names(logits.shape[1])
        self._columns = logits.shape[1]
        self._row_dim = example.dim()
        self.example = example.detach().cpu().clone()
        first = Profile("", *cost(calls, found, row, started, ended))
        named = structure(self.module, calls, found) if calls else self._settings
        taps = [layer.tap for layer in found]
        self._passes = Passes(self.module, named, taps, row, first, writes, self.called(self.module))
        self._first_pass = FirstPass(example, logits[0].detach().cpu(), self.content())
        self._layers = found  # set last: other threads may read it at any time, without a turn
        try:
            self.attach(self._saved_heads)
        except IalgebraError as error:  # not raised here, where any query may come first; `require_head` raises it
            self._misfit = f"those that were loaded do not fit: {error.message}"

    def _first_rows(self, example: Tensor) -> tuple[Tensor, _FirstRun]:
        """The logits of one row, `example` (*shape), and what `_first_run` tells of its pass. A model that refuses a
        batch of one row twice gets copies of it: as many as it is registered for, or two."""
        try:
            return self._looked(example, NO_FILLING)
        except ModelError as error:
            refused = error
        size = self.batch_size or (2 if ONE_SIZE in refused.message else 1)
        if size > 1:
            filling = Filling(size, fixed=self.batch_size is not None)
            with suppress(ModelError):
                found = self._looked(example, filling)
                try:
                    self._looked(example, NO_FILLING)
                except ModelError:
                    self.filling = filling
                    return found
        raise refused

    def _looked(self, example: Tensor, filling: Filling) -> tuple[Tensor, _FirstRun]:
        """The logits (rows, K) of a first pass, and what it tells. Raises ModelError, or ResourceError."""
        with self._watching():
            try:
                run = self.given(filling.filled(example.unsqueeze(0)), self._first_run)
            except Exception as error:
                if is_out_of_memory(error):
                    raise ResourceError(f"model '{self.name}' runs out of memory at a batch of one row") from error
                self._raised(error)
            try:
                return self._checked(filling.least, run[3]), run
            except ModelError as error:
                if self.batch_size is None and "for a batch of" in error.message:
                    error.message += f"; {ONE_SIZE}"
                raise

    def _first_run(self, given: Tensor) -> _FirstRun:
        """One pass of one row (1, *shape): the row, whether the model wrote to it, its calls and raw output, and when
        the pass began and ended."""
        with torch.inference_mode(False):  # an ordinary tensor, which counts what is written to it
            row = given.detach().clone()
        version, content = row._version, row.clone()
        calls: ModuleCall | None = None
        started = time.perf_counter()
        if isinstance(self.module, nn.Module):
            model = uncompiled(self.module)
            calls, raw = trace(model, row.detach(), self.called(model))
        else:
            raw = self.called(self.module)(row.detach())
        ended = time.perf_counter()
        writes = row._version != version or not (row.is_meta or torch.equal(row, content))
        return row, writes, calls, raw, started, ended

    @property
    def chosen(self) -> tuple[tuple[str, str, int | None], ...] | None:
        """The layers that the user chose, if any: name, path of the submodule, and which of its calls."""
        if self._choices is None or not isinstance(self.module, nn.Module):
            return None
        paths = {id(module): path for path, module in uncompiled(self.module).named_modules()}
        return tuple(
            (name, paths[id(place.module)], place.call) if isinstance(place, Tap) else (name, paths[id(place)], None)
            for name, place in self._choices
        )

    def take_first_pass(self) -> FirstPass | None:
        """What `probe` found, once, and only while the model is what it was then."""
        found, self._first_pass = self._first_pass, None
        return None if found is None or not self.known_whole or found.content != self.content() else found

    def whole(self, batch: Tensor) -> Tensor:
        """Whole inputs (B, *shape) as the model is given them: token ids that are padded get their mask."""
        reader = self.tokens
        if reader is None or batch.is_floating_point() or batch.dim() != 2 or is_packed(batch):
            return batch
        return reader.packed(batch, reader.hidden(batch, None), None)

    def called(self, module: Runs) -> CalledByForm:
        """How the module, or what it was compiled from, is called with a batch."""
        reader = None if self.tokens is None else self.tokens.arguments
        return CalledByForm(module, reader, self.preprocess, self.reduce)

    @property
    def probed(self) -> bool:
        """Whether `probe` has run."""
        return self._layers is not None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers 1..n in order; none for a callable. Raises BindError before `probe`."""
        if self._layers is None:
            raise BindError(
                f"the layers of model '{self.name}' are not known yet; query or fit once, or register an input"
            )
        return self._layers

    @property
    def depth(self) -> int | None:
        """The index of the layer that is the model's own output, or None."""
        return next((layer.index for layer in self.layers if layer.is_output), None)

    @property
    def class_count(self) -> int:
        """The number of classes: K, or 2 where two share the one column. Raises BindError before `probe`."""
        return 2 if self.outputs.classes == "pair" else self.column_count

    @property
    def column_count(self) -> int:
        """K, the number of columns of the model's output. Raises BindError before `probe`."""
        if self._layers is None:
            raise BindError(
                f"the classes of model '{self.name}' are not known yet; query or fit once, or register an input"
            )
        return self._columns

    @property
    def outputs(self) -> OutputReading:
        """How the model's outputs are read, by what was said at registration and by the rows that were seen."""
        return self._evidence.reading

    def see(self, outputs: Tensor) -> None:
        """Rows (B, K) of the model's output, evaluated now or found in the store: `outputs` says how they are read."""
        self._evidence.see(outputs)

    @property
    def doubtful(self) -> bool:
        """Whether outputs are read as probabilities only because all of them lie in [0, 1]."""
        return self._evidence.doubtful

    @property
    def said_outputs(self) -> str:
        """What was said at registration: 'auto', or a meaning."""
        return self._evidence.said

    @property
    def row_dim(self) -> int | None:
        """How many dimensions one input has; None before `probe`."""
        return self._row_dim

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of the probed input; empty before `probe`."""
        return () if self._passes is None else self._passes.shape

    @property
    def runs_on(self) -> torch.device:
        """The device on which batches are wanted."""
        return home(self.module) if self.device is None else self.device

    def layer_index(self, ref: int | str) -> int:
        """The index (from 1) of a layer given by index or name.

        Raises BindError with the legal range or the nearest name.
        """
        layers = self.layers
        if not layers:
            raise BindError(f"model '{self.name}' has no layers: {self._why_no_layers()}")
        if isinstance(ref, str):
            found = next((layer.index for layer in layers if layer.name == ref), None)
            if found is None:
                raise BindError(
                    f"model '{self.name}' has no layer '{ref}'{did_you_mean(ref, [layer.name for layer in layers])}"
                )
            return found
        if not isinstance(ref, Integral) or not 1 <= ref <= len(layers):
            raise BindError(f"model '{self.name}' has no layer {ref}; its layers are 1 to {len(layers)}")
        return ref

    def class_index(self, ref: int | str) -> int:
        """The index (from 0) of a class given by index or name.

        A name may differ in case where that leaves one class; a name that two classes share needs the index. Without
        names, 'class 3' is what `class_name` tells of index 3. Raises BindError with the legal range or the nearest
        name.
        """
        if isinstance(ref, str):
            shown = _SHOWN_CLASS.fullmatch(ref)
            if not self.classes and shown and self.class_name(index := int(shown[1])) == ref:
                return self.class_index(index)
            names = self.classes or []
            found = [index for index, name in enumerate(names) if name == ref]
            found = found or [index for index, name in enumerate(names) if name.lower() == ref.lower()]
            if len(found) > 1:
                places = " and ".join(str(index) for index in found)
                raise BindError(f"class '{ref}' of model '{self.name}' is the name of {places}; give the index")
            if not found:
                hint = (
                    did_you_mean(ref, names) if names else "; it was registered without class names, so give the index"
                )
                raise BindError(f"model '{self.name}' has no class '{ref}'{hint}")
            return found[0]
        if not 0 <= ref < self.class_count:
            raise BindError(f"model '{self.name}' has no class {ref}; its classes are 0 to {self.class_count - 1}")
        return ref

    def class_name(self, index: int) -> str:
        """The name of class `index`, or 'class 3' where names were not given; of a regression, 'output 3'."""
        if self.classes and index < len(self.classes):
            return self.classes[index]
        return f"output {index}" if self.outputs.meaning == "values" else f"class {index}"

    @property
    def named_heads(self) -> dict[str, Head]:
        """The heads by layer name, also those that wait for `probe`."""
        known = {self.layers[index - 1].name: head for index, head in sorted(self.heads.items())}
        return self._saved_heads | known

    def needs_head(self, layer: int) -> bool:
        """Whether f_l needs a head that has not been trained yet."""
        return layer != self.depth and layer not in self.heads

    def require_head(self, layer: int) -> Head | None:
        """Layer `layer`'s head, None for the model's own output.

        Raises BindError that says how to train a missing one.
        """
        if self.needs_head(layer):
            hint = self._misfit or f"train it with con.fit_heads({json.dumps(self.name, ensure_ascii=False)}, inputs)"
            name = self.layers[layer - 1].name
            raise BindError(f"layer {layer} ('{name}') of model '{self.name}' has no head yet; {hint}")
        return self.heads.get(layer)

    def attach(self, heads: Mapping[str, Head]) -> None:
        """Sets heads by layer name; before `probe` they wait for it.

        Raises BindError for an unknown layer, ShapeError for a head that does not fit its layer or the classes.
        """
        if self._layers is None:
            self._saved_heads = {**self._saved_heads, **heads}
            return
        self._saved_heads, self._misfit = {}, ""
        fitting: dict[int, Head] = {}
        for name, head in heads.items():
            layer = self.layers[self.layer_index(name) - 1]
            wanted = (self.column_count, layer.features)
            if tuple(head.weight.shape) != wanted or head.pool != layer.pool:
                raise ShapeError(
                    f"the head for layer '{name}' of model '{self.name}' has shape {tuple(head.weight.shape)} "
                    f"over dimensions {head.pool}; the layer needs {wanted} over {layer.pool}"
                )
            fitting[layer.index] = head.to(self.runs_on)
        with turn(self.module):
            self.heads.update(fitting)

    # Costs ------------------------------------------------------------------------------------------------------------

    @property
    def profile(self) -> Profile:
        """What passes of rows like the probed one cost on this device; every pass refines it.

        Raises BindError before `probe`.
        """
        return self.profile_of(self.row_shape)

    def profile_of(self, shape: Sequence[int]) -> Profile:
        """What passes of rows of this shape cost; see `profile`."""
        with _profiles:
            return self._timed.profile_of(shape, self.runs_on)

    def batch_within(self, seconds: float, usual: int) -> int:
        """The rows of a batch that takes at most so many seconds, a power of two; a share of `usual` where nothing was
        measured yet. Once it is known it stays, so that rows are run in batches of one size."""
        if seconds not in self._batches_within:
            a_row = self.profile.per_row(usual)
            most = usual if math.isnan(a_row) else max(1.0, seconds / max(a_row, 1e-9))
            few = _FEWEST_WITHIN if a_row * _FEWEST_WITHIN < _TOO_LONG else 1
            found = 1 << math.floor(math.log2(max(few, min(most, _MOST_WITHIN))))
            if not self.profile.known("eager"):
                return min(found, max(1, usual // _UNMEASURED))
            self._batches_within[seconds] = found
        return self._batches_within[seconds]

    def compiled_for(self, batch_size: int) -> bool:
        """Whether passes of so many rows like the probed one run compiled without being compiled first."""
        return self._timed.compiled_for(batch_size, self._settings)

    def copied(self, mode: Mode) -> bool:
        """Whether passes in a mode need no copy of the weights, or it was made."""
        return self._timed.copied(mode)

    @property
    def rows(self) -> int:
        """Rows that went through the model in passes, the probing one apart."""
        return 0 if self._passes is None else self._passes.rows

    def modes(self, layer: int | None) -> tuple[Mode, ...]:
        """The modes in which passes of rows like the probed one, down to `layer` (None: to the end), can be run with
        the same answers; 'compiled' where the model is, or was once and so is known to be worth it."""
        with _profiles:
            found = self._timed.modes(self.profile, layer)
        return found if self.known_whole else tuple(mode for mode in found if mode != "folded")

    @property
    def refused_modes(self) -> dict[Mode, str]:
        """The modes that gave other answers than eager passes, and what was found."""
        unusable = {} if self._passes is None else self.profile.unusable
        return {mode: why for mode, why in unusable.items() if why == OTHERWISE}

    @property
    def _timed(self) -> Passes:
        if self._passes is None:
            raise BindError(f"what model '{self.name}' costs is not known yet; query or fit once, or register an input")
        return self._passes

    # Passes -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """The frame for passes (see `kernels.forward.as_found`), in which no other thread has a part of the model;
        entering it again inside is free."""
        if self._runner == threading.get_ident():
            yield
            return
        with turn(self.module), forking.ended_in_child(self._stop):
            self._notice()
            self._untouched, self._held_content = True, None
            try:
                with as_found(self.module, self.device, self.nets, train_mode=self.train_mode):
                    self._runner = threading.get_ident()
                    yield
            finally:
                self._runner = None
                if not self._untouched:
                    held = self._noticed.read(self._whole)
                    self._noticed.left, self._noticed.buffers = held.digest, buffers(held)
                if self._passes is not None:
                    self._passes.save()

    def _stop(self) -> None:
        self._runner = None

    def folded_graph(self, taps: Sequence[Tap]) -> Graph | None:
        """The folded graph of the network with values at these taps, once folded passes were found to be right."""
        with self.running():
            return self._timed.folded_graph(taps, self._content_of_passes, self.runs_on)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The frame for passes that are no rows of a query: nobody counts them, and the profile learns nothing."""
        with self.running():
            self.touched()
            passes, rows = self._timed, self.rows
            passes.timed = False
            try:
                yield
            finally:
                passes.timed, passes.rows = True, rows

    def touched(self) -> None:
        """Note that a pass is about to run, which may write to the model."""
        self._untouched = False

    def forward(self, batch: Tensor, layers: Sequence[int | None], mode: Mode = "eager") -> dict[int | None, Tensor]:
        """Logits (B, K) of f_l for each layer asked (None: the model itself) from one pass of `batch` (B, *shape).

        The pass stops at the deepest layer needed. Logits are float32 (float64 from a float64 model) on the model's
        device. The batch goes to that device, in the number type that it has if the model takes it, see `given`; it is
        not written to. A `mode` in which the model cannot be run, or this batch, gives way to 'eager'. Raises BindError
        for a missing head and ModelError for a failing model, whose `row` names the row at fault within the batch, if
        one is. KeyboardInterrupt and out-of-memory errors pass unchanged.
        """
        if self._layers is None:
            self.probe(batch[0])
        return self._of_layers(layers, lambda heads, output: self.read(batch, heads, output, mode))

    def resume(self, begun: Begun, layers: Sequence[int | None], mode: Mode = "eager") -> dict[int | None, Tensor]:
        """The same from the second part of a pass that was `begun`: from rows of a pattern table, see `tabling`."""

        def read(heads: Mapping[int, Head], output: bool) -> tuple[dict[int, Tensor], Tensor | None]:
            with self._reported(heads), self._watching():
                reading = self._reading(heads, output)(begun.rows)
                values, logits = self._timed.resume(begun, reading, mode)
            return dict(zip(heads, values, strict=True)), logits

        return self._of_layers(layers, read)

    def _of_layers(
        self,
        layers: Sequence[int | None],
        read: Callable[[Mapping[int, Head], bool], tuple[dict[int, Tensor], Tensor | None]],
    ) -> dict[int | None, Tensor]:
        heads = {layer: None if layer is None else self.require_head(layer) for layer in layers}
        own = [layer for layer, head in heads.items() if head is None]
        cut = {layer: head for layer, head in heads.items() if layer is not None and head is not None}
        values, logits = read(cut, bool(own))
        found: dict[int | None, Tensor] = {layer: self._finite(value, layer) for layer, value in values.items()}
        if logits is not None:
            found.update(dict.fromkeys(own, logits))
        return found

    def read(
        self, batch: Tensor, readers: Mapping[int, Callable[[Tensor], Tensor]], output: bool, mode: Mode = "eager"
    ) -> tuple[dict[int, Tensor], Tensor | None]:
        """One pass of `batch` (B, *shape): what each layer's reader makes of its output; if asked, the model's logits.

        Raises, casts and chooses the mode as `forward`.
        """
        with self._reported(readers):
            unknown = not self._evidence.watched or not self._intake.knows(batch, computes_in(self.module))
            if mode == "folded" and not self.known_whole:
                mode = "channels-last"  # what a trace read once may change unseen
            # Other modes would take the refusal of a number type for a failure of theirs.
            chosen: Mode = "eager" if unknown else mode

            def run(ready: Tensor) -> Answers:
                return self._in_batches(ready, self._reading(readers, output), chosen)

            with self._watching():
                values, logits = self.given(batch, run)
        return dict(zip(readers, values, strict=True)), logits

    @contextmanager
    def _reported(self, layers: Iterable[int]) -> Iterator[None]:
        """A frame for one pass that reads these layers. What the pass raises becomes an error that names the model."""
        with self.running():
            self.touched()
            try:
                yield
            except TapError as error:
                raise ModelError(f"model '{self.name}': {self._gone(layers) or error.message}") from error
            except IalgebraError as error:
                raise self._named(error) from error.__cause__
            except Exception as error:
                self._raised(error)

    def _in_batches(self, batch: Tensor, reading: ReadingOfBatch, mode: Mode) -> Answers:
        """One pass of a batch, or one for each of the `batches` that the model gets instead. Copies count as no
        rows."""
        passes, found = self._timed, list[Answers]()
        for first, rows, count in self.batches(batch):
            try:
                values, logits = passes.run(rows, reading, mode, self._settings, self._content_of_passes)
            except ModelError as error:
                error.row = None if error.row is None else first + min(error.row, count - 1)
                raise
            passes.rows -= len(rows) - count
            found.append(([value[:count] for value in values], None if logits is None else logits[:count]))
        if len(found) == 1:
            return found[0]
        together = [torch.cat(each) for each in zip(*(values for values, _ in found), strict=True)]
        outputs = [logits for _, logits in found if logits is not None]
        return together, torch.cat(outputs) if outputs else None

    def batches(self, batch: Tensor) -> Iterator[tuple[int, Tensor, int]]:
        """The batches that the model gets instead of `batch` (B, *shape), as `Filling.batches` tells them. In those of
        a batch-dependent model no row meets another: it is alone or, if the model is registered for batches of some
        size, with copies of itself."""
        if not self.behaviour.batch_dependent:
            yield from self.filling.batches(batch)
            return
        alone = Filling(self.batch_size or self.filling.least)
        for place in range(len(batch)):
            yield place, alone.filled(batch[place : place + 1]), 1

    def given(self, batch: Tensor, run: Callable[[Tensor], _T]) -> _T:
        """What `run` makes of `batch` (B, *shape) on the model's device, in the number type that it has, or in the
        nearest one that the model takes; see `inputs.Intake`. Raises what `run` raises."""
        return self._intake.given(batch.to(self._place(batch)), computes_in(self.module), run)

    def ready(self, batch: Tensor) -> Tensor:
        """`batch` on the model's device, in the number type in which the model takes it, as far as that is known."""
        return self._intake.ready(batch.to(self._place(batch)), computes_in(self.module))

    def _place(self, batch: Tensor) -> torch.device:
        return batch.device if self.device is None and not isinstance(self.module, nn.Module) else self.runs_on

    @property
    def lossy_casts(self) -> list[Cast]:
        """The number types that the model refused, and whose numbers were changed by a cast to another."""
        return self._intake.lossy

    def refuses(self, dtype: torch.dtype) -> bool:
        """Whether the model was given inputs of this number type, and took them in another one only."""
        return any(cast is not None for (given, _), cast in self._intake.casts.items() if given == dtype)

    def meet(self, example: Tensor) -> None:
        """Learn what there is to know of the model at its first use, by one row (*shape): `probe`, and `examine`."""
        with turn(self.module):
            self.probe(example)
            assert self.example is not None
            self.examine(self.example, without_half(self.example))

    def examine(self, full: Tensor, half: Tensor) -> None:
        """Find out whether the model is a function of the row, once for each `form` of it; see `examining`. `full` and
        `half` are rows (*shape).

        If the rows are equal, or the model fails on them, this is due another time.
        """
        first = self._first_pass
        alone = first.logits if first is not None and torch.equal(first.example, full) else None
        passes, behaviour = self._timed, self.behaviour
        with self.running():
            if behaviour.examined == self.form:
                return
            self.touched()
            behaviour.due = True
            if torch.equal(full, half):
                return
            form, before, passes.timed = self.form, passes.rows, False
            behaviour.batch_dependent = False  # rows are to meet others now
            try:
                behaviour.random, behaviour.batch_dependent = random_or_batch_dependent(
                    self._logits, self.nets, full, half, alone, company=self.batch_size != 1
                )
                behaviour.examined, behaviour.due = form, False
                behaviour.repeated.clear()
            except Exception:  # the rows of a query tell how it fails
                pass
            finally:
                passes.timed = True
                behaviour.rows += passes.rows - before

    @property
    def examination_due(self) -> bool:
        """Whether an examination gave no result, or the model was changed since."""
        behaviour = self.behaviour
        return behaviour.due or (behaviour.examined is not None and behaviour.examined != self.form)

    def _logits(self, batch: Tensor) -> Tensor:
        """The logits (B, K) of a batch (B, *shape), as they come."""

        def read(rows: int) -> PassReading:
            return PassReading([], [], 0, lambda raw: results.logits(raw, rows).cpu())

        _, found = self.given(self.whole(batch), lambda ready: self._in_batches(ready, read, "eager"))
        assert found is not None
        return found

    def compile(self, batch: Tensor, backend: Backend = "inductor") -> bool:
        """Compile the model for batches of the form of `batch` (B, *shape): later passes of that form in mode
        'compiled' that read no layers use it. It takes tens of seconds, and is lost when the model's settings change.

        False where the model cannot be compiled or answers otherwise then; nothing else has changed in this case.
        """
        self.probe(batch[0])
        ready = self.ready(batch)
        with self.running():
            self.touched()
            reading = self._reading({}, True)
            return self._timed.compile(ready, reading, self._settings, self._content_of_passes, backend)

    def fingerprint(self) -> tuple[object, ...]:
        """A value that changes whenever the content of a parameter, buffer or head does, also by `.data`.

        So it does with everything else that `contents` reads: attributes, code, hooks, and what a callable refers to.
        What the passes themselves write there (counters, caches) is no change.
        """
        return (*self.content(), *self.heads_fingerprint().items())

    def head_place(self, layer: int | None) -> object:
        """A layer with its head, as a value that another head would change."""
        return layer, None if layer is None else self.heads_fingerprint().get(layer)

    def heads_fingerprint(self) -> dict[int, tuple[int, int]]:
        """The heads' part of `fingerprint`, by layer."""
        return {index: (checksum(head.weight), checksum(head.bias)) for index, head in sorted(self.heads.items())}

    def content(self) -> tuple[object, ...]:
        """The model's part of `fingerprint`, which leaves the heads out."""
        with turn(self.module):
            just_noticed = self._untouched and self._runner == threading.get_ident()
            held = self._noticed.contents if just_noticed and self._noticed.contents else self._notice()
            said = () if self.version is None else (f"version {self.version}",)
            numbers = (*parameters(held), *(self._noticed.buffers or ()))
            return (*numbers, self._settings, *self._modes(), *said)

    def apart(self) -> tuple[object, ...]:
        """What tells this model's rows from those of another model whose `content` is equal: where it runs and is read.
        A model that cannot be read whole is apart from all others."""
        places = [layer.name for layer in self._layers or ()]
        return str(self.runs_on), self.batch_size, self.chosen, places, None if self.known_whole else serial(self)

    def _content_of_passes(self, anew: bool) -> ContentOfPasses:
        """The content within a frame for passes, where only passes could change it: read once, or `anew`."""
        if self._held_content is None or anew:
            held = self._noticed.read(self._whole) if anew else self._noticed.contents
            assert held is not None
            found = ContentOfPasses((*parameters(held), *buffers(held), self._settings), held.digest)
            if anew:
                return found
            self._held_content = found
        return self._held_content

    @property
    def unread(self) -> tuple[str, ...]:
        """What the model holds that could not be read, in words."""
        held = self._noticed.contents or contents(self._whole)
        return held.unread

    @property
    def known_whole(self) -> bool:
        """Whether equal content means the same answers: the model was read whole, or its user gave it a version."""
        return not self.unread or self.version is not None

    def seen_changes(self) -> tuple[object, ...]:
        """A value that changes whenever somebody changes the model, as `content` does, but never by passes: a buffer
        that the model itself writes to is no change. A query that others interrupted compares it."""
        with turn(self.module):
            held = self._notice()
            return (*parameters(held), self._noticed.times, self._settings)

    @property
    def form(self) -> tuple[object, ...]:
        """A value that changes when the model's code or its modes do, and so perhaps its behaviour."""
        return (*form_of(self.module, self.nets), *self._modes())

    @property
    def nets(self) -> list[nn.Module]:
        """The modules that the model computes with, each once."""
        return list(dict.fromkeys(part for part in parts(self.module) if isinstance(part, nn.Module)))

    @cached_property
    def inner_reader(self) -> TokenReader | None:
        """How a model inside this one reads padded tokens, where this one itself is given ids alone; None if there is
        no such model, or if the code that calls it speaks of a mask."""
        return None if self.tokens is not None else maskless_reader(self.module, self.nets)

    def _modes(self) -> tuple[bool, ...]:
        """The mode of every module, where the modules run in the mode that they are found in."""
        return tuple(module.training for module in self.nets) if self.train_mode else ()

    @property
    def _settings(self) -> str:
        """A digest of everything but the weights, as it was noticed last, and of what torch has in force."""
        return settings(self._noticed)

    def _notice(self) -> Contents:
        """Notice settings and buffers that changed since the last pass: somebody changed the model."""
        held = self._noticed.read(self._whole)
        if held.digest != self._noticed.left:
            self._noticed.settings = self._noticed.left = held.digest
        left = buffers(held)
        if left != self._noticed.buffers:
            self._noticed.buffers = left
            self._noticed.times += 1
        if self._evidence_of != self._noticed.settings:  # its outputs may be other numbers now
            self._evidence, self._evidence_of = self._new_evidence(self._evidence.said), self._noticed.settings
        return held

    def _new_evidence(self, said: str) -> OutputEvidence:
        pair = self.classes is not None and len(self.classes) == 2
        return OutputEvidence(self.name, self.module, said, pair, self._columns, self._told)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """A frame in which the operation that makes the model's output is noticed, if it is not known yet."""
        if self._evidence.watched:
            yield
            return
        with LastOperation() as self._operations:
            try:
                yield
            finally:
                self._operations = None

    def _reading(self, readers: Mapping[int, Callable[[Tensor], Tensor]], output: bool) -> ReadingOfBatch:
        def of(rows: int) -> PassReading:
            taps = [self.layers[layer - 1].tap for layer in readers]
            checked = [self._batched(layer, reader, rows) for layer, reader in readers.items()]
            return PassReading(taps, checked, max(readers, default=0), partial(self._checked, rows) if output else None)

        return of

    # Checks -----------------------------------------------------------------------------------------------------------

    def _batched(self, layer: int, reader: Callable[[Tensor], Tensor], rows: int) -> Callable[[Tensor], Tensor]:
        known = self.layers[layer - 1]

        def read(value: Tensor) -> Tensor:
            if value.dim() == 0 or len(value) != rows or value.dim() != len(known.shape) + 1:
                raise TapError(f"layer '{known.name}' returned {tuple(value.shape)} for a batch of {rows} rows")
            return reader(value)

        return read

    def _checked(self, rows: int, raw: object) -> Tensor:
        try:
            numbers = results.logits(raw, rows)
        except ModelError as error:
            raise ModelError(f"model '{self.name}' {error.message}") from None
        if self._columns and numbers.shape[1] != self._columns:
            raise ModelError(
                f"model '{self.name}' returned {numbers.shape[1]} classes, before {self._columns}; "
                "register it again if it was changed"
            )
        if self._operations is not None:
            made = raw.numbers if isinstance(raw, results.Reduced) else raw
            self._evidence.made(self._operations.of(results.output_tensor(made)))
        self.see(self._finite(numbers, None))
        return numbers

    def _finite(self, logits: Tensor, layer: int | None) -> Tensor:
        if bool(torch.isfinite(logits).all()):
            return logits
        faults = ~torch.isfinite(logits).all(dim=1)
        row = int(faults.nonzero()[0])
        what = "NaN" if bool(torch.isnan(logits[row]).any()) else "infinity"
        where = "" if layer is None else f" at layer {layer} ('{self.layers[layer - 1].name}')"
        error = ModelError(
            f"model '{self.name}' returned {what}{where} for row {row} of a batch of {len(logits)}; "
            "finite numbers are needed" + "".join(f"; it {cast.words}" for cast in self.lossy_casts if cast.grave)
        )
        error.row = row
        raise error

    def _named(self, error: IalgebraError) -> IalgebraError:
        """The error; of an adapter, with the model's name."""
        if isinstance(error, ModelError) and not error.message.startswith("model '"):
            error.message = f"model '{self.name}' {error.message}"
        return error

    def _raised(self, error: Exception) -> NoReturn:
        if is_out_of_memory(error):
            raise error
        if isinstance(error, IalgebraError):
            raise self._named(error)
        hint = f"; {ONE_SIZE}" if self.batch_size is None and may_be_of_sizes(error) else ""
        raise ModelError(f"model '{self.name}' raised {type(error).__name__}: {error}{hint}") from error

    def _gone(self, layers: Iterable[int]) -> str | None:
        """A message about a layer whose module is no longer in the model; None if there is no such layer."""
        held = {id(each) for each in self.module.modules()} if isinstance(self.module, nn.Module) else set()
        gone = [layer for layer in layers if id(self.layers[layer - 1].tap.module) not in held]
        return (
            f"layer '{self.layers[gone[0] - 1].name}' is no longer part of it; register the model again"
            if gone
            else None
        )

    def _why_no_layers(self) -> str:
        if isinstance(self.module, torch.jit.ScriptModule):
            return "torch.jit compiled it, so that nothing inside can be read; register the torch.nn.Module itself"
        if isinstance(self.module, nn.Module):
            return "no module in it returns a tensor with the batch dimension first"
        return "it is a callable; register the torch.nn.Module itself"

    def _check_names(self, count: int) -> None:
        if self.classes is None or (count == 1 and self.outputs.classes == "pair"):
            return
        if len(self.classes) > count or (len(self.classes) < count and not self._names_open):
            raise BindError(f"model '{self.name}' has {count} classes, but {len(self.classes)} class names were given")
        self.classes += [f"class {index}" for index in range(len(self.classes), count)]
