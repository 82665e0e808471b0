"""Every page of docs/how-to is true: its changes, applied to a copy of the tree, make the test that it names pass.

In: the pages. A fenced block belongs to the paragraph before it, which says where it goes:

    In `path`, new file:                       In `path`, add at the end:
    In `path`, after the line `text`, add:     In `path`, replace `text` with:

or "In `path`, replace:" before one block, and "with:" before the next. Blocks whose paragraph says none of these are
shown only. "Run `python -m pytest path::test`" names the test. With the blocks of `tests/` alone it must fail.
"""

import multiprocessing
import re
import runpy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
COPIED = ("ialgebra", "tests", "docs", "benchmarks", "examples", "pyproject.toml", "README.md")

_PACKAGES = ("torch", "torch.export", "numpy", "pytest", "sqlglot", "xxhash", "scipy.stats")
_RUN = """
import os, sys
os.chdir({root!r})
sys.path.insert(0, {root!r})
for stream in (1, 2):
    os.dup2(os.open({said!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
import pytest
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", {test!r}]))
"""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"\bIn `([^`\s]+\.\w+)`")
_AFTER = re.compile(r"after the line `([^`]+)`, add:$")
_REPLACE = re.compile(r"replace `([^`]+)` (?:with|by):$")


@dataclass(frozen=True)
class Change:
    """Text that goes into a file: in place of `old`, behind the line `after`, or, with neither, at its end."""

    path: str
    new: str
    after: str | None = None
    old: str | None = None

    def apply(self, root: Path) -> None:
        """Raises AssertionError where the file has not just one place for the change."""
        file = root / self.path
        text = file.read_text() if file.exists() else ""
        if self.old is not None:
            assert text.count(self.old) == 1, f"{self.path} has {text.count(self.old)} times: {self.old}"
            text = text.replace(self.old, self.new)
        elif self.after is not None:
            lines = text.splitlines(keepends=True)
            places = [place for place, line in enumerate(lines, 1) if line.strip() == self.after.strip()]
            assert len(places) == 1, f"{self.path} has {len(places)} lines: {self.after}"
            text = "".join([*lines[: places[0]], self.new, *lines[places[0] :]])
        else:
            text += self.new
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def changes(page: str) -> Iterator[Change]:
    path, waiting, end = "", "", 0
    for block in _FENCE.finditer(page):
        said = " ".join(page[end : block.start()].strip().split("\n\n")[-1].split())
        end = block.end()
        named = _PATH.findall(said)
        path = named[-1] if named else path
        text = block[2]
        if waiting and said.endswith("with:"):
            yield Change(path, text, old=waiting)
            waiting = ""
        elif after := _AFTER.search(said):
            yield Change(path, text, after=after[1])
        elif old := _REPLACE.search(said):
            yield Change(path, text.rstrip("\n"), old=old[1])
        elif said.endswith("replace:"):
            waiting = text
        elif said.endswith(("add at the end:", "new file:")):
            yield Change(path, text)


def passes(root: Path, test: str) -> bool:
    """Whether a test of a copy passes, in a process that finds the copy's modules and has imported none of ours."""
    script, said = root / "run_a_test.py", root / "said.txt"
    script.write_text(_RUN.format(root=str(root), test=test, said=str(said)))
    context = multiprocessing.get_context("forkserver")  # imports other packages once, for all processes
    context.set_forkserver_preload(list(_PACKAGES))
    process = context.Process(target=runpy.run_path, args=(str(script), None, "__main__"))
    process.start()
    process.join()
    print(said.read_text()[-4000:])
    return process.exitcode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_how_to_page_followed_word_for_word_passes_its_test(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    told = re.findall(r"Run `python -m pytest ([^`]+)`", text)
    assert told, "a page names its test"
    made = list(changes(text))
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("golden"))
        else:
            shutil.copy(source, target)
    for change in made:
        if change.path.startswith("tests/"):
            change.apply(tmp_path)
    assert not all(passes(tmp_path, test) for test in told), "the test passes before the change"
    for change in made:
        if not change.path.startswith("tests/"):
            change.apply(tmp_path)
    assert all(passes(tmp_path, test) for test in told)


def test_a_page_s_blocks_are_read_as_the_changes_that_its_words_say() -> None:
    page = (
        "In `a.py`, new file:\n```\nx = 1\n```\n\nIn `b.py`, after the\nline `y = 2`, add:\n\n```python\nz\n```\n"
        "Shown only:\n```\n$ ls\n```\nIn `b.py`, replace `y` with:\n```\nw\n```\nIn `c.py`, replace:\n```\nold\n```\n"
        "with:\n```\nnew\n```\nIn `c.py`, add at the end:\n```\nend\n```\n"
    )
    assert list(changes(page)) == [
        Change("a.py", "x = 1\n"),
        Change("b.py", "z\n", after="y = 2"),
        Change("b.py", "w", old="y"),
        Change("c.py", "new\n", old="old\n"),
        Change("c.py", "end\n"),
    ]


def test_changes_reach_the_file_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\n    two\nthree\n")
    for change in (Change("a.py", "    two and a half\n", after="two"), Change("a.py", "1", old="one")):
        change.apply(tmp_path)
    Change("a.py", "four\n").apply(tmp_path)
    Change("new/b.py", "b\n").apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == "1\n    two\n    two and a half\nthree\nfour\n"
    assert (tmp_path / "new" / "b.py").read_text() == "b\n"
    with pytest.raises(AssertionError, match="0 lines"):
        Change("a.py", "", after="nowhere").apply(tmp_path)
