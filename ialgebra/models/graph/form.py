"""The small form of a network: steps, each one operation on the values of steps before it.

In: steps, as `tracing` or a rewriting makes them. Out: their values. A step names what it calls, never how it came
about: a rewriting (folded norms, fused activations) is a function from graphs to graphs. Knows tensors and modules: not
how steps were found.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from ...kernels.forward import Tap

StepKind = Literal["input", "module", "function", "method", "attribute", "constant"]


class Ref(NamedTuple):
    """The value of a step, by number, where it stands among arguments or in the output."""

    step: int


Argument = Any  # a Ref, a plain value, or a tuple, list, dictionary or slice of these


@dataclass(frozen=True, eq=False)
class GraphStep:
    """One operation.

    `target` is what is called: for 'module' the module itself, for 'function' the function, for 'method' the method's
    name, of the first argument. An 'attribute' is read from the module `target` by the name `attribute`, whenever the
    step runs; a 'constant' is `target` itself. `writes` is the number of the step whose value it overwrites, if any:
    later steps refer to this step in its place. `name` is for people.
    """

    number: int
    kind: StepKind
    name: str
    target: Any = None
    attribute: str = ""
    arguments: tuple[Argument, ...] = ()
    keywords: Mapping[str, Argument] = field(default_factory=dict)
    writes: int | None = None

    @cached_property
    def reads(self) -> tuple[int, ...]:
        """The numbers of the steps whose values it reads, each once."""
        return tuple(dict.fromkeys(refs((self.arguments, dict(self.keywords)))))

    def run(self, values: Mapping[int, object]) -> object:
        """Its value, given those of the steps that it reads."""
        if self.kind == "attribute":
            return getattr(self.target, self.attribute)
        if self.kind == "constant":
            return self.target
        arguments = [filled(each, values) for each in self.arguments]
        keywords = {name: filled(each, values) for name, each in self.keywords.items()}
        if self.kind == "method":
            return getattr(arguments[0], self.target)(*arguments[1:], **keywords)
        return self.target(*arguments, **keywords)


@dataclass(frozen=True, eq=False)
class Graph:
    """The steps of a network, each at the place of its number; step 0 is the input (B, *shape).

    `output` is the raw output, with `Ref`s for values. `calls` says for each call of a module of the network which
    value is its output, as that is when the step has run: a later step may overwrite it.
    """

    steps: tuple[GraphStep, ...]
    output: Argument
    calls: Mapping[Tap, Argument]

    @cached_property
    def last_read(self) -> tuple[int, ...]:
        """For each step, the number of the last step that reads its value; as many as there are steps, if the output
        holds it; its own, if nothing does."""
        last = list(range(len(self.steps)))
        for step in self.steps:
            for number in step.reads:
                last[number] = step.number
        for number in refs(self.output):
            last[number] = len(self.steps)
        return tuple(last)

    def live(self, after: int) -> tuple[int, ...]:
        """The numbers of the steps up to `after` whose values are read later."""
        return tuple(number for number in range(after + 1) if self.last_read[number] > after)

    def run(
        self,
        values: dict[int, object],
        first: int,
        end: int,
        keep: Collection[int] = (),
        after: Callable[[GraphStep, object], None] | None = None,
    ) -> dict[int, object]:
        """Run the steps `first` to `end` − 1, given the `values` that they read; returns the values that are live then,
        and those of `keep`.

        Values are dropped as soon as nothing reads them. `after` is called after each step with its value.
        """
        kept = set(keep)
        for step in self.steps[first:end]:
            values[step.number] = value = step.run(values)
            if after is not None:
                after(step, value)
            for number in (*step.reads, step.number):
                if self.last_read[number] <= step.number and number not in kept:
                    values.pop(number, None)
            del value
        return values

    def __call__(self, batch: Tensor) -> object:
        """The raw output for a batch (B, *shape)."""
        return filled(self.output, self.run({0: batch}, 1, len(self.steps)))

    @property
    def modules(self) -> Iterator[nn.Module]:
        """The modules that its steps call."""
        return (step.target for step in self.steps if step.kind == "module")


def refs(argument: Argument) -> Iterator[int]:
    """The numbers of the steps that an argument refers to, in order."""
    if isinstance(argument, Ref):
        yield argument.step
    elif isinstance(argument, slice):
        yield from refs((argument.start, argument.stop, argument.step))
    elif isinstance(argument, Mapping):
        yield from refs(tuple(argument.values()))
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from refs(part)


def mapped(argument: Argument, new: Callable[[int], Argument]) -> Argument:
    """An argument with `new(number)` in place of each Ref."""
    if isinstance(argument, Ref):
        return new(argument.step)
    if isinstance(argument, slice):
        return slice(*(mapped(part, new) for part in (argument.start, argument.stop, argument.step)))
    if isinstance(argument, dict):
        return {key: mapped(part, new) for key, part in argument.items()}
    if type(argument) in (tuple, list):
        return type(argument)(mapped(part, new) for part in argument)
    return argument


def filled(argument: Argument, values: Mapping[int, object]) -> Any:
    """An argument with the values of steps in place of their Refs."""
    return mapped(argument, values.__getitem__)


def renamed(steps: Iterable[GraphStep], output: Argument, calls: Mapping[Tap, tuple[Argument, int]]) -> Graph:
    """The graph of steps that may overwrite values: later steps refer to the step that wrote last. `calls` has the
    output of each call of a module, and the number of the first step after it."""
    now: dict[int, int] = {}
    found: list[GraphStep] = []
    ended: dict[Tap, Argument] = {}
    waiting = deque(sorted(calls.items(), key=lambda call: call[1][1]))

    def newest(number: int) -> Ref:
        while number in now:
            number = now[number]
        return Ref(number)

    def end(before: float) -> None:
        while waiting and waiting[0][1][1] <= before:
            tap, (held, _) = waiting.popleft()
            ended[tap] = mapped(held, newest)

    for step in steps:
        end(step.number)
        arguments = mapped(step.arguments, newest)
        keywords = mapped(dict(step.keywords), newest)
        writes = None if step.writes is None else newest(step.writes).step
        found.append(replace(step, arguments=arguments, keywords=keywords, writes=writes))
        if writes is not None:
            now[writes] = step.number
    end(math.inf)
    return Graph(tuple(found), mapped(output, newest), ended)
