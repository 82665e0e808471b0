"""The laws of edits, L19, L20 and L24, as claims about answers. In: a `Case`, and the generators of its world. Out:
nothing if the law holds, `Broken` if it does not.

What an edit of codes means is worked out here: the input is encoded once, moves are added, and it is drawn once, by
calls of the generator alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from ..algebra.windows import sql_name, sql_text
from ..generators.registered import RegisteredGenerator
from ..models.outputs import column
from .case import BEST, Case, Side

_MOVES = (-1.5, -0.5, 0.25, 1.0, 2.0)  # standard deviations whose sums are exact


@dataclass(frozen=True)
class _EditsOfCode:
    """Edits of one generator around an input: moves along axes, in order; `None` is a plain `reconstruct`."""

    generator: RegisteredGenerator
    input: str
    moves: tuple[tuple[str, float] | None, ...]

    @property
    def text(self) -> str:
        """The edits as a query writes them, the last outermost."""
        found, drawn_by = sql_name(self.input), f"generator => {sql_name(self.generator.name)}, within => 1"
        for move in self.moves:
            if move is None:
                found = f"reconstruct({found}, {drawn_by})"
            else:
                found = f"latent({found}, {sql_text(move[0])}, {move[1]:g}, {drawn_by})"
        return found


def collapse(case: Case) -> None:
    """edits of one generator are one: encoded once, moves added, drawn once; mix(x, y, L, 1) = mix(y, x, ¬L, 1)"""
    chain = _chain(case)
    generator, name = chain.generator, chain.input
    others = [each for each in case.world.names if each != name]
    if others and generator.levels > 1 and case.draw(st.booleans()):
        other, levels = case.one_of(*others), range(1, generator.levels + 1)
        some = sorted(case.draw(st.sets(st.sampled_from(levels), min_size=1, max_size=generator.levels - 1)))
        rest = [level for level in levels if level not in some]
        one, same = _mix(chain, other, some), _mix(_EditsOfCode(generator, other, ()), name, rest)
        code = _code(case, generator, name)
        code[[level - 1 for level in some]] = _code(case, generator, other)[[level - 1 for level in some]]
    else:
        order = case.draw(st.permutations(chain.moves))
        one, same = chain.text, _EditsOfCode(generator, name, tuple(order)).text
        code = _moved(case, chain)
    (drawn,) = generator.drawn(code[None])
    rest_of_call = _options(case)
    found, again = (
        case.answered(f"select * from {_call(case, each, rest_of_call)}{_using(case)}") for each in (one, same)
    )
    case.run.compared += 1
    if not _same(found, again):
        case.fail("edits of one generator in another order are not the same to the bit", found, again)
    wanted = _of_tensors(case, {"drawn": drawn}, f"select * from {_call(case, 'drawn', rest_of_call)}{_using(case)}")
    case.close(found, wanted, "the edited input is not the one that is encoded once, moved, and drawn once")


def distribute(case: Case) -> None:
    """an edit commutes with σ and distributes into ⋈ and ⋄"""
    chains = [_chain(case, name) for name in case.names(2 if len(case.world.names) > 1 else 1)]
    rest = _options(case)
    layer = case.one_of("*", *map(str, case.world.layers))
    joined = case.one_of(" join ", " anti join ")

    def asked(inputs: Sequence[str], inside: bool) -> str:
        calls = [_call(case, each, rest) for each in inputs]
        if inside:
            return f"select * from {joined.join(f'(select {layer} from {each})' for each in calls)}{_using(case)}"
        return f"select {layer} from {joined.join(calls)}{_using(case)}"

    texts = [chain.text for chain in chains]
    outside, within = (case.answered(asked(texts, inside)) for inside in (False, True))
    case.run.compared += 1
    if not _same(outside, within):
        case.fail("an edit under σ is not σ of the edit to the bit", outside, within)
    tensors = {f"drawn_{k}": each.generator.drawn(_moved(case, each)[None])[0] for k, each in enumerate(chains)}
    wanted = _of_tensors(case, tensors, asked(list(tensors), False))
    case.close(outside, wanted, "the answer for edited inputs is not that for the inputs that the edits make")


def effect(case: Case) -> None:
    """Σφ(e(x); x) = f(e(x)) − f(x) for every edit e"""
    world = case.world
    name, pixels = case.one_of(*world.names), case.draw(st.lists(world.edits, max_size=2))
    text = sql_name(name)
    edits = [f"{each.name}({{}}, {each.arguments})" for each in pixels]
    if len(world.generators) > 0 and case.draw(st.booleans()):
        edits.insert(case.draw(st.integers(0, len(edits))), _chain(case, "x").text.replace(sql_name("x"), "{}", 1))
    for edit in edits:
        text = edit.format(text)
    target = case.one_of(*range(min(3, world.network.class_count)))
    call = f"{sql_name(world.model)}({text}, baseline => {sql_name(name)}, target => {target}, output => 'logit')"
    found = case.answered(f"select * from {call}{_using(case)}")
    net, x = world.ground.net, world.x(name)
    ends = [torch.from_numpy(net.logits(each))[None] for each in (world.edited(text, name), x)]
    after, before = (float(column(each, target, "logit", net.outputs)[0]) for each in ends)
    case.run.compared += 1
    total = case.numbers(found.said, found.maps[0].sum())
    wanted = case.numbers("f(e(x)) − f(x), from two calls of the model", after - before)
    case.close(total, wanted, "the map does not sum to what the edit did")


def _chain(case: Case, name: str | None = None) -> _EditsOfCode:
    """Up to three edits of one generator around an input."""
    generator = case.one_of(*case.world.generators)
    axes = [each.name for each in case.world.catalog.axes.values() if each.generator == generator.name]
    moves: st.SearchStrategy[tuple[str, float] | None] = st.none()
    if axes:
        moves = st.none() | st.tuples(st.sampled_from(axes), st.sampled_from(_MOVES))
    drawn = case.draw(st.lists(moves, min_size=1, max_size=3))
    return _EditsOfCode(generator, name or case.one_of(*case.world.names), tuple(drawn))


def _code(case: Case, generator: RegisteredGenerator, name: str) -> Tensor:
    """The code of a registered input."""
    (code,) = generator.codes([case.world.x(name)], [case.world.entries[name].elements[0].digest])
    return code.clone()


def _moved(case: Case, chain: _EditsOfCode) -> Tensor:
    code = _code(case, chain.generator, chain.input)
    for axis, amount in filter(None, chain.moves):
        code = code + amount * case.world.catalog.axes[axis].direction.double()
    return code


def _mix(chain: _EditsOfCode, other: str, levels: Sequence[int]) -> str:
    shown = f"({', '.join(map(str, levels))})" if len(levels) > 1 else str(levels[0])
    generator = sql_name(chain.generator.name)
    return f"mix({sql_name(chain.input)}, {sql_name(other)}, layers => {shown}, generator => {generator}, within => 1)"


def _options(case: Case) -> str:
    """The options of a call, which need no registered mask."""
    world = case.world
    players = [each for each in world.few if str(each) not in world.masks]
    said = [f"target => {case.one_of(*range(min(3, world.network.class_count)))}", "output => 'logit'"]
    return ", ".join([*said, *([f"players => {case.one_of(*players)}"] if players else [])])


def _call(case: Case, text: str, options: str) -> str:
    return f"{sql_name(case.world.model)}({text}, baseline => 0, {options})"


def _using(case: Case) -> str:
    return f" {case.clauses}" if case.clauses else ""


def _of_tensors(case: Case, tensors: dict[str, Tensor], text: str) -> Side:
    """The answers to a query over tensors that are registered as inputs."""
    x = case.world.x(case.world.names[0])
    entries = {name: each.to(x.dtype) for name, each in tensors.items()}
    answers = case.world.ask_of(None, entries, text, BEST, case.seed)
    return Side(f"{text} of what the generator draws", tuple(a.map for a in answers), tuple(a.stderr for a in answers))


def _same(one: Side, other: Side) -> bool:
    pairs = [*zip(one.maps, other.maps, strict=True), *zip(one.errors, other.errors, strict=True)]
    return all(np.array_equal(a, b) for a, b in pairs)
