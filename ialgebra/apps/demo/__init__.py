"""The demo: the paper's queries on EfficientNet-Lite0 and real photos, as text, PNG pictures and one HTML page.

In: a folder. Out: the text that a shell would print, a PNG per query and `index.html`. It calls only public methods of
the session, as a user's script does.
"""

from __future__ import annotations

import io
import os
import time
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.apps import zoo
from ialgebra.errors import IalgebraError
from ialgebra.results import plots
from ialgebra.results.relation import Relation
from ialgebra.results.table import error_text
from ialgebra.session.session import Session
from ialgebra.system import runtime

from . import page
from .story import CHAPTERS, MISTAKES, Mistake, Scene

CROPS = 12  # random crops of each photo that the heads are trained on
README = ("first-map", "antijoin")  # the scenes whose pictures README.md and docs/language.md show
_PICTURE_DPI, _README_DPI, _PAGE_DPI = 160, 96, 118  # pixels per inch: PNG files, documentation, HTML page

TITLE = "Ask a neural network why"
LEAD = (
    "A map says how much each part of a photo adds to, or takes from, a network’s score for a class, and how sure that "
    "is. Every block below is a statement and its answer; the network is EfficientNet-Lite0 with its ImageNet weights."
)


def main(out: Path) -> int:
    """Run everything, print it, and write pictures and `index.html` into `out`; returns the exit code 0.

    Raises IalgebraError where a package of the `demo` extra is missing.
    """
    runtime.tune_process()
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    with ialgebra.connect() as con:
        network = _register(con)
        gallery = _gallery(network)
        for photo in gallery:
            print(f"{photo.name:<14}" + ", ".join(f"{name} {share:.2f}" for name, share in photo.guesses))
        heads = _heads(con)
        print(f"\n{heads}")
        chapters = [(name, [_play(con, scene, out) for scene in scenes]) for name, scenes in CHAPTERS]
        rows = sum(rows for _, played in chapters for _, rows in played)
        sections = [(name, [section for section, _ in played]) for name, played in chapters]
        sections.append(("When something is wrong", [_fail(con, mistake) for mistake in MISTAKES]))
    seconds = time.perf_counter() - started
    facts = (
        ("network", f"EfficientNet-Lite0, {sum(p.numel() for p in network.parameters()) / 1e6:.1f} M parameters"),
        ("statements", str(sum(len(scenes) for _, scenes in sections))),
        ("forward rows", f"{rows:,}"),
        ("time", f"{seconds:.0f} s on {os.cpu_count()} cores"),
        ("software", f"ialgebra {ialgebra.__version__}, torch {metadata.version('torch')}"),
    )
    path = out / "index.html"
    path.write_text(page.render(TITLE, LEAD, facts, gallery, heads, sections), encoding="utf-8")
    print(f"\n{rows:,} rows in {seconds:.0f} s; the page: {path}")
    return 0


def readme_pictures(folder: Path) -> list[Path]:
    """Write the documentation's two pictures into `folder` and return their paths. The queries are those of the
    demo."""
    runtime.tune_process()
    folder.mkdir(parents=True, exist_ok=True)
    with ialgebra.connect() as con:
        _register(con)
        scenes = {scene.slug: scene for _, chapter in CHAPTERS for scene in chapter}
        return [_save(con.sql(scenes[slug].script), folder / f"{slug}.png", _README_DPI) for slug in README]


def _register(con: Session) -> nn.Module:
    network, classes = zoo.network(), zoo.class_names()
    con.register_model("f", network, classes=classes)
    con.register_model("g", zoo.Mispreprocessed(network), classes=classes)
    for name in zoo.PHOTOS:
        con.register_input(name, zoo.photo(name))
    con.register_input("dimmed", _dimmed("coffee"))
    con.register_window("thumbnail", torch.ones(1, 32, 32, dtype=torch.bool))
    con.register_model("broken", lambda batch: torch.full((len(batch), 2), torch.nan))
    con.register_model("hungry", _hungry)
    return network


def _dimmed(name: str) -> Tensor:
    """A photo at half its brightness."""
    return (zoo.photo(name) * 128 + 127) * 0.5 / 128 - 127 / 128


def _hungry(batch: Tensor) -> Tensor:
    raise torch.OutOfMemoryError(f"tried to allocate {len(batch)} TiB")


def _gallery(network: nn.Module) -> list[page.PagePhoto]:
    """Every photo with the three classes of highest probability."""
    names = zoo.class_names()
    with torch.inference_mode():
        outputs = torch.cat([network(zoo.photo(name)[None]) for name in zoo.PHOTOS]).softmax(1)
    gallery = []
    for (name, photo), output in zip(zoo.PHOTOS.items(), outputs, strict=True):
        shares, indices = output.topk(3)
        guesses = [(names[index], share) for index, share in zip(indices.tolist(), shares.tolist(), strict=True)]
        label = None if photo.label is None else names[photo.label]
        picture = page.PagePicture(_jpeg(zoo.photo(name)), f"the photo {name}", zoo.SIDE, "jpeg")
        gallery.append(page.PagePhoto(name, picture, guesses, label))
    return gallery


def _heads(con: Session) -> str:
    """Train the heads of `zoo.LAYERS` by distillation on crops of the photos, and report how accurate they are.

    The heads are fitted twice: first with whole photos held out, only to measure that accuracy; then with crops held
    out, and these heads are used.
    """
    crops = torch.cat([zoo.crops(name, CROPS) for name in zoo.PHOTOS])
    photos = [name for name in zoo.PHOTOS for _ in range(CROPS)]
    unseen = con.fit_heads("f", crops, layers=zoo.LAYERS, groups=photos)
    seen = con.fit_heads("f", crops, layers=zoo.LAYERS)
    return f"""\
Trained on {len(crops)} random crops of {len(zoo.PHOTOS)} photos by distillation: each head learns to say
what the whole network says.

On crops that were held out, of photos that were not:
{seen}

On photos of which no crop was seen (separate heads, for this figure only):
{unseen}

So these heads know these photos and little else: enough to ask what a layer knows about them,
and not enough to call f_l a classifier of ImageNet."""


def _play(con: Session, scene: Scene, out: Path) -> tuple[page.Section, int]:
    """Run a scene, print it, save its picture; return the page's section, and the rows that the scene took."""
    print(f"\n── {scene.operator} ── {scene.title}\n\n{_indented(scene.script)}\n")
    answers = []
    for answer in con.run(scene.script):
        print(answer.text)
        answers.append(answer)
    last = answers[-1]
    picture, seen = None, ""
    if not last.is_text:
        path = _save(last, out / f"{scene.slug}.png", _PICTURE_DPI)
        seen = scene.seen(answers)
        print(f"\n{seen}\npicture: {path}")
        picture = page.PagePicture(_web(path), seen, round(last.plot().get_figwidth() * _PAGE_DPI), "webp")
    maps = [answer for answer in answers if not answer.is_text]
    section = page.Section(
        operator=scene.operator,
        title=scene.title,
        about=scene.about,
        statement=scene.script,
        answer="\n\n".join(answer.text for answer in answers if answer.is_text == last.is_text),
        seen=seen,
        cost=" · ".join(map(_cost, maps)),
        plan="" if last.is_text else last.explain(),
        picture=picture,
        operands=[(name, _thumbnail(name)) for name in scene.photos if name not in _shown_inputs(last)],
    )
    return section, sum(answer.stats.rows for answer in answers)


def _shown_inputs(answer: Relation) -> set[str]:
    """The inputs that stand beside their maps: of a join, the first."""
    return {a.input.split(", ")[0] for a in answer}


def _cost(answer: Relation) -> str:
    errors = sorted({a.bound for a in answer})
    ends = errors[:1] + errors[1:][-1:]
    return f"{answer.stats}, error at 95 % {' to '.join(map(error_text, ends))}"


def _fail(con: Session, mistake: Mistake) -> page.Section:
    """Run a statement that must raise the error named in `mistake`; AssertionError if it does not."""
    print(f"\n── {mistake.error} ── {mistake.title}\n\n{_indented(mistake.script)}\n")
    try:
        con.sql(mistake.script)
    except IalgebraError as error:
        said = f"{type(error).__name__}: {error}"
        if type(error).__name__ != mistake.error:
            raise
    else:
        raise AssertionError(f"the demo expected a {mistake.error} of: {mistake.script}")
    print(said)
    return page.Section(mistake.error, mistake.title, mistake.about, mistake.script, said, error=True)


def _save(answer: Relation, path: Path, dpi: int) -> Path:
    path.write_bytes(plots.png(answer.plot(), dpi))
    return path


def _web(path: Path) -> bytes:
    """A picture for the page, as WebP: about a fifth of the PNG's bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(path).convert("RGB").save(buffer, "WEBP", quality=88)
    return buffer.getvalue()


def _thumbnail(name: str) -> page.PagePicture:
    tensor = _dimmed("coffee") if name == "dimmed" else zoo.photo(name)
    return page.PagePicture(_jpeg(tensor), f"the photo {name}", 168, "jpeg")


def _jpeg(tensor: Tensor) -> bytes:
    """An input `(3, 224, 224)` as the bytes of a JPEG file."""
    from PIL import Image

    pixels = (tensor * 128 + 127).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=86)
    return buffer.getvalue()


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
