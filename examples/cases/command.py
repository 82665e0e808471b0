"""The options that every case has, on the command line and in a test."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import ialgebra

from . import fashion


class Settings(NamedTuple):
    """Where the pictures come from, where the results go, how many seeds, and whether a quick look is enough."""

    out: Path = Path("cases-out")
    data: Path | None = None
    seeds: int = 3
    smoke: bool = False

    @property
    def nets(self) -> Path:
        """Trained networks, which all cases of one folder share."""
        return self.out / "nets"

    def images(self) -> fashion.Data:
        """Fashion-MNIST; for a quick look little of it, or digits where it is not there."""
        if not self.smoke:
            return fashion.load(self.data)
        try:
            return fashion.load(self.data, train=600, test=400)
        except FileNotFoundError:
            return fashion.digits()


Case = Callable[[Settings], None]


def run(about: str, *cases: Case) -> None:
    """Reads the options and runs the cases, one after another."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Settings().out, help="folder of tables, pictures and networks")
    parser.add_argument("--data", type=Path, help="folder of Fashion-MNIST's four files")
    parser.add_argument("--seeds", type=int, default=Settings().seeds, help="how often all is repeated with new nets")
    parser.add_argument("--smoke", action="store_true", help="a quick look at little data: its figures mean nothing")
    settings = Settings(**vars(parser.parse_args()))
    ialgebra.tune_process()
    settings.out.mkdir(parents=True, exist_ok=True)
    for case in cases:
        start = time.perf_counter()
        try:
            case(settings)
        except FileNotFoundError as missing:
            raise SystemExit(str(missing)) from None
        print(f"{case.__module__}: {time.perf_counter() - start:.0f} s\n")
