"""One HTML page of a demo. In: sections of statements, pictures and texts. Out: a self-contained page.

Images are inlined and nothing is fetched, so that the file can be mailed. Light or dark colours follow the reader's
system. It runs no query: callers pass in what a section shows.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PagePicture:
    """An image file's bytes, what it shows in words, and the width in CSS pixels at which to show it."""

    content: bytes
    alt: str
    width: int
    kind: str = "png"

    def __str__(self) -> str:
        source = base64.b64encode(self.content).decode("ascii")
        return (
            f'<img src="data:image/{self.kind};base64,{source}" alt="{html.escape(self.alt, quote=True)}" '
            f'width="{self.width}" loading="lazy">'
        )


@dataclass(frozen=True)
class PagePhoto:
    """A photo of the gallery: its name in queries, and the network's first guesses with their probabilities."""

    name: str
    picture: PagePicture
    guesses: Sequence[tuple[str, float]]
    label: str | None


@dataclass(frozen=True)
class Section:
    """A statement and its answer. Empty texts and missing pictures are left out; `error` marks a failed statement."""

    operator: str
    title: str
    about: str
    statement: str
    answer: str
    seen: str = ""
    cost: str = ""
    plan: str = ""
    picture: PagePicture | None = None
    operands: Sequence[tuple[str, PagePicture]] = ()
    error: bool = False

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def render(
    title: str,
    lead: str,
    facts: Sequence[tuple[str, str]],
    gallery: Sequence[PagePhoto],
    heads: str,
    chapters: Sequence[tuple[str, Sequence[Section]]],
) -> str:
    """The page: a heading, the first section of the first chapter, `facts` (name, value), then the chapters' other
    sections, the photos and the report on the heads."""
    links, body, first = [], [], ""
    for name, sections in chapters:
        links.append(f"<p>{_text(name)}</p>")
        links += [f'<a href="#{each.anchor}">{_text(each.title)}</a>' for each in sections]
        opening = [] if first or not sections else [sections[0]]
        first = "".join(_section(each, opens_page=True) for each in opening) or first
        body += [f"<h2>{_text(name)}</h2>", *map(_section, sections[len(opening) :])]
    numbers = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts)
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(title)}</title>
<style>
{style}</style>
</head>
<body>
<nav aria-label="Contents">{"".join(links)}</nav>
<main>
<header>
<h1>{_text(title)}</h1>
<p class="lead">{_text(lead)}</p>
</header>
<div class="first">
{first}
</div>
<dl class="facts">{numbers}</dl>
{"".join(body)}
<h2>The photos, and what the network sees in them</h2>
<div class="gallery">{"".join(_photo(each) for each in gallery)}</div>
<details><summary>How the truncated networks f<sub>l</sub> were trained, and how far to trust them</summary>
<pre>{_text(heads)}</pre></details>
</main>
</body>
</html>
"""


def _section(section: Section, *, opens_page: bool = False) -> str:
    """A section; the one that opens the page shows its picture and says what it shows before all else."""
    about = f"<p>{_text(section.about)}</p>" if section.about else ""
    statement = f'<pre class="sql">{_highlighted(section.statement)}</pre>'
    seen = f'<p class="seen">{_text(section.seen)}</p>' if section.seen else ""
    shown = [_plate(section), seen]
    asked = [about, statement]
    parts = [
        f'<section id="{section.anchor}">',
        f'<p class="operator">{_text(section.operator)}</p>',
        f"<h3>{_text(section.title)}</h3>",
        *(shown + asked if opens_page else asked + shown),
    ]
    if section.cost:
        parts.append(f'<p class="cost">{_text(section.cost)}</p>')
    if section.picture is None:
        parts.append(f'<pre class="{"error" if section.error else "answer"}">{_text(section.answer)}</pre>')
    elif section.answer:
        parts.append(f"<details><summary>The answer as a table</summary><pre>{_text(section.answer)}</pre></details>")
    if section.plan:
        parts.append(f"<details><summary>The plan</summary><pre>{_text(section.plan)}</pre></details>")
    return "\n".join(part for part in [*parts, "</section>"] if part)


def _plate(section: Section) -> str:
    """A section's picture, beside the photos of its operands."""
    if section.picture is None:
        return ""
    operands = "".join(
        f"<figure>{picture}<figcaption>{_text(name)}</figcaption></figure>" for name, picture in section.operands
    )
    wide = " wide" if section.picture.width > _WIDEST_BESIDE_PHOTOS else ""
    beside = f'<div class="operands">{operands}</div>' if operands else ""
    return f'<div class="plate{wide}">{beside}{section.picture}</div>'


def _photo(photo: PagePhoto) -> str:
    bars = "".join(
        f'<li><span class="bar" style="width:{100 * share:.1f}%"></span>'
        f"<span>{_text(name)}</span><b>{share:.2f}</b></li>"
        for name, share in photo.guesses
    )
    label = f'<span class="label">{_text(f"labelled {photo.label}" if photo.label else "not labelled")}</span>'
    caption = f"<code>{_text(photo.name)}</code>{label}<ol>{bars}</ol>"
    return f"<figure>{photo.picture}<figcaption>{caption}</figcaption></figure>"


_WIDEST_BESIDE_PHOTOS = 800  # CSS pixels; wider pictures are placed below their photos
_WORDS = (
    "select from where join left anti on weight as and or not in between using budget explain analyze create replace "
    "window view drop show models inputs windows views describe set"
)
_TOKEN = re.compile(
    rf"""(?P<comment>--[^\n]*)|(?P<text>'[^'\n]*'|"[^"\n]*")"""
    rf"|(?P<word>\b(?:{'|'.join(_WORDS.split())})\b)|(?P<number>\b\d+(?:\.\d+)?\b)",
    re.IGNORECASE,
)


def _highlighted(statement: str) -> str:
    """A statement with its keywords, numbers, texts and comments marked."""
    pieces, end = [], 0
    for match in _TOKEN.finditer(statement):
        pieces.append(_text(statement[end : match.start()]))
        pieces.append(f'<span class="{match.lastgroup}">{_text(match.group())}</span>')
        end = match.end()
    return "".join([*pieces, _text(statement[end:])])


def _text(words: str) -> str:
    return html.escape(words, quote=False)
