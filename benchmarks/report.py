"""What benchmarks have in common: arguments, Markdown tables, the machine they ran on, files in bench-out/.

In: a benchmark's plain data (ready for JSON), its Markdown and its plot. Out: three files of one name, and the Markdown
on standard output. Knows nothing of what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from matplotlib.figure import Figure

Data = dict[str, Any]  # plain values, as json.loads returns them

_T = TypeVar("_T")

OUT = Path("bench-out")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that every benchmark takes."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--quick", action="store_true", help="a small net and tiny sizes: seconds, to see that it runs")
    made.add_argument("--out", type=Path, default=OUT, help="where the JSON, the Markdown and the plot go")
    return made


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float | None, digits: int = 2) -> str:
    """So many significant digits, without exponents; a dash for what was not measured."""
    if value is None or value != value:
        return "–"
    text = f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return f"{value:,.0f}" if "e+" in text else text


def goal(value: float, bound: float, *, at_most: bool = True) -> str:
    """A measured figure beside what it should be; in bold where it is not."""
    met = value <= bound if at_most else value >= bound
    shown = number(value, 3)
    return f"{shown if met else f'**{shown}**'} ({'≤' if at_most else '≥'} {number(bound, 3)})"


def timed(work: Callable[[], _T]) -> tuple[float, _T]:
    """The seconds that `work` takes, and what it returns."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def median_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The median of so many runs, after one that warms up."""
    work()
    return statistics.median(timed(work)[0] for _ in range(repeats))


def machine(device: str = "cpu") -> Data:
    """What figures of time depend on."""
    return {
        "processor": _processor() if device == "cpu" else torch.cuda.get_device_name(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def said(machine: Mapping[str, Any]) -> str:
    """The machine as a sentence."""
    return (
        f"{machine['processor']}, {machine['threads']} threads on {machine['cores']} cores, torch {machine['torch']}; "
        f"load {machine['load']:.1f} when the run began."
    )


def publish(name: str, data: Data, text: str, figure: Figure | None, out: Path) -> None:
    """Write `out`/name.json, .md and .png, and print the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    if figure is not None:
        figure.savefig(out / f"{name}.png", dpi=120)
    print(text, end="", flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
