"""`ialgebra verify package.module:factory` or `path/to/file.py:factory`: check the laws on what a factory makes.

In: its address. Out: results.

A factory takes no arguments and returns one of

    a Session                   its only model is checked, on all its registered inputs
    (session, model, inputs)    the model and inputs of these names
    (model, inputs)             a module or callable, and a list of tensors: registered as f and x1, x2, …
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from ..errors import BindError, IalgebraError
from ..models.network import Model
from ..session.session import Session, connect
from ..system.arguments import checked
from .check import LawResult, check_laws

_EXPECTED = "a Session, (session, model name, input names) or (model, list of inputs)"


@checked
def verify(
    place: str, laws: Sequence[str] | None, examples: int, seed: int = 0, using: str | None = None
) -> list[LawResult]:
    """Check the laws on what the factory at `place` makes.

    Raises BindError if there is no such factory, IalgebraError if it fails or if no law could be checked.
    """
    con, model, inputs = made(factory(place)(), place)
    with con:
        results = check_laws(con, model, inputs, laws, examples, seed, using)
    if all(each.passed is None for each in results):
        raise IalgebraError(f"none of the laws could be checked on '{place}': {results[0].reason}")
    return results


def factory(place: str) -> Callable[[], object]:
    """The function at 'package.module:name', searched also from the current folder, or at 'path/to/file.py:name';
    BindError if there is none."""
    module_name, _, name = place.rpartition(":")
    if not module_name or not name:
        raise BindError(f"'{place}' names no factory; write package.module:function or path/to/file.py:function")
    try:
        found: object = _file(Path(module_name)) if module_name.endswith(".py") else _module(module_name)
    except ImportError as cause:
        raise BindError(f"cannot import '{module_name}': {cause}") from cause
    except IalgebraError:
        raise
    except Exception as cause:
        raise _failed(place, cause) from cause
    for part in name.split("."):
        if not hasattr(found, part):
            raise BindError(f"module '{module_name}' has no '{name}'")
        found = getattr(found, part)
    if not callable(found):
        raise BindError(f"'{place}' is a {type(found).__name__}; a function without arguments is needed")
    function = cast("Callable[[], object]", found)

    def run() -> object:
        try:
            return function()
        except IalgebraError:
            raise
        except Exception as cause:
            raise _failed(place, cause) from cause

    return run


def _module(name: str) -> object:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return importlib.import_module(name)


def _file(path: Path) -> object:
    """A file as a module, which may import modules beside it, as `python FILE` does."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise BindError(f"there is no file '{path}'; write package.module:function or path/to/file.py:function")
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # so that its classes can be pickled
    spec.loader.exec_module(module)
    return module


def _failed(place: str, cause: Exception) -> IalgebraError:
    traceback.print_exception(cause)  # the error is in the user's code, so the traceback helps
    return IalgebraError(f"the factory '{place}' failed: {type(cause).__name__}: {cause}")


def made(what: object, place: str) -> tuple[Session, str, list[str]]:
    """The session and the names of the model and inputs to check, from what a factory returned."""
    match what:
        case Session():
            names = what.names()
            if len(names["models"]) != 1:
                raise BindError(
                    f"the session of '{place}' has {len(names['models'])} models; "
                    "return (session, model name, input names) to say which is to be checked"
                )
            return what, names["models"][0], names["inputs"]
        case (Session() as con, str(model), [*inputs]) if all(isinstance(each, str) for each in inputs):
            return con, model, [str(each) for each in inputs]
        case (model, inputs) if callable(model):
            con = connect(progress=False)
            con.register_model("f", cast("Model", model))
            registered = []
            for number, each in enumerate(cast("Sequence[object]", inputs), start=1):
                registered.append(f"x{number}")
                con.register_input(registered[-1], each)
            return con, "f", registered
    raise BindError(f"the factory '{place}' returned a {type(what).__name__}; {_EXPECTED} is needed")
