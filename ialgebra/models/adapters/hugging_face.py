"""Models and pipelines of Hugging Face: what they bring with them, a tokenizer, a processor of pictures, and whether
they name the next token.

In: a pipeline, or a module. Out: what a query runs, or None for anything else. The library is not imported: a pipeline
is known by its class, a language model by its methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from .opened import Opened

_PIPELINES = "transformers.pipelines."


def opened(model: object) -> Opened | None:
    """The model of a pipeline, with its tokenizer and its processor of pictures; a language model, whose next token is
    explained; None for anything else."""
    if isinstance(model, nn.Module):
        return Opened(model, reduce="last") if names_next_token(model) else None
    if not any(base.__module__.startswith(_PIPELINES) for base in type(model).__mro__):
        return None
    inner = getattr(model, "model", None)
    if not isinstance(inner, nn.Module):
        return None
    processor = getattr(model, "image_processor", None)
    return Opened(
        inner,
        tokenizer=getattr(model, "tokenizer", None),
        preprocess=None if processor is None else pictures(processor),
        reduce="last" if names_next_token(inner) else None,
    )


def speaks(model: object) -> bool:
    """Whether a model's outputs are tokens of a vocabulary, which `config.id2label` does not name."""
    embeddings = getattr(model, "get_output_embeddings", None)
    try:
        return callable(embeddings) and embeddings() is not None
    except (AttributeError, NotImplementedError):
        return False


def names_next_token(model: object) -> bool:
    """Whether a model's outputs (B, T, V) are the next token at each position."""
    generates = getattr(model, "can_generate", None)
    encodes = bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))
    try:
        return callable(generates) and bool(generates()) and not encodes and speaks(model)
    except (AttributeError, TypeError):
        return False


def pictures(processor: Callable[..., object]) -> Callable[[Tensor], object]:
    """A function from pictures (B, C, H, W) to what a processor makes of them."""

    def processed(batch: Tensor) -> object:
        numbers = batch if batch.dtype == torch.uint8 else batch.float()
        said = {"return_tensors": "pt", "input_data_format": "channels_first"}
        return dict(cast("Any", processor)(images=list(numbers.cpu().numpy()), **said))

    return processed
