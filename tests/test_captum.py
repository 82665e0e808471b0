"""Captum's methods by name: their maps are those of Captum called directly, and the operators mean what they say."""

from __future__ import annotations

import copy
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ialgebra import BindError, IalgebraError
from tests import oracle
from tests.test_errors import con as erring  # noqa: F401 – a fixture
from tests.test_interpreters import Case, close, labels, printed_back

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    attr = pytest.importorskip("captum.attr")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def scalar(case: Case, target: int = 0, output: str = "logit") -> nn.Module:
    """What is explained, written with the modules themselves, for Captum to be called on directly."""
    net = copy.deepcopy(case.net).eval()
    net[2].inplace = False
    return nn.Sequential(net, _Pick(target, output))


class _Pick(nn.Module):
    def __init__(self, target: int, output: str) -> None:
        super().__init__()
        self.target, self.output = target, output

    def forward(self, logits: Tensor) -> Tensor:
        wide = logits.double()
        if self.output == "probability":
            wide = wide.softmax(1)
        if self.output == "log_odds":
            wide = wide.softmax(1).logit()
        return wide[:, self.target]


def direct(name: str, explained: nn.Module, x: Tensor, made=(), **options) -> np.ndarray:
    x = x.unsqueeze(0).clone().requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(options.pop("seed", 0))
        return getattr(attr, name)(explained, *made).attribute(x, **options)[0].detach().double().numpy()


@pytest.mark.parametrize(
    ("name", "said", "options"),
    [
        ("IntegratedGradients", "n_steps => 12, method => 'riemann_trapezoid'",
         {"n_steps": 12, "method": "riemann_trapezoid", "baselines": 0}),
        ("IntegratedGradients", "multiply_by_inputs => false", {"baselines": 0}),
        ("Saliency", "", {}),
        ("Saliency", "abs => false", {"abs": False}),
        ("InputXGradient", "", {}),
        ("DeepLift", "", {"baselines": 0}),
        ("GradientShap", "n_samples => 7", {"n_samples": 7, "baselines": torch.zeros(1, 2, 6, 6)}),
        ("Occlusion", "sliding_window_shapes => (2, 3, 3), strides => (2, 2, 1)",
         {"sliding_window_shapes": (2, 3, 3), "strides": (2, 2, 1), "baselines": 0}),
        ("Occlusion", "sliding_window_shapes => 2", {"sliding_window_shapes": (2, 2, 2), "baselines": 0}),
        ("GuidedBackprop", "", {}),
        ("Deconvolution", "", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_maps_are_those_of_captum(case, name, said, options, output):
    made = (False,) if "multiply" in said else ()
    expected = direct(name, scalar(case, 1, output), case.x, made, **options)
    found = case.ask(f"select * from f(x, target => 1, output => '{output}') using captum.{name}({said})")
    assert close(found, expected)
    assert found.shape == expected.shape


@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValues", "KernelShap"])
def test_players_are_captum_s_feature_mask_and_share_their_value(case, name):
    mask = torch.from_numpy(labels(case.x))
    few = "n_samples => 200" if name == "KernelShap" else ""
    (found,) = case.con.sql(f"select * from f(x, target => 0, players => grid(2, 2)) using captum.{name}({few})")
    mask = torch.from_numpy(oracle.grid(2, 2)(tuple(case.x.shape), np.ones(case.x.shape, dtype=bool)))
    sizes = torch.bincount(mask.flatten())[mask].numpy()
    if name == "KernelShap":
        (shapley,) = case.con.sql("select * from f(x, target => 0, players => grid(2, 2)) using exact()")
        assert np.linalg.norm(found.values - shapley.values) < 0.5 * np.linalg.norm(shapley.values)
        assert np.isinf(found.stderr).all(), "an error that it cannot tell"
        return
    expected = direct(name, scalar(case), case.x, feature_mask=mask.unsqueeze(0), baselines=0)
    assert close(found.map, expected / sizes)
    assert not found.stderr.any()
    if name == "ShapleyValues":
        (shapley,) = case.con.sql("select * from f(x, target => 0, players => grid(2, 2)) using exact()")
        assert close(found.values, shapley.values)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_grad_cam_is_a_layer_s_map_in_the_input_s_size(case, mode):
    explained = scalar(case, 2)
    conv = explained[0][4]  # what layer 2 taps: the second convolution with its activation
    small = attr.LayerGradCam(explained, conv).attribute(case.x.unsqueeze(0).requires_grad_())
    expected = attr.LayerAttribution.interpolate(small, (6, 6), mode)[0, 0].detach().numpy()
    index = next(k for k, each in enumerate(case.con._catalog.models["f"].layers, 1) if each.tap.module is case.net[4])
    (found,) = case.con.sql(
        f"select * from f(x, target => 2) using captum.GradCam(layer => {index}, interpolate_mode => '{mode}')"
    )
    assert close(found.heat(), expected)
    assert close(found.map[0], found.map[1])


def test_a_projection_explains_what_is_inside_against_the_baseline(case):
    inside = np.zeros(case.x.shape, dtype=bool)
    inside[:, 2:, :3] = True
    cut = torch.where(torch.from_numpy(inside), case.x, torch.zeros_like(case.x))
    for name, said in (("IntegratedGradients", "n_steps => 8"), ("DeepLift", "")):
        expected = direct(name, scalar(case, 1), cut, baselines=0, **({"n_steps": 8} if said else {}))
        found = case.ask(f"select * from f(x, target => 1) where row >= 2 and col < 3 using captum.{name}({said})")
        assert close(found, expected)
        assert not found[~inside].any()
        everything = case.ask(f"select * from f(x, target => 1) where true using captum.{name}({said})")
        assert np.array_equal(everything, case.ask(f"select * from f(x, target => 1) using captum.{name}({said})"))
    assert not case.ask("select * from f(x) where row > 99 using captum.IntegratedGradients()").any()


def test_an_anti_join_makes_the_other_input_the_baseline(case):
    text = "select * from f(x, target => 0) left join f(y, target => 2) using captum.IntegratedGradients(n_steps => 8)"
    one, other = case.con.sql(text)
    assert close(one.map, direct("IntegratedGradients", scalar(case), case.x, baselines=case.y[None], n_steps=8))
    expected = direct("IntegratedGradients", scalar(case, 2), case.y, baselines=case.x[None], n_steps=8)
    assert close(other.map, expected)
    assert (one.component, other.component) == (0, 1)


def test_a_selection_explains_the_layer_s_head(case):
    layers = case.con._catalog.models["f"].layers
    index = next(k for k, each in enumerate(layers, 1) if each.tap.module is case.net[4])
    found = case.ask(f"select {index} from f(x, target => 1) using captum.IntegratedGradients(n_steps => 8)")
    head = case.con._catalog.models["f"].heads[index]
    trunk = copy.deepcopy(case.net[:5]).eval()
    trunk[2].inplace = False

    class Truncated(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            pooled = trunk(batch).mean(dim=(2, 3)).to(head.weight.dtype)
            return (pooled @ head.weight.T + head.bias)[:, 1].double()

    assert close(found, direct("IntegratedGradients", Truncated(), case.x, baselines=0, n_steps=8))
    assert np.linalg.norm(found) > 0
    several = case.con.sql(f"select {index}, * from f(x, target => 1) using captum.IntegratedGradients(n_steps => 8)")
    assert np.array_equal(several[0].map, found)


def test_joins_are_weighted_sums_and_models_are_compared_by_difference(case):
    maps = [case.ask(f"select * from f({each}, target => 0) using captum.Saliency()") for each in ("x", "y")]
    joined = "select * from f(x, target => 0) join f(y, target => 0) on weight = 0.3 using captum.Saliency()"
    assert np.allclose(case.ask(joined), 0.3 * maps[0] + 0.7 * maps[1])
    each = [case.ask(f"select * from {m}(x, target => 0) using captum.Saliency()") for m in ("f", "g")]
    found = case.con.sql("select * from f(x, target => 0) left join g(x, target => 0) using captum.Saliency()")
    assert np.allclose(found[0].map, each[0] - each[1])
    mixed = "select * from (select * from f(x, target => 0) using captum.Saliency()) join f(x, target => 0)"
    shapley = case.ask("select * from f(x, target => 0)")
    (both,) = case.con.sql(mixed)
    assert np.allclose(both.map, 0.5 * maps[0] + 0.5 * shapley)
    assert both.values.sum() == pytest.approx(both.map.sum())
    assert np.allclose(both.values, [both.map[both.players == player].sum() for player in range(6)])


def test_a_collection_of_baselines_is_the_mean_of_the_maps(case):
    method = "using captum.IntegratedGradients(n_steps => 6)"
    found = case.ask(f"select * from f(x, target => 0, baseline => xs) {method}")
    each = [case.ask(f"select * from f(x, target => 0, baseline => {name}) {method}") for name in ("x", "y")]
    assert np.allclose(found, (each[0] + each[1]) / 2)
    assert not each[0].any(), "an input against itself"


def test_tokens_and_callables_are_asked_where_no_gradient_is_needed(case):
    def bag(batch: Tensor) -> Tensor:
        return torch.stack([(batch == k).sum(1) * k for k in (1, 2)], dim=1).float()

    case.con.register_model("bag", bag)
    (found,) = case.con.sql("select * from bag(words, target => 1) using captum.FeatureAblation()")
    assert found.values.tolist() == [0, 2, 0]
    (found,) = case.con.sql("select * from bare(x) using captum.IntegratedGradients(n_steps => 3)")
    assert close(found.map, case.x.numpy())


def test_rows_are_counted_there_and_back_and_remembered():
    fresh = Case()
    counted = []
    handle = fresh.net.register_forward_hook(lambda _m, inputs, _out: counted.append(len(inputs[0])))
    fresh.con.sql("select * from f(y)")  # v(∅) and the form of the model are known from here on
    counted.clear()
    first = fresh.con.sql("select * from f(x) using captum.IntegratedGradients(n_steps => 9)")
    assert sum(counted) == 1 + 9, "x itself, and 9 steps on the way to it"
    assert first.stats.rows == 1 + 2 * 9, "there and back"
    again = fresh.con.sql("select * from f(x) using captum.IntegratedGradients(n_steps => 9)")
    assert again.stats.rows == 0
    assert np.array_equal(again[0].map, first[0].map)
    assert fresh.con.sql("select * from f(x) using captum.IntegratedGradients(n_steps => 10)").stats.rows == 20
    with torch.no_grad():
        fresh.net[-1].bias += 1
    assert fresh.con.sql("select * from f(x) using captum.IntegratedGradients(n_steps => 9)").stats.rows >= 18
    handle.remove()
    assert "asked by captum.IntegratedGradients(n_steps => 9)" in first.plan
    assert "~18 rows" in first.plan


def test_what_is_random_follows_from_the_seed_and_leaves_the_generators_alone(case):
    text = "select * from f(x) using captum.GradientShap(n_samples => 4)"
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    found = Case().ask(text, seed=3)
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    again = case.ask(text, seed=3)
    assert np.array_equal(found, again)
    assert (torch.rand(1), np.random.rand(), random.random()) == before
    assert not np.array_equal(found, case.ask(text, seed=4))


@pytest.mark.parametrize("name", ["DeepLift()", "GuidedBackprop()", "GradCam(layer => 1)", "IntegratedGradients()"])
def test_the_model_is_left_as_it_was_found(name):
    fresh = Case()
    fresh.net[0].weight.requires_grad_(False)
    fresh.net[-1].weight.grad = torch.ones_like(fresh.net[-1].weight)
    fresh.net[2].register_forward_hook(lambda *_: None)

    def state():
        return (
            [each.training for each in fresh.net.modules()],
            [(p.requires_grad, None if p.grad is None else p.grad.sum().item()) for p in fresh.net.parameters()],
            [[list(held) for held in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks)] for m in fresh.net],
            {key: value.clone() for key, value in fresh.net.state_dict().items()}.__repr__(),
            [getattr(each, "inplace", None) for each in fresh.net],
            [sorted(vars(each)) for each in fresh.net],
        )

    before = state()
    fresh.con.sql(f"select * from f(x) using captum.{name}")
    assert state() == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "using",
    [
        "captum.IntegratedGradients(method => 'gausslegendre', n_steps => 50)",
        "captum.Occlusion(sliding_window_shapes => (2, 3, 3), strides => (1, 2, 2))",
        "captum.GradCam(layer => 2, relu_attributions => true)",
    ],
)
def test_using_prints_back(case, using):
    printed_back(case.con, using)


_PARAGRAPHS = Path(__file__).with_name("fixtures").joinpath("captum_errors.txt").read_text("utf-8").rstrip("\n")
ERRORS = [tuple(paragraph.split("\n", 1)) for paragraph in _PARAGRAPHS.split("\n\n")]


@pytest.mark.parametrize(("kind", "text"), ERRORS, ids=[text.split("\n")[1].strip() for _, text in ERRORS])
def test_what_captum_cannot_be_asked_is_said_at_its_word(kind, text, erring):  # noqa: F811
    erring.register_model("call", lambda batch: batch.flatten(1)[:, :3])
    erring.register_model("reads", nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 2)))
    erring.register_input("words", torch.tensor([1, 2, 3]))
    with pytest.raises(IalgebraError) as caught:
        erring.sql(text.split("\n")[1].strip())
    assert str(caught.value) == text
    assert type(caught.value).__name__ == kind


def test_an_option_of_a_view_names_the_view_and_a_layer_s_error_stands_at_using(case):
    case.con.sql("create view cam as select * from f(x) using captum.GradCam(layer => 1)")
    assert case.con.sql("select * from cam")[0].method == "captum.GradCam"
    outer = "select * from (select * from f(x)) using captum.GradCam(layer => 99)"
    with pytest.raises(BindError) as caught:
        case.con.sql(outer)
    assert re.search(r"\n +\^{27}$", str(caught.value))


@pytest.mark.parametrize("strategy", ["AS_WRITTEN", "LAWS", "FUSED", "BEST"])
def test_no_strategy_changes_a_map(strategy):
    text = (
        "select 1, * from f(x) left join f(y) where row < 4 "
        "using captum.IntegratedGradients(n_steps => 6, internal_batch_size => 4)"
    )
    maps = [each.map for each in Case().con.sql(text, strategy=strategy)]
    expected = [each.map for each in Case().con.sql(text.replace(", internal_batch_size => 4", ""))]
    assert len(maps) == 4
    assert all(close(found, wanted) for found, wanted in zip(maps, expected, strict=True))


def test_rounds_ask_once(case):
    """A map that a join shares with a sampled game is asked for in the first round, and found in the others."""
    text = (
        "select * from (select * from f(x, target => 0, players => pixels) using captum.GradientShap(n_samples => 5)) "
        "join f(y, target => 0, players => pixels)"
    )
    *earlier, last = Case().con.stream(text)
    assert earlier
    assert last.stats.rows == Case().con.sql(text).stats.rows
    assert np.isinf(last[0].stderr).all()
    assert close(last[0].map, case.con.sql(text)[0].map, 1e-4)


# --- the table of laws in docs/interpreters.md


LAWS = re.search(
    r"<!-- laws -->(.*)<!-- /laws -->",
    Path(__file__).parent.parent.joinpath("docs/interpreters.md").read_text("utf-8"),
    re.DOTALL,
)
assert LAWS is not None
TABLE = [[cell.strip() for cell in line.strip("|").split("|")] for line in LAWS[1].strip().split("\n")]
SAID = {line[0].strip("`"): dict(zip(TABLE[0][1:], line[1:], strict=True)) for line in TABLE[2:]}


def saturating(weight: Tensor) -> nn.Sequential:
    """Smooth but for a ReLU after which it is smooth: two hidden layers on a given first one."""
    first = nn.Linear(5, 6).double()
    first.weight.data = weight
    return nn.Sequential(first, nn.ReLU(), nn.Linear(6, 4).double(), nn.Tanh(), nn.Linear(4, 2).double())


class Combined(nn.Module):
    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        super().__init__()
        self.f, self.g = f, g

    def forward(self, batch: Tensor) -> Tensor:
        return 2 * self.f(batch) - 3 * self.g(batch)


@pytest.fixture(scope="module")
def small():
    """f does not look at feature 3, and takes features 0 and 1 alike; in feature 4 x is 0, and y is 3."""
    import ialgebra

    torch.manual_seed(3)
    con = ialgebra.connect(progress=False)
    weight = torch.randn(6, 5).double()
    weight[:, 3], weight[:, 1] = 0, weight[:, 0]
    f, g = saturating(weight), saturating(torch.randn(6, 5).double())
    linear = nn.Linear(5, 2).double()
    for name, module in (("f", f), ("g", g), ("h", Combined(f, g)), ("flat", nn.Sequential(linear))):
        con.register_model(name, module)
    con.register_input("x", torch.tensor([1.5, 1.5, -2.0, 1.0, 0.0]).double())
    con.register_input("y", torch.tensor([-0.5, 1.0, 2.0, -1.0, 3.0]).double())
    con.register_input("xs", torch.tensor([[0.3, 0.3, 1.0, 0.5, -1.0], [-1.0, 2.0, 0.0, 0.5, 1.0]]).double())
    con.fit_heads("f", torch.randn(20, 5).double())
    return con, linear


def verdicts(con, linear: nn.Linear, using: str) -> dict[str, str]:
    def maps(text: str, **options) -> list[np.ndarray]:
        return [each.map for each in con.sql(f"{text} using {using}", **options)]

    def told(holds) -> str:
        return "yes" if holds else "no"

    found: dict[str, str] = {}
    (one,) = maps("select * from f(x, target => 0, baseline => y)")
    (other,) = maps("select * from f(y, target => 0, baseline => x)")
    found["L13 duality"] = told(close(one, -other, 1e-3))
    window = "where feature < 4 and feature <> 1"
    try:
        con.explain(f"select * from f(x) {window} using {using}")
    except IalgebraError:
        window = ""
    found["L14 nullify"] = "–"  # nothing to compare with
    if window:
        (one,) = maps("select * from f(nullify(x, feature < 2), target => 0, baseline => y)")
        (other,) = maps("select * from f(x, target => 0, baseline => y) where feature >= 2")
        found["L14 nullify"] = told(close(one, other, 1e-6))
    text = f"select 1, 2 from (select 3 from f(x, target => 0) join f(y, target => 0) on weight = 0.3) {window}"
    pairs = zip(maps(text, strategy="AS_WRITTEN"), maps(text, strategy="BEST"), strict=True)
    found["rewrites"] = told(all(close(a, b, 1e-9) and np.linalg.norm(a) > 0 for a, b in pairs))
    (a,) = con.sql(f"select * from f(x, target => 0) using {using}")
    found["L15 sum"] = told(close(a.values.sum(keepdims=True), [a.full_value - a.base_value], 1e-2))
    (b,) = maps("select * from g(x, target => 0)")
    (at_three,) = maps("select * from f(y, target => 0, baseline => 3)")
    found["L16 null"] = told(max(np.abs([a.map[3], a.map[4], b[4], at_three[4]])) < 1e-12)
    found["L16 symmetry"] = told(close(a.map[0], a.map[1], 1e-6))
    (h,) = maps("select * from h(x, target => 0)")
    found["L16 linear in f"] = told(close(h, 2 * a.map - 3 * b, 1e-6))
    (flat,) = maps("select * from flat(x, target => 1, baseline => y)")
    difference = (con._catalog.inputs["x"].elements[0].tensor - con._catalog.inputs["y"].elements[0].tensor).numpy()
    found["L17 linear f"] = told(close(flat, linear.weight[1].detach().numpy() * difference, 1e-6))
    mean = f"(select * from f(x, target => 0, baseline => xs) using {using}) "
    con.register_input("x0", con._catalog.inputs["xs"].elements[0].tensor)
    con.register_input("x1", con._catalog.inputs["xs"].elements[1].tensor)
    each = [maps(f"select * from f(x, target => 0, baseline => x{k})")[0] for k in (0, 1)]
    found["L18 mean"] = told(close(con.sql(f"select * from {mean}")[0].map, (each[0] + each[1]) / 2, 1e-6))
    return found


@pytest.mark.parametrize("using", SAID)
def test_the_table_of_laws_is_as_measured(small, using):
    assert verdicts(*small, using) == SAID[using]  # type: ignore[call-arg]
