"""Nodes that leave the process, or are copied: what comes back is the node, however deep or shared its plan is."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import ialgebra
from ialgebra.algebra.baselines import Constant
from ialgebra.algebra.interning import Node
from ialgebra.algebra.operators import AntiJoin, Identity, Join, Operator, Projection, Selection
from ialgebra.algebra.players import Features
from ialgebra.algebra.sources import Edit, Source
from ialgebra.algebra.windows import Box, Mask, Not
from ialgebra.language import reader
from ialgebra.language.bind import query as binder
from ialgebra.language.bind.models import NotKnownYet
from tests import grammar
from tests.grammar import Grammar

ROOT = Path(__file__).parents[2]
COUNT, DEEP = 500, 1000
X = Identity("f", (Source("x"),), (Constant(),), Features())


@pytest.fixture(scope="module")
def plans() -> list[Operator]:
    """What 500 random queries mean."""
    con = grammar.session()
    found: dict[Operator, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        number = 0
        while len(found) < COUNT:
            number += 1
            try:
                text = Grammar(random.Random(number)).query_text()
                (query,) = reader.parse(text)
                found.update(dict.fromkeys(each.plan for each in binder.bind(query, text, con._catalog).maps))
            except (ialgebra.IalgebraError, NotKnownYet):
                continue
    return list(found)[:COUNT]


def chain(length: int) -> Operator:
    plan: Operator = X
    for layer in range(length):
        plan = Selection(layer, plan)
    return plan


def parts(node: object) -> Iterator[Node]:
    if isinstance(node, Node):
        yield node
        yield from (part for value in vars(node).values() for part in parts(value))
    elif isinstance(node, tuple):
        yield from (part for value in node for part in parts(value))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_plan_is_the_plan(plans, protocol):
    assert len(plans) == len(set(plans)) == COUNT
    for plan in plans:
        assert pickle.loads(pickle.dumps(plan, protocol)) is plan


def test_a_copied_plan_is_the_plan(plans):
    for plan in plans:
        assert copy.copy(plan) is plan
        assert copy.deepcopy(plan) is plan
        assert copy.deepcopy({"plans": [plan]})["plans"][0] is plan


def test_windows_players_baselines_and_edits_come_back_as_they_are(plans):
    found = {part for plan in plans for part in parts(plan)}
    assert len({type(part) for part in found}) >= 25, "the random queries say too little"
    for part in found:
        assert pickle.loads(pickle.dumps(part)) is part


def test_what_a_node_keeps_of_itself_does_not_lead_back_to_it(plans):
    for edit in {part for plan in plans for part in parts(plan) if isinstance(part, Edit)}:
        if edit.step is None:
            assert edit.unswept is edit
        assert not any(value is edit for value in vars(edit).values())


def test_a_mask_comes_back_with_its_bits():
    bits = np.random.default_rng(0).random((6, 6)) < 0.5
    mask = Mask.of("w", bits, "row < 3")
    assert pickle.loads(pickle.dumps(mask)) is mask
    assert pickle.loads(pickle.dumps((mask, Not(mask))))[1] is Not(mask)


def test_numbers_that_are_equal_but_of_other_types_stay_apart():
    for number in (1, 1.0, True):
        assert pickle.loads(pickle.dumps(Constant(number))) is Constant(number)
    assert Constant(1) is not Constant(1.0)


def test_a_node_that_everybody_forgot_is_built_anew():
    content = pickle.dumps(Source("seen by this test alone"))
    assert pickle.loads(content) is pickle.loads(content) is Source("seen by this test alone")


def test_a_chain_of_a_thousand_operators_is_pickled_copied_and_named():
    plan = chain(DEEP)
    same = pickle.loads(pickle.dumps(plan)) is plan, copy.deepcopy(plan) is plan
    assert same == (True, True)  # pytest would print all of a plan that it compares
    assert len(plan.key) == 24
    assert plan.key != chain(DEEP - 1).key


def test_a_shared_subplan_is_written_once():
    plan: Operator = X
    for _ in range(60):  # 2^60 operators, were it written as a tree
        plan = Join((plan, plan), (Fraction(1, 2), Fraction(1, 2)))
        plan = AntiJoin((plan, Projection(Box(0, 0, 2, 2), plan)), (0, 1))
    content = pickle.dumps(plan)
    same = pickle.loads(content) is plan
    assert same  # pytest would print all of a plan that it compares
    assert len(content) < 20_000


def test_another_process_builds_the_same_plans_and_sends_them_back(plans):
    everything = [*plans, chain(DEEP)]
    code = (
        "import pickle, sys\n"
        "content = sys.stdin.buffer.read()\n"
        "one, other = pickle.loads(content), pickle.loads(content)\n"
        "assert len(one) == len(other) and all(a is b for a, b in zip(one, other))\n"
        "sys.stdout.buffer.write(pickle.dumps(([plan.key for plan in one], one)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(everything), capture_output=True, cwd=ROOT, check=True
    )
    keys, back = pickle.loads(done.stdout)
    assert keys == [plan.key for plan in everything]
    assert all(mine is theirs for mine, theirs in zip(everything, back, strict=True))


def test_what_a_text_quotes_survives():
    source = Source('a "name"\n\0of its own')
    assert pickle.loads(pickle.dumps(source)) is source
