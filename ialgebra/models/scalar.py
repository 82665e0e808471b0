"""The explained scalar as a module of its own, through which gradients flow: a batch (B, *shape) in, (B,) out.

The scalar is one class of the model, or of the head of a layer, as the output kind says. The module counts the rows
that go through the model, forward and backward. `asking` is the frame in which others may use it: afterwards the model
is as it was. Knows networks and tensors: no query, no plan.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ..algebra.packings import plain
from ..errors import IalgebraError, ModelError
from ..kernels.forward import tapped, uncompiled
from ..system import forking
from ..system.shortage import is_out_of_memory
from .adapters.results import logits
from .network import Network
from .outputs import column

_generators = forking.lock()


class ExplainedScalar(nn.Module):
    """Class `target` of f_l (None: the model itself) as `output`; `rows` and `passes` count what went through it.

    Raises ModelError where the model fails, or returns what is no finite number.
    """

    def __init__(self, network: Network, layer: int | None, target: int, output: str) -> None:
        super().__init__()
        self.model = uncompiled(network.module)
        self._called = network.called(self.model)
        self.network = network
        self.head = None if layer is None else network.require_head(layer)
        self.tap = None if layer is None or self.head is None else network.layers[layer - 1].tap
        self.target, self.output = target, output
        self.training = False  # set by hand: the method would set the model's own too
        self.rows = self.passes = 0

    def forward(self, batch: Tensor) -> Tensor:
        self.rows += len(batch)
        self.passes += 1
        try:
            numbers = self.network.given(batch, self._in_batches)
        except ModelError as error:
            raise ModelError(f"model '{self.network.name}' {error.message}") from error
        except IalgebraError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"model '{self.network.name}' raised {type(error).__name__}: {error}") from error
        if not bool(torch.isfinite(numbers).all()):
            row = int((~torch.isfinite(numbers).all(dim=1)).nonzero()[0])
            raise ModelError(
                f"model '{self.network.name}' returned NaN or infinity for row {row} of a batch of {len(numbers)}; "
                "finite numbers are needed"
            )
        if numbers.requires_grad:
            numbers.register_hook(self._back)  # type: ignore[no-untyped-call]
        reading = self.network.outputs
        return column(numbers, self.target, self.output, reading if self.head is None else reading.head)

    def quietly(self, batch: Tensor) -> None:
        """A pass that is not counted, for those who look at what happens inside."""
        self._logits(self.network.ready(batch))

    def _in_batches(self, ready: Tensor) -> Tensor:
        """The logits of a batch, in batches that the model takes."""
        found = [self._logits(rows)[:count] for _, rows, count in self.network.batches(ready)]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _logits(self, ready: Tensor) -> Tensor:
        given = ready.clone()  # the model may write to it
        if self.tap is None or self.head is None:
            return logits(self._called(given), len(given))
        (found,), _ = tapped(self._called, given, [self.tap], False, [self.head])
        return found

    def _back(self, gradient: Tensor) -> None:
        self.rows += len(gradient)


class PresenceScalar(nn.Module):
    """An explained scalar of what is present: numbers (B, *shape) of 1 where a feature is as in the input and 0 where
    it is as in the background. For rows whose values are no numbers, with which a method may not calculate."""

    def __init__(self, scalar: ExplainedScalar, ends: Tensor) -> None:
        super().__init__()
        self.scalar = scalar
        self.full, self.empty = ends[0], ends[1]
        self.training = False

    @property
    def ends(self) -> Tensor:
        """The input and the background, (2, *shape), as this scalar reads them."""
        return torch.stack([torch.ones_like(plain(self.full)), torch.zeros_like(plain(self.full))])

    def forward(self, batch: Tensor) -> Tensor:
        found: Tensor = self.scalar(torch.where(batch > 0.5, self.full, self.empty))
        return found


@contextmanager
def asking(network: Network, seed: int) -> Iterator[None]:
    """A frame in which an interpreter may differentiate the model, hook it and draw at random.

    Weights take no gradients, and in-place activations compute in place no more, which hooks could not bear. Afterwards
    hooks, gradients, flags and the states of all generators are as they were.
    """
    # The frame of `running` puts back modes, devices and which weights take gradients; threads take turns at the model,
    # and at the generators, which are the process's.
    with network.running(), _generators, torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        network.touched()
        modules = list(network.module.modules()) if isinstance(network.module, nn.Module) else []
        parameters = list(network.module.parameters()) if isinstance(network.module, nn.Module) else []
        hooks = [(held, dict(held)) for module in modules for held in _hooks(module)]
        gradients = [(parameter, parameter.grad) for parameter in parameters]
        in_place = [module for module in modules if getattr(module, "inplace", None) is True]
        numbers, words, torchs = np.random.get_state(), random.getstate(), torch.get_rng_state()

        def restore() -> None:
            for module in in_place:
                module.inplace = True  # type: ignore[assignment]
            for held, before in hooks:
                if list(held) != list(before):
                    held.clear()
                    held.update(before)
            for parameter, gradient in gradients:
                parameter.grad = gradient
            np.random.set_state(numbers)
            random.setstate(words)

        def restore_in_child() -> None:
            restore()
            torch.set_rng_state(torchs)

        with forking.ended_in_child(restore_in_child):
            try:
                torch.manual_seed(seed % 2**63)
                np.random.seed(seed % 2**32)
                random.seed(seed)
                for parameter in parameters:
                    parameter.requires_grad_(False)
                for module in in_place:
                    module.inplace = False  # type: ignore[assignment]
                yield
            finally:
                restore()


def _hooks(module: nn.Module) -> list[dict[int, object]]:
    """The dictionaries in which a module keeps its hooks."""
    return [held for name, held in vars(module).items() if name.endswith("_hooks") and isinstance(held, dict)]
