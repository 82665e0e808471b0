"""Every benchmark in turn, each in a process of its own; what they print is kept.

    python -m benchmarks        (`make bench`)

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

from ialgebra.runtime import environment

OUT = Path("bench-out")


class Outcome(TypedDict):
    seconds: float
    exit: int
    lines: list[str]


class Benchmark(NamedTuple):
    """A module of this package, its arguments, and the packages without which it is left out."""

    name: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


BENCHMARKS = (
    Benchmark("overhead"),
    Benchmark("estimators", ("30",)),
    Benchmark("peers", needs=("captum", "shap", "shapiq")),
)


def run(benchmark: Benchmark) -> Outcome:
    """Runs one in a process that is set up for fast inference, shows its lines as they come and returns them."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark.name}", *benchmark.arguments]
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
    done = {}
    for benchmark in BENCHMARKS:
        missing = [package for package in benchmark.needs if find_spec(package) is None]
        if missing:
            print(f"{benchmark.name}: left out, for want of {', '.join(missing)}")
        else:
            print(f"{benchmark.name}:", flush=True)
            done[benchmark.name] = run(benchmark)
    OUT.mkdir(exist_ok=True)
    (OUT / "benchmarks.json").write_text(json.dumps(done, indent=1) + "\n")
    (OUT / "benchmarks.md").write_text("\n\n".join(markdown(name, each["lines"]) for name, each in done.items()) + "\n")
    return max((each["exit"] for each in done.values()), default=0)


if __name__ == "__main__":
    sys.exit(main())
