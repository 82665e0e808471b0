"""Properties of pictures: what is red, what is blue, what is faded, what stands where, and what is written on it."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from ialgebra.errors import IalgebraError
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
