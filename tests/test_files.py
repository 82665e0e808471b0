"""Files that were tampered with are refused by name when they are read, or are read rightly: nothing fails later.

`IALGEBRA_MUTATED=500 pytest tests/test_files.py` tries more of them, and draws every map that is read.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import IalgebraError, Relation
from ialgebra.models.profile import Profile
from ialgebra.results.attribution import Attribution
from tests import mutated, worlds
from tests.relations import STATS, attribution, grid, relation, tabular, tokens

COUNT = int(os.environ.get("IALGEBRA_MUTATED", "150"))
EVERY = 1 if COUNT > 150 else 16  # so many files are read for one that is drawn
OLD = Path(__file__).parent / "fixtures" / "relation-4.safetensors"

RAW = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, AssertionError, RecursionError, OSError)


def answer() -> Relation:
    """A relation with a map of each kind, and something in every field."""
    image = attribution(
        [1.0, -2.0, 0.5, 3.0],
        grid(2, 2),
        np.linspace(0, 1, 192).reshape(3, 8, 8),
        layer=2,
        target=(1, 2),
        stderr=np.array([0.1, 0.2, 0.0, 0.3]),
        scores={"score": (0.5, 0.01), "rank": (2.0, float("inf"))},
    )
    table = tabular([1.0, 2.0], feature_names=("age", "bmi"), component=0, stderr=np.array([0.0, float("inf")]))
    text = tokens("not bad", [1.0, 2.0], component=1, item=1, content=np.array(["not", "bad"]))
    details = {"rows": 1024, "strategy": "BEST", "nested": {"a": [1, 2.5, None, "x"]}}
    return relation(image, table, text, stats=STATS, details=details, provenance={"seed": 0, "models": {"f": {}}})


def use(found: Relation, draw: bool) -> None:
    """Everything that may be done with an answer."""
    for text in (found.text, repr(found), found.explain(), str(found.stats), found.query):
        assert isinstance(text, str)
    assert found.is_text in (True, False)
    found.to_pandas()
    for a in found:
        repr(a)
        a.relative_error  # noqa: B018
        a.interval(0.9)
        assert len(a.player_names()) == len(a.values)
        if a.kind == "image":
            a.heat()
    if draw:
        found._repr_html_()
        for a in found:
            a._repr_html_()


def alike(one: Relation, other: Relation) -> bool:
    """Whether two relations hold the same, bit for bit."""
    arrays = ("map", "values", "stderr", "players", "content")
    rest = [field.name for field in dataclasses.fields(Attribution) if field.name not in arrays]
    return (
        len(one) == len(other)
        and all(same_bits(getattr(a, n), getattr(b, n)) for a, b in zip(one, other, strict=True) for n in arrays)
        and all(getattr(a, n) == getattr(b, n) for a, b in zip(one, other, strict=True) for n in rest)
        and (one.stats, one.plan, one.query, one.text) == (other.stats, other.plan, other.query, other.text)
        and repr((one.details, one.provenance)) == repr((other.details, other.provenance))  # repr: a NaN is a NaN
    )


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def named(error: IalgebraError, path: str, what: str) -> None:
    """The error names the file, in characters that a terminal shows."""
    assert path in error.message, what
    assert error.message.isprintable(), what


def readable(files: Sequence[tuple[str, bytes]], path: Path) -> Iterator[tuple[int, str, Relation]]:
    """Each mutated file that is read, with its number and what was done to it; the others are refused by name."""
    for index, (what, spoilt) in enumerate(files):
        path.write_bytes(spoilt)
        try:
            found = ialgebra.load(path)
        except IalgebraError as error:
            named(error, str(path), what)
            continue
        except RAW as error:
            raise AssertionError(f"{what}: {error!r}") from error
        yield index, what, found


def test_a_mutated_relation_is_refused_by_name_or_read_rightly(tmp_path: Path) -> None:
    good = answer()
    content = good.save(tmp_path / "good").read_bytes()
    path, again = tmp_path / "mutated", tmp_path / "again"
    read = 0
    files = list(mutated.files(content, mutated.RELATION, COUNT, seed=COUNT))
    for index, what, found in readable(files, path):
        read += 1
        try:
            use(found, draw=index % EVERY == 0)
            assert alike(ialgebra.load(found.save(again)), found), what
        except (*RAW, IalgebraError) as error:
            raise AssertionError(f"{what}, later: {error!r}") from error
        if what.startswith(("cut", "bits", "header version", "longer")):
            assert alike(found, good), what
    assert len(files) - read > COUNT / 2
    assert read > 0


def test_a_file_of_version_4_is_read_as_it_was_written() -> None:
    """The fixture was written by the code of version 4, where every map had arrays of its own."""
    own = tabular(
        [1.0, 2.0],
        feature_names=("age", "job"),
        content=np.array(["41", "clerk"]),
        map=np.array([0.25, 2.75]),
        error_bound=0.125,
        unit="logits",
        method="captum.Saliency",
        target_name="class 1",
    )
    made = answer()
    expected = relation(*made, own, stats=STATS, details=made.details, provenance=made.provenance)
    assert alike(ialgebra.load(OLD), expected)


def test_a_map_of_version_4_with_more_values_than_errors_is_refused(tmp_path: Path) -> None:
    stored = mutated.Stored.of(OLD.read_bytes())
    document = json.loads(stored.metadata["document"])
    document["maps"][0]["stderr"] = document["maps"][1]["stderr"]
    stored.metadata["document"] = json.dumps(document)
    mutated.relation_digest(stored)
    path = tmp_path / "spoilt"
    path.write_bytes(stored.bytes())
    with pytest.raises(IalgebraError, match="'values' and 'stderr' of map 0 have 4 and 2 entries"):
        ialgebra.load(path)


def test_a_mutated_file_of_version_4_is_refused_by_name_or_read_rightly(tmp_path: Path) -> None:
    path, again = tmp_path / "mutated", tmp_path / "again"
    read = 0
    files = list(mutated.files(OLD.read_bytes(), mutated.RELATION, COUNT // 2, seed=COUNT))
    for _, what, found in readable(files, path):
        read += 1
        use(found, draw=False)
        assert alike(ialgebra.load(found.save(again)), found), what
    assert len(files) - read > COUNT / 4


@pytest.fixture
def session() -> Iterator[ialgebra.Session]:
    torch.manual_seed(0)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)))
        con.register_input("x", torch.randn(4))
        worlds.with_random_heads(con, "f", torch.randn(4))
        yield con


def test_a_mutated_file_of_heads_is_refused_by_name_or_read_rightly(session: ialgebra.Session, tmp_path: Path) -> None:
    good = session.save_heads("f", tmp_path / "good")
    content, query = good.read_bytes(), "select 2, 4 from f(x, target => 0)"
    before = [a.values for a in session.sql(query)]
    path = tmp_path / "mutated"
    refused = 0
    for what, spoilt in mutated.files(content, mutated.HEADS, COUNT // 2, seed=COUNT):
        path.write_bytes(spoilt)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of weights that are not those of the model
                session.load_heads("f", path)
        except IalgebraError as error:
            refused += 1
            named(error, str(path), what)
            found = [a.values for a in session.sql(query)]
            assert all(map(np.array_equal, found, before)), f"{what}: refused, and yet something was kept"
            continue
        except RAW as error:
            raise AssertionError(f"{what}: {error!r}") from error
        answered = session.sql(query)
        assert all(np.isfinite(a.values).all() for a in answered), what
        session.save_heads("f", tmp_path / "again")
        session.load_heads("f", good)
    assert refused > COUNT / 4


@pytest.mark.parametrize("path", [("passes",), ("passes", 0), ("cold_shares",), ("curves", "eager", "1")], ids=str)
def test_a_list_of_a_profile_is_no_text(path: tuple[str | int, ...]) -> None:
    good = Profile("key", 100, 0.5, (), [()], {"eager": {1: [0.5]}})
    with pytest.raises(ValueError, match=r"."):
        Profile.from_json(json.dumps(mutated.replaced(json.loads(good.to_json()), path, "")))


def test_a_mutated_profile_is_ignored_or_read_rightly() -> None:
    good = Profile("key", 100, 0.5, (0.5, 1.0), [(0.25, 1.0)], {"eager": {1: [0.5], 8: [1.0, 2.0]}})
    good.refuse("compiled", "no")
    text, rng = good.to_json(), random.Random(COUNT)
    document = json.loads(text)
    assert Profile.from_json(text).to_json() == text
    read = 0
    for path in [*mutated.paths(document)] * (COUNT // 15):
        value = rng.choice(mutated.HOSTILE)
        spoilt = json.dumps(mutated.replaced(document, path, value))
        try:
            found = Profile.from_json(spoilt)
        except ValueError:
            continue
        read += 1
        assert json.loads(found.to_json()) == json.loads(spoilt), (path, value)
        _, seconds = found.best_batch("eager", [1, 8, 100])
        assert seconds > 0, (path, value)
        assert math.isfinite(found.seconds(1000, 8)), (path, value)
    assert read > 0
