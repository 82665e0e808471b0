"""Pairs of a query and its normal form, as text: both are answered, and alike, and as the paper's equations say.

A paragraph of `fixtures/normal_forms.txt` is a title, a query, and the normal form of each of its maps as the printer
writes it, less the options that are the defaults here. `IALGEBRA_REWRITE=1 pytest tests/test_normal_forms.py` writes
the normal forms anew, to be read again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import ialgebra
from ialgebra.algebra.operators import Identity, Operator, Projection, Selection
from ialgebra.answering import binding as binder
from ialgebra.language import printer, reader
from ialgebra.planner.rewrite import normalise
from tests import snapshots, worlds
from tests.reading import Reader

NAME = "normal_forms.txt"
VIEWS: dict[worlds.Kind, dict[str, str]] = {
    "image": {
        "early": "select 2 from f(x)",
        "zoomed": "select * from early where w",
        "both": "select * from f(x) join f(y) on weight = 0.25",
        "layers": "select 2, 3, * from f(x')",
    },
    "tabular": {"early": "select 2 from f(x)"},
    "tokens": {},
}
DEFAULTS = {
    "image": ", baseline => 0, players => grid(2, 2), output => 'logit'",
    "tabular": ", baseline => 0, players => features, output => 'logit'",
    "tokens": ", baseline => 0, players => tokens, output => 'logit'",
}


def pairs() -> Iterator[tuple[worlds.Kind, str, str, list[str]]]:
    """(kind, title, query, normal forms); a title says the kind of its inputs where they are no images."""
    for paragraph in snapshots.paragraphs(NAME):
        title, query, *normal = paragraph.split("\n")
        (kind,) = [kind for kind in ("tabular", "tokens", "image") if kind in title or kind == "image"][:1]
        yield kind, title.removeprefix("# "), query, normal


PAIRS = list(pairs())


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        yield


@cache
def world(kind: worlds.Kind) -> tuple[worlds.Case, Reader]:
    case = worlds.case(kind, seed=31)
    mask = np.indices(worlds.SHAPES[kind])[-1] % 2 == 0
    case.con.register_window("mask", mask)
    for name, text in VIEWS[kind].items():
        case.con.sql(f"create view {name} as {text}")
    layers = {layer.name: layer.index for layer in case.con._catalog.model("f").layers}
    windows = case.world.windows | {"mask": lambda x: mask}
    return case, Reader(replace(case.world, windows=windows, inputs=dict(case.world.inputs)), layers, VIEWS[kind])


def normal_forms(kind: worlds.Kind, query: str) -> list[Operator]:
    case, _ = world(kind)
    (tree,) = reader.parse(query)
    return [normalise(each.plan)[0] for each in binder.bind(tree, query, case.con._catalog).maps]


def printed(kind: worlds.Kind, plan: Operator) -> str:
    return printer.to_sql(plan).replace(DEFAULTS[kind], "")


@pytest.mark.skipif(not snapshots.REWRITE, reason="writes the fixture anew where IALGEBRA_REWRITE is set")
def test_write_the_normal_forms_anew():
    snapshots.write(
        NAME,
        [
            "\n".join([f"# {title}", query, *dict.fromkeys(printed(kind, each) for each in normal_forms(kind, query))])
            for kind, title, query, _ in PAIRS
        ],
    )


def test_the_pairs_are_many_and_say_each_law_and_construct():
    queries = [query for _, _, query, _ in PAIRS]
    assert len({(kind, query) for kind, _, query, _ in PAIRS}) == len(queries) >= 60
    titles = " ".join(title for _, title, _, _ in PAIRS)
    for law in [f"L{k}:" for k in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 18)]:
        assert law in titles, law
    said = " ".join(queries).lower()
    constructs = "where join left anti weight using budget between in not or and box circle abs as nullify clip".split()
    assert [word for word in constructs if word not in said] == []
    assert {option for option in ("target", "baseline", "players", "output", "contrast") if option in said} == {
        *("target", "baseline", "players", "output", "contrast")
    }


@pytest.mark.parametrize(("kind", "title", "query", "normal"), PAIRS, ids=[query for _, _, query, _ in PAIRS])
def test_a_query_has_this_normal_form_and_both_have_the_papers_answer(kind, title, query, normal):
    plans = normal_forms(kind, query)
    assert list(dict.fromkeys(printed(kind, each) for each in plans)) == normal, title
    case, oracle = world(kind)
    answers = list(case.con.sql(query, seed=1))
    again = [answer for text in normal if "[" not in text for answer in case.con.sql(text, seed=1)]
    if len(normal) == len(plans) and not any("[" in text for text in normal):  # one element has no word of its own
        assert len(again) == len(answers)
        for one, other in zip(answers, again, strict=True):
            assert np.array_equal(one.players, other.players)
            assert worlds.close(one.map, other.map, 1e-9), title
            assert worlds.close(one.stderr, other.stderr, 1e-6)
    if any(answer.stderr.any() for answer in answers):
        assert "budget" in query, "an estimate: the oracle says exact values only"
        return
    (tree,) = reader.parse(query)
    literal = "literal" in query
    expected = [map_ for plan in oracle.plans(tree) for map_ in replace(oracle.world, literal=literal).maps(plan)]
    assert len(answers) == len(expected)
    scale = max(np.abs(map_).max() for map_ in expected) or 1.0
    for answer, map_ in zip(answers, expected, strict=True):
        assert np.abs(answer.map - map_).max() <= 1e-9 * scale, title


@pytest.mark.parametrize("number", range(0, len(PAIRS), 4))
def test_a_normal_form_is_its_own_normal_form_however_often_it_is_printed(number):
    kind, title, query, normal = PAIRS[number]
    for plan, text in zip(normal_forms(kind, query), normal, strict=False):
        assert normalise(plan)[0] is plan
        core = plan
        while isinstance(core, Projection | Selection):
            core = core.of
        if "[" not in text and not (isinstance(core, Identity) and len(core.inputs) > 1) and "weight" not in text:
            assert normal_forms(kind, text) == [plan], title


def test_different_queries_have_different_normal_forms_where_their_answers_differ():
    """The printer leaves nothing out that an answer hangs on."""
    seen: dict[tuple[str, str], list[np.ndarray]] = {}
    for kind, _, query, normal in PAIRS:
        if any("[" in text for text in normal) or "budget" in query:
            continue
        maps = [answer.map for answer in world(kind)[0].con.sql(query, seed=1)]
        known = seen.setdefault((kind, "\n".join(normal)), maps)
        if len(known) == len(maps):
            assert all(np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(known, maps, strict=True)), query
    assert len(seen) > 30
