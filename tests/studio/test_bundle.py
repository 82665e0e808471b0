"""The page that is shipped is what its sources build: by digests always, by building it anew where Node is at hand.

In: page/ and ialgebra/apps/studio/assets/. May not know: what the page does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "page"
ASSETS = ROOT / "ialgebra" / "apps" / "studio" / "assets"
SHIPPED = ("host.js", "index.html", "studio.css", "studio.js")


def sources_digest() -> str:
    """What build.mjs writes: SHA-256 over names and contents of the sources, in order of names."""
    files = [
        *(path for path in (PAGE / "src").rglob("*") if path.is_file()),
        PAGE / "build.mjs",
        PAGE / "package-lock.json",
    ]
    by_name = {path.relative_to(PAGE).as_posix(): path.read_bytes() for path in files}
    digest = hashlib.sha256()
    for name in sorted(by_name):
        digest.update(name.encode() + b"\0" + by_name[name] + b"\0")
    return digest.hexdigest()


def test_what_is_shipped_was_built_from_these_sources() -> None:
    built = json.loads((ASSETS / "built.json").read_text())
    assert built["sources"] == sources_digest(), "page/ was changed: run `make page`"
    assert built["files"] == {name: hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() for name in SHIPPED}
    assert sorted(path.name for path in ASSETS.iterdir()) == sorted([*SHIPPED, "built.json"])


def test_the_bundle_stays_below_200_kb_gzipped() -> None:
    assert sum(len(gzip.compress((ASSETS / name).read_bytes())) for name in SHIPPED) <= 200_000


def test_nothing_is_loaded_from_another_host_and_nothing_runs_inline() -> None:
    page = (ASSETS / "index.html").read_text()
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "/assets/studio.css", "/assets/host.js"]
    assert "style=" not in page
    assert "<style" not in page
    assert not re.search(r"<script[^>]*>[^<]", page)
    styles = (ASSETS / "studio.css").read_text()
    assert "url(" not in styles
    assert "@import" not in styles
    for name in ("host.js", "studio.js"):
        script = (ASSETS / name).read_text()
        addresses = set(re.findall(r"https?://[\w.-]+", script))
        assert addresses <= {"http://www.w3.org"}, addresses  # names of SVG and MathML, which nobody fetches
        assert not re.search(r"\beval\(|new Function\(", script)


def test_building_gives_the_same_bytes(tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node is not installed, so the page is not built anew here")
    copy = tmp_path / "page"
    shutil.copytree(PAGE, copy, ignore=shutil.ignore_patterns("node_modules"))
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    installed = subprocess.run(install, cwd=copy, capture_output=True, text=True, timeout=240)
    if installed.returncode != 0:
        pytest.skip(f"npm cannot fetch the page's packages here: {installed.stderr.strip().splitlines()[-1:]}")
    out = tmp_path / "assets"
    subprocess.run([node, "build.mjs", os.fspath(out)], cwd=copy, check=True, capture_output=True, timeout=120)
    for name in [*SHIPPED, "built.json"]:
        assert (out / name).read_bytes() == (ASSETS / name).read_bytes(), f"{name} differs: run `make page`"
