"""USING: which interpreter explains, and with what options. In: a call of the syntax tree; out: an `Estimation`.

An option that the interpreter does not have, or a value of another kind, is a BindError at its word. Options that
depend on the model, such as a layer to read, are bound where the model is known.
"""

from __future__ import annotations

import math
from typing import NoReturn

from torch import nn

from ...algebra.kinds import KINDS
from ...algebra.operators import Estimation
from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...errors import BindError, Span, did_you_mean
from ...interpreters.protocol import ModelInterpreter, Option, OptionValue
from ...interpreters.shipped import SHAPLEY
from ...kernels.estimators.registry import METHODS
from ...models.embedded import embeddings
from .. import tree
from .models import KnownModel
from .options import whole, word


def bind_using(
    value: tree.ValueExpr, catalog: Catalog, budget: int | None = None
) -> tuple[Estimation, tree.ValueExpr | None]:
    """The estimation that `name` or `name(option => value, …)` asks for, and its contrast of two models, if given."""
    call = value if isinstance(value, tree.CallExpr) else None
    written = word(call.name if call else value, "a method")
    name = _interpreter(written, call.name.span if call else value.span, catalog)
    if call and call.arguments:
        raise BindError(f"method {written} takes options as name => value", call.arguments[0].span)
    found: dict[str, OptionValue] = {}
    if name in METHODS:
        name, found = SHAPLEY, {"method": name}
    legal = dict(catalog.interpreter(name).options)
    if "method" in found:
        del legal["method"]
    contrast: tree.ValueExpr | None = None
    for option in call.options if call else ():
        known = {*legal, "contrast"} if name == SHAPLEY else set(legal)
        if option.name.value not in known:
            hint = did_you_mean(option.name.value, known) if known else "; it has none"
            raise BindError(f"unknown option of method {written} '{option.name.value}'{hint}", option.name.span)
        if name == SHAPLEY and option.name.value == "contrast":
            contrast = option.value
        else:
            found[option.name.value] = _value(option, legal[option.name.value])
    missing = [each for each, option in legal.items() if option.required and each not in found]
    if missing:
        raise BindError(f"method {written} needs the option {missing[0]} => …", call.name.span if call else value.span)
    return Estimation(name, tuple(sorted(found.items())), budget), contrast


def _interpreter(written: str, span: Span, catalog: Catalog) -> str:
    """The registered name, found in any letter case; estimators of the Shapley value are names too."""
    known = {each.lower(): each for each in (*METHODS, *catalog.interpreters)}
    if written in catalog.interpreters:
        return written
    if written.lower() in known:
        return known[written.lower()]
    raise BindError(f"unknown method '{written}'{did_you_mean(written, known.values())}", span)


def _value(option: tree.OptionExpr, legal: Option) -> OptionValue:
    """The value of an option, checked to be of the option's kind."""
    name, value = option.name.value, option.value
    match legal.kind, value:
        case "whole", _:
            least = -(1 << 62) if legal.least is None else math.ceil(legal.least)
            return whole(value, name, least)
        case "number", tree.Number(value=number) if legal.least is None or number >= legal.least:
            return float(number)
        case "flag", tree.Name(value=said) if said.lower() in ("true", "false"):
            return said.lower() == "true"
        case "word", tree.Name(value=said) | tree.Text(value=said):
            if not legal.legal or said.lower() in legal.legal:
                return said.lower() if legal.legal else said
            raise BindError(f"unknown {name} '{said}'{did_you_mean(said, legal.legal)}", value.span)
        case "numbers", tree.Number() | tree.NumberTuple():
            values = value.values if isinstance(value, tree.NumberTuple) else (value,)
            if all(legal.least is None or each.value >= legal.least for each in values):
                return tuple(each.value for each in values)
        case "layer", tree.Number():
            return whole(value, name, 1)
        case "layer", tree.Name(value=said) | tree.Text(value=said):
            return said
    _refuse(name, value.span, legal)


def _refuse(name: str, span: Span, legal: Option) -> NoReturn:
    least = "" if legal.least is None else f" of at least {legal.least:g}"
    kinds = {
        "number": f"a number{least}",
        "flag": "true or false",
        "word": "a name or a text",
        "numbers": f"a number{least}, or several as in (3, 8, 8)",
        "layer": "a layer's number or name",
    }
    raise BindError(f"{name} must be {kinds[legal.kind]}", span)


def bound_to(estimation: Estimation, network: KnownModel, catalog: Catalog) -> Estimation:
    """The estimation with layer names replaced by this model's layer numbers; BindError for an unknown layer."""
    legal = catalog.interpreter(estimation.interpreter).options
    layers = {each for each, option in legal.items() if option.kind == "layer"}
    options = tuple(
        (each, network.layer_index(value) if each in layers and isinstance(value, int | str) else value)
        for each, value in estimation.options
    )
    return Estimation(estimation.interpreter, options, estimation.budget)


def check_asks(name: str, network: KnownModel, entry: Entry, catalog: Catalog) -> None:
    """Raise BindError if an interpreter cannot explain this model, or cannot explain it on this input."""
    interpreter = catalog.interpreter(name)
    if not isinstance(interpreter, ModelInterpreter):
        return
    if interpreter.needs_module and not isinstance(network.module, nn.Module):
        raise BindError(f"{name} looks inside a model, and '{network.name}' is a callable; register a torch.nn.Module")
    embedded = not interpreter.needs_module and bool(embeddings(network.module))
    if interpreter.needs_gradients and not KINDS[entry.kind].quantities and not embedded:
        raise BindError(f"{name} needs gradients, and '{entry.name}' holds tokens, which have none")
