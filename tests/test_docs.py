"""The code of the README and of docs/ runs, and the README's EXPLAIN and tables are what the program prints."""

import re
import warnings
from pathlib import Path

import pytest
import torch

import ialgebra
from ialgebra.algebra.edits import EDITS

README = Path(__file__).parent.parent / "README.md"
INTERPRETERS = README.parent / "docs" / "interpreters.md"


def blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize(
    "page",
    [page for page in sorted((README.parent / "docs" / "tutorials").glob("*.md")) if page.stem != "rankings"],  # below
    ids=lambda page: page.stem,
)
def test_a_tutorial_runs_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, object] = {}
    for code in blocks("python", page):
        exec(compile(code, str(page), "exec"), names)
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text()):
        assert (page.parent / picture).exists()


def test_the_readme_s_python_runs_and_its_map_has_an_error_bar():
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), names)
    attribution = names["a"]
    assert isinstance(attribution, ialgebra.Attribution)
    assert attribution.map.shape == (3, 32, 32)
    assert attribution.values.shape == attribution.stderr.shape == (16,)
    assert 0 < attribution.relative_error < 1
    assert attribution.values.sum() == pytest.approx(attribution.full_value - attribution.base_value, rel=1e-6)


def test_the_readme_s_error_message_is_the_program_s_own():
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), names)
    con = names["con"]
    assert isinstance(con, ialgebra.Session)
    with pytest.raises(ialgebra.BindError) as caught:
        con.sql("select 9 from f(x)")
    assert str(caught.value) in README.read_text()


def test_the_readme_s_tables_are_what_the_benchmarks_left():
    readme = pytest.importorskip("benchmarks.readme")
    for package in ("captum", "shap", "shapiq", "sklearn"):
        pytest.importorskip(package)
    text = README.read_text()
    assert all(readme.marked(name).search(text) for name in readme.SECTIONS)
    assert readme.filled(text) == text


def test_every_law_and_statement_of_the_readme_s_page_parses():
    from ialgebra.language.reader import parse

    for text in blocks("sql"):
        assert parse(text)


def test_the_readme_s_plan_is_what_explain_prints():
    (shown,) = re.findall(r"```\nexplain (.*?)\n\n(.*?)\n```", README.read_text(), flags=re.DOTALL)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 3),
    )
    con = ialgebra.connect(progress=False)
    con.register_model("f", net)
    for name in ("x", "y"):
        con.register_input(name, torch.rand(3, 32, 32))
    con.fit_heads("f", torch.rand(20, 3, 32, 32), layers=[2])
    query, plan = shown
    assert con.explain(query) == plan


def test_the_interpreters_page_s_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", INTERPRETERS.read_text(), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(INTERPRETERS), "exec"), names)
    a, b = names["a"], names["b"]
    assert isinstance(a, ialgebra.Attribution)
    assert isinstance(b, ialgebra.Attribution)
    assert a.values.shape == b.values.shape == (4,)
    assert not a.stderr.any()
    net, x = names["con"]._catalog.models["f"].module, torch.tensor([1.0, -2.0, 0.5, 3.0])
    whole = net(x[None])[0]
    without = net(x * (1 - torch.eye(4)))[:, a.target]
    assert torch.allclose(torch.tensor(a.values).float(), whole[a.target] - without, atol=1e-5)
    assert b.stderr.min() == float("inf")
    assert b.values.any()


def test_the_page_on_laws_runs_and_names_every_law():
    page = README.parent / "docs" / "laws.md"
    names: dict[str, object] = {}
    for code in blocks("python", page):
        exec(compile(code, str(page), "exec"), names)
        assert all(each.passed and each.checked >= 5 for each in names["results"])
    from ialgebra.testing.laws import LAWS

    told = set(re.findall(r"^\| (L\d+)", page.read_text(), flags=re.MULTILINE)) | {"L7", "L8", "L9"}
    assert told == {law.id for law in LAWS}


def test_the_tutorial_on_what_if_runs_and_says_what_is_so():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    page = README.parent / "docs" / "tutorials" / "what-if.md"
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of scikit-learn's readers
        for code in blocks("python", page):
            exec(compile(code, str(page), "exec"), names)
    assert names["whole"].target_name == names["before"].target_name == "9"
    assert names["after"].target_name != "9"
    assert not names["upper"].map[:, 4:].any()
    assert names["upper"].map[:, :4].any()
    assert names["distance"] < 0.2
    told = set(re.findall(r"^\| `(\w+)\(", page.read_text(), flags=re.MULTILINE))
    assert told == set(EDITS)


def test_the_tutorial_on_rankings_runs_and_finds_the_marked_corner():
    page = README.parent / "docs" / "tutorials" / "rankings.md"
    names: dict[str, object] = {}
    for code in blocks("python", page):
        exec(compile(code, str(page), "exec"), names)
    corner, test = names["corner"], names["test"]
    assert all(test[int(a.scores["index"][0]), 0, :3, :3].min() == 1.5 for a in corner)
    assert {len(names[each]) for each in ("odd", "top")} == {3}
    assert len(names["rights"]) == 5
    assert names["top"].stats.bound_met
    assert names["top"].stats.given_up > 0
