"""What a page has asked so far: a tree of steps with undo, redo and branches; its script; its state in an address.

In: texts and statements as gestures wrote them, and what was really run. Out: steps to go back to, with the statements
that give names their meaning of then; `script.sql`; one page of HTML that needs nothing else; an address. A step is one
gesture, or one text that was asked by hand. An exploration is a frozen value: every function returns another one. This
file runs nothing, and knows no page.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from ...errors import IalgebraError, visible
from ...language import tree
from ...language.reader import parse
from ...language.writer import write
from ...results.relation import Relation
from ...system.checks import shown
from ...system.markup import preformatted

_MOST_STEPS: Final = 10_000
_MOST_SHOWN: Final = 200  # steps that a page is told of
_MOST_CHARACTERS: Final = 300  # of a step's text that a page is told
_MOST_ADDRESS: Final = 16_384  # characters of an address; some programs cut longer ones
_MOST_SEED: Final = 2**63


@dataclass(frozen=True)
class PageStep:
    """One step: the text that it wrote, what was run before it, and what takes that back."""

    number: int
    parent: int | None
    text: str
    label: str = ""
    statements: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exploration:
    """The steps of a page, and at which of them it is. `latest` tells for a step which of its next ones was last gone
    to; `windows` are those that its steps have made, with the statements that say what they mean; `lines` are what was
    asked, in order, and since the line `alike` all windows mean the same."""

    steps: tuple[PageStep, ...]
    at: int = 0
    latest: Mapping[int, int] = field(default_factory=dict)
    windows: Mapping[str, tree.CreateWindow] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    alike: int = 0

    @property
    def text(self) -> str:
        """The text of the step at which it is."""
        return self.steps[self.at].text

    @property
    def can_undo(self) -> bool:
        return self.steps[self.at].parent is not None

    @property
    def can_redo(self) -> bool:
        return self.at in self.latest


def begun(text: str) -> Exploration:
    """An exploration that starts with a text."""
    return Exploration((PageStep(0, None, text),))


def taken(
    exploration: Exploration, text: str, statements: Sequence[str] = (), undo: Sequence[str] = (), label: str = ""
) -> Exploration:
    """One step further, to a text before which `statements` were run; `undo` are those that take them back. The same
    text again is no step. Raises IalgebraError after so many steps that a page could not hold them."""
    if text == exploration.text and not statements:
        return exploration
    number = len(exploration.steps)
    if number == _MOST_STEPS:
        raise IalgebraError(f"this page has taken {_MOST_STEPS:,} steps, and keeps no more; open a new one")
    step = PageStep(number, exploration.at, text, label, tuple(statements), tuple(undo))
    return replace(
        exploration,
        steps=(*exploration.steps, step),
        at=number,
        latest={**exploration.latest, exploration.at: number},
        windows={**exploration.windows, **_windows(statements)},
    )


def undone(exploration: Exploration) -> tuple[Exploration, tuple[str, ...]]:
    """One step back, if there is one; and what to run so that windows mean what they meant there."""
    parent = exploration.steps[exploration.at].parent
    return gone(exploration, exploration.at if parent is None else parent)


def redone(exploration: Exploration) -> tuple[Exploration, tuple[str, ...]]:
    """One step forward, if there is one, along the branch that was last gone; and what to run, as for `undone`."""
    return gone(exploration, exploration.latest.get(exploration.at, exploration.at))


def gone(exploration: Exploration, step: int) -> tuple[Exploration, tuple[str, ...]]:
    """The exploration at another step, on whatever branch; and what to run, as for `undone`. Raises IalgebraError for
    a step that there is not."""
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < len(exploration.steps):
        raise IalgebraError(f"there is no step {shown(step)}; the steps are 0 to {len(exploration.steps) - 1}")
    here, there = _path(exploration, exploration.at), _path(exploration, step)
    shared = sum(1 for one, other in zip(here, there, strict=False) if one == other)
    back = [text for each in reversed(here[shared:]) for text in each.undo]
    on = [text for each in there[shared:] for text in each.statements]
    wanted = {name: each for name, each in _windows([*back, *on]).items() if exploration.windows.get(name) != each}
    latest = {**exploration.latest, **{each.parent: each.number for each in there if each.parent is not None}}
    moved = replace(exploration, at=step, latest=latest, windows={**exploration.windows, **wanted})
    return moved, tuple(write(replace(each, replace=True)) for each in wanted.values())


def _path(exploration: Exploration, number: int) -> list[PageStep]:
    """The steps from the first one to this one."""
    path = [exploration.steps[number]]
    while (parent := path[-1].parent) is not None:
        path.append(exploration.steps[parent])
    return path[::-1]


def _windows(statements: Iterable[str]) -> dict[str, tree.CreateWindow]:
    """What statements say of windows, the last one of each name, in the order of these."""
    found: dict[str, tree.CreateWindow] = {}
    for each in statements:
        for statement in parse(each):
            if isinstance(statement, tree.CreateWindow):
                found.pop(statement.name.value, None)
                found[statement.name.value] = replace(statement, replace=False)
    return found


def standing(exploration: Exploration) -> dict[str, object]:
    """What a page shows of the steps: the latest ones, those on the way to the present one among them, and the last
    steps of all branches."""
    steps = exploration.steps
    way = {each.number for each in _path(exploration, exploration.at)[-_MOST_SHOWN:]}
    told = [each for each in steps if each.number in way or each.number >= len(steps) - _MOST_SHOWN]
    parents = {each.parent for each in steps}
    return {
        "step": exploration.at,
        "steps": [
            {"n": each.number, "parent": each.parent, "text": _cut(each.text), "label": each.label} for each in told
        ],
        "can_undo": exploration.can_undo,
        "can_redo": exploration.can_redo,
        "branches": [each.number for each in told if each.number not in parents],
    }


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


# --- script.sql


def asked(exploration: Exploration, statements: Sequence[str]) -> Exploration:
    """The exploration after statements were run, together, in this order: one line of its script. A query that is
    asked again is no new line while all windows mean the same. Raises ParseError for what is no statement."""
    parsed = [statement for text in statements for statement in parse(text)]
    if not parsed:
        return exploration
    line = "; ".join(map(write, parsed)) + ";"
    if not all(isinstance(each, tree.Query) for each in parsed):
        return replace(exploration, lines=(*exploration.lines, line), alike=len(exploration.lines))
    if line in exploration.lines[exploration.alike :]:
        return exploration
    return replace(exploration, lines=(*exploration.lines, line))


def script(exploration: Exploration, settings: Mapping[str, str | int] | None = None) -> str:
    """All that was asked, as a script that `ialgebra run` asks again: a line a step, after the settings under which it
    was asked (`{"seed": 3}`)."""
    head = [f"set {name} = {value};" for name, value in (settings or {}).items()]
    return "".join(f"{line}\n" for line in [*head, *exploration.lines])


# --- one page of HTML


def page(answer: Relation, text: str, exploration: Exploration | None = None) -> str:
    """The maps of an answer with their picture, legend and query, as one HTML file that loads nothing and runs no
    script; and what was asked before, where an exploration is given."""
    before = script(exploration) if exploration is not None else ""
    parts = [
        f"<pre><code>{_written(text)}</code></pre>",
        _maps(answer),
        f"<details><summary>script.sql</summary><pre><code>{_written(before)}</code></pre></details>" * bool(before),
    ]
    return _PAGE.format(title=_written(_cut(" ".join(text.split()))), body="\n".join(filter(None, parts)))


def _written(text: str) -> str:
    """A text as HTML; characters that cannot be seen, or that are half of one, as escapes."""
    return html.escape(visible(text, keep="\n"))


def _maps(answer: Relation) -> str:
    if not len(answer):
        return preformatted(str(answer))
    try:
        from ...results.plots.html import fragment
    except IalgebraError:  # matplotlib is not installed
        return preformatted("\n".join(map(repr, answer)))
    return fragment(answer, str(answer.stats), page=True)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body{{margin:1.5rem;font:14px/1.45 system-ui,sans-serif}}
pre{{white-space:pre-wrap;overflow-wrap:anywhere}}
</style>
</head>
<body>
{body}
</body>
</html>
"""


# --- the state in an address


class PageState(NamedTuple):
    """What an address says: the text of a query, and the seed it is asked with (None: the session's)."""

    text: str
    seed: int | None = None


def encoded(text: str, seed: int | None = None) -> str:
    """The hash of an address, `#q=…`. Raises IalgebraError for a text that is too long for one."""
    said = json.dumps({"text": text, "seed": seed}, ensure_ascii=False, separators=(",", ":"))
    address = "#q=" + base64.urlsafe_b64encode(said.encode("utf-8", "replace")).decode("ascii").rstrip("=")
    if len(address) > _MOST_ADDRESS:
        raise IalgebraError(
            f"a text of {len(text):,} characters is too long for an address; export it as script.sql instead"
        )
    return address


def decoded(address: str) -> PageState | None:
    """What the hash of an address says; None for one that says nothing of a query. Raises IalgebraError for one that
    was cut, or that `encoded` did not make."""
    if not isinstance(address, str):
        raise IalgebraError(f"the hash of an address is a text, not {shown(address)}")
    said = next((part[2:] for part in address.removeprefix("#").split("&") if part.startswith("q=")), None)
    if said is None:
        return None
    match _json_of(said) if len(address) <= _MOST_ADDRESS else None:
        case {"text": str(text), **others} if not others.keys() - {"seed"}:
            seed = others.get("seed")
            if seed is None:
                return PageState(text)
            if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < _MOST_SEED:
                return PageState(text, seed)
    raise IalgebraError("the address of this page was cut or changed, and says no query; open the page without it")


def _json_of(said: str) -> object:
    """What a part of an address says; None for what is no JSON of plain texts."""
    try:
        content = base64.urlsafe_b64decode(said.encode("ascii") + b"=" * (-len(said) % 4)).decode("utf-8")
        found: object = json.loads(content)
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a character is no text
    except (ValueError, RecursionError):
        return None
    return found
