"""Models and inputs as people have them: registered in one call each, explained for the class that they themselves
predict, with values equal to enumeration. The pairs are listed in `tests/doors`."""

from __future__ import annotations

import numpy as np
import pytest

import ialgebra
from tests import oracle
from tests.doors import DOORS, estimators, kinds, remembered, texts

MODULES = (estimators, kinds, texts)  # which list doors when they are imported


@pytest.mark.parametrize("name", DOORS)
def test_a_pair_of_the_wild_is_explained_as_by_enumeration(name: str) -> None:
    packages, make = DOORS[name]
    for package in packages:
        pytest.importorskip(package)
    door = make()
    con = ialgebra.connect(progress=False)
    con.register_model("f", door.model, **door.model_options)
    con.register_input("x", door.value, **door.input_options)
    (a,) = con.sql(f"select * from f(x{door.options}) using exact()")

    outputs = remembered(door.outputs)
    everyone = frozenset(range(door.players))
    target = int(np.argmax(outputs(everyone)))
    expected = oracle.shapley(lambda s: outputs(s)[target], lambda s: outputs(s)[target], door.players)
    assert a.target == target
    assert door.prediction is None or a.target_name == door.prediction
    size = max(float(np.abs(outputs(everyone)).max()), 1e-3)
    assert a.values == pytest.approx(expected, abs=door.tolerance * size)
    assert a.full_value == pytest.approx(outputs(everyone)[target], abs=door.tolerance * size)
    assert door.names is None or a.player_names() == door.names
