"""Mutants: a file of Python source in, every small change of it that mutmut's operators know, out.

mutmut makes mutants of plain functions only, because it switches them at run time. Here a mutant is a whole module that
is imported instead of the original, so that properties, cached functions, defaults and constants have mutants too. Left
alone is what no run can tell: annotations, names of types, casts, and `assert_never`.
"""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import NEVER_MUTATE_FUNCTION_CALLS, MutationVisitor, deep_replace
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

_TYPES = {"TypeVar", "cast", "assert_never", *NEVER_MUTATE_FUNCTION_CALLS}  # calls, whose arguments stay
_STATEMENTS = (cst.SimpleStatementLine, cst.If, cst.For, cst.While, cst.With, cst.Try, cst.Match, cst.MatchCase)


class Mutant(NamedTuple):
    """A change of one file: in which function (or class, or the module), on which line, what was there and what is
    now; `lines` are those of its statement, and `source` is the whole file with the change."""

    file: str
    function: str
    line: int
    before: str
    after: str
    lines: tuple[int, int]
    inside: bool  # a function, which runs when it is called; the rest runs at import
    source: str

    @property
    def key(self) -> str:
        """What a result is remembered by: it outlives changes of other lines, and of a function's place."""
        said = "\0".join((self.file, self.function, self.before, self.after))
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


class Mutator:
    """The mutants of one file, by number. Finding them is quick; making one of a large class is not."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, path.read_text()
        self.lines = self.text.splitlines(keepends=True)
        wrapper = MetadataWrapper(cst.parse_module(self.text))
        self.visitor = _Visitor(self.text)
        wrapper.visit(self.visitor)
        self.positions = wrapper.resolve(PositionProvider)

    def __len__(self) -> int:
        return len(self.visitor.mutations)

    def make(self, number: int) -> Mutant | None:
        """A mutant; None where it is no Python, or no other than the file."""
        mutation, place = self.visitor.mutations[number], self.visitor.places[number]
        new = deep_replace(place.top, mutation.original_node, mutation.mutated_node)
        plain, changed = (
            cst.Module([each]).code.lstrip("\n").splitlines(keepends=True)  # type: ignore[list-item]
            for each in (place.top, new)
        )
        start = self.positions[place.top].start.line - 1
        while self.lines[start : start + len(plain)] != plain:  # a statement begins with its comments and decorators
            start -= 1
        source = "".join([*self.lines[:start], *changed, *self.lines[start + len(plain) :]])
        try:
            compile(source, str(self.path), "exec", dont_inherit=True)
        except SyntaxError:
            return None
        before, after = _difference(plain, changed)
        known = self.positions.get(mutation.original_node)
        line = known.start.line if known else place.lines[0]
        mutant = Mutant(str(self.path), place.function, line, before, after, place.lines, place.inside, source)
        return mutant if source != self.text else None


def _difference(plain: list[str], changed: list[str]) -> tuple[str, str]:
    """The lines that a change took away, and those that it put there."""
    lines = list(difflib.unified_diff(plain, changed, n=0))[2:]
    gone, new = ([line[1:].strip() for line in lines if line[0] == sign] for sign in "-+")
    return "\n".join(gone), "\n".join(new)


class _Place(NamedTuple):
    top: cst.CSTNode  # statement of the module
    function: str
    lines: tuple[int, int]
    inside: bool


class _Visitor(MutationVisitor):
    """mutmut's visitor, which also goes into decorated functions and notes where each mutant stands."""

    def __init__(self, text: str) -> None:
        typed = {n for n, line in enumerate(text.splitlines(), 1) if "assert_never(" in line or "case _:" in line}
        super().__init__(mutation_operators, IgnoredCode(typed, set(), set()))
        self.places: list[_Place] = []
        self._stack: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        self._stack.append(node)
        return bool(super().on_visit(node))

    def on_leave(self, original_node: cst.CSTNode) -> None:
        super().on_leave(original_node)
        self._stack.pop()

    def _create_mutations(self, node: cst.CSTNode) -> None:
        super()._create_mutations(node)
        while len(self.places) < len(self.mutations):
            self.places.append(self._place())

    def _place(self) -> _Place:
        named = [each for each in self._stack if isinstance(each, cst.FunctionDef | cst.ClassDef)]
        functions = [each for each in named if isinstance(each, cst.FunctionDef)]
        statement = next((each for each in reversed(self._stack) if isinstance(each, _STATEMENTS)), None)
        inside = (
            bool(functions) and statement is not None and functions[0] in self._stack[: self._stack.index(statement)]
        )
        around = statement if inside or not functions else functions[0]
        span = self.get_metadata(PositionProvider, around or self._stack[0])
        last = span.end.line
        if inside and around is not None and hasattr(around, "body") and isinstance(around.body, cst.BaseSuite):
            body = self.get_metadata(PositionProvider, around.body, None)
            last = body.start.line if body else last
        return _Place(
            self._stack[1], ".".join(each.name.value for each in named), (span.start.line, last), bool(functions)
        )

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        match node:
            case cst.FunctionDef():
                return False
            case cst.Import() | cst.ImportFrom() | cst.Decorator() | cst.Annotation():
                return True
            case cst.Call(func=cst.Name(name)) if name in _TYPES:
                return True
            case cst.Subscript(value=cst.Name("Literal")):
                return True
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(name))]) if len(self._stack) <= 3:
                return not name.isupper() or name == "_T"
            case cst.AnnAssign(annotation=cst.Annotation(cst.Subscript(value=cst.Name("ClassVar")))):
                return True
        return bool(super()._skip_node_and_children(node))
