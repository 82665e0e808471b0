"""Builds the site: `python docs/build_site.py [folder]`, or `make docs`.

In: the Markdown files of the root, docs/ and examples/ with their pictures, and the package's docstrings. Out: the
site, in `site/` or in the folder that is named. Pages keep their places relative to one another, so that the links
which a reader follows in the repository are those of the site. A link that leads nowhere, or a name that does not
exist, is an error.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "pages"
SHOWN = {".md", ".png", ".svg"}


def gather(root: Path = ROOT, pages: Path = PAGES) -> list[Path]:
    """Copy what the site shows into `pages`, which is emptied first; returns the files' places under it."""
    shutil.rmtree(pages, ignore_errors=True)
    sources = [*root.glob("*.md"), *(path for part in ("docs", "examples") for path in (root / part).rglob("*"))]
    copied = []
    for source in sorted(path for path in sources if path.suffix in SHOWN):
        place = source.relative_to(root)
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, pages / place)
        copied.append(place)
    return copied


def main() -> int:
    gather()
    site = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site").resolve()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
