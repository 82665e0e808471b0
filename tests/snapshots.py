"""Texts that people have read and found right, kept in files. `IALGEBRA_REWRITE=1 pytest` writes them anew, to be read
again in the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

FIXTURES = Path(__file__).with_name("fixtures")
REWRITE = bool(os.environ.get("IALGEBRA_REWRITE"))


def paragraphs(name: str) -> list[str]:
    """A fixture's paragraphs, which an empty line separates."""
    return FIXTURES.joinpath(name).read_text("utf-8").rstrip("\n").split("\n\n")


def write(name: str, found: list[str]) -> None:
    FIXTURES.joinpath(name).write_text("\n\n".join(found) + "\n", "utf-8")
