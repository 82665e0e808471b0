"""What the trees of a model add up to, as its own settings tell it: without reading a tree, and without a row.

In: a `TreeModel`. Out: the numbers that the model returns, log-odds or margins of the probabilities that it returns, or
why that is not known. No library is imported.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, NamedTuple

from .estimators import EstimatorCall
from .trees import TreeModel

Sums = Literal["numbers", "log_odds", "margins", "unknown"]
"""What the model returns; log-odds of one of two classes; margins of several classes; or something else."""

MOST_NODES: Final = (1 << 15) - 1  # of a tree: shap's TreeExplainer counts them in 16 bits

_AS_THEY_ARE = {  # objectives whose model returns what the trees add up to
    "xgboost": (
        "reg:squarederror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "binary:logitraw",
        "multi:softmax",  # of which a Booster is asked for margins
        "rank:ndcg",
        "rank:pairwise",
        "rank:map",
    ),
    "lightgbm": ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"),
    "sklearn": ("squared_error", "absolute_error", "huber", "quantile"),
}
_LOG_ODDS = {"xgboost": ("binary:logistic", "reg:logistic"), "lightgbm": ("binary", "cross_entropy")}
_MARGINS = {"xgboost": ("multi:softprob",), "lightgbm": ("multiclass",)}


class TreeSums(NamedTuple):
    """What trees add up to; where that is unknown, `why`."""

    sums: Sums
    why: str = ""


def sums_of(trees: TreeModel) -> TreeSums:
    """What the trees of a model add up to."""
    if trees.averages:
        many = max(each.tree_.node_count for each in getattr(trees.model, "estimators_", [trees.model])) > MOST_NODES
        return TreeSums("unknown", "it has trees of very many nodes") if many else TreeSums("numbers")
    if trees.library == "sklearn":
        return _of_scikit_learn(trees)
    objective, odd = _of_xgboost(trees.model) if trees.library == "xgboost" else _of_lightgbm(trees.model)
    if odd:
        return TreeSums("unknown", odd)
    raw = isinstance(trees.run, EstimatorCall) and (
        trees.run.margins is not None or trees.run.method == "decision_function"
    )
    if raw or objective in _AS_THEY_ARE[trees.library]:
        return TreeSums("numbers")
    if objective in _LOG_ODDS[trees.library]:
        return TreeSums("log_odds")
    if objective in _MARGINS[trees.library]:
        return TreeSums("margins")
    return TreeSums("unknown", f"its objective is {objective}")


def _of_scikit_learn(trees: TreeModel) -> TreeSums:
    model: Any = trees.model
    if trees.splits_on_categories:
        return TreeSums("unknown", "it splits on categories")
    gradient = not type(model).__name__.startswith("Hist")
    if gradient and (model.estimators_.shape[1] > 1 or not type(model.init_).__name__.startswith("Dummy")):
        return TreeSums("unknown", "shap's TreeExplainer does not read gradient boosting of this kind")
    if getattr(model, "classes_", None) is None:
        known = model.loss in _AS_THEY_ARE["sklearn"]
        return TreeSums("numbers") if known else TreeSums("unknown", f"its loss is {model.loss}")
    if gradient and model.loss != "log_loss":
        return TreeSums("unknown", f"its loss is {model.loss}")
    if isinstance(trees.run, EstimatorCall) and trees.run.method == "decision_function":
        return TreeSums("numbers")
    return TreeSums("log_odds" if len(model.classes_) == 2 else "margins")


def _of_xgboost(model: Any) -> tuple[str, str]:
    """The objective, and what shap may read otherwise."""
    booster = model if type(model).__name__ == "Booster" else model.get_booster()
    learner = json.loads(booster.save_config())["learner"]
    gradient = learner["gradient_booster"]
    forest = int(gradient.get("gbtree_model_param", {}).get("num_parallel_tree", 1))
    odd = "c" in (booster.feature_types or ())
    words = (
        "it splits on categories" if odd else "" if gradient["name"] == "gbtree" and forest == 1 else "its booster is"
    )
    if words.endswith(" is"):
        words = f"{words} {gradient['name']}, of {forest} trees a round"
    return learner["objective"]["name"], words


def _of_lightgbm(model: Any) -> tuple[str, str]:
    """The objective, and what shap may read otherwise."""
    text: str = getattr(model, "booster_", model).model_to_string(num_iteration=1)
    head = dict(line.partition("=")[::2] for line in text.partition("\nTree=")[0].splitlines())
    if any(not each.startswith(("[", "none")) for each in head.get("feature_infos", "").split()):
        return "", "it splits on categories"
    if "average_output" in head:
        return "", "its trees are averaged"
    objective, *options = head.get("objective", "").split()
    if "sqrt" in options or any(each.startswith("sigmoid:") and float(each[8:]) != 1 for each in options):
        return "", f"its objective is {' '.join([objective, *options])}"
    alone = type(model).__name__ == "Booster" and int(head.get("num_tree_per_iteration", "1")) > 1
    return objective, "shap's TreeExplainer does not read Boosters of several classes" if alone else ""
