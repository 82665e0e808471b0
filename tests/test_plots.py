"""Properties of pictures: what is red, what is blue, what is faded, what stands where, and what is written on it."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest

from ialgebra.errors import BindError, IalgebraError
from tests.relations import attribution, grid, relation, tabular, tokens

plots = pytest.importorskip("ialgebra.results.plots")
pyplot = pytest.importorskip("matplotlib.pyplot")
from matplotlib.colors import to_rgb  # noqa: E402 - matplotlib is an extra
from matplotlib.image import imread  # noqa: E402


def shown(axes) -> np.ndarray:
    """The mean colour of each pixel of an image panel, (H, W, 3) in [0, 1]; pixels are drawn enlarged."""
    picture = np.asarray(axes.images[0].get_array())
    left, right, bottom, top = axes.images[0].get_extent()
    high, wide = round(abs(top - bottom)), round(abs(right - left))
    return picture.reshape(high, len(picture) // high, wide, -1, 3).mean(axis=(1, 3))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def panels(figure) -> list:
    return [axes for axes in figure.axes if axes.get_label() not in ("<colorbar>", "<photo>")]


def test_raising_is_red_lowering_is_blue_and_nothing_is_grey():
    left, middle, right = (
        shown(panels(relation(attribution([2.0, 0.0, -2.0, 0.0])).plot())[0])[4, c] for c in (0, 2, 4)
    )
    assert left[0] > left[2] + 0.3
    assert right[2] > right[0] + 0.3
    assert middle[0] == middle[1] == middle[2]


def test_one_scale_for_all_maps_symmetric_about_zero():
    figure = relation(attribution([1.0, 0.0]), attribution([0.0, -4.0])).plot()
    first, second = (shown(axes) for axes in panels(figure))
    alone = shown(panels(relation(attribution([1.0, 0.0])).plot())[0])
    assert np.ptp(first[0, 0]) < np.ptp(second[0, 7])
    assert np.ptp(first[0, 0]) < np.ptp(alone[0, 0])
    (bar,) = set(figure.axes) - set(panels(figure))
    assert bar.get_ylim() == (-4.0, 4.0)
    assert [label.get_text() for label in bar.get_yticklabels()] == ["−4", "−2", "0", "+2", "+4"]


def test_the_photo_shows_through_every_colour_lighter_where_it_is_lighter():
    content = np.zeros((3, 8, 8))
    content[:, :4] = 1.0
    values = np.array([3.0, 1.0, 0.0, -3.0])
    picture = shown(panels(relation(attribution(values, content=content)).plot())[0])
    assert (picture[0].sum(-1) > picture[7].sum(-1) + 0.15).all()
    assert picture[7, 0, 0] > picture[7, 0, 2] + 0.2  # a strong value is red on black, too


def test_a_player_over_all_channels_counts_once_and_players_of_channels_add_up():
    whole = attribution([2.0, -2.0])
    apart = attribution([1.0, 0.5, 0.5, -2.0], np.stack([np.full((8, 8), c) for c in range(3)]))
    apart.players[:, :, 4:] = 3
    first, second = (shown(panels(relation(a).plot())[0]) for a in (whole, apart))
    np.testing.assert_allclose(first, second)


def test_what_lies_outside_the_window_is_faded_and_colourless():
    players = grid(1, 2)
    players[:, :, 4:] = -1
    content = np.tile([[0.0], [1.0]], (3, 4, 8))
    axes = panels(relation(attribution([-3.0, 0.0], players, content)).plot())[0]
    picture = shown(axes)
    inside, outside = picture[0::2, :4].sum(-1), picture[0::2, 4:]
    assert (outside.sum(-1) > inside.max() + 0.5).all()
    assert np.ptp(outside, axis=-1).max() == 0.0
    assert len(axes.collections) == 1  # its outline
    assert not panels(relation(attribution([1.0])).plot())[0].collections


def test_the_parts_of_an_anti_join_stand_side_by_side_one_row_per_item():
    answer = relation(
        *(attribution([1.0], item=item, component=c, label=f"{item}{c}") for item in (0, 1) for c in (0, 1))
    )
    places = {texts(axes)[0]: axes.get_position().frozen() for axes in panels(answer.plot())}
    assert places["00"].y0 == pytest.approx(places["01"].y0)
    assert places["10"].y0 == pytest.approx(places["11"].y0)
    assert places["00"].x0 == pytest.approx(places["10"].x0)
    assert places["00"].y0 > places["10"].y1
    assert places["00"].x1 < places["01"].x0


@pytest.mark.parametrize(("count", "rows"), [(1, [1]), (6, [6]), (7, [4, 3]), (13, [5, 5, 3])])
def test_a_plain_select_list_wraps_after_six(count, rows):
    figure = relation(*(attribution([1.0], item=i) for i in range(count))).plot()
    heights = [round(axes.get_position().y0, 6) for axes in panels(figure)]
    assert [heights.count(y) for y in sorted(set(heights), reverse=True)] == rows


def test_a_panel_says_what_it_is_for_which_target_and_how_certain():
    a = attribution([3.0, 4.0], stderr=np.array([0.03, 0.15]), label="σ 2 f(coffee)", target_name="espresso")
    assert texts(a.plot().axes[0]) == ["σ 2 f(coffee)", "espresso", "± 6 % at 95 %"]
    assert texts(attribution([1.0]).plot().axes[0])[1:] == ["espresso", "exact"]
    assert texts(attribution([1.0], stderr=np.array([math.inf])).plot().axes[0])[1:] == ["espresso", "error unknown"]


def test_long_titles_are_cut_in_the_middle_inside_their_panel():
    figure = attribution([1.0], label="f(" + "very long " * 20 + ")", target_name="n" * 200).plot()
    (axes,) = panels(figure)
    figure.draw_without_rendering()
    for text, ends in zip(axes.texts, ("f(", "n"), strict=False):
        assert text.get_text().startswith(ends)
        assert "…" in text.get_text()[1:-1]
        assert text.get_window_extent().x1 <= axes.get_window_extent().x1 + 1
    assert axes.texts[1].get_window_extent().x1 < axes.texts[2].get_window_extent().x0


def test_bars_are_sorted_by_size_with_intervals_and_the_rest_is_summed_up():
    values = np.array([0.1, -3.0, 2.0] + [0.01] * 22)
    stderr = np.zeros(25)
    stderr[1], stderr[2] = 0.5, math.inf
    names = tuple(f"n{i}" for i in range(25))
    axes = relation(tabular(values, stderr=stderr, feature_names=names)).plot().axes[0]
    bars = [bar.get_width() for bar in axes.patches]
    assert bars == pytest.approx([-3.0, 2.0, 0.1] + [0.01] * 17)
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["n1 = −0.917", "n2 = −0.833", "n0 = −1"]
    assert texts(axes)[-2:] == ["v(∅) = 0.5  →  v(N) = −0.18", "and 5 smaller, together +0.05"]
    (intervals,) = (lines.get_segments() for lines in axes.collections)
    np.testing.assert_allclose(intervals, [[[-3 - 0.979982, 0], [-3 + 0.979982, 0]]], rtol=1e-6)
    low, high = axes.get_xlim()
    assert low == -high
    assert low < -3.98
    red, blue = axes.patches[1].get_facecolor(), axes.patches[0].get_facecolor()
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_text_is_coloured_word_by_word_and_grey_outside_the_window():
    a = tokens("not an awful $10 coffee 😡", [0.5, 0.0, -2.0, 0.0, 1.0, 0.0], players=np.array([0, -1, 2, 3, 4, 5]))
    axes = panels(relation(a).plot())[0]
    words = {text.get_text(): text for text in axes.texts[3:]}
    assert list(words)[:5] == ["not", "an", "awful", "$10", "coffee"]
    assert len(words) == 6
    red, blue = (words[word].get_bbox_patch().get_facecolor() for word in ("coffee", "awful"))
    assert red[0] > red[2]
    assert blue[2] > blue[0] + 0.3
    assert words["an"].get_bbox_patch() is None
    assert to_rgb(words["an"].get_color()) == to_rgb("#a0a2a8")
    assert words["awful"].get_color() == "#ffffff"  # readable on the darkest colour


def test_long_texts_wrap_inside_their_panel():
    axes = panels(relation(tokens("word " * 60, np.linspace(-1, 1, 60))).plot())[0]
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    boxes = [text.get_window_extent() for text in axes.texts[3:]]
    assert all(box.x1 <= frame.x1 + 1 and frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1 + 1 for box in boxes)
    assert len({round(box.y0) for box in boxes}) > 2


@pytest.mark.parametrize(
    "a",
    [
        attribution([0.0, 0.0]),  # nothing matters
        attribution([1.0], content=np.full((3, 8, 8), 7.0)),  # a flat photo
        attribution([1.0], np.zeros((1, 8, 8), dtype=int)),  # one channel
        attribution([1.0], np.zeros((5, 2, 40), dtype=int)),  # five channels, very wide
        attribution([], np.full((3, 8, 8), -1)),  # an empty window
        attribution([1.0, -1.0], label="$\\frac$", target_name="$\\frac$ 漢 \n\t"),
        tabular([0.0]),
        tabular([]),
        tabular([1.0, 2.0], stderr=np.full(2, math.inf), feature_names=("$\\frac$", "漢")),
        tokens("", []),
        tokens("$ $", [0.0, 1.0], feature_names=("", "$\\frac$漢" + "x" * 500)),
    ],
    ids=lambda a: f"{a.kind}-{a.map.shape}-{len(a.values)}",
)
def test_every_legal_map_can_be_drawn(a):
    figure = relation(a).plot()
    picture = imread(io.BytesIO(plots.png(figure, dpi=50)))
    width, height = figure.get_size_inches()
    assert picture.shape[:2] == (int(height * 50), int(width * 50))
    assert np.ptp(picture[..., :3]) > 0


def test_a_map_draws_into_given_axes_and_leaves_pyplot_alone():
    figure, (left, right) = pyplot.subplots(1, 2)
    assert attribution([1.0]).plot(ax=left) is left
    assert left.images
    assert not right.images
    pyplot.close(figure)
    before = pyplot.get_fignums()
    relation(attribution([1.0])).plot()
    assert pyplot.get_fignums() == before


def test_nothing_to_draw_is_a_named_error():
    with pytest.raises(IalgebraError, match="no map"):
        plots.figure([])


# --- uncertainty


def stripes_in(a) -> np.ndarray:
    """How much each eighth of a panel varies within, (8, 8): an even photo without marks is even."""
    picture = np.asarray(panels(relation(a).plot())[0].images[0].get_array())
    size = len(picture) // 8
    return picture.reshape(8, size, 8, size, 3).std(axis=(1, 3)).max(axis=-1)


def test_players_of_unsure_sign_are_striped_and_no_others():
    values, stderr = [2.0, 0.3, -1.0, -0.2], np.array([0.5, 0.2, 0.5, 0.05])
    varied = stripes_in(attribution(values, stderr=stderr))
    assert (varied[:, 2:4] > 0.02).all()  # 0.3 ± 0.39
    assert (varied[:, [0, 1, 4, 5, 6, 7]] < 1e-9).all()
    assert [text.get_text() for text in relation(attribution(values, stderr=stderr)).plot().texts] == [
        "sign unsure at 95 %"
    ]
    assert not relation(attribution(values)).plot().texts


def test_an_unknown_error_is_dotted_where_others_are_known_and_stamped_where_none_is():
    stderr = np.array([0.0, math.inf, 0.0, 0.0])
    varied = stripes_in(attribution([1.0, 1.0, 1.0, 1.0], stderr=stderr))
    assert (varied[:, 2:4] > 0.02).all()
    assert (varied[:, [0, 1, 4, 5, 6, 7]] < 1e-9).all()
    none = attribution([1.0, 1.0, 1.0, 1.0], stderr=np.full(4, math.inf))
    assert (stripes_in(none) < 1e-9).all()
    (axes,) = panels(relation(none).plot())
    assert axes.texts[2].get_text() == "error unknown"
    assert axes.texts[2].get_bbox_patch() is not None


def test_bars_words_and_spans_of_unsure_sign_are_hatched():
    stderr = np.array([0.1, 1.0, math.inf])
    bars = relation(tabular([2.0, -1.0, 0.5], stderr=stderr)).plot().axes[0].patches
    assert [bool(bar.get_hatch()) for bar in bars] == [False, True, True]
    assert bars[1].get_hatch() != bars[2].get_hatch()
    words = panels(relation(tokens("good bad ugly", [2.0, -1.0, 0.5], stderr=stderr)).plot())[0].texts[3:]
    assert [bool(word.get_bbox_patch().get_hatch()) for word in words] == [False, True, True]
    content = np.arange(9.0)[:, None]
    of_time = attribution([2.0, -1.0, 0.5], np.arange(9)[:, None] // 3, content, kind="series", stderr=stderr)
    spans = panels(relation(of_time).plot())[0].patches
    assert [bool(span.get_hatch()) for span in spans] == [False, True, True]


# --- photos


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.15), (0.8, 1.0), (-3.0, 9.0)])
def test_zero_and_details_are_seen_on_dark_and_bright_photos(low, high):
    row, col = np.mgrid[0:96, 0:96] / 96
    shade = 0.5 * row + 0.08 * np.sin(60 * col)  # light and shade, and fine details
    content = low + (high - low) * np.stack([shade, shade, shade])
    players = grid(1, 2, content.shape)
    maps = [attribution([v, 1.0], players, content) for v in (0.0, 1.0)]
    zero, strong = (shown(panels(relation(a).plot())[0])[:, :48] for a in maps)
    assert 0.6 < zero.mean() < 0.95
    assert np.ptp(zero, axis=-1).max() < 1e-9
    rows = zero.mean(axis=(1, 2))
    assert abs(rows[:24].mean() - rows[-24:].mean()) < 0.12  # light and shade are evened out
    for picture in (zero, strong):
        assert np.ptp(picture[48].sum(axis=-1)) > 0.25  # details are not


def test_the_photo_stands_once_before_the_maps_of_it():
    one, other = (np.random.RandomState(k).rand(3, 8, 8) for k in (0, 1))
    answer = relation(*(attribution([1.0, 2.0], content=c) for c in (one, one, other)))
    labels = [axes.get_label() for axes in answer.plot().axes if axes.get_label() != "<colorbar>"]
    assert [label == "<photo>" for label in labels] == [True, False, False, True, False]
    photo = np.asarray(answer.plot().axes[0].images[0].get_array())
    np.testing.assert_allclose(photo, np.moveaxis((one - one.min()) / np.ptp(one), 0, -1))


def test_halves_of_a_pair_with_one_label_say_whose_they_are():
    pair = (attribution([1.0], component=k, label="f and g", model="fg"[k]) for k in (0, 1))
    assert [texts(axes)[0] for axes in panels(relation(*pair).plot())] == ["f(x): f and g", "g(x): f and g"]


def test_a_volume_is_drawn_slice_by_slice_on_the_one_scale():
    players = np.zeros((1, 30, 4, 4), dtype=int)
    players[:, 20:] = 1
    answer = relation(attribution([3.0, -3.0], players, np.random.RandomState(0).rand(1, 30, 4, 4), kind="volume"))
    (axes,) = panels(answer.plot())
    assert [text.get_text() for text in axes.texts[3:]] == [
        "depth 0", "3", "5", "8", "11", "13", "16", "18", "21", "24", "26", "29"
    ]  # fmt: skip
    means = [np.asarray(image.get_array()).mean(axis=(0, 1)) for image in axes.images]
    assert [mean[0] > mean[2] for mean in means] == [True] * 8 + [False] * 4


# --- names


def test_long_names_are_cut_in_the_middle_and_stay_different():
    from ialgebra.results.plots.style import shortened

    assert shortened(["short", "a" * 40 + "end"], 9) == ["short", "aaaa…aend"]
    prefix = "the_common_beginning_of_all_names_"
    names = [f"{prefix}{k}_and_their_common_end_of_the_names" for k in range(20)]
    cut = shortened(names, 20)
    assert len(set(cut)) == 20
    assert max(map(len, cut)) <= 20
    assert "13" in cut[13]
    assert shortened(["same" * 20] * 2, 9)[0] == shortened(["same" * 20] * 2, 9)[1]
    random = [f"{'x' * 30}{k:04}{'y' * 30}{k % 7}{'z' * 30}" for k in range(300)]
    assert len(set(shortened(random, 24))) == 300


def test_bars_have_the_values_of_features_also_of_texts():
    a = tabular(
        [3.0, -2.0, 1.0, 0.5],
        content=np.array(["20.3", "nurse", "", "a text that is much too long for a bar"]),
        feature_names=("debt", "job", "age", "note"),
    )
    assert [label.get_text() for label in relation(a).plot().axes[0].get_yticklabels()] == [
        "debt = 20.3",
        "job = nurse",
        "age = missing",
        "note = a text th…or a bar",
    ]
    grouped = attribution(
        [1.0, 2.0], np.array([0, 0, 1]), np.arange(3.0), kind="tabular", feature_names=("a", "b", "c")
    )
    assert [label.get_text() for label in relation(grouped).plot().axes[0].get_yticklabels()] == ["c = 2", "a, b"]


def test_a_waterfall_leads_from_the_base_to_the_full_value():
    a = tabular([1.0, -3.0, 0.5], base_value=2.0, full_value=0.5, feature_names=("a", "b", "c"))
    (axes,) = a.plot("waterfall").axes
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert bars == [pytest.approx((2.0, -1.0)), pytest.approx((-1.0, 0.0)), pytest.approx((0.0, 0.5))]
    assert {"v(∅) = 2", "v(N) = 0.5", "−3", "+1", "+0.5"} <= set(texts(axes))
    gap = tabular([1.0], base_value=0.0, full_value=3.0)
    assert gap.plot("waterfall").axes[0].get_yticklabels()[-1].get_text() == "in no player's value"
    many = tabular(np.arange(1.0, 31.0))
    names = [label.get_text() for label in many.plot("waterfall").axes[0].get_yticklabels()]
    assert names[-1] == "together 16 smaller"
    assert sum(bar.get_width() for bar in many.plot("waterfall").axes[0].patches) == pytest.approx(465.0)


# --- many maps


def rows_of(count: int, features: int = 3, **fields):
    return relation(
        *(
            tabular(
                [(-1) ** k * (k + 1.0), 0.5, 0.0] + [0.1] * (features - 3),
                content=np.full(features, float(k)),
                stderr=np.array([0.2, 0.0, 0.4] + [0.0] * (features - 3)),
                **fields,
            )
            for k in range(count)
        )
    )


@pytest.mark.parametrize("kind", [None, "bar", "beeswarm", "dependence", "maps", "waterfall"])
def test_five_hundred_rows_are_one_small_picture_that_says_what_it_leaves_out(kind):
    answer = rows_of(500, 40)
    figure = answer.plot(kind)
    assert len(figure.axes) <= 24
    assert len(figure.findobj()) < 8000  # what is drawn, whatever the machine
    wide, high = figure.get_size_inches()
    assert wide <= 10
    assert high <= 30
    said = " ".join(text.get_text() for text in figure.texts)
    left = {
        "maps": "the first 6 of 500 maps",
        "waterfall": "the first 4 of 500 maps",
        "dependence": "34 smaller players",
    }
    assert left.get(kind, "20 smaller players") in said
    assert said.split()[0] in figure.alt


def test_pictures_of_many_photos_are_the_first_and_a_note():
    figure = relation(*(attribution([1.0, 2.0]) for _ in range(500))).plot()
    assert len(panels(figure)) == 24
    assert figure.texts[-1].get_text() == "the first 24 of 500 maps; answer[24:48].plot() draws the next"


def test_importance_is_the_mean_of_the_sizes_with_its_error():
    pytest.importorskip("pandas")
    found = rows_of(4, feature_names=("a", "b", "c")).importance()
    assert found["features"].tolist() == ["a", "b", "c"]
    assert found["importance"].tolist() == pytest.approx([2.5, 0.5, 0.0])
    assert found["stderr"].tolist() == pytest.approx([0.2, 0.0, 0.4])
    assert found["mean"].tolist() == pytest.approx([-0.5, 0.5, 0.0])
    assert found["maps"].tolist() == [4, 4, 4]


def test_importance_by_target_and_of_words_that_are_not_in_all_texts():
    pytest.importorskip("pandas")
    one = tokens("good film", [2.0, 0.5], target_name="fine")
    other = tokens("film good good", [-1.5, 4.0, 0.0], target_name="poor")
    together = relation(one, other).importance()
    assert dict(zip(together["features"], together["importance"], strict=True)) == pytest.approx(
        {"good": 2.0, "film": 1.0}
    )
    apart = relation(one, other).importance(by="target")
    assert apart["target"].tolist() == ["fine", "fine", "poor", "poor"]
    assert apart["importance"].tolist() == pytest.approx([2.0, 0.5, 2.0, 1.5])
    with pytest.raises(BindError, match="'targets'; did you mean 'target'"):
        relation(one).importance(by="targets")
    with pytest.raises(IalgebraError, match="has no maps"):
        relation(text="words").importance()


def test_a_beeswarm_has_a_point_for_each_map_in_the_colour_of_its_value():
    figure = rows_of(10).plot("beeswarm")
    (axes,) = (each for each in figure.axes if each.get_label() != "<colorbar>")
    first, second, third = (points for points in axes.collections)
    np.testing.assert_allclose(first.get_offsets()[:, 0], [(-1) ** k * (k + 1.0) for k in range(10)])
    assert len({tuple(colour[:3]) for colour in first.get_facecolors()}) == 10
    assert len(np.unique(np.round(second.get_offsets(), 6), axis=0)) == 10  # equal values do not hide one another
    assert (third.get_facecolors()[:, 3] < 0.5).all()  # 0 ± 0.8


# --- where a picture goes


def test_a_figure_is_its_own_picture_in_a_notebook_with_a_text():
    figure = relation(attribution([1.0], label="<b>")).plot()
    data, about = figure._repr_mimebundle_()
    assert about["image/png"]["alt"] == figure.alt
    assert "&lt;b&gt;" in data["text/html"]
    assert "<b>" not in data["text/html"]
    assert 'alt="Attribution' in data["text/html"]
    assert data["text/html"].count(data["image/png"]) == 1


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "html"])
def test_a_picture_is_written_where_a_path_says(tmp_path, ending):
    path = tmp_path / "new" / f"a.{ending}"
    for answer in (relation(attribution([1.0, -1.0])), attribution([1.0, -1.0])):
        assert isinstance(answer.plot(path=path), plots.Picture)
        assert path.stat().st_size > 500
        path.unlink()


def test_a_page_has_texts_for_pictures_both_themes_and_nothing_from_elsewhere(tmp_path):
    random = np.random.RandomState(0)
    answers = {
        "photo": relation(attribution([1.0, -1.0], content=random.rand(3, 8, 8))),
        "words": relation(tokens("not <i> bad", [1.0, -2.0, 0.1], stderr=np.array([0.0, 0.1, 0.3]))),
        "bars": relation(tabular([1.0, -1.0])),
        "many": rows_of(30),
    }
    for name, answer in answers.items():
        answer.plot(path=tmp_path / f"{name}.html")
        page = (tmp_path / f"{name}.html").read_text("utf-8")
        images = re.findall(r"<img [^>]*>", page)
        assert all(re.search(r'alt="[^"]+"', image) and 'src="data:image/' in image for image in images)
        assert "http" not in page
        assert "prefers-color-scheme:dark" in page
        assert len(images) == {"photo": 2, "words": 0, "bars": 2, "many": 2}[name]
    words = (tmp_path / "words.html").read_text("utf-8")
    assert "<i>" not in words
    assert 'title="−2 (−2.2 to −1.8)"' in words
    assert re.search(r'class="word unsure"[^>]*>bad<', words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "beswarm"}, "unknown kind of plot 'beswarm'; did you mean 'beeswarm'"),
        ({"cmap": "virids"}, "unknown colour map 'virids'; did you mean 'viridis'"),
        ({"cmap": 3}, "cmap must be the name of a colour map"),
        ({"ax": "axes"}, "ax must be axes of matplotlib"),
        ({"path": "a.nothing"}, "cannot write the picture"),
    ],
)
def test_a_wrong_argument_of_plot_is_named(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for answer in (relation(attribution([1.0])), attribution([1.0])):
        with pytest.raises(IalgebraError, match=message):
            answer.plot(**arguments)


def test_maps_go_into_as_many_axes_and_a_summary_into_one():
    figure, axes = pyplot.subplots(1, 2)
    answer = relation(attribution([1.0]), attribution([2.0]))
    assert answer.plot(ax=axes) is axes
    assert all(each.images for each in axes)
    with pytest.raises(IalgebraError, match="2 maps do not go into 1 axes"):
        answer.plot(ax=axes[0])
    rows_of(30).plot(ax=axes[0])
    rows_of(30).plot("beeswarm", ax=axes[1])
    assert len(axes[1].collections) == 3
    with pytest.raises(IalgebraError, match="an HTML page has no axes"):
        answer.plot(ax=axes, path="a.html")
    pyplot.close(figure)


def test_another_colour_map_is_used_and_dark_settings_make_dark_pictures():
    usual, other = (panels(attribution([1.0, -1.0]).plot(cmap=cmap))[0] for cmap in (None, "PiYG"))
    assert shown(other)[0, 0, 1] > shown(other)[0, 0, 0]  # green
    assert shown(usual)[0, 0, 0] > shown(usual)[0, 0, 1]
    with pyplot.style.context("dark_background"):
        figure = attribution([1.0, 0.0]).plot()
    assert to_rgb(figure.get_facecolor()) == to_rgb("#15161a")
    assert shown(panels(figure)[0])[0, 7].mean() < 0.5


def test_a_composite_is_drawn_part_by_part():
    from ialgebra.algebra.kinds.composite import composite_name
    from ialgebra.algebra.kinds.kind import PartKind

    kind = composite_name([PartKind("photo", "image", (1, 2, 2)), PartKind("row", "tabular", (2,), ("a", "b"))])
    players = np.array([0, 0, 1, 1, 2, 3])
    content = np.array([0.0, 1.0, 0.5, 0.2, 7.0, 8.0])
    a = attribution([1.0, -2.0, 0.5, 3.0], players, content, kind=kind, label="m(both)")
    photo, row = panels(relation(a).plot())
    assert [texts(axes)[0] for axes in (photo, row)] == ["m(both): photo", "m(both): row"]
    assert [label.get_text() for label in row.get_yticklabels()] == ["b = 8", "a = 7"]
    assert len(photo.images) == 1


def test_a_scale_says_what_it_is_in():
    import torch

    import ialgebra

    con = ialgebra.connect(progress=False)
    con.register_model("f", torch.nn.Linear(3, 2))
    con.register_model("v", lambda batch: batch.sum(1), outputs="values")
    con.register_input("x", torch.ones(3))
    units = {
        "f(x)": "logits",
        "f(x, output => 'probability')": "probability",
        "f(x, output => 'log_odds')": "log-odds",
        "v(x)": "units of the output",
    }
    for call, unit in units.items():
        answer = con.sql(f"select * from {call}")
        assert answer[0].unit == unit
        assert answer.plot().axes[0].get_xlabel() == f"contribution, in {unit}"
    mixed = con.sql("select * from f(x) left join (select * from f(x, output => 'probability', target => 0))")
    assert {a.unit for a in mixed} == {"logits", "probability"}
    assert mixed.plot().axes[0].get_xlabel() == "contribution to the score"


def test_tokens_of_one_player_are_one_word_and_others_stay_tokens():
    names = ("[CLS]", "un", "##happi", "##ly", "it", "##s", "[SEP]")
    of_words = tokens(
        "", [1.0, -1.0], players=np.array([-1, 0, 0, 0, 1, 1, -1]), content=np.arange(7), feature_names=names
    )
    shown_words = [text.get_text() for text in panels(relation(of_words).plot())[0].texts[3:]]
    assert shown_words == ["[CLS]", "unhappily", "its", "[SEP]"]
    of_tokens = tokens(
        "", [1.0, -1.0, 2.0, 0.0, 0.5], content=np.arange(5), feature_names=names[1:6], players=np.arange(5)
    )
    shown_words = [text.get_text() for text in panels(relation(of_tokens).plot())[0].texts[3:]]
    assert shown_words == ["un", "##happi", "##ly", "it", "##s"]


@pytest.mark.parametrize("kind", ["maps", "bar", "beeswarm", "waterfall", "dependence"])
def test_huge_values_and_cells_that_are_no_numbers_are_drawn(kind):
    huge = relation(tabular([1e308, -1e308]), tabular([1e308, -5e307], content=np.array([np.nan, 0.0]), item=1))
    plots.png(huge.plot(kind), dpi=30)
    content = np.full((10, 1), np.nan)
    series = attribution([1.0, -1.0], np.repeat([0, 1], 5)[:, None], content, kind="series")
    plots.png(relation(series).plot(kind), dpi=30)


def test_an_anti_join_of_many_fits_a_page():
    random = np.random.RandomState(0)
    photos = relation(*(attribution([1.0, -1.0], component=k, content=random.rand(3, 8, 8)) for k in range(9)))
    tables = relation(*(tabular([1.0, -1.0], component=k) for k in range(9)))
    for answer, kind in ((photos, None), (tables, None), (tables, "waterfall")):
        assert answer.plot(kind).get_figwidth() <= 9.7


@pytest.mark.parametrize("limit", [1.0, 1.23456e-5, 3e-12, 4.5e6])
def test_the_title_of_a_scale_stands_beside_its_numbers(limit: float) -> None:
    picture = attribution([limit, -limit / 2]).plot()
    picture.draw_without_rendering()
    bars = [ax for ax in picture.axes if ax.get_label() == "<colorbar>"]
    for ax in bars:
        (title,) = ax.texts
        left = title.get_window_extent().x0
        assert all(label.get_window_extent().x1 < left for label in ax.get_yticklabels())
        assert title.get_window_extent().x1 <= picture.bbox.x1
