"""How many small changes of the planner, the algebra and the kernels the tests notice.

    python -m benchmarks.mutants cover [TESTS …]       which test runs which lines (once, and after tests were added)
    python -m benchmarks.mutants run [--most N]        mutants, in random order, until all or N were tried
    python -m benchmarks.mutants report [--most N]     the score, its interval, and what survived

In: `ialgebra/` and `tests/`. Out: `bench-out/mutants/`: `cover.json`, `results.json`, and the report in print. The
order is that of a seed, so that the first N are a fair sample of all.

Importing torch takes seconds and the whole suite minutes. So each mutant is a fork of a process that has everything in
memory: of a pytest session that has collected all tests, where a function's code is exchanged in place; or, for what
runs at import, of one that has imported the libraries only, where a module is loaded from its mutant. Each runs the
tests that ran the changed statement: those that noticed mutants of the same function first, then those of its module,
of its package, and the fastest, up to `--longest` seconds in all, until one fails. A mutant that outlives these counts
as alive, which errs on the strict side; one that takes far longer than the original counts as noticed.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.machinery
import importlib.util
import inspect
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple, TypedDict

import pytest

from .mutators import Mutant, Mutator

PACKAGES = ("planner", "algebra", "kernels")
OUT = Path("bench-out/mutants")
LEISURE = 4.0  # seconds that any test may take
SEED = 0
HEAVY = ("torch", "numpy", "networkx", "sqlglot", "hypothesis", "rich.console", "rich.progress", "safetensors.torch")
IMPORTED = (
    "ialgebra.session.session",
    "ialgebra.answering.loop",
    "ialgebra.results.assemble",
)  # what `import ialgebra` leaves for later
MISFIT = 77  # exit status of a fork that could not make a change in what was imported
PYTEST = ("-x", "-p", "no:cacheprovider", "-o", "timeout=0", "-W", "ignore::pytest.PytestAssertRewriteWarning")


class Covered(TypedDict):
    """One test: how long it took, and the lines of each file that it ran."""

    seconds: float
    lines: dict[str, list[int]]


Tell = Callable[[Mutant, Mapping[str, float]], tuple[str | None, float]]
"""Which of some tests, by what they usually take, is the first to fail on a mutant; and how long that took."""


class Result(TypedDict):
    """What became of a mutant: the test that noticed it, "timeout", or None."""

    file: str
    function: str
    line: int
    before: str
    after: str
    killer: str | None
    seconds: float


# --- Children


class Ended(NamedTuple):
    status: int  # negative: the signal
    seconds: float


def fork(task: Callable[[], int], seconds: float, pause: Path | None) -> Ended:
    """Runs `task` in a fork of this process, stopped while `pause` exists, killed after `seconds` of its own time."""
    child = os.fork()
    if child == 0:
        os.setpgrp()
        status = 1
        try:
            allow(seconds)
            status = task()
        finally:
            sys.stdout.flush()
            os._exit(status)
    os.setpgid(child, child)
    ran, last = 0.0, time.perf_counter()
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        now = time.perf_counter()
        ran, last = ran + now - last, now
        if found:
            return Ended(os.waitstatus_to_exitcode(status), ran)
        if ran > 4 * seconds + 30:  # asleep
            os.killpg(child, signal.SIGKILL)
        elif pause is not None and pause.exists():
            os.killpg(child, signal.SIGSTOP)
            while pause.exists():
                time.sleep(0.5)
            os.killpg(child, signal.SIGCONT)
            last = time.perf_counter()
        time.sleep(0.02)


def allow(seconds: float) -> None:
    """This process may take so many seconds more of a core; then it is killed."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(spent.ru_utime + spent.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


def silent() -> None:
    """Nothing that a test prints is shown."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def module_name(mutant: Mutant) -> str:
    return ".".join(Path(mutant.file).with_suffix("").parts)


class _Changed(importlib.machinery.SourceFileLoader):
    """Loads a mutant in the place of its module."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(Path(mutant.file).resolve()))
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.mutant.source, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds one module in a mutant."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = module_name(mutant)
        self.loader = _Changed(self.name, mutant)

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.loader.path, loader=self.loader)


class _Watch:
    """Remembers what failed first."""

    def __init__(self) -> None:
        self.failed: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid


def tests(names: Sequence[str], *plugins: object) -> int:
    with tempfile.TemporaryDirectory(prefix="mutant") as folder:
        return int(pytest.main([*PYTEST, f"--basetemp={folder}/tmp", *names], [*plugins]))


def noticed(mutant: Mutant, names: Mapping[str, float], pause: Path | None) -> tuple[str | None, float]:
    """The first of the tests to fail on a mutant, or what else became of it; and how long that took."""
    with tempfile.NamedTemporaryFile("r") as said:

        def task() -> int:
            silent()
            sys.meta_path.insert(0, _Finder(mutant))  # type: ignore[arg-type]
            watch = _Watch()
            status = tests(list(names), watch)
            Path(said.name).write_text(watch.failed or ("" if status == 0 else "at import"))
            return 0

        return told(fork(task, 15 + 5 * sum(names.values()), pause), said.read)


def told(ended: Ended, said: Callable[[], str]) -> tuple[str | None, float]:
    """What a child said, or how it ended."""
    if ended.status == MISFIT:
        return "misfit", ended.seconds
    return (f"timeout or crash ({ended.status})" if ended.status else said() or None), ended.seconds


class Misfit(Exception):
    """A change that cannot be made in a module that was imported."""


def change(mutant: Mutant) -> None:
    """Gives the function that a mutant changes its changed code and defaults, in place, whoever holds it."""
    module = sys.modules[module_name(mutant)]
    path = mutant.function.split(".")
    body: Sequence[ast.stmt] = ast.parse(mutant.source).body
    target: Any = module
    for name in path:
        target = vars(target).get(name)
        found = [each for each in body if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name]
        if target is None or len(found) != 1:
            raise Misfit(mutant.function)
        body = found[0].body
        if isinstance(found[0], ast.FunctionDef):
            break
    target = getattr(target, "fget", getattr(target, "func", getattr(target, "__func__", target)))
    if hasattr(target, "cache_clear"):
        target.cache_clear()
    target = inspect.unwrap(target)
    (found[0]).decorator_list = []
    space: dict[str, Any] = {}
    tree = ast.Module([found[0]], [])
    code = compile(tree, mutant.file, "exec", flags=annotations.compiler_flag, dont_inherit=True)
    exec(code, vars(module), space)
    changed = space[found[0].name]
    if not inspect.isfunction(target) or changed.__code__.co_freevars != target.__code__.co_freevars:
        raise Misfit(mutant.function)
    target.__code__, target.__defaults__ = changed.__code__, changed.__defaults__
    target.__kwdefaults__ = changed.__kwdefaults__


class _Session:
    """A pytest session that has collected all tests and, instead of running them, calls `loop` with a function that
    tells which of some tests fails first on a mutant."""

    def __init__(self, loop: Callable[[Tell], None]):
        self.loop = loop
        self.failed: str | None = None
        self.pause: Path | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for name in IMPORTED:
            importlib.import_module(name)

        def noticed(mutant: Mutant, names: Mapping[str, float]) -> tuple[str | None, float]:
            known = [items[name] for name in names if name in items]
            with tempfile.NamedTemporaryFile("r") as said:

                def task() -> int:
                    silent()
                    try:
                        change(mutant)
                    except Misfit:
                        return MISFIT
                    for item, after in zip(known, [*known[1:], None], strict=True):
                        allow(LEISURE + 4 * names[item.nodeid])
                        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                        if self.failed is not None:
                            break
                    Path(said.name).write_text(self.failed or "")
                    return 0

                return told(fork(task, 10 + 5 * sum(names.values()), self.pause), said.read)

        self.loop(noticed)
        return True


# --- Which test runs which lines


class _Recorder:
    """Tells coverage which test runs, and how long each took."""

    def __init__(self, coverage: Any) -> None:
        self.coverage = coverage
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)


def cover(names: Sequence[str], pause: Path | None) -> None:
    """Runs tests, and adds to `cover.json` what they cover; a file's old tests are forgotten."""
    OUT.mkdir(parents=True, exist_ok=True)

    def task() -> int:
        from coverage import Coverage

        coverage = Coverage(data_file=None, include=[f"ialgebra/{package}/*" for package in PACKAGES])
        recorder = _Recorder(coverage)
        coverage.start()
        tests(["--maxfail=1000", *names], recorder)
        coverage.stop()
        found = {
            test: Covered(seconds=seconds, lines={})
            for test, seconds in recorder.seconds.items()
            if test not in recorder.failed
        }
        data = coverage.get_data()
        for file in sorted(data.measured_files()):
            own = str(Path(file).relative_to(Path.cwd()))
            for line, contexts in data.contexts_by_lineno(file).items():
                for test in contexts:
                    if test in found:
                        found[test]["lines"].setdefault(own, []).append(line)
        files = {test.split("::")[0] for test in recorder.seconds}
        path = OUT / "cover.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        kept = {test: each for test, each in known.items() if test.split("::")[0] not in files}
        path.write_text(json.dumps({**kept, **found}))
        print(f"{len(found)} tests, {len(recorder.failed)} left out: {sorted(recorder.failed)[:5]}")
        return 0

    print(fork(task, 36000, pause))


def chosen(mutant: Mutant, covered: dict[str, Covered], first: Sequence[str], longest: float) -> dict[str, float]:
    """The tests that a mutant has to outlive, in order, and how long each takes with the original.

    What runs at import concerns every test of a file one of whose tests ran the module.
    """
    fitting = {test: each["seconds"] for test, each in covered.items() if ran(each, mutant)}
    if not mutant.inside:
        files = {test.split("::")[0] for test in fitting}
        fitting = {test: each["seconds"] for test, each in covered.items() if test.split("::")[0] in files}
    package, module = Path(mutant.file).parts[-2:]
    near = (f"tests/{package}/test_{module}", f"tests/{package}/")  # the module's own tests, its package's, others
    ordered = sorted(fitting, key=lambda test: (*(not test.startswith(each) for each in near), fitting[test]))
    names: dict[str, float] = {}
    for test in dict.fromkeys([*(each for each in first if each in fitting), *ordered]):
        if names and sum(names.values()) + fitting[test] > longest:
            break
        names[test] = fitting[test]
    return names


def ran(test: Covered, mutant: Mutant) -> bool:
    """Whether a test ran a mutant's statement or, where that runs at import, anything of its file."""
    lines = test["lines"].get(mutant.file, [])
    first, last = mutant.lines if mutant.inside else (0, math.inf)
    return any(first <= line <= last for line in lines)


# --- Mutants


def drawn(files: Sequence[Path]) -> tuple[dict[Path, Mutator], list[tuple[Path, int]]]:
    """The mutants of some files, by file and number, in a random order that a change elsewhere leaves as it is."""
    makers = {file: Mutator(file) for file in files}
    ranks: dict[tuple[Path, int], bytes] = {}
    counts: Counter[tuple[Path, str]] = Counter()
    for file, maker in makers.items():
        for number, place in enumerate(maker.visitor.places):
            said = f"{SEED}|{file}|{place.function}|{counts[file, place.function]}"
            counts[file, place.function] += 1
            ranks[file, number] = hashlib.blake2b(said.encode(), digest_size=8).digest()
    return makers, sorted(ranks, key=ranks.__getitem__)


def run(files: Sequence[Path], most: int | None, again: bool, longest: float, pause: Path | None) -> None:
    """Tries mutants that have no result yet (`again`: that survived), in random order: what is called, in a session
    that has imported everything; what runs at import, from the start."""
    covered: dict[str, Covered] = json.loads((OUT / "cover.json").read_text())
    if again:
        path = OUT / "results.json"
        results: dict[str, Result] = json.loads(path.read_text())
        path.write_text(json.dumps({key: each for key, each in results.items() if each["killer"] is not None}))
    makers, order = drawn(files)
    print(f"{len(order)} mutants", flush=True)

    def loop(noticed: Tell, warm: bool) -> None:
        path = OUT / "results.json"
        results: dict[str, Result] = json.loads(path.read_text()) if path.exists() else {}
        killers: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for result in results.values():
            if result["killer"] in covered:
                killers[result["file"], result["function"]].insert(0, result["killer"] or "")
        for place, (file, number) in enumerate(order[:most]):
            mutant = makers[file].make(number)
            if mutant is None:
                continue
            if not any(ran(test, mutant) for test in covered.values()):  # called at import, if at all
                mutant = mutant._replace(inside=False)
            if warm and not mutant.inside:
                continue
            if mutant.key in results and results[mutant.key]["killer"] != "misfit":
                continue
            first = killers[mutant.file, mutant.function]
            names = chosen(mutant, covered, list(dict.fromkeys(first))[:8], longest)
            killer, seconds = noticed(mutant, names) if names else (None, 0.0)
            if killer in covered:
                first.insert(0, killer)
            results[mutant.key] = Result(
                file=mutant.file,
                function=mutant.function,
                line=mutant.line,
                before=mutant.before,
                after=mutant.after,
                killer=killer,
                seconds=seconds,
            )
            verdict = killer or f"ALIVE after {len(names)} tests ({sum(names.values()):.1f} s)"
            say(f"{place} {seconds:5.1f} s  {file}:{mutant.line}  {mutant.after!r}  {verdict}")
            path.write_text(json.dumps(results))

    out = os.dup(1)

    def say(line: str) -> None:
        os.write(out, f"{line}\n".encode())

    def imported() -> int:
        session = _Session(partial(loop, warm=True))
        session.pause = pause
        silent()
        return tests(sorted({test.split("::")[0] for test in covered}), session)

    print(fork(imported, 360000, None))
    loop(partial(noticed, pause=pause), warm=False)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """A share's 95 % interval (Wilson, 1927)."""
    z = 1.959964
    share, spread = hits / count, z * math.sqrt(hits * (count - hits) / count + z * z / 4)
    middle, scale = share * count + z * z / 2, count + z * z
    return (middle - spread) / scale, (middle + spread) / scale


def report(files: Sequence[Path], most: int | None) -> None:
    """The score by file and package, and the survivors, of the first `most` mutants of the random order."""
    results: dict[str, Result] = json.loads((OUT / "results.json").read_text())
    makers, order = drawn(files)
    groups: defaultdict[str, list[bool]] = defaultdict(list)
    alive: list[tuple[str, int, str]] = []
    missing = 0
    for file, number in order[:most]:
        mutant = makers[file].make(number)
        if mutant is None:
            continue
        if mutant.key not in results:
            missing += 1
            continue
        noticed = results[mutant.key]["killer"] is not None
        for name in (str(file), str(file.parent), "all"):
            groups[name].append(noticed)
        if not noticed:
            alive.append((str(file), mutant.line, f"{mutant.function}\n- {mutant.before}\n+ {mutant.after}"))
    print(f"of {len(order)} mutants, the first {most or len(order)} drawn with seed {SEED}; without result: {missing}")
    for name, hits in sorted(groups.items()):
        low, high = wilson(sum(hits), len(hits))
        print(f"{name:36}{sum(hits):6} of {len(hits):5}  {sum(hits) / len(hits):6.1%}  ({low:.1%} to {high:.1%})")
    for place, line, change in sorted(alive):
        print(f"\n{place}:{line}  {change}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("cover", "run", "report"))
    parser.add_argument("names", nargs="*", help="tests to cover, or parts of the names of files to mutate")
    parser.add_argument("--most", type=int, help="of the random order, so many")
    parser.add_argument("--longest", type=float, default=20.0, help="seconds of tests that a mutant has to outlive")
    parser.add_argument("--again", action="store_true", help="try again what survived")
    parser.add_argument("--pause", type=Path, help="wait while this file exists")
    given = parser.parse_intermixed_args()
    files = [file for package in PACKAGES for file in sorted(Path("ialgebra", package).glob("*.py"))]
    files = [
        file for file in files if given.task == "cover" or not given.names or any(n in str(file) for n in given.names)
    ]
    if given.task == "report":
        return report(files, given.most)
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in HEAVY:
        importlib.import_module(name)
    import hypothesis

    hypothesis.settings.register_profile("mutants", database=None, derandomize=True)  # nothing is remembered of mutants
    hypothesis.settings.load_profile("mutants")
    if given.task == "cover":
        return cover(given.names or ["tests"], given.pause)
    return run(files, given.most, given.again, given.longest, given.pause)


if __name__ == "__main__":
    main()
