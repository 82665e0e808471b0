"""`set option = value` changes a default of the queries that follow. In: a name and a value; out: the settings."""

from __future__ import annotations

from collections.abc import Callable

from ...catalog.catalog import Catalog
from ...errors import BindError, did_you_mean
from ...language import tree
from ...language.bind.inputs import bind_baselines
from ...language.bind.options import (
    CONTRASTS,
    OUTPUTS,
    bind_budget,
    bind_players,
    choice,
    whole,
    word,
)
from ...language.bind.using import bind_using
from ...planner.strategy import PRESETS
from ...planner.tempo import TEMPOS
from ...results.relation import Relation
from .kind import StatementContext, StatementKind

# How the value of each option is read; a field of Settings has its name.
OPTIONS: dict[str, Callable[[tree.ValueExpr, Catalog], object]] = {
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
    "tempo": lambda value, _: choice("tempo", word(value, "a tempo"), TEMPOS),
    "batch_size": lambda value, _: whole(value, "a batch size", 1),
}
_FIELDS = {"baseline": "baselines"}  # of Settings, where an option has another name


def setting(statement: tree.SetOption, catalog: Catalog) -> tuple[str, object]:
    """The option that a statement sets, and its value; `default` takes it back (None). BindError for an unknown option
    or a value that does not fit."""
    name, value = statement.name.value, statement.value
    option = name.lower()
    if option not in OPTIONS:
        raise BindError(f"unknown option '{name}'{did_you_mean(name, OPTIONS)}", statement.name.span)
    reset = isinstance(value, tree.Name) and value.value.lower() == "default"
    try:
        return option, None if reset else OPTIONS[option](value, catalog)
    except BindError as error:
        error.span = error.span or value.span
        raise


def _run(statement: tree.SetOption, context: StatementContext) -> Relation:
    """Set a default."""
    option, value = setting(statement, context.catalog)
    with context.lock:
        setattr(context.catalog.settings, _FIELDS.get(option, option), value)
    return context.said(statement, f"{option} set")


SET_OPTION = StatementKind(
    tree.SetOption,
    _run,
    keywords=" ".join(("set", *OPTIONS)),
    help=(("set seed = 3;   set seed = default;", "a default of the queries that follow"),),
    defines=lambda statement: ("option", statement.name.value.lower()),
)
