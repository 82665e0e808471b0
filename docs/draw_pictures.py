"""Draws the pictures of the documentation: `python docs/draw_pictures.py [page.md …]`, or `make pictures`.

In: pages with code and pictures. Out: the PNG files in docs/images. The code of a page runs from top to bottom; a
picture below a block is the `figure` that the block has made. The pictures of README.md and docs/language.md are those
of the demo, which needs its extra and some minutes. Without a page: all of them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent
PAGES = (DOCS / "pictures.md", *sorted((DOCS / "tutorials").glob("*.md")))
DPI = 96

_PIECE = re.compile(r"```python\n(?P<code>.*?)```|!\[[^\]]*\]\((?P<picture>[^)]+)\)", flags=re.DOTALL)


def pictures(page: Path) -> Iterator[tuple[Path, Figure]]:
    """Run the page's code; each picture that it shows, with the figure that was made above it."""
    names: dict[str, object] = {}
    for piece in _PIECE.finditer(page.read_text("utf-8")):
        if piece["code"] is not None:
            exec(compile(piece["code"], str(page), "exec"), names)
        elif isinstance(figure := names.pop("figure", None), Figure):
            yield (page.parent / piece["picture"]).resolve(), figure


def main(pages: list[Path]) -> int:
    chosen = [page.resolve() for page in pages or PAGES]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where the code of a page leaves its files
        for page in chosen:
            for path, figure in pictures(page):
                figure.savefig(path, dpi=DPI)
                print(path)
    if not pages:
        from ialgebra.apps.demo import readme_pictures

        for path in readme_pictures(DOCS / "images"):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(list(map(Path, sys.argv[1:]))))
