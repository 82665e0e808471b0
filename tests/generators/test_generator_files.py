"""Files of generators: what is read back is what was saved, to the bit; all else is refused by a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ialgebra.errors import BindError, IalgebraError
from ialgebra.generators import LinearGenerator, StyleGenerator, load_generator, save_generator
from tests import mutated

_COUNT = 200


def _pictures() -> Tensor:
    return torch.rand(40, 1, 8, 9, generator=torch.Generator().manual_seed(0))


def _made(kind: str) -> LinearGenerator | StyleGenerator:
    if kind == "linear":
        return LinearGenerator.fit(_pictures(), 6, levels=2)
    return StyleGenerator.fit(_pictures(), steps=2, latents=3, width=4)


def _same(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return type(one) is type(other) and [*states[0]] == [*states[1]] and all(map(_equal, *map(dict.values, states)))


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.parametrize("kind", ["linear", "style"])
def test_a_generator_is_read_back_to_the_bit(kind: str, tmp_path: Path) -> None:
    made = _made(kind)
    found = load_generator(save_generator(made, tmp_path / "G.safetensors"))
    assert _same(made, found)
    assert (found.shape, found.levels, found.width) == (made.shape, made.levels, made.width)
    codes = made.encode(_pictures())
    assert torch.equal(found.encode(_pictures()), codes)
    assert torch.equal(found.synthesis(codes), made.synthesis(codes))
    if isinstance(made, StyleGenerator):
        assert isinstance(found, StyleGenerator)
        assert found.figures == made.figures
        assert torch.equal(found.samples(5), made.samples(5))


@pytest.mark.parametrize("kind", ["linear", "style"])
def test_a_mutated_file_is_refused_by_name_or_read_rightly(kind: str, tmp_path: Path) -> None:
    made = _made(kind)
    content = save_generator(made, tmp_path / "good").read_bytes()
    path, refused, read = tmp_path / "mutated", 0, 0
    for what, spoilt in mutated.files(content, mutated.GENERATORS, _COUNT, seed=_COUNT):
        path.write_bytes(spoilt)
        try:
            found = load_generator(path)
        except IalgebraError as error:
            refused += str(path) in error.message
            continue
        read += 1
        if what.startswith(("cut", "bits", "header version", "longer")):
            assert _same(found, made), what
        assert all(bool(torch.isfinite(each).all()) for each in found.state_dict().values()), what
        assert _same(load_generator(save_generator(found, tmp_path / "again")), found), what
    assert refused + read == _COUNT  # each refusal names the file
    assert refused > _COUNT / 2


def test_other_files_and_generators_are_refused(tmp_path: Path) -> None:
    class Own(LinearGenerator):
        """Somebody's own."""

    own = Own(torch.zeros(2), torch.ones(1, 2), (2,))
    with pytest.raises(BindError, match="a Own cannot be saved here"):
        save_generator(own, tmp_path / "own")
    with pytest.raises(BindError, match="cannot read generators from"):
        load_generator(tmp_path / "none")
    heads = mutated.Stored.of(save_generator(_made("linear"), tmp_path / "linear").read_bytes())
    heads.metadata["format"] = "ialgebra heads 1"
    (tmp_path / "heads").write_bytes(heads.bytes())
    with pytest.raises(BindError, match="no file of generators"):
        load_generator(tmp_path / "heads")
