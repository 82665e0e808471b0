"""Heads are what their definitions say, are measured on inputs that they never saw, and survive the disk."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ialgebra.errors import BindError, IalgebraWarning, ModelError, ResourceError, ShapeError
from ialgebra.models.fitting import fit_heads
from ialgebra.models.head import Head
from ialgebra.models.head_files import load_heads, save_heads
from ialgebra.models.network import Network
from ialgebra.models.outputs import column
from tests.models.zoo import Functional, Recurrent, ResNet, images, plain, seeded, tokens


def points(rows: int, size: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))


def perceptron(classes: int = 4, inputs: int = 6, hidden: int = 12) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, classes))


def network(model: nn.Module) -> Network:
    return Network("f", model)


def test_a_head_on_the_layer_below_the_output_finds_the_models_own_map() -> None:
    model = seeded(perceptron)
    f = network(model)
    report = fit_heads(f, points(400))
    assert [fit.name for fit in report.layers] == ["0", "1"]
    assert report.layers[1].agreement == 1.0
    fresh = points(50, seed=1)
    values = f.forward(fresh, [2, None])
    assert torch.allclose(values[2], values[None], atol=0.02)


def test_a_distilled_head_is_the_minimum_of_its_definition() -> None:
    """Cross-entropy against softmax(f), 10/2 mean squares against f, and the ridge on standardised features."""
    model, batch = seeded(plain), images(60)
    f = network(model)
    fit_heads(f, batch, layers=[3], holdout=0.0)
    head = f.heads[3]
    with torch.no_grad():
        own, features = model(batch).double(), model[:3](batch).mean(dim=(2, 3)).double()
    spread = features.std(dim=0, correction=0)
    scaled = (features - features.mean(dim=0)) / spread
    weight = (head.weight.double() * spread).requires_grad_()
    bias = (head.bias.double() + head.weight.double() @ features.mean(dim=0)).requires_grad_()

    def loss() -> Tensor:
        solver.zero_grad()
        logits = scaled @ weight.T + bias
        cross_entropy = -(own.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        value = cross_entropy + 10 / 2 * (logits - own).square().mean() + head.ridge / 2 * weight.square().sum()
        value.backward()
        return value.detach()

    solver = torch.optim.LBFGS([weight, bias], max_iter=1000, line_search_fn="strong_wolfe")
    found = float(solver.step(loss))
    assert found - float(loss()) < 1e-5


def test_a_labelled_head_is_multinomial_logistic_regression() -> None:
    x = points(300)
    labels = (x @ points(3, seed=9).T).argmax(dim=1)
    model = seeded(lambda: perceptron(classes=3))
    f = network(model)
    report = fit_heads(f, x, labels, holdout=0.2)
    head = f.heads[1]  # a linear layer of the inputs, so that the classes are nearly separable in it
    assert report.layers[0].accuracy is not None
    assert report.layers[0].accuracy > 0.85
    with torch.no_grad():
        features = model[0](x)
        assert ((features @ head.weight.T + head.bias).argmax(1) == labels).double().mean() > 0.85
    assert report.layers[0].agreement < 0.6  # the untrained model itself knows nothing of these labels


def test_accuracy_is_measured_on_inputs_that_were_not_fitted() -> None:
    """With labels at random a head with more features than inputs can learn the rest by heart."""
    x = points(100, size=80)
    labels = torch.randint(0, 2, (100,), generator=torch.Generator().manual_seed(3))
    f = network(seeded(lambda: perceptron(classes=2, inputs=80, hidden=100)))
    report = fit_heads(f, x, labels, holdout=0.4)
    assert (report.fitted, report.held_out) == (60, 40)
    assert report.layers[0].accuracy is not None
    assert 0.2 < report.layers[0].accuracy < 0.8


def test_groups_are_held_out_whole() -> None:
    """Ten copies each of forty inputs, labelled at random: held out by row all were seen, held out whole none."""
    kinds = torch.arange(40).repeat(10)
    x = points(40, size=50)[kinds]
    labels = torch.randint(0, 2, (40,), generator=torch.Generator().manual_seed(1))[kinds]
    f = network(seeded(lambda: perceptron(classes=2, inputs=50, hidden=60)))
    leaky = fit_heads(f, x, labels).layers[0].accuracy
    honest = fit_heads(f, x, labels, groups=kinds.tolist(), holdout=0.5)
    assert leaky == 1.0
    assert honest.held_out == 200
    assert honest.layers[0].accuracy is not None
    assert honest.layers[0].accuracy < 0.8


def test_few_inputs_and_a_thousand_classes() -> None:
    f = network(seeded(lambda: perceptron(classes=1000, inputs=20, hidden=64)))
    report = fit_heads(f, points(40, size=20))
    assert (report.fitted, report.held_out) == (32, 8)
    fresh = f.forward(points(200, size=20, seed=5), [1, 2, None])
    for layer in (1, 2):
        assert f.heads[layer].weight.shape == (1000, 64)
        # 32 inputs span the 20 dimensions that all inputs lie in, so what is learned carries over to unseen ones.
        apart = (fresh[layer] - fresh[None]).square().mean()
        assert apart < 0.25 * fresh[None].square().mean()


def test_all_layers_are_read_in_one_pass_of_bounded_batches() -> None:
    sizes: list[int] = []
    model = seeded(ResNet)
    model.register_forward_pre_hook(lambda _module, arguments: sizes.append(len(arguments[0])))
    done: list[int] = []
    fit_heads(network(model), images(50), batch_size=16, progress=done.append)
    assert sizes == [1, 16, 16, 16, 2]  # one row to learn the layers from
    assert done == [16, 32, 48, 50]


def test_a_stream_is_not_kept() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def stream() -> Iterator[Tensor]:
        nonlocal most
        for seed in range(12):
            batch = points(8, seed=seed)
            alive.append(weakref.ref(batch))
            yield batch
            del batch
            most = max(most, sum(each() is not None for each in alive))

    fit_heads(network(seeded(perceptron)), stream())
    assert most <= 2


def test_inputs_in_any_form_give_the_same_heads() -> None:
    x = points(30)
    labels = torch.arange(30) % 4
    forms: list[object] = [x, list(x), list(x.split(7)), iter(x.split(11)), [(part, None) for part in ()] or [x]]
    heads = []
    for form in forms:
        f = network(seeded(perceptron))
        fit_heads(f, form, labels)  # type: ignore[arg-type]
        heads.append(f.heads[2].weight)
    pairs = network(seeded(perceptron))
    fit_heads(pairs, zip(x.split(7), labels.split(7), strict=True))
    for weight in [*heads, pairs.heads[2].weight]:
        assert torch.allclose(weight, heads[0], atol=1e-3)


def test_equal_seeds_give_equal_heads_and_other_seeds_other_splits() -> None:
    weights = []
    for seed in (0, 0, 1):
        f = network(seeded(perceptron))
        fit_heads(f, points(40), seed=seed)
        weights.append(f.heads[1].weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_labels_may_be_names() -> None:
    model, x = seeded(lambda: perceptron(classes=2)), points(30)
    by_index, by_name = network(model), Network("g", model, classes=["cat", "dog"])
    fit_heads(by_index, x, [0, 1] * 15)
    fit_heads(by_name, x, ["cat", "dog"] * 15)
    assert torch.equal(by_index.heads[1].weight, by_name.heads[1].weight)


def test_one_output_is_fitted_by_squares_or_as_a_probability() -> None:
    x = points(200)
    f = network(seeded(lambda: perceptron(classes=1)))
    assert fit_heads(f, x).layers[1].agreement > 0.999
    values = f.forward(x, [2, None])
    assert torch.allclose(values[2], values[None], atol=0.05)
    report = fit_heads(f, x, (x[:, 0] > 0).long())
    assert report.layers[0].accuracy is not None
    assert report.layers[0].accuracy > 0.85


def test_outputs_that_are_probabilities_teach_probabilities() -> None:
    model = seeded(lambda: nn.Sequential(*perceptron(), nn.Softmax(dim=1)))
    with torch.no_grad():
        model[2].weight.mul_(5)
    f = network(model)
    fit_heads(f, points(300))
    values = f.forward(points(50, seed=1), [2, None])
    assert (values[2].softmax(1) - values[None]).abs().max() < 0.05


@pytest.mark.parametrize(("build", "batch"), [(ResNet, images(24)), (Recurrent, tokens(24)), (Functional, images(24))])
def test_every_layer_but_the_output_gets_a_head(build: type[nn.Module], batch: Tensor) -> None:
    f = network(seeded(build).train())
    report = fit_heads(f, batch)
    assert sorted(f.heads) == [layer.index for layer in f.layers if not layer.is_output]
    assert all(module.training for module in f.module.modules())  # type: ignore[union-attr]
    assert [line.split()[1] for line in str(report).splitlines()[1:]] == [fit.name for fit in report.layers]
    values = f.forward(batch, [None, *f.heads])
    assert all(torch.isfinite(value).all() for value in values.values())


def test_features_are_read_before_the_next_layer_overwrites_them() -> None:
    def rectified(inplace: bool) -> nn.Module:
        return seeded(lambda: nn.Sequential(nn.Linear(6, 12), nn.ReLU(inplace), nn.Linear(12, 4)))

    f, g = network(rectified(inplace=True)), network(rectified(inplace=False))
    for each in (f, g):
        fit_heads(each, points(40), layers=[1])
    assert torch.equal(f.heads[1].weight, g.heads[1].weight)


def test_only_the_layers_asked_are_trained() -> None:
    f = network(seeded(perceptron))
    fit_heads(f, points(20), layers=["1", 3])
    assert list(f.heads) == [2]


@pytest.mark.parametrize("frame", [torch.no_grad, torch.inference_mode])
def test_training_works_in_any_autograd_mode(frame: type[torch.no_grad]) -> None:
    f, g = network(seeded(perceptron)), network(seeded(perceptron))
    fit_heads(f, points(30))
    with frame():
        fit_heads(g, points(30))
    assert torch.equal(f.heads[1].weight, g.heads[1].weight)
    assert not g.heads[1].weight.is_inference()


# What cannot be ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "options", "error", "said"),
    [
        (points(1), {}, BindError, "need at least 2 inputs; got 1"),
        ([], {}, BindError, "need at least 2 inputs; got 0"),
        (["x"], {}, BindError, "must be tensors or (batch, labels) pairs, not str"),
        ([torch.rand(6), torch.rand(5)], {}, ShapeError, "differ in shape: (6,) and (5,)"),
        (points(4), {"labels": [0, 1]}, ShapeError, "2 labels were given for 4 inputs"),
        (points(4), {"labels": torch.zeros(4, 2)}, ShapeError, "labels have shape (4, 2)"),
        (points(4), {"labels": [0, 1, 2, 4]}, BindError, "model 'f' has no class 4; its classes are 0 to 3"),
        (points(4), {"labels": [0.5] * 4}, BindError, "labels are fractions"),
        (points(4), {"layers": [9]}, BindError, "model 'f' has no layer 9"),
        (points(4), {"holdout": 1.0}, BindError, "holdout is 1.0"),
        (points(4), {"groups": [1, 2]}, ShapeError, "2 groups were given for 4 inputs"),
        (points(4), {"groups": [1] * 4}, BindError, "all inputs are of one group"),
        (3, {}, BindError, "inputs to fit on must be tensors or (batch, labels) pairs, not int"),
        (None, {}, BindError, "(batch, labels) pairs, not NoneType"),
        ([torch.tensor(1.0)], {}, BindError, "(batch, labels) pairs, not a single number"),
        ([(torch.rand(6), torch.zeros(2))] * 2, {}, ShapeError, "4 labels were given for 2 inputs"),
        (points(4), {"labels": [None] * 4}, BindError, "labels must be class indices or names, not [None, None, N"),
        (points(4), {"labels": [[1], [1, 2], 3, 4]}, BindError, "labels must be class indices or names, not [[1], [1"),
        (points(4), {"labels": 3}, BindError, "labels must be a list with one entry for each input, not int"),
        (points(4), {"labels": "cats"}, BindError, "labels must be a list with one entry for each input, not str"),
        (points(4), {"labels": torch.zeros(4) * 1j}, BindError, "labels are fractions"),
        (points(4), {"layers": 1}, BindError, "layers must be a list of layer indices or names, not int"),
        (points(4), {"layers": "1"}, BindError, "layers must be a list of layer indices or names, not str"),
        (points(4), {"layers": [1.5]}, BindError, "model 'f' has no layer 1.5; its layers are 1 to 3"),
        (points(4), {"layers": [None]}, BindError, "model 'f' has no layer None; its layers are 1 to 3"),
        (points(4), {"groups": [[1]] * 4}, BindError, "groups must be a list of keys such as numbers or names; [1] is"),
        (points(4), {"groups": 4}, BindError, "groups must be a list with one entry for each input, not int"),
        (points(4), {"holdout": "half"}, BindError, "holdout is half; a share from 0 to below 1"),
        (points(4), {"seed": 2**70}, BindError, "seed is 1180591620717411303424; an integer from 0 to 2^63 − 1"),
        (points(4), {"seed": -1}, BindError, "seed is -1; an integer"),
        (points(4), {"seed": 0.5}, BindError, "seed is 0.5; an integer"),
    ],
)
def test_what_cannot_be_fitted_is_named(
    inputs: object, options: dict[str, object], error: type[Exception], said: str
) -> None:
    f = network(seeded(perceptron))
    with pytest.raises(error) as caught:
        fit_heads(f, inputs, **options)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert f.heads == {}


def test_arguments_in_any_form_mean_the_same() -> None:
    x, labels = points(40), torch.arange(40) % 4
    kinds = torch.arange(40) // 8
    forms = [
        {"labels": labels.tolist(), "groups": kinds.tolist(), "layers": [1]},
        {"labels": (i % 4 for i in range(40)), "groups": (i // 8 for i in range(40)), "layers": ("0",)},
        {"labels": labels.numpy(), "groups": kinds.numpy(), "layers": labels[1:2].numpy()},
        {"labels": labels, "groups": kinds, "layers": iter(["0"])},
        {"labels": list(labels), "groups": [f"photo {i // 8}" for i in range(40)], "layers": {1}},
    ]
    heads = []
    for form in forms:
        f = network(seeded(perceptron))
        fit_heads(f, x, **form)  # type: ignore[arg-type]
        assert list(f.heads) == [1]
        heads.append(f.heads[1].weight)
    assert all(torch.equal(weight, heads[0]) for weight in heads)


@pytest.mark.parametrize("labels", [[float("nan")] * 4, [1e30] * 4])
def test_numbers_that_are_no_labels_are_refused(labels: list[float]) -> None:
    with pytest.raises(BindError, match=r"labels must be finite numbers below 1e\+15"):
        fit_heads(network(seeded(lambda: perceptron(classes=1))), points(4), labels)


def test_numbers_too_large_to_fit_are_named() -> None:
    with pytest.raises(ModelError, match=r"model 'f' returned numbers up to \d*e\+\d+ at layer 1 \('0'\)"):
        fit_heads(network(seeded(perceptron)), points(40) * 1e20)
    tall = seeded(lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)))
    tall[2].weight.data.mul_(1e20)
    with pytest.raises(ModelError, match=r"model 'f' returned numbers up to \d*e\+\d+; heads can be fitted to"):
        fit_heads(network(tall), points(40))


def test_a_callable_has_no_layers_to_fit() -> None:
    with pytest.raises(BindError, match=r"it is a callable; register the torch\.nn\.Module itself"):
        fit_heads(Network("f", lambda batch: batch), points(4))


def test_nan_inside_the_model_is_named() -> None:
    model = seeded(perceptron)
    model[1].register_forward_hook(lambda _module, _arguments, y: torch.where(y > 0.9, torch.nan, y))
    model[2].register_forward_hook(lambda _module, _arguments, y: y.nan_to_num())
    with pytest.raises(ModelError, match=r"model 'f' returned NaN or infinity at layer 2 \('1'\)"):
        fit_heads(network(model), points(64))


def test_out_of_memory_halves_the_batch_down_to_one_row() -> None:
    limit, sizes = 5, []

    class Hungry(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory")
            sizes.append(len(x))
            return super().forward(x)

    f, g = network(seeded(lambda: Hungry(*perceptron()))), network(seeded(perceptron))
    fit_heads(f, points(20), batch_size=16)
    fit_heads(g, points(20), batch_size=16)
    assert sizes == [1, 4, 4, 4, 4, 4]
    assert torch.allclose(f.heads[1].weight, g.heads[1].weight, atol=1e-4)
    limit = 0
    with pytest.raises(ResourceError, match="out of memory at a batch of one row of model 'f'"):
        fit_heads(f, points(20))


# Files ------------------------------------------------------------------------------------


@pytest.fixture
def fitted() -> Network:
    f = network(seeded(ResNet))
    fit_heads(f, images(24))
    return f


def test_heads_come_back_from_disk_bit_for_bit(fitted: Network, tmp_path: Path) -> None:
    path = save_heads(fitted, tmp_path / "f.heads")
    g = Network("g", fitted.module)
    g.probe(images(1)[0])
    load_heads(g, path)
    assert list(g.heads) == list(fitted.heads)
    for index, head in fitted.heads.items():
        back = g.heads[index]
        assert torch.equal(back.weight, head.weight)
        assert torch.equal(back.bias, head.bias)
        assert (back.pool, back.agreement, back.accuracy, back.ridge) == (
            head.pool, head.agreement, head.accuracy, head.ridge
        )  # fmt: skip
    assert g.fingerprint() == fitted.fingerprint()


def test_heads_loaded_before_the_first_pass_wait_for_it(fitted: Network, tmp_path: Path) -> None:
    path = save_heads(fitted, tmp_path / "f.heads")
    g = Network("g", fitted.module)
    load_heads(g, path)
    assert torch.equal(g.forward(images(2), [2])[2], fitted.forward(images(2), [2])[2])


def test_heads_of_another_network_loaded_before_the_first_pass_harm_no_query_that_needs_none(
    fitted: Network, tmp_path: Path
) -> None:
    path, batch = save_heads(fitted, tmp_path / "f.heads"), images(2)
    g = Network("g", seeded(lambda: ResNet(classes=7)))
    with pytest.warns(IalgebraWarning, match="trained on other weights"):
        load_heads(g, path)
    assert g.forward(batch, [None])[None].shape == (2, 7)
    for _ in range(2):
        with pytest.raises(BindError, match=r"'g' has no head yet; those that were loaded do not fit: .* \(7, 8\)"):
            g.forward(batch, [2])
    fit_heads(g, images(24))
    assert g.forward(batch, [2])[2].shape == (2, 7)


def test_layers_are_matched_by_name(fitted: Network, tmp_path: Path) -> None:
    fit_heads(fitted, images(24), layers=["layer2"])
    fitted.heads = {3: fitted.heads[3]}
    path = save_heads(fitted, tmp_path / "f.heads")
    g = Network("g", fitted.module, layers=["layer2", "fc"])
    g.probe(images(1)[0])
    load_heads(g, path)
    assert list(g.heads) == [1]


def test_a_failed_save_leaves_the_old_file_whole(
    fitted: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_heads(fitted, tmp_path / "f.heads")
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BindError, match=r"cannot write heads to '.*f\.heads': No space left on device"):
        save_heads(fitted, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["f.heads"]


def test_there_must_be_heads_to_save(tmp_path: Path) -> None:
    f = network(seeded(perceptron))
    with pytest.raises(
        BindError, match=r'model \'f\' has no heads to save; train them with con.fit_heads\("f", inputs\)'
    ):
        save_heads(f, tmp_path / "f.heads")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(fitted: Network, path: str) -> None:
    with pytest.raises(BindError, match="cannot write heads to '"):
        save_heads(fitted, path)
    with pytest.raises(BindError):
        load_heads(fitted, path)


def test_files_of_anything_else_are_refused(fitted: Network, tmp_path: Path) -> None:
    path = save_heads(fitted, tmp_path / "f.heads")
    whole = path.read_bytes()
    (tmp_path / "short").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("no heads here")
    (tmp_path / "empty").write_bytes(b"")
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign")
    save_file(
        {"weight": torch.zeros(2)}, tmp_path / "half", {"format": "ialgebra heads 1", "heads": '[{"layer": "fc"}]'}
    )
    deep = "[" * 100_000 + "]" * 100_000
    save_file({"weight": torch.zeros(2)}, tmp_path / "deep", {"format": "ialgebra heads 1", "heads": deep})
    g = Network("g", fitted.module)
    g.probe(images(1)[0])
    for name in ("short", "text", "empty", "half", "deep"):
        with pytest.raises(BindError, match=f"{name}' is no file of heads, or is damaged"):
            load_heads(g, tmp_path / name)
    with pytest.raises(BindError, match=r"foreign' is no file of heads \(its format is None"):
        load_heads(g, tmp_path / "foreign")
    with pytest.raises(BindError, match=r"cannot read heads from '.*missing'"):
        load_heads(g, tmp_path / "missing")
    assert g.heads == {}


def test_heads_of_other_networks_are_refused(fitted: Network, tmp_path: Path) -> None:
    path = save_heads(fitted, tmp_path / "f.heads")
    other, wider = network(seeded(plain)), network(seeded(lambda: ResNet(classes=7)))
    for g in (other, wider):
        g.probe(images(1)[0])
    with pytest.warns(IalgebraWarning), pytest.raises(BindError, match="model 'f' has no layer 'conv1'"):
        load_heads(other, path)
    with pytest.warns(IalgebraWarning), pytest.raises(ShapeError, match=r"has shape \(5, 8\).*needs \(7, 8\)"):
        load_heads(wider, path)
    assert other.heads == wider.heads == {}


def test_other_weights_than_the_heads_were_trained_on_are_pointed_out(fitted: Network, tmp_path: Path) -> None:
    path = save_heads(fitted, tmp_path / "f.heads")
    fitted.module.fc.weight.data.add_(0.1)  # type: ignore[union-attr]
    with pytest.warns(IalgebraWarning, match="were trained on other weights than those of model 'f' now"):
        load_heads(fitted, path)


def test_a_head_that_meets_other_features_says_so() -> None:
    head = Head(torch.zeros(2, 3), torch.zeros(2), ())
    with pytest.raises(ShapeError, match="a head for 3 features met 4"):
        head(torch.zeros(1, 4))


# --- heads of models that return something else than logits


class Ending(nn.Module):
    """A perceptron with another last operation."""

    inner: nn.Sequential

    def __init__(self, ending: nn.Module, classes: int = 3) -> None:
        super().__init__()
        self.inner, self.ending = perceptron(classes), ending

    def forward(self, batch: Tensor) -> Tensor:
        return self.ending(self.inner(batch))


ENDINGS = {
    "softmax": (nn.Softmax(1), 3, "auto"),
    "log-softmax": (nn.LogSoftmax(1), 3, "auto"),
    "sigmoids": (nn.Sigmoid(), 3, "auto"),
    "log-sigmoids": (nn.LogSigmoid(), 3, "auto"),
    "one sigmoid": (nn.Sigmoid(), 1, "auto"),
    "labels": (nn.Identity(), 3, "multilabel"),
    "values": (nn.Identity(), 3, "values"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_distilled_head_returns_what_its_model_returns(name: str) -> None:
    """The head on the layer below the last linear map has that map to find; what is read of it is the model's own."""
    ending, classes, outputs = ENDINGS[name]
    model = seeded(lambda: Ending(ending, classes))
    f = Network("f", model, layers=["inner.1", "ending"], outputs=outputs)
    report = fit_heads(f, points(600))
    assert report.layers[0].agreement > 0.97
    fresh = points(50, seed=1)
    values = f.forward(fresh, [1, None])
    for output in ("logit",) if name == "values" else ("logit", "probability"):
        for index in range(classes):
            mine = column(values[1], index, output, f.outputs.head)
            assert torch.allclose(mine, column(values[None], index, output, f.outputs), atol=0.06), output


def test_labels_that_hold_independently_are_taught_each_by_itself() -> None:
    model = seeded(lambda: Ending(nn.Identity()))
    f = Network("f", model, layers=["inner.1", "ending"], outputs="multilabel")
    batch = points(400)
    labels = (batch[:, :3] > 0).long()
    report = fit_heads(f, batch, labels)
    assert report.layers[0].accuracy is not None
    assert report.layers[0].accuracy > 0.8
    with pytest.raises(ShapeError, match=r"numbers \(400, 3\) are needed"):
        fit_heads(f, batch, labels[:, :2])


def test_values_are_taught_as_numbers() -> None:
    model = seeded(lambda: Ending(nn.Identity(), 2))
    f = Network("f", model, layers=["inner.1", "ending"], outputs="values")
    batch = points(400)
    truth = nn.Sequential(*list(model.inner)[:2])(batch).detach()[:, :2] * 3 + 1
    report = fit_heads(f, batch, truth)
    assert report.layers[0].accuracy == pytest.approx(1, abs=1e-3)
    with pytest.raises(ShapeError, match="are needed for values"):
        fit_heads(f, batch, torch.zeros(400, dtype=torch.long))


def test_two_classes_of_one_column_are_taught_by_name() -> None:
    model = seeded(lambda: Ending(nn.Sigmoid(), 1))
    f = Network("f", model, layers=["inner.1", "ending"], classes=["no", "yes"])
    batch = points(400)
    f.probe(batch[0])
    names = ["yes" if each else "no" for each in (batch[:, 0] > 0).tolist()]
    report = fit_heads(f, batch, names)
    assert report.layers[0].accuracy is not None
    assert report.layers[0].accuracy > 0.85
    assert 0.5 <= report.majority <= 1


class _LastStep(nn.Module):
    """A classifier of series (T, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.LSTM(3, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.steps(x)[0][:, -1]))


@pytest.mark.parametrize("form", ["a batch", "labelled batches"])
def test_series_are_read_as_such_before_the_model_has_run(form: str) -> None:
    torch.manual_seed(0)
    xs = torch.randn(24, 7, 3)
    batches = [(each, torch.arange(8) % 2) for each in xs.split(8)]
    report = fit_heads(Network("f", _LastStep()), xs if form == "a batch" else batches, layers=[1], holdout=0.25)
    assert (report.fitted, report.held_out) == (18, 6)
