"""A registered model: a module or any callable in; layers, classes, heads and checked logits out.

All of a model's rows pass through `Network.forward`, which asks for the logits of any set of layers f_l in one pass.
What a hostile model can do wrong becomes a ModelError that names the model and the row. Knows no query, no input and
no plan.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from numbers import Integral
from typing import NoReturn, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..errors import BindError, IalgebraError, ModelError, ResourceError, ShapeError, did_you_mean
from ..kernels.forward import as_found, is_out_of_memory, stopwatch, tapped, uncompiled
from ..runtime import keeps_memory
from . import adapters, modes
from .arguments import class_names, known_device, positive
from .calibration import profile_key, structure
from .fingerprint import checksum, settings, weights
from .heads import Head
from .layers import Call, Layer, LayerChoice, chosen_layers, find_layers, resolve, trace
from .modes import Backend, Compiled
from .profile import Mode, Profile

__all__ = ["Model", "Network", "is_out_of_memory"]

Model = Callable[[Tensor], object]

# Sessions of several threads may share modules, and the process has one fast path and one stance of its compiler.
_one_at_a_time = threading.RLock()
_READS_NUMBERS = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.RNNBase)


class Network:
    """A registered model: a module or callable, its layers, heads, classes.

    `module` maps a batch (B, *shape) to (B, K) or (B,), or to what `adapters.logits` understands. It counts as a
    function, equal batches giving equal outputs: a change of what `fingerprint` reads is noticed, and after any other
    (a file that it reads, say) register it again. What `torch.compile` made runs compiled where the output alone is
    read, and eagerly where layers are; what `torch.jit` made has no layers. `layers` are module names, modules,
    (name, module) or (name, Tap), in order of execution; None finds them. `classes` are K names, or a mapping from
    index to name. `device` moves the model there while it runs (None: it runs where it is). Raises BindError for what
    cannot be used; layers and classes are checked against the model itself by `probe`.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module | Model,
        layers: Sequence[LayerChoice] | None = None,
        classes: Sequence[str] | Mapping[int, str] | None = None,
        output: str = "logit",
        device: str | torch.device | None = None,
        batch_size: int | None = None,
    ) -> None:
        if not callable(module):
            raise BindError(f"model '{name}' is a {type(module).__name__}; a torch.nn.Module or a callable is needed")
        if isinstance(layers, str | nn.Module):
            raise BindError(f"layers of model '{name}' must be a list, not one {type(layers).__name__}")
        if layers is not None and not isinstance(module, nn.Module):
            raise BindError(f"model '{name}' is a callable, which has no layers; register the torch.nn.Module itself")
        self.name = name
        self.module = module
        self.output = adapters.check_output(output)
        self.device = None if device is None else known_device(name, device)
        self.batch_size = None if batch_size is None else positive(name, batch_size)
        self.classes = None if classes is None else class_names(name, classes)
        self.heads: dict[int, Head] = {}
        self._names_open = isinstance(classes, Mapping)  # the rest of a mapping is filled in once K is known
        self._choices = None
        if layers is not None and isinstance(module, nn.Module):
            self._choices = resolve(uncompiled(module), layers)
        self._layers: tuple[Layer, ...] | None = None
        self._class_count = 0
        self._row_dim: int | None = None
        self._first_pass: tuple[Tensor, Tensor, tuple[object, ...]] | None = None
        self._saved_heads: dict[str, Head] = {}
        self._misfit = ""
        self._writes_input = False
        self._running = False
        self._settings = self._left = ""
        self._structure = ""
        self._row_shape: tuple[int, ...] = ()
        self._row_dtype = torch.float32
        self._first = Profile("", 0)
        self._profiles: dict[tuple[object, ...], Profile] = {}  # by all that their keys say
        self._compiled: Compiled | None = None
        self.rows = 0  # that went through it in passes, the probing one apart
        self._agreed: dict[Mode, str] = {}  # modes that gave eager answers, and the settings under which they did

    # What is known of the model ---------------------------------------------------------------------------------------

    def probe(self, example: Tensor) -> None:
        """Learns layers, output layer and class count from one pass of one row, `example` (*shape), once.

        `take_first_pass` hands out what the pass found. Raises ModelError when the model fails on the row,
        ResourceError when memory runs out, BindError when the chosen layers or class names do not fit.
        """
        if self._layers is not None:
            return
        if isinstance(self.module, nn.Module) and any(is_lazy(each) for each in self.module.parameters()):
            raise BindError(f"model '{self.name}' has lazy parameters; run it once before it is registered")
        with torch.inference_mode(False):  # an ordinary tensor, which counts what is written to it
            row = self._cast(example.detach().unsqueeze(0)).clone()
        version, content = row._version, row.clone()
        with self.running():
            started = time.perf_counter()
            try:
                if isinstance(self.module, nn.Module):
                    calls, raw = trace(uncompiled(self.module), row)
                else:
                    calls, raw = None, self.module(row)
                ended = time.perf_counter()
            except Exception as error:
                if is_out_of_memory(error):
                    raise ResourceError(f"model '{self.name}' runs out of memory at a batch of one row") from error
                self._raised(error)
            logits = self._checked(raw, 1)
            found: tuple[Layer, ...] = ()
            if calls is not None:
                held = adapters.output_tensor(raw)
                found = find_layers(calls, held) if self._choices is None else chosen_layers(calls, self._choices, held)
        self._writes_input = row._version != version or not torch.equal(row, content)
        self._check_names(logits.shape[1])
        self._class_count = logits.shape[1]
        self._row_dim = example.dim()
        self._layers = found
        self._first_pass = (example, logits[0].cpu(), self.content())
        self._keep_costs(calls, row, started, ended)
        try:
            self.attach(self._saved_heads)
        except IalgebraError as error:  # no fault of whoever asks first: `require_head` says it
            self._misfit = f"those that were loaded do not fit: {error.message}"

    def take_first_pass(self) -> tuple[Tensor, Tensor] | None:
        """The row (*shape) and the logits (K,) of `probe`, once, and only while the model is what it was then."""
        found, self._first_pass = self._first_pass, None
        return None if found is None or found[2] != self.content() else found[:2]

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
        """K, the number of columns of the model's output. Raises BindError before `probe`."""
        if self._layers is None:
            raise BindError(
                f"the classes of model '{self.name}' are not known yet; query or fit once, or register an input"
            )
        return self._class_count

    @property
    def row_dim(self) -> int | None:
        """How many dimensions one input has; None before `probe`."""
        return self._row_dim

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of the probed input; empty before `probe`."""
        return self._row_shape

    @property
    def runs_on(self) -> torch.device:
        """The device on which batches are wanted."""
        if self.device is not None:
            return self.device
        held = chain(self.module.parameters(), self.module.buffers()) if isinstance(self.module, nn.Module) else ()
        return next((tensor.device for tensor in held), torch.device("cpu"))

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

        A name may differ in case where that leaves one class; a name that two classes share needs the index. Raises
        BindError with the legal range or the nearest name.
        """
        if isinstance(ref, str):
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
        """The name of class `index`, or 'class 3' where names were not given."""
        return self.classes[index] if self.classes and index < len(self.classes) else f"class {index}"

    def needs_head(self, layer: int) -> bool:
        """Whether f_l needs a head that has not been trained yet."""
        return layer != self.depth and layer not in self.heads

    def require_head(self, layer: int) -> Head | None:
        """Layer `layer`'s head, None for the model's own output.

        Raises BindError that says how to train a missing one.
        """
        if self.needs_head(layer):
            hint = self._misfit or f'train it with con.fit_heads("{self.name}", inputs)'
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
            wanted = (self.class_count, layer.features)
            if tuple(head.weight.shape) != wanted or head.pool != layer.pool:
                raise ShapeError(
                    f"the head for layer '{name}' of model '{self.name}' has shape {tuple(head.weight.shape)} "
                    f"over dimensions {head.pool}; the layer needs {wanted} over {layer.pool}"
                )
            fitting[layer.index] = head.to(self.runs_on)
        self.heads.update(fitting)

    # Costs ------------------------------------------------------------------------------------------------------------

    @property
    def profile(self) -> Profile:
        """What passes of rows like the probed one cost on this device; every pass refines it.

        Raises BindError before `probe`.
        """
        _ = self.layers
        return self.profile_of(self._row_shape)

    def profile_of(self, shape: Sequence[int]) -> Profile:
        """What passes of rows of this shape cost; see `profile`."""
        place = (tuple(shape), self.runs_on, torch.get_num_threads(), keeps_memory())
        with _one_at_a_time:
            if place not in self._profiles:
                key = profile_key(self._structure, shape, self._row_dtype, self.runs_on)
                size = math.prod(shape) / max(1, math.prod(self._row_shape))
                self._profiles[place] = Profile.load(key, len(self.layers)) or Profile(
                    key,
                    math.ceil(size * self._first.bytes_per_row),
                    None if self._first.cold_seconds is None else size * self._first.cold_seconds,
                    self._first.cold_shares,
                )
            return self._profiles[place]

    def _keep_costs(self, calls: Call | None, row: Tensor, started: float, ended: float) -> None:
        """What the probing pass, from `started` to `ended`, says about costs."""
        self._row_shape, self._row_dtype = tuple(row.shape[1:]), row.dtype
        self._structure = structure(self.module, calls, self.layers) if calls else self._settings
        times = {call.tap: call.ended for call in calls.all()} if calls else {}
        seconds = ended - started
        self._first = Profile(
            key="",
            bytes_per_row=max([row.nbytes, *(call.live for call in calls.all())] if calls else [row.nbytes]),
            cold_seconds=seconds,
            cold_shares=tuple((times[layer.tap] - started) / seconds for layer in self.layers),
        )

    # Passes -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[None]:
        """The frame for passes (see `kernels.forward.as_found`); entering it again inside is free."""
        with _one_at_a_time:
            if self._running:
                yield
                return
            self._notice()
            try:
                with as_found(self.module, self.device):
                    self._running = True
                    yield
            finally:
                self._running = False
                self._left = settings(uncompiled(self.module))
                for profile in self._profiles.values():
                    if profile.changed:
                        profile.save()

    def forward(self, batch: Tensor, layers: Sequence[int | None], mode: Mode = "eager") -> dict[int | None, Tensor]:
        """Logits (B, K) of f_l for each layer asked (None: the model itself) from one pass of `batch` (B, *shape).

        The pass stops at the deepest layer needed. Logits are float32 (float64 from a float64 model) on the model's
        device. The batch goes to that device and to the parameters' dtype; integer tokens stay integers; it is not
        written to. A `mode` in which the model cannot be run, or this batch, gives way to 'eager'. Raises BindError for
        a missing head and ModelError for a failing model, whose `row` names the row at fault within the batch, if one
        is. KeyboardInterrupt and out-of-memory errors pass unchanged.
        """
        if self._layers is None:
            self.probe(batch[0])
        heads = {layer: None if layer is None else self.require_head(layer) for layer in layers}
        own = [layer for layer, head in heads.items() if head is None]
        cut = {layer: head for layer, head in heads.items() if layer is not None and head is not None}
        values, logits = self.read(batch, cut, bool(own), mode)
        results: dict[int | None, Tensor] = {layer: self._finite(value, layer) for layer, value in values.items()}
        if logits is not None:
            results.update(dict.fromkeys(own, logits))
        return results

    def read(
        self, batch: Tensor, readers: Mapping[int, Callable[[Tensor], Tensor]], output: bool, mode: Mode = "eager"
    ) -> tuple[dict[int, Tensor], Tensor | None]:
        """One pass of `batch` (B, *shape): what each layer's reader makes of its output; if asked, the model's logits.

        Raises, casts and chooses the mode as `forward`.
        """
        ready = self._cast(batch)
        with self.running():
            if mode != "eager" and self._offers(mode, ready, readers, output):
                return self._in_mode(mode, ready, readers, output)
            return self._pass("eager", ready, readers, output)

    def compile(self, batch: Tensor, backend: Backend = "inductor") -> bool:
        """Compile the model for batches of the form of `batch` (B, *shape): later passes of that form in mode
        'compiled' that read no layers use it. It takes tens of seconds, and is lost when the model's settings change.

        False where the model cannot be compiled or answers otherwise then; nothing else has changed in this case.
        """
        ready = self._cast(batch)
        with self.running():
            profile = self.profile_of(ready.shape[1:])
            if modes.holds_compiled(self.module):
                profile.refuse("compiled", "the model is no plain torch.nn.Module, or compiled already")
                return False
            profile.unusable.pop("compiled", None)
            self._agreed.pop("compiled", None)
            started = time.perf_counter()
            try:
                self._compiled = modes.compiled(cast(nn.Module, self.module), ready, self._settings, backend)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                profile.refuse("compiled", _first_line(error))
                return False
            profile.compile_seconds = time.perf_counter() - started
            self._in_mode("compiled", ready, {}, True)
            return "compiled" not in profile.unusable

    def compiled_for(self, batch_size: int) -> bool:
        """Whether passes of so many rows like the probed one run compiled without being compiled first."""
        form = torch.empty(batch_size, *self._row_shape, dtype=self._row_dtype, device="meta")
        return self._compiled is not None and self._compiled.serves(form, self._settings)

    def modes(self, layer: int | None) -> tuple[Mode, ...]:
        """The modes in which passes of rows like the probed one, down to `layer` (None: to the end), can be run with
        the same answers; 'compiled' where the model is, or was once and so is known to be worth it."""
        profile = self.profile
        found: list[Mode] = ["eager"]
        if modes.convolves(self.module, len(self._row_shape) + 1):
            found.append("channels-last")
        if layer is None and (self._compiled is not None or profile.known("compiled")):
            found.append("compiled")
        return tuple(mode for mode in found if mode not in profile.unusable)

    def _offers(
        self, mode: Mode, ready: Tensor, readers: Mapping[int, Callable[[Tensor], Tensor]], output: bool
    ) -> bool:
        """Whether a pass of this batch can be tried in `mode`."""
        if mode in self.profile_of(ready.shape[1:]).unusable:
            return False
        if mode == "compiled":
            serves = self._compiled is not None and self._compiled.serves(ready, self._settings)
            return serves and output and not readers
        return mode == "autocast" or modes.convolves(self.module, ready.dim())

    def _in_mode(
        self, mode: Mode, ready: Tensor, readers: Mapping[int, Callable[[Tensor], Tensor]], output: bool
    ) -> tuple[dict[int, Tensor], Tensor | None]:
        """A pass in `mode`; where it fails, or differs from an eager one, an eager pass, and `mode` is refused.

        Autocast is the one mode that may differ. The others are compared the first time, on four rows of the batch.
        """
        try:
            values, logits = self._pass(mode, ready, readers, output)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            eager = self._pass("eager", ready, readers, output)  # raises where the model is at fault
            return self._refused(mode, ready, _first_line(error), eager)
        if mode == "autocast" or self._agreed.get(mode) == self._settings:
            return values, logits
        rows = sorted({len(ready) * quarter // 4 for quarter in range(4)})
        expected, own = self._pass("eager", ready[rows], readers, output)
        found = [*values.values(), *([] if logits is None else [logits])]
        if modes.agree((each[rows] for each in found), [*expected.values(), *([] if own is None else [own])]):
            self._agreed[mode] = self._settings
            return values, logits
        eager = self._pass("eager", ready, readers, output)
        return self._refused(mode, ready, "its answers differ from eager ones by more than rounding", eager)

    def _refused(
        self, mode: Mode, ready: Tensor, why: str, eager: tuple[dict[int, Tensor], Tensor | None]
    ) -> tuple[dict[int, Tensor], Tensor | None]:
        self.profile_of(ready.shape[1:]).refuse(mode, why)
        if mode == "compiled":
            self._compiled = None
        return eager

    def _pass(
        self, mode: Mode, ready: Tensor, readers: Mapping[int, Callable[[Tensor], Tensor]], output: bool
    ) -> tuple[dict[int, Tensor], Tensor | None]:
        """A pass in `mode`, as it comes; what it took goes into the profile."""
        profile = self.profile_of(ready.shape[1:])
        batch = modes.laid_out(ready, mode)
        if self._writes_input and batch.data_ptr() == ready.data_ptr():
            batch = batch.clone()
        taps = [self.layers[layer - 1].tap for layer in readers]
        checked = [self._batched(layer, reader, len(batch)) for layer, reader in readers.items()]
        model = self._compiled.run if mode == "compiled" and self._compiled else self.module
        timed = output and mode != "compiled" and profile.wants_shares(len(batch))
        timed = timed and not modes.holds_compiled(self.module)
        watched = [layer.tap for layer in self.layers] if timed else []
        started = time.perf_counter()
        try:
            with modes.frame(mode, batch.device), stopwatch(watched, batch.device) as reached:
                values, raw = tapped(model, batch, taps, output, checked)
        except ModelError as error:
            raise ModelError(f"model '{self.name}': {self._gone(readers) or error.message}") from error
        except IalgebraError:  # of a reader: the rows did go through
            self.rows += len(batch)
            raise
        except Exception as error:
            self._raised(error)
        logits = self._checked(raw, len(batch)) if output else None  # looks at every number, and so waits for a device
        seconds = time.perf_counter() - started
        self.rows += len(batch)
        if output or readers:
            profile.observe(mode, len(batch), 1.0 if output else profile.share(max(readers)), seconds)
        if watched and len(reached) == len(set(watched)):
            profile.observe_shares([(reached[tap] - started) / seconds for tap in watched])
        return dict(zip(readers, values, strict=True)), logits

    def fingerprint(self) -> tuple[object, ...]:
        """A value that changes whenever the content of a parameter, buffer or head does, also by `.data`.

        So it does with the plain attributes and hooks of a module, and with what a callable refers to: see
        `fingerprint.settings`. What the passes themselves write there (counters, caches) is no change.
        """
        return (*self.content(), *self.heads_fingerprint().items())

    def heads_fingerprint(self) -> dict[int, tuple[int, int]]:
        """The heads' part of `fingerprint`, by layer."""
        return {index: (checksum(head.weight), checksum(head.bias)) for index, head in sorted(self.heads.items())}

    def content(self) -> tuple[object, ...]:
        """The model's part of `fingerprint`, which leaves the heads out."""
        with _one_at_a_time:
            self._notice()
            return (*self.weights_fingerprint(), self._settings)

    def weights_fingerprint(self) -> tuple[object, ...]:
        """The parameters' and buffers' part of `fingerprint`; empty for a callable."""
        return weights(uncompiled(self.module)) if isinstance(self.module, nn.Module) else ()

    def _notice(self) -> None:
        """Settings that are not as the last pass left them were changed by somebody, and hold from now on."""
        found = settings(uncompiled(self.module))
        if found != self._left:
            self._settings = self._left = found

    # Checks -----------------------------------------------------------------------------------------------------------

    def _cast(self, batch: Tensor) -> Tensor:
        """`batch` on the model's device, in the dtype that its parameters compute in; tokens become int64."""
        if not isinstance(self.module, nn.Module):
            return batch if self.device is None else batch.to(self.device)
        dtype = next((each.dtype for each in self.module.parameters() if each.is_floating_point()), batch.dtype)
        if not batch.is_floating_point():
            if batch.is_complex():
                dtype = batch.dtype
            elif not self._reads_numbers(batch):
                dtype = torch.int64
        return batch.to(self.runs_on, dtype)

    def _reads_numbers(self, batch: Tensor) -> bool:
        """Whether integers are quantities (pixels, ages) to this module, and not tokens to look up."""
        modules = list(cast(nn.Module, self.module).modules())
        if any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in modules):
            return False
        first = next((module for module in modules if any(True for _ in module.parameters(recurse=False))), None)
        return batch.dtype in (torch.uint8, torch.bool) or batch.dim() > 2 or isinstance(first, _READS_NUMBERS)

    def _batched(self, layer: int, reader: Callable[[Tensor], Tensor], rows: int) -> Callable[[Tensor], Tensor]:
        known = self.layers[layer - 1]

        def read(value: Tensor) -> Tensor:
            if value.dim() == 0 or len(value) != rows or value.dim() != len(known.shape) + 1:
                raise ModelError(f"layer '{known.name}' returned {tuple(value.shape)} for a batch of {rows} rows")
            return reader(value)

        return read

    def _checked(self, raw: object, rows: int) -> Tensor:
        try:
            logits = adapters.logits(raw, rows)
        except ModelError as error:
            raise ModelError(f"model '{self.name}' {error.message}") from None
        if self._class_count and logits.shape[1] != self._class_count:
            raise ModelError(
                f"model '{self.name}' returned {logits.shape[1]} classes, before {self._class_count}; "
                "register it again if it was changed"
            )
        return self._finite(logits, None)

    def _finite(self, logits: Tensor, layer: int | None) -> Tensor:
        if bool(torch.isfinite(logits).all()):
            return logits
        faults = ~torch.isfinite(logits).all(dim=1)
        row = int(faults.nonzero()[0])
        what = "NaN" if bool(torch.isnan(logits[row]).any()) else "infinity"
        where = "" if layer is None else f" at layer {layer} ('{self.layers[layer - 1].name}')"
        error = ModelError(
            f"model '{self.name}' returned {what}{where} for row {row} of a batch of {len(logits)}; "
            "finite numbers are needed"
        )
        error.row = row
        raise error

    def _raised(self, error: Exception) -> NoReturn:
        if is_out_of_memory(error):
            raise error
        raise ModelError(f"model '{self.name}' raised {type(error).__name__}: {error}") from error

    def _gone(self, layers: Iterable[int]) -> str | None:
        """What to say of a layer whose module was taken out of the model, if one was."""
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
        if self.classes is None:
            return
        if len(self.classes) > count or (len(self.classes) < count and not self._names_open):
            raise BindError(f"model '{self.name}' has {count} classes, but {len(self.classes)} class names were given")
        self.classes += [f"class {index}" for index in range(len(self.classes), count)]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]
