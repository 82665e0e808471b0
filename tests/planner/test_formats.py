"""EXPLAIN in its formats: JSON that holds the details, and a drawing that Graphviz's language allows."""

from __future__ import annotations

import importlib
import json
import math
import re
from importlib.util import find_spec

import pytest

import ialgebra
from ialgebra.planner.explain import text as as_text
from ialgebra.planner.formats import FORMATS, written_as
from tests import worlds

CON = worlds.case("image", seed=4).con
ANTI = "select 2, * from f(x) left join f(x') where w"
SHARED = "select 2, * from f(x) join f(x) join (select 3 from f(y))"
QUERIES = [ANTI, SHARED, "select * from f(xs) order by mass(w) limit 1", "select * from f(x) where false"]

ID, TEXT = r"[A-Za-z_]\w*", r'"(?:[^"\\]|\\.)*"'
ATTRIBUTES = rf"\[{ID}=(?:{ID}|\d+|{TEXT})(?:, {ID}=(?:{ID}|\d+|{TEXT}))*\]"
STATEMENT = re.compile(
    rf" *(?:subgraph {ID} \{{|\}}|label={TEXT};|{ID}(?: {ATTRIBUTES})?;|{ID} -> {ID}(?: {ATTRIBUTES})?;)"
)


def dot(query: str) -> str:
    drawing = CON.sql(f"explain (format dot) {query}").text
    first, *lines = drawing.split("\n")
    assert first == "digraph plan {"
    for line in lines:
        assert STATEMENT.fullmatch(line), line
    assert drawing.count("{") == drawing.count("}") == 4
    return drawing


@pytest.mark.parametrize("query", QUERIES)
def test_json_is_the_details_and_text_is_drawn_from_them(query: str) -> None:
    plain = CON.sql(f"explain {query}")
    answer = CON.sql(f"explain (format json) {query}")
    assert json.loads(answer.text) == json.loads(json.dumps(plain.details))
    assert as_text(answer.details) == plain.text == CON.sql(f"explain (format text) {query}").text  # type: ignore[arg-type]
    assert CON.explain(f"explain (format json) {query}") == answer.text
    assert CON.explain(f"explain {query}") == CON.explain(query) == plain.text


def test_json_holds_the_graph_with_positions_and_what_is_shared() -> None:
    graph = json.loads(CON.sql(f"explain (format json) {SHARED}").text)["graph"]
    written = graph["written"]
    assert [(each["operator"], each["shared"]) for each in written["nodes"]] == [
        ("φ f(x)", False),
        ("φ f(y)", False),
        ("σ 3", False),
        ("⋈ 0.333333, 0.333333, 0.333333", True),
        ("σ 2", False),
    ]
    edges = [(each["reader"], each["operand"], each["positions"]) for each in written["edges"]]
    assert edges == [(2, 1, [0]), (3, 0, [0, 1]), (3, 2, [2]), (4, 3, [0])]
    assert written["maps"] == [4, 3]
    assert all(len(graph[side]["maps"]) == 2 for side in ("written", "normal"))
    assert {number for job in graph["jobs"] for number in job["maps"]} == {0, 1}
    assert {job["batch"] for job in graph["jobs"]} == {0, 1}, "f(y) goes as deep as its layer 3"
    assert CON.sql(SHARED).details["graph"] is None, "what is not explained is not drawn"


def test_analyze_measures_in_every_format() -> None:
    measured = CON.sql(f"explain (format json, analyze) {ANTI}")
    said = json.loads(measured.text)
    assert said["measured"]["rows"] == measured.stats.rows
    assert len(measured) == 4
    assert measured.plan.startswith("plan as written")
    assert CON.sql(f"explain (analyze) {ANTI}").text.startswith("plan as written")
    assert CON.sql(f"explain (analyze, format dot) {ANTI}").text == dot(ANTI)


def test_an_error_that_is_not_known_is_null_in_json() -> None:
    details = CON.sql(f"explain analyze {SHARED}").details
    details["measured"]["errors"] = [("one", math.inf), ("other", math.nan), ("third", 0.5)]  # type: ignore[index]
    said = json.loads(written_as(details, "json"))  # type: ignore[arg-type]
    assert said["measured"]["errors"] == [["one", None], ["other", None], ["third", 0.5]]


@pytest.mark.parametrize("query", QUERIES)
def test_a_drawing_shows_every_operator_job_and_batch(query: str) -> None:
    drawing, details = dot(query), CON.sql(f"explain {query}").details
    graph = details["graph"]
    for side in ("written", "normal"):
        for number, node in enumerate(graph[side]["nodes"]):  # type: ignore[index]
            (line,) = re.findall(rf"^    {side}{number} \[label=(.*)\];$", drawing, re.M)
            assert line.endswith("peripheries=2") == node["shared"]
        edges = len(re.findall(rf"^    {side}\d+ -> ", drawing, re.M))
        assert edges == len(graph[side]["edges"])  # type: ignore[index]
    assert len(re.findall(r"^    job\d+ -> batch\d+;$", drawing, re.M)) == len(graph["jobs"])  # type: ignore[index]
    assert drawing.count("shape=cylinder") == len(details["batches"])  # type: ignore[arg-type]


@pytest.mark.skipif(find_spec("pydot") is None, reason="reads drawings with pydot")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own, and those of its parser
@pytest.mark.parametrize("query", QUERIES)
def test_a_parser_of_dot_reads_the_drawing(query: str) -> None:
    (graph,) = importlib.import_module("pydot").graph_from_dot_data(dot(query))
    names = [each.get_name() for each in graph.get_subgraphs()]
    assert names == ["cluster_written", "cluster_normal", "cluster_batches"]


def test_names_that_hold_quotes_and_backslashes_are_escaped() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", worlds.network("image"))
    odd = 'a "b" \\n c\\'
    con.register_input(odd, worlds.sample("image", worlds.torch.float32))
    quoted = '"' + odd.replace('"', '""') + '"'
    drawing = con.sql(f"explain (format dot) select * from f({quoted})").text
    assert 'label="φ f(a \\"b\\" \\\\n c\\\\)"' in drawing
    for line in drawing.split("\n")[1:]:
        assert STATEMENT.fullmatch(line), line


def test_the_formats_are_these() -> None:
    assert FORMATS == ("text", "json", "dot")
