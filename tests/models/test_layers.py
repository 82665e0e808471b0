"""Layers are found in the order of execution, named for their modules, and cut where they end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ialgebra.errors import BindError
from ialgebra.kernels.forward import Tap, tapped
from ialgebra.models.network import Network
from tests.models.zoo import (
    BertClassifier,
    Efficient,
    Functional,
    MobileNet,
    Recurrent,
    ResNet,
    TextConv,
    Vgg,
    Wrapped,
    images,
    plain,
    seeded,
    tokens,
)


def probed(model: nn.Module, row: Tensor, layers: list[object] | None = None) -> Network:
    network = Network("f", model, layers=layers)  # type: ignore[arg-type]  # tests give wrong ones too
    network.probe(row)
    return network


def names(network: Network) -> list[str]:
    return [layer.name for layer in network.layers]


def test_layers_of_a_sequential_are_its_children() -> None:
    network = probed(seeded(plain), images(1)[0])
    assert names(network) == ["0", "1", "2", "3", "4", "5", "6"]
    assert [layer.index for layer in network.layers] == [1, 2, 3, 4, 5, 6, 7]
    assert [layer.shape for layer in network.layers] == [
        (5, 14, 14), (5, 14, 14), (6, 12, 12), (6, 12, 12), (6, 1, 1), (6,), (4,)
    ]  # fmt: skip
    assert network.depth == 7
    assert network.class_count == 4


def test_a_module_at_two_places_of_a_sequential_is_two_layers() -> None:
    act = nn.Tanh()
    network = probed(seeded(lambda: nn.Sequential(nn.Linear(4, 3), act, nn.Linear(3, 3), act)), torch.rand(4))
    assert names(network) == ["0", "1", "2", "3"]
    assert [layer.tap for layer in network.layers][1::2] == [Tap(act, 0), Tap(act, 1)]
    assert network.depth == 4


@pytest.mark.parametrize(
    "wrap", [nn.Sequential, Wrapped, lambda net: nn.Sequential(nn.Identity(), net), lambda net: Wrapped(Wrapped(net))]
)
def test_a_wrapper_is_opened(wrap: Callable[[nn.Module], nn.Module]) -> None:
    network = probed(seeded(lambda: wrap(ResNet())), images(1)[0])
    inner = [name.rsplit(".", 1)[-1] for name in names(network)]
    assert inner[-5:] == ["conv1", "layer1", "layer2", "layer3", "fc"]
    assert network.depth == len(network.layers)


CASES: list[tuple[Callable[[], nn.Module], Tensor, list[str], list[tuple[int, ...]], int | None]] = [
    (
        ResNet, images(1)[0],
        ["conv1", "layer1", "layer2", "layer3", "fc"],
        [(8, 8, 8), (8, 8, 8), (12, 4, 4), (16, 2, 2), (5,)], 5,
    ),
    (
        Efficient, images(1)[0],
        ["_conv_stem", "_blocks.0", "_blocks.1", "_blocks.2", "_conv_head", "_fc"],
        [(8, 8, 8), (8, 8, 8), (12, 4, 4), (12, 4, 4), (20, 4, 4), (5,)], 6,
    ),
    (
        Vgg, images(1)[0],
        ["features.0", "features.2", "features.5", "features.7", "classifier.0", "classifier.3", "classifier.5"],
        [(4, 16, 16), (4, 8, 8), (6, 8, 8), (6, 2, 2), (10,), (8,), (5,)], 7,
    ),
    (
        MobileNet, images(1)[0],
        ["features.0", "features.1", "features.2", "features.3", "classifier"],
        [(6, 8, 8), (6, 8, 8), (8, 4, 4), (8, 4, 4), (5,)], 5,
    ),
    (
        BertClassifier, tokens(1)[0],
        ["bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1", "bert.encoder.layer.2", "classifier"],
        [(9, 8), (9, 8), (9, 8), (9, 8), (3,)], 5,
    ),
    (Recurrent, tokens(1)[0], ["embedding", "lstm", "fc"], [(9, 6), (9, 7), (2,)], 3),
    (TextConv, tokens(1)[0], ["embedding", "conv", "fc"], [(9, 6), (8, 7), (2,)], 3),
    (Functional, images(1)[0], ["conv1", "conv2", "fc"], [(4, 14, 14), (5, 12, 12), (4,)], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "row", "expected", "shapes", "depth"), CASES, ids=lambda v: getattr(v, "__name__", None)
)
def test_stages_are_found_in_order_of_execution(
    build: Callable[[], nn.Module], row: Tensor, expected: list[str], shapes: list[tuple[int, ...]], depth: int | None
) -> None:
    network = probed(seeded(build), row)
    assert names(network) == expected
    assert [layer.shape for layer in network.layers] == shapes
    assert network.depth == depth
    assert [layer.is_output for layer in network.layers] == [layer.index == depth for layer in network.layers]


def test_a_merged_layer_is_cut_after_its_last_module() -> None:
    model = seeded(Efficient)
    taps = [layer.tap for layer in probed(model, images(1)[0]).layers]
    assert taps[0] == Tap(model._swish, 0)
    assert taps[4] == Tap(model._swish, 1)
    assert taps[5] == Tap(model._fc, 0)


@pytest.mark.parametrize(
    ("build", "row", "pools"),
    [
        (ResNet, images(1)[0], [(2, 3)] * 4 + [()]),  # (B, C, H, W): over space
        (BertClassifier, tokens(1)[0], [(1,)] * 4 + [()]),  # (B, T, E): over tokens
        (Recurrent, tokens(1)[0], [(1,), (1,), ()]),
        (TextConv, tokens(1)[0], [(1,), (2,), ()]),  # (B, C, L) after a Conv1d: over length
    ],
)
def test_heads_average_over_space_or_time(
    build: Callable[[], nn.Module], row: Tensor, pools: list[tuple[int, ...]]
) -> None:
    assert [layer.pool for layer in probed(seeded(build), row).layers] == pools


def test_channels_last_images_are_averaged_over_space() -> None:
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, 4)
            self.mix = nn.Linear(8, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.mix(self.patches(x).permute(0, 2, 3, 1)).mean(dim=(1, 2)))

    layers = probed(seeded(ChannelsLast), images(1)[0]).layers
    assert [(layer.shape, layer.pool, layer.features) for layer in layers] == [
        ((8, 4, 4), (2, 3), 8),
        ((4, 4, 6), (1, 2), 6),
        ((2,), (), 2),
    ]


def test_calls_without_a_batch_first_tensor_are_no_layers() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(20, 6)
            self.lstm = nn.LSTM(6, 7)
            self.fc = nn.Linear(7, 2)

        def forward(self, ids: Tensor) -> Tensor:
            return self.fc(self.lstm(self.embedding(ids).transpose(0, 1))[0][-1])

    assert names(probed(seeded(TimeFirst), tokens(1)[0])) == ["embedding", "fc"]


@pytest.mark.parametrize(
    "tail",
    [lambda y: torch.softmax(y, 1), lambda y: y * 1.0, lambda y: y.add_(1.0), lambda y: y[:, :2], lambda y: y.sum(1)],
    ids=["softmax", "scale", "in place", "slice", "sum"],
)
def test_the_last_layer_is_not_the_output_if_anything_follows_it(tail: Callable[[Tensor], Tensor]) -> None:
    class Tailed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return tail(self.last(self.first(x)))

    assert probed(seeded(Tailed), torch.rand(4)).depth is None


@pytest.mark.parametrize(
    "tail", [lambda y: y.squeeze(1), lambda y: y.view(-1), lambda y: (y, None), lambda y: {"out": y}, lambda y: y]
)
def test_the_last_layer_is_the_output_however_it_is_packed(tail: Callable[[Tensor], object]) -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> object:
            return tail(self.last(self.first(x)))

    network = probed(seeded(Packed), torch.rand(4))
    assert network.depth == 2
    assert network.class_count == 1


def test_a_single_module_is_one_layer() -> None:
    network = probed(nn.Linear(4, 3), torch.rand(4))
    assert names(network) == ["Linear"]
    assert network.depth == 1


def test_a_module_that_calls_none_but_itself_inside_script_is_one_layer() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 3))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight

    assert probed(Product(), torch.rand(4)).depth == 1


# Layers that the user names ------------------------------------------------------------------------------------


def test_named_layers_are_tapped_right_after_their_module() -> None:
    model = seeded(ResNet)
    network = probed(model, images(1)[0], ["conv1", "layer2.0", model.layer3, ("pooled", model.avgpool)])
    assert names(network) == ["conv1", "layer2.0", "layer3", "pooled"]
    assert [layer.tap.module for layer in network.layers] == [model.conv1, model.layer2[0], model.layer3, model.avgpool]
    assert network.depth is None


def test_a_tap_names_one_of_several_calls() -> None:
    model = seeded(Efficient)
    network = probed(model, images(1)[0], [("stem", Tap(model._swish, 0)), ("top", Tap(model._swish, 1)), "_fc"])
    assert [layer.shape for layer in network.layers] == [(8, 8, 8), (20, 4, 4), (5,)]
    assert network.depth == 3


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["layr1"], "unknown layer 'layr1'; did you mean 'layer1'?"),
        ([nn.ReLU()], "is no module of the model"),
        ([3], "is no module of the model"),
        (["conv1", "conv1"], "layer 'conv1' is listed twice"),
        ([], "layers is an empty list"),
        ("conv1", "layers of model 'f' must be a list, not one str"),
        (["layer2", "layer1"], "layer 'layer1' runs before 'layer2'; list layers in the order in which they run"),
        (["layer1.0.relu"], "layer 'layer1.0.relu' runs 2 times in a pass; say which call: (name, Tap(module, call))"),
        (["unused"], "layer 'unused' never runs in a forward pass"),
    ],
)
def test_layers_that_cannot_be_are_refused_by_name(layers: list[object], message: str) -> None:
    model = seeded(ResNet)
    model.unused = nn.Linear(2, 2)
    with pytest.raises(BindError) as caught:
        probed(model, images(1)[0], layers)
    assert message in caught.value.message


def test_a_tap_beyond_the_calls_is_refused() -> None:
    model = seeded(Efficient)
    with pytest.raises(BindError, match=r"runs 2 times in a pass; call 2 is none of 0…1"):
        probed(model, images(1)[0], [("stem", Tap(model._swish, 2))])


def test_probing_leaves_no_hook_behind() -> None:
    model = seeded(ResNet)
    probed(model, images(1)[0])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_every_layer_can_be_cut() -> None:
    model, batch = seeded(ResNet), images(3)
    for layer in probed(model, batch[0]).layers:
        (value,), raw = tapped(model, batch, [layer.tap], output=False)
        assert raw is None
        assert value.shape == (3, *layer.shape)
