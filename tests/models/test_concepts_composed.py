"""Models that are made of a registered model and a dictionary answer as the equations say."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ialgebra.models import Network
from ialgebra.models.concepts import ConceptHead, Dictionary, activations_of, surrogate_of


class _Arm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.linear(hidden).relu()


def _parts() -> tuple[Network, Dictionary, nn.Sequential]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    network = Network("f", model, classes=["cat", "dog"])
    network.probe(torch.zeros(4))
    head = ConceptHead(torch.randn(2, 3), torch.randn(2))
    layer = network.layers[1].name
    return network, Dictionary("concepts", "given", {"f": (layer,)}, ("a0", "a1", "a2"), _Arm(), {"f": head}), model


def test_attributes_and_surrogate_are_the_equations() -> None:
    network, dictionary, model = _parts()
    x = torch.randn(5, 4)
    hidden = model[1](model[0](x))
    attributes = dictionary.encoder(hidden)
    derived = activations_of("f", {"f": network}, dictionary)
    assert torch.equal(derived.forward(x, [None])[None], attributes)
    assert [derived.class_name(index) for index in range(3)] == ["a0", "a1", "a2"]
    g = surrogate_of("f", {"f": network}, dictionary)
    head = dictionary.heads["f"]
    torch.testing.assert_close(g.forward(x, [None])[None], attributes @ head.weight.T + head.bias)
    assert [g.class_name(index) for index in range(2)] == ["cat", "dog"]


def test_a_change_of_the_model_is_a_change_of_what_is_made_of_it() -> None:
    network, dictionary, model = _parts()
    derived = activations_of("f", {"f": network}, dictionary)
    derived.probe(torch.zeros(4))
    before = derived.fingerprint()
    assert derived.fingerprint() == before
    with torch.no_grad():
        model[0].weight[0, 0] += 1
    assert derived.fingerprint() != before
