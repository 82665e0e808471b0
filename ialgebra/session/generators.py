"""The work of `Session.register_generator` and `register_axis`, and of CREATE AXIS.

In: what a caller gives, and a catalog. Out: generators and axes. Nothing here takes locks or lists steps; `session` and
`statements` do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..algebra.windows import sql_name, sql_text
from ..answering.drawn_shares import drawn_share, looked_at, redrawn
from ..catalog.catalog import Catalog
from ..catalog.drawing import numbers_of
from ..catalog.inputs import Entry
from ..errors import BindError, IalgebraError
from ..generators.adapters import shape_of
from ..generators.axes import Axis, CodeSpace, fitted_axis, principal_axis
from ..generators.registered import RegisteredGenerator
from ..results.cross_effects import CrossEffects
from ..results.relation import Relation
from ..results.scores import Scores
from ..system.checks import shown
from ..system.shortage import blamed
from .history import History
from .names import valid_name
from .steps import PythonCall

Followed = Callable[[Any], object] | ArrayLike | Tensor
"""What an axis follows: a function of a batch of inputs (n, *shape), or a number for each input of the collection."""


def registered(
    catalog: Catalog, name: str, generator: object, encoder: object, collection: str | None, block: int, refine: int
) -> RegisteredGenerator:
    """See `Session.register_generator`. Nothing is registered yet."""
    name = valid_name("generator", name)
    if encoder is not None and not callable(encoder):
        raise BindError(f"the encoder of generator '{name}' is a {type(encoder).__name__}; a function is needed")
    if collection is None:
        said = shape_of(generator)
        if said is None:
            raise BindError(
                f"generator '{name}' does not say what it draws; name a registered collection of such inputs: "
                "collection='xs'"
            )
        shape = said
    else:
        shape = catalog.input(collection).shape
    return RegisteredGenerator(name, generator, encoder, collection, shape, block, refine)


def register(catalog: Catalog, history: History, made: RegisteredGenerator) -> PythonCall:
    """Give a generator its name. The axes of an earlier one of this name are forgotten: they lead through other
    codes."""
    before = catalog.generators.get(made.name)
    again = before is not None and before.generator is made.generator
    call = PythonCall(
        "register_generator",
        made.name,
        {
            "generator": history.given("models", f"{made.name} generator", again),
            "encoder": None if made.encoder is None else history.given("models", f"{made.name} encoder", again),
            "collection": made.collection,
            "block": made.block,
            "refine": made.refine or None,
        },
    )
    for axis in [each.name for each in catalog.axes.values() if each.generator == made.name]:
        del catalog.axes[axis]
    catalog.generators[made.name] = made
    return call


def space_of(catalog: Catalog, generator: RegisteredGenerator) -> CodeSpace:
    """The codes of a generator's collection; BindError if it was registered without one."""
    entry = collection_of(catalog, generator)
    elements = entry.elements
    numbers = [numbers_of(each.tensor, entry.name) for each in elements]
    return CodeSpace.of(generator.codes(numbers, [each.digest for each in elements]))


def collection_of(catalog: Catalog, generator: RegisteredGenerator) -> Entry:
    """The collection of a generator; BindError if it was registered without one."""
    if generator.collection is None:
        raise BindError(
            f"an axis needs a collection to be fitted on; register generator '{generator.name}' with collection='xs'"
        )
    return catalog.input(generator.collection)


def measured_axis(
    catalog: Catalog, name: str, what: Followed, on: str | None, holding: Sequence[str]
) -> tuple[Axis, Tensor]:
    """An axis along which a function of inputs, or given numbers, grow, and these numbers (n,); see
    `Session.register_axis`."""
    name = valid_name("axis", name)
    generator = _generator(catalog, on)
    entry = collection_of(catalog, generator)
    said = "given numbers"
    if callable(what):
        said = f"{getattr(what, '__name__', type(what).__name__)}(x)"
        values = _called(name, what, entry, generator.block)
    else:
        values = _numbers(name, what)
    held = held_axes(catalog, generator, holding)
    return fitted_axis(name, generator.name, said, space_of(catalog, generator), values, holding=held), values


def scored_axis(
    catalog: Catalog,
    name: str,
    generator: RegisteredGenerator,
    of: str,
    scores: Tensor,
    holding: Sequence[str],
    model: str,
) -> Axis:
    """An axis along which scores (n,) that a model gives the generator's collection grow."""
    held = held_axes(catalog, generator, holding)
    return fitted_axis(name, generator.name, of, space_of(catalog, generator), scores, holding=held, model=model)


def component_axis(catalog: Catalog, name: str, generator: RegisteredGenerator, number: int) -> Axis:
    """A principal component of a generator's codes."""
    return principal_axis(name, generator.name, space_of(catalog, generator), number)


def held_axes(catalog: Catalog, generator: RegisteredGenerator, names: Sequence[str]) -> list[Axis]:
    """The axes that another one holds; BindError for one of another generator."""
    found = [catalog.axis(name) for name in names]
    for axis in found:
        if axis.generator != generator.name:
            raise BindError(f"axis '{axis.name}' is one of generator '{axis.generator}', not of '{generator.name}'")
    return found


def _generator(catalog: Catalog, named: str | None) -> RegisteredGenerator:
    if named is not None:
        return catalog.generator(named)
    if len(catalog.generators) == 1:
        return next(iter(catalog.generators.values()))
    raise BindError(f"say of which generator: on={next(iter(catalog.generators), 'G')!r}")


def _numbers(name: str, what: object) -> Tensor:
    """Numbers (n,) that were given for an axis; BindError for anything else."""
    try:
        given = what.detach().cpu().numpy() if isinstance(what, Tensor) else what
        if np.iscomplexobj(np.asarray(given)):
            raise TypeError("complex numbers")
        return torch.from_numpy(np.array(given, dtype=np.float64)).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise BindError(
            f"axis '{name}' follows a function of inputs, or numbers, one for each input of the collection; this is "
            f"{shown(what)}"
        ) from error


def _called(name: str, what: Callable[[Any], object], entry: Entry, block: int) -> Tensor:
    """What a function says of every input of a collection (n,)."""
    found = []
    for first in range(0, len(entry.elements), block):
        places = range(first, min(first + block, len(entry.elements)))
        some = [numbers_of(entry.elements[k].tensor, entry.name) for k in places]
        with blamed(lambda error: BindError(f"axis '{name}': its function raised {type(error).__name__}: {error}")):
            said = what(torch.stack(some))
        try:
            given = said if isinstance(said, Tensor) else np.asarray(said)
            if given.dtype in (torch.complex64, torch.complex128) or np.iscomplexobj(given):
                raise TypeError("complex numbers")
            values = torch.as_tensor(given).detach().to("cpu", torch.float64).reshape(-1)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BindError(
                f"axis '{name}': its function returned {shown(said)}; a number for each input is needed, (n,)"
            ) from error
        if len(values) != len(some):
            raise BindError(f"axis '{name}': its function returned {len(values)} numbers for {len(some)} inputs")
        found.append(values)
    return torch.cat(found)


def cross_effects(
    predict: Callable[[str], Relation], catalog: Catalog, axes: Sequence[str], models: Sequence[str], inputs: str
) -> CrossEffects:
    """See `Session.cross_effects`; `predict` answers a statement."""
    axes, models = list(axes), list(models)
    if not axes or not models:
        raise BindError("cross_effects takes one axis and one model at least")
    for axis in axes:
        catalog.axis(axis)
    for model in models:
        catalog.model(model)
    asked = ", ".join(_asked(catalog, model, inputs) for model in models)
    effects, errors, columns, count = [], [], tuple[str, ...](), 0
    for axis in axes:
        there, back = (
            _all_scores(predict(f"predict {asked} from latent({sql_name(inputs)}, {sql_text(axis)}, {step})"))
            for step in (1, -1)
        )
        columns, moved = there[0], (there[1] - back[1]) / 2
        count = len(moved)
        effects.append(moved.mean(axis=0))
        errors.append(moved.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.full(moved.shape[1], np.nan))
    return CrossEffects(tuple(axes), columns, np.array(effects), np.array(errors), count)


def losses(catalog: Catalog, generator: RegisteredGenerator) -> list[str]:
    """For each model that can be asked: how much of what it says of the generator's collection is left after the
    collection was drawn from its codes, a line each."""
    some = looked_at(catalog, generator)
    if not some:
        return []
    before = np.stack([catalog.element(each).array for each in some]).astype(np.float64)
    after = np.stack([catalog.element(each).array for each in redrawn(some, generator)]).astype(np.float64)
    spread = float(np.square(before - before.mean(axis=0)).sum())
    share = f"{1 - float(np.square(after - before).sum()) / spread:.0%}" if spread else "nothing"
    lines = [
        f"  draws {share} of the variance of {generator.collection} "
        f"(mean squared error {np.square(after - before).mean():.3g})"
    ]
    return lines + [line for name in catalog.models if (line := _loss(catalog, generator, name)) is not None]


def _loss(catalog: Catalog, generator: RegisteredGenerator, model: str) -> str | None:
    """What is left of one model's scores, as a line; None where it is given other inputs."""
    try:
        share = drawn_share(catalog, generator, model)
    except IalgebraError as error:
        return f"  model {model} cannot be asked: {error.message}"
    if share is None:
        return None
    if math.isnan(share.kept):
        return f"  model {model} gives all of them the same scores"
    words = f"keeps {share.share} of the variance of its scores"
    if share.agree is not None:
        words += f", predicts the same for {share.agree:.0%}"
    if share.is_little:
        words += (
            "; most of what decides is not drawn: edits of codes say little of it. See where that lies: "
            f"select * from {model}(x, baseline => reconstruct)"
        )
    return f"  model {model} {words}"


def _asked(catalog: Catalog, model: str, inputs: str) -> str:
    """A model of PREDICT with the scores of all its classes, as log-odds where there are probabilities."""
    network = catalog.model(model)
    if not network.probed:
        network.meet(catalog.element_for(model, catalog.input(inputs).sources[0]).tensor)
    output = "" if network.outputs.meaning == "values" else ", output => log_odds"
    return f"{sql_name(model)}(target => all{output})"


def _all_scores(answer: Relation) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The names of all scores, and the scores (inputs, scores)."""
    assert isinstance(answer, Scores)
    names = tuple(f"{model.model}: {model.names[target]}" for model in answer.models for target in model.targets)
    return names, np.concatenate([model.target_scores for model in answer.models], axis=1)
