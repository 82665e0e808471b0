"""How a model's outputs are to be read: what its user said, how it is built and the rows that it returned in; a reading
out.

Evidence is taken from passes that run anyway: the operation that made the output of one pass, and the numbers of every
row. A reading may only give way, once a row contradicts it, and never comes back. Knows tensors and callables: no
layers, no queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from numbers import Number
from types import CodeType, FunctionType, MethodType

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import BindError, did_you_mean
from .outputs import MEANINGS, ClassRelation, OutputMeaning, OutputReading

AUTO = "auto"
_ROUNDING = 1e-3  # by which rows of probabilities may miss a sum of one
_NARROW_ROUNDING = 2e-2  # the same where a softmax was seen: it may have been computed in bfloat16

_ACTIVATIONS = {
    "softmax": "softmax",
    "log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "expit": "sigmoid",
    "special_expit": "sigmoid",
    "logsigmoid": "logsigmoid",
    "log_sigmoid": "logsigmoid",
    "softmin": "softmax",
    "gumbel_softmax": "softmax",
    "hardsigmoid": "sigmoid",
}
_UNBOUNDED = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus", "tanh"),
    *("hardtanh", "softsign", "layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm"),
)
_MIXING = ("linear", "addmm", "addmv", "matmul", "mm", "mv", "__matmul__", "bilinear", "conv1d", "conv2d", "conv3d")
_KEEPING = (
    *("squeeze", "unsqueeze", "view", "reshape", "flatten", "__getitem__", "select", "narrow", "contiguous", "clone"),
    *("detach", "to", "float", "double", "cpu", "type", "type_as", "transpose", "t", "permute", "movedim", "expand"),
    *("dropout", "clamp", "mean", "requires_grad_", "__get__", "stack", "cat", "concat", "concatenate", "hstack"),
    *("column_stack", "view_as", "reshape_as", "select_copy", "index_select", "alias"),
)
_SCALING = ("add", "sub", "mul", "div", "truediv", "neg", "radd", "rmul", "rsub")
_METHODS: Mapping[str, OutputMeaning] = {
    "predict_proba": "probabilities",
    "predict_log_proba": "log_probabilities",
    "decision_function": "logits",
}


class LastOperation(TorchFunctionMode):
    """A frame that notices which kind of operation made a tensor: 'softmax', 'log_softmax', 'sigmoid', 'complement' (1
    less a probability), 'logsigmoid', 'linear', an activation that gives no probabilities, or none of these. Operations
    that move numbers, and scaling of a linear map, change nothing about it."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, tuple[str, Tensor]] = {}  # the tensors are held, so that no id is used again

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            kind = self._kind(getattr(func, "__name__", ""), args)
            if kind is not None:
                self._made[id(found)] = kind, found
            else:
                self._made.pop(id(found), None)  # computed in place
        return found

    def of(self, output: Tensor | None) -> str | None:
        """The kind of operation that made `output`; None if it is not known."""
        return self._made[id(output)][0] if output is not None and id(output) in self._made else None

    def _kind(self, name: str, args: tuple[object, ...]) -> str | None:
        plain = name if name.startswith("__get") else name.strip("_")
        if plain in _ACTIVATIONS:
            return _ACTIVATIONS[plain]
        if name in _MIXING or plain in _MIXING:
            return "linear"
        if plain in _UNBOUNDED:
            return plain
        known = [self.of(each) for each in _tensors(args)]
        if name in _KEEPING or plain in _KEEPING:
            return known[0] if known and len(set(known)) == 1 else None
        if plain not in _SCALING or not known:
            return None
        if "linear" in known and set(known) <= {"linear", None}:
            return "linear" if plain in ("add", "radd", "sub", "rsub") or _with_number(args) else None
        complement = plain in ("rsub", "sub") and any(isinstance(each, int | float) and each == 1 for each in args)
        return "complement" if complement and known[0] in ("sigmoid", "softmax", "complement") else None


def _tensors(args: Iterable[object]) -> Iterator[Tensor]:
    for each in args:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, tuple | list):
            yield from (part for part in each if isinstance(part, Tensor))


def _with_number(args: Iterable[object]) -> bool:
    return any(isinstance(each, Number) or (isinstance(each, Tensor) and each.numel() == 1) for each in args)


class OutputEvidence:
    """What is known of a model's outputs. `said` is what `register_model(outputs=…)` was told."""

    def __init__(
        self,
        name: str,
        model: object,
        said: str,
        pair: bool = False,
        columns: int = 0,
        told: tuple[OutputMeaning, str] | None = None,
    ) -> None:
        """`pair` says that two class names were given, `columns` how many the outputs have, if known; `told` is what
        the model tells of its outputs, if it is known. Raises BindError where `said` is no meaning of outputs."""
        if said != AUTO and said not in MEANINGS:
            known = did_you_mean(str(said), (AUTO, *MEANINGS))
            raise BindError(f"model '{name}' cannot return '{said}' (outputs=){known}")
        self.said = said
        self.watched = False  # whether the last operation of a pass was looked for
        self._pair = pair
        self._hint = told or _hinted(model)
        self._columns = columns
        self.met = False  # whether rows were seen
        self._made_by: str | None = None
        self._sums = self._log_sums = True  # every row was ≥ 0 with sum one; the same of its exponentials
        self._near_sums = self._near_log_sums = True  # the same, with the rounding of narrow types
        self._unit = self._below = True  # every number was in [0, 1]; up to 0
        self._reading: OutputReading | None = None

    def made(self, operation: str | None) -> None:
        """The last operation of a pass is known."""
        self._made_by, self._reading, self.watched = operation, None, True

    def see(self, outputs: Tensor) -> None:
        """Rows (B, K) came out of the model."""
        if not len(outputs) or (self.met and not (self._unit or self._below)):
            return
        self._columns, self.met = outputs.shape[1], True
        wide = outputs.detach().double()
        if self._unit:
            self._unit = bool(((wide >= -_ROUNDING) & (wide <= 1 + _ROUNDING)).all())
            far = float((wide.sum(dim=1) - 1).abs().max()) if self._near_sums else 1.0
            self._near_sums &= self._unit and far < _NARROW_ROUNDING
            self._sums &= self._unit and far < _ROUNDING
        if self._below:
            self._below = bool((wide <= _ROUNDING).all())
            far = float((wide.exp().sum(dim=1) - 1).abs().max()) if self._near_log_sums else 1.0
            self._near_log_sums &= self._below and far < _NARROW_ROUNDING
            self._log_sums &= self._below and far < _ROUNDING
        self._reading = None

    @property
    def reading(self) -> OutputReading:
        """How outputs are read, by what is known by now."""
        if self._reading is None:
            meaning, why = (self.said, "it was registered so") if self.said != AUTO else self._looked()
            self._reading = OutputReading(meaning, self._relation(meaning), why)  # type: ignore[arg-type]
        return self._reading

    @property
    def doubtful(self) -> bool:
        """Whether outputs are probabilities only because all of them lie in [0, 1]."""
        return self.said == AUTO and self.reading.why == _ONLY_UNIT

    def _relation(self, meaning: str) -> ClassRelation:
        if self._columns == 1:
            return "pair" if self._pair and meaning != "values" else "independent"
        if meaning == "probabilities":
            return "alternatives" if self._near_sums and self._made_by != "sigmoid" else "independent"
        if meaning == "log_probabilities":
            return "alternatives" if self._near_log_sums and self._made_by != "logsigmoid" else "independent"
        return "independent" if meaning == "multilabel" else "alternatives"

    def _looked(self) -> tuple[OutputMeaning, str]:
        several, hint = self._columns > 1, self._hint
        fits = {"probabilities": self._unit, "log_probabilities": self._below}
        if hint is not None and fits.get(hint[0], True):
            return hint
        if not self.met:
            return "logits", "it has not run yet"
        if self._made_by in ("softmax", "sigmoid") and self._unit:
            return "probabilities", f"its last operation is a {self._made_by}"
        if self._made_by == "complement" and self._unit:
            return "probabilities", "its last operation takes a probability from 1"
        if self._made_by in ("log_softmax", "logsigmoid") and self._below:
            return "log_probabilities", f"its last operation is a {self._made_by}"
        if several and self._sums:
            return "probabilities", "every row that it returned is ≥ 0 and sums to one"
        if several and self._log_sums:
            return "log_probabilities", "the exponentials of every row that it returned sum to one"
        if self._made_by in _UNBOUNDED:
            return "logits", f"its last operation is {self._made_by}, which gives no probabilities"
        if self._unit and self._made_by != "linear":
            return "probabilities", _ONLY_UNIT
        if self._made_by == "linear":
            return "logits", "its last operation is a linear map"
        return "logits", "it returned numbers that are no probabilities"


_ONLY_UNIT = "every number that it returned lies in [0, 1]"


def _hinted(model: object) -> tuple[OutputMeaning, str] | None:
    """What the model says of itself: the method of an estimator that it calls, or a configuration."""
    for name in _called(model):
        if name in _METHODS:
            return _METHODS[name], f"it calls {name}"
    if isinstance(model, MethodType) and model.__name__ == "predict":
        return "values", "it is the method predict of an estimator"
    configuration = getattr(model, "config", None) if isinstance(model, nn.Module) else None
    problem = getattr(configuration, "problem_type", None)
    if problem == "multi_label_classification":
        return "multilabel", "its configuration says multi_label_classification"
    if problem == "regression":
        return "values", "its configuration says regression"
    return None


_DEPTH = 3  # functions that call functions


def _called(model: object, depth: int = _DEPTH) -> Iterator[str]:
    """The names of methods that a callable is, or calls, by itself or in functions that it calls."""
    if not depth:
        return
    if isinstance(model, partial):
        yield from _called(model.func, depth)
    elif isinstance(model, MethodType):
        yield model.__name__
        yield from _called(model.__func__, depth)
    elif isinstance(model, FunctionType):
        names = list(_names(model.__code__))
        yield from names
        for cell in model.__closure__ or ():
            with suppress(ValueError):  # not assigned yet
                yield from _called_function(cell.cell_contents, depth - 1)
        for name in names:
            yield from _called_function(model.__globals__.get(name), depth - 1)
    elif depth == _DEPTH:
        run = "forward" if isinstance(model, nn.Module) else "__call__"
        yield from _called_function(getattr(type(model), run, None), depth)


def _called_function(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, FunctionType | MethodType | partial):
        yield from _called(value, depth)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
