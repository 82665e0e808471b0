"""The history of a session, step by step: a list that can be shown, run again, and written as a script.

In: registrations and statements as they happen, and how they ended. Out: a table, or a new answer to an old statement.
A step holds words and numbers; a registration also holds the catalog's tensors. The list is bounded: steps whose names
have been registered again are forgotten first, the oldest first. It answers no query itself; `script` writes scripts.
"""

from __future__ import annotations

import dataclasses
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import BindError, IalgebraError, in_lines
from ..execution.control import Cancelled
from ..models.network import Network
from ..planner.strategy import Strategy
from ..results.assemble import say
from ..results.relation import Relation
from ..system import forking
from ..system.arguments import checked
from ..system.checks import shown
from .script import export
from .steps import GivenObject, HistoryStep, Layers, PythonCall, PythonValue

_MOST_STEPS = 10_000  # steps that are kept; steps that define what a name means now are never forgotten
_MOST_IDLE_BYTES = 64 << 20  # bytes of kept tensors whose names mean something else now
_PRUNE_EVERY = 64  # steps after which old steps are forgotten


class History:
    """The steps of a session, numbered from 0: `print(con.history)`, `con.history[3]`, `.run(3)`, `.export(path)`."""

    def __init__(self, ask: Callable[[str, int | None, Strategy | None], Relation], store_bytes: int) -> None:
        self._ask, self._store_bytes = ask, store_bytes
        self._lock = forking.lock()
        self.clear()

    def clear(self) -> None:
        """Forget all steps."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._steps: list[HistoryStep] = []
        self._count = 0
        self._strategies: dict[Strategy, Strategy] = {}
        self._given: Counter[tuple[str, str]] = Counter()
        self._parts: dict[str, object] = {}
        self._unknown: list[tuple[weakref.ref[Network], PythonCall]] = []
        self._unpruned_bytes = 0  # of tensors since steps were last forgotten

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[HistoryStep]:
        return iter(tuple(self._steps))

    @checked
    def __getitem__(self, number: int) -> HistoryStep:
        """The step with this number; −1 is the last. BindError if there is none, or if it is forgotten."""
        wanted = number + self._count if number < 0 else number
        step = next((step for step in reversed(self._steps) if step.number == wanted), None)
        if step is None and 0 <= wanted < self._count:
            raise BindError(f"step {number} is forgotten; {len(self)} of {self._count} steps are kept")
        if step is None:
            known = f"the steps are 0 to {self._count - 1}" if self._count else "there is none yet"
            raise BindError(f"there is no step {shown(number)}; {known}")
        return step

    def __str__(self) -> str:
        return in_lines(self.lines()) or "no steps"

    __repr__ = __str__

    def lines(self) -> Iterator[str]:
        """A line a step, in columns: its number, its words, rows, seconds, and what went wrong."""
        return _table(self._steps)

    @checked
    def run(self, number: int) -> Relation:
        """Ask a statement again, with its seed and decisions; names mean what they mean now. BindError for a
        registration."""
        step = self[number]
        if step.registration:
            raise BindError(f"step {number} is no statement that can be asked again: {step.text}")
        strategy = None if step.strategy is None else dataclasses.replace(step.strategy, batches=None)
        return self._ask(step.text, step.seed, strategy)

    @checked
    def export(self, path: str | Path) -> Path:
        """Write a script that takes all steps again, and their tensors beside it; returns its path.

        Given the same models it yields every answer of the session, on the same machine in the same bits, and warns
        where a map differs. Answers that a clock stopped or Ctrl-C interrupted may differ, and those after them in the
        last digit: the script says where. Raises BindError for a path that is not a Python file's, IalgebraError where
        the file cannot be written.
        """
        with self._lock:
            steps, forgotten = _as_asked(self._steps), self._count - len(self)
        return export(steps, Path(path), forgotten=forgotten, store_bytes=self._store_bytes)

    @contextmanager
    def step(self, step: HistoryStep) -> Iterator[HistoryStep]:
        """List a step when it ends, however it ends."""
        started, step.began = time.perf_counter(), self._count
        try:
            yield step
        except Cancelled:
            step.error, step.interrupted = "cancelled", True
            raise
        except IalgebraError as fault:
            step.error = fault.message
            raise
        except GeneratorExit:  # a stream that was left after a few rounds
            raise
        except BaseException as fault:
            step.error = "interrupted" if isinstance(fault, KeyboardInterrupt) else f"{type(fault).__name__}: {fault}"
            step.interrupted = True
            raise
        finally:
            step.seconds = time.perf_counter() - started
            with self._lock:  # a stream may be left in any thread, at any time
                self._add(step)

    def given(self, where: str, name: str, again: bool) -> GivenObject:
        """An object that is registered by this name; unless it is the same `again`, its key gets the next number."""
        with self._lock:
            self._given[where, name] += not again
            count = self._given[where, name]
        return GivenObject(where, name if count <= 1 else f"{name} {count}")

    def model(self, network: Network, before: Network | None, **options: PythonValue) -> PythonCall:
        """The call that registers a model; `before` is what the name meant until then."""
        name = network.name
        model = self.given("models", name, before is not None and before.model is network.model)
        layers = None if network.chosen is None else Layers(model, network.chosen)
        call = PythonCall("register_model", name, {"module": model, "layers": layers, **options})
        with self._lock:
            self._unknown.append((weakref.ref(network), call))
        return call

    def part_of(self, network: Network, what: str, value: object) -> PythonValue:
        """What a model was registered with beside itself: a word, or a function that a script is given by the name of
        the model and what it is."""
        if value is None or isinstance(value, str):
            return value
        return self.brought(f"{network.name} {what}", value)

    def brought(self, key: str, value: object) -> GivenObject:
        """An object that a script is given among the models, by this key."""
        known = self._parts.get(key)
        self._parts[key] = value
        return self.given("models", key, known is value)

    def _examples(self) -> None:
        """Note the input that each model was first run on: it told the layers, and is the first row in the store."""
        waiting = []
        for reference, call in self._unknown:
            network = reference()
            if network is not None and network.probed:
                call.arguments["example"] = network.example
            elif network is not None:
                waiting.append((reference, call))
        self._unknown = waiting

    def _add(self, step: HistoryStep) -> None:
        self._examples()
        step.number, self._count = self._count, self._count + 1
        if step.strategy is not None:
            step.strategy = self._strategies.setdefault(step.strategy, step.strategy)
        self._steps.append(step)
        self._unpruned_bytes += step.call.nbytes if step.call else 0
        if step.number % _PRUNE_EVERY == 0 or self._unpruned_bytes > _MOST_IDLE_BYTES:
            self._unpruned_bytes = 0
            self._forget()

    def _forget(self) -> None:
        latest = {step.defines: step for step in self._steps if step.defines is not None and step.error is None}
        meant = set(map(id, latest.values()))
        idle = [step for step in self._steps if id(step) not in meant]
        forgotten = idle[: max(0, len(self._steps) - _MOST_STEPS)]
        held = sum(step.call.nbytes for step in idle if step.call)
        for step in idle:
            if held > _MOST_IDLE_BYTES and step.call and step.call.nbytes:
                held -= step.call.nbytes
                forgotten.append(step)
        if forgotten:
            gone = set(map(id, forgotten))
            self._steps = [step for step in self._steps if id(step) not in gone]
            self._strategies = {step.strategy: step.strategy for step in self._steps if step.strategy is not None}


def same(answer: Relation, maps: str) -> Relation:
    """The answer; warns (IalgebraWarning) if the digest of its maps is not `maps`."""
    if answer.digest != maps:
        say(f"the maps of `{answer.query}` are not, bit for bit, those that were exported")
    return answer


@contextmanager
def of_what_is_kept(text: str) -> Iterator[None]:
    """Run a statement of a script whose first steps are forgotten; IalgebraWarning where it needs one of them."""
    try:
        yield
    except IalgebraError as fault:
        say(f"`{text}` asks of what is forgotten, and is left out: {fault.message}")


def _as_asked(steps: Sequence[HistoryStep]) -> list[HistoryStep]:
    """Steps in an order in which each query finds the names as they were when it began: those that ended later, also
    the first that gave a name another meaning meanwhile, come after it."""
    found: list[HistoryStep] = []
    for step in steps:
        place = len(found)
        if step.began < step.number and step.defines is None:
            later = (k for k, each in enumerate(found) if each.number >= step.began and each.defines is not None)
            place = next(later, place)
        found.insert(place, step)
    return found


def _table(steps: list[HistoryStep]) -> Iterator[str]:
    """A line a step, in columns: its number, its words, rows, seconds, and what went wrong."""
    for step in steps:
        words = " ".join(step.text.split())
        words = words if len(words) <= 72 else words[:71] + "…"
        cost = "" if step.registration or step.error else f"{step.rows:>9,} rows {step.seconds:>8.2f} s"
        yield f"{step.number:>4}  {words:<72}{cost}{'error: ' + step.error if step.error else ''}".rstrip()
