"""Every benchmark in turn, each in a process of its own; what they print is kept.

    python -m benchmarks            (`make bench`)
    python -m benchmarks --quick    those that can, on tiny sizes: do they run?

In: nothing. Out: `bench-out/benchmarks.json` (seconds, exit status and printed lines of each) and `benchmarks.md`,
beside the files that a benchmark writes itself. Knows the benchmarks by name only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypedDict

from ialgebra.system.runtime import environment

OUT = Path("bench-out")


class Outcome(TypedDict):
    seconds: float
    exit: int
    lines: list[str]


class Benchmark(NamedTuple):
    """A module of this package, its arguments, the packages without which it is left out, and whether it can be
    quick."""

    name: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    quick: bool = False


BENCHMARKS = (
    Benchmark("strategies", quick=True),
    Benchmark("drilldown", quick=True),
    Benchmark("limit", quick=True),
    Benchmark("modes", needs=("transformers",), quick=True),
    Benchmark("costmodel", quick=True),
    Benchmark("scale", quick=True),
    Benchmark("gpu", quick=True),
    Benchmark("sets", ("--memory",), needs=("shap",), quick=True),
    Benchmark("estimators", ("30",)),
    Benchmark("bounds", ("10", "oracle")),
    Benchmark("ranking"),
    Benchmark("planning"),
    Benchmark("relations"),
    Benchmark("sameness"),
    Benchmark("peers", needs=("captum", "shap", "shapiq")),
    Benchmark("seconds", needs=("captum", "shap", "shapiq")),
)


def run(benchmark: Benchmark, *, quick: bool) -> Outcome:
    """Runs one in a process that is set up for fast inference, shows its lines as they come and returns them."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark.name}", *benchmark.arguments]
    if quick:
        command += ["--quick", "--out", str(OUT / "quick")]
    started, lines = time.perf_counter(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return {"seconds": time.perf_counter() - started, "exit": process.returncode, "lines": lines}


def markdown(name: str, lines: list[str]) -> str:
    """A report as it is, anything else as a block of text."""
    body = "\n".join(lines)
    return body if body.startswith("# ") else f"# {name.capitalize()}\n\n```text\n{body}\n```"


def main() -> int:
    quick = "--quick" in sys.argv[1:]
    done = {}
    for benchmark in BENCHMARKS:
        if quick and not benchmark.quick:
            continue
        missing = [package for package in benchmark.needs if find_spec(package) is None]
        if missing:
            print(f"{benchmark.name}: left out, for want of {', '.join(missing)}")
        else:
            print(f"{benchmark.name}:", flush=True)
            done[benchmark.name] = run(benchmark, quick=quick)
    out = OUT / "quick" if quick else OUT
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmarks.json").write_text(json.dumps(done, indent=1) + "\n")
    (out / "benchmarks.md").write_text("\n\n".join(markdown(name, each["lines"]) for name, each in done.items()) + "\n")
    return max((each["exit"] for each in done.values()), default=0)


if __name__ == "__main__":
    sys.exit(main())
