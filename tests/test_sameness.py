"""No row is stale: whatever changes a model between two queries, the second answers of the model as it is.

`tests/changes.py` lists the kinds of change. Each is made in a session that has rows of the model already; its answer
must be that of a session that never saw the model before. What changes nothing keeps the rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import ialgebra
from ialgebra.models.contents import contents
from tests.changes import CHANGES
from tests.unchanged import STAYS

TEXT = "select * from f(x, target => 0) using exact()"


def session(model: Callable[[Tensor], object]) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", model)
    con.register_input("x", torch.tensor([1.0, 2.0, 4.0]))
    return con


def answer(con: ialgebra.Session) -> list[float]:
    (found,) = con.sql(TEXT)
    return [*found.values.tolist(), found.base_value, found.full_value]


@pytest.mark.filterwarnings("ignore")  # torch warns of types that it deprecates or calls new
@pytest.mark.parametrize("name", CHANGES)
def test_after_a_change_no_row_is_stale(name: str) -> None:
    torch.manual_seed(0)
    model, edit = CHANGES[name]()
    con = session(model)
    before = answer(con)
    undo = edit()
    try:
        after, right = answer(con), answer(session(model))
    finally:
        if callable(undo):
            undo()
    assert not np.allclose(before, right, equal_nan=True), "the change matters"
    assert after == right


# --- what is no change keeps the rows


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STAYS)
def test_what_is_no_change_keeps_the_rows(name: str) -> None:
    torch.manual_seed(0)
    model, edit = STAYS[name]()
    con = session(model)
    before = answer(con)
    again = edit()
    if again is not None:
        con.register_model("f", again)
    assert answer(con) == before
    assert con.sql(TEXT).stats.rows == 0, "asked a third time"
    # A model that is registered anew is run on one row, which tells its layers and classes.
    assert con.history[-2].rows == (0 if again is None else 1), "asked the second time"


# --- another process


SLOW = ("fitted again", "booster", "scaler", "quantised")  # packages that take seconds to load
APART = ("file", "path", "clock", "edited", "folder", "Rust")  # hold the name of a folder, or a time


def digests() -> dict[str, str]:
    """The digest of every model of the table of changes."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, make in CHANGES.items():
            if not any(word in name for word in (*SLOW, *APART)):
                torch.manual_seed(0)
                found[name] = contents(make()[0]).digest
    return found


def test_digests_are_those_of_another_process() -> None:
    script = "import json; from tests.test_sameness import digests; print(json.dumps(digests()))"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    here = digests()
    assert json.loads(there.stdout) == here
    assert len(set(here.values())) > 0.8 * len(here), "not all of them the same"
