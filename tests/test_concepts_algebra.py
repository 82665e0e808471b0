"""Games over attributes are those of the definition: 2^J coalitions of a code's attributes, written out here.

The network is small and of double precision, so that closed forms can be compared with enumeration to 1e-9.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, IalgebraError, Session, ShapeError
from ialgebra.catalog import derived
from ialgebra.language import reader
from ialgebra.language.bind.query import bind
from ialgebra.language.printer import to_sql
from ialgebra.models.affine import weights_of
from ialgebra.models.concepts import ConceptHead, Dictionary
from ialgebra.system.arrays import Floats
from ialgebra.testing import check_laws

J, CLASSES, COUNT = 6, ("cat", "dog", "hen"), 12
SHAPE = (1, 4, 4)
CLOSE = {"rtol": 0, "atol": 1e-9}


def net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


class Mixed(nn.Module):
    """Attributes of the hidden outputs of one model, or of two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(width)
        self.linear = nn.Linear(width, J).double()

    def forward(self, *hidden: Tensor) -> Tensor:
        found: Tensor = torch.relu(self.linear(torch.cat(hidden, dim=1)) + 0.3)
        return found


F, H = net(0), net(1)
torch.manual_seed(2)
XS = torch.randn(COUNT, *SHAPE, dtype=torch.float64)
OWN, JOINT = Mixed(8), Mixed(16)
torch.manual_seed(7)
HEADS = {name: (torch.randn(3, J, dtype=torch.float64), torch.randn(3, dtype=torch.float64)) for name in ("f", "h")}
NAMES = tuple(f"a{k}" for k in range(J))


@pytest.fixture(scope="module")
def con() -> Iterator[Session]:
    with ialgebra.connect(progress=False) as session:
        session.register_model("f", F, classes=CLASSES)
        session.register_model("h", H, classes=CLASSES)
        session.register_model("bare", net(3), classes=CLASSES)
        session.register_input("x", XS[0])
        session.register_input("y", XS[1])
        session.register_input("xs", XS, labels=[CLASSES[k % 3] for k in range(COUNT)])
        session.sql("predict f, h, bare from x")
        heads = {name: ConceptHead(*each) for name, each in HEADS.items()}
        session.register_concepts("f", OWN_OF_INPUT, NAMES, head=HEADS["f"], name="own")
        joint = Dictionary("concepts", "flint", {"f": ("2",), "h": ("2",)}, NAMES, JOINT, heads)
        derived.put(session._catalog, joint)
        yield session


def OWN_OF_INPUT(batch: Tensor) -> Tensor:
    found: Tensor = OWN(F[:3](batch))
    return found


def code(x: Tensor, joint: bool = True) -> Tensor:
    with torch.no_grad():
        hidden = [net[:3](x[None]) for net in ((F, H) if joint else (F,))]
        found: Tensor = (JOINT if joint else OWN)(*hidden)[0]
        return found


def out(x: Tensor, model: str = "f") -> Floats:
    with torch.no_grad():
        found: Floats = {"f": F, "h": H}[model](x[None])[0].numpy()
        return found


def shapley(v: Callable[[tuple[int, ...]], float], players: list[int]) -> Floats:
    """Eq. 2 of the paper, by enumeration; players that are not listed have no part."""
    found, d = np.zeros(J), len(players)
    for i in players:
        others = [each for each in players if each != i]
        for size in range(d):
            for s in itertools.combinations(others, size):
                found[i] += (v((*s, i)) - v(s)) / (d * math.comb(d - 1, size))
    return found


def head(z: Tensor, c: int, model: str = "f") -> float:
    weight, bias = HEADS[model]
    return float(weight[c] @ z + bias[c])


def literal(
    x: Tensor,
    background: Tensor,
    c: int,
    model: str = "f",
    players: list[int] | None = None,
    read: Callable[[Tensor, int, str], float] = head,
    joint: bool = True,
) -> Floats:
    z, empty = code(x, joint), code(background, joint)

    def v(s: tuple[int, ...]) -> float:
        mixed = empty.clone()
        mixed[list(s)] = z[list(s)]
        return read(mixed, c, model)

    return shapley(v, list(range(J)) if players is None else players)


X, Y, ZERO = XS[0], XS[1], torch.zeros(SHAPE, dtype=torch.float64)
CX, CY = int(out(X).argmax()), int(out(Y).argmax())


def probability(z: Tensor, c: int, model: str) -> float:
    logits = np.array([head(z, k, model) for k in range(3)])
    e = np.exp(logits - logits.max())
    return float(e[c] / e.sum())


@pytest.mark.parametrize("using", ["", " using exact()", " using linear()"])
def test_the_identity_over_concepts_is_the_closed_form(con: Session, using: str) -> None:
    (a,) = con.sql(f"select * from f(x, players => concepts){using}")
    np.testing.assert_allclose(a.values, literal(X, ZERO, CX), **CLOSE)
    weight = HEADS["f"][0][CX].numpy()
    np.testing.assert_allclose(a.values, weight * (code(X) - code(ZERO)).numpy(), **CLOSE)
    assert not a.stderr.any()
    assert a.method == ("linear" if not using else using[7:-2])
    assert (a.kind, a.feature_names, a.target_name, a.model, a.input) == ("tabular", NAMES, CLASSES[CX], "f", "x")
    np.testing.assert_array_equal(a.content, code(X).numpy())


def test_other_outputs_are_ordinary_games(con: Session) -> None:
    (a,) = con.sql("select * from f(x, players => concepts, output => probability)")
    np.testing.assert_allclose(a.values, literal(X, ZERO, CX, read=probability), **CLOSE)
    assert a.method == "exact"
    explained = con.explain("select * from f(x, players => concepts, output => probability)")
    assert "not linear: its probability is not affine" in explained


def test_windows_on_attributes_choose_players(con: Session) -> None:
    z = code(X)
    active = [k for k in range(J) if z[k] > 0.5]
    assert 0 < len(active) < J
    cases = {
        "concept in ('a3', 'a5')": [3, 5],
        "concept = 'a1'": [1],
        "not concept = 'a1'": [0, 2, 3, 4, 5],
        "concept < 2 or concept = 'a4'": [0, 1, 4],
        "activation > 0.5": active,
        "concept = 'a0' and activation > 1e9": [],
    }
    for words, players in cases.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (a,) = con.sql(f"select * from f(x, players => concepts) where {words}")
            (b,) = con.sql(f"select * from f(x, players => concepts, output => probability) where {words}")
        expected = literal(X, ZERO, CX, players=players)
        np.testing.assert_allclose(a.map, expected, **CLOSE)
        np.testing.assert_allclose(b.map, literal(X, ZERO, CX, players=players, read=probability), **CLOSE)
        assert a.unexplained == pytest.approx(out(X)[CX] - out(ZERO)[CX] - expected.sum(), abs=1e-9)


def inside(x: Tensor, background: Tensor) -> Tensor:
    mixed = background.clone()
    mixed[:, :2] = x[:, :2]
    return mixed


def test_windows_on_pixels_come_before_the_code(con: Session) -> None:
    (a,) = con.sql("select * from f(x, players => concepts) where row < 2")
    part = inside(X, ZERO)
    np.testing.assert_allclose(a.values, literal(part, ZERO, CX), **CLOSE)
    assert a.values.sum() + a.unexplained == pytest.approx(out(part)[CX] - out(ZERO)[CX], abs=1e-9)
    (b,) = con.sql("select * from f(x, players => concepts) where row < 2 and concept in ('a0', 'a2')")
    np.testing.assert_allclose(b.map, literal(part, ZERO, CX, players=[0, 2]), **CLOSE)
    (c,) = con.sql("select * from (select * from f(x, players => concepts) where concept < 3) where row < 2")
    np.testing.assert_allclose(c.map, literal(part, ZERO, CX, players=[0, 1, 2]), **CLOSE)
    (d,) = con.sql("select * from f(x, players => concepts, baseline => y) where row < 2")
    np.testing.assert_allclose(d.values, literal(inside(X, Y), Y, CX), **CLOSE)
    (e,) = con.sql("select * from f(nullify(x, row >= 2), players => concepts, target => 'dog')")
    np.testing.assert_allclose(e.values, literal(part, ZERO, 1), **CLOSE)


def test_joins_and_anti_joins_are_sums_of_closed_forms(con: Session) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (a,) = con.sql("select * from f(x, players => concepts) join f(y, players => concepts) on weight = 0.25")
        b, c = con.sql("select * from f(x, players => concepts) anti join f(y, players => concepts)")
        d, e = con.sql("select * from f(x, players => concepts) anti join f(y, players => concepts) where row < 2")
    np.testing.assert_allclose(a.values, 0.25 * literal(X, ZERO, CX) + 0.75 * literal(Y, ZERO, CY), **CLOSE)
    total = 0.25 * (out(X) - out(ZERO))[CX] + 0.75 * (out(Y) - out(ZERO))[CY]
    assert a.values.sum() + a.unexplained == pytest.approx(total, abs=1e-9)
    np.testing.assert_allclose(b.values, literal(X, Y, CX), **CLOSE)
    np.testing.assert_allclose(c.values, literal(Y, X, CY), **CLOSE)
    assert b.values.sum() + b.unexplained == pytest.approx((out(X) - out(Y))[CX], abs=1e-9)
    assert c.values.sum() + c.unexplained == pytest.approx((out(Y) - out(X))[CY], abs=1e-9)
    np.testing.assert_allclose(d.values, literal(inside(X, Y), Y, CX), **CLOSE)
    np.testing.assert_allclose(e.values, literal(inside(Y, X), X, CY), **CLOSE)


def test_two_models_meet_on_one_dictionary(con: Session) -> None:
    ch = int(out(X, "h").argmax())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = con.sql("select * from f(x, players => concepts) anti join h(x, players => concepts)")
        (c,) = con.sql(
            "select * from f(x, players => concepts, target => 0) join h(x, players => concepts, target => 0)"
        )
    np.testing.assert_allclose(a.values, literal(X, ZERO, CX) - literal(X, ZERO, CX, "h"), **CLOSE)
    np.testing.assert_allclose(b.values, literal(X, ZERO, ch, "h") - literal(X, ZERO, ch), **CLOSE)
    sides = (out(X) - out(ZERO))[CX] - (out(X, "h") - out(ZERO, "h"))[CX]
    assert a.values.sum() + a.unexplained == pytest.approx(sides, abs=1e-9)
    np.testing.assert_allclose(c.values, (literal(X, ZERO, 0) + literal(X, ZERO, 0, "h")) / 2, **CLOSE)


def test_backgrounds_count_as_their_mean(con: Session) -> None:
    for query, part in (("", lambda x, b: x), (" where row < 2", inside)):
        (a,) = con.sql(f"select * from f(x, players => concepts, baseline => xs){query}")
        expected = np.mean([literal(part(X, each), each, CX) for each in XS], axis=0)
        np.testing.assert_allclose(a.map, expected, **CLOSE)
        total = np.mean([(out(part(X, each)) - out(each))[CX] for each in XS])
        assert a.values.sum() + a.unexplained == pytest.approx(total, abs=1e-9)
    (b,) = con.sql("select * from f(x, players => concepts, baseline => mean(xs))")
    np.testing.assert_allclose(b.values, literal(X, XS.mean(0), CX), **CLOSE)


def test_every_element_of_a_collection_has_its_map(con: Session) -> None:
    for query, part in (("", lambda x, b: x), (" where row < 2", inside)):
        found = con.sql(f"select * from f(xs, players => concepts){query}")
        assert len(found) == COUNT
        for x, a in zip(XS, found, strict=True):
            c = int(out(x).argmax())
            np.testing.assert_allclose(a.values, literal(part(x, ZERO), ZERO, c), **CLOSE)
            assert a.values.sum() + a.unexplained == pytest.approx((out(part(x, ZERO)) - out(ZERO))[c], abs=1e-9)
    several = con.sql("select * from f(xs, players => concepts, baseline => xs, target => 1) where row < 2")
    for x, a in zip(XS, several, strict=True):
        expected = np.mean([literal(inside(x, each), each, 1) for each in XS], axis=0)
        np.testing.assert_allclose(a.map, expected, **CLOSE)


def test_the_surrogate_is_explained_wholly_and_the_rest_is_of_the_model(con: Session) -> None:
    (a,) = con.sql("select * from f.g(x, players => concepts, target => 'hen')")
    np.testing.assert_allclose(a.values, literal(X, ZERO, 2), **CLOSE)
    assert a.unexplained == pytest.approx(0, abs=1e-9)
    (b,) = con.sql("select * from f(x, players => concepts('own'))")
    np.testing.assert_allclose(b.values, literal(X, ZERO, CX, joint=False), **CLOSE)
    np.testing.assert_allclose(b.relevance, b.values / np.abs(b.values).max())
    assert f"unexplained {b.unexplained:+.4g}" in repr(b)
    (plain,) = con.sql("select * from f(x)")
    assert plain.unexplained is None
    assert "unexplained" not in repr(plain)


def test_rows_are_counted_and_met_again(con: Session) -> None:
    with ialgebra.connect(progress=False) as own:
        own.register_model("f", F, classes=CLASSES)
        own.register_input("xs", XS + 0.5)
        own.sql("predict f from xs")
        own.register_concepts("f", "2", (*NAMES, "a6", "a7"), head=nn.Linear(8, 3).double())
        found = own.sql("select * from f(xs, players => concepts)")
        # codes of all and of the baseline; f of the baseline, since those of the inputs are known; ends on the head
        assert found.stats.rows == (COUNT + 1) + 1 + (COUNT + 1)
        assert own.sql("select * from f(xs, players => concepts) where concept < 3").stats.rows == COUNT
        again = own.sql("select * from f(xs, players => concepts) -- again")
        assert (again.stats.rows, len(again)) == (0, COUNT)
        every = own.sql("select * from f.concepts(xs, target => all, players => grid(2, 2)) having index = 3")
        assert (len(every), every.stats.rows) == (8, (1 << 4) - 2)


MAS = "select * from f(xs, players => concepts) {} order by activation('a2') desc limit 2"


def test_elements_are_ranked_by_activation_relevance_and_decision(con: Session) -> None:
    codes = np.stack([code(x).numpy() for x in XS])
    maps = [literal(x, ZERO, int(out(x).argmax())) for x in XS]
    for clause, kept in (("", range(COUNT)), ("having label = 'cat'", range(0, COUNT, 3))):
        found = con.sql(MAS.format(clause))
        expected = sorted(kept, key=lambda k: -codes[k, 2])[:2]
        assert [a.input for a in found] == [f"xs[{k}]" for k in expected]
        assert found[0].scores["activation('a2')"][0] == pytest.approx(codes[expected[0], 2])
    relevance = [m[2] / np.abs(m).max() for m in maps]
    found = con.sql("select * from f(xs, players => concepts) order by relevance('a2') limit 3")
    assert [a.input for a in found] == [f"xs[{k}]" for k in np.argsort(relevance)[:3]]
    decided = [int(np.argmax([head(torch.from_numpy(z), c) for c in range(3)])) for z in codes]
    predicted = [int(out(x).argmax()) for x in XS]
    conflicts = [k for k in range(COUNT) if decided[k] != predicted[k]]
    assert 0 < len(conflicts) < COUNT
    for words in ("prediction <> decision", "not decision = prediction"):
        found = con.sql(f"select * from f(xs, players => concepts) having {words}")
        assert [a.input for a in found] == [f"xs[{k}]" for k in conflicts]
    named = con.sql("select * from f(xs, players => concepts) having decision = 'dog'")
    assert len(named) == decided.count(1)
    mass = con.sql("select * from f(xs, players => concepts) having mass(concept = 'a2') > 0.3")
    shares = [abs(m[2]) / np.abs(m).sum() for m in maps]
    assert len(mass) == sum(share > 0.3 for share in shares)
    scores = con.sql("predict f from xs having prediction <> decision order by activation('a1') desc")
    assert list(scores.inputs) == [f"xs[{k}]" for k in sorted(conflicts, key=lambda k: -codes[k, 1])]


def test_the_most_active_samples_are_one_pass(con: Session) -> None:
    with ialgebra.connect(progress=False) as own:
        own.register_model("f", F, classes=CLASSES)
        own.register_input("xs", XS + 0.25)
        own.sql("predict f from xs")
        own.register_concepts("f", "2", (*NAMES, "a6", "a7"), head=nn.Linear(8, 3).double())
        first = own.sql(MAS.format(""))
        # every input once; then the baseline by both models, and on the head two inputs and the baseline
        assert first.stats.rows == COUNT + 2 + 3
        assert own.sql(MAS.format("having index >= 0")).stats.rows == 0


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("select * from bare(x, players => concepts)", BindError, "con.fit_concepts"),
        ("select * from f(x, players => concepts('none'))", BindError, "no concepts called 'none'"),
        ("select 1 from f(x, players => concepts)", BindError, "read at its own layers"),
        ("select * from f(x, players => concepts) where concept = 'a9'", BindError, "unknown concept 'a9'"),
        ("select * from f(x, players => concepts) where concept = 'a1' or row < 2", BindError, "joined by AND only"),
        ("select * from f(x, players => concepts) where not (concept = 0 or row < 2)", BindError, "by AND only"),
        ("select * from f(x) where concept = 'a1'", BindError, "players => concepts"),
        ("select * from f(x, players => concepts) join f(y)", ShapeError, "features of the input"),
        ("select * from f(x, players => concepts) anti join f(y, players => concepts('own'))", ShapeError, "'f.own'"),
        ("select * from f(x, players => concepts) using captum.Saliency()", BindError, "features of the input"),
        ("select * from f(xs) order by relevance('a1')", BindError, "read of a map over concepts"),
        ("select * from f(xs, players => concepts) order by activation('b')", BindError, "no attribute 'b'"),
        ("select * from f(xs, players => concepts) order by argmax_row()", BindError, "for maps of images"),
        ("select * from bare(xs) having decision = 1", BindError, "con.fit_concepts"),
        ("select * from f(x, players => concepts(1))", BindError, "takes the name of one dictionary"),
        ("select * from f(xs) order by activation", BindError, "is a function of an attribute"),
        ("select * from f(xs, players => concepts) order by activation()", BindError, "written activation('a7')"),
        ("select * from f(xs, players => concepts) order by relevance(6)", BindError, "count from 0 to 5"),
        ("select * from f.concepts(x, players => concepts)", BindError, "gives the concepts themselves"),
        ("select * from f(xs, players => concepts) having mass(row < 2) > 1", BindError, "that of attributes"),
    ],
)
def test_what_means_nothing_is_refused_in_a_sentence(
    con: Session, query: str, error: type[IalgebraError], words: str
) -> None:
    with pytest.raises(error) as caught:
        con.sql(query)
    assert words in str(caught.value)
    assert caught.value.line == 1


def test_what_is_kept_of_a_map_holds_the_unexplained_rest(con: Session, tmp_path: Path) -> None:
    found = con.sql("select * from f(xs, players => concepts)")
    found.save(tmp_path / "maps")
    again = ialgebra.load(tmp_path / "maps")
    assert [a.unexplained for a in again] == [a.unexplained for a in found]
    assert all(np.array_equal(a.relevance, b.relevance) for a, b in zip(found, again, strict=True))
    frame = found[:2].to_pandas()
    for k in range(2):
        own = frame[frame["input"] == f"xs[{k}]"]
        assert own["unexplained"].nunique() == 1
        assert own["unexplained"].iloc[0] == found[k].unexplained
    assert "unexplained" not in con.sql("select * from f(x)").to_pandas()


def test_a_view_and_a_window_hold_concepts(con: Session) -> None:
    con.sql("create or replace view v as select * from f(x, players => concepts) where concept in ('a1', 'a2')")
    con.sql("create or replace window some as concept in ('a1', 'a2')")
    (a,), (b,) = con.sql("select * from v"), con.sql("select * from f(x, players => concepts) where some")
    expected = literal(X, ZERO, CX, players=[1, 2])
    np.testing.assert_allclose(a.map, expected, **CLOSE)
    np.testing.assert_allclose(b.map, expected, **CLOSE)
    with pytest.raises(BindError, match="reads concept"):
        con.sql("select * from f(x) where some")


@pytest.mark.parametrize("strategy", ["AS_WRITTEN", "LAWS", "FUSED", "BEST"])
def test_no_strategy_changes_an_answer(con: Session, strategy: str) -> None:
    query = "select * from f(x, players => concepts) anti join f(y, players => concepts) where row < 2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = con.sql(query + " using exact()", strategy=strategy)
    np.testing.assert_allclose(found[0].values, literal(inside(X, Y), Y, CX), **CLOSE)


def test_drawings_show_the_unexplained_rest_as_one_more_bar(con: Session) -> None:
    found = con.sql("select * from f(x, players => concepts)")
    (plain,) = con.sql("select * from f.concepts(x, target => 'a1', players => grid(2, 2))")
    for kind in ("bar", "waterfall"):
        named = [label.get_text() for label in found[0].plot(kind).axes[0].get_yticklabels()]
        assert named[-1] == "unexplained"
        assert len(named) == len(found[0].values) + 1
        assert "unexplained" not in [label.get_text() for label in plain.plot(kind).axes[0].get_yticklabels()]
    assert f"unexplained {found[0].unexplained:+.3g}"[:16] in found._repr_html_()


def test_a_plan_over_concepts_is_printed_so_that_it_binds_again(con: Session) -> None:
    catalog = con.catalog()
    for query in (
        "select * from f(x, players => concepts) where concept = 'a3' and row < 2",
        "select * from f(x, players => concepts) anti join h(x, players => concepts)",
        "select * from f(x, players => concepts('own'), target => 'dog') join f(y, players => concepts('own'))",
    ):
        bound = bind(reader.parse(query)[0], query, catalog)
        text = to_sql(bound.wanted[0].plan)
        again = bind(reader.parse(text)[0], text, catalog)
        assert again.wanted[0].plan is bound.wanted[0].plan, text


@pytest.mark.parametrize("name", ["concepts", "motifs"])
def test_the_laws_of_concepts_hold_and_a_wrong_head_breaks_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ialgebra.connect(progress=False) as own:
        own.register_model("f", F, classes=CLASSES)
        own.register_input("x", X)
        own.register_input("y", Y)
        own.sql("predict f from x")
        unlearned = check_laws(own, "f", ["x", "y"], ["L21"], examples=1)
        assert (unlearned[0].passed, unlearned[0].reason) == (
            None,
            "model 'f' has no dictionary of concepts of its own",
        )
        own.register_concepts("f", "2", (*NAMES, "a6", "a7"), head=nn.Linear(8, 3).double(), name=name)
        for result in check_laws(own, "f", ["x", "y"], ["L21", "L22"], examples=6):
            assert result.passed, result
            assert result.checked > 1
        monkeypatch.setattr("ialgebra.interpreters.linear.weights_of", lambda *given: 1.001 * weights_of(*given))
        assert check_laws(own, "f", ["x", "y"], ["L21"], examples=6)[0].passed is False
