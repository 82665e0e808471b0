"""Checking the laws on a registered model: each law runs on random cases, and a failing case is made smaller.

In: a session, the names of a model and of inputs. Out: one `LawResult` per law. The user's session is not changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from ..errors import BindError, did_you_mean
from ..session.session import Session
from ..system import checks
from ..system.arguments import checked
from .case import Broken, Case, CaseRun, Counterexample, Refused
from .laws import LAWS, NumericLaw
from .world import World, world

SHRINKS = 60
"""How many cases are tried to make a counterexample smaller."""


class _StopShrinking(KeyboardInterrupt):
    """Ends the search for a smaller counterexample. It is a KeyboardInterrupt because hypothesis catches other
    errors."""


@dataclass(frozen=True, eq=False)
class LawResult:
    """The result of checking one law: `passed` is None if the law is not applicable to this model.

    `law` is its formula, `checked` the number of compared cases. `reason` says why the law is not applicable, or which
    part of it was not checked.
    """

    id: str
    law: str
    passed: bool | None
    checked: int
    counterexample: Counterexample | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """holds, fails or not applicable."""
        return {True: "holds", False: "fails", None: "not applicable"}[self.passed]

    def __str__(self) -> str:
        found = f"\n{self.counterexample}" if self.counterexample else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.id:<4} {self.verdict} ({self.checked} cases){reason}   {self.law}{found}"


@checked
def check_laws(
    con: Session,
    model: str = "f",
    inputs: Sequence[str] | str = ("x", "y"),
    laws: Sequence[str] | None = None,
    examples: int = 50,
    seed: int = 0,
    using: str | None = None,
) -> list[LawResult]:
    """Check each law of the algebra on `examples` random cases, with a registered model and registered inputs.

    `laws` are some of L1 … L24 (None: all of them). `using` is what a query would say after USING: a method or an
    interpreter; without it, some cases are exact and some are sampled with few rows.
    Every query runs in a session of its own; equal seeds check equal cases. Raises BindError for unknown names
    and laws, ShapeError for inputs that differ in form.
    """
    examples = checks.whole("examples", examples, 1)
    seed = checks.whole("seed", seed, 0)
    chosen = _chosen(laws)
    inputs = [inputs] if isinstance(inputs, str) else list(inputs)
    ground = world(con, model, inputs)
    return [_checked(law, ground, inputs, examples, seed, using) for law in chosen]


def _chosen(names: Sequence[str] | None) -> list[NumericLaw]:
    known = {law.id: law for law in LAWS}
    if names is None:
        return list(LAWS)
    names = list(names)
    if not names:
        raise BindError(f"no law is named; known: {', '.join(known)}")
    for name in names:
        if name.upper() not in known:
            raise BindError(f"unknown law '{name}'{did_you_mean(name, known)}")
    wanted = {name.upper() for name in names}
    return [law for law in LAWS if law.id in wanted]


def _checked(
    law: NumericLaw, ground: World, inputs: Sequence[str], examples: int, seed: int, using: str | None
) -> LawResult:
    lacks = law.lacks(ground)
    if lacks:
        return LawResult(law.id, law.formula, None, 0, reason=lacks)
    asked = f"model={ground.model!r}, inputs={list(inputs)!r}, laws=[{law.id!r}]"
    run = CaseRun(ground, using, f"check_laws(con, {asked}, examples={examples}, seed={seed}, using={using!r})")
    result = partial(LawResult, law.id, law.formula)
    found: list[Counterexample] = []
    cases = tries = 0

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        nonlocal cases, tries
        tries += bool(found)
        if tries > SHRINKS:
            raise _StopShrinking
        before = run.compared
        try:
            law.check(Case.of(run, data))
        except Refused as refusal:
            run.refusals[str(refusal)] = None
        except Broken as broken:
            found.append(broken.found)
            raise
        finally:
            cases += not found and run.compared > before

    try:
        holds()
    except Broken as broken:
        return result(False, cases + 1, broken.found)
    except _StopShrinking:  # the last counterexample is the smallest
        return result(False, cases + 1, found[-1])
    except Flaky:
        last = found[-1]
        claim = f"{last.claim}; but not every time: the same query gives different answers"
        return result(False, cases + 1, Counterexample(claim, last.sides, last.difference, last.reproduce))
    if not cases:
        return result(None, 0, reason=next(iter(run.refusals), "no case could be compared"))
    return result(True, cases, reason=law.remarks(ground))
