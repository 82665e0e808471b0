"""What a model is registered with, checked: a device, class names and a batch size in; the same in one form out.

Each function raises BindError that names the model and what would be right. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from numbers import Integral

import torch

from ..errors import BindError


def known_device(name: str, device: str | torch.device) -> torch.device:
    """The device, if this machine has it."""
    try:
        found = torch.device(device)
    except RuntimeError:
        raise BindError(f"unknown device '{device}' for model '{name}'; 'cpu' or 'cuda' is meant") from None
    if found.type == "meta":
        raise BindError(f"model '{name}' is to run on '{device}', which holds no numbers; use 'cpu' or 'cuda'")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise BindError(f"model '{name}' is to run on '{device}', but this machine has no CUDA device; use 'cpu'")
    try:
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise BindError(f"model '{name}' is to run on '{device}', which this machine does not have") from error
    return found


def class_names(name: str, classes: Iterable[str] | Mapping[int, str]) -> list[str]:
    """The names of the classes in order; a mapping from index to name leaves 'class 3' where it says nothing."""
    if isinstance(classes, Mapping):
        if not classes or any(isinstance(key, bool) or not isinstance(key, Integral) or key < 0 for key in classes):
            raise BindError(f"classes of model '{name}' must map class indices from 0 to names")
        named = {int(index): str(label) for index, label in classes.items()}
        return [named.get(index, f"class {index}") for index in range(max(named) + 1)]
    labels = [] if isinstance(classes, str | Set) or not isinstance(classes, Iterable) else list(classes)
    if not labels or not all(isinstance(label, str) for label in labels):
        raise BindError(f"classes of model '{name}' must be a list of names, or map class indices to names")
    return [str(label) for label in labels]


def check_class_count(name: str, classes: Iterable[str] | Mapping[int, str], count: int) -> None:
    """Raise BindError if the names are not as many as the classes of which the model itself tells, `count`.

    One name for two classes names their one column, two names for one column make two classes, and a mapping may leave
    names out.
    """
    given = len(class_names(name, classes))
    fits = given <= count if isinstance(classes, Mapping) else given == count
    if not fits and {given, count} != {1, 2}:
        raise BindError(f"model '{name}' has {count} classes, but {given} class names were given")


def positive(name: str, batch_size: int) -> int:
    """The batch size, if it is one."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise BindError(f"batch_size of model '{name}' is {batch_size!r}; a positive integer is needed")
    return int(batch_size)


def version_name(name: str, version: str) -> str:
    """The version, if it is a text."""
    if not isinstance(version, str) or not version:
        raise BindError(f"version of model '{name}' is {version!r}; a text that is not empty is needed")
    return version
