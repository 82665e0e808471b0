"""Doors for estimators and boosters of scikit-learn, xgboost and LightGBM over arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tests.doors import Door, door

_GENERATOR = np.random.default_rng(3)
X = _GENERATOR.normal(size=(120, 4))
Y = np.where(X[:, 0] + X[:, 1] * X[:, 2] > 0, "yes", "no")
THREE = np.digitize(X[:, 0] + X[:, 3], [-0.5, 0.7])
AMOUNT = X[:, 0] * 2 + X[:, 1] * X[:, 3]
ROW = np.array([0.8, -1.2, 0.5, 1.4])


def without(present: frozenset[int]) -> NDArray[np.float64]:
    """The row with zeros where players are absent, as a batch of one."""
    return np.where([k in present for k in range(4)], ROW, 0.0)[None]


def over(
    model: object, ask: Callable[[NDArray[np.float64]], Any], prediction: object = None, row: object = ROW, **more: Any
) -> Door:
    def outputs(present: frozenset[int]) -> NDArray[np.float64]:
        return np.asarray(ask(without(present)), dtype=np.float64).reshape(-1)

    said = None if prediction is None else str(prediction)
    return Door(model=model, value=row, players=4, outputs=outputs, prediction=said, **more)


def of(module: str, name: str, **options: object) -> Any:
    return getattr(importlib.import_module(module), name)(**options)


def listed(name: str, package: str, make: Callable[[], Any], target: object, method: str) -> None:
    @door(name, package)
    def _() -> Door:
        model = make().fit(X, target)
        ask = getattr(model, method)
        if method == "predict":
            return over(model, ask)
        return over(model, ask, model.predict(ROW[None])[0])


listed("logistic regression", "sklearn", lambda: of("sklearn.linear_model", "LogisticRegression"), Y, "predict_proba")
listed(
    "a random forest of three classes",
    "sklearn",
    lambda: of("sklearn.ensemble", "RandomForestClassifier", n_estimators=5, random_state=0),
    THREE,
    "predict_proba",
)
listed(
    "gradient boosting",
    "sklearn",
    lambda: of("sklearn.ensemble", "GradientBoostingClassifier", n_estimators=5),
    Y,
    "predict_proba",
)
listed("a linear SVM of three classes", "sklearn", lambda: of("sklearn.svm", "LinearSVC"), THREE, "decision_function")
listed(
    "a regressor",
    "sklearn",
    lambda: of("sklearn.ensemble", "GradientBoostingRegressor", n_estimators=5),
    AMOUNT,
    "predict",
)
listed(
    "a classifier of xgboost", "xgboost", lambda: of("xgboost", "XGBClassifier", n_estimators=5), THREE, "predict_proba"
)
listed("a regressor of xgboost", "xgboost", lambda: of("xgboost", "XGBRegressor", n_estimators=5), AMOUNT, "predict")
listed(
    "a classifier of LightGBM",
    "lightgbm",
    lambda: of("lightgbm", "LGBMClassifier", n_estimators=5, verbose=-1),
    Y,
    "predict_proba",
)
listed(
    "a regressor of LightGBM",
    "lightgbm",
    lambda: of("lightgbm", "LGBMRegressor", n_estimators=5, verbose=-1),
    AMOUNT,
    "predict",
)


@door("a binary SVM, which has one decision", "sklearn")
def _() -> Door:
    model = of("sklearn.svm", "SVC").fit(X, Y)

    def decisions(row: NDArray[np.float64]) -> NDArray[np.float64]:
        one = model.decision_function(row)
        return np.stack([-one, one], axis=1)

    return over(model, decisions, model.predict(ROW[None])[0])


@door("a pipeline with a scaler", "sklearn")
def _() -> Door:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), of("sklearn.linear_model", "LogisticRegression", C=10)).fit(X, Y)
    return over(model, model.predict_proba, model.predict(ROW[None])[0])


@door("a classifier that only names a class", "sklearn")
def _() -> Door:
    parts = [(str(k), of("sklearn.tree", "DecisionTreeClassifier", max_depth=k, random_state=0)) for k in (1, 2, 3)]
    model = of("sklearn.ensemble", "VotingClassifier", estimators=parts).fit(X, Y)
    return over(model, lambda row: model.predict(row)[:, None] == model.classes_, model.predict(ROW[None])[0])


@door("several labels at once", "sklearn")
def _() -> Door:
    model = of("sklearn.neighbors", "KNeighborsClassifier").fit(X, np.stack([Y, THREE.astype(str)], axis=1))
    return over(model, lambda row: np.concatenate(model.predict_proba(row), axis=1))


@door("a method of an estimator", "sklearn")
def _() -> Door:
    model = of("sklearn.linear_model", "LogisticRegression").fit(X, THREE)
    return over(model.decision_function, model.decision_function, model.predict(ROW[None])[0])


@door("an estimator that was fitted on a DataFrame", "sklearn", "pandas")
def _() -> Door:
    import pandas as pd

    def named(row: NDArray[np.float64]) -> Any:
        return pd.DataFrame(row, columns=list("abcd"))

    model = of("sklearn.ensemble", "RandomForestClassifier", n_estimators=5, random_state=0).fit(named(X), Y)
    return over(model, lambda row: model.predict_proba(named(row)), model.predict(named(ROW[None]))[0])


@door("a Booster of xgboost", "xgboost")
def _() -> Door:
    import xgboost

    model = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(X, THREE), 4)
    return over(model, lambda row: model.predict(xgboost.DMatrix(row)))


@door("a binary Booster of LightGBM", "lightgbm")
def _() -> Door:
    import lightgbm

    model = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, Y == "yes"), 4)

    def both(row: NDArray[np.float64]) -> NDArray[np.float64]:
        one = np.asarray(model.predict(row))
        return np.stack([1 - one, one], axis=1)

    return over(model, both, int(model.predict(ROW[None])[0] > 0.5))


@door("a function that returns an array")
def _() -> Door:
    weights = np.array([[1.0, -2, 0.5], [0.3, 0, 1], [2, 1, -1], [0.1, 0.2, 0.3]])

    def model(batch: torch.Tensor) -> NDArray[np.float64]:
        return np.tanh(batch.numpy() @ weights)

    return over(model, lambda row: np.tanh(row @ weights))


@door("a function that returns a DataFrame", "pandas")
def _() -> Door:
    import pandas as pd

    def scores(row: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([row.sum(1), row.prod(1), row[:, 0] * row[:, 1]], axis=1)

    return over(lambda batch: pd.DataFrame(scores(batch.numpy()), columns=["sum", "product", "pair"]), scores)


@door("a segmentation, of which the mean over places is explained")
def _() -> Door:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2, padding=1)).double().eval()
    return over(net, lambda row: net(torch.from_numpy(row)).mean((2, 3)).detach(), model_options={"reduce": "mean"})


@door("a segmentation, of which one place is explained")
def _() -> Door:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2, padding=1)).double().eval()
    place = {"reduce": lambda out: out[:, :, 1, 2]}
    return over(net, lambda row: net(torch.from_numpy(row))[:, :, 1, 2].detach(), model_options=place)


@door("a picture of bytes, which is scaled before the model")
def _() -> Door:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(2, 3)).eval()
    picture = torch.tensor([[[200, 30], [90, 255]]], dtype=torch.uint8)

    def scaled(batch: torch.Tensor) -> torch.Tensor:
        assert batch.dtype == torch.uint8
        return batch.double() / 255 - 0.5

    def outputs(present: frozenset[int]) -> NDArray[np.float64]:
        kept = torch.tensor([k in present for k in range(4)]).reshape(1, 2, 2)
        row = torch.where(kept, picture, 0)[None]
        with torch.no_grad():
            return net(row.float() / 255 - 0.5)[0].double().numpy()

    return Door(
        model=net,
        value=picture,
        players=4,
        outputs=outputs,
        model_options={"preprocess": scaled},
        options=", players => pixels",
    )
