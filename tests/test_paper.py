"""The paper's statements, as printed, against Eqs. 1–6 written literally; and all else that a query may say.

Every answer is asked for with the exact estimator and compared with `oracle`, to 1e-5 of its norm.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.planner.strategy import PRESETS
from tests import oracle, worlds
from tests.oracle import Anti, Call, Join, Layer, Where
from tests.worlds import close

WORLDS = [
    ("image", torch.float64, 0),
    ("image", torch.float32, 1),
    ("tabular", torch.float64, 2),
    ("tabular", torch.float32, 3),
    ("tokens", torch.float64, 4),
    ("tokens", torch.float32, 5),
]
IMAGES, TABLES, TOKENS = ([world for world in WORLDS if world[0] == kind] for kind in ("image", "tabular", "tokens"))


@functools.cache
def case(kind: worlds.Kind, dtype: torch.dtype, seed: int) -> worlds.Case:
    return worlds.case(kind, seed, dtype)


def agree(relation: ialgebra.Relation, expected: list[oracle.Map]) -> None:
    assert len(relation) == len(expected)
    for answer, map_ in zip(relation, expected, strict=True):
        assert close(answer.map, map_), f"{relation.query}: {answer.label} is off by {answer.map - map_}"
        assert not answer.stderr.any()
        assert answer.method == "exact"
        assert answer.map.sum() == pytest.approx(answer.values.sum(), rel=1e-9, abs=1e-12)


# --- the paper's statements

L = 2  # the number of the layer that is called `l`
x, y, z, fx = Call("f", "x"), Call("f", "x'"), Call("f", "y"), Call("f'", "x")

STATEMENTS = {
    # its list in "A Declarative Query Language"
    "select * from f(x)": x,
    "select * from f(x) where w": Where("w", x),
    "select l from f(x)": Layer(L, x),
    "select l from f(x) where w": Layer(L, Where("w", x)),
    "select * from f(x) join (select * from f(x'))": Join((x, y)),
    "select * from f(x) left join (select * from f(x'))": Anti((x, y)),
    "select l from f(x) left join (select l from f(x'))": Layer(L, Anti((x, Layer(L, y)))),
    "select l from f(x) left join (select l from f(x')) where w": Layer(L, Where("w", Anti((x, Layer(L, y))))),
    # Case A; Cases B and C are `select l from f(x) where w` and `select l from f(x)` above
    "select * from f(x) left join (select * from f'(x))": Anti((x, fx)),
}


@pytest.mark.parametrize("world", WORLDS, ids=str)
@pytest.mark.parametrize("text", STATEMENTS)
def test_the_papers_statements_mean_what_its_equations_say(text, world):
    found = case(*world)
    expected = found.world.maps(STATEMENTS[text])
    for written in (text, f"{text} using exact()", f"{text.replace(chr(39), '′')} USING EXACT();"):
        agree(found.con.sql(written), expected)  # so few players are played exactly without being asked to


# --- what the statements compose to

COMPOSITIONS = [
    Where("w2", Where("w", x)),
    Where("nothing", x),
    Layer(3, x),
    Layer(1, Layer(2, x)),
    Layer(2, Layer(2, Where("w2", x))),
    Where("w", Layer(3, Where("w2", Layer(4, x)))),
    Join((x, y, z)),
    Join((x, y), "0.3"),
    Join((x, y), "1"),
    Join((Join((x, y), "0.25"), z), "0.6"),
    Join((Join((x, x, y)), Join((y, z), "0.125")), "0.5"),
    Join((Where("w", x), Where("w2", y)), "0.7"),
    Join((Layer(2, x), Layer(4, y))),
    Join((Layer(2, Where("w", x)), y), "0.4"),
    Layer(2, Join((x, Layer(3, y)))),
    Where("w", Join((Where("w2", x), y, z))),
    Join((x, Call("g", "x'"))),
    Join((x, Call("f", "xs"))),
    Anti((x, y, z)),
    Anti((x, x)),
    Anti((x, Call("f", "xs"))),
    Anti((y, z, x, Call("f", "xs"))),
    Anti((Where("w", x), Where("w2", y))),
    Anti((Layer(2, x), Layer(3, y))),
    Anti((Layer(2, Where("w", x)), y)),
    Where("w", Anti((x, y, z))),
    Where("w", Where("w2", Layer(3, Anti((x, y))))),
    Layer(2, Where("w2", Anti((x, Layer(4, y), z)))),
    Anti((x, Call("g", "x'"))),
    Anti((x, fx, Call("g", "x"))),
    Where("w", Anti((x, fx))),
    Layer(3, Anti((x, fx))),
    Layer(2, Where("w2", Anti((fx, x)))),
]


@pytest.mark.parametrize("world", WORLDS, ids=str)
@pytest.mark.parametrize("plan", COMPOSITIONS, ids=oracle.query)
def test_compositions_mean_what_the_equations_say(plan, world):
    found = case(*world)
    agree(found.con.sql(f"{oracle.query(plan)} using exact()"), found.world.maps(plan))


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_a_chain_of_weighted_joins_is_left_deep(world):
    found = case(*world)
    relation = found.con.sql("select * from f(x) join f(x') on weight = 0.25 join f(y) on weight = 0.6 using exact()")
    agree(relation, found.world.maps(Join((Join((x, y), "0.25"), z), "0.6")))


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_a_select_list_gives_one_result_per_item_and_operand(world):
    found = case(*world)
    relation = found.con.sql("select 2 as early, l, * from f(x) left join f(x') where w using exact()")
    plans = [Layer(2, Anti((x, y))), Layer(L, Anti((x, y))), Anti((x, y))]
    agree(relation, [map_ for plan in plans for map_ in found.world.maps(Where("w", plan))])
    assert [answer.item for answer in relation] == [0, 0, 1, 1, 2, 2]
    assert [answer.component for answer in relation] == [0, 1] * 3
    assert [answer.layer for answer in relation] == [2, 2, L, L, None, None]
    assert [answer.input for answer in relation] == ["x", "x'"] * 3
    assert [answer.baseline for answer in relation] == ["x'", "x"] * 3
    assert {answer.kind for answer in relation} == {world[0]}
    assert relation[0].label == relation[1].label == "early"


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_a_collection_gives_one_map_per_element(world):
    found = case(*world)
    relation = found.con.sql("select * from f(xs) where w using exact()")
    one_by_one = [
        oracle.World(
            {"f": found.world.nets["f"]}, {"x": element}, found.world.windows, found.world.players, found.world.depth
        ).maps(Where("w", x))
        for element in found.world.elements("xs")
    ]
    agree(relation, [map_ for maps in one_by_one for map_ in maps])


# --- two models on one input

COMPARISONS = [
    Anti((x, fx)),
    Where("w", Anti((fx, x))),
    Where("w2", Layer(2, Anti((x, fx)))),
    Anti((x, fx, Call("g", "x"))),
    Anti((Layer(2, x), Layer(4, fx))),
    Anti((Layer(2, x), Layer(4, x))),
    Anti((Call("f", "xs"), Call("g", "xs"))),
    Anti((x, x)),
]


@pytest.mark.parametrize("world", WORLDS, ids=str)
@pytest.mark.parametrize("plan", COMPARISONS, ids=oracle.query)
def test_the_literal_contrast_is_the_printed_formula(plan, world):
    found = case(*world)
    printed = oracle.World(**{**vars(found.world), "literal": True})
    for strategy in PRESETS.values():
        text = f"{oracle.query(plan)} using exact(contrast => 'literal')"
        agree(found.con.sql(text, strategy=strategy), printed.maps(plan))


def test_the_literal_contrast_gives_null_players_what_the_formula_gives_them():
    """f(x_{S∪i}) − f'(x_S) is not 0 where x_i is the baseline: there it is the mean of f − f'."""
    found = worlds.case("tabular", seed=9)
    element = found.world.elements("x")[0].clone()
    element[1] = 0.0
    found.con.register_input("x", element)
    found.world.inputs["x"] = element
    printed = oracle.World(**{**vars(found.world), "literal": True})
    relation = found.con.sql("select * from f(x) left join f'(x) using exact(contrast => 'literal')")
    agree(relation, printed.maps(Anti((x, fx))))
    assert abs(relation[0].values[1]) > 1e-3


def test_the_difference_of_a_model_and_its_copy_is_zero():
    found = worlds.case("tabular", seed=9)
    found.con.register_model("copy", found.world.nets["f"].module)
    for answer in found.con.sql("select * from f(x) left join copy(x) using exact()"):
        assert np.abs(answer.map).max() < 1e-12


# --- targets and outputs


@pytest.mark.parametrize("world", WORLDS, ids=str)
@pytest.mark.parametrize("output", ["logit", "probability", "log_odds"])
@pytest.mark.parametrize("target", [None, 0, 2])
def test_targets_and_outputs(target, output, world):
    found = case(*world)
    for plan in [
        Where("w", Call("f", "x", target=target, output=output)),
        Layer(2, Anti((Call("f", "x", target=target, output=output), Call("f", "x'", output=output)))),
        Anti((Call("f", "x", target=target, output=output), Call("f'", "x"))),
    ]:
        agree(found.con.sql(f"{oracle.query(plan)} using exact()"), found.world.maps(plan))


@pytest.mark.parametrize("output", ["logit", "probability", "log_odds"])
def test_a_model_of_one_output_is_explained_by_it(output):
    found = worlds.case("tabular", seed=7, classes=1)
    for plan in [Call("f", "x", output=output), Layer(2, Where("w", Call("f", "x", output=output)))]:
        relation = found.con.sql(f"{oracle.query(plan)} using exact()")
        agree(relation, found.world.maps(plan))
        assert relation[0].target == 0


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_every_layer_explains_the_class_that_the_full_model_predicts(world):
    found = case(*world)
    relation = found.con.sql("select 1, 2, 3, * from f(x) where w using exact()")
    expected = found.world.nets["f"].predicted(found.world.elements("x")[0])
    assert [answer.target for answer in relation] == [expected] * 4


def test_classes_are_named_as_they_were_registered():
    found = worlds.case("tabular", seed=7)
    found.con.register_model("named", found.world.nets["f"].module, classes=["ant", "bee", "cat"])
    (answer,) = found.con.sql("select * from named(x, target => 'bee') using exact()")
    assert (answer.target, answer.target_name) == (1, "bee")
    agree(found.con.sql("select * from named(x, target => bee)"), found.world.maps(Call("f", "x", target=1)))


# --- baselines


@pytest.mark.parametrize("world", IMAGES + TABLES, ids=str)
@pytest.mark.parametrize("baseline", ["zeros", "0.5", "-1", "mean(xs)", "y", "xs"])
def test_baselines(baseline, world):
    found = case(*world)
    told = "0" if baseline == "zeros" else baseline
    for text, plan in {
        f"select * from f(x, baseline => {baseline})": Call("f", "x", baseline=told),
        f"select 2 from f(x, baseline => {baseline}) where w": Layer(2, Where("w", Call("f", "x", baseline=told))),
        f"select * from f(x, baseline => {baseline}) join f(y)": Join((Call("f", "x", baseline=told), z)),
    }.items():
        agree(found.con.sql(f"{text} using exact()"), found.world.maps(plan))


@pytest.mark.parametrize("world", TOKENS, ids=str)
@pytest.mark.parametrize("baseline", ["0", "2", "y", "xs"])
def test_baselines_of_tokens(baseline, world):
    found = case(*world)
    plan = Call("f", "x", baseline=baseline)
    agree(found.con.sql(f"{oracle.query(plan)} using exact()"), found.world.maps(plan))


def blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """The mean of each pixel's surroundings under a Gaussian cut off at 3 sigma; beyond the border is the border."""
    reach = int(3 * sigma + 0.5)
    _, height, width = image.shape
    result = torch.zeros_like(image)
    for row in range(height):
        for col in range(width):
            total = 0.0
            for down in range(-reach, reach + 1):
                for right in range(-reach, reach + 1):
                    weight = math.exp(-(down**2 + right**2) / (2 * sigma**2))
                    from_row, from_col = min(max(row + down, 0), height - 1), min(max(col + right, 0), width - 1)
                    result[:, row, col] += weight * image[:, from_row, from_col]
                    total += weight
            result[:, row, col] /= total
    return result


@pytest.mark.parametrize("text", ["blur(1.5)", "blur(x, 1.5)", "blur(y, 2)", "blur", "blur(1)"])
@pytest.mark.parametrize("world", IMAGES, ids=str)
def test_a_blurred_baseline_is_a_convolution_with_a_gaussian(text, world):
    found = case(*world)
    source, sigma = {"blur(1.5)": ("x", 1.5), "blur(x, 1.5)": ("x", 1.5), "blur(y, 2)": ("y", 2)}.get(text, ("x", 1))
    inputs = {**found.world.inputs, "soft": blurred(found.world.elements(source)[0], sigma)}
    expected = oracle.World(**{**vars(found.world), "inputs": inputs}).maps(Call("f", "x", baseline="soft"))
    agree(found.con.sql(f"select * from f(x, baseline => {text}) using exact()"), expected)


def test_the_baseline_registered_with_an_input_is_its_default():
    found = worlds.case("tabular", seed=3)
    for baseline, told in {"y": "y", "mean(xs)": "mean(xs)", 0.5: "0.5", "xs": "xs"}.items():
        found.con.register_input("own", found.world.elements("x")[0], baseline=baseline)
        agree(found.con.sql("select * from f(own) using exact()"), found.world.maps(Call("f", "x", baseline=told)))
    found.con.register_input("own", found.world.elements("x")[0], baseline=found.world.elements("y")[0])
    agree(found.con.sql("select * from f(own) using exact()"), found.world.maps(Call("f", "x", baseline="y")))


# --- players


@pytest.mark.parametrize("world", IMAGES, ids=str)
@pytest.mark.parametrize(
    ("players", "window", "partition"),
    [
        ("grid(2, 2)", None, oracle.grid(2, 2)),
        ("grid(1, 3)", "w", oracle.grid(1, 3)),
        ("grid(2, 2)", "row between 1 and 5 and col between 2 and 4", oracle.grid(2, 2)),
        ("grid(2, 3)", "circle(2, 3, 2.5)", oracle.grid(2, 3)),
        ("grid(9, 1)", "row between 1 and 4", oracle.grid(4, 1)),
        ("tile(4)", None, oracle.tile(4)),
        ("tile(4)", "row > 1 and col > 2", oracle.tile(4)),
        ("pixels", "box(1, 2, 3, 4)", oracle.pixels),
        ("pixels", "box(1, 2, 3, 4) and channel = 1", oracle.pixels),
        ("halves", None, oracle.given(np.array([[3] * 6] * 2 + [[7] * 6] * 4))),
        ("halves", "col < 2", oracle.given(np.array([[3] * 6] * 2 + [[7] * 6] * 4))),
    ],
)
def test_players_of_images(players, window, partition, world):
    found = worlds.case(world[0], world[2], world[1])
    found.con.register_input("halves", torch.tensor([[[3] * 6] * 2 + [[7] * 6] * 4]))
    channel, row, col = np.indices(worlds.SHAPES["image"])
    bits = {
        None: row >= 0,
        "w": row < 3,
        "row between 1 and 5 and col between 2 and 4": (row >= 1) & (row <= 5) & (col >= 2) & (col <= 4),
        "circle(2, 3, 2.5)": (row - 2) ** 2 + (col - 3) ** 2 <= 6.25,
        "row between 1 and 4": (row >= 1) & (row <= 4),
        "row > 1 and col > 2": (row > 1) & (col > 2),
        "box(1, 2, 3, 4)": (row >= 1) & (row < 3) & (col >= 2) & (col < 4),
        "box(1, 2, 3, 4) and channel = 1": (row >= 1) & (row < 3) & (col >= 2) & (col < 4) & (channel == 1),
        "col < 2": col < 2,
    }[window]
    where = "" if window is None else f" where {window}"
    relation = found.con.sql(f"select * from f(x, players => {players}){where} using exact()")
    world = oracle.World(**{**vars(found.world), "windows": {"it": lambda _: bits}, "players": {None: partition}})
    agree(relation, world.maps(Where("it", x)))
    labels = world.labels(Where("it", x))
    assert np.array_equal(relation[0].players, labels)
    spread = [relation[0].map[labels == player].sum() for player in range(labels.max() + 1)]
    assert np.allclose(relation[0].values, spread, rtol=1e-9, atol=1e-12)


def test_superpixels_are_those_of_scikit_image():
    segmentation = pytest.importorskip("skimage.segmentation")
    torch.manual_seed(0)
    image = torch.rand(3, 12, 12, dtype=torch.float64).round()
    image[:, 4:, :7] *= 0.2
    con = ialgebra.connect(progress=False)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(400, 2)).double()
    con.register_model("f", net)
    con.register_input("x", image)
    scaled = (image - image.min()) / (image.max() - image.min())
    segments = segmentation.slic(scaled.permute(1, 2, 0).numpy(), n_segments=4, start_label=0, channel_axis=-1)
    (answer,) = con.sql("select * from f(x, players => slic(4)) using exact()")
    assert np.array_equal(answer.players, oracle.given(segments)(image.shape, np.ones(image.shape, dtype=bool)))
    world = oracle.World({"f": oracle.Net(net)}, {"x": image}, {}, {None: oracle.given(segments)})
    assert close(answer.map, world.maps(x)[0])


def test_players_registered_with_an_input_are_its_default():
    found = worlds.case("image", seed=2)
    mask = torch.zeros(6, 6, dtype=torch.int64)
    mask[2:, 3:] = 5
    mask[:, :1] = 2
    element = found.world.elements("x")[0]
    players = {None: oracle.given(mask.numpy())}
    expected = oracle.World(**{**vars(found.world), "players": players}).maps(Where("w", x))
    for given in (mask, mask.numpy(), mask[None]):
        found.con.register_input("own", element, players=given)
        agree(found.con.sql("select * from f(own) where w using exact()"), expected)
    found.con.register_input("plain", element)
    assert found.con.sql("select * from f(plain) budget 66")[0].players.max() == 15  # grid(4, 4)


@pytest.mark.parametrize("world", TABLES, ids=str)
def test_features_that_are_registered_as_one_player_are_one_player(world):
    found = worlds.case(world[0], world[2], world[1])
    mask = torch.tensor([4, 4, 1, 9, 1])
    found.con.register_input("x", found.world.elements("x")[0], players=mask)
    expected = oracle.World(**{**vars(found.world), "players": {None: oracle.given(mask.numpy())}})
    for plan in [x, Where("w", x), Layer(2, Where("w2", x))]:
        agree(found.con.sql(f"{oracle.query(plan)} using exact()"), expected.maps(plan))


def test_windows_by_the_name_of_a_feature_and_of_a_token():
    found = worlds.case("tabular", seed=3)
    found.con.register_input("x", found.world.elements("x")[0], feature_names=["age", "sex", "bmi", "bp", "s1"])
    expected = found.world.maps(Where("w", x))
    agree(found.con.sql("select * from f(x) where feature in ('age', 'bmi', 'bp') using exact()"), expected)
    found = worlds.case("tokens", seed=3)
    ids = found.world.elements("x")[0]
    found.con.register_input("x", ids, feature_names=worlds.WORDS)
    windows = {"it": lambda _: ids.numpy() != int(ids[2])}
    expected = oracle.World(**{**vars(found.world), "windows": windows}).maps(Where("it", x))
    word = worlds.WORDS[int(ids[2])]
    agree(found.con.sql(f"select * from f(x) where not token = '{word}' using exact()"), expected)


def test_operands_with_other_players_add_up_feature_by_feature():
    found = worlds.case("image", seed=6)
    plan = Join((Call("f", "x", players="grid(1, 3)"), Call("f", "x'", players="tile(4)")), "0.3")
    relation = found.con.sql(f"{oracle.query(plan)} using exact()")
    agree(relation, found.world.maps(plan))
    for player in range(len(relation[0].values)):
        assert np.ptp(relation[0].map[relation[0].players == player]) < 1e-12


# --- what else an answer says


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_the_ends_of_a_map_are_the_models_outputs_there(world):
    """L15: Σφ = v(N) − v(∅), which for Π is f(x_w) − f(x̄) and for ⋄ is f(x) − f(x')."""
    found = case(*world)
    net, one, other = found.world.nets["f"], found.world.elements("x")[0], found.world.elements("x'")[0]
    inside = torch.from_numpy(found.world.windows["w"](one))
    score, zero = net.score(net.predicted(one)), torch.zeros_like(one)
    third = net.score(net.predicted(one), layer=2)
    for text, base, full in [
        ("select * from f(x)", score(zero), score(one)),
        ("select * from f(x) where w", score(zero), score(torch.where(inside, one, zero))),
        ("select * from f(x) left join f(x')", score(other), score(one)),
        ("select 2 from f(x) left join f(x') where w", third(other), third(torch.where(inside, one, other))),
    ]:
        answer = found.con.sql(f"{text} using exact()")[0]
        assert answer.base_value == pytest.approx(base, rel=1e-5)
        assert answer.full_value == pytest.approx(full, rel=1e-5)
        assert answer.map.sum() == pytest.approx(full - base, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_an_empty_window_gives_a_zero_map(world):
    found = case(*world)
    for answer in found.con.sql("select 2, * from f(x) left join f(x') where nothing"):
        assert not answer.map.any()
        assert answer.map.shape == worlds.SHAPES[world[0]]
        assert answer.values.shape == (0,)
        assert (answer.players == -1).all()


# --- heads that were trained


def test_a_trained_layer_is_the_truncated_network_with_its_head_on_top():
    found = worlds.case("image", seed=8)
    known = found.con._catalog.model("f")
    known.heads.clear()
    report = found.con.fit_heads("f", worlds.sample("image", count=24), layers=[2, "conv2"])
    assert [fit.index for fit in report.layers] == [2, 3]
    heads = {index: (head.weight.double(), head.bias.double()) for index, head in known.heads.items()}
    nets = {"f": oracle.Net(found.world.nets["f"].module, heads)}
    world = oracle.World(**{**vars(found.world), "nets": nets})
    relation = found.con.sql("select l, conv2 from f(x) where w using exact()")
    agree(relation, [*world.maps(Layer(2, Where("w", x))), *world.maps(Layer(3, Where("w", x)))])
