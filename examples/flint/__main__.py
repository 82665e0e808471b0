"""FLINT measured anew: `python -m examples.flint`; half an hour of one core at most. Tables in flint-out/flint.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from .study import Settings, prepare, study


def main() -> None:
    """Reads the options and runs the study."""
    default = Settings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=default.out, help="folder of the tables")
    parser.add_argument("--data", type=Path, help="folder of Fashion-MNIST's four files")
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10's binary files, which is measured too then")
    parser.add_argument(
        "--quickdraw", type=Path, help="folder of QuickDraw's bitmaps *.npy, which is measured too then"
    )
    parser.add_argument("--seeds", type=int, default=default.seeds, help="how often all is repeated with new nets")
    parser.add_argument("--quick", action="store_true", help="a quick look at digits alone: its figures mean nothing")
    settings = Settings(**vars(parser.parse_args()))
    prepare()
    try:
        print(study(settings))
    except FileNotFoundError as missing:
        raise SystemExit(str(missing)) from None


if __name__ == "__main__":
    main()
