"""The tables of docs/benchmarks.md, written from what the benchmarks left in bench-out/.

    python -m benchmarks.readme

In: the JSON of benchmarks that have run. Out: docs/benchmarks.md, in which whatever stands between `<!-- name -->` and
`<!-- /name -->` is that benchmark's own Markdown; a section whose JSON is not there stays as it is. Knows the
benchmarks by name only.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
OUT = Path("bench-out")
SECTIONS = (
    "peers",
    "seconds",
    "sets",
    "strategies",
    "limit",
)  # benchmarks with a `markdown(data)` and a `bench-out/name.json`

Markdown = Callable[[dict[str, Any]], str]


def marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", flags=re.DOTALL)


def filled(text: str, out: Path = OUT) -> str:
    """The text with every section that can be written anew."""
    for name in SECTIONS:
        file = out / f"{name}.json"
        if file.exists() and marked(name).search(text):
            markdown: Markdown = importlib.import_module(f"benchmarks.{name}").markdown
            body = markdown(json.loads(file.read_text()))
            text = marked(name).sub(lambda _, body=body: f"\n{body.strip()}\n\n", text)  # type: ignore[misc]
    return text


def main() -> int:
    PAGE.write_text(filled(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
