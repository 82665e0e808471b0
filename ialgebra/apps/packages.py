"""Packages of extras, such as those that hold networks, weights and photos: imported, or found, when they are needed.

In: the name of a module. Out: the module, or its folder; IalgebraError that says what to install. May not know: what is
read from them.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from ..errors import IalgebraError


def required(module: str) -> ModuleType:
    """A module of a package of the `demo` extra."""
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise _missing(module) from cause


def folder(package: str) -> Path:
    """The folder of an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing(package)
    return Path(spec.origin).parent


def needed(module: str, what: str, extra: str) -> None:
    """Raise IalgebraError if a module, which `what` needs and `extra` installs, is not there. It is not imported."""
    if importlib.util.find_spec(module) is None:
        raise _missing(module, what, extra)


def _missing(module: str, what: str = "the demo", extra: str = "demo") -> IalgebraError:
    return IalgebraError(f'{what} needs {module}, which is not installed; run: pip install "ialgebra[{extra}]"')
