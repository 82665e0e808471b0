"""PREDICT: what models answer for inputs as a whole. Scores are compared with passes of the modules themselves, in
torch, and rows are counted by the models.
"""

from __future__ import annotations

import runpy
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, IalgebraError, IalgebraWarning, ParseError
from ialgebra.models import Head
from ialgebra.results.scores import Scores

CLASSES = ("cat", "dog", "hen", "lynx")


class Counted(nn.Module):
    """A small net over pictures (1, 6, 6) that counts the rows it is given."""

    def __init__(self, seed: int = 0, classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.out = nn.Linear(3 * 36, classes)
        self.rows = 0

    def forward(self, batch: Tensor) -> Tensor:
        if len(batch):
            self.rows += len(batch)
        return self.out(torch.tanh(self.conv(batch)).flatten(1))


def pictures(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed)).double()


def session(count: int = 6) -> tuple[ialgebra.Session, Counted, Counted]:
    con = ialgebra.connect(progress=False)
    f, g = Counted(0).double().eval(), Counted(1).double().eval()
    con.register_model("f", f, classes=CLASSES)
    con.register_model("g", g, classes=CLASSES)
    con.register_input("x", pictures(1, 7)[0])
    con.register_input("xs", pictures(count), labels=["cat", "dog"] * (count // 2))
    return con, f, g


def predicted(con: ialgebra.Session, text: str, **more: object) -> Scores:
    answer = con.sql(text, **more)  # type: ignore[arg-type]
    assert isinstance(answer, Scores)
    return answer


def logits(net: nn.Module, batch: Tensor) -> Tensor:
    with torch.no_grad():
        return net(batch)


READ: dict[str, Callable[[Tensor], Tensor]] = {
    "logit": lambda y: y,
    "probability": lambda y: y.exp() / y.exp().sum(1, keepdim=True),
    "log_odds": lambda y: torch.stack(
        [(p / (1 - p)).log() for p in (y.exp() / y.exp().sum(1, keepdim=True)).unbind(1)], dim=1
    ),
}


@pytest.mark.parametrize("output", READ)
def test_scores_are_what_the_models_return(output: str) -> None:
    con, f, g = session()
    answer = predicted(con, f"predict f(output => '{output}', target => all), g(output => {output}) from xs")
    for net, each in zip((f, g), answer.models, strict=True):
        right = READ[output](logits(net, pictures(6)))
        order = logits(net, pictures(6)).argsort(dim=1, descending=True)
        assert each.predicted.tolist() == order[:, 0].tolist()
        assert each.top.tolist() == order.tolist(), "four classes are fewer than five"
        np.testing.assert_allclose(each.top_scores, right.gather(1, order).numpy(), rtol=1e-12)
    assert answer.models[0].targets == (0, 1, 2, 3)
    np.testing.assert_allclose(answer.models[0].target_scores, READ[output](logits(f, pictures(6))).numpy(), rtol=1e-12)
    assert answer.models[1].target_scores.shape == (6, 0)
    assert answer.inputs == tuple(f"xs[{k}]" for k in range(6))
    assert answer.places.tolist() == list(range(6))
    assert answer.labels == ("cat", "dog") * 3
    assert answer.stats.rows == 12


def test_of_many_classes_the_five_highest_are_kept_and_equal_ones_in_their_order() -> None:
    con = ialgebra.connect(progress=False)
    rows = torch.tensor([[0, 3, 3, 1, 2, 3, 0, 5.0], [9, 9, 9, 9, 9, 9, 9, 9.0]])
    con.register_model("f", lambda batch: batch * 1.0, outputs="logits")
    con.register_input("xs", rows, kind="table")
    (scores,) = predicted(con, "predict f from xs").models
    assert scores.top.tolist() == [[7, 1, 2, 5, 4], [0, 1, 2, 3, 4]]
    assert scores.top_scores.tolist() == [[5, 3, 3, 3, 2], [9, 9, 9, 9, 9]]


def test_asked_again_nothing_is_run() -> None:
    con, f, _ = session()
    first = predicted(con, "predict f from xs")
    before = f.rows
    again = predicted(con, "predict f(target => 'hen', output => probability) from xs")
    assert (first.stats.rows, again.stats.rows, again.stats.reused_rows) == (6, 0, 6)
    assert f.rows == before
    some = predicted(con, "predict f from xs having index in (1, 4)")
    assert (some.stats.rows, some.inputs) == (0, ("xs[1]", "xs[4]"))


def test_a_prediction_is_the_row_of_v_of_all_players_and_is_paid_once() -> None:
    con, f, _ = session()
    scored = predicted(con, "predict f(target => 'hen') from x")
    assert scored.stats.rows == 1
    text = "select * from f(x, target => 'hen') using exact()"  # 16 cells, but 4 with grid(2, 2)
    text = text.replace("'hen')", "'hen', players => grid(2, 2))")
    rows = con.sql(text)
    assert (rows.stats.rows, rows.stats.reused_rows) == (15, 1)
    assert rows[0].full_value == scored.models[0].target_scores[0, 0], "bit for bit"

    con, f, _ = session()
    assert con.sql(text).stats.rows == 16
    before = f.rows
    scored = predicted(con, "predict f(target => 'hen') from x")
    assert (scored.stats.rows, scored.stats.reused_rows, f.rows - before) == (0, 1, 0)


def test_an_edited_input_is_met_again_by_its_content() -> None:
    con, _, _ = session()
    con.sql("predict f from xs limit 1")
    assert predicted(con, "predict f from nullify(x, row < 3)").stats.rows == 1
    assert predicted(con, "predict f from nullify(nullify(x, row < 2), row < 3)").stats.rows == 0
    assert con.sql("select * from f(x, players => grid(2, 1), target => 0) using exact()").stats.rows == 3


def test_equal_inputs_of_a_collection_are_one_row() -> None:
    con, f, _ = session()
    con.register_input("twice", pictures(2)[[0, 1, 0, 0]])
    answer = predicted(con, "predict f(target => 0) from twice")
    assert answer.stats.rows == 2
    values = answer.models[0].target_scores[:, 0]
    assert values[0] == values[2] == values[3] != values[1]
    np.testing.assert_allclose(values[:2], logits(f, pictures(2))[:, 0].numpy(), rtol=1e-12)


def test_having_order_by_and_limit_choose_by_scores() -> None:
    con, f, g = session(12)
    one, two = (logits(net, pictures(12)).numpy() for net in (f, g))
    right = [k for k in range(12) if one[k, 1] > -0.1 and two[k].argmax() != 3]
    right.sort(key=lambda k: -two[k, 0])
    text = "from xs having score(f, 'dog') > -0.1 and prediction(g) <> 'lynx' order by score(g, 'cat') desc limit 3"
    answer = predicted(con, f"predict f, g {text}")
    assert answer.places.tolist() == right[:3]
    np.testing.assert_allclose(answer.ranked["score(g, 'cat')"], two[right[:3], 0], rtol=1e-12)
    alone = predicted(con, f"predict f {text}")
    assert alone.places.tolist() == right[:3], "a model may be asked for its score only"
    assert [each.model for each in alone.models] == ["f"]
    maps = con.sql(f"select * from f(xs, players => grid(1, 2)) {text[8:]}")
    assert [each.input for each in maps] == [f"xs[{k}]" for k in right[:3]]
    assert maps[0].scores["score(g, 'cat')"] == (answer.ranked["score(g, 'cat')"][0], 0.0)


def test_scores_of_a_query_go_with_what_is_read_of_maps() -> None:
    con, f, _ = session(12)
    text = "from f(xs, players => grid(1, 2), output => probability)"
    right = READ["probability"](logits(f, pictures(12))).numpy()
    kept = [k for k in range(12) if right[k, 2] >= 0.2]
    assert 0 < len(kept) < 12
    maps = con.sql(f"select * {text} having score('hen') >= 0.2 and mass(row < 3) >= 0 order by score('hen') desc")
    kept.sort(key=lambda k: -right[k, 2])
    assert [each.input for each in maps] == [f"xs[{k}]" for k in kept]
    every = {each.input: each for each in con.sql(f"select * {text}")}
    mass = {name: abs(a.map[:, :3]).sum() / abs(a.map).sum() for name, a in every.items()}
    ordered = con.sql(f"select * {text} order by mass(row < 3) * score('hen') limit 4")
    told = sorted(range(12), key=lambda k: mass[f"xs[{k}]"] * right[k, 2])[:4]
    assert [each.input for each in ordered] == [f"xs[{k}]" for k in told]


def test_filters_that_need_no_model_come_first() -> None:
    con, f, _ = session()
    con.sql("predict f from x")
    before = f.rows
    answer = predicted(con, "predict f from xs having label = 'dog' and score('cat') > -99")
    assert (answer.places.tolist(), f.rows - before) == ([1, 3, 5], 3)
    assert predicted(con, "predict f from xs order by index desc limit 2").places.tolist() == [5, 4]


def test_layers_are_read_with_their_heads_in_the_same_pass() -> None:
    con, f, _ = session()
    con.sql("predict f from x")
    weight, bias = torch.randn(4, 3).double(), torch.randn(4).double()
    con._catalog.model("f").heads[1] = Head(weight, bias, con._catalog.model("f").layers[0].pool)
    before = f.rows
    answer = predicted(con, "predict f(layer => 1, target => all), f, f(layer => conv) from xs")
    assert f.rows - before == 6
    with torch.no_grad():
        hidden = f.conv(pictures(6)).mean((2, 3))
    np.testing.assert_allclose(answer.models[0].target_scores, (hidden @ weight.T + bias).numpy(), rtol=1e-10)
    np.testing.assert_allclose(
        answer.models[1].predicted_scores, logits(f, pictures(6)).max(1).values.numpy(), rtol=1e-12
    )
    assert [each.label for each in answer.models] == ["f layer 1", "f", "f layer 1"]
    assert answer.models[2].top.tolist() == answer.models[0].top.tolist()


def test_a_regression_has_values_and_predicts_no_class() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("price", lambda batch: batch.sum(1, keepdim=True) * 100, outputs="values")
    con.register_input("cars", torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]]), kind="table")
    answer = predicted(con, "predict price from cars order by score(0) desc")
    assert answer.models[0].is_regression
    assert answer.models[0].top_scores.tolist() == [[1550.0], [600.0]]
    assert answer.text.splitlines()[:3] == ["input    price", "cars[1]   1550", "cars[0]    600"]
    assert list(answer.to_pandas().columns) == ["input", "index", "price: output 0"]
    with pytest.raises(BindError, match="has no probability"):
        con.sql("predict price(output => probability) from cars")


def test_one_sigmoid_column_is_two_classes() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch[:, :1] * 2, outputs="logits", classes=["no", "yes"])
    con.register_input("xs", torch.tensor([[1.0, 0], [-0.5, 0]]), kind="table")
    (scores,) = predicted(con, "predict f(output => probability, target => 'yes') from xs").models
    right = [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(1))]
    np.testing.assert_allclose(scores.target_scores[:, 0], right)
    assert scores.predicted_names() == ["yes", "no"]
    np.testing.assert_allclose(scores.top_scores, [[right[0], 1 - right[0]], [1 - right[1], right[1]]])


def test_tables_say_who_predicts_what() -> None:
    con, f, _ = session(2)
    answer = predicted(con, "predict f(target => 'hen') from xs")
    y = logits(f, pictures(2)).numpy()
    told = [line.split() for line in answer.text.splitlines()]
    assert told[0] == ["input", "label", "f", "logits", "f:", "hen"]
    for k in range(2):
        assert told[1 + k][:3] == [f"xs[{k}]", ("cat", "dog")[k], CLASSES[y[k].argmax()]]
        assert [float(word) for word in told[1 + k][3:]] == [float(f"{v:.4g}") for v in (y[k].max(), y[k, 2])]
    frame = answer.to_pandas()
    assert list(frame.columns) == ["input", "index", "label", "f", "f score", "f: hen"]
    long = answer.to_pandas(details=True)
    assert len(long) == 2 * 4
    assert set(long.columns) == {"input", "index", "label", "model", "layer", "rank", "class", "score"}
    one = predicted(con, "predict f, g from x").text.splitlines()
    assert one[0].split() == ["f(x)", "logits"]
    assert one[5].split() == ["g(x)", "logits"]
    many = ialgebra.connect(progress=False)
    many.register_model("f", lambda batch: batch, outputs="logits")
    many.register_input("xs", torch.randn(100, 3), kind="table")
    assert "… and 40 more" in predicted(many, "predict f from xs").text


def test_pictures_of_scores(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    con, *_ = session()
    swept = predicted(con, "predict f(target => ('cat', 'hen')), g from rotate(x, steps(0, 90, 4))")
    curves = swept.plot(path=tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()
    lines = curves.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["cat", "hen"]
    for line, k in zip(lines, (0, 2), strict=True):
        assert line.get_xdata() == pytest.approx([0, 30, 60, 90])
        (one,) = predicted(con, f"predict f(target => {k}) from rotate(x, 30)").models
        assert line.get_ydata()[1] == one.target_scores[0, 0]
    bars = predicted(con, "predict f from xs").plot()
    top = predicted(con, "predict f from xs").models[0].top_scores[2]
    assert [patch.get_width() for patch in bars.axes[2].patches] == pytest.approx(top.tolist())
    assert len(predicted(con, "predict f from xs").plot(kind="bars").axes) == 6
    with pytest.raises(BindError, match="this answer has none"):
        predicted(con, "predict f from xs").plot("curves")
    with pytest.raises(BindError, match="unknown kind of plot 'pie'"):
        swept.plot("pie")
    with pytest.raises(IalgebraError, match="no scores to plot"):
        predicted(con, "predict f from xs having index > 9").plot()
    with pytest.raises(IalgebraError, match="holds maps, not scores"):
        swept.save(tmp_path / "a.safetensors")


def test_a_map_of_an_edit_adds_up_to_the_difference_of_the_predictions() -> None:
    """Σφ(e(x); x) = f(e(x)) − f(x), whatever the edit e."""
    con, _, _ = session()
    light = ("brightness(x, 0.3)", "contrast(x, -0.5)", "blur(x, 2)", "assign(x, row < 3, 0.5)")
    for edited in (*light, "rotate(x, 40, baseline => 0)", "shift(x, 1, -1, baseline => 0.5)"):
        one, other = (
            predicted(con, f"predict f(target => 'hen') from {each}").models[0].target_scores[0, 0]
            for each in (edited, "x")
        )
        text = f"select * from f({edited}, target => 'hen', baseline => x, players => grid(2, 2)) using exact()"
        (found,) = con.sql(text)
        assert found.values.sum() == pytest.approx(one - other, abs=1e-12), edited


def test_thousands_of_inputs_are_streamed_in_full_batches() -> None:
    con, rows = ialgebra.connect(progress=False), torch.randn(5000, 8)
    sizes: list[int] = []

    def model(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return batch[:, :3]

    con.register_model("f", model, outputs="logits")
    con.register_input("xs", rows, kind="table")
    con.sql("predict f from xs limit 1")
    sizes.clear()
    answer = predicted(con, "predict f(target => 2) from clip(xs, -1, 1)")
    assert np.array_equal(answer.models[0].target_scores[:, 0], rows.clamp(-1, 1)[:, 2].double().numpy())
    assert answer.stats.rows == sum(sizes) == 5000
    assert len(sizes) < 25


def test_explain_shows_the_passes_and_analyze_what_they_took() -> None:
    con, _, _ = session()
    con.sql("predict f from x")
    plan = con.sql("explain predict f, g from xs")
    assert plan.text.splitlines()[0].split()[-2:] == ["~12", "rows"]
    assert "f: *" in plan.text
    assert plan.stats.rows == 0
    told = con.sql("explain analyze predict f from xs")
    assert "6 rows in 1 batches" in told.text
    again = con.sql("explain (analyze, format json) predict f from xs")
    assert '"reused": 6' in again.text
    assert isinstance(told, Scores)
    assert told.models[0].predicted.shape == (6,)
    assert con.sql("explain (format dot) predict f from xs").text.startswith("digraph plan {")


def test_history_runs_and_exports_predictions_bit_for_bit(tmp_path: Path) -> None:
    con, f, g = session()
    answer = predicted(con, "predict f(output => probability), g from xs order by score(f, 'cat') desc", seed=3)
    again = con.history.run(-1)
    assert isinstance(again, Scores)
    assert [a.tobytes() for a in again.arrays()] == [a.tobytes() for a in answer.arrays()]
    script = con.history.export(tmp_path / "a.py")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(runpy.run_path(str(script))["analysis"]({"f": f, "g": g}))
    last = found[-1]
    assert isinstance(last, Scores)
    assert [a.tobytes() for a in last.arrays()] == [a.tobytes() for a in answer.arrays()]
    assert last.provenance["models"] == answer.provenance["models"]


def test_a_model_that_was_changed_is_asked_anew(tmp_path: Path) -> None:
    con, f, _ = session()
    before = predicted(con, "predict f(target => 0) from x").models[0].target_scores
    with torch.no_grad():
        f.out.bias += 1
    answer = predicted(con, "predict f(target => 0) from x")
    assert answer.stats.rows == 1
    np.testing.assert_allclose(answer.models[0].target_scores, before + 1)

    path = tmp_path / "factor"
    path.write_text("1.0")
    con.register_model("filed", lambda batch: batch.flatten(1)[:, :2] * float(path.read_text()), outputs="logits")
    first = predicted(con, "predict filed(target => 0) from xs").models[0].target_scores
    same = predicted(con, "predict filed(target => 0) from xs")
    assert same.stats.reused_rows == 6, "rows are trusted after a canary"
    path.write_text("3.0")
    then = predicted(con, "predict filed(target => 0) from xs")
    np.testing.assert_allclose(then.models[0].target_scores, 3 * first)


def test_a_question_is_asked_anew_when_a_model_of_its_ranking_has_changed() -> None:
    con, f, g = session()
    text = "select * from f(xs, players => grid(1, 2), target => 0) having score(g, 'cat') > 0"
    before = [each.input for each in con.sql(text)]
    with torch.no_grad():
        g.out.weight.neg_()
        g.out.bias.neg_()
    after = [each.input for each in con.sql(text)]
    assert sorted(before + after) == [f"xs[{k}]" for k in range(6)]
    assert before
    assert after

    nothing = "select * from f(xs, players => grid(1, 2)) having prediction = 'hen'"
    with torch.no_grad():
        f.out.bias[2] -= 99
    assert not con.sql(nothing)
    with torch.no_grad():
        f.out.bias[2] += 199
    assert len(con.sql(nothing)) == 6


def test_a_random_model_says_so() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch + torch.randn_like(batch), outputs="logits")
    con.register_input("x", torch.randn(3))
    with pytest.warns(IalgebraWarning, match="is random"):
        answer = predicted(con, "predict f from x")
    assert "f is random" in answer.text


@pytest.mark.parametrize(
    ("text", "error", "message", "word"),
    [
        ("predict h from x", BindError, "unknown model 'h'", "h"),
        ("predict f from z", BindError, "unknown input 'z'", "z"),
        ("predict f(target => 'cow') from x", BindError, "has no class 'cow'", "'cow'"),
        ("predict f(target => (0, 7)) from x", BindError, "has no class 7", "(0, 7)"),
        ("predict f(output => odd) from x", BindError, "unknown output 'odd'", "odd"),
        ("predict f(baseline => 0) from x", BindError, "unknown option of a model of PREDICT", "baseline"),
        ("predict f(layer => 9) from x", BindError, "layer", "9"),
        ("predict f(layer => 1) from x", BindError, "has no head yet", "1"),
        ("predict f(x) from x", ParseError, "the input goes after FROM: predict f from …", "x"),
        ("predict f from x where row < 3", ParseError, "PREDICT has no WHERE", "where"),
        ("predict f from f(x)", BindError, "unknown modifier 'f'", "f"),
        ("predict f from xs limit 0", BindError, "at least 1", "0"),
        ("predict f from xs limit 1 limit 2", ParseError, "given twice", "limit"),
        ("predict f from xs having mass(row < 3) > 0", BindError, "PREDICT makes none", "mass"),
        ("predict f from xs having score > 0", BindError, "function of a class", "score"),
        ("predict f from xs having score('cow') > 0", BindError, "has no class 'cow'", "'cow'"),
        ("predict f, g from xs having score('cat') > 0", BindError, "which model is meant", "score('cat')"),
        ("predict f, g from xs having prediction = 'cat'", BindError, "which model is meant", "prediction"),
        ("predict f from xs having score(h, 'cat') > 0", BindError, "unknown model 'h'", "h"),
        ("predict f from xs having prediction(f) = 'cow'", BindError, "unknown prediction 'cow'", "'cow'"),
        ("predict f from xs having score(f, 'cat', 3) > 0", BindError, "is written", "score(f, 'cat', 3)"),
        ("select * from f(x) having score('cat') > 0", BindError, "choose among the elements", "score('cat') > 0"),
    ],
)
def test_every_mistake_is_an_error_at_its_word(text: str, error: type[IalgebraError], message: str, word: str) -> None:
    con, _, _ = session()
    with pytest.raises(error, match=message.replace("(", r"\(")) as caught:
        con.sql(text)
    assert caught.value.span is not None
    start, end = caught.value.span
    assert text[start:end] == word
