"""Results of the laws, for people and for CI: a table, JSON, and JUnit's XML. In: law results. Out: text or files.

It knows only results. JSON has everything in a result; JUnit XML uses only what all its readers understand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import IalgebraError, visible
from ..system.arguments import checked
from ..system.arrays import Floats
from .check import LawResult

_COLOURS = {"holds": "green", "fails": "bold red", "not applicable": "yellow"}


@checked
def show(results: Sequence[LawResult], console: Console) -> None:
    """Print the table of the laws, then why some were not checked, then the counterexamples."""
    table = Table("law", "formula", "cases", "verdict")
    for each in results:
        table.add_row(
            visible(each.id), Text(visible(each.law)), str(each.checked), Text(each.verdict, _COLOURS[each.verdict])
        )
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for each in results:
        if each.reason:
            reasons.setdefault(each.reason, []).append(each.id)
    for reason, laws in reasons.items():
        console.print(Text(visible(f"{', '.join(laws)}: {reason}", keep="\n"), "dim"), soft_wrap=True)
    for each in results:
        if each.counterexample is not None:
            console.print(Text(visible(f"\n{each.id}: {each.counterexample}", keep="\n")), soft_wrap=True)


@checked
def as_json(results: Sequence[LawResult], name: str) -> str:
    """The results of checking `name` as JSON; `passed` is null where a law is not applicable."""
    laws = [
        {
            "id": each.id,
            "law": each.law,
            "passed": each.passed,
            "verdict": each.verdict,
            "checked": each.checked,
            "reason": each.reason,
            "counterexample": _counterexample(each),
        }
        for each in results
    ]
    return json.dumps({"checked": name, "laws": laws}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _counterexample(result: LawResult) -> dict[str, object] | None:
    found = result.counterexample
    if found is None:
        return None
    return {
        "claim": found.claim,
        "sides": [{"said": side.said, "maps": [_numbers(each) for each in side.maps]} for side in found.sides],
        "difference": None if found.difference is None else _numbers(np.array(found.difference)),
        "reproduce": found.reproduce,
    }


def _numbers(values: Floats) -> object:
    """The numbers as lists; NaN and the infinities become null, because JSON cannot write them."""
    if values.ndim:
        return [_numbers(each) for each in values]
    return float(values) if math.isfinite(values) else None


@checked
def as_junit(results: Sequence[LawResult], name: str) -> str:
    """The results of checking `name` as one JUnit test suite, with one test case per law."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"ialgebra verify {name}",
        tests=str(len(results)),
        failures=str(sum(each.passed is False for each in results)),
        errors="0",
        skipped=str(sum(each.passed is None for each in results)),
    )
    for each in results:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=f"{each.id} {each.law}")
        if each.counterexample is not None:
            failure = ElementTree.SubElement(case, "failure", message=_plain(each.counterexample.claim))
            failure.text = _plain(str(each.counterexample))
        elif each.passed is None:
            ElementTree.SubElement(case, "skipped", message=_plain(each.reason))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """The text with � for control characters, which XML cannot contain."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in text)


@checked
def write(text: str, path: str) -> None:
    """Write a report; IalgebraError where the file cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as cause:
        raise IalgebraError(f"cannot write the report '{path}': {getattr(cause, 'strerror', None) or cause}") from cause
