"""The reference in docs/ names every public name, and what it names exists and says what it is.

In: the pages' directives (`::: path`), the packages' `__all__`. The site is built where mkdocs is installed.
"""

import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ialgebra
from ialgebra import interpreters, testing
from ialgebra.results.attribution import Attribution
from ialgebra.results.relation import Relation, Stats
from ialgebra.session.history import History

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
DIRECTIVES = {
    path: page for page in sorted(REFERENCE.glob("*.md")) for path in re.findall(r"^::: (\S+)$", page.read_text(), re.M)
}
PUBLIC = [
    *((ialgebra, name) for name in ialgebra.__all__),
    *((interpreters, name) for name in interpreters.__all__),
    *((testing, name) for name in testing.__all__),
]
SHOWN_WHOLE = [
    ialgebra.Session, Attribution, Relation, Stats, History, ialgebra.Strategy,
    interpreters.GameInterpreter, interpreters.ModelInterpreter, interpreters.Interpreter, interpreters.Question,
]  # fmt: skip


def found(path: str) -> object:
    """What a dotted path leads to; raises AttributeError or ImportError where that is nothing."""
    if importlib.util.find_spec(path.rpartition(".")[0]) and path.rpartition(".")[2].islower():
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError:
            pass
    home, _, name = path.rpartition(".")
    return getattr(importlib.import_module(home), name)


@pytest.mark.parametrize("path", sorted(DIRECTIVES))
def test_what_the_reference_names_exists_and_says_what_it_is(path: str) -> None:
    thing = found(path)
    assert inspect.getdoc(thing), path


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda each: each if isinstance(each, str) else each.__name__)
def test_every_public_name_has_a_reference_page(module: object, name: str) -> None:
    public = getattr(module, name)
    assert any(found(path) is public or found(path) == public for path in DIRECTIVES), f"no page names {name}"


@pytest.mark.parametrize("shown", SHOWN_WHOLE, ids=lambda each: each.__name__)
def test_every_public_method_says_what_it_does(shown: type) -> None:
    """The pages show what has a docstring, so a method without one would be missing there."""
    assert any(found(path) is shown for path in DIRECTIVES)
    public = {name: value for name, value in vars(shown).items() if not name.startswith("_")}
    silent = [
        name
        for name, value in public.items()
        if (inspect.isfunction(value) or isinstance(value, property | staticmethod | classmethod))
        and not inspect.getdoc(value)
    ]
    assert silent == []


def test_the_navigation_names_every_page_that_is_no_how_to_decision_or_study() -> None:
    named = set(re.findall(r"((?:docs|examples)/[\w/.-]+\.md|\b[A-Z]+\.md)", (ROOT / "mkdocs.yml").read_text()))
    pages = {str(page.relative_to(ROOT)) for part in ("docs", "examples") for page in (ROOT / part).rglob("*.md")}
    free = re.compile(r"docs/(how-to|decisions)/|examples/(cases|flint|eri)/")
    assert {page for page in pages if not free.match(page)} <= named
    assert all((ROOT / page).exists() for page in named)


def test_the_site_is_built_and_its_pages_hold_the_reference(tmp_path: Path) -> None:
    for package in ("mkdocs", "mkdocstrings", "mkdocstrings_handlers"):
        pytest.importorskip(package)
    script = ROOT / "docs" / "build_site.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, cwd=tmp_path)
    for path, page in DIRECTIVES.items():
        html = (tmp_path / "docs" / "reference" / page.name).with_suffix(".html").read_text()
        assert f'id="{path}"' in html, path
    assert 'id="ialgebra.session.session.Session.register_model"' in html_of(tmp_path, "session")


def html_of(site: Path, page: str) -> str:
    return (site / "docs" / "reference" / f"{page}.html").read_text()
