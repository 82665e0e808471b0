"""A network's f_l are what their definition says; hostile models end in errors that name the fault."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, ModelError
from ialgebra.models.head import Head
from ialgebra.models.network import Network
from ialgebra.system.shortage import is_out_of_memory
from tests.models.zoo import (
    BertClassifier,
    Efficient,
    Functional,
    Recurrent,
    ResNet,
    TextConv,
    images,
    plain,
    seeded,
    tokens,
)


def random_heads(network: Network) -> None:
    generator = torch.Generator().manual_seed(1)
    for layer in network.layers:
        if not layer.is_output:
            weight = torch.randn(network.class_count, layer.features, generator=generator)
            network.heads[layer.index] = Head(weight, torch.randn(network.class_count, generator=generator), layer.pool)


def resnet_cut(model: nn.Module, batch: Tensor) -> list[Tensor]:
    """The activations after ResNet's four stages, by hand."""
    x = model.maxpool(model.relu(model.bn1(model.conv1(batch))))
    one = model.layer1(x)
    two = model.layer2(one)
    return [x, one, two, model.layer3(two)]


def test_f_l_is_the_truncated_model_with_its_mean_and_linear_head() -> None:
    model, batch = seeded(ResNet), images(5)
    network = Network("f", model)
    network.probe(batch[0])
    random_heads(network)
    values = network.forward(batch, [1, 2, 3, 4, 5, None])
    with torch.no_grad():
        for index, activation in enumerate(resnet_cut(model, batch), start=1):
            head = network.heads[index]
            literal = activation.mean(dim=(2, 3)) @ head.weight.T + head.bias
            assert torch.allclose(values[index], literal, rtol=1e-5, atol=1e-6)
        assert torch.equal(values[5], model(batch))
        assert torch.equal(values[None], values[5])


def test_heads_of_token_layers_average_over_tokens() -> None:
    model, batch = seeded(TextConv), tokens(4)
    network = Network("f", model)
    network.probe(batch[0])
    random_heads(network)
    values = network.forward(batch, [1, 2])
    with torch.no_grad():
        embedded = model.embedding(batch)
        convolved = torch.relu(model.conv(embedded.mT))
    one, two = network.heads[1], network.heads[2]
    assert torch.allclose(values[1], embedded.mean(dim=1) @ one.weight.T + one.bias, atol=1e-6)
    assert torch.allclose(values[2], convolved.mean(dim=2) @ two.weight.T + two.bias, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "batch"),
    [(Efficient, images(3)), (BertClassifier, tokens(3)), (Recurrent, tokens(3)), (Functional, images(3))],
)
def test_layers_read_together_are_those_read_alone(build: Callable[[], nn.Module], batch: Tensor) -> None:
    network = Network("f", seeded(build))
    network.probe(batch[0])
    random_heads(network)
    wanted = [None, *(layer.index for layer in network.layers)]
    together = network.forward(batch, wanted)
    for layer in wanted:
        assert torch.allclose(network.forward(batch, [layer])[layer], together[layer], rtol=1e-5, atol=1e-6)
        assert together[layer].shape == (3, network.class_count)


def test_a_pass_runs_no_deeper_than_the_deepest_layer_asked() -> None:
    model = seeded(ResNet)
    network = Network("f", model)
    network.probe(images(1)[0])
    random_heads(network)
    ran: list[str] = []
    model.layer2.register_forward_hook(lambda *_: ran.append("layer2"))
    model.fc.register_forward_hook(lambda *_: ran.append("fc"))
    network.forward(images(2), [1, 2])
    assert ran == []
    network.forward(images(2), [1, 3])
    assert ran == ["layer2"]


def test_probing_is_one_pass_of_one_row_once() -> None:
    batches: list[int] = []

    class Counting(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            batches.append(len(x))
            return super().forward(x)

    network = Network("f", Counting(nn.Linear(3, 2)))
    network.probe(torch.rand(3))
    network.probe(torch.rand(3))
    assert batches == [1]


def test_train_mode_batch_norm_and_dropout_play_no_part() -> None:
    model, batch = seeded(Efficient), images(6)
    with torch.no_grad():
        expected = model(batch)
    model.train()
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    network = Network("f", model)
    assert torch.equal(network.forward(batch, [None])[None], expected)
    assert torch.equal(network.forward(batch[:1], [None])[None], model.eval()(batch[:1]))
    model.train()
    network.forward(batch, [None])
    assert all(module.training for module in model.modules())
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in model.named_buffers())


# Inputs of other dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.uint8, torch.int64])
def test_images_of_any_dtype_are_computed_in_the_parameters_dtype(dtype: torch.dtype) -> None:
    model, batch = seeded(ResNet), (images(3) * 255).to(dtype)
    network = Network("f", model)
    with torch.no_grad():
        assert torch.equal(network.forward(batch, [None])[None], model(batch.float()))


@pytest.mark.parametrize(("dtype", "result"), [(torch.float64, torch.float64), (torch.float16, torch.float32)])
def test_models_of_any_dtype_are_computed_in_their_own(dtype: torch.dtype, result: torch.dtype) -> None:
    model, batch = seeded(plain).to(dtype), images(3)
    network = Network("f", model)
    network.probe(batch[0])
    random_heads(network)
    values = network.forward(batch, [3, None])
    assert values[None].dtype == result
    with torch.no_grad():
        assert torch.equal(values[None], model(batch.to(dtype)).to(result))
        head = network.heads[3]
        literal = model[:3](batch.to(dtype)).float().mean(dim=(2, 3)) @ head.weight.T + head.bias
    assert torch.allclose(values[3], literal, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_tokens_stay_integers(dtype: torch.dtype) -> None:
    model, batch = seeded(Recurrent), tokens(3)
    with torch.no_grad():
        assert torch.equal(Network("f", model).forward(batch.to(dtype), [None])[None], model(batch))


def test_integer_ages_are_numbers_to_a_linear_layer() -> None:
    model, batch = seeded(lambda: nn.Sequential(nn.Linear(4, 2))), torch.randint(0, 90, (3, 4))
    with torch.no_grad():
        assert torch.equal(Network("f", model).forward(batch, [None])[None], model(batch.float()))


def test_a_model_that_writes_to_its_input_reaches_nobody_elses() -> None:
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            x[:, 0].mul_(0.5)
            return self.linear(x)

    network, row, batch = Network("f", Writing()), torch.zeros(3), torch.ones(4, 3)
    network.probe(row)
    first = network.forward(batch, [None])[None]
    assert torch.equal(batch, torch.ones(4, 3))
    assert torch.equal(network.forward(batch, [None])[None], first)


# Hostile models ------------------------------------------------------------------------------------


def failing(fault: Callable[[Tensor], object], at: int = 0) -> nn.Module:
    """A linear model whose output passes through `fault` from its pass number `at` on (0 is the probe)."""

    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.passes = nn.Linear(3, 2), 0

        def forward(self, x: Tensor) -> object:
            self.passes += 1
            y = self.linear(x)
            return fault(y) if self.passes > at else y

    return Failing().train()


def raising(error: BaseException) -> Callable[[Tensor], object]:
    def fault(_: Tensor) -> object:
        raise error

    return fault


def poisoned(value: float, row: int) -> Callable[[Tensor], object]:
    def fault(y: Tensor) -> object:
        y = y.clone()
        y[row, 1] = value
        return y

    return fault


@pytest.mark.parametrize(
    ("fault", "said", "row"),
    [
        (raising(ValueError("odd input")), "model 'f' raised ValueError: odd input", None),
        (poisoned(float("nan"), 2), "model 'f' returned NaN for row 2 of a batch of 4", 2),
        (poisoned(float("-inf"), 1), "model 'f' returned infinity for row 1 of a batch of 4", 1),
        (lambda y: y[:-1], "model 'f' returned 3 rows (3, 2) for a batch of 4", None),
        (lambda y: y[:, :1], "model 'f' returned 1 classes, before 2", None),
        (lambda y: y.tolist(), "model 'f' returned a list of list, list, list, list", None),
        (lambda y: {"a": y, "b": y}, "model 'f' returned a dict of 'a', 'b'", None),
        (lambda y: y[..., None], "model 'f' returned numbers at 2 positions of each row, (4, 2, 1)", None),
    ],
)
def test_a_fault_in_the_third_pass_is_a_named_error_and_the_next_pass_works(
    fault: Callable[[Tensor], object], said: str, row: int | None
) -> None:
    model = failing(fault, at=2)
    network = Network("f", model)
    network.probe(torch.rand(3))
    good = network.forward(torch.ones(4, 3), [None])[None]
    with pytest.raises(ModelError) as caught:
        network.forward(torch.ones(4, 3), [None])
    assert said in caught.value.message
    assert getattr(caught.value, "row", None) == row
    assert model.training
    model.passes = 0
    assert torch.equal(network.forward(torch.ones(4, 3), [None])[None], good)


def test_what_the_model_raised_is_chained() -> None:
    error = ValueError("odd input")
    with pytest.raises(ModelError) as caught:
        Network("f", failing(raising(error))).probe(torch.rand(3))
    assert caught.value.__cause__ is error


def test_a_layer_that_breaks_is_named() -> None:
    model = seeded(plain)
    network = Network("f", model)
    network.probe(images(1)[0])
    random_heads(network)
    network.heads[3].bias[0] = float("nan")
    with pytest.raises(ModelError, match=r"returned NaN at layer 3 \('2'\) for row 0 of a batch of 2"):
        network.forward(images(2), [3])
    model[2].register_forward_hook(lambda _module, _arguments, y: y[:1])
    with pytest.raises(ModelError, match=r"layer '2' returned \(1, 6, 12, 12\) for a batch of 2 rows"):
        network.forward(images(2), [3])


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_interrupts_and_memory_errors_pass_untouched(error: BaseException) -> None:
    model = failing(raising(error), at=1)
    network = Network("f", model)
    network.probe(torch.rand(3))
    with pytest.raises(type(error)) as caught:
        network.forward(torch.ones(4, 3), [None])
    assert caught.value is error
    assert is_out_of_memory(error) != isinstance(error, KeyboardInterrupt)
    assert model.training
    assert not torch.is_inference_mode_enabled()


def test_other_runtime_errors_are_no_memory_errors() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_lazy_models_are_refused() -> None:
    with pytest.raises(BindError, match="model 'f' has lazy parameters; run it once before it is registered"):
        Network("f", nn.LazyLinear(2)).probe(torch.rand(3))


@pytest.mark.parametrize(
    "model", [nn.Linear(3, 2, device="meta"), lambda batch: torch.empty(len(batch), 2, device="meta")]
)
def test_models_without_numbers_are_refused(model: Callable[[Tensor], object]) -> None:
    with pytest.raises(ModelError) as caught:
        Network("f", model).probe(torch.rand(3))
    assert caught.value.message == (
        "model 'f' returned a tensor on the meta device, which holds no numbers; load the model's weights first"
    )


def test_a_layer_that_was_taken_out_of_the_model_is_named() -> None:
    model, batch = seeded(plain), images(2)
    network = Network("f", model)
    network.probe(batch[0])
    random_heads(network)
    before, last = network.fingerprint(), network.forward(batch, [3])[3]
    model[0] = nn.Conv2d(3, 5, 3)
    with pytest.raises(ModelError) as caught:
        network.forward(batch, [1])
    assert caught.value.message == "model 'f': layer '0' is no longer part of it; register the model again"
    assert network.fingerprint() != before
    assert not torch.equal(network.forward(batch, [3])[3], last)


def test_another_number_of_classes_says_what_to_do() -> None:
    model, batch = seeded(plain), images(2)
    network = Network("f", model)
    network.probe(batch[0])
    model[6] = nn.Linear(6, 7)
    with pytest.raises(ModelError, match="returned 7 classes, before 4; register it again if it was changed"):
        network.forward(batch, [None])


def test_threads_that_share_a_module_take_turns() -> None:
    """One of them must not set train mode back while the other runs."""
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).train()
    batch = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(batch)
    networks = [Network(name, model) for name in "fg"]
    statistics = copy.deepcopy(model.state_dict())
    wrong: list[object] = []

    def ask(network: Network) -> None:
        try:
            for _ in range(100):
                if not torch.equal(network.forward(batch, [None])[None], expected):
                    wrong.append(network.name)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(network,)) for network in networks]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, statistics[name]) for name, value in model.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled()


# Callables ------------------------------------------------------------------------------------


def test_a_callable_has_classes_but_no_layers() -> None:
    network = Network("f", lambda batch: batch.sum(dim=1))
    network.probe(torch.rand(3))
    assert (network.class_count, network.layers, network.depth) == (1, (), None)
    assert network.forward(torch.ones(2, 3), [None])[None].tolist() == [[3.0], [3.0]]
    with pytest.raises(BindError, match=r"model 'f' has no layers: it is a callable; register the torch\.nn\.Module"):
        network.layer_index(1)


# Names ------------------------------------------------------------------------------------


def small(**options: object) -> Network:
    model = seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)))
    network = Network("f", model, **options)  # type: ignore[arg-type]
    network.probe(torch.rand(3))
    return network


def test_layers_go_by_index_and_name() -> None:
    network = small(layers=["0", "2"])
    assert [network.layer_index(ref) for ref in (1, 2, "0", "2")] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (0, "model 'f' has no layer 0; its layers are 1 to 3"),
        (4, "model 'f' has no layer 4; its layers are 1 to 3"),
        ("hidden", "model 'f' has no layer 'hidden'; did you mean 'hiden'?"),
        ("zzz", "model 'f' has no layer 'zzz'; known: 'hiden', 'last', 'relu'"),
    ],
)
def test_an_unknown_layer_is_named_with_what_is_legal(ref: int | str, said: str) -> None:
    model = nn.Sequential()
    for name, module in {"hiden": nn.Linear(3, 4), "relu": nn.ReLU(), "last": nn.Linear(4, 3)}.items():
        model.add_module(name, module)
    network = Network("f", model)
    network.probe(torch.rand(3))
    with pytest.raises(BindError) as caught:
        network.layer_index(ref)
    assert caught.value.message == said


def test_classes_go_by_index_and_name() -> None:
    network = small(classes=["cat", "Dog", "dog"])
    assert [network.class_index(ref) for ref in (0, 2, "cat", "CAT", "Dog", "dog")] == [0, 2, 0, 0, 1, 2]
    assert network.class_name(1) == "Dog"
    unnamed = small()
    assert unnamed.class_name(1) == "class 1"
    assert unnamed.class_index("class 1") == 1
    assert small(classes={1: "dog"}).classes == ["class 0", "dog", "class 2"]


@pytest.mark.parametrize(
    ("classes", "ref", "said"),
    [
        (["cat", "dog", "cow"], "cta", "model 'f' has no class 'cta'; did you mean 'cat'?"),
        (["cat", "dog", "cow"], 3, "model 'f' has no class 3; its classes are 0 to 2"),
        (["cat", "dog", "cow"], -1, "model 'f' has no class -1; its classes are 0 to 2"),
        (["crane", "dog", "crane"], "crane", "class 'crane' of model 'f' is the name of 0 and 2; give the index"),
        (None, "cat", "model 'f' has no class 'cat'; it was registered without class names, so give the index"),
        (None, "class 3", "model 'f' has no class 3; its classes are 0 to 2"),
        (
            None,
            "output 1",
            "model 'f' has no class 'output 1'; it was registered without class names, so give the index",
        ),
    ],
)
def test_an_unknown_class_is_named_with_what_is_legal(classes: list[str] | None, ref: int | str, said: str) -> None:
    with pytest.raises(BindError) as caught:
        small(classes=classes).class_index(ref)
    assert caught.value.message == said


@pytest.mark.parametrize("classes", [["cat", "dog"], ["a", "b", "c", "d"], {3: "d"}])
def test_class_names_must_fit_the_model(classes: object) -> None:
    with pytest.raises(BindError, match=r"model 'f' has 3 classes, but \d class names were given"):
        small(classes=classes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"output": "logits"}, "unknown output 'logits'; did you mean 'logit'?"),
        ({"device": "gpu"}, "unknown device 'gpu' for model 'f'"),
        ({"device": "meta"}, "model 'f' is to run on 'meta', which holds no numbers"),
        ({"batch_size": 0}, "batch_size of model 'f' is 0; a positive integer is needed"),
        ({"classes": "cat"}, "classes of model 'f' must be a list of names"),
        ({"classes": [1, 2]}, "classes of model 'f' must be a list of names"),
        ({"classes": {"a", "b", "c"}}, "classes of model 'f' must be a list of names"),
        ({"classes": 3}, "classes of model 'f' must be a list of names"),
        ({"device": "hpu"}, "model 'f' is to run on 'hpu', which this machine does not have"),
        ({"classes": {"a": 1}}, "classes of model 'f' must map class indices"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(BindError) as caught:
        small(**options)
    assert said in caught.value.message


def test_options_in_other_forms_mean_the_same() -> None:
    names = ["cat", "dog", "cow"]
    for form in (names, tuple(names), np.array(names), iter(names)):
        assert small(classes=form).classes == names
    assert small(batch_size=np.int64(4)).batch_size == 4


def test_a_model_must_be_callable_and_layers_need_a_module() -> None:
    with pytest.raises(BindError, match=r"model 'f' is a int; a torch.nn.Module, a callable from a batch"):
        Network("f", 3)  # type: ignore[arg-type]
    with pytest.raises(BindError, match="model 'f' is a callable, which has no layers"):
        Network("f", torch.relu, layers=["conv1"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(BindError, match="this machine has no CUDA device; use 'cpu'"):
        small(device="cuda")


def test_nothing_is_known_before_the_first_pass() -> None:
    network = Network("f", nn.Linear(3, 2))
    for ask in (lambda: network.layers, lambda: network.class_count, lambda: network.depth):
        with pytest.raises(BindError, match="not known yet; query or fit once, or register an input"):
            ask()


def test_a_missing_head_says_how_to_train_it() -> None:
    network = small(layers=["0", "2"])
    assert network.needs_head(1)
    assert not network.needs_head(2)
    with pytest.raises(BindError) as caught:
        network.forward(torch.ones(1, 3), [1])
    assert caught.value.message == (
        "layer 1 ('0') of model 'f' has no head yet; train it with con.fit_heads(\"f\", inputs)"
    )
    network.name = 'so "called"'
    with pytest.raises(BindError, match=r'con\.fit_heads\("so \\"called\\"", inputs\)'):
        network.forward(torch.ones(1, 3), [1])


# Fingerprints ------------------------------------------------------------------------------------


def test_a_fingerprint_changes_with_any_content_and_with_nothing_else() -> None:
    model = seeded(Efficient)
    network = Network("f", model)
    network.probe(images(1)[0])
    random_heads(network)
    seen = [network.fingerprint()]
    network.forward(images(2), [1, None])
    model.train()
    assert network.fingerprint() == seen[0]
    edits: list[Callable[[], object]] = [
        lambda: model._fc.weight.data[0, 0].add_(1e-6),
        lambda: model._bn0.running_mean.add_(1e-3),
        lambda: model._conv_stem.weight.data.copy_(model._conv_stem.weight.data.flip(0)),
        lambda: network.heads[1].bias.neg_(),
        lambda: network.heads.pop(2),
    ]
    for edit in edits:
        edit()
        assert network.fingerprint() not in seen
        seen.append(network.fingerprint())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_cpus_answers() -> None:
    batch = images(4)
    model = seeded(ResNet)
    here, there = Network("f", model), Network("g", model, device="cuda")
    for network in (here, there):
        network.probe(batch[0])
        random_heads(network)
        network.heads = {index: head.to(network.runs_on) for index, head in network.heads.items()}
    expected, values = here.forward(batch, [1, 3, None]), there.forward(batch, [1, 3, None])
    for layer, value in values.items():
        assert value.device.type == "cuda"
        assert torch.allclose(value.cpu(), expected[layer], atol=1e-3)
    assert next(model.parameters()).device.type == "cpu"


@pytest.mark.parametrize("classes", [["a", "b", "c", "d"], ["a"], {5: "f"}])
def test_names_of_classes_are_counted_at_registration_where_the_model_tells_its_classes(classes: object) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    fitted = linear.LogisticRegression().fit(np.eye(3), [0, 1, 2])
    con = ialgebra.connect(progress=False)
    with pytest.raises(BindError, match=r"has 3 classes, but . class names were given"):
        con.register_model("f", fitted, classes=classes)
    for right in (["a", "b", "c"], {1: "b"}):
        con.register_model("f", fitted, classes=right)
