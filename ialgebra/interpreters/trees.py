"""Shapley values of ensembles of trees, by shap's TreeExplainer: `USING tree()` and `USING tree_path_dependent()`.

In: questions about one model of trees. Out: their maps. The trees that shap reads are asked for some hybrids first, and
must answer as the model does: what is explained is what the query asks, or it is refused. shap is an extra, imported
when the first query names one of these interpreters. May not know: plans, queries or the catalog.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import BindError
from ..models.adapters.tree_sums import MOST_NODES
from ..models.adapters.trees import TreeModel, margins_told, tree_model
from ..models.scalar import ExplainedScalar
from ..system.arrays import Floats
from .protocol import ModelInterpreter, Operation, Options, Question, Questions

_CHECKED = 32  # hybrids, and as many whole rows, on which the trees must answer as the model
_CLOSE = 1e-4  # by which sums of trees may differ, as a share of their spread: models add up in single precision
_SINGLE = 5e-7  # some last bits of single precision
_ELSE = "ask using exact() or using shapley()"


class TreesRefused(BindError):
    """Trees do not tell what is asked of `model`, as the message says."""

    def __init__(self, model: str, message: str) -> None:
        super().__init__(message)
        self.model = model


@dataclass(frozen=True)
class TreeShap(ModelInterpreter):
    """Lundberg et al. (2020). 'interventional': the Shapley values of the game that `using exact()` enumerates, in time
    that grows with the trees and not with the coalitions. 'tree_path_dependent': of the game in which absent features
    take each way of a split as often as the rows of the training did; it reads no baseline."""

    feature_perturbation: Literal["interventional", "tree_path_dependent"] = "interventional"

    linear = True
    together = True

    @property
    def _named(self) -> str:
        return "tree()" if self.feature_perturbation == "interventional" else "tree_path_dependent()"

    @property
    def cannot(self) -> Mapping[Operation, str]:  # type: ignore[override]
        if self.feature_perturbation == "interventional":
            return {}
        return {
            "project": "it reads no baseline that the rest of the input could stay at",
            "antijoin": "it reads no baseline that another input could be",
        }

    def rows(self, players: int, shape: Sequence[int], options: Options) -> int:
        return 0  # those that check the trees are few, and the same for any number of games

    def attribute(self, question: Question) -> Floats:
        raise NotImplementedError("questions are asked together, of `attribute_all`")

    def attribute_all(self, questions: Questions) -> Floats:
        try:
            return self._answered(questions)
        except BindError as error:
            scalar = questions.scalar
            assert isinstance(scalar, ExplainedScalar)
            raise TreesRefused(scalar.network.name, error.message) from error

    def _answered(self, questions: Questions) -> Floats:
        scalar = questions.scalar
        assert isinstance(scalar, ExplainedScalar)
        assert scalar.head is None, "callables have no layers"
        name = scalar.network.name
        model = _tree_model(scalar)
        _check_players(name, questions)
        interventional = self.feature_perturbation == "interventional"
        if model.splits_on_categories and (interventional or model.library == "sklearn"):
            raise BindError(
                f"the trees of model '{name}' split on categories, which {self._named} does not read; {_ELSE}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about other versions of libraries, and models of other kinds
            if interventional:
                values = _interventional(_RankedTrees(model, name, questions.baselines[:1]), questions)
            else:
                values = _path_dependent(_Trees(model, name, None), questions)
        found = np.zeros((len(values), questions.foregrounds.shape[1]))
        found[:, model.places(questions.foregrounds)] = values
        return found


class _Trees:
    """What shap has read of a model."""

    def __init__(self, model: TreeModel, name: str, background: Floats | None) -> None:
        self.model, self.name = model, name
        kind = "tree_path_dependent" if background is None else "interventional"
        explainer = _tree_explainer()
        try:
            self.explainer = explainer(model.model, background, feature_perturbation=kind)
        except MemoryError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())
            raise BindError(
                f"shap's TreeExplainer does not read model '{name}': {type(error).__name__}: {said:.200}; {_ELSE}"
            ) from error

    def along_paths(self, rows: Tensor) -> tuple[Floats, Floats]:
        """Path-dependent values (B, D, outputs), and the outputs (outputs,) that they are differences from."""
        given = _seen(self.model, self.name, rows) if self.model.library == "sklearn" else self.model.given(rows)
        shape = len(rows), len(self.model.places(rows))
        values = _with_outputs(self.explainer.shap_values(given, check_additivity=False), shape)
        return values, np.asarray(self.explainer.expected_value, dtype=np.float64).reshape(-1)


class _RankedTrees(_Trees):
    """What shap has read of a model, with thresholds and values as ranks, which single precision holds exactly:
    TreeExplainer compares in it, and a value may be as near to a threshold as doubles can."""

    def __init__(self, model: TreeModel, name: str, first: Tensor) -> None:
        background = _seen(model, name, first)
        super().__init__(model, name, background)
        trees = self.explainer.model
        if trees.children_left.shape[1] > MOST_NODES:
            raise BindError(
                f"model '{name}' has trees of more than {MOST_NODES:,} nodes, which shap's TreeExplainer does not "
                f"read; {_ELSE}"
            )
        splits = trees.children_left >= 0
        thresholds = np.asarray(trees.thresholds, dtype=np.float64)
        ranks = np.zeros_like(thresholds)
        self.cuts = []
        for feature in range(background.shape[1]):
            own = splits & (trees.features == feature)
            self.cuts.append(np.unique(thresholds[own]))
            ranks[own] = np.searchsorted(self.cuts[-1], thresholds[own])
        trees.thresholds = ranks

    def ranked(self, rows: Tensor) -> Floats:
        """Rows (B, D) with each value as the number of thresholds below it; NaN where it is missing."""
        found = _seen(self.model, self.name, rows)
        for feature, cuts in enumerate(self.cuts):
            cells = found[:, feature]
            found[:, feature] = np.where(np.isnan(cells), np.nan, np.searchsorted(cuts, cells))
        return found

    def against(self, rows: Floats, background: Floats) -> Floats:
        """Values (B, D, outputs) of ranked rows (B, D) against one ranked row (D,)."""
        self.explainer.data = background[None]
        self.explainer.data_missing = np.isnan(background[None])
        return _with_outputs(self.explainer.shap_values(rows, check_additivity=False), rows.shape)

    def sums(self, ranked: Floats) -> Floats:
        """What the trees add up to (B, outputs)."""
        found: Floats = np.asarray(self.explainer.model.predict(ranked), dtype=np.float64).reshape(len(ranked), -1)
        return found


def _interventional(trees: _RankedTrees, questions: Questions) -> Floats:
    foregrounds, baselines = trees.ranked(questions.foregrounds), trees.ranked(questions.baselines)
    hybrids = _some_hybrids(questions)
    size = float(np.abs(trees.explainer.model.values).max())
    weights = _weights(trees.model, hybrids, trees.sums(trees.ranked(hybrids)), size, questions)
    found, total = np.zeros((questions.count, foregrounds.shape[1])), np.zeros(questions.count)
    asks, of, against = questions.pairs.T
    shares = 1 / np.bincount(asks, minlength=questions.count)
    order = np.argsort(against, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(against[order])) + 1):
        values = trees.against(foregrounds[of[members]], baselines[against[members[0]]]) @ weights
        np.add.at(found, asks[members], values * shares[asks[members], None])
    full, empty = trees.sums(foregrounds) @ weights, trees.sums(baselines) @ weights
    np.add.at(total, asks, (full[of] - empty[against]) * shares[asks])
    left = np.abs(found.sum(axis=1) - total)
    if (left > _CLOSE * (np.abs(found).sum(axis=1) + np.abs(full).max() + np.abs(empty).max())).any():
        raise BindError(f"shap's values of model '{trees.name}' do not add up to what its trees return; {_ELSE}")
    return found


def _path_dependent(trees: _Trees, questions: Questions) -> Floats:
    values, base = trees.along_paths(questions.foregrounds)
    some = questions.foregrounds[:_CHECKED]
    size = float(np.abs(values).max(initial=0.0) + np.abs(base).max())
    weights = _weights(trees.model, some, values[:_CHECKED].sum(axis=1) + base, size, questions)
    asks, of, _ = questions.pairs.T
    found = np.zeros((questions.count, values.shape[1]))
    found[asks] = (values @ weights)[of]  # which is the same against any baseline
    return found


def _tree_explainer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries that shap imports deprecate
        try:
            return importlib.import_module("shap").TreeExplainer
        except ImportError as cause:
            raise BindError('shap is not installed; run: pip install "ialgebra[shap]"') from cause


def _tree_model(scalar: ExplainedScalar) -> TreeModel:
    network = scalar.network
    if network.preprocess is not None or network.reduce is not None:
        raise BindError(f"model '{network.name}' is registered with preprocess or reduce, which no tree tells; {_ELSE}")
    try:
        return tree_model(network.module)
    except BindError as error:
        raise BindError(f"model '{network.name}' {error.message}; {_ELSE}") from None


def _seen(model: TreeModel, name: str, rows: Tensor) -> Floats:
    try:
        return model.seen(rows)
    except BindError as error:
        raise BindError(f"model '{name}' {error.message}; {_ELSE}") from None


def _check_players(name: str, questions: Questions) -> None:
    """Refuse rows that are no tables', and players of several features."""
    if questions.foregrounds.dim() != 2:
        shape = tuple(questions.foregrounds.shape[1:])
        raise BindError(f"trees read rows of a table, and an input of model '{name}' has the shape {shape}; {_ELSE}")
    for players in questions.players:
        if int(players.max(initial=-1)) + 1 < int((players >= 0).sum()):
            raise BindError(
                f"trees have a value for each feature, and a player of the query joins several; {_ELSE}, or "
                "players => features"
            )


def _with_outputs(values: Any, shape: tuple[int, ...]) -> Floats:
    """Values of shap, (B, D) or (B, D, outputs), as (B, D, outputs)."""
    found: Floats = np.asarray(values, dtype=np.float64).reshape(*shape, -1)
    return found


def _some_hybrids(questions: Questions) -> Tensor:
    """Rows (n, D) on which the trees are compared with the model: foregrounds, baselines, and mixtures of them."""
    drawn = np.random.default_rng(questions.seed % 2**32)
    pairs = questions.pairs[drawn.integers(len(questions.pairs), size=_CHECKED)]
    foregrounds, baselines = questions.foregrounds[pairs[:, 1]], questions.baselines[pairs[:, 2]]
    taken = torch.from_numpy(drawn.random(tuple(foregrounds.shape)) < 0.5).to(foregrounds.device)
    mixed = torch.where(taken, foregrounds, baselines)
    return torch.cat([mixed, foregrounds[: _CHECKED // 2], baselines[: _CHECKED // 2]])


def _weights(model: TreeModel, rows: Tensor, sums: Floats, size: float, questions: Questions) -> Floats:
    """The weights (outputs,) with which the sums of trees (n, outputs) of rows (n, D) are what is explained. `size` is
    that of the numbers that are added up.

    Raises BindError where there are none.
    """
    scalar = questions.scalar
    assert isinstance(scalar, ExplainedScalar)
    weights = _combination(scalar, sums.shape[1])
    if weights is None:
        raise BindError(_why_not(scalar, model))
    said = np.concatenate(
        [scalar(some).detach().cpu().double().numpy() for some in torch.split(rows, questions.batch_size)]
    )
    told = sums @ weights
    if scalar.output == "log_odds" and scalar.network.outputs.meaning != "logits":
        # A probability near 0 or 1, in single precision, does not tell its log-odds: compare the probabilities.
        p, q = (1 / (1 + np.exp(-np.clip(each, -700, 700))) for each in (told, said))
        agree = np.abs(p - q) <= _CLOSE * max(1.0, float(np.ptp(told))) * p * (1 - p) + _SINGLE
    else:
        away = np.abs((told - told[0]) - (said - said[0]))
        agree = away <= _CLOSE * float(np.ptp(said)) + _SINGLE * max(size, float(np.abs(said).max()))
    if not agree.all():
        raise BindError(_why_not(scalar, model))
    return weights


def _combination(scalar: ExplainedScalar, outputs: int) -> Floats | None:
    """The weights of the trees' outputs that may make what is explained; None where none can."""
    reading, target, columns = scalar.network.outputs, scalar.target, scalar.network.column_count
    unit = np.eye(outputs)
    weights: Floats | None = None
    if reading.classes == "pair" or (scalar.output == "log_odds" and outputs == 1 and columns == 2):
        if outputs == 1:
            weights = unit[0] if target == 1 else -unit[0]
    elif outputs == columns:
        if scalar.output != "log_odds" or reading.classes != "alternatives":
            weights = unit[target]
        elif outputs == 2:
            weights = unit[target] - unit[1 - target]
    return weights


def _why_not(scalar: ExplainedScalar, model: TreeModel) -> str:
    """The words of an error: sums of trees are not what the query explains."""
    network, output = scalar.network, scalar.output
    asked = {"logit": f"its {network.outputs.unit}", "probability": "probabilities", "log_odds": "log-odds"}[output]
    begun = f"the trees of model '{network.name}' do not add up to {asked}, which the query explains"
    if network.outputs.meaning not in ("probabilities", "log_probabilities"):
        return f"{begun}, as far as shap's TreeExplainer reads them; {_ELSE}"
    if model.averages:
        return f"{begun}, but to probabilities; ask with output => 'probability', or {_ELSE}"
    if output != "log_odds" and network.class_count == 2:
        return f"{begun}, but to log-odds; ask with output => 'log_odds', or {_ELSE}"
    told = margins_told(network.module)
    return f"{begun}, but to margins; {f'{told}, or ' if told else ''}{_ELSE}"
