"""EXPLAIN as people read it: every section of it, for a dozen queries, as texts that were read and found right.

`fixtures/explain.txt` holds them; numbers that a machine decides (seconds, memory, their ratios) are masked.
`IALGEBRA_REWRITE=1 pytest tests/test_explain.py` writes them anew, to be read again.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

import ialgebra
from ialgebra import Strategy
from ialgebra.planner.physical import Cost
from ialgebra.planner.search import Sketch, search
from tests import snapshots, worlds

NAME = "explain.txt"
RULE = "=" * 100  # above each query


def snapshot_texts() -> dict[str, str]:
    chunks = (snapshots.FIXTURES / NAME).read_text("utf-8").split(RULE + "\n")[1:]
    return {chunk.split("\n", 1)[0]: chunk.split("\n", 1)[1].strip("\n") for chunk in chunks}


SAVED = snapshot_texts()


def masked(text: str) -> str:
    """The text without what a machine decides: seconds, memory, and the batch sizes that are chosen by them."""
    text = re.sub(r"(?m)^(D1 .*| *[\d.]+× the time estimated)\n", "", text)
    text = re.sub(r"decisions, and what was rejected\n\n", "", text)
    text = re.sub(r"~?[\d.,]+ (ms|s|KiB|MiB|GiB)\b", "~", text)
    text = re.sub(r"efficiency [\d.]+", "efficiency ~", text)
    text = re.sub(r" in \d+ batches", " in ~ batches", text)
    text = re.sub(r"; as written an estimated ~", "", text)
    return "\n".join(re.sub(r" {3,}(~ *)+$", "", line).rstrip() for line in text.splitlines())


def said(query: str) -> str:
    """In a session of its own, so that no query's rows or times are another's."""
    con = worlds.case("image", seed=3).con
    con.sql("create view early as select 2 from f(x) where w")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        relation = con.sql(query)
    assert relation.text is not None
    return masked(relation.text)


@pytest.mark.skipif(not snapshots.REWRITE, reason="writes the fixture anew where IALGEBRA_REWRITE is set")
def test_write_the_explanations_anew():
    texts = [f"{RULE}\n{query}\n\n{said(query)}\n" for query in SAVED]
    Path(snapshots.FIXTURES / NAME).write_text("\n".join(texts), "utf-8")


@pytest.mark.parametrize("query", SAVED)
def test_explain_says_this(query):
    assert said(query) == SAVED[query]


def test_every_section_is_shown_by_some_query():
    together = "\n".join(SAVED.values())
    for section in [
        *(
            "plan as written",
            "normal form",
            "\nlaws\n",
            "\nsaved\n",
            "batches (BEST, seed 0)",
            "ends: ",
            "\nb0  ",
            "\nb1  ",
        ),
        *("decisions, and what was rejected", "measured", "found in the store", "answers", "efficiency", " more"),
        *("(AS_WRITTEN, seed 7)", " × 2", "D2 ", "D3 ", "D5 ", "exact", "regression", "permutations", "unbiased"),
    ]:
        assert section in together, section
    assert len(SAVED) >= 12


def test_plans_of_equal_work_share_most_whatever_the_last_bit_of_a_sum_is():
    sums = {True: 0.1 + 0.2, False: 0.3}
    assert sums[True] > sums[False]

    def sketch(strategy: Strategy) -> Sketch:
        return Sketch(Cost(3, sums[bool(strategy.pack)], None, 0), 1)

    assert search(Strategy.BEST, {"pack"}, sketch)[0].pack is True
    sums[False] = 0.29
    assert search(Strategy.BEST, {"pack"}, sketch)[0].pack is False
