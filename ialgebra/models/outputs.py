"""What the numbers of a model mean, and the scalars that queries explain of them.

In: outputs (B, K) of a model or of a head, and how they are read. Out: for one class, the logit (the number as the
model returns it), the probability or the log-odds. Knows tensors: no layers, no class names. `output_evidence` finds
out how a model's outputs are to be read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import BindError, ModelError, did_you_mean

OUTPUTS = ("logit", "probability", "log_odds")

OutputMeaning = Literal["logits", "multilabel", "probabilities", "log_probabilities", "values"]
"""Logits of classes of which one holds; logits of classes that hold independently; probabilities; their logarithms; or
any other numbers, as of a regression."""

MEANINGS: tuple[OutputMeaning, ...] = get_args(OutputMeaning)

ClassRelation = Literal["alternatives", "independent", "pair"]
"""One of the columns holds; or each column holds or not, whatever the others do; or two classes share one column, which
is the second one's."""

_MANY_CLASSES = 1 << 13  # as of a vocabulary
_ROWS_OF_MANY = 16  # whose float64 copies lie in memory at a time
_BEYOND = 1e-3  # rounding by which a probability may leave [0, 1]


@dataclass(frozen=True)
class OutputReading:
    """How outputs are read, and `why`. With `of_head`, the numbers are logits of a head that stands in for the model;
    what is read of them is then in the model's own units."""

    meaning: OutputMeaning
    classes: ClassRelation
    why: str = field(default="", compare=False)
    of_head: bool = False

    @property
    def head(self) -> OutputReading:
        """How the logits of a head of this model are read."""
        return replace(self, of_head=True)

    @property
    def named(self) -> str:
        """The meaning in words, with the relation of classes where it is not plain."""
        plain = self.meaning.replace("_", "-")
        probabilities = self.meaning in ("probabilities", "log_probabilities")
        return f"independent {plain}" if probabilities and self.classes == "independent" else plain

    @property
    def unit(self) -> str:
        """What one number of a row is."""
        return {"multilabel": "logits"}.get(self.meaning, self.meaning.replace("_", "-"))

    @property
    def words(self) -> str:
        """What a probability is made of: 'softmax of logits'."""
        if self.meaning == "values":
            return "values, which are no probabilities"
        if self.of_head:
            return f"{_ACTIVATIONS[self.classes]} of the head's logits"
        if self.meaning in ("logits", "multilabel"):
            return f"{_ACTIVATIONS[self.classes]} of {'one logit' if self.classes == 'pair' else 'logits'}"
        named = "probabilities" if self.meaning == "probabilities" else "log-probabilities"
        return {"alternatives": f"{named} that sum to one", "independent": f"independent {named}", "pair": named}[
            self.classes
        ]

    def predicted(self, numbers: Tensor) -> int:
        """The class of highest output in one row of numbers (K,)."""
        return int(self.predictions(numbers[None]))

    def predictions(self, numbers: Tensor) -> Tensor:
        """The class of highest output, the first of equals, in each row of numbers (B, K): (B,) int64."""
        if self.classes != "pair":
            return numbers.argmax(dim=1)
        return (column(numbers, 1, "log_odds", self) > 0).long()

    def highest(self, numbers: Tensor, count: int) -> Tensor:
        """The classes of highest output in each row of numbers (B, K), the highest first: (B, count) int64, or all
        classes if they are fewer. Of a regression, whose outputs have no order, the first ones."""
        if self.classes == "pair":
            first = self.predictions(numbers)
            return torch.stack([first, 1 - first], dim=1)[:, :count]
        count = min(count, numbers.shape[1])
        if self.meaning == "values":
            return torch.arange(count).expand(len(numbers), count)
        return numbers.argsort(dim=1, descending=True, stable=True)[:, :count]  # equal outputs in the order of classes


_ACTIVATIONS = {"alternatives": "softmax", "independent": "sigmoid", "pair": "sigmoid"}
LOGITS = OutputReading("logits", "alternatives")


def column(numbers: Tensor, index: int, output: str, reading: OutputReading) -> Tensor:
    """One scalar a row (B,), float64, from outputs (B, K): class `index` as the kind `output` says.

    'logit' is the number that the model returns. 'log_odds' is log p/(1 − p), computed without p where logits or
    log-probabilities are known, so that it saturates nowhere; where p or 1 − p are below the smallest normal number of
    their type, they count as that number. Raises BindError for another kind, and for a probability of a regression;
    ModelError where a probability is outside [0, 1].
    """
    check_output(output)
    if numbers.shape[1] >= _MANY_CLASSES and reading.classes == "alternatives" and reading.meaning == "logits":
        return torch.cat([_of_many(rows, index, output) for rows in torch.split(numbers, _ROWS_OF_MANY)])
    wide = numbers.double()
    if output == "logit":
        return _own(wide, index, reading)
    if reading.meaning == "values":
        raise BindError(no_probability(output))
    space = "logits" if reading.of_head or reading.meaning == "multilabel" else reading.meaning
    if space != "logits":
        wide = _checked(wide, space)
    if output == "probability":
        return _probability(wide, index, reading, space)
    return _log_odds(wide, index, reading, space, torch.finfo(numbers.dtype).smallest_normal)


def several(numbers: Tensor, classes: Tensor, output: str, reading: OutputReading) -> Tensor:
    """The scalars of the `classes` (B, k) of each row, (B, k) float64, from outputs (B, K): bit for bit those of
    `column`, whose errors it raises."""
    check_output(output)
    plain = reading.classes != "pair" and not reading.of_head and numbers.shape[1] < _MANY_CLASSES
    if output == "logit" and plain:
        return numbers.gather(1, classes).double()
    if output == "probability" and plain and reading.classes == "alternatives" and reading.meaning == "logits":
        return torch.softmax(numbers.double(), dim=1).gather(1, classes)
    found = torch.empty(classes.shape, dtype=torch.float64)
    for index in sorted(set(classes.flatten().tolist())):
        where = classes == index
        rows, place = where.nonzero(as_tuple=True)
        found[rows, place] = column(numbers[rows], index, output, reading)
    return found


def _of_many(numbers: Tensor, index: int, output: str) -> Tensor:
    """A column of logits (B, K) of very many classes, of which few are held in float64 at a time."""
    own = numbers[:, index].double()
    if output == "logit":
        return own
    others = numbers.double()
    others[:, index] = -torch.inf
    odds = own - torch.logsumexp(others, dim=1)
    return odds if output == "log_odds" else torch.sigmoid(odds)


def saturated(numbers: Tensor, index: int, reading: OutputReading) -> bool:
    """Whether a class has a probability of 0 or 1 in some row (B, K), so that its log-odds are those of the smallest
    number of its type."""
    if reading.of_head or reading.meaning in ("logits", "multilabel", "values"):
        return False
    wide, least = numbers.double(), torch.finfo(numbers.dtype).smallest_normal
    one = wide[:, 0 if reading.classes == "pair" else index]
    if reading.classes == "alternatives":
        left = wide[:, [k for k in range(wide.shape[1]) if k != index]].sum(dim=1)
        return reading.meaning == "probabilities" and bool(((one < least) | (left < least)).any())
    p = one if reading.meaning == "probabilities" else one.exp()
    return bool(((p < least) | (1 - p < least)).any())


def no_probability(output: str) -> str:
    """The words of an error: values are not probabilities."""
    kind = "probability" if output == "probability" else "log-odds"
    return f"its outputs are values, which have no {kind}; output => 'logit' reads them as they are"


def _own(wide: Tensor, index: int, reading: OutputReading) -> Tensor:
    """The number as the model returns it; that of a head, as the model would return it."""
    if reading.of_head and reading.meaning == "probabilities":
        return _probability(wide, index, reading, "logits")
    if reading.of_head and reading.meaning == "log_probabilities":
        return _log_probability(wide, index, reading)
    if reading.classes != "pair" or index == 1:
        return wide[:, 0 if reading.classes == "pair" else index]
    if reading.meaning == "probabilities":
        return 1 - wide[:, 0]
    return torch.log(-torch.expm1(wide[:, 0])) if reading.meaning == "log_probabilities" else -wide[:, 0]


def _probability(wide: Tensor, index: int, reading: OutputReading, space: str) -> Tensor:
    if space == "logits":
        if reading.classes == "alternatives":
            return torch.softmax(wide, dim=1)[:, index]
        logit = _logit(wide, index, reading)
        # A sigmoid, as a softmax: torch.sigmoid rounds a row differently beside other rows.
        return torch.softmax(torch.stack([torch.zeros_like(logit), logit], dim=1), dim=1)[:, 1]
    left_over = reading.classes == "pair" and index == 0
    one = wide[:, 0 if reading.classes == "pair" else index]
    if space == "probabilities":
        return 1 - one if left_over else one
    return -torch.expm1(one) if left_over else torch.exp(one)


def _log_probability(wide: Tensor, index: int, reading: OutputReading) -> Tensor:
    """log p from logits."""
    if reading.classes == "alternatives":
        return torch.log_softmax(wide, dim=1)[:, index]
    logit = _logit(wide, index, reading)
    return torch.log_softmax(torch.stack([torch.zeros_like(logit), logit], dim=1), dim=1)[:, 1]


def _log_odds(wide: Tensor, index: int, reading: OutputReading, space: str, least: float) -> Tensor:
    if reading.classes == "alternatives":
        others = torch.cat([wide[:, :index], wide[:, index + 1 :]], dim=1)
        if space != "probabilities":  # log-probabilities are logits too
            return wide[:, index] - torch.logsumexp(others, dim=1)
        return torch.log(wide[:, index].clamp(min=least)) - torch.log(others.sum(dim=1).clamp(min=least))
    if space == "logits":
        return _logit(wide, index, reading)
    one = wide[:, 0 if reading.classes == "pair" else index]
    if space == "probabilities":
        odds = torch.log(one.clamp(min=least)) - torch.log((1 - one).clamp(min=least))
    else:
        odds = one - torch.log((-torch.expm1(one)).clamp(min=least))
    return -odds if reading.classes == "pair" and index == 0 else odds


def _logit(wide: Tensor, index: int, reading: OutputReading) -> Tensor:
    """The logit of a class that holds or not, whatever others do."""
    if reading.classes != "pair":
        return wide[:, index]
    return wide[:, 0] if index == 1 else -wide[:, 0]


def _checked(wide: Tensor, space: str) -> Tensor:
    """Probabilities within [0, 1], or log-probabilities up to 0; rounding beyond is cut off."""
    least = 0.0 if space == "probabilities" else -torch.inf
    most = 1.0 if space == "probabilities" else 0.0
    outside = ((wide < least - _BEYOND) | (wide > most + _BEYOND)).any(dim=1)
    if bool(outside.any()):
        row = int(outside.nonzero()[0])
        shown = ", ".join(f"{number:.4g}" for number in wide[row, :4].tolist())
        words = "probabilities" if space == "probabilities" else "log-probabilities"
        raise ModelError(
            f"outputs that are read as {words} hold [{shown}{', …' if wide.shape[1] > 4 else ''}]; say what the model "
            f"returns: register_model(…, outputs='logits'), or one of {', '.join(MEANINGS[1:])}"
        )
    return wide.clamp(least, most)


def check_output(output: str) -> str:
    """`output`, if it is a kind of output; raises BindError otherwise."""
    if output not in OUTPUTS:
        raise BindError(f"unknown output '{output}'{did_you_mean(str(output), OUTPUTS)}")
    return output
