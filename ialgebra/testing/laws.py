"""The laws of the algebra as claims about answers: one function per law, one case per call.

In: a `Case`, which draws plans. Out: nothing if the law holds for them, `Broken` if it does not. A rewrite law says
that two plans have equal answers, and what they mean; an error law says which plans are refused, and that similar legal
plans are not; an axiom compares an answer with numbers from calls of the model. The functions' docstrings are the
formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from ..algebra.baselines import Blur
from ..algebra.players import OfConcepts
from ..algebra.windows import sql_name
from ..catalog.catalog import CONCEPTS
from ..models.affine import weights_of
from ..models.concepts import activations_of, head_of
from ..results.attribution import Attribution
from ..system.arrays import Bools, Ints
from . import strategies, variants
from .case import BEST, Case, Side
from .definition import DefinedGame, enumerated, gain, hybrid, parts, spread
from .edit_laws import collapse, distribute, effect
from .plans import (
    EVERYTHING,
    Anti,
    DrawnCall,
    DrawnEdit,
    DrawnJoin,
    DrawnLayer,
    DrawnStar,
    DrawnWindow,
    Plan,
    Players,
    Where,
)
from .world import ENUMERATED, World


def commute(case: Case) -> None:
    """Π_w σ_l = σ_l Π_w"""
    w, layer = case.window(), case.layer()
    p = case.plan(layer)
    case.equal(Where(w, DrawnLayer(layer, p)), DrawnLayer(layer, Where(w, p)))
    case.means(DrawnLayer(layer, Where(w, p)))


def stack_layers(case: Case) -> None:
    """σ_l σ_l' = σ_l if l ≤ l', otherwise undefined"""
    layer, inner = case.layer(), case.layer()
    p = case.plan(inner)
    if layer <= inner:
        case.equal(DrawnLayer(layer, p), DrawnLayer(layer, DrawnLayer(inner, p)))
        case.means(DrawnLayer(layer, DrawnLayer(inner, p)))
    else:
        case.undefined(
            DrawnLayer(layer, _buried(case, DrawnLayer(inner, p))),
            f"layer {layer} of a map cut after layer {inner} is undefined",
        )


def stack_windows(case: Case) -> None:
    """Π_w Π_w' = Π_{w∩w'}"""
    w, v = case.window(), case.window()
    p = case.plan()
    case.equal(Where(case.one_of(w & v, v & w), p), Where(w, Where(v, p)))
    case.means(Where(w, Where(v, p)), "the answer is not that of the features in both windows, played on their own")


def identities(case: Case) -> None:
    """Π_everything = id; * = id; σ_n = id where layer n is the model's own output"""
    depth = case.world.network.depth
    p = case.plan(depth or 0)
    same: list[Plan] = [Where(EVERYTHING, p), DrawnStar(p), Where(DrawnWindow("not false", EVERYTHING.holds), p)]
    if depth is not None:
        same.append(DrawnLayer(depth, p))
    written = case.one_of(*same)
    case.equal(p, written)
    case.means(written)


def do_not_mix(case: Case) -> None:
    """⋈ over ⋄ and ⋄ over ⋈ are undefined, at any depth"""
    x, y = case.calls(), case.calls()
    join, anti = DrawnJoin((case.draw(x), case.draw(y))), Anti((case.draw(x), case.draw(y)))
    other = case.draw(x)

    def beside(inner: Plan) -> tuple[Plan, ...]:
        return (inner, other) if case.draw(st.booleans()) else (other, inner)

    deep_join, deep_anti = _wrapped(case, join), _wrapped(case, anti)
    plan, claim = case.one_of(
        (_wrapped(case, DrawnJoin(beside(deep_anti))), "a join over an anti-join is undefined"),
        (_wrapped(case, Anti(beside(deep_join))), "an anti-join over a join is undefined"),
        (Anti(beside(deep_anti)), "an anti-join over an anti-join is undefined"),
        (
            DrawnJoin(beside(_wrapped(case, DrawnJoin(beside(deep_anti))))),
            "a join over an anti-join is undefined at any depth",
        ),
        (
            DrawnJoin(beside(Where(case.window(), _wrapped(case, anti)))),
            "a join over an anti-join is undefined at any depth",
        ),
    )
    case.undefined(plan, claim)
    case.defined(DrawnJoin(beside(deep_join)), "a join over a join is defined")
    case.defined(_wrapped(case, Anti(beside(_wrapped(case, other)))), "an anti-join of inputs is defined")


def project_join(case: Case) -> None:
    """Π_w(p ⋈ q) = Π_w p ⋈ Π_w q"""
    w = case.window()
    operands, weight = _joined(case)
    case.equal(DrawnJoin(tuple(Where(w, p) for p in operands), weight), Where(w, DrawnJoin(operands, weight)))
    case.means(Where(w, DrawnJoin(operands, weight)))


def select_join(case: Case) -> None:
    """σ_l(p ⋈ q) = σ_l p ⋈ σ_l q"""
    layer = case.layer()
    operands, weight = _joined(case, layer)
    case.equal(
        DrawnJoin(tuple(DrawnLayer(layer, p) for p in operands), weight), DrawnLayer(layer, DrawnJoin(operands, weight))
    )
    case.means(DrawnLayer(layer, DrawnJoin(operands, weight)))


def project_antijoin(case: Case) -> None:
    """Π_w(p ⋄ q) = Π_w p ⋄ Π_w q"""
    w = case.window()
    operands = _contrasted(case)
    case.equal(Anti(tuple(Where(w, p) for p in operands)), Where(w, Anti(operands)))
    case.means(Where(w, Anti(operands)), "outside w each operand does not stay at the other")


def select_antijoin(case: Case) -> None:
    """σ_l(p ⋄ q) = σ_l p ⋄ σ_l q"""
    layer = case.layer()
    operands = _contrasted(case, layer)
    case.equal(Anti(tuple(DrawnLayer(layer, p) for p in operands)), DrawnLayer(layer, Anti(operands)))
    case.means(DrawnLayer(layer, Anti(operands)))


def weigh(case: Case) -> None:
    """p ⋈_ε q = q ⋈_{1−ε} p; nested weighted joins are one weighted sum"""
    p, q, r = (case.plan(antijoins=False, depth=0) for _ in range(3))
    e, d = (Fraction(case.draw(st.integers(0, 20)), 20) for _ in range(2))
    one, other = case.one_of(
        (DrawnJoin((p, q), _decimal(e)), DrawnJoin((q, p), _decimal(1 - e))),
        (
            DrawnJoin((DrawnJoin((p, q), _decimal(e)), r), _decimal(d)),
            DrawnJoin((r, DrawnJoin((q, p), _decimal(1 - e))), _decimal(1 - d)),
        ),
        (DrawnJoin((p, q, r, p)), DrawnJoin((DrawnJoin((p, q)), DrawnJoin((r, p))))),
    )
    case.equal(one, other)
    case.means(other)


def idempotent(case: Case) -> None:
    """p ⋈ p = p"""
    p, q = (case.plan(antijoins=False) for _ in range(2))
    same = [
        DrawnJoin((p, p)),
        DrawnJoin((p, p), "0.3"),
        DrawnJoin((p, q), "1"),
        DrawnJoin((q, p), "0"),
        DrawnJoin((p, DrawnJoin((p, p))), "0.6"),
    ]
    twice = case.one_of(*same)
    case.equal(p, twice)
    case.means(twice)


def swap(case: Case) -> None:
    """x' ⋄ x = swap(x ⋄ x'); x ⋄ x = 0"""
    if len(case.world.names) > 1:
        operands = _contrasted(case)
        order = case.draw(st.permutations(range(len(operands))))
        one, other = _both_wrapped(case, Anti(operands), Anti(tuple(operands[k] for k in order)))
        case.equal(one, other, order=[list(order).index(k) for k in range(len(operands))])
        case.means(other)
    x = case.call()
    itself = case.asked(_wrapped(case, Anti((x, x))), BEST)
    case.run.compared += 1
    if any(each.any() for each in (*itself.maps, *itself.errors)):
        case.fail("x ⋄ x is not 0", itself)


def duality(case: Case) -> None:
    """φ(x'; x, f_c) = −φ(x; x', f_c) where no projection is in force; under Π_w each side stays at the other operand"""
    x, y = case.names(2)[:2]
    call = case.call(x)
    classes = range(min(3, case.world.network.class_count))
    there = replace(call, baseline=y, target=case.one_of(*classes))
    back = replace(there, input=y, baseline=x)
    layer = case.one_of(None, *case.world.layers)
    one, other = (each if layer is None else DrawnLayer(layer, each) for each in (there, back))
    if case.draw(st.booleans()):
        case.equal(one, other, sign=-1, claim="one side is not minus the other")
        return
    both: Plan = Anti((replace(call, baseline=None), replace(call, input=y, baseline=None)))
    if case.draw(st.booleans()):
        both = Where(case.window(), both)
    case.means(both, "the answer for a side of an anti-join is not the sum of its games")


def nullified(case: Case) -> None:
    """φ(nullify(x, w)) = Π_¬w φ(x) for players that no window moves; substitute(x, w, x̄) = nullify(x, w)"""
    w, call = case.window(), _of_one_baseline(case, case.draw(case.calls(edits=case.world.edits)))
    call = replace(call, target=case.one_of(*range(min(3, case.world.network.class_count))))
    absent = replace(call, edits=(*call.edits, strategies.nullify(w)))
    match case.one_of("projected", "substituted", "edited"):
        case "projected" if fixed := _of_no_window(case):
            players = case.one_of(*fixed)
            cells = players.divide(EVERYTHING.holds(case.columns(call.input)))
            one, other = _both_wrapped(
                case, Where(~w, replace(call, players=players)), replace(absent, players=players)
            )
            case.asked(one, BEST)  # Refused for interpreters without projections: the law says nothing then
            case.equal(one, other, seen=lambda answer: _by_cell(answer, cells))
        case "substituted":
            name = call.baseline or case.one_of(*case.world.names)
            call, absent = replace(call, baseline=name), replace(absent, baseline=name)
            given = DrawnEdit("substitute", f"{w}, {sql_name(name)}", absent.edits[-1].of)
            one, other = _both_wrapped(case, absent, replace(call, edits=(*call.edits, given)))
            case.equal(one, other)
        case _:
            plans: tuple[Plan, ...] = (absent, DrawnJoin((call, absent)), Where(case.window(), absent))
            case.means(case.one_of(*plans), "the answer is not that of the edited input")


def _of_one_baseline(case: Case, call: DrawnCall) -> DrawnCall:
    """`call` with a single baseline that does not depend on the input, because an edit of the input would change it."""
    own = case.world.entries[call.input].baselines or ()
    if call.baseline is None and (len(own) > 1 or any(isinstance(each, Blur) for each in own)):
        return replace(call, baseline=case.one_of(*case.world.names))
    return call


def _of_no_window(case: Case) -> list[Players]:
    """Partitions that are the same for every window: all except grids, which are laid over the window's bounding
    box."""
    known = (case.world.many if case.sampled else case.world.few) or case.world.few
    return [players for players in known if not str(players).startswith("grid")]


def _by_cell(answer: Attribution, cells: Ints) -> Attribution:
    """An answer converted to the players of the whole input, `cells`: a window's players are parts of these."""
    values, errors = np.zeros((2, int(cells.max()) + 1))
    for cell in range(len(values)):
        for player in set(answer.players[cells == cell].tolist()) - {-1}:
            values[cell] += answer.values[player]
            errors[cell] += answer.stderr[player]
    return replace(answer, values=values, stderr=errors, players=cells, map=spread(values, cells))


def efficiency(case: Case) -> None:
    """Σφ = v(N) − v(∅), for Π f(x_w) − f(x̄), for ⋈ the weighted sum, for ⋄ f(x) − f(x')"""
    plan = case.plan()
    found = case.asked(plan, BEST)
    net = case.world.ground.net
    case.run.compared += 1
    for answer, component in zip(found.answers, parts(plan, case.world.ground), strict=True):
        total = case.numbers(found.said, answer.map.sum())
        ends = sum(game.weight * gain(game, net) for game in component)
        case.close(total, case.numbers("two calls of the model", ends), "the map does not sum to v(N) − v(∅)")
        values = case.numbers("the values of its players", answer.values.sum())
        case.close(total, values, "the map does not sum to its players' values")
        if case.run.shapley and max(game.count for game in component) <= ENUMERATED:
            phi = np.sum([game.weight * enumerated(game, net) for game in component], axis=0)
            case.close(
                Side(found.said, (answer.map,), (answer.stderr,)),
                Side("Eqs. 1 to 6, every coalition evaluated on its own", (phi,), (np.zeros(1),)),
                "the map sums to v(N) − v(∅), but is not the Shapley value",
            )


def axioms(case: Case) -> None:
    """null players get 0; symmetric players get equal values; φ is linear in f"""
    game = _game(case)
    changing = [
        player for player in range(game.count) if ((game.x != game.baseline).numpy() & game.features(player)).any()
    ]
    kinds = [_linear] + [_null_in_the_model, _null_in_the_input] * bool(changing) + [_symmetric] * (len(changing) > 1)
    case.one_of(*kinds)(case, game, case.draw(st.permutations(changing)))


def _null_in_the_input(case: Case, game: DefinedGame, players: Sequence[int]) -> None:
    mine = game.features(players[0])
    x = hybrid(game.baseline, game.x, mine)
    found = case.posed(replace(game, x=x))
    (answer,) = found.answers
    case.run.compared += 1
    errors = answer.stderr[np.unique(answer.players[mine])]
    if answer.map[mine].any() or errors[np.isfinite(errors)].any():  # infinite: unknown, because of too few rows
        case.fail("a player that equals its baseline is given a value, or an error", found)


def _null_in_the_model(case: Case, game: DefinedGame, players: Sequence[int]) -> None:
    mine = game.features(players[0])
    model = variants.Deaf(case.world.ground.net.at(game.layer), mine, game.baseline)
    found = case.posed(game, model)
    (answer,) = found.answers
    case.run.compared += 1
    value = case.numbers(found.said, answer.map[mine].sum(), _error(answer, mine))
    case.close(value, case.numbers("nothing", 0.0), "a player that the model does not read is given a value")


def _symmetric(case: Case, game: DefinedGame, players: Sequence[int]) -> None:
    i, j = (game.features(player) for player in players[:2])
    model = variants.Symmetric(case.world.ground.net.at(game.layer), i, j, game.x, game.baseline)
    found = case.posed(game, model)
    (answer,) = found.answers
    case.run.compared += 1
    one, other = (case.numbers(found.said, answer.map[each].sum(), _error(answer, each)) for each in (i, j))
    case.close(one, other, "two players that are alike to the model are given different values")


def _linear(case: Case, game: DefinedGame, players: Sequence[int]) -> None:
    game = replace(game, call=replace(game.call, output="logit"))
    f = case.world.ground.net.at(game.layer)
    g = variants.Bent(f, case.world.magnitude)
    a, b = case.one_of((2.0, -1.0), (0.5, 3.0))
    together, *apart = (case.posed(game, model) for model in (variants.Sum(f, g, a, b), f, g))
    case.run.compared += 1
    maps = a * apart[0].maps[0] + b * apart[1].maps[0]
    errors = np.concatenate([a * apart[0].errors[0], b * apart[1].errors[0]])
    said = f"{a:g} · φ(f) + {b:g} · φ(g)"
    case.close(together, Side(said, (maps,), (errors,)), "the map of a sum is not the sum of the maps")


def linear_model(case: Case) -> None:
    """linear f: φ_i = w_i (x_i − x̄_i), no sampling"""
    game = _game(case)
    game = replace(game, target=0, call=replace(game.call, output="logit"))
    model = variants.Linear(game.x, case.draw(st.integers(0, 1 << 16)))
    change = (model.terms(game.full).double() - model.terms(game.baseline).double()).numpy()
    expected = [change[game.features(player)].sum() for player in range(game.count)]
    found = case.posed(game, model)
    (answer,) = found.answers
    case.run.compared += 1
    case.close(
        Side(found.said, (spread(case.sums(answer, game), game.players),), (answer.stderr,)),
        Side("w_i (x_i − x̄_i)", (spread(np.array(expected), game.players),), (np.zeros(1),)),
        "a linear model's map is not its weights times the change",
        scale=float(np.abs(change).sum()),
    )
    seen_whole = answer.method.startswith("exact")  # else a sample cannot know that there is nothing but what it met
    if case.run.shapley and seen_whole and answer.stderr.sum() > case.run.epsilon * np.abs(change).sum():
        case.fail("a linear model leaves nothing to sample, but the answer states an error", found)


def mean_baseline(case: Case) -> None:
    """a collection of baselines is the mean of the maps"""
    world, call = case.world, case.call()
    several = replace(call, baseline=world.several)
    each = DrawnJoin(tuple(replace(call, baseline=name) for name in world.elements))
    if case.draw(st.booleans()):
        one, other = _both_wrapped(case, each, several)
        case.equal(one, other)
        case.means(other, "the answer is not the mean over the baselines")
        return
    among = replace(call, input=world.several, target=0)
    apart = DrawnJoin(tuple(replace(among, input=name) for name in world.elements))
    partner = case.call()
    case.equal(DrawnJoin((apart, partner)), DrawnJoin((among, partner)))
    case.means(DrawnJoin((among, partner)), "a collection under a join does not count as its elements' mean")


def closed_form(case: Case) -> None:
    """concepts: φ over the attributes of g is w_jc (z_j − z̄_j)"""
    world, dictionary = case.world, case.world.dictionary
    assert dictionary is not None, "the law is not applicable"
    name, against = case.one_of(*world.names), case.one_of(*world.names, *world.elements)
    target = case.one_of(*range(min(3, world.network.class_count)))
    kept = sorted(case.draw(st.sets(st.integers(0, dictionary.size - 1), min_size=1)))
    window = case.one_of("", f" where concept in ({', '.join(map(str, kept))})")
    using = "" if dictionary.size > ENUMERATED else case.one_of("", " using exact()")
    text = (
        f"select * from {sql_name(world.model)}({sql_name(name)}, players => {OfConcepts(dictionary.name)}, "
        f"target => {target}, baseline => {sql_name(against)}, output => 'logit'){window}{using}"
    )
    found = case.answered(text)
    network = {world.model: world.network}
    of_inputs = activations_of(world.model, network, dictionary)
    x, background = world.x(name), world.x(against)
    of_inputs.probe(x)
    codes = np.stack([of_inputs.forward(each[None], [None])[None][0].double().numpy() for each in (x, background)])
    weights = weights_of(head_of("head", world.network, dictionary), target, "logit").numpy()
    expected = weights * (codes[0] - codes[1])
    if window:
        expected[[k for k in range(dictionary.size) if k not in kept]] = 0.0
    case.run.compared += 1
    said = Side("w_jc (z_j − z̄_j), from the head and two calls of the model", (expected,), (np.zeros(1),))
    case.close(found, said, "the map over concepts is not its closed form", scale=float(np.abs(expected).sum()) + 1.0)


def attributes_add_up(case: Case) -> None:
    """φ^{g_c} = Σ_j w_jc φ^{φ_j} on one design of linear estimators"""
    world, dictionary = case.world, case.world.dictionary
    assert dictionary is not None, "the law is not applicable"
    name, against = case.one_of(*world.names), case.one_of(*world.names, *world.elements)
    target = case.one_of(*range(min(3, world.network.class_count)))
    players, window = case.one_of(*world.few), case.window()
    model, using = sql_name(world.model), case.one_of("exact()", "permutations() budget 12")
    key = f"{world.model}.{dictionary.name}"
    surrogate = f"{world.model}.g" if dictionary.name == CONCEPTS else f"{key}.g"

    def asked(model: str, target: str) -> Side:
        return case.answered(
            f"select * from {sql_name(model)}({sql_name(name)}, players => {players}, target => {target}, "
            f"baseline => {sql_name(against)}, output => 'logit') where {window} using {using}"
        )

    whole, every = asked(surrogate, str(target)), asked(key, "all")
    weights = weights_of(head_of("head", world.network, dictionary), target, "logit").numpy()
    total = np.sum([weight * each for weight, each in zip(weights, every.maps, strict=True)], axis=0)
    scale = sum(abs(weight) * np.abs(each).sum() for weight, each in zip(weights, every.maps, strict=True))
    case.run.compared += 1
    said = Side(f"Σ_j w_jc · {every.said} of {model}", (total,), (np.zeros(1),))
    exactly = replace(whole, errors=(np.zeros(1),))
    case.close(exactly, said, "the maps of the attributes do not add up to that of g", scale=float(scale) + 1.0)


# --- what laws have in common


def _game(case: Case) -> DefinedGame:
    """One game, perhaps in a window and on a layer."""
    plan: Plan = case.call()
    if case.draw(st.booleans()):
        plan = Where(case.window(), plan)
    if case.draw(st.booleans()) and case.world.layers:
        plan = DrawnLayer(case.layer(), plan)
    return parts(plan, case.world.ground)[0][0]


def _error(answer: Attribution, features: Bools) -> float:
    """The standard error of the features' players."""
    return float(answer.stderr[np.unique(answer.players[features])].sum())


def _wrapped(case: Case, plan: Plan) -> Plan:
    """`plan` under a window or a layer, or unchanged."""
    return _both_wrapped(case, plan, plan)[0]


def _both_wrapped(case: Case, one: Plan, other: Plan) -> tuple[Plan, Plan]:
    """Two plans under the same operator."""
    match case.one_of("as it is", "Π", *(["σ"] if case.world.layers else [])):
        case "Π":
            w = case.window()
            return Where(w, one), Where(w, other)
        case "σ":
            layer = case.world.layers[0]  # the first layer, because inner layers of the plan are unknown here
            return DrawnLayer(layer, one), DrawnLayer(layer, other)
    return one, other


def _buried(case: Case, plan: Plan) -> Plan:
    """`plan` below other operators, so that an operator above is not directly above it."""
    above = case.one_of(
        "as it is", "Π", *(["⋄"] if isinstance(plan, DrawnLayer) and isinstance(plan.of, DrawnCall) else ["⋈"])
    )
    match above:
        case "Π":
            return Where(case.window(), plan)
        case "⋈" if not _contrasts(plan):
            return DrawnJoin((case.call(), plan))
        case "⋄":
            return Anti((plan, case.call()))
    return plan


def _contrasts(plan: Plan) -> bool:
    """Whether a plan contains a ⋄."""
    match plan:
        case DrawnCall():
            return False
        case Anti():
            return True
        case DrawnJoin(of):
            return any(map(_contrasts, of))
    return _contrasts(plan.of)


def _joined(case: Case, least: int = 0) -> tuple[tuple[Plan, ...], str | None]:
    """The operands of a ⋈, and its weight."""
    count = case.one_of(2, 3)
    operands = tuple(case.plan(least, antijoins=False, depth=0) for _ in range(count))
    return operands, case.one_of(None, *strategies.WEIGHTS) if count == 2 else None


def _contrasted(case: Case, least: int = 0) -> tuple[Plan, ...]:
    """The operands of a ⋄, of distinct inputs."""
    operands: list[Plan] = []
    for name in case.names(2):
        plan: Plan = case.call(name)
        legal = [layer for layer in case.world.layers if layer >= least]
        match case.one_of("as it is", "Π", *(["σ"] if legal else [])):
            case "Π":
                plan = Where(case.window(), plan)
            case "σ":
                plan = DrawnLayer(case.one_of(*legal), plan)
        operands.append(plan)
    return tuple(operands)


def _decimal(share: Fraction) -> str:
    """A twentieth as the language writes it."""
    return f"{float(share):g}"


# --- the laws


@dataclass(frozen=True)
class NumericLaw:
    """A law and its number; it needs at least `layers` layers and `inputs` inputs, and a dictionary if it is of
    `concepts`, and a generator of such inputs if it is one of `generators`."""

    id: str
    check: Callable[[Case], None]
    layers: int = 0
    inputs: int = 1
    concepts: bool = False
    generators: bool = False

    def remarks(self, world: World) -> str:
        """Which part of the law is not checked in this world, or is checked differently from a user's queries."""
        if self.layers:
            return world.remarks
        last = self.check is identities and world.network.depth is None
        return "σ_n = id was not checked: no layer is the model's own output" if last else ""

    @property
    def formula(self) -> str:
        """The law in one line."""
        return (self.check.__doc__ or "").strip()

    def lacks(self, world: World) -> str:
        """Why the law is not applicable to this world; '' if it is."""
        if len(world.layers) < self.layers:
            had = "no layers" if not world.layers else "one layer only"
            return f"model '{world.model}' has {had} to select"
        if self.concepts and world.dictionary is None:
            return f"model '{world.model}' has no dictionary of concepts of its own"
        if self.generators and not world.generators:
            return f"no generator is registered that draws such inputs as '{world.names[0]}' and finds their codes"
        if len(world.names) < self.inputs:
            return f"an anti-join needs two inputs, and only '{world.names[0]}' was given"
        return ""


LAWS: tuple[NumericLaw, ...] = (
    NumericLaw("L1", commute, layers=1),
    NumericLaw("L2", stack_layers, layers=2),
    NumericLaw("L3", stack_windows),
    NumericLaw("L4", identities),
    NumericLaw("L5", do_not_mix),
    NumericLaw("L6", project_join),
    NumericLaw("L7", select_join, layers=1),
    NumericLaw("L8", project_antijoin, inputs=2),
    NumericLaw("L9", select_antijoin, layers=1, inputs=2),
    NumericLaw("L10", weigh),
    NumericLaw("L11", idempotent),
    NumericLaw("L12", swap),
    NumericLaw("L13", duality, inputs=2),
    NumericLaw("L14", nullified),
    NumericLaw("L15", efficiency),
    NumericLaw("L16", axioms),
    NumericLaw("L17", linear_model),
    NumericLaw("L18", mean_baseline),
    NumericLaw("L19", collapse, generators=True),
    NumericLaw("L20", distribute, generators=True),
    NumericLaw("L21", closed_form, concepts=True),
    NumericLaw("L22", attributes_add_up, concepts=True),
    NumericLaw("L24", effect),
)
"""In the order of their numbers."""
