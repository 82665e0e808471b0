"""Models that are made of a registered model and a dictionary: its attributes of an input, and its surrogate g.

In: networks and a dictionary. Out: networks that take the same inputs. They hold the registered models themselves, so
that a change of one is a change of what is made of it. Knows no query and no registered input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from ...errors import BindError, did_you_mean
from ...kernels.forward import Tap, tapped, uncompiled
from ..adapters.opened import Runs
from ..calls import CalledByForm
from ..network import Network
from .dictionary import ConceptHead, Dictionary


class Attributes(nn.Module):
    """Attributes (B, J) of inputs (B, *shape): the tapped layers of each model, read by the encoder."""

    def __init__(self, networks: Mapping[str, Network], dictionary: Dictionary) -> None:
        super().__init__()
        self.models = nn.ModuleList([each.module for each in networks.values() if isinstance(each.module, nn.Module)])
        self.encoder = dictionary.encoder
        self.calls: list[CalledByForm] = []
        self.taps: list[tuple[Tap, ...]] = []
        for name, network in networks.items():
            self.taps.append(tuple(tap_of(network, layer) for layer in dictionary.layers[name]))
            self.calls.append(network.called(uncompiled(network.module)))
        # An encoder of the input itself is called as the model is.
        self.on_input = None
        if not any(self.taps):
            self.on_input = replace(next(iter(networks.values())).called(dictionary.encoder), reduce=None)

    def forward(self, batch: Tensor) -> Tensor:
        """The attributes of a batch, as the registered models are given it."""
        if self.on_input is not None:
            return cast(Tensor, self.on_input(batch))
        outputs: list[Tensor] = []
        for call, taps in zip(self.calls, self.taps, strict=True):
            outputs += tapped(call, batch, taps, output=False)[0]
        found: Tensor = self.encoder(*outputs)
        return found


def tap_of(network: Network, name: str) -> Tap:
    """Where the output of a layer is read, or that of a submodule, by its path in the model. The network has to be
    probed. Raises BindError with the nearest name."""
    layers = {layer.name: layer.tap for layer in network.layers}
    module = uncompiled(network.module)
    paths = dict(module.named_modules()) if isinstance(module, nn.Module) else {}
    paths.pop("", None)
    if name in layers:
        return layers[name]
    if name not in paths:
        hint = did_you_mean(name, [*layers, *(path for path in paths if path not in layers)])
        raise BindError(f"model '{network.name}' has no layer '{name}'{hint}")
    return Tap(paths[name])


class Surrogate(nn.Module):
    """g: logits (B, C) of inputs (B, *shape) by their attributes alone."""

    weight: Tensor
    bias: Tensor

    def __init__(self, attributes: Attributes, head: ConceptHead) -> None:
        super().__init__()
        self.attributes = attributes
        self.register_buffer("weight", head.weight)
        self.register_buffer("bias", head.bias)

    def forward(self, batch: Tensor) -> Tensor:
        """The logits of a batch."""
        return ConceptHead(self.weight, self.bias)(self.attributes(batch))


class DerivedNetwork(Network):
    """A network that is given inputs as another one, `of`, is given them: with their packing, tokens with their mask,
    on its device, in batches of its size. `made_of` are the values that it was made of, none of which is copied."""

    def __init__(
        self,
        name: str,
        module: nn.Module,
        of: Network,
        classes: tuple[str, ...],
        outputs: str,
        made_of: tuple[object, ...] = (),
    ) -> None:
        super().__init__(
            name,
            module,
            None,
            classes,
            device=of.device,
            batch_size=of.batch_size,
            outputs=outputs,
            train_mode=of.train_mode,
            version=of.version,
        )
        self.of, self.made_of = of, made_of
        self.tokens, self.tokenizer = of.tokens, of.tokenizer

    def called(self, module: Runs) -> CalledByForm:
        """The module itself, which calls the registered model as that is called."""
        return CalledByForm(module, direct=True)


def activations_of(model: str, networks: Mapping[str, Network], dictionary: Dictionary) -> DerivedNetwork:
    """`f.concepts`: the attributes (B, J) of an input of `model`, one output each. The networks have to be probed."""
    attributes = Attributes(networks, dictionary)
    made_of = (dictionary, *networks.values())
    return DerivedNetwork(
        f"{model}.{dictionary.name}", attributes, networks[model], dictionary.names, "values", made_of
    )


def surrogate_of(
    model: str, networks: Mapping[str, Network], dictionary: Dictionary, name: str | None = None
) -> DerivedNetwork:
    """`f.g`, or of this `name`: the surrogate's logits (B, C) for an input of `model`, with the classes of `model`."""
    network = networks[model]
    classes = tuple(network.class_name(index) for index in range(network.class_count))
    module = Surrogate(Attributes(networks, dictionary), dictionary.heads[model])
    meaning = network.outputs.meaning
    return DerivedNetwork(
        *(name or f"{model}.g", module, network, classes),
        meaning if meaning in ("values", "multilabel") else "logits",
        (dictionary, *networks.values()),
    )
