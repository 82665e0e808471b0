"""The strategies once more, on a GPU; where there is none, it says so.

python -m benchmarks.gpu [the arguments of benchmarks.strategies]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from . import strategies
from .strategies import markdown

__all__ = ["main", "markdown"]


def main(argv: Sequence[str] | None = None) -> int:
    if not torch.cuda.is_available():
        print("gpu: left out, for want of a CUDA device")
        return 0
    return strategies.main(argv, name="gpu", device="cuda")


if __name__ == "__main__":
    sys.exit(main())
