"""The house: what lies in the root, what each room says of itself, and that nothing goes round in a circle.

In: the source text of the package, read as syntax trees; nothing of it is imported. `lint-imports` holds the ladder of
rooms; this file holds what that contract cannot see: circles between modules by any import, also by those inside
functions and under `TYPE_CHECKING`, and types that have one name and two definitions.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent / "ialgebra"
ROOMS = sorted(path.parent for path in ROOT.rglob("__init__.py") if path.parent != ROOT)


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package, by its dotted name."""
    return {dotted(path): ast.parse(path.read_text(), str(path)) for path in sorted(ROOT.rglob("*.py"))}


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(module: str, tree: ast.Module, modules: set[str], packages: set[str]) -> Iterator[str]:
    """The package's modules that one module imports, wherever in it the import stands.

    `from a import b` is an import of the module a.b where there is one, and of a otherwise.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                here = module.split(".")
                here = here[: len(here) - node.level + (module in packages)]
                source = ".".join([*here, source]) if source else ".".join(here)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                if inner in modules:
                    yield inner
                elif source in modules:
                    yield source


def circles(texts: dict[str, ast.Module], packages: set[str]) -> set[frozenset[str]]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for module, tree in texts.items():
        graph.add_edges_from(
            (module, other) for other in imported(module, tree, set(texts), packages) if other != module
        )
    return {frozenset(knot) for knot in nx.strongly_connected_components(graph) if len(knot) > 1}


def types(tree: ast.Module) -> Iterator[str]:
    """The names of the classes and aliases of types that a module defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if ast.unparse(node.annotation).endswith("TypeAlias"):
                yield node.target.id
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.lstrip("_")[:1].isupper() and not (name.isupper() and len(name) > 1) and means_a_type(node.value):
                yield name


def means_a_type(value: ast.expr) -> bool:
    """Whether what stands right of `Name =` reads as a type: `X | Y`, `Callable[…]`, `np.ndarray`, `TypeVar("T")`."""
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, ast.BitOr)
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "NewType"
    return isinstance(value, ast.Subscript | ast.Name | ast.Attribute)


def test_the_root_holds_the_public_names_the_errors_the_version_and_rooms() -> None:
    entries = {path.name for path in ROOT.iterdir() if path.name != "__pycache__"}
    rooms = {name for name in entries if (ROOT / name / "__init__.py").exists()}
    assert entries - rooms == {"__init__.py", "errors.py", "version.py", "py.typed"}


@pytest.mark.parametrize("room", ROOMS, ids=dotted)
def test_a_room_says_what_lives_in_it(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    assert len(said.split()) >= 8
    assert "." in said


@pytest.mark.parametrize("module", sorted(trees()))
def test_a_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(trees()[module])


def test_no_modules_import_one_another_in_a_circle() -> None:
    found = circles(trees(), {dotted(room) for room in [ROOT, *ROOMS]})
    assert [sorted(knot) for knot in found] == []


def test_a_circle_by_a_lazy_import_or_one_for_types_only_is_seen() -> None:
    texts = {
        "p": "",
        "p.a": "def run():\n    from .room import use",
        "p.room": "from .inner import use",
        "p.room.inner": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..a import A",
        "p.b": "import p.c",
        "p.c": "from p import d",
        "p.d": "from . import a",
    }
    found = circles({name: ast.parse(text) for name, text in texts.items()}, {"p", "p.room"})
    assert found == {frozenset({"p.a", "p.room", "p.room.inner"})}


def test_a_type_s_name_is_defined_in_one_module() -> None:
    places: defaultdict[str, set[str]] = defaultdict(set)
    for module, tree in trees().items():
        for name in types(tree):
            places[name].add(module)
    assert {name: sorted(where) for name, where in places.items() if len(where) > 1} == {}


def test_a_class_and_every_way_to_write_an_alias_counts_as_a_type() -> None:
    text = "class A: ...|B = List[int]|C = Callable[[int], str]|_D: TypeAlias = int|E = NewType('E', str)|NO = x[0]"
    assert list(types(ast.parse(text.replace("|", "\n")))) == ["A", "B", "C", "_D", "E"]
    assert list(types(ast.parse("F = int | None\nTWO = 1 | 2\nfound = a | b"))) == ["F"]
