"""What Python code is and what it reads: a code object in; a digest of it, and the names that it reads, out.

The digest covers instructions, constants, names and nested code: not the file, the lines or the docstring, so that the
same function defined again has the same one. Names are those of globals (with the attributes read of them at once), of
any attributes, and of modules imported inside. Runs nothing, and knows no values.
"""

from __future__ import annotations

import dis
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR")
_CONSTANTS = ("LOAD_CONST", "KW_NAMES", "RETURN_CONST")
_BY_INDEX = (*dis.hasjrel, *dis.hasjabs)

BY_NAME = frozenset({"getattr", "vars", "attrgetter", "methodcaller", "__dict__", "__getattribute__", "setattr"})
"""Code that names one of these may read attributes whose names do not stand in it."""


@dataclass(frozen=True)
class CodeFacts:
    """What is known of a code object and of the code inside it.

    `chains` are the globals that it reads, each with the attributes that are read of it at once: ('F', 'relu').
    `attributes` are the names of all attributes that it may read, `stores` of those that it writes. `imports` are
    (module, level, names) of import statements inside it.
    """

    digest: str
    chains: tuple[tuple[str, ...], ...]
    attributes: frozenset[str]
    stores: frozenset[str]
    imports: tuple[tuple[str, int, tuple[str, ...]], ...]


@lru_cache(maxsize=1 << 14)
def facts(code: CodeType) -> CodeFacts:
    """The facts of a code object; found once for equal code."""
    chains: dict[tuple[str, ...], None] = {}
    attributes: set[str] = set()
    stores: set[str] = set()
    imports: list[tuple[str, int, tuple[str, ...]]] = []
    words: list[object] = [
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_varnames),
        (code.co_freevars, code.co_cellvars, code.co_exceptiontable),
    ]
    inner: list[CodeFacts] = []
    chain: list[str] = []
    constants: list[object] = []  # the last ones that were loaded
    for step in dis.get_instructions(code):
        if step.opname in _ATTRIBUTES:
            attributes.add(step.argval)
            if chain:
                chain.append(step.argval)
        elif step.opname not in ("CACHE", "EXTENDED_ARG") and chain:
            chains[tuple(chain)] = None
            chain = []
        if step.opname in _GLOBALS:
            chain = [step.argval]
        elif step.opname in ("STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL"):
            stores.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            level, names = constants[-2:] if len(constants) > 1 else (0, None)
            told = tuple(str(name) for name in names) if isinstance(names, tuple) else ()
            imports.append((step.argval, level if isinstance(level, int) else 0, told))
            attributes.update(told)
        elif step.opname == "IMPORT_FROM":
            attributes.add(step.argval)
        value = step.argval
        if step.opname in _CONSTANTS:
            constants.append(value)
            if isinstance(value, str) and value.isidentifier():
                attributes.add(value)  # may be given to getattr
        if isinstance(value, CodeType):
            inner.append(facts(value))
            value = inner[-1].digest
        words.append((step.opname, step.arg if step.opcode in _BY_INDEX else _constant(value)))
    if chain:
        chains[tuple(chain)] = None
    for each in inner:
        chains |= dict.fromkeys(each.chains)
        attributes |= each.attributes
        stores |= each.stores
        imports += each.imports
    digest = hashlib.blake2b(repr(words).encode(errors="surrogatepass"), digest_size=12).hexdigest()
    return CodeFacts(digest, tuple(chains), frozenset(attributes), frozenset(stores), tuple(imports))


def _constant(value: object) -> object:
    """A constant as its text is the same in every process; constants are of plain values."""
    if isinstance(value, frozenset):
        return "frozenset", sorted(repr(_constant(part)) for part in value)
    if isinstance(value, tuple):
        return tuple(_constant(part) for part in value)
    return type(value).__name__, repr(value)
