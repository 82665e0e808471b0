"""Pictures whose numbers are pixels, 0 … 255, for a network that was perhaps trained on others.

In: a model that has run, and a registered input. Out: a warning in words, or nothing. It may not know queries or plans.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..algebra.edits.pictures import LARGE
from ..algebra.packings import plain
from ..models.network import Network
from .inputs import Entry


def doubt(network: Network, entry: Entry, others: Iterable[Entry]) -> str:
    """A warning about a module that is given pixels as they are; empty where nothing speaks against that.

    What speaks against it: the module refuses uint8, so that it does nothing with pixels of its own, or another picture
    of the same session holds small numbers only.
    """
    if entry.kind != "image" or network.preprocess is not None or not isinstance(network.module, nn.Module):
        return ""
    held = entry.example.tensor
    if not holds_pixels(held):
        return ""
    small = next((each.name for each in others if each.kind == "image" and not _is_large(each.example.tensor)), "")
    if held.dtype == torch.uint8 and network.refuses(torch.uint8):
        reason = f"it refuses uint8, so that it is given the pixels 0…255 of '{entry.name}' as fractions"
    elif small:
        reason = f"it is given '{entry.name}', which holds pixels 0…255, while '{small}' holds numbers of another scale"
    else:
        return ""
    return (
        f"may be given numbers of the wrong scale: {reason}; a network that was trained on others answers wrongly. "
        f"Register it with what it was trained with, as in register_model('{network.name}', net, "
        "preprocess=lambda batch: batch / 255), or register the picture as the network wants it"
    )


def holds_pixels(tensor: torch.Tensor) -> bool:
    """Whether all numbers are whole and from 0 to 255, and some are too large for another scale."""
    numbers = plain(tensor).double()
    return _is_large(tensor) and bool(((numbers >= 0) & (numbers <= 255) & (numbers == numbers.round())).all())


def _is_large(tensor: torch.Tensor) -> bool:
    return bool(plain(tensor).double().abs().max() > LARGE)
