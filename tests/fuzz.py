"""The standing fuzzer of the text path: `python -m tests.fuzz --minutes 30`.

Texts are drawn from the grammar, spoilt, or mutated by atheris where that is installed, which keeps those that reach
new branches of the reader, the binder and the planner; without it they are drawn and spoilt at random. Each is parsed,
bound and explained, and some are answered. Anything but an answer or an IalgebraError is a crash; two seconds of CPU
are a hang. What was found, and how many texts were tried, is in the report (JSON), which is written as it goes; the
exit status is 1 if anything was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 2.0  # seconds of CPU


@dataclass
class Report:
    """What a run has found so far; `findings` maps where it happened to the first text that made it happen."""

    path: Path
    engine: str
    texts: int = 0
    explained: int = 0
    answered: int = 0
    refused: int = 0
    slowest: float = 0.0
    slowest_text: str = ""
    seconds: float = 0.0
    findings: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    written: float = 0.0

    @property
    def age(self) -> float:
        """Seconds of work: while it sleeps, `started` is put off."""
        return time.monotonic() - self.started

    def write(self) -> None:
        self.seconds = self.written = self.age
        shown = {name: value for name, value in vars(self).items() if name not in ("path", "started", "written")}
        self.path.write_text(json.dumps(shown, indent=1, ensure_ascii=True, default=str))


class Target:
    """Runs texts against a session, which is made anew now and then, and notes what they do."""

    def __init__(self, report: Report, pause: Path | None) -> None:
        self.report = report
        self.pause = pause
        self.fresh()

    def fresh(self) -> None:
        from tests import grammar

        self.con = grammar.session()

    def __call__(self, text: str) -> None:
        import ialgebra

        while self.pause is not None and self.pause.exists():
            time.sleep(1)
            self.report.started += 1
        report = self.report
        report.texts += 1
        if report.texts % 2000 == 0:
            self.fresh()
        asked = [self.con.explain, self.con.sql] if report.texts % 4 == 0 else [self.con.explain]
        for ask in asked:
            before = time.process_time()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    said = ask(text)
                if isinstance(said, str):
                    report.explained += 1
                else:
                    report.answered += 1
            except ialgebra.IalgebraError as error:
                report.refused += 1
                if not str(error):
                    self.found("an error without a message", text)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                self.found(f"{type(error).__name__} at {where.filename}:{where.lineno}: {str(error)[:200]}", text)
            spent = time.process_time() - before
            if spent > report.slowest:
                report.slowest, report.slowest_text = spent, text[:2000]
            if spent > PATIENCE:
                self.found(f"hang of {ask.__name__}", text)
        if report.age > report.written + 10:
            report.write()

    def found(self, what: str, text: str) -> None:
        if what not in self.report.findings:
            self.report.findings[what] = text
            print(f"{what}\n  {text[:500]!r}", flush=True)
            self.report.write()


def mutated(rng: random.Random, data: bytes) -> str:
    """A new text, or a spoilt old one."""
    from tests import grammar

    drawn = grammar.Grammar(rng)
    chance = rng.random()
    if chance < 0.3 or not data:
        return drawn.text()
    if chance < 0.5:
        return grammar.spoilt(rng, drawn.text())
    return grammar.spoilt(rng, data.decode("utf-8", "surrogatepass" if rng.random() < 0.5 else "replace"))


def at_random(target: Target, seconds: float, seed: int) -> None:
    from tests import grammar

    rng, kept = random.Random(seed), [b""]
    for text in grammar.HOSTILE.values():
        target(text)
    while target.report.age < seconds:
        text = mutated(rng, rng.choice(kept))
        if rng.random() < 0.02 and len(text) < 2000:
            kept[rng.randrange(len(kept)) if len(kept) > 200 else 0 :] = [*kept[-200:], text.encode(errors="replace")]
        target(text)


def guided(seconds: float, seed: int, report: Report, pause: Path | None) -> None:
    """libFuzzer's loop, which leaves the process when its time is up."""
    import atheris

    with atheris.instrument_imports(include=["ialgebra.language", "ialgebra.planner", "ialgebra.algebra", "sqlglot"]):
        from tests import grammar
    target = Target(report, pause)
    folder = Path(tempfile.mkdtemp(prefix="ialgebra-fuzz-"))
    drawn = [grammar.Grammar(random.Random(f"{seed} {k}")).text() for k in range(300)]
    for number, text in enumerate([*grammar.HOSTILE.values(), *drawn]):
        target(text)
        if len(text) < 4000:
            (folder / f"{number:04}").write_bytes(text.encode("utf-8", "surrogatepass"))

    def mutate(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(f"{seed} {number}")
        try:
            text = mutated(rng, data) if rng.random() < 0.7 else atheris.Mutate(data, most).decode("utf-8", "replace")
        except UnicodeDecodeError:
            text = data.decode("utf-8", "replace")
        return text.encode("utf-8", "surrogatepass")[:most]

    def one(data: bytes) -> None:
        target(data.decode("utf-8", "replace"))
        if report.age > seconds:
            report.write()
            print(summary(report), flush=True)
            os._exit(bool(report.findings))

    options = [f"-seed={seed + 1}", "-max_len=4000", "-timeout=100000", "-rss_limit_mb=0", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(folder)], one, custom_mutator=mutate)
    atheris.Fuzz()


def summary(report: Report) -> str:
    return (
        f"{report.texts:,} texts in {report.seconds:.0f} s ({report.engine}): {report.explained:,} explained, "
        f"{report.answered:,} answered, {report.refused:,} refused; slowest {report.slowest:.2f} s of CPU; "
        f"{len(report.findings)} crashes or hangs"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--engine", choices=["atheris", "random"], help="atheris where it is installed")
    parser.add_argument("--pause", type=Path, help="sleep while this file exists")
    parser.add_argument("--report", type=Path, default=Path("fuzz-report.json"))
    asked = parser.parse_args()
    os.environ.setdefault("IALGEBRA_CACHE", tempfile.mkdtemp(prefix="ialgebra-fuzz-cache-"))
    engine = asked.engine
    if engine is None:
        try:
            import atheris  # noqa: F401

            engine = "atheris"
        except ImportError:
            engine = "random"
    report = Report(asked.report, engine)
    if engine == "atheris":
        guided(60 * asked.minutes, asked.seed, report, asked.pause)
    at_random(Target(report, asked.pause), 60 * asked.minutes, asked.seed)
    report.write()
    print(summary(report))
    return bool(report.findings)


if __name__ == "__main__":
    sys.exit(main())
