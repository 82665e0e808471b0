"""The explained scalar as a function of a text's embedded tokens, through which gradients flow.

In: a scalar and one row of ids. Out: the embeddings of rows (T, E), and a module from batches of them (B, T, E) to
scalars (B,), which count as the scalar's own. What the model makes of positions, types and masks is that of the row.
Knows networks and tensors: no query, no plan.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import BindError
from ..kernels.forward import hooked
from .scalar import ExplainedScalar


def embeddings(model: object) -> list[nn.Embedding]:
    """The modules that may embed a model's tokens: what it says itself, or every embedding in it."""
    own = getattr(model, "get_input_embeddings", None)
    try:
        found = own() if callable(own) else None
    except (AttributeError, NotImplementedError):
        found = None
    if isinstance(found, nn.Embedding):
        return [found]
    return [each for each in model.modules() if isinstance(each, nn.Embedding)] if isinstance(model, nn.Module) else []


class EmbeddedScalar(nn.Module):
    """`scalar` of texts whose tokens' embeddings are given, and whose ids and mask are those of `row` (T,). Raises
    BindError where no one embedding of the model is given the tokens."""

    def __init__(self, scalar: ExplainedScalar, row: Tensor) -> None:
        super().__init__()
        self.scalar, self.row = scalar, row
        self.training = False
        self.embedding = self._found()

    def embedded(self, ids: Tensor) -> Tensor:
        """The embeddings (T, E) that the model makes of a row of tokens (T,)."""
        seen: list[Tensor] = []
        with hooked({self.embedding}, lambda _module, _inputs, out: seen.append(out)), torch.no_grad():
            self.scalar.quietly(ids.unsqueeze(0))
        return seen[0][0].detach()

    def forward(self, batch: Tensor) -> Tensor:
        def given(_module: nn.Module, _inputs: object, out: Tensor) -> object:
            return batch.to(out.dtype) if out.shape == batch.shape else None

        with hooked({self.embedding}, given):
            found: Tensor = self.scalar(self.row.unsqueeze(0).expand(len(batch), -1))
        return found

    def _found(self) -> nn.Embedding:
        """The embedding whose output has a place for each token, and that is given ids of a vocabulary."""
        known, calls = embeddings(self.scalar.model), list[tuple[nn.Embedding, Tensor]]()

        def note(module: nn.Embedding, inputs: tuple[Tensor, ...], _out: object) -> None:
            calls.append((module, inputs[0]))

        with hooked(set(known), note), torch.no_grad():
            self.scalar.quietly(self.row.unsqueeze(0))
        arguments = self.scalar.network.tokens
        named = None if arguments is None else arguments.arguments(self.row.unsqueeze(0))
        ids = self.row.unsqueeze(0) if named is None else named["input_ids"]
        own = [module for module, given in calls if given.shape == ids.shape and bool((given == ids).all())]
        if len(set(own)) != 1:
            raise BindError(
                f"model '{self.scalar.network.name}' has {len(set(own))} embeddings that are given the tokens; "
                "gradients of tokens are those of one nn.Embedding; ask using shapley(), or a method that replaces them"
            )
        return own[0]
