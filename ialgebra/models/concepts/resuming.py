"""A model from one of its layers on, as a network of an input's attributes: v(S) = f_{>l}(Σ_{j∈S} u_j d_j + residual).

In: a model, a dictionary of directions of one layer, a row. Out: a network of codes (B, J), which gives what the model
itself makes of the layer's output when attributes are taken away; with the code of the row it is f(x). What is not of
the attributes stays as it is for this row: the residual, and whatever the rest of the model reads beside the layer.
Knows no query and no registered input.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...errors import BindError
from ...kernels.forward import Tap, eagerly, hooked, tapped, uncompiled
from ..adapters.results import logits
from ..calls import CalledByForm
from ..network import Network
from .composed import tap_of
from .dictionary import Dictionary
from .encoders import NonnegativeEncoder, SparseEncoder, places_last
from .played import PlayedNetwork

_NOISES = 4  # by which it is seen whether the rest of the model reads the layer
PASSES, CHECKS = 1, 2 + _NOISES
"""What `resumed_of` runs for a row: the pass that it begins with, and those by which the network is checked."""

_CLOSE = 1e-4  # of the spread of outputs, by which the answer for the whole code may differ from the model's own


class Resumed(nn.Module):
    """What a model makes (B, …) of codes (B, J) of one row (1, *shape)."""

    row: Tensor
    code: Tensor
    shapes: Tensor
    directions: Tensor
    residual: Tensor

    def __init__(self, network: Network, tap: Tap, dictionary: Dictionary, row: Tensor) -> None:
        super().__init__()
        encoder = dictionary.encoder
        assert isinstance(encoder, NonnegativeEncoder | SparseEncoder)
        model = uncompiled(network.module)
        assert isinstance(model, nn.Module)
        self.model, self.tap, self.pool = model, tap, encoder.pool
        self.call: CalledByForm = network.called(model)
        ready = network.ready(row)
        with network.running(), torch.inference_mode(False), torch.no_grad():
            network.touched()
            (hidden,), _ = tapped(self.call, ready, [tap], output=False)
            maps = encoder.maps(hidden)  # (1, J, P)
        self.form = tuple(hidden.shape[1:])
        placed = places_last(hidden, self.pool).to(maps.dtype)
        code = maps.mean(dim=2)
        # How each attribute lies over the positions: all of it where it is 0 here, so that it may come from elsewhere.
        shapes = torch.where(code[..., None] > 0, maps / code.clamp(min=torch.finfo(code.dtype).tiny)[..., None], 1.0)
        directions = encoder.directions.to(maps.dtype)
        self.dtype = hidden.dtype
        self.register_buffer("row", ready.detach().clone())
        self.register_buffer("code", code[0].clone())
        self.register_buffer("shapes", shapes[0].clone())
        self.register_buffer("directions", directions.clone())
        self.register_buffer("residual", (placed - torch.einsum("bjp,jf->bfp", maps, directions))[0].clone())

    def forward(self, codes: Tensor) -> object:
        """What the model returns for codes (B, J)."""
        held = codes.to(self.residual.dtype)
        placed = torch.einsum("bj,jp,jf->bfp", held, self.shapes, self.directions) + self.residual
        return self.resumed(self.laid_out(placed).to(self.dtype))

    def laid_out(self, placed: Tensor) -> Tensor:
        """The layer's output (B, *shape) of features at positions (B, F, P)."""
        features = [dim for dim in range(1, len(self.form) + 1) if dim not in self.pool]
        order = [0, *features, *self.pool]
        sizes = [len(placed), *(self.form[dim - 1] for dim in order[1:])]
        back = [order.index(dim) for dim in range(len(order))]
        return placed.reshape(sizes).permute(back).contiguous()

    def resumed(self, hidden: Tensor) -> object:
        """What the model returns where the layer's output is `hidden` (B, *shape)."""
        if (after := _after(self.model, self.tap)) is not None and self.call.as_it_is(self.row):
            found: object = hidden
            for module in after:
                found = module(found)
            return found
        rows = self.row.expand(len(hidden), *self.row.shape[1:])
        calls = 0

        def put(module: nn.Module, _arguments: object, result: object) -> object:
            nonlocal calls
            calls += 1
            return _in_place_of(result, hidden) if calls == self.tap.call + 1 else result

        with hooked({self.tap.module}, put), eagerly():
            return self.call(rows.clone())


def _after(model: nn.Module, tap: Tap) -> list[Callable[[object], object]] | None:
    """The modules of a plain Sequential that run after the tapped one; None for another model."""
    if type(model) is not nn.Sequential or tap.call or model._forward_hooks or model._forward_pre_hooks:
        return None
    children = list(model)
    places = [place for place, each in enumerate(children) if each is tap.module]
    return list(children[places[0] + 1 :]) if len(places) == 1 else None


def _in_place_of(result: object, hidden: Tensor) -> object:
    """What a module returned, with another tensor in the place of its first one."""
    if isinstance(result, tuple):
        return (hidden, *result[1:])
    if isinstance(result, list):
        return [hidden, *result[1:]]
    return hidden


def _reads(made: PlayedNetwork, module: Resumed, own: Tensor) -> bool:
    """Whether the rest of the model answers otherwise where other numbers stand in the place of the layer's output."""
    chance = torch.Generator().manual_seed(0)
    noise = torch.randn(_NOISES, *module.residual.shape, generator=chance).to(module.residual)
    placed = module.residual + 10 * (module.residual.std() + module.residual.abs().max() + 1) * noise
    with made.running():
        made.touched()
        found = [logits(module.resumed(module.laid_out(each[None]).to(module.dtype)), 1)[0].double() for each in placed]
    return not all(torch.equal(each.cpu(), own.cpu()) for each in found)


def plays_on_model(dictionary: Dictionary) -> bool:
    """Whether a dictionary's attributes can be put back into its model: directions of one layer of one model."""
    (layers, *others) = dictionary.layers.values()
    known = isinstance(dictionary.encoder, NonnegativeEncoder | SparseEncoder)
    return known and not others and len(layers) == 1


def resumed_of(name: str, network: Network, dictionary: Dictionary, row: Tensor) -> PlayedNetwork:
    """The network `name` of the codes of a row (*shape), as the model is given it. Raises BindError where what lies
    after the layer does not give the model's own answer for the whole code, or does not read the layer."""
    module = Resumed(network, tap_of(network, dictionary.layers[network.name][0]), dictionary, row[None])
    classes = tuple(network.class_name(index) for index in range(network.class_count))
    said = network.outputs.meaning
    made = PlayedNetwork(name, module, None, classes, output=network.output, outputs=said)
    made.made_of = dictionary, network
    made.probe(module.code)
    own = network.forward(row[None], [None])[None][0].double()
    again = made.forward(module.code[None], [None])[None][0].double()
    spread = max(float((own.max() - own.min()).abs()), float(own.abs().max()), 1e-12)
    if float((own - again).abs().max()) > _CLOSE * spread or not _reads(made, module, own):
        raise BindError(
            f"model '{network.name}' cannot be run on from layer '{dictionary.layers[network.name][0]}': it does not "
            f"answer as before when the layer's own output is put back; ask its surrogate, {network.name}.g(x, …)"
        )
    return made
