"""Packages of the `demo` extra, which hold networks, weights and photos: imported, or found, when they are needed.

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


def _missing(module: str) -> IalgebraError:
    return IalgebraError(f'the demo needs {module}, which is not installed; run: pip install "ialgebra[demo]"')
