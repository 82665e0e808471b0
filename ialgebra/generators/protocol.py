"""What a generator is, and the check of one. In: any object. Out: a BindError that says what it lacks. It runs none."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from ..errors import BindError


@runtime_checkable
class Generator(Protocol):
    """What draws inputs from codes (n, levels, width): later levels draw finer things.

    It may have `encode(inputs)`, from inputs (n, *shape) to codes.
    """

    levels: int
    width: int

    def synthesis(self, codes: Tensor) -> Tensor:
        """Inputs (n, *shape) of codes (n, levels, width)."""
        ...


def known_generator(name: str, generator: object) -> Generator:
    """`generator`, if it is one; BindError that names it otherwise."""
    if not isinstance(generator, Generator):
        raise BindError(
            f"'{name}' is no generator: it needs levels, width and synthesis(codes), from codes (n, levels, width) to "
            f"inputs (n, *shape); {type(generator).__name__} lacks {', '.join(_lacking(generator))}"
        )
    for field in ("levels", "width"):
        size = getattr(generator, field)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise BindError(f"generator '{name}' says {field} = {size!r}; a whole number of at least 1 is needed")
    if not callable(generator.synthesis):
        raise BindError(f"generator '{name}' has a synthesis that cannot be called")
    return generator


def _lacking(generator: object) -> list[str]:
    return [each for each in ("levels", "width", "synthesis") if not hasattr(generator, each)]
