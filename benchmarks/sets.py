"""Sets: many inputs against many backgrounds, beside shap, Captum and shapiq at their best settings.

    python -m benchmarks.sets                 some minutes
    python -m benchmarks.sets --full          the sizes of the goals, an hour: shap's exact trees take most of it
    python -m benchmarks.sets --case exact    one case; --repeats 3, --memory

Each case is inputs × backgrounds × features and a model. Every explainer goes from the model and arrays to values, in
turn, and the median of the rounds counts. Errors are relative L2 errors of the values of some inputs against all
coalitions, enumerated here. What takes too long is asked of fewer inputs, and its seconds are scaled (~). Explainers
that are not installed are left out. Out: `bench-out/sets.json` and `sets.md`, printed too. Knows ialgebra's public
names only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib import import_module
from importlib.util import find_spec
from math import factorial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra

from .memory import peak
from .report import Data, goal, machine, number, parser, publish, said, table

Floats = NDArray[np.float64]
Ask = Callable[["Case", NDArray[np.generic]], Floats]  # values (n, D) of rows (n, D)

OURS = "ialgebra"
CHUNK = 1 << 18  # rows of an enumeration at a time
EQUAL = 1e-6  # by which values may differ that are called equal
WITHIN = {"exact": 1.0, "sampled": 1.0, "trees": 1.2, "trees, exactly": 1.0, "one background": 0.5}


@dataclass(frozen=True)
class Case:
    """Inputs and backgrounds of a model; `asked` are the explainers, and `against` the one that ours is measured by."""

    name: str
    inputs: int
    backgrounds: int
    features: int
    kind: str
    asked: tuple[Explainer, ...] = ()
    against: str = ""
    checked: int = 20  # inputs whose error is measured

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        return np.random.default_rng(1).normal(size=(self.inputs, self.features)).astype(np.float32)

    @cached_property
    def background(self) -> NDArray[np.float32]:
        return np.random.default_rng(2).normal(size=(self.backgrounds, self.features)).astype(np.float32)

    @cached_property
    def model(self) -> Any:
        if self.kind == "MLP":
            torch.manual_seed(0)
            inner = [nn.Linear(self.features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)]
            return nn.Sequential(*inner).eval().requires_grad_(False)
        drawn = np.random.default_rng(0)
        x = drawn.normal(size=(3000, self.features)).astype(np.float32)
        y = (x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + x[:, 3] > 0).astype(int)
        made = import_module("xgboost").XGBClassifier(n_estimators=100, max_depth=6, n_jobs=torch.get_num_threads())
        return made.fit(x, y)

    def score(self, rows: NDArray[np.generic]) -> NDArray[np.generic]:
        """What is explained (n,): an output of the network, or the margin of the trees."""
        if self.kind == "MLP":
            with torch.no_grad():
                found: NDArray[np.generic] = self.model(torch.from_numpy(np.asarray(rows, np.float32)))[:, 0].numpy()
            return found
        return np.asarray(self.model.predict(rows, output_margin=True))

    @cached_property
    def exact(self) -> Floats:
        """The values of the first `checked` inputs, by all coalitions."""
        return enumerated(self.score, self.rows[: self.checked], self.background)


@dataclass(frozen=True)
class Explainer:
    """One way to values, asked of at most `most` inputs; `needs` are the packages that it is made of."""

    library: str
    name: str
    ask: Ask
    needs: tuple[str, ...] = ()
    most: int | None = None
    setting: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.library, self.name, self.setting)))


def enumerated(
    score: Callable[[NDArray[np.generic]], NDArray[np.generic]], rows: NDArray[Any], background: NDArray[Any]
) -> Floats:
    """Shapley values (n, D) by Eq. 2: v(S) is the mean over the background."""
    players, count = rows.shape[1], len(background)
    masks = (np.arange(1 << players)[:, None] >> np.arange(players)) & 1 == 1
    sizes = masks.sum(axis=1)
    weights = np.array([factorial(s) * factorial(players - s - 1) / factorial(players) for s in range(players)])
    found = np.zeros(rows.shape)
    together = max(1, CHUNK // count)
    for x, own in zip(rows, found, strict=True):
        values = np.concatenate(
            [
                score(np.where(some[:, None], x, background).reshape(-1, players))
                .reshape(-1, count)
                .mean(axis=1, dtype=np.float64)
                for some in np.split(masks, range(together, len(masks), together))
            ]
        )
        for i in range(players):
            without = np.flatnonzero(~masks[:, i])
            own[i] = (weights[sizes[without]] * (values[without | 1 << i] - values[without])).sum()
    return found


# --- Explainers


def ours(case: Case, rows: NDArray[np.generic], using: str = "") -> Floats:
    """A new session and its first query."""
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", case.model if case.kind == "MLP" else partial(case.model.predict, output_margin=True))
        con.register_input("xs", rows)
        con.register_input("bg", case.background)
        target = 0 if case.kind == "MLP" else 1
        found = con.sql(f"select * from f(xs, target => {target}, baseline => bg) {using}")
    return np.array([each.values for each in found])


def shap_exact(case: Case, rows: NDArray[np.generic]) -> Floats:
    shap = import_module("shap")
    masker = shap.maskers.Independent(case.background, max_samples=case.backgrounds)
    return _values(shap.ExactExplainer(case.score, masker)(rows, silent=True))


def shap_permutations(case: Case, rows: NDArray[np.generic], pairs: int) -> Floats:
    shap = import_module("shap")
    masker = shap.maskers.Independent(case.background, max_samples=case.backgrounds)
    most = pairs * (2 * case.features + 1)
    return _values(shap.PermutationExplainer(case.score, masker, seed=0)(rows, max_evals=most, silent=True))


def shap_kernel(case: Case, rows: NDArray[np.generic], samples: int) -> Floats:
    np.random.seed(0)  # this explainer knows no other generator
    explainer = import_module("shap").KernelExplainer(case.score, case.background)
    return np.asarray(explainer.shap_values(rows, nsamples=samples, l1_reg=False, silent=True), dtype=np.float64)


def shap_trees(case: Case, rows: NDArray[np.generic]) -> Floats:
    shap = import_module("shap")
    masker = shap.maskers.Independent(case.background, max_samples=case.backgrounds)
    explainer = shap.TreeExplainer(case.model, masker, feature_perturbation="interventional")
    return np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=np.float64)


def captum_sampling(case: Case, rows: NDArray[np.generic], permutations: int) -> Floats:
    """All pairs of an input and a background in one batch, which is how Captum is fastest."""
    torch.manual_seed(0)
    inputs, baselines = _pairs(case, rows)
    explainer = import_module("captum.attr").ShapleyValueSampling(_Scored(case))
    found = explainer.attribute(inputs, baselines=baselines, n_samples=permutations)
    return np.asarray(found.double().reshape(len(rows), case.backgrounds, -1).mean(dim=1).numpy())


def captum_kernel(case: Case, rows: NDArray[np.generic], samples: int) -> Floats:
    torch.manual_seed(0)
    inputs, baselines = _pairs(case, rows)
    explainer = import_module("captum.attr").KernelShap(_Scored(case))
    found = explainer.attribute(inputs, baselines=baselines, n_samples=samples, perturbations_per_eval=samples)
    return np.asarray(found.double().reshape(len(rows), case.backgrounds, -1).mean(dim=1).numpy())


def shapiq_values(case: Case, rows: NDArray[np.generic], budget: int) -> Floats:
    shapiq = import_module("shapiq")
    explainer = shapiq.TabularExplainer(
        case.score,
        case.background,
        imputer="marginal",
        index="SV",
        max_order=1,
        random_state=0,
        sample_size=case.backgrounds,
    )
    found = [explainer.explain(row, budget=budget, random_state=0).get_n_order_values(1) for row in rows]
    return np.array(found, dtype=np.float64)


class _Scored(nn.Module):
    """What is explained, as a module (n, D) → (n,)."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case

    def forward(self, batch: Tensor) -> Tensor:
        if self.case.kind == "MLP":
            found: Tensor = self.case.model(batch)[:, 0]
            return found
        return torch.from_numpy(self.case.score(batch.numpy()))


def _pairs(case: Case, rows: NDArray[np.generic]) -> tuple[Tensor, Tensor]:
    inputs = torch.from_numpy(np.asarray(rows)).repeat_interleave(case.backgrounds, dim=0)
    return inputs, torch.from_numpy(case.background).repeat(len(rows), 1)


def _values(explanation: Any) -> Floats:
    return np.asarray(explanation.values, dtype=np.float64)


def shap_explainer(name: str, ask: Ask, **more: Any) -> Explainer:
    return Explainer("shap", name, ask, ("shap",), **more)


# --- Cases


def cases(size: str) -> Iterator[Case]:
    """The cases in a `size`: 'quick', 'usual' or 'full'."""

    def sized(quick: int, usual: int, full: int) -> int:
        return {"quick": quick, "usual": usual, "full": full}[size]

    yield Case(
        "exact",
        sized(3, 30, 30),
        sized(4, 100, 100),
        sized(4, 8, 8),
        "MLP",
        (
            Explainer(OURS, "", ours),
            shap_explainer("ExactExplainer", shap_exact),
            Explainer(
                "shapiq", "TabularExplainer", partial(shapiq_values, budget=256), ("shapiq",), setting="256 rows"
            ),
        ),
        "shap ExactExplainer",
    )
    budget = 64
    pairs = budget // 17
    yield Case(
        "sampled",
        sized(3, 100, 100),
        sized(4, 100, 100),
        8,
        "MLP",
        (
            Explainer(OURS, "", partial(ours, using=f"budget {budget}"), setting=f"{budget} rows"),
            shap_explainer("KernelExplainer", partial(shap_kernel, samples=budget), setting=f"{budget} rows"),
            shap_explainer(
                "PermutationExplainer", partial(shap_permutations, pairs=pairs), setting=f"{17 * pairs} rows"
            ),
            Explainer(
                "captum",
                "ShapleyValueSampling",
                partial(captum_sampling, permutations=8),
                ("captum",),
                setting="64 rows",
            ),
            Explainer("captum", "KernelShap", partial(captum_kernel, samples=budget), ("captum",), 1, "64 rows"),
            Explainer("shapiq", "TabularExplainer", partial(shapiq_values, budget=budget), ("shapiq",), 20, "64 rows"),
        ),
        "shap KernelExplainer 64 rows",
    )
    yield Case(
        "trees",
        sized(5, 200, 1000),
        sized(4, 100, 100),
        10,
        "xgboost",
        (
            Explainer(OURS, "tree()", partial(ours, using="using tree()"), ("shap",)),
            shap_explainer("TreeExplainer", shap_trees),
        ),
        "shap TreeExplainer",
        checked=3,
    )
    yield Case(
        "trees, exactly",
        sized(2, 4, 1000),
        sized(4, 100, 100),
        sized(4, 10, 10),
        "xgboost",
        (
            Explainer(OURS, "exact()", partial(ours, using="using exact()")),
            shap_explainer("ExactExplainer", shap_exact),
        ),
        "shap ExactExplainer",
        checked=2,
    )
    features = 16
    yield Case(
        "one background",
        sized(5, 300, 1000),
        1,
        features,
        "MLP",
        (
            *(
                Explainer(OURS, "", partial(ours, using=f"budget {rows}"), setting=f"{rows} rows")
                for rows in (64, 96, 128, 192, 256)
            ),
            *(
                shap_explainer(
                    "PermutationExplainer",
                    partial(shap_permutations, pairs=pairs),
                    setting=f"{pairs * (2 * features + 1)} rows",
                )
                for pairs in (2, 8)
            ),
            shap_explainer("KernelExplainer", partial(shap_kernel, samples=256), most=100, setting="256 rows"),
            Explainer(
                "captum",
                "ShapleyValueSampling",
                partial(captum_sampling, permutations=16),
                ("captum",),
                setting="256 rows",
            ),
            Explainer("captum", "KernelShap", partial(captum_kernel, samples=256), ("captum",), 20, "256 rows"),
            Explainer("shapiq", "TabularExplainer", partial(shapiq_values, budget=256), ("shapiq",), 20, "256 rows"),
        ),
        "shap PermutationExplainer 66 rows",
    )


# --- Measuring


def measured(case: Case, repeats: int, memory: bool) -> Data:
    """Seconds, errors and peak memory of every explainer of a case."""
    asked = [each for each in case.asked if not missing(each.needs)]
    left_out = [each.title for each in case.asked if missing(each.needs)]
    checked = len(case.exact)
    size = float(np.linalg.norm(case.exact))
    seconds: dict[str, list[float]] = {each.title: [] for each in asked}
    errors: dict[str, float] = {}
    for each in asked:  # libraries are loaded, and compile what they compile
        each.ask(case, case.rows[:1])
    for _ in range(repeats):
        for each in asked:
            rows = case.rows[: each.most]
            print(f"{case.name}: {each.title} …", file=sys.stderr, flush=True)
            started = time.perf_counter()
            values = each.ask(case, rows)
            seconds[each.title].append((time.perf_counter() - started) * case.inputs / len(rows))
            known = case.exact[: len(values)]
            scale = size if len(known) == checked else float(np.linalg.norm(known))
            errors[each.title] = float(np.linalg.norm(values[: len(known)] - known)) / scale
    peaks = {each.title: peak(partial(each.ask, case, case.rows[: each.most])) if memory else None for each in asked}
    return {
        "name": case.name,
        "inputs": case.inputs,
        "backgrounds": case.backgrounds,
        "features": case.features,
        "model": case.kind,
        "against": case.against,
        "left_out": left_out,
        "results": [
            {
                "library": each.library,
                "title": each.title,
                "seconds": statistics.median(seconds[each.title]),
                "scaled": each.most is not None and each.most < case.inputs,
                "error": errors[each.title],
                "peak_bytes": peaks[each.title],
            }
            for each in asked
        ],
    }


def missing(packages: Sequence[str]) -> bool:
    return any(find_spec(package) is None for package in packages)


def ratio(case: Mapping[str, Any]) -> float | None:
    """Our seconds ÷ those of the explainer that the case is measured by, ours with an error that is not above its own:
    the fastest of ours that has one. None where there is none."""
    theirs = next((each for each in case["results"] if each["title"] == case["against"]), None)
    if theirs is None:
        return None
    allowed = max(theirs["error"], EQUAL)
    own = [each for each in case["results"] if each["library"] == OURS and each["error"] <= allowed]
    return min(each["seconds"] for each in own) / theirs["seconds"] if own else None


def markdown(data: Data) -> str:
    """The tables, as docs/benchmarks.md has them."""
    parts = []
    for case in data["cases"]:
        share = ratio(case)
        shown = "–" if share is None else goal(share, WITHIN[case["name"]])
        head = (
            f"**{case['name']}**: {case['inputs']:,} inputs × {case['backgrounds']} backgrounds × {case['features']} "
            f"features, {case['model']}. Our seconds ÷ those of {case['against']}, at no larger an error: {shown}."
        )
        lines = [
            [
                each["title"],
                ("~" if each["scaled"] else "") + number(each["seconds"], 3),
                number(each["error"]) if each["error"] > EQUAL else "equal",
                number(None if each["peak_bytes"] is None else each["peak_bytes"] / 2**20),
            ]
            for each in case["results"]
        ]
        parts.append(f"{head}\n\n{table(['explainer', 'seconds', 'error', 'peak MiB'], lines)}")
        if case["left_out"]:
            parts[-1] += f"\n\nNot installed: {', '.join(case['left_out'])}."
    return "\n\n".join(parts) + "\n"


def report(data: Data) -> str:
    return f"""# Sets

{markdown(data)}
{said(data["machine"])}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    wanted: argparse.ArgumentParser = parser(__doc__)
    wanted.add_argument("--full", action="store_true", help="the sizes of the goals")
    wanted.add_argument("--case", action="append", help="only this case; may be given again")
    wanted.add_argument("--repeats", type=int, default=3, help="rounds, of which the median counts")
    wanted.add_argument("--memory", action="store_true", help="peak memory too, in a run of its own for each explainer")
    chosen = wanted.parse_args(arguments)
    size = "quick" if chosen.quick else "full" if chosen.full else "usual"
    began, found = machine(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases(size):
            if chosen.case and case.name not in chosen.case:
                continue
            if case.kind == "xgboost" and missing(("xgboost",)):
                print(f"{case.name}: left out, for want of xgboost", file=sys.stderr)
                continue
            found.append(measured(case, 1 if chosen.quick else chosen.repeats, chosen.memory))
    data = {"machine": began, "size": size, "cases": found}
    publish("sets", data, report(data), None, chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
