"""Numbers beside bars are written as people write them; a value that is missing is grey and stands apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ialgebra
from ialgebra.results.plots.style import plain

pd = pytest.importorskip("pandas")
pytest.importorskip("matplotlib")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1970.0, "1970"), (4354.0, "4354"), (20.25, "20.2"), (-0.5, "−0.5"), (0.0, "0"), (2e9, "2e+09"), (1e-4, "0.0001")],
)
def test_a_number_is_written_without_an_exponent_as_long_as_it_is_short(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.fixture
def answer() -> ialgebra.Relation:
    frame = pd.DataFrame({"age": [10.0, np.nan, 30.0, 40.0], "year": [1970, 1980, 1990, 2000]})
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda rows: torch.tensor((rows.age.fillna(0) + rows.year).to_numpy()), outputs="values")
    con.register_input("rows", frame)
    return con.sql("select * from f(rows, baseline => 0)")


def test_an_output_of_a_regression_is_no_class(answer: ialgebra.Relation) -> None:
    assert {a.target_name for a in answer} == {"output 0"}


def test_missing_values_are_grey_and_stand_left_of_all_others(answer: ialgebra.Relation) -> None:
    swarm = answer.plot("beeswarm").axes[0]
    grey = [
        tuple(round(float(part), 2) for part in colour[:3]) == (0.55, 0.57, 0.62)
        for points in swarm.collections
        for colour in points.get_facecolors()
    ]
    assert sum(grey) == 1  # one age of eight values
    dependence = next(ax for ax in answer.plot("dependence").axes if ax.get_title(loc="left") == "age")
    places = np.sort(np.asarray(dependence.collections[-1].get_offsets())[:, 0])
    assert places[0] < 10
    assert places[1:].tolist() == [10, 30, 40]
