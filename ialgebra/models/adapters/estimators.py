"""Estimators: objects with `predict_proba`, `decision_function` or `predict`, as scikit-learn, xgboost, LightGBM and
CatBoost have them, and methods of such objects.

In: an estimator. Out: a callable from batches to probabilities, decisions or values (B, K). Batches arrive as tensors,
or as DataFrames of named columns. An estimator that was fitted on named columns gets a DataFrame of these names. No
library is imported but pandas, and that only where an estimator has names and so was given a DataFrame before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import BindError, ModelError
from ...system.arrays import Array
from ...system.tensors import array_of
from ..outputs import OutputMeaning
from .opened import Opened

METHODS = ("predict_proba", "decision_function", "predict")
"""The methods by which an estimator is asked, the best first."""

_ASKED = (*METHODS, "predict_log_proba", "score_samples", "transform")  # by which a bound method may be called
_MARGINS = ("output_margin", "raw_score")  # by which predict of xgboost and of LightGBM returns sums of trees
_NAMES_SHOWN = 6


@dataclass(frozen=True, eq=False)
class EstimatorCall:
    """An estimator that is asked by one of its methods; with `margins`, an option of it that is then true, for what its
    trees add up to."""

    estimator: Any
    method: str
    margins: str | None = None

    def __call__(self, batch: object) -> object:
        given = self.given(batch)
        if self.margins is not None:
            return getattr(self.estimator, self.method)(given, **{self.margins: True})
        found = getattr(self.estimator, self.method)(given)
        if isinstance(found, list):  # of several outputs, one (B, classes) each
            return np.concatenate([np.asarray(each) for each in found], axis=1)
        if self.method == "predict" and (classes := classes_of(self.estimator)) is not None:
            return _one_hot(np.asarray(found), classes)
        return found

    def given(self, batch: object) -> object:
        """The batch as the estimator was fitted: an array, or a DataFrame with its columns in its order."""
        names = fitted_names(self.estimator)
        if isinstance(batch, Tensor):
            rows = array_of(batch.detach().cpu())
            wanted = getattr(self.estimator, "n_features_in_", None)
            if rows.ndim == 2 and isinstance(wanted, int) and rows.shape[1] != wanted:
                raise ModelError(_misfit(names, wanted, f"{rows.shape[1]} features"))
            return rows if names is None or rows.ndim != 2 else frame(rows, names)
        columns = getattr(batch, "columns", None)
        if names is None or columns is None or list(columns) == names:
            return batch
        if not set(names) <= set(columns):
            raise ModelError(_misfit(names, len(names), f"the columns {_shown(list(map(str, columns)))}"))
        return cast("Any", batch)[names]


def opened(model: object) -> Opened | None:
    """An estimator, or a method of one, as a callable; None for anything else.

    Raises BindError for an estimator that has none of the methods, or that is not fitted.
    """
    method: str | None = None
    margins: str | None = None
    if isinstance(model, partial) and isinstance(model.func, MethodType) and model.func.__name__ == "predict":
        asked = [each for each in _MARGINS if model.keywords == {each: True}]
        if asked and not model.args and _fits(model.func.__self__):
            model, margins = model.func, asked[0]
    if isinstance(model, MethodType) and model.__name__ in _ASKED and _fits(model.__self__):
        method, model = model.__name__, model.__self__
    if not is_estimator(model):
        return None
    method = method or next((each for each in METHODS if _has(model, each)), None)
    if method is None:
        raise BindError(
            f"is a {type(model).__name__}, which has none of {', '.join(METHODS)}; register a callable from a batch to "
            "outputs"
        )
    _check_fitted(model)
    if margins is not None:  # of the form of decisions
        meaning: OutputMeaning = "values" if classes_of(model) is None else "logits"
        told = meaning, f"it is asked by predict({margins}=True)"
        return Opened(EstimatorCall(model, method, margins), _names(model, "decision_function"), told)
    return Opened(EstimatorCall(model, method), _names(model, method), _meaning(model, method))


def is_estimator(model: object) -> bool:
    """Whether a model is asked by its methods: it has one of them, and is neither a module, nor a class, nor a callable
    that is no estimator of scikit-learn's kind."""
    if isinstance(model, nn.Module | type):
        return False
    return _fits(model) or (not callable(model) and any(_has(model, each) for each in METHODS))


def _fits(model: object) -> bool:
    """Whether a model is of scikit-learn's kind."""
    return not isinstance(model, nn.Module | type) and all(_has(model, each) for each in ("fit", "get_params"))


def fitted_names(estimator: object) -> list[str] | None:
    """The names of the columns that an estimator was fitted on; None if it was fitted on arrays."""
    try:
        names = cast("Any", estimator).feature_names_in_
    except AttributeError:
        return None
    return None if names is None else [str(each) for each in names]


def frame(rows: Array, names: Sequence[str]) -> object:
    """A DataFrame (B, D) with these columns."""
    import pandas as pd

    return pd.DataFrame(rows, columns=list(names))


def classes_of(estimator: object) -> NDArray[Any] | None:
    """The labels of a classifier's classes; None for other estimators, and for those of several outputs."""
    try:
        labels = cast("Any", estimator).classes_
    except AttributeError:
        return None
    if labels is None or isinstance(labels, list) or np.ndim(labels) != 1:
        return None
    return np.asarray(labels)


def _has(model: object, method: str) -> bool:
    """Whether a model has a method: scikit-learn's has some only where its parts have them."""
    try:
        return callable(getattr(model, method, None))
    except Exception:  # a property may raise anything
        return False


def _names(model: object, method: str) -> list[str] | None:
    """The names of the outputs."""
    if method in ("score_samples", "transform"):
        return None
    try:
        labels = cast("Any", model).classes_
    except AttributeError:
        return None
    if isinstance(labels, list | tuple) and labels and all(np.ndim(each) == 1 for each in labels):  # of several outputs
        if method in ("decision_function", "predict"):
            return None
        return [f"{output}: {label}" for output, each in enumerate(labels) for label in each]
    found = classes_of(model)
    if found is None or (method == "decision_function" and _votes(model)):
        return None
    return [str(each) for each in found]


def _votes(model: object) -> bool:
    """Whether decisions are of pairs of classes, so that there are not as many as classes."""
    inner = model
    while getattr(inner, "steps", None):  # a pipeline is what its last step is
        inner = cast("Any", inner).steps[-1][1]
    return getattr(inner, "decision_function_shape", None) == "ovo"


def _meaning(model: object, method: str) -> tuple[OutputMeaning, str] | None:
    classifies = classes_of(model) is not None
    match method:
        case "predict_proba":
            return "probabilities", "it is asked by predict_proba"
        case "predict_log_proba":
            return "log_probabilities", "it is asked by predict_log_proba"
        case "decision_function" if classifies:
            return "logits", "it is asked by decision_function"
        case "predict" if classifies:
            return "probabilities", "it only names a class, which counts as 1"
    return "values", f"it is asked by {method}, which returns numbers"


def _one_hot(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """1 in the column of each row's label (B, K); rows of other forms are returned as they are."""
    return (labels[:, None] == classes[None, :]).astype(np.float64) if labels.ndim == 1 else labels


def _check_fitted(model: object) -> None:
    """Raise BindError for an estimator of scikit-learn's kind that is not fitted."""
    if not callable(getattr(model, "__sklearn_tags__", None)):
        return
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        raise BindError(f"is a {type(model).__name__} that is not fitted; call its fit(X, y) first") from None
    except Exception:  # a look-alike that scikit-learn cannot ask
        return


def _misfit(names: Sequence[str] | None, count: int, given: str) -> str:
    what = f"{count} features" if names is None else f"the columns {_shown(names)}"
    return f"was fitted on {what}, but the input has {given}; register an input with just these"


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{each}'" for each in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")
