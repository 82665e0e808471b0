"""How outputs are read without a word of the user: by the last operation, by what a callable calls, and by rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ialgebra.errors import BindError
from ialgebra.models.network import Network

torch.manual_seed(0)
ROWS = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
THREE, ONE = nn.Linear(4, 3), nn.Linear(4, 1)


class Estimator:
    """What scikit-learn's estimators look like."""

    def predict_proba(self, batch: Tensor) -> Tensor:
        return torch.from_numpy(THREE(batch).detach().softmax(1).numpy())

    def predict_log_proba(self, batch: Tensor) -> Tensor:
        return torch.from_numpy(np.log(self.predict_proba(batch).numpy()))

    def decision_function(self, batch: Tensor) -> Tensor:
        return torch.from_numpy(ONE(batch).detach().sigmoid().numpy())  # within [0, 1], and no probability

    def predict(self, batch: Tensor) -> Tensor:
        return batch[:, 0].clamp(0, 1)


class Wrapped:
    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator

    def __call__(self, batch: Tensor) -> Tensor:
        return self.estimator.predict_proba(batch)[:, 1]


class Inside(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, batch: Tensor) -> Tensor:
        return self.function(batch)


ESTIMATOR = Estimator()


def helper(batch: Tensor) -> Tensor:
    return ESTIMATOR.predict_proba(batch)[:, 2]


class Configured(nn.Linear):
    def __init__(self, problem_type: str) -> None:
        super().__init__(4, 3)
        self.config = type("Config", (), {"problem_type": problem_type})()


def numpy(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensor], Tensor]:
    return lambda batch: torch.from_numpy(function(THREE(batch).detach().numpy()))


READ: dict[str, tuple[object, str, str]] = {
    "linear": (THREE, "logits", "alternatives"),
    "one column": (ONE, "logits", "independent"),
    "linear and scaled": (lambda t: THREE(t) / 2.5 + 1, "logits", "alternatives"),
    "by hand": (lambda t: t @ THREE.weight.T + THREE.bias, "logits", "alternatives"),
    "relu": (nn.Sequential(ONE, nn.ReLU()), "logits", "independent"),
    "tanh": (nn.Sequential(THREE, nn.Tanh()), "logits", "alternatives"),
    "gated": (lambda t: THREE(t) * torch.sigmoid(THREE(t)), "logits", "alternatives"),
    "softmax": (nn.Sequential(THREE, nn.Softmax(1)), "probabilities", "alternatives"),
    "softmax in bfloat16": (lambda t: THREE(t).bfloat16().softmax(1), "probabilities", "alternatives"),
    "softmin": (nn.Sequential(THREE, nn.Softmin(1)), "probabilities", "alternatives"),
    "softmax and clamp": (lambda t: THREE(t).softmax(1).clamp(1e-7, 1 - 1e-7), "probabilities", "alternatives"),
    "a part of a softmax": (lambda t: F.softmax(THREE(t), dim=-1)[:, :2], "probabilities", "independent"),
    "one class of a softmax": (lambda t: THREE(t).softmax(-1)[:, 1], "probabilities", "independent"),
    "a mixture": (lambda t: 0.3 * THREE(t).softmax(1) + 0.7 * THREE(-t).softmax(1), "probabilities", "alternatives"),
    "an ensemble": (lambda t: torch.stack([THREE(t).softmax(1)] * 2).mean(0), "probabilities", "alternatives"),
    "sigmoids": (nn.Sequential(THREE, nn.Sigmoid()), "probabilities", "independent"),
    "one sigmoid, squeezed": (lambda t: torch.sigmoid(ONE(t)).squeeze(-1), "probabilities", "independent"),
    "in place": (lambda t: ONE(t).detach().sigmoid_(), "probabilities", "independent"),
    "one less a sigmoid": (lambda t: 1 - torch.sigmoid(ONE(t)), "probabilities", "independent"),
    "both sides": (lambda t: torch.cat([1 - ONE(t).sigmoid(), ONE(t).sigmoid()], 1), "probabilities", "alternatives"),
    "heads of labels": (lambda t: torch.cat([ONE(t).sigmoid(), ONE(-t).sigmoid()], 1), "probabilities", "independent"),
    "hard sigmoid": (nn.Sequential(THREE, nn.Hardsigmoid()), "probabilities", "independent"),
    "log-softmax": (nn.Sequential(THREE, nn.LogSoftmax(1)), "log_probabilities", "alternatives"),
    "log of a softmax": (lambda t: THREE(t).softmax(1).log(), "log_probabilities", "alternatives"),
    "log-sigmoid": (nn.Sequential(THREE, nn.LogSigmoid()), "log_probabilities", "independent"),
    "softmax of numpy": (numpy(lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)), "probabilities", "alternatives"),
    "sigmoids of numpy": (numpy(lambda z: 1 / (1 + np.exp(-z))), "probabilities", "independent"),
    "numbers of numpy": (numpy(lambda z: z), "logits", "alternatives"),
    "a mapping": (lambda t: {"p": THREE(t).softmax(1)}, "probabilities", "alternatives"),
    "predict_proba": (ESTIMATOR.predict_proba, "probabilities", "alternatives"),
    "a lambda around it": (lambda t: ESTIMATOR.predict_proba(t)[:, 1], "probabilities", "independent"),
    "a helper around it": (lambda t: helper(t), "probabilities", "independent"),
    "a partial around it": (partial(helper), "probabilities", "independent"),
    "an object around it": (Wrapped(ESTIMATOR), "probabilities", "independent"),
    "predict_log_proba": (ESTIMATOR.predict_log_proba, "log_probabilities", "alternatives"),
    "decision_function": (ESTIMATOR.decision_function, "logits", "independent"),
    "predict": (ESTIMATOR.predict, "values", "independent"),
    "labels by configuration": (Configured("multi_label_classification"), "multilabel", "independent"),
    "classes by configuration": (Configured("single_label_classification"), "logits", "alternatives"),
    "values by configuration": (Configured("regression"), "values", "alternatives"),
    "a module of a function": (Inside(lambda t: THREE(t).softmax(1)), "probabilities", "alternatives"),
}


@pytest.mark.parametrize("name", READ)
def test_outputs_are_read_as_what_they_are(name: str) -> None:
    model, meaning, classes = READ[name]
    network = Network("f", model)
    network.probe(ROWS[0])
    network.forward(ROWS, [None])
    assert (network.outputs.meaning, network.outputs.classes) == (meaning, classes), network.outputs.why


@pytest.mark.parametrize("meaning", ["logits", "multilabel", "probabilities", "log_probabilities", "values"])
def test_the_users_word_holds_whatever_rows_show(meaning: str) -> None:
    for model in (THREE, nn.Sequential(THREE, nn.Softmax(1))):
        network = Network("f", model, outputs=meaning)
        network.forward(ROWS, [None])
        assert network.outputs.meaning == meaning
        assert network.outputs.why == "it was registered so"


def test_a_reading_gives_way_but_never_comes_back() -> None:
    network = Network("f", lambda batch: batch)
    network.forward(torch.tensor([[0.5, 0.5], [0.2, 0.8]]), [None])
    assert network.outputs.classes == "alternatives"
    network.forward(torch.tensor([[0.5, 0.9]]), [None])
    assert (network.outputs.meaning, network.outputs.classes) == ("probabilities", "independent")
    network.forward(torch.tensor([[0.5, 0.5], [3.0, 0.8]]), [None])
    assert network.outputs.meaning == "logits"
    network.forward(torch.tensor([[0.5, 0.5]] * 9), [None])
    assert network.outputs.meaning == "logits"


def test_two_names_of_a_value_are_refused() -> None:
    with pytest.raises(BindError, match="has 1 classes, but 2 class names were given"):
        Network("f", ONE, classes=["low", "high"], outputs="values").probe(ROWS[0])
