"""What became of the laws, for people and for CI: a table, JSON, and JUnit's XML. In: law results; out: text or files.

Knows results only. JSON holds everything that a result says; of JUnit, what every reader of it understands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import IalgebraError

if TYPE_CHECKING:
    from .check import LawResult

_COLOURS = {"holds": "green", "fails": "bold red", "not applicable": "yellow"}


def show(results: Sequence[LawResult], console: Console) -> None:
    """Print the table of the laws, then why some were not checked, then the counterexamples."""
    table = Table("law", "formula", "cases", "verdict")
    for each in results:
        table.add_row(each.id, Text(each.law), str(each.checked), Text(each.verdict, _COLOURS[each.verdict]))
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for each in results:
        if each.reason:
            reasons.setdefault(each.reason, []).append(each.id)
    for reason, laws in reasons.items():
        console.print(Text(f"{', '.join(laws)}: {reason}", "dim"), soft_wrap=True)
    for each in results:
        if each.counterexample is not None:
            console.print(Text(f"\n{each.id}: {each.counterexample}"), soft_wrap=True)


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
            "counterexample": _told(each),
        }
        for each in results
    ]
    return json.dumps({"checked": name, "laws": laws}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _told(result: LawResult) -> dict[str, object] | None:
    found = result.counterexample
    if found is None:
        return None
    return {
        "claim": found.claim,
        "sides": [{"said": side.said, "maps": [each.tolist() for each in side.maps]} for side in found.sides],
        "difference": found.difference,
        "reproduce": found.reproduce,
    }


def as_junit(results: Sequence[LawResult], name: str) -> str:
    """The results of checking `name` as one JUnit test suite, a test case a law."""
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
            failure = ElementTree.SubElement(case, "failure", message=each.counterexample.claim)
            failure.text = str(each.counterexample)
        elif each.passed is None:
            ElementTree.SubElement(case, "skipped", message=each.reason)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def write(text: str, path: str) -> None:
    """Write a report; IalgebraError where the file cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as cause:
        raise IalgebraError(f"cannot write the report '{path}': {cause.strerror or cause}") from cause
