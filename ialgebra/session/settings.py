"""SET option = value: the defaults of the queries that follow. In: a name and a value of the syntax tree; out: a
line."""

from __future__ import annotations

from collections.abc import Callable

from ..catalog.catalog import Catalog
from ..errors import BindError, did_you_mean
from ..language import tree
from ..language.bind.inputs import bind_baselines
from ..language.bind.options import (
    CONTRASTS,
    OUTPUTS,
    bind_budget,
    bind_players,
    choice,
    whole,
    word,
)
from ..language.bind.using import bind_using
from ..planner.strategy import PRESETS

_READERS: dict[str, Callable[[tree.ValueExpr, Catalog], object]] = {
    "seed": lambda value, _: whole(value, "a seed", 0),
    "budget": lambda value, _: bind_budget(value),
    "method": lambda value, catalog: bind_using(value, catalog)[0],
    "baseline": bind_baselines,
    "players": bind_players,
    "output": lambda value, _: choice("output", word(value, "an output"), OUTPUTS),
    "contrast": lambda value, _: choice("contrast", word(value, "a contrast"), CONTRASTS),
    "strategy": lambda value, _: choice(
        "strategy", word(value, "a strategy"), [name.lower() for name in PRESETS]
    ).upper(),
    "batch_size": lambda value, _: whole(value, "a batch size", 1),
}


def set_option(name: tree.Name, value: tree.ValueExpr, catalog: Catalog) -> str:
    """Set a default; `default` takes it back. BindError for an unknown option or a value that does not fit."""
    option = name.value.lower()
    if option not in _READERS:
        raise BindError(f"unknown option '{name.value}'{did_you_mean(name.value, _READERS)}", name.span)
    reset = isinstance(value, tree.Name) and value.value.lower() == "default"
    try:
        setattr(
            catalog.settings,
            "baselines" if option == "baseline" else option,
            None if reset else _READERS[option](value, catalog),
        )
    except BindError as error:
        error.span = error.span or value.span
        raise
    return f"{option} set"
