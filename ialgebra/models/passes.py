"""A model's passes: a batch, what to read of it and a mode in; what was read, out. The cost of each pass is recorded.

The time of every pass goes into the profile for inputs of its form. A mode in which the model fails, or gives other
answers than an eager pass, is given up: the answer is then that of an eager pass. Knows a module, its taps and
profiles: no heads, no classes, and none of the errors that users see. What the model raises passes unchanged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ..algebra.packings import packing_of
from ..errors import IalgebraError
from ..kernels.forward import Tap, first_tensor, stopwatch, tapped
from ..system.runtime import keeps_memory
from ..system.shortage import is_out_of_memory
from .calls import CalledByForm
from .folds.linears import Linears
from .folds.passes import Folded
from .graph.anatomy import Anatomy, GraphCut
from .graph.form import Graph, Ref, filled
from .identity import profile_key
from .modes import (
    COPYING,
    Backend,
    Compiled,
    Copied,
    LayoutWatch,
    agree,
    compiled,
    convolves,
    copyable,
    frame,
    holds_compiled,
    laid_out,
    undisturbed,
)
from .profile import Mode, Profile


class PassReading(NamedTuple):
    """What to read in one pass: taps with their readers, and the logits (B, K) of the raw output, if at all.

    `depth` is the deepest layer that is tapped.
    """

    taps: Sequence[Tap]
    readers: Sequence[Callable[[Tensor], Tensor]]
    depth: int
    logits: Callable[[object], Tensor] | None


class Begun(NamedTuple):
    """So many rows whose passes are begun: the values at a cut, by step."""

    anatomy: Anatomy
    cut: GraphCut
    values: Mapping[int, Tensor]
    rows: int


ReadingOfBatch = Callable[[int], PassReading]  # for a batch of so many rows


class ContentOfPasses(NamedTuple):
    """What a module was when it was read: its `numbers`, with its settings, and a `digest` of all else in it."""

    numbers: object
    digest: str


ReadingOfContent = Callable[[bool], ContentOfPasses]  # True: read anew, though no pass should change it
Answers = tuple[list[Tensor], Tensor | None]

OTHERWISE = "its answers differ from eager ones by more than rounding (1e-5 of their spread)"
"""Why a mode was given up that gave other answers."""

COMPARED = 4
"""Rows of the first pass of a copy, or of a compiled module, that are compared with an eager pass."""

_STAND_IN: dict[Mode, Mode] = {"folded": "channels-last"}  # for passes that a mode does not offer; 'eager' for others


class Passes:
    """The passes of `module`. `first` is the profile from the pass of one `row` (1, *shape) that found `layers`.

    `structure` names the model in the keys of profiles; with `copies` every pass gets a copy of its batch; `called` is
    how the module is called with a batch.
    """

    def __init__(
        self,
        module: Callable[[Tensor], object],
        structure: str,
        layers: Sequence[Tap],
        row: Tensor,
        first: Profile,
        copies: bool,
        called: CalledByForm,
    ) -> None:
        self.module = module
        self.called = called
        self.structure = structure
        self.layers = layers
        self.shape, self.dtype = tuple(row.shape[1:]), row.dtype
        self.first = first
        self.copies = copies
        self.timed = True  # whether passes are; those of trials tell nothing of the passes of a plan
        self.rows = 0  # rows that went through the module, also for comparisons
        self._profiles: dict[tuple[object, ...], Profile] = {}  # by all that their keys say
        self._compiled: Compiled | None = None
        self._copies: dict[Mode, Copied] = {}
        self._copyable: dict[Mode, bool] = {}
        self._agreed: dict[Mode, object] = {}  # modes that gave eager answers, and the settings under which they did

    def profile_of(self, shape: Sequence[int], device: torch.device, dtype: torch.dtype | None = None) -> Profile:
        """What passes of rows of this shape cost, of `dtype` (None: that of the first row); of an unknown one, a guess
        by its size."""
        place = (tuple(shape), device, dtype or self.dtype, torch.get_num_threads(), keeps_memory())
        if place not in self._profiles:
            key = profile_key(self.structure, shape, dtype or self.dtype, device)
            size, first = math.prod(shape) / max(1, math.prod(self.shape)), self.first
            seconds = None if first.cold_seconds is None else size * first.cold_seconds
            guess = Profile(key, math.ceil(size * first.bytes_per_row), seconds, first.cold_shares)
            self._profiles[place] = Profile.load(key, len(self.layers)) or guess
        return self._profiles[place]

    def save(self) -> None:
        """Keep on disk what was learned."""
        for profile in list(self._profiles.values()):
            if profile.changed:
                profile.save()

    def run(self, batch: Tensor, read: ReadingOfBatch, mode: Mode, settings: str, content: ReadingOfContent) -> Answers:
        """One pass of `batch` (B, *shape) in `mode`; where that cannot be, in the mode that stands in for it.

        `settings` name the model's state beside its weights, `content` both. Modes that must not change an answer are
        checked the first time, and again when the settings have changed: 'channels-last' during the pass, without
        further rows, others against an eager pass of four of its rows. Copies of weights are made and checked again
        also when a weight has changed.
        """
        while mode != "eager" and not self._offers(mode, batch, read(len(batch)), settings):
            mode = _STAND_IN.get(mode, "eager")
        if mode == "eager":
            return self._pass("eager", batch, read)
        state: object = _state(mode, content(False), batch) if mode in COPYING else settings
        trusted = mode == "autocast" or self._agreed.get(mode) == state
        watch = LayoutWatch()
        try:
            copy = self._copied(mode, batch, state) if mode in COPYING else None
            if mode in COPYING and (copy is None or not copy.serves(read(len(batch)).taps)):
                return self.run(batch, read, _STAND_IN.get(mode, "eager"), settings, content)
            with nullcontext() if trusted or mode not in ("channels-last", "folded") else watch:
                found = self._pass(mode, batch, read)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            eager = self._pass("eager", batch, read)  # raises where the model is at fault
            self._refuse(mode, batch, _cause(error))
            return eager
        if watch.asked:
            self._refuse(mode, batch, "it asks how its numbers lie in memory")
        elif not (trusted or mode == "channels-last" or self._as_eager(found, batch, read)):
            self._refuse(mode, batch, OTHERWISE)
        elif not trusted and mode in COPYING and _state(mode, content(True), batch) != state:
            self._refuse(mode, batch, "its passes write to it")
        else:
            self._agreed[mode] = state
            return found
        return self._pass("eager", batch, read)

    def folded_graph(self, taps: Sequence[Tap], content: ReadingOfContent, device: torch.device) -> Graph | None:
        """The folded graph with values at these taps, if folded passes of the network were found to be right."""
        state, copy = (content(False), device), self._copies.get("folded")
        if not isinstance(copy, Folded) or not (copy.content == state == self._agreed.get("folded")):
            return None
        return copy.of(taps) if copy.serves(taps) else None

    def resume(self, begun: Begun, reading: PassReading, mode: Mode) -> Answers:
        """What a pass reads, of rows whose values before a cut are known already. The profile learns nothing of it."""
        graph, end = begun.anatomy.graph, begun.cut.end
        places = [cast(Ref, graph.calls[tap]).step for tap in reading.taps]
        read: dict[int, Tensor] = {}

        def note(number: int, value: object) -> None:
            for k, place in enumerate(places):
                if place == number:
                    tensor = first_tensor(value)
                    assert tensor is not None
                    read[k] = reading.readers[k](tensor)

        values: dict[int, object] = {**begun.values, **begun.anatomy.stand_ins(begun.cut, begun.rows)}
        whole = reading.logits is not None
        for number in begun.cut.gathered:
            note(number, values[number])
        last = len(graph.steps) if whole else max([end, *(place + 1 for place in places)])
        with frame(mode, next(iter(begun.values.values())).device):
            graph.run(values, end, last, keep=(), after=lambda step, value: note(step.number, value))
        self.rows += begun.rows
        logits = None if reading.logits is None else reading.logits(filled(graph.output, values)).detach()
        return [read[k].detach() for k in range(len(places))], logits

    def _copied(self, mode: Mode, batch: Tensor, state: object) -> Copied | None:
        """The copy of the weights for a mode, made anew if it is of another state; None where the weights are others
        now that cannot be copied. Raises what making it raises."""
        held = self._copies.get(mode)
        if held is None or held.content != state:
            held = None
            self._copies.pop(mode, None)  # its memory is given back first
            self._copyable.pop(mode, None)
            if not self._may_copy(mode):
                return None
            started = time.perf_counter()
            held = self._copies[mode] = COPYING[mode](cast(nn.Module, self.module), state)
            profile = self.profile_of(batch.shape[1:], batch.device, batch.dtype)
            profile.observe_making(mode, time.perf_counter() - started)
        return held

    def copied(self, mode: Mode) -> bool:
        """Whether a mode needs no copy of the weights, or has one."""
        return mode not in COPYING or mode in self._copies

    def _as_eager(self, found: Answers, batch: Tensor, read: ReadingOfBatch) -> bool:
        rows = sorted({len(batch) * part // COMPARED for part in range(COMPARED)})
        return agree((each[rows] for each in _together(found)), _together(self._pass("eager", batch[rows], read)))

    def compile(
        self, batch: Tensor, read: ReadingOfBatch, settings: str, content: ReadingOfContent, backend: Backend
    ) -> bool:
        """Compile the module for batches of the form of `batch`; `read` reads its output.

        False where it cannot be compiled, or answers otherwise then.
        """
        profile = self.profile_of(batch.shape[1:], batch.device, batch.dtype)
        profile.unusable.pop("compiled", None)
        self._agreed.pop("compiled", None)
        if holds_compiled(self.module) or not self.called.as_it_is(batch):
            self._refuse("compiled", batch, "the model is no plain torch.nn.Module, or compiled already")
            return False
        started = time.perf_counter()
        try:
            self._compiled = compiled(cast(nn.Module, self.module), batch, settings, backend)
            self.rows += len(batch)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self._refuse("compiled", batch, _cause(error))
            return False
        profile.compile_seconds = time.perf_counter() - started
        self.run(batch, read, "compiled", settings, content)
        return "compiled" not in profile.unusable

    def compiled_for(self, rows: int, settings: str) -> bool:
        """Whether batches of `rows` rows like the first run compiled as things stand."""
        return self._compiled is not None and self._compiled.serves((rows, *self.shape), self.dtype, settings)

    def modes(self, profile: Profile, layer: int | None) -> tuple[Mode, ...]:
        """The modes for rows like the first, down to `layer`, that are not known to fail."""
        found: list[Mode] = ["eager"]
        found += [mode for mode in COPYING if mode not in profile.unusable and self._may_copy(mode)]
        if convolves(self.module, len(self.shape) + 1):
            found.append("channels-last")
        if layer is None and (self._compiled is not None or profile.known("compiled")):
            found.append("compiled")
        return tuple(mode for mode in found if mode not in profile.unusable)

    def _offers(self, mode: Mode, batch: Tensor, reading: PassReading, settings: str) -> bool:
        if mode in self.profile_of(batch.shape[1:], batch.device, batch.dtype).unusable:
            return False
        if mode == "compiled":
            serves = self._compiled is not None and self._compiled.serves(batch.shape, batch.dtype, settings)
            return serves and reading.logits is not None and not reading.taps and packing_of(batch) is None
        if mode in COPYING:
            known = batch.dtype == torch.float32 or not batch.is_floating_point()
            return known and (mode == "onednn" or packing_of(batch) is None) and self._may_copy(mode)
        return mode == "autocast" or convolves(self.module, batch.dim())

    def _may_copy(self, mode: Mode) -> bool:
        """Whether a mode may copy the weights as things stand."""
        if mode not in self._copyable:
            called = self.called
            alone = called.reader is None and called.preprocess is None and called.reduce is None
            self._copyable[mode] = (mode == "onednn" or alone) and copyable(self.module, mode)
        return self._copyable[mode] and undisturbed(cast(nn.Module, self.module), mode)

    def _refuse(self, mode: Mode, batch: Tensor, why: str) -> None:
        self.profile_of(batch.shape[1:], batch.device, batch.dtype).refuse(mode, why)
        if mode == "compiled":
            self._compiled = None
        self._copies.pop(mode, None)

    def _pass(self, mode: Mode, batch: Tensor, read: ReadingOfBatch) -> Answers:
        """A pass in `mode`, as it comes; what it took goes into the profile."""
        reading = read(len(batch))
        profile = self.profile_of(batch.shape[1:], batch.device, batch.dtype)
        # Another tensor of the same memory: the model may ask for its gradient without that reaching other passes.
        ready = laid_out(batch, mode).detach()
        if self.copies and ready.data_ptr() == batch.data_ptr():
            ready = ready.clone()
        model = self._compiled.run if mode == "compiled" and self._compiled else self.called
        whole = reading.logits is not None
        timed = (
            self.timed
            and whole
            and mode not in ("compiled", "folded")
            and profile.wants_shares(len(batch))
            and not holds_compiled(self.module)
        )
        started = time.perf_counter()
        try:
            copy = self._copies.get(mode)
            around = copy if isinstance(copy, Linears) else frame(mode, ready.device)
            with around, stopwatch(self.layers if timed else (), ready.device) as reached:
                if isinstance(copy, Folded):
                    values, raw = copy.tapped(ready, reading.taps, whole, reading.readers)
                else:
                    values, raw = tapped(model, ready, reading.taps, whole, reading.readers)
        except IalgebraError:  # of a reader: the rows did go through
            self.rows += len(batch)
            raise
        self.rows += len(batch)
        values = [value.detach() for value in values]  # a model that differentiates leaves a graph behind
        logits = None if reading.logits is None else reading.logits(raw).detach()  # looks at it: waits for a device
        seconds = time.perf_counter() - started
        if self.timed and (whole or reading.taps):
            profile.observe(mode, len(batch), 1.0 if whole else profile.share(reading.depth), seconds)
        if timed and all(tap in reached for tap in self.layers):
            profile.observe_shares([(reached[tap] - started) / seconds for tap in self.layers])
        return values, logits


def _state(mode: Mode, content: ContentOfPasses, batch: Tensor) -> object:
    """What a copy belongs to. In other modes than 'folded' the module itself runs, with all that is no weight."""
    return content if mode == "folded" else content.numbers, batch.device


def _together(answers: Answers) -> list[Tensor]:
    values, logits = answers
    return values if logits is None else [*values, logits]


def _cause(error: BaseException) -> str:
    while (inner := getattr(error, "inner_exception", None) or error.__cause__) is not None:  # as dynamo wraps them
        error = inner
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]
