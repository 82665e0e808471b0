"""What a model's passes cost, as numbers: measured seconds in, predicted seconds out.

A profile belongs to one model structure on one device, for inputs of one shape. Every pass adds a sample. The profile
uses the median of the last ones, since the first pass of a new batch size takes two or three times longer. Profiles are
kept between processes, one JSON file each, under $IALGEBRA_CACHE (a path that cannot be written, such as /dev/null,
keeps nothing), else $XDG_CACHE_HOME/ialgebra, else ~/.cache/ialgebra. Knows no network and no plan.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import median, median_low
from typing import Literal, cast, get_args

from ..errors import IalgebraError
from ..system import checks, disk
from ..system.checks import number, whole

Mode = Literal["eager", "channels-last", "folded", "onednn", "compiled", "autocast"]
"""How a pass is run."""

MODES: tuple[Mode, ...] = get_args(Mode)
SAME: tuple[Mode, ...] = ("eager", "channels-last", "folded", "onednn", "compiled")
"""The modes that give the same answers to rounding; 'autocast' computes in bfloat16."""

_FORMAT = "ialgebra profile 1"
_SAMPLES_KEPT = 8  # samples that are kept for each batch size
_PASSES_KEPT = 5  # passes whose measured shares of the layers are kept
_SIZES_KEPT = 64  # batch sizes that are kept for each mode
_ALIKE_WITHIN = 1.03  # two costs within this factor are taken to be equal
_WORTH_WRITING = 0.2  # relative change of a median, since it was written, after which it is written to disk again
_LARGEST_FILE = 1 << 20  # bytes; profiles take a few thousand
_MOST_ROWS = 1 << 31  # of a batch size in a file
_MOST_BYTES = 1 << 50  # of a row in a file


@dataclass(eq=False)
class Profile:
    """The cost of one model's passes.

    `cold_seconds` is the time of one pass of one row as the model was met, `cold_shares` the shares of it that reaching
    each layer took: they count until a pass is measured. `bytes_per_row` estimates the peak of a row's activations.
    """

    key: str
    bytes_per_row: int
    cold_seconds: float | None = None
    cold_shares: tuple[float, ...] = ()
    passes: list[tuple[float, ...]] = field(default_factory=list)  # shares in the last measured passes
    curves: dict[Mode, dict[int, list[float]]] = field(default_factory=dict)  # seconds of the last full batches
    unusable: dict[Mode, str] = field(default_factory=dict)  # modes that this model cannot be run in, and why
    compile_seconds: float | None = None
    making: dict[Mode, float] = field(default_factory=dict)  # seconds to copy the weights as a mode reads them
    changed: bool = field(default=False, repr=False)  # since it was written or read
    _rates: dict[Mode, dict[int, float]] = field(default_factory=dict, init=False, repr=False)  # seconds a row, by size
    _shares: tuple[float, ...] | None = field(default=None, init=False, repr=False)
    _written: dict[tuple[Mode, int], float] = field(default_factory=dict, init=False, repr=False)  # medians on disk

    # What is known ----------------------------------------------------------------------------------------------------

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of a full pass that reaching layer l = 1…n takes, at [l − 1]; it never falls with l."""
        if not self.passes:
            return self.cold_shares
        shares = self._shares
        if shares is None:  # plans ask for them hundreds of times
            middle = [median(layer) for layer in zip(*self.passes, strict=True)]
            shares = self._shares = tuple(accumulate(middle, max))
        return shares

    def share(self, layer: int | None) -> float:
        """The share of a full pass that reaching `layer` takes; 1 for the model's own output (None)."""
        shares = self.shares
        return 1.0 if layer is None or layer > len(shares) else shares[layer - 1]

    def known(self, mode: Mode) -> bool:
        """Whether passes in this mode were measured, some batch size more than once, and may be used."""
        return mode not in self.unusable and any(
            len(seconds) > 1 for seconds in list(self.curves.get(mode, {}).values())
        )

    def sizes(self, mode: Mode) -> tuple[int, ...]:
        """The batch sizes that were measured in this mode, more than once where any was."""
        return tuple(self._per_row(mode))

    def seconds(self, rows: int, batch: int, *, layer: int | None = None, mode: Mode = "eager") -> float:
        """Predicted seconds of `rows` rows in batches of `batch`, down to `layer` (None: the whole model).

        NaN where nothing is known of the mode; of 'eager' the first pass of all is taken then.
        """
        whole, rest = divmod(rows, batch)
        seconds = whole * batch * self.per_row(batch, mode) if whole else 0.0
        return (seconds + (rest * self.per_row(rest, mode) if rest else 0.0)) * self.share(layer)

    def per_row(self, batch: int, mode: Mode = "eager") -> float:
        """Predicted seconds a row of a full pass of `batch` rows; NaN where nothing is known.

        Interpolated between measured batch sizes in the logarithm of the batch, constant outside.
        """
        curve = self._per_row(mode)
        if not curve:
            return self.cold_seconds if mode == "eager" and self.cold_seconds is not None else math.nan
        sizes = list(curve)
        place = bisect_left(sizes, batch)
        if place == len(sizes):
            return curve[sizes[-1]]
        high = sizes[place]
        if place == 0 or high == batch:
            return curve[high]
        low = sizes[place - 1]
        position = math.log(batch / low) / math.log(high / low)
        return curve[low] + position * (curve[high] - curve[low])

    def best_batch(self, mode: Mode, candidates: Iterable[int]) -> tuple[int, float]:
        """The batch size of least seconds a row among `candidates`, and these.

        Of sizes as good but for noise, one that was measured, and the smallest: it takes less memory.
        """
        costs = {batch: self.per_row(batch, mode) for batch in candidates}
        least, measured = min(costs.values()), self._per_row(mode)
        best = min(
            (batch for batch, cost in costs.items() if not cost > _ALIKE_WITHIN * least),
            key=lambda batch: (batch not in measured, batch),
        )
        return best, costs[best]

    def _per_row(self, mode: Mode) -> dict[int, float]:
        """Seconds a row by batch size, in ascending order. A size that ran only once, which is slow, counts only if no
        size ran more often."""
        rates = self._rates.get(mode)
        if rates is None:
            samples = sorted(self.curves.get(mode, {}).items())
            again = [(size, seconds) for size, seconds in samples if len(seconds) > 1]
            rates = self._rates[mode] = {size: median_low(seconds) / size for size, seconds in again or samples}
        return rates

    # What is learned --------------------------------------------------------------------------------------------------

    def observe(self, mode: Mode, batch: int, depth_share: float, seconds: float) -> None:
        """One pass of `batch` rows took `seconds`, and was `depth_share` of a full one (1: to the model's output)."""
        self._rates.pop(mode, None)
        curve = self.curves.setdefault(mode, {})
        curve[batch] = [*curve.get(batch, []), seconds / depth_share][-_SAMPLES_KEPT:]
        written = self._written.get((mode, batch), math.inf)
        self.changed |= not abs(median_low(curve[batch]) - written) <= _WORTH_WRITING * written
        if len(curve) > _SIZES_KEPT:  # the last, smaller batches of many queries add sizes
            del curve[min(curve, key=lambda size: (len(curve[size]), size == batch))]

    def wants_shares(self, batch: int) -> bool:
        """Whether a full pass of `batch` rows should measure the layers' shares: not its first, and a few times."""
        return len(self.passes) < _PASSES_KEPT and any(batch in curve for curve in self.curves.values())

    def observe_shares(self, shares: Sequence[float]) -> None:
        """Reaching each layer took these shares of one full pass."""
        self.passes = [*self.passes, tuple(shares)][-_PASSES_KEPT:]
        self.changed, self._shares = True, None

    def forget(self) -> None:
        """Forget all measurements."""
        self.curves, self.unusable = {}, {}
        self._rates.clear()
        self.forget_shares()

    def forget_batch(self, mode: Mode, batch: int) -> None:
        """Forget the measurements of one batch size in one mode."""
        self.curves.get(mode, {}).pop(batch, None)
        self._rates.pop(mode, None)

    def forget_shares(self) -> None:
        """Forget the measured shares of the layers."""
        self.passes, self._shares = [], None

    def observe_making(self, mode: Mode, seconds: float) -> None:
        """To copy the weights as this mode reads them took `seconds`."""
        self.changed |= mode not in self.making
        self.making[mode] = seconds

    def refuse(self, mode: Mode, why: str) -> None:
        """The model cannot be run in this mode."""
        self.unusable[mode] = why
        self.changed = True

    # On disk ----------------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The profile as text."""
        told = {
            "format": _FORMAT,
            "key": self.key,
            "bytes_per_row": self.bytes_per_row,
            "cold_seconds": self.cold_seconds,
            "cold_shares": self.cold_shares,
            "passes": self.passes,
            "curves": {mode: {str(size): each for size, each in curve.items()} for mode, curve in self.curves.items()},
            "unusable": self.unusable,
            "compile_seconds": self.compile_seconds,
            "making": self.making,
        }
        return json.dumps(told, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """The profile that `to_json` wrote; ValueError for any other text."""
        try:
            told = json.loads(text)
            if told["format"] != _FORMAT:
                raise ValueError("another format")
            cold = _shares("cold_shares", told["cold_shares"])
            passes = cast("list[tuple[float, ...]]", list(checks.sequence(_shares, "passes", told["passes"])))
            if any(len(each) != len(cold) for each in passes):
                raise ValueError("passes of different depth")
            return cls(
                key=checks.text("key", told["key"]),
                bytes_per_row=whole("bytes_per_row", told["bytes_per_row"], 0, _MOST_BYTES),
                cold_seconds=_optional_time(told["cold_seconds"]),
                cold_shares=cold,
                passes=passes[-_PASSES_KEPT:],
                curves={_mode(mode): _samples(curve) for mode, curve in told["curves"].items()},
                unusable={_mode(mode): checks.text("a reason", why) for mode, why in told["unusable"].items()},
                compile_seconds=_optional_time(told["compile_seconds"]),
                making={_mode(mode): _time("a time", seconds) for mode, seconds in told["making"].items()},
            )
        except (KeyError, TypeError, AttributeError, RecursionError, IalgebraError) as error:
            raise ValueError("no profile") from error

    @classmethod
    def load(cls, key: str, layers: int) -> Profile | None:
        """The profile kept under `key` for a model of so many layers; None where there is none that can be used."""
        try:
            with _file(key).open(encoding="utf-8") as stream:
                found = cls.from_json(stream.read(_LARGEST_FILE))
        except (OSError, RuntimeError, ValueError):  # RuntimeError: no home directory
            return None
        found._written = found._medians()
        return found if found.key == key and len(found.cold_shares) == layers else None

    def save(self) -> None:
        """Keep the profile for other processes, where that is possible."""
        self.changed, self._written = False, self._medians()
        with suppress(OSError, RuntimeError, ValueError):
            path = _file(self.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.write(path, self.to_json().encode(), durable=False)  # a query does not wait for the disk

    def _medians(self) -> dict[tuple[Mode, int], float]:
        return {(mode, size): median_low(each) for mode, curve in self.curves.items() for size, each in curve.items()}


def _file(key: str) -> Path:
    return disk.cache_folder() / f"profile-{key}.json"


def _samples(told: Mapping[str, Sequence[object]]) -> dict[int, list[float]]:
    curve = {
        whole("rows", int(size), 1, _MOST_ROWS): _times("times", seconds)[-_SAMPLES_KEPT:]
        for size, seconds in told.items()
    }
    if not all(curve.values()):
        raise ValueError("a batch without a sample")
    return curve


def _mode(told: str) -> Mode:
    return cast(Mode, checks.text("mode", told, MODES))


_time = partial(number, low=1e-12, high=1e9)  # seconds
_share = partial(number, low=0, high=1)


def _shares(what: str, told: object) -> tuple[float, ...]:
    return cast("tuple[float, ...]", checks.sequence(_share, what, told))


def _times(what: str, told: object) -> list[float]:
    return list(cast("tuple[float, ...]", checks.sequence(_time, what, told)))


def _optional_time(told: object) -> float | None:
    return None if told is None else _time("a time", told)
