"""Mutated queries: whatever the text, the answer is an answer or an IalgebraError, and soon.

`IALGEBRA_FUZZ=10000 pytest tests/test_fuzz.py -s` runs more of them and tells which took longest.
"""

from __future__ import annotations

import os
import random
import re
import time
import warnings

import pytest
import torch

import ialgebra
from ialgebra import IalgebraError
from tests import worlds

COUNT = int(os.environ.get("IALGEBRA_FUZZ", "2000"))
BLOCKS = 10  # of which every other is for the slow suite
PATIENCE = 1.0  # seconds of this process, so that a busy machine is no failure

QUERIES = [
    "select * from f(x)",
    "select l from f(x) left join (select l from f(x')) where w",
    "select * from f(x) left join (select * from f'(x))",
    "select 1, 2 as early, * from f(x) join f(x') on weight = 0.25 join f(y) on weight = 0.6 where w and not w2",
    "select conv1, 'conv2' from (select * from (select 3 from f(xs)) where row between 1 and 4 or col >= 2) budget 66",
    "select * from f(x, target => 1, baseline => mean(xs), players => grid(2, 3), output => 'log_odds')",
    "select * from f(x, baseline => blur(x', 2), players => tile(2)) using permutations() budget 40",
    "select * from f(x) anti join g(x) using exact(contrast => 'literal')",
    "select * from f(x) where circle(2, 3, 2.5) and not box(1, 1, 4, 4) or value / 2 > abs(col - 3) % 2",
    "explain analyze select 2 from f(x) join v where channel in (0, 1) -- the end",
    "explain select * from f(x, players => slic(3)) /* superpixels */ left join f(y)",
    "create or replace window w3 as row < 3 and (col < 2 or w); select * from f(x) where w3; drop window w3",
    "create or replace window w4 as top(10 percent, select 2 from f(x) where w); select * from f(x) where w4",
    "create or replace window w4 as above(0, select * from f(x) join f(y) budget 40); select 3 from f(x) where not w4",
    "create view u as select 2 from f(x) where w; select * from u left join f(y); drop view u",
    "set budget = 40; set players = grid(2, 2); select * from f(x) join f(y); set budget = default",
    "set seed = 3; set method = regression; set batch_size = 16; set baseline = 0.5; set output = probability",
    "show models; show inputs; show windows; show views; describe f; describe x; describe w",
    "set strategy = as_written; select * from f(x) join f(x); set strategy = default",
    "select * from f(x) using shapley() budget 100 error within 5% at confidence 95% within 2 seconds",
]
WORDS = sorted({word for query in QUERIES for word in re.findall(r"\w+'*|\S", query)})
NUMBERS = ["0", "1", "2", "7", "40", "300", "-1", "0.5", "1e9", "99999999999", "1e-300", "1e400"]
ODD = ["''", '"', "''''", "′", "⋈", "é", "\x00", "\n", "\t", "((((", "))))", ";", "--", "/*", "*/", "sum(", "group by"]
AFTERWARDS = (
    "select 2, * from f(x, output => logit, players => grid(2, 2)) "
    "left join f(x', output => logit, players => grid(2, 2)) using exact(contrast => difference) budget 99"
)


def mutated(rng: random.Random) -> str:
    """A query with a few words or characters dropped, doubled, swapped, put in, or replaced by their like."""
    text = rng.choice(QUERIES)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        pieces = re.findall(r"[\d.]+|\w+'*|\s+|\S", text) if rng.random() < 0.7 else list(text)
        if not pieces:
            break
        place, other = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        match rng.randrange(8):
            case 0:
                del pieces[place]
            case 1:
                pieces.insert(place, pieces[other])
            case 2:
                pieces[place], pieces[other] = pieces[other], pieces[place]
            case 3:
                pieces.insert(place, f" {rng.choice(WORDS + ODD)} ")
            case 4:
                del pieces[min(place, other) : max(place, other)]
            case 5:
                pieces[place] = pieces[place].swapcase()
            case _:
                pieces[place] = rng.choice(NUMBERS if pieces[place][0].isdigit() else WORDS)
        text = "".join(pieces)
    return text


LIKE = [
    ["x", "x'", "y", "xs", "z"],
    ["f", "f'", "g", "v", "u"],
    ["1", "2", "3", "*", "l", "conv1", "'conv2'", "head", "2, *"],
    ["row", "col", "channel", "value", "w", "w2", "feature"],
    ["join", "left join", "anti join"],
    ["and", "or", "and not"],
    ["<", ">=", "=", "<>"],
    ["+", "-", "*", "/", "%"],
    ["exact", "permutations", "regression", "shapley"],
    ["difference", "literal"],
    ["logit", "probability", "log_odds"],
    ["grid(2, 2)", "grid(2, 3)", "tile(2)", "slic(3)", "pixels", "grid(1, 9)", "tokens"],
    ["0.5", "0", "1", "y", "mean(xs)", "blur", "xs"],
]


def varied(rng: random.Random) -> str:
    """A query with a few words replaced by words that may stand there, and numbers by numbers: mostly well-formed."""
    pieces = re.findall(r"[\d.]+|'\w+'|\w+\([\d, ]+\)|\w+'*|\s+|\S", rng.choice(QUERIES))
    for _ in range(rng.choice([1, 2, 3, 5])):
        place = rng.randrange(len(pieces))
        options = [group for group in LIKE if pieces[place] in group]
        if pieces[place][0].isdigit():
            options.append(NUMBERS)
        if options:
            pieces[place] = rng.choice(rng.choice(options))
    return "".join(pieces)


def session() -> ialgebra.Session:
    con = worlds.case("image", seed=1, dtype=torch.float32).con
    con.sql("create view v as select 2 from f(x)")
    return con


@pytest.mark.parametrize(
    "block", [pytest.param(block, marks=[pytest.mark.slow] * (block % 2)) for block in range(BLOCKS)]
)
def test_mutated_queries_raise_nothing_but_ialgebra_errors(block):
    con, rng = session(), random.Random(block)
    answered, slowest = 0, (0.0, "")
    for _ in range(COUNT // BLOCKS):
        text = rng.choice([mutated, varied])(rng)
        for ask in (con.explain, con.sql):
            before = time.process_time()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ask(text)
                answered += 1
            except IalgebraError as error:
                assert str(error)
                if error.text is not None and error.span is not None:
                    assert 0 <= error.span.start <= len(error.text), text
            except Exception as error:
                pytest.fail(f"{type(error).__name__}: {error}\n{ask.__name__}: {text!r}")
            spent = time.process_time() - before
            slowest = max(slowest, (spent, f"{ask.__name__}: {text!r}"))
    print(f"\nblock {block}: {answered} answered; slowest {slowest[0]:.3f} s, {slowest[1]}")
    assert slowest[0] < PATIENCE, slowest[1]
    assert 0 < answered < 2 * (COUNT // BLOCKS)
    for answer, fresh in zip(con.sql(AFTERWARDS), session().sql(AFTERWARDS), strict=True):
        assert worlds.close(answer.map, fresh.map), "the session is whole after all of it"
