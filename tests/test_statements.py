"""The registry of statements: one kind for every node of the language, and what each says of itself is true."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

import ialgebra
from ialgebra.generators import LinearGenerator
from ialgebra.language import dialect, reader, tree
from ialgebra.session.statements import show
from ialgebra.session.statements.registry import STATEMENTS, keywords, kind_of_statement
from tests import worlds

EXAMPLES = [example for kind in STATEMENTS for line, _ in kind.help for example in line.split(";") if example.strip()]


def kind_and_node(text):
    (statement,) = reader.parse(text)
    return kind_of_statement(statement), statement


def test_every_statement_of_the_language_has_one_kind():
    nodes = [kind.node for kind in STATEMENTS]
    assert set(nodes) == set(get_args(tree.Statement))
    assert len(nodes) == len(set(nodes))


def test_show_lists_what_the_language_can_say():
    assert set(show.LISTS) == set(get_args(tree.Shown)) == {word.lower() for word in dialect.SHOWN}


def test_the_words_of_statements_are_completed():
    words = keywords()
    assert len(words) == len(set(words))
    assert {word.lower() for word in dialect.STATEMENTS} <= set(words)


def test_every_kind_but_none_other_is_in_the_help():
    assert {kind_and_node(example)[0].node for example in EXAMPLES} == {kind.node for kind in STATEMENTS}
    assert all(example.strip() for kind in STATEMENTS for example, _ in kind.help)


@pytest.mark.parametrize(
    ("text", "defined"),
    [
        ("create window w as row < 3", ("window", "w")),
        ("create window w as top(5, select * from f(x))", ("window", "w")),
        ("create or replace view v as select * from f(x)", ("view", "v")),
        ("drop window w", ("window", "w")),
        ("drop view v", ("view", "v")),
        ("set SEED = 3", ("option", "seed")),
        ("select * from f(x)", None),
        ("explain select * from f(x)", None),
        ("show history", None),
        ("describe w", None),
    ],
)
def test_a_statement_says_which_name_it_defines_or_drops(text, defined):
    kind, statement = kind_and_node(text)
    assert kind.defines(statement) == defined


@pytest.mark.parametrize(
    ("text", "timed"),
    [
        ("select * from f(x) within 2 seconds", True),
        ("explain select * from f(x) within 2 seconds", True),
        ("create window w as above(1, select * from f(x) within 2 seconds)", True),
        ("select * from f(x) error within 5%", False),
        ("create window w as row < 3", False),
        ("create view v as select * from f(x) within 2 seconds", False),  # it runs no query
        ("drop view v", False),
    ],
)
def test_a_clock_may_stop_what_runs_a_query_with_a_time_limit(text, timed):
    kind, statement = kind_and_node(text)
    assert kind.timed(statement) is timed


def test_the_examples_of_the_help_run_in_their_order():
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", worlds.network("image"))
        for name in ("x", "y"):
            con.register_input(name, worlds.sample("image", torch.float32))
        worlds.with_random_heads(con, "f", worlds.sample("image", torch.float32))
        xs = worlds.sample("image", torch.float32, count=20)
        con.register_input("xs", xs)
        con.register_generator("G", LinearGenerator.fit(xs, 4), collection="xs")
        con.register_concepts("f", lambda batch: batch.flatten(1)[:, :8], [f"a{k}" for k in range(8)], inputs=xs)
        for example in EXAMPLES:
            con.sql(example.replace("'smile'", "1"))
