"""Ensembles of trees: what shap's TreeExplainer reads of an estimator or a Booster, and rows as its trees see them.

In: what a query runs for a model. Out: a `TreeModel`, or a BindError that says why trees do not tell what the model
returns. No library is imported: models are known by their classes. Whether the trees, as they are read, add up to what
is explained, is for `interpreters.trees` to check on rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ...algebra.packings import packing_of, plain
from ...algebra.packings.frames import FramePacking
from ...errors import BindError
from ...system.arrays import Floats
from ...system.tensors import array_of
from .boosters import LightgbmCall, XgboostCall
from .estimators import EstimatorCall, fitted_names
from .opened import Runs

Library = Literal["sklearn", "xgboost", "lightgbm"]

_AVERAGES = {  # whose trees hold what their one method returns
    "RandomForestClassifier": "predict_proba",
    "ExtraTreesClassifier": "predict_proba",
    "DecisionTreeClassifier": "predict_proba",
    "RandomForestRegressor": "predict",
    "ExtraTreesRegressor": "predict",
    "DecisionTreeRegressor": "predict",
}
_BOOSTED = {
    "GradientBoostingClassifier": ("predict_proba", "predict_log_proba", "decision_function"),
    "GradientBoostingRegressor": ("predict",),
    "HistGradientBoostingClassifier": ("predict_proba", "predict_log_proba", "decision_function"),
    "HistGradientBoostingRegressor": ("predict",),
    "XGBClassifier": ("predict_proba",),
    "XGBRegressor": ("predict",),
    "XGBRanker": ("predict",),
    "LGBMClassifier": ("predict_proba", "decision_function"),
    "LGBMRegressor": ("predict",),
    "LGBMRanker": ("predict",),
}
_HOMES: Mapping[str, Library] = {"sklearn": "sklearn", "xgboost": "xgboost", "lightgbm": "lightgbm"}
_NONE = (
    "which is no ensemble of trees that shap's TreeExplainer reads here (random forests, extra trees, decision trees "
    "and boosted trees of scikit-learn, xgboost and LightGBM)"
)
_ZERO = 1e-35  # LightGBM takes numbers up to this for 0


@dataclass(frozen=True, eq=False)
class TreeModel:
    """A model of trees: the `model` that shap reads, and the `run` that a query runs for it. The trees of a forest hold
    the model's own numbers (`averages`), those of boosting add up to margins."""

    model: Any
    run: EstimatorCall | XgboostCall | LightgbmCall
    library: Library
    averages: bool = False

    def given(self, rows: Tensor) -> object:
        """Rows (B, D) as the model itself is given them: an array, a DataFrame, or what xgboost makes of these."""
        batch = _unpacked(rows)
        match self.run:
            case EstimatorCall():
                return self.run.given(batch)
            case XgboostCall():
                return self.run.matrix(batch)
        return array_of(batch.detach().cpu()) if isinstance(batch, Tensor) else batch

    def seen(self, rows: Tensor) -> Floats:
        """Rows (B, D) as the trees compare them with their thresholds: in the precision of the model, with NaN where a
        value is missing. Raises BindError for columns that are no numbers."""
        batch = _unpacked(rows)
        given: Any = self.run.given(batch) if isinstance(self.run, EstimatorCall) else batch
        try:
            found = np.array(given.to_numpy(dtype=np.float64, na_value=np.nan) if hasattr(given, "columns") else given)
            found = found.astype(np.float64)
        except (TypeError, ValueError):
            raise BindError("has columns that are no numbers, which splits of trees on numbers do not read") from None
        if self.library == "xgboost":
            missing = getattr(self.model, "missing", np.nan)
            found[found == missing] = np.nan
        if self.library == "lightgbm":
            _as_lightgbm(found, self._lightgbm_missing())
        single = self.library == "xgboost" or not type(self.model).__name__.startswith(("Hist", "LGBM", "Booster"))
        return found.astype(np.float32).astype(np.float64) if single else found

    def places(self, rows: Tensor) -> list[int]:
        """For each feature of the trees, the column of rows (B, D) that it is."""
        packing = packing_of(rows)
        names = fitted_names(self.model) if isinstance(self.run, EstimatorCall) else None
        if not isinstance(packing, FramePacking) or names is None:
            return list(range(rows.shape[1]))
        return [packing.names.index(name) for name in names]

    @property
    def splits_on_categories(self) -> bool:
        """Whether some split asks for a category, instead of comparing numbers."""
        if self.library == "sklearn":
            return getattr(self.model, "is_categorical_", None) is not None
        if self.library == "xgboost":
            booster = self.model if type(self.model).__name__ == "Booster" else self.model.get_booster()
            return "c" in (booster.feature_types or ())
        return any(node["decision_type"] == "==" for node in self._lightgbm_splits())

    def _lightgbm_missing(self) -> dict[int, str]:
        """For each feature that LightGBM splits on, what it takes for missing: 'None', 'Zero' or 'NaN'."""
        return {node["split_feature"]: node["missing_type"] for node in self._lightgbm_splits()}

    def _lightgbm_splits(self) -> Iterator[dict[str, Any]]:
        booster = getattr(self.model, "booster_", self.model)
        open_nodes = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
        while open_nodes:
            node = open_nodes.pop()
            if "split_index" in node:
                yield node
                open_nodes += [node["left_child"], node["right_child"]]


def _unpacked(rows: Tensor) -> object:
    packing = packing_of(rows)
    return rows if packing is None else packing.unpack(plain(rows))


def tree_model(run: Runs) -> TreeModel:
    """What shap reads of the model that `run` runs.

    Raises BindError, without the model's name, for what is no ensemble of trees, and for one that is asked by a method
    that does not return what its trees hold.
    """
    match run:
        case XgboostCall(booster, _):
            config = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
            if config == "gblinear":
                raise BindError(f"is a linear Booster, {_NONE}")
            return TreeModel(booster, run, "xgboost")
        case LightgbmCall(booster):
            return TreeModel(booster, run, "lightgbm")
        case EstimatorCall():
            return _of_estimator(run)
    raise BindError(f"is a {type(run).__name__}, {_NONE}")


def _of_estimator(run: EstimatorCall) -> TreeModel:
    estimator, method = run.estimator, run.method
    if getattr(estimator, "steps", None):
        raise BindError(
            "is a pipeline, whose trees split on what its first steps make of the features; register its last step on "
            "a table that these steps have transformed"
        )
    for base in type(estimator).__mro__:
        library = _HOMES.get(base.__module__.partition(".")[0])
        methods = (_AVERAGES[base.__name__],) if base.__name__ in _AVERAGES else _BOOSTED.get(base.__name__, ())
        if library is None or not methods:
            continue
        if method not in methods and run.margins is None:
            raise BindError(
                f"is asked by {method}, which does not return what its trees hold; by {methods[0]} it would"
            )
        if getattr(estimator, "n_outputs_", 1) != 1:
            raise BindError("has several outputs at once, which shap's TreeExplainer does not read")
        return TreeModel(estimator, run, library, base.__name__ in _AVERAGES)
    raise BindError(f"is a {type(estimator).__name__}, {_NONE}")


def _as_lightgbm(rows: Floats, missing: Mapping[int, str]) -> None:
    """Write what LightGBM takes for missing as NaN, and NaN that it takes for 0 as 0, into rows (B, D)."""
    for feature, kind in missing.items():
        cells = rows[:, feature]
        if kind == "None":
            cells[np.isnan(cells)] = 0.0
        elif kind == "Zero":
            cells[np.abs(cells) <= _ZERO] = np.nan


def margins_told(run: Runs) -> str:
    """How the margins of a model are asked for, in words that continue a sentence; empty where there is no way."""
    match run:
        case EstimatorCall(estimator, _, _) if callable(getattr(estimator, "decision_function", None)):
            return "register model.decision_function, which returns them"
        case EstimatorCall(estimator, _, _):
            library = type(estimator).__module__.partition(".")[0]
            option = {"xgboost": "output_margin=True", "lightgbm": "raw_score=True"}.get(library)
            return f"register functools.partial(model.predict, {option}), which returns them" if option else ""
    return ""
