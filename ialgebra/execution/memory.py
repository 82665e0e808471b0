"""The store as one plan uses it: finds the plan's rows in the store, and keeps the plan's results under their names.

In: a plan's jobs and designs, the models that run them, the store. Out: values of rows that were evaluated before, with
the purpose of that; new results go into the store. It decides how much of a pass is worth keeping; it runs no model and
knows no batches.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..algebra.operators import OutputKind
from ..algebra.packings import packing_of, plain
from ..kernels.coalitions import Design
from ..kernels.naming import HashNumbers, element_numbers, hybrid_names, whole_name, whole_names
from ..models.identity import serial
from ..models.network import Network
from ..models.outputs import OutputReading, column
from ..models.profile import Mode
from ..planner.physical import Job
from ..system.arrays import Floats
from .lanes import HybridRows, Rows
from .store import Origin, Store, StoredValues, StoreKey

LayerNumber = int | None  # None: the model itself

SAME = "same game"
OTHER_COLUMN = "another layer or class"
OTHER_SIDE = "the other side of an anti-join"
OTHER_PLAYERS = "another window or partition"
OTHER_INPUT = "another input or baseline"
WHOLE = "an input as a whole"
ASKED = "the same map"

_ALL_CLASSES = 1 / 8  # share of the store's limit; a job that needs more for all classes keeps only those it reads
_NOTHING = Origin("", b"", b"")


class ValueColumn(NamedTuple):
    """One scalar that a job reads from the passes of its rows."""

    layer: LayerNumber
    target: int
    output: OutputKind
    reading: OutputReading

    def read(self, logits: Tensor) -> Floats:
        """Its values (rows,) from the logits (rows, K) of its layer, on the host. New and stored logits are read by the
        same arithmetic."""
        values: Floats = column(logits, self.target, self.output, self.reading).numpy()
        return values


class Memory:
    """The store as a plan sees it; the plan belongs to the query that began at `now`."""

    def __init__(
        self,
        store: Store,
        networks: Mapping[str, Network],
        contents: Mapping[str, tuple[object, ...]],
        jobs: Sequence[Job],
        designs: Sequence[Design],
        mode: Mode | None = None,
        now: float | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """`alone`: its rows are run in batches of fewer rows than those of other plans of the same tempo, and so have
        other bits; they are kept apart."""
        self.store = store
        self.now = now
        self.jobs = jobs
        self.contents = dict(contents)
        self.heads = {name: network.heads_fingerprint() for name, network in networks.items()}
        narrow = (mode == "autocast", "alone") if alone else mode == "autocast"  # bfloat16 is another model
        self._networks = networks
        self._designs = designs
        self.models = {
            name: StoreKey(
                _digest(network.apart(), self.contents[name], narrow, network.behaviour.batch_dependent),
                weakref.ref(network),
            )
            for name, network in networks.items()
        }
        for key in self.models.values():
            store.claim(key)
        self._named: dict[int, NDArray[np.void]] = {}
        self._design_names: dict[int, bytes] = {}  # of designs, which `designs` keeps alive

    def _names(self, number: int) -> NDArray[np.void]:
        """The names of all rows of a job's design."""
        if number not in self._named:
            self._named[number] = _names(self.jobs[number], self._designs[number])
        return self._named[number]

    def named(self, number: int, rows: Sequence[int] | NDArray[np.int64] | slice) -> list[bytes]:
        """The names of rows of a job's design."""
        names: list[bytes] = self._names(number)[rows].tolist()
        return names

    def ends(self, number: int) -> list[bytes]:
        """The names of x_∅ and x_N, which a design has first; one where they are the same."""
        names: list[bytes] = self._names(number)[:2].tolist()
        return names

    # Whole inputs.

    def find_whole(
        self, model: str, name: bytes, layers: Sequence[LayerNumber]
    ) -> tuple[dict[LayerNumber, Tensor], bool]:
        """The logits (K,) of a whole input at each layer, empty unless all are known; and whether the query uses this
        row for the first time."""
        known, found, news = self.find_wholes(model, [name], layers)
        if not known.any():
            return {}, False
        return {layer: logits[0] for layer, logits in found.items()}, bool(news)

    def find_wholes(
        self, model: str, names: Sequence[bytes], layers: Sequence[LayerNumber]
    ) -> tuple[NDArray[np.bool_], dict[LayerNumber, Tensor], int]:
        """Which of several whole inputs are known at all layers; the logits (known, K) of these at each layer; and how
        many of these the query uses for the first time."""
        key = self.models[model]
        with self.store.lock:
            table = self.store.table(key)
            places = table.places(names)
            known = places >= 0
            for layer in layers:
                known &= table.read(places, self._layer(model, layer))[0]
            found = {layer: table.read(places[known], self._layer(model, layer))[1] for layer in layers}
            news = int(self.store.use(key, places[known], self.now).sum())
        if None in found and known.any():
            self._networks[model].see(torch.from_numpy(found[None]))
        return known, {layer: torch.from_numpy(logits) for layer, logits in found.items()}, news

    def keep_whole(self, model: str, name: bytes, logits: Mapping[LayerNumber, Tensor], seconds: float) -> None:
        """Remember the logits (K,) of a whole input at some layers."""
        self.keep_wholes(model, [name], {layer: each[None] for layer, each in logits.items()}, seconds)

    def keep_wholes(
        self, model: str, names: Sequence[bytes], logits: Mapping[LayerNumber, Tensor], seconds: float
    ) -> None:
        """Remember the logits (rows, K) of whole inputs at some layers; each took `seconds`."""
        columns: dict[Hashable, StoredValues] = {
            self._layer(model, layer): each.numpy() for layer, each in logits.items()
        }
        self.store.keep(self.models[model], names, columns, seconds, _NOTHING, self.now)

    def keep_whole_canary(self, model: str, row: Tensor, logits: Mapping[LayerNumber, Tensor]) -> None:
        """Keep a whole input, and its logits (K,) at some layers, as a canary of a model that cannot be read whole."""
        if not self._networks[model].known_whole:
            told = {self._layer(model, layer): each[None].numpy() for layer, each in logits.items()}
            self._note_canary(model, Rows(whole=(row,)), told)

    # Games of families, whose rows have no names.

    def find_games(self, numbers: Sequence[int], model: str, columns: Sequence[ValueColumn]) -> list[Floats | None]:
        """The values (m,) of all rows of some jobs, each read by its column; None for jobs that are not known."""
        return self.store.find_games(self.models[model], self._game_names(numbers, model, columns))

    def keep_games(self, numbers: Sequence[int], model: str, columns: Sequence[ValueColumn], values: Floats) -> None:
        """Keep the values (jobs, m) of all rows of some jobs, each read by its column."""
        self.store.keep_games(self.models[model], self._game_names(numbers, model, columns), values)

    def kept_as(self, number: int, model: str) -> Literal["rows", "game", ""]:
        """Whether the store has rows of a job by name, or the job as a whole."""
        name = (self.jobs[number].hybrids.key, self._design_name(number))
        with self.store.lock:
            if any(known[:2] == name for known in self.store.games.get(self.models[model], {})):
                return "game"
            places = self.store.table(self.models[model]).places(self.named(number, slice(2, None)))
        return "rows" if len(places) and (places >= 0).mean() > 0.5 else ""

    def find_classes(self, model: str, names: Sequence[tuple[Hashable, ...]]) -> list[int | None]:
        """The classes that a model predicts for inputs, by name; None for those that are not known."""
        known = self.store.find_games(self.models[model], names)
        return [None if found is None else int(found) for found in known]

    def keep_classes(self, model: str, names: Sequence[tuple[Hashable, ...]], classes: Sequence[int]) -> None:
        """Keep the classes that a model predicts for inputs."""
        self.store.keep_games(self.models[model], names, np.array(classes, dtype=np.float64))

    def _game_names(
        self, numbers: Sequence[int], model: str, columns: Sequence[ValueColumn]
    ) -> list[tuple[Hashable, ...]]:
        scalars = {each: _digest(self.scalar(model, each)) for each in set(columns)}
        return [
            (self.jobs[number].hybrids.key, self._design_name(number), scalars[each])
            for number, each in zip(numbers, columns, strict=True)
        ]

    def _design_name(self, number: int) -> bytes:
        """The name of a job's design; short, because thousands of names hold it."""
        design = self._designs[number]
        if (name := self._design_names.get(id(design))) is None:
            name = self._design_names[id(design)] = _digest(design.key)
        return name

    # Maps of interpreters that run models themselves: they have their own table, with one row for each map.

    def find_map(
        self, number: int, k: int, column: ValueColumn, seed: int, interpreter: object
    ) -> tuple[Floats, Floats, int] | None:
        """The map of a job's column k, v(∅) and v(N) as they were kept with it, and the rows that it cost, 0 if this
        query has used the map before; None if it is not known."""
        model, name = self._asked(number, k, column, seed, interpreter)
        shape = self.jobs[number].hybrids.row_shape
        with self.store.lock:
            table = self.store.table(model)
            places = table.places([name])
            known, found = table.read(places, ("map", tuple(shape)))
            if not known.any():
                return None
            _, rows = table.read(places, "rows")
            _, ends = table.read(places, "ends")
            (news,) = self.store.use(model, places, self.now).tolist()
        return found[0].reshape(shape).astype(np.float64), ends[0], int(rows[0, 0]) * int(news)

    def keep_map(
        self,
        number: int,
        k: int,
        column: ValueColumn,
        seed: int,
        interpreter: object,
        found: Floats,
        ends: Floats,
        rows: int,
        seconds: float,
    ) -> None:
        """Remember a map, v(∅) and v(N) of its game, and what it took."""
        model, name = self._asked(number, k, column, seed, interpreter)
        columns: dict[Hashable, StoredValues] = {
            ("map", found.shape): found.reshape(1, -1),
            "rows": np.array([[float(rows)]]),
            "ends": np.resize(ends, (1, 2)),
        }
        self.store.keep(model, [name], columns, seconds, _NOTHING, self.now)

    def _asked(
        self, number: int, k: int, column: ValueColumn, seed: int, interpreter: object
    ) -> tuple[StoreKey, bytes]:
        """The table of an interpreter's maps of a model, and the name of one."""
        job = self.jobs[number]
        game = job.games[k]
        words = (job.hybrids.key, game.estimation.key, self.scalar(game.model, column), seed)
        model = self.models[game.model]
        return replace(model, digest=_digest(model.digest, serial(interpreter))), _digest(*words)

    # Hybrids.

    def find(
        self, number: int, model: str, rows: NDArray[np.int64], columns: Sequence[ValueColumn]
    ) -> tuple[Floats, Counter[str]]:
        """The values (rows, columns) of rows of a job, NaN if not known; and the number of rows with all values known,
        by the purpose of their evaluation, without rows that this query has run or found before."""
        names = self.named(number, rows)
        found = np.full((len(rows), len(columns)), np.nan)
        kinds: Counter[str] = Counter()
        with self.store.lock:
            table = self.store.table(self.models[model])
            places = table.places(names)
            means = self.jobs[number].hybrids.copies is not None
            for k, each in enumerate(columns):
                told = not means or each.output == "logit"  # means of logits are no means of probabilities
                known, logits = table.read(places, self._layer(model, each.layer, means=means))
                if told and len(logits):
                    if each.layer is None and not means:
                        self._networks[model].see(torch.from_numpy(logits))
                    found[known, k] = each.read(torch.from_numpy(logits))
                known, values = table.read(places, self.scalar(model, each))
                found[known, k] = values[:, 0]
            places = places[~np.isnan(found).any(axis=1)]
            if len(places):
                news = self.store.use(self.models[model], places, self.now)
                own, asked = self._origin(number, model), {self.scalar(model, each) for each in columns}
                for origin, count in Counter(table.origin[places[news]].tolist()).items():
                    kinds[_kind(origin, own, asked)] += count
                own.asked |= asked
        return found, kinds

    def keep(
        self,
        number: int,
        model: str,
        rows: Sequence[int],
        columns: Sequence[ValueColumn],
        outputs: Mapping[LayerNumber, Tensor],
        seconds: float,
    ) -> None:
        """Keep the results of a pass for rows of a job: logits (rows, K) on the host at each layer.

        All classes are kept as long as the job's rows fit into a share of the store, first for the layers in `columns`.
        For the other layers only the classes that the job reads are kept.
        """
        kept: dict[Hashable, StoredValues] = {}
        room = _ALL_CLASSES * self.store.limit
        own = {each.layer for each in columns}
        for layer in sorted(outputs, key=lambda layer: layer not in own):
            logits = outputs[layer]
            room -= len(self._designs[number].coalitions) * logits[0].nbytes
            if room >= 0:
                kept[self._layer(model, layer)] = logits.numpy()
            else:
                for each in dict.fromkeys(each._replace(layer=layer) for each in columns):
                    kept[self.scalar(model, each)] = each.read(logits)[:, None]
        names = self.named(number, rows)
        with self.store.lock:
            origin = self._origin(number, model)
            origin.asked.update(self.scalar(model, each) for each in columns)
            self.store.keep(self.models[model], names, kept, seconds, origin, self.now)

        if not self._networks[model].known_whole:
            self._keep_canary(number, model, rows[-1], kept)

    def keep_means(
        self,
        number: int,
        model: str,
        rows: Sequence[int],
        read: Mapping[ValueColumn, Floats],
        means: Mapping[LayerNumber, Tensor],
        seconds: float,
    ) -> None:
        """Keep means over the backgrounds of a job: what its columns read (rows,), and logits (rows, K) at each layer,
        which tell columns of other classes that are no probabilities."""
        kept: dict[Hashable, StoredValues] = {self.scalar(model, each): read[each][:, None] for each in read}
        room = _ALL_CLASSES * self.store.limit
        for layer, logits in means.items():
            room -= len(self._designs[number].coalitions) * logits[0].nbytes
            if room >= 0:
                kept[self._layer(model, layer, means=True)] = logits.numpy()
        with self.store.lock:
            origin = self._origin(number, model)
            origin.asked.update(self.scalar(model, each) for each in read)
            self.store.keep(self.models[model], self.named(number, rows), kept, seconds, origin, self.now)

    def met_again(
        self, number: int, model: str, rows: Sequence[int], outputs: Mapping[LayerNumber, Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each layer the logits (known, K) that are remembered of rows that were run again, and those of now."""
        with self.store.lock:
            table = self.store.table(self.models[model])
            places = table.places(self.named(number, rows))
            if not (places >= 0).any():
                return
            found = {layer: table.read(places, self._layer(model, layer)) for layer in outputs}
        for layer, (known, logits) in found.items():
            if len(logits):
                yield torch.from_numpy(logits), outputs[layer][torch.from_numpy(known)]

    # Canaries: rows by which a model that cannot be read whole is checked.

    def _keep_canary(self, number: int, model: str, row: int, columns: Mapping[Hashable, StoredValues]) -> None:
        """Keep the last row of a batch as a canary: one of the first batch, and one of the newest."""
        told: dict[Hashable, StoredValues] = {
            name: values[-1:] for name, values in columns.items() if isinstance(name, tuple) and len(name) == 2
        }
        rows = HybridRows(self.jobs[number].hybrids, self._designs[number].coalitions[[row]])
        self._note_canary(model, Rows(hybrids=(rows,)), told)

    def _note_canary(self, model: str, rows: Rows, told: Mapping[Hashable, StoredValues]) -> None:
        with self.store.lock:
            canaries = self.store.table(self.models[model]).canaries
            canaries[1:] = [(rows, told)]

    def canaries(self, model: str) -> list[tuple[Rows, dict[LayerNumber, Tensor]]]:
        """The canaries of a model, and their logits at the layers that have the heads that they had."""
        found = []
        with self.store.lock:
            for rows, told in self.store.table(self.models[model]).canaries:
                assert isinstance(rows, Rows)
                names = {layer: self._layer(model, layer) for layer in (None, *self.heads[model])}
                logits = {layer: torch.from_numpy(told[name]) for layer, name in names.items() if name in told}
                found.append((rows, logits))
        return found

    def remembered(self, number: int, model: str, layer: LayerNumber) -> tuple[NDArray[np.int64], Tensor]:
        """The rows of a job that have all classes of a layer in the store, and their logits (rows, K)."""
        with self.store.lock:
            table = self.store.table(self.models[model])
            known, logits = table.read(table.places(self.named(number, slice(None))), self._layer(model, layer))
        return np.flatnonzero(known), torch.from_numpy(logits)

    def checked(self, model: str) -> bool:
        """Whether this query has checked the rows of a model, or has evaluated all of them."""
        table = self.store.tables.get(self.models[model])
        return table is None or table.checked == (self.store.now if self.now is None else self.now)

    def mark_checked(self, model: str) -> None:
        """Note that this query checks the rows of a model."""
        with self.store.lock:
            self.store.table(self.models[model]).checked = self.store.now if self.now is None else self.now

    def forget(self, model: str) -> None:
        """Forget all rows and maps of a model."""
        self.store.forget(self._networks[model])

    def _layer(self, model: str, layer: LayerNumber, *, means: bool = False) -> Hashable:
        """The name of a layer's logits, or of their `means` over backgrounds; another head makes another layer."""
        name = layer, None if layer is None else self.heads[model].get(layer)
        return ("mean", *name) if means else name

    def scalar(self, model: str, each: ValueColumn) -> Hashable:
        """The name of one class of a layer."""
        reading = None if each.output == "logit" else each.reading
        return self._layer(model, each.layer), each.target, each.output, reading

    def _origin(self, number: int, model: str) -> Origin:
        hybrids = self.jobs[number].hybrids
        ends = (input_name(hybrids.foreground), input_name(hybrids.background))
        return self.store.origin(self.models[model], hybrids.key, *ends)


def _digest(*words: object) -> bytes:
    """A name for plain values and tuples of them."""
    return hashlib.blake2b(repr(words).encode(errors="surrogatepass"), digest_size=16).digest()


def input_name(tensor: Tensor) -> bytes:
    """The name of a whole input."""
    return _whole_name(tensor).tobytes()


def input_names(tensors: Sequence[Tensor]) -> list[bytes]:
    """The names of several whole inputs."""
    forms = {(each.dtype, each.shape) for each in tensors}
    if len(forms) == 1 and not any(map(packing_of, tensors)):
        return [name.tobytes() for name in whole_names(tensors)]
    return [input_name(each) for each in tensors]


@lru_cache(maxsize=8)  # inputs and baselines do not change once they are made
def _numbers(tensor: Tensor) -> HashNumbers:
    return element_numbers(plain(tensor))


def _whole_name(tensor: Tensor) -> HashNumbers:
    packing = packing_of(tensor)
    return whole_name(plain(tensor), _numbers(tensor), "" if packing is None else packing.key)


def _names(job: Job, design: Design) -> NDArray[np.void]:
    hybrids = job.hybrids
    background, foreground = _numbers(hybrids.background), _numbers(hybrids.foreground)
    whole = _whole_name(hybrids.background)
    names = hybrid_names(background, foreground, whole, hybrids.segments, design.coalitions)
    packed: NDArray[np.void] = np.ascontiguousarray(names).view("V16").ravel()
    return packed


def _kind(origin: Origin, now: Origin, asked: set[Hashable]) -> str:
    """The purpose for which a row was evaluated, in relation to the game that finds it."""
    if origin is _NOTHING:
        return WHOLE
    if origin.hybrids == now.hybrids:
        return SAME if asked <= origin.asked else OTHER_COLUMN
    if (origin.foreground, origin.background) == (now.foreground, now.background):
        return OTHER_PLAYERS
    if (origin.foreground, origin.background) == (now.background, now.foreground):
        return OTHER_SIDE
    return OTHER_INPUT
