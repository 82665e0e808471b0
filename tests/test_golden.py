"""A golden record: answers that no change within the package may change.

`fixtures/golden/<world>.json` holds, for each case of `tests/golden.py`, every map's numbers to nine digits, what it is
a map of, what it cost, and the text of its plan. Numbers are compared as other machines round them, texts and counts
exactly. `digests.json` names the exact bytes, which are compared on machines that they were recorded on; how many
threads NumPy's BLAS has counts as part of one. `IALGEBRA_REWRITE=1 pytest tests/test_golden.py` writes anew what has
changed, to be read again in the diff, and the bytes of this machine; those of others stay where nothing has changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import golden, snapshots
from tests.golden import CASES, FOLDER, Answer, Case

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of captum

DIGITS = 9
MOST = 12  # differences that are told

Record = dict[str, Any]


# Recording ------------------------------------------------------------------------------------------------------------


def digest(*parts: bytes) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=8).hexdigest()


def machine() -> dict[str, str]:
    """What decides last bits: versions, the processor with what it can do, and how many threads share a product."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    words = [line.split(":", 1) for line in lines if ":" in line]
    about = {key.strip(): value.strip() for key, value in reversed(words)}
    names = ("model name", "cpu family", "model", "stepping")
    set_threads = (os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": ", ".join(about.get(name, "?") for name in names),
        "threads": next((each for each in set_threads if each), str(os.cpu_count())),
        "kernels": os.environ.get("OPENBLAS_CORETYPE", "") + os.environ.get("NPY_DISABLE_CPU_FEATURES", ""),
        "flags": digest(about.get("flags", "").encode()),
        "heads": digest(*(path.read_bytes() for path in sorted(FOLDER.glob("*.safetensors")))),
    }


def short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def shorts(values: Iterable[float]) -> list[float]:
    return [short(float(each)) for each in values]


def recorded(answer: Answer, case: Case) -> Record:
    """One answer in plain values."""
    found: Record = {"said": answer.said}
    if answer.warned:
        found["warned"] = list(answer.warned)
    if answer.text is not None:
        found["text"] = golden.masked(answer.text, case).splitlines()
    relation = answer.relation
    if relation is None:
        return found
    if relation.is_text:
        found["text"] = golden.masked(relation.text, case).splitlines()
    stats = relation.stats
    found["stats"] = {
        "rows": stats.rows,
        "reused_rows": stats.reused_rows,
        "batches": None if case.clocked else stats.batches,
        "bound_met": stats.bound_met,
        "forecast_rows": stats.forecast_rows,
        "given_up": stats.given_up,
    }
    found["maps"] = [
        {
            "label": a.label,
            "model": a.model,
            "layer": a.layer,
            "input": a.input,
            "baseline": a.baseline,
            "target": list(a.target) if isinstance(a.target, tuple) else a.target,
            "target_name": a.target_name,
            "method": a.method,
            "kind": a.kind,
            "component": a.component,
            "item": a.item,
            "players": digest(str(a.players.shape).encode(), a.players.astype("<i8").tobytes()),
            "base_value": short(a.base_value),
            "full_value": short(a.full_value),
            "scores": {name: shorts(each) for name, each in a.scores.items()},
            "values": shorts(a.values),
            "stderr": shorts(a.stderr),
            "map": shorts([a.map.sum(), np.abs(a.map).sum(), np.square(a.map).sum()]),
        }
        for a in relation
    ]
    if case.provenance:
        kept = ("query", "seed", "strategy", "decisions", "settings", "windows", "views", "models", "inputs", "passes",
                "batches")  # fmt: skip
        found["provenance"] = json.loads(json.dumps({name: relation.provenance[name] for name in kept}))
        for model in found["provenance"]["models"].values():
            del model["content"]  # names code too, which another version of Python compiles otherwise
    if relation.plan != relation.text:
        found["plan"] = golden.masked(relation.plan, case).splitlines()
    return found


def exact_bytes(answers: Iterable[Answer]) -> str:
    """Names the bytes of all numbers of a case."""
    parts: list[bytes] = []
    for answer in answers:
        for a in answer.relation or ():
            scores = [number for each in a.scores.values() for number in each]
            ends = np.array([a.base_value, a.full_value, *scores], dtype=np.float64)
            parts += [ends.tobytes(), a.values.tobytes(), a.stderr.tobytes(), np.ascontiguousarray(a.map).tobytes()]
    return digest(*parts)


def available(case: Case) -> bool:
    return case.needs is None or importlib.util.find_spec(case.needs) is not None


# The files ------------------------------------------------------------------------------------------------------------


@cache
def saved(world: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = json.loads((FOLDER / f"{world}.json").read_text("utf-8"))
    return found


@cache
def saved_digests() -> list[tuple[dict[str, str], dict[str, str]]]:
    """The machines that the record was made on, and what each has for the cases' bytes."""
    found = json.loads((FOLDER / "digests.json").read_text("utf-8"))
    return [(each["machine"], each["digests"]) for each in found]


@cache
def own_digests() -> dict[str, str]:
    """The digests of this machine, none where it is not known."""
    here = machine()
    return next((digests for known, digests in saved_digests() if known == here), {})


def written(record: dict[str, list[Record]]) -> str:
    """JSON with one paragraph a case, one line a map and a line of text."""
    return "{\n" + ",\n\n".join(f"{_json(name)}: [\n{_answers(each)}\n]" for name, each in record.items()) + "\n}\n"


def _answers(answers: list[Record]) -> str:
    return ",\n".join("  {" + ",\n   ".join(_fields(each)) + "}" for each in answers)


def _fields(answer: Record) -> Iterator[str]:
    for key, value in answer.items():
        lines = isinstance(value, list) and value
        yield f"{_json(key)}: " + ("[\n    " + ",\n    ".join(map(_json, value)) + "]" if lines else _json(value))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.skipif(not snapshots.REWRITE, reason="writes the record anew where IALGEBRA_REWRITE is set")
def test_write_the_record_anew() -> None:
    FOLDER.mkdir(exist_ok=True)
    golden.train_heads()
    others = saved_digests() if (FOLDER / "digests.json").exists() else []
    digests, same = {}, set()
    for world in golden.WORLDS:
        before = saved(world) if (FOLDER / f"{world}.json").exists() else {}
        record = {}
        for case in CASES:
            if case.world == world:
                assert available(case), f"{case.name} needs {case.needs}"
                answers = list(golden.ask(case))
                record[case.name] = plain([recorded(each, case) for each in answers])
                if case.name in before and not list(compared(case, record[case.name])):
                    record[case.name] = before[case.name]
                    same.add(case.name)
                if not case.clocked:
                    digests[case.name] = exact_bytes(answers)
        (FOLDER / f"{world}.json").write_text(written(record), "utf-8")
    kept = [(of, {name: each for name, each in own.items() if name in same}) for of, own in others if of != machine()]
    each = [{"machine": of, "digests": own} for of, own in [*kept, (machine(), digests)]]
    (FOLDER / "digests.json").write_text(json.dumps(each, indent=1) + "\n", "utf-8")
    for reader in (saved, saved_digests, own_digests):
        reader.cache_clear()


def plain(answers: list[Record]) -> list[Record]:
    """Answers as they would be read again: a tuple is a list, and a number the same number."""
    found: list[Record] = json.loads(json.dumps(answers))
    return found


# Comparing ------------------------------------------------------------------------------------------------------------


def differences(found: Any, expected: Any, where: str, relative: float, scale: float = 0.0) -> Iterator[str]:
    """What differs, in words: numbers by more than a share of themselves and a tiny one of their map's scale, all else
    at all."""
    if isinstance(found, float) and isinstance(expected, float):
        room = relative * abs(expected) + 0.01 * relative * scale
        same = found == expected or (math.isnan(found) and math.isnan(expected))
        if not same and not abs(found - expected) <= room:
            yield f"{where} is {found!r}, was {expected!r}"
    elif isinstance(found, dict) and isinstance(expected, dict):
        if "values" in expected:
            sizes = [abs(each) for each in expected["values"] if math.isfinite(each)]
            scale = max([*sizes, abs(expected["full_value"]), abs(expected["base_value"])])
        for key in [*expected, *(key for key in found if key not in expected)]:
            if (key in found) != (key in expected):
                yield f"{where}.{key} is {'missing' if key in expected else 'new'}"
                continue
            # A standard error is a root of a sum of squares: what is 0 here may be the root of a last bit elsewhere.
            wider = 10 * relative if key in ("stderr", "scores") else relative
            yield from differences(found[key], expected[key], f"{where}.{key}", wider, scale)
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            yield f"{where} has {len(found)} entries, had {len(expected)}"
        for k, (one, other) in enumerate(zip(found, expected, strict=False)):
            yield from differences(one, other, f"{where}[{k}]", relative, scale)
    elif found != expected or isinstance(found, float) != isinstance(expected, float):
        yield f"{where} is {found!r}, was {expected!r}"


def compared(case: Case, found: list[Record]) -> Iterator[str]:
    return differences(found, saved(case.world)[case.name], "answer", 1e-3 if case.loose else 1e-6)


def told(case: Case, differing: list[str], what: str) -> str:
    more = [f"… and {len(differing) - MOST} more"] if len(differing) > MOST else []
    asked = "; ".join(case.texts)
    strategy = case.strategy if isinstance(case.strategy, str) else case.strategy.name
    return "\n  ".join([f"{case.name} {what} ({strategy}): {asked}", *differing[:MOST], *more])


@pytest.mark.parametrize("case", [pytest.param(each, id=each.name) for each in CASES])
def test_answers_are_those_of_the_record(case: Case) -> None:
    if not available(case):
        pytest.skip(f"needs {case.needs}")
    answers = list(golden.ask(case))
    differing = list(compared(case, plain([recorded(each, case) for each in answers])))
    assert not differing, told(case, differing, "answers otherwise than it did")
    if case.name in own_digests():
        same = exact_bytes(answers) == own_digests()[case.name]
        assert same, told(case, [], "has the same numbers to a millionth, but not in the same bits")


def test_the_record_is_of_these_cases() -> None:
    kept = [name for world in golden.WORLDS for name in saved(world)]
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert sorted(kept) == sorted(names)
    assert all(digests.keys() <= set(names) for _, digests in saved_digests())


def test_a_changed_number_is_told_by_its_place() -> None:
    case = CASES[0]
    (record,) = saved(case.world)[case.name]
    changed = json.loads(json.dumps(record))
    changed["maps"][0]["values"][1] *= 1.0001
    changed["stats"]["rows"] += 1
    first, second = differences(changed, record, "answer", 1e-6)
    assert first.startswith("answer.stats.rows is ")
    assert second.startswith("answer.maps[0].values[1] is ")
