"""Fitting a dictionary: networks and inputs in; a dictionary, and what was seen on the inputs held out, out.

`fit` reads the hidden outputs in one pass, learns an encoder of the kind asked for on a part of the inputs, and a head
for each model. The inputs held out are used for nothing but what `Fitted` holds. Knows networks and tensors: no
queries, no sessions, no reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real

import torch
from torch import Tensor, nn

from ...errors import BindError
from ...system.stages import FittingProgress
from ..fitting import HeadLabels, known_truth, split
from ..goals import goal_of
from ..network import Network
from ..reading import Batch
from ..regression import fit as fit_linear
from .dictionary import ConceptHead, ConceptKind, Dictionary
from .encoders import JoinedArms, NonnegativeEncoder, SparseEncoder, parts_of, places_last
from .factors import nmf, sparse_coder
from .hidden import AT_MOST, HiddenOfInputs, LayerOfModel, read_hidden
from .learning import LOSSES, FlintLosses, FlintNets, Lessons, learned_post_hoc, target_of, warm_codes
from .metrics import r_squared

KINDS: tuple[ConceptKind, ...] = ("flint", "nmf", "sae")
_ROWS_AT_MOST = 20_000  # rows of features that directions are found from
_MOST_ATTRIBUTES = 4096
_ACTIVE_SHARE = 0.16  # of the codes of a sparse autoencoder, those that may be above 0


@dataclass(frozen=True, eq=False)
class Fitted:
    """What fitting saw on the H inputs held out, none of which it learned from.

    `held_out` (H,) are their places among the inputs; `codes` (H, J) their attributes; `outputs` and `surrogates`
    (H, K) those of each model f and of its head g; `labels` the truth, (H,) classes or (H, K) numbers, or None.
    `reconstruction` is R² of what `rebuilt` names, from the attributes alone. `rows` counts the inputs that the
    dictionary was learned from; `seconds` it took. `interrupted` says that Ctrl-C ended it before its time.
    """

    held_out: Tensor
    codes: Tensor
    outputs: Mapping[str, Tensor]
    surrogates: Mapping[str, Tensor]
    labels: Tensor | None
    reconstruction: float
    rebuilt: str
    rows: int
    seconds: float
    interrupted: bool = False


@torch.inference_mode(False)  # ordinary tensors come out, whatever mode the caller is in
def fit(
    networks: Mapping[str, Network],
    inputs: Iterable[Batch] | Tensor,
    labels: HeadLabels | None = None,
    layers: Sequence[int | str] | Mapping[str, Sequence[int | str]] | None = None,
    size: int = 25,
    name: str = "concepts",
    kind: ConceptKind = "flint",
    seed: int = 0,
    holdout: float = 0.2,
    progress: FittingProgress | None = None,
    *,
    at_most: int = AT_MOST,
    losses: FlintLosses = LOSSES,
) -> tuple[Dictionary, Fitted]:
    """Learns a dictionary of `size` attributes for one model or, by a joint encoder, several.

    `inputs` is a batch (N, *shape), or an iterable of single inputs, batches, or (batch, labels) pairs. `labels` are
    used for nothing but `Fitted.labels`. `layers` are those that the encoder reads (of each model, or by model); None
    takes the last hidden layer and, for 'flint', the deepest one with positions before it. A share `holdout` of the
    inputs is kept out. `progress` is called with what is being done, how much of it is done and how much there is.
    Hidden outputs are kept in at most `at_most` bytes. `losses` are those of 'flint'. Equal seeds give equal
    dictionaries. Ctrl-C keeps the best so far. Raises BindError for what is no such argument, ShapeError for inputs or
    labels that do not match, ModelError for a failing model, ResourceError when memory runs out at one row.
    """
    started = time.perf_counter()
    check_arguments(size, kind, seed, holdout)
    by_model = layers if isinstance(layers, Mapping) or layers is None else dict.fromkeys(networks, layers)
    for model in by_model or ():
        if model not in networks:
            raise BindError(f"layers are given of model '{model}', which is none of {', '.join(networks)}")
    hidden = read_hidden(networks, inputs, by_model, kind, at_most=at_most, progress=progress)
    first = next(iter(networks.values()))
    truth = known_truth(first, hidden.labels if labels is None else labels, len(hidden))
    aside, checked = split(torch.arange(len(hidden)), holdout, seed)
    learners: Mapping[ConceptKind, Callable[..., LearnedEncoder]] = {
        "flint": partial(_flint, losses),
        "nmf": _of_directions,
        "sae": _sparse,
    }
    part = learners[kind](hidden, aside, checked, size, seed, progress)
    return finished(hidden, part, aside, truth, name, kind, time.perf_counter() - started)


def finished(
    hidden: HiddenOfInputs,
    part: LearnedEncoder,
    aside: Tensor,
    truth: Tensor | None,
    name: str,
    kind: ConceptKind,
    seconds: float,
) -> tuple[Dictionary, Fitted]:
    """The dictionary of what was learned, and what was seen on the inputs held `aside` (N,) bool."""
    networks = hidden.networks
    encoder, attributes, heads = part.encoder, part.attributes, part.heads
    read = {
        model: tuple(layer.name for layer in hidden.layers if layer.model == model and layer.number)
        for model in networks
    }
    place = next(iter(networks.values())).runs_on
    dictionary = Dictionary(
        name,
        kind,
        read,
        tuple(f"a{index}" for index in range(attributes.shape[1])),
        encoder.to(place).eval().requires_grad_(False),
        {model: ConceptHead(head.weight.to(place), head.bias.to(place)) for model, head in heads.items()},
        None if isinstance(encoder, JoinedArms) else encoder.directions,
    )
    held = aside.nonzero()[:, 0]
    fitted = Fitted(
        held,
        attributes[held],
        {model: outputs[held] for model, outputs in hidden.outputs.items()},
        {model: head(attributes[held]) for model, head in heads.items()},
        None if truth is None else truth[held],
        part.reconstruction,
        part.rebuilt,
        len(hidden) - len(held),
        seconds,
        part.interrupted,
    )
    return dictionary, fitted


def check_arguments(size: int, kind: str, seed: int, holdout: float) -> None:
    """Raises BindError with a sentence for what cannot be."""
    if kind not in KINDS:
        raise BindError(f"kind is '{kind}'; a dictionary is learned as one of {', '.join(KINDS)}")
    if not isinstance(size, Integral) or isinstance(size, bool) or not 1 <= size <= _MOST_ATTRIBUTES:
        raise BindError(f"size is {size}; a number of attributes from 1 to {_MOST_ATTRIBUTES} is needed")
    if not isinstance(holdout, Real) or not 0 < holdout < 1:
        raise BindError(f"holdout is {holdout}; a share above 0 and below 1 is needed, on which figures are measured")
    if not isinstance(seed, Integral) or not 0 <= seed < 1 << 63:
        raise BindError(f"seed is {seed}; an integer from 0 to 2^63 − 1 is needed")


def attributes_of(hidden: HiddenOfInputs, encoder: nn.Module, batch_size: int = 512) -> Tensor:
    """The attributes (N, J) of all inputs."""
    with torch.no_grad():
        return torch.cat([encoder(*hidden.rows(rows)) for rows in torch.split(torch.arange(len(hidden)), batch_size)])


@dataclass(frozen=True, eq=False)
class LearnedEncoder:
    """An encoder whose attributes of all inputs are (N, J), a head for each model, and R² of what is rebuilt from the
    attributes held out."""

    encoder: JoinedArms | NonnegativeEncoder | SparseEncoder
    attributes: Tensor
    heads: dict[str, ConceptHead]
    reconstruction: float
    rebuilt: str
    interrupted: bool = False


def _of_directions(
    hidden: HiddenOfInputs, aside: Tensor, checked: Tensor, size: int, seed: int, progress: FittingProgress | None
) -> LearnedEncoder:
    """Kind 'nmf': nonnegative directions of one layer, and the convex refit of each head."""
    encoder = _nonnegative(hidden.layers[0], _feature_rows(hidden, ~aside, seed), size, seed, progress)
    return _refitted(hidden, encoder, aside, checked)


def _sparse(
    hidden: HiddenOfInputs, aside: Tensor, checked: Tensor, size: int, seed: int, progress: FittingProgress | None
) -> LearnedEncoder:
    """Kind 'sae': a sparse autoencoder of one layer, which begins with nonnegative directions, and the convex refit."""
    layer, rows = hidden.layers[0], _feature_rows(hidden, ~aside, seed)
    begin = _nonnegative(layer, rows, size, seed, progress).directions
    active = max(1, round(size * _ACTIVE_SHARE))
    coder = sparse_coder(rows, begin, active, seed, progress)
    encoder = SparseEncoder(layer.pool, size, rows.shape[1], active)
    for name, part in coder._asdict().items():
        encoder.get_buffer(name).copy_(part)
    return _refitted(hidden, encoder, aside, checked)


def _nonnegative(
    layer: LayerOfModel, rows: Tensor, size: int, seed: int, progress: FittingProgress | None
) -> NonnegativeEncoder:
    signed = bool((rows < 0).any())
    encoder = NonnegativeEncoder(layer.pool, size, rows.shape[1], signed=signed)
    encoder.set_factors(nmf(parts_of(rows, signed=signed), size, seed, progress)[0])
    return encoder


def _refitted(
    hidden: HiddenOfInputs, encoder: NonnegativeEncoder | SparseEncoder, aside: Tensor, checked: Tensor
) -> LearnedEncoder:
    layer = hidden.layers[0]
    attributes = attributes_of(hidden, encoder)
    unit = _unit(attributes, ~aside)
    encoder.multiply(unit)
    attributes = attributes * unit
    heads = {
        name: _head(network, attributes, hidden.outputs[name], aside, checked)
        for name, network in hidden.networks.items()
    }
    rebuilt = f"layer '{layer.name}'" if layer.number else "the input"
    return LearnedEncoder(encoder, attributes, heads, _rebuilt(hidden, encoder, aside.nonzero()[:, 0]), rebuilt)


def _flint(
    losses: FlintLosses,
    hidden: HiddenOfInputs,
    aside: Tensor,
    checked: Tensor,
    size: int,
    seed: int,
    progress: FittingProgress | None,
) -> LearnedEncoder:
    """Kind 'flint': see `learning`."""
    lessons = lessons_of(hidden, aside, size, seed, progress)
    interpreter, interrupted = learned_post_hoc(
        hidden, lessons, ~aside & ~checked, checked, size, seed, losses, progress
    )
    return of_interpreter(hidden, interpreter, lessons, aside, interrupted=interrupted)


def lessons_of(
    hidden: HiddenOfInputs, aside: Tensor, size: int, seed: int, progress: FittingProgress | None
) -> Lessons:
    """What FLINT is taught."""
    assert hidden.teacher is not None
    readings = {name: network.outputs for name, network in hidden.networks.items()}
    goals = {name: goal_of(hidden.outputs[name], reading, None) for name, reading in readings.items()}
    target, rebuilt = target_of(hidden.inputs, hidden.teacher, ~aside)
    warm = warm_codes(hidden.teacher, ~aside, size, seed, progress)
    return Lessons(goals, hidden.outputs, readings, target, rebuilt, warm)


@torch.no_grad()
def of_interpreter(
    hidden: HiddenOfInputs, interpreter: FlintNets, lessons: Lessons, aside: Tensor, *, interrupted: bool
) -> LearnedEncoder:
    """What a trained interpreter says of all inputs, in units in which 1 is each attribute's highest value."""
    encoder = interpreter.encoder
    attributes = attributes_of(hidden, encoder)
    held = aside.nonzero()[:, 0]
    rebuilt = torch.cat([interpreter.decoder(some) for some in torch.split(attributes[held], 512)])
    reconstruction = r_squared(rebuilt, lessons.target[held])
    unit = _unit(attributes, ~aside)
    encoder.multiply(unit)
    heads = {}
    for name, head in zip(hidden.networks, interpreter.heads, strict=True):
        assert isinstance(head, nn.Linear)
        heads[name] = ConceptHead(head.weight.detach() / unit, head.bias.detach())
    return LearnedEncoder(encoder, attributes * unit, heads, reconstruction, lessons.rebuilt, interrupted)


def _feature_rows(hidden: HiddenOfInputs, learned: Tensor, seed: int) -> Tensor:
    """Rows of features (n, F) of the one layer, at chosen positions of chosen inputs where there are very many."""
    chance = torch.Generator().manual_seed(seed)
    which = learned.nonzero()[:, 0]
    which = which[torch.randperm(len(which), generator=chance)[:_ROWS_AT_MOST]].sort().values
    found: list[Tensor] = []
    for some in torch.split(which, 512):
        placed = places_last(hidden.rows(some)[0], hidden.layers[0].pool).transpose(1, 2)
        rows = placed.reshape(-1, placed.shape[2])
        share = max(1, round(len(some) * _ROWS_AT_MOST / len(which)))
        if len(rows) > share:
            rows = rows[torch.randperm(len(rows), generator=chance)[:share]]
        found.append(rows)
    return torch.cat(found)


def _unit(attributes: Tensor, learned: Tensor) -> Tensor:
    """What (J,) makes 1 the highest value of each attribute among the inputs that it is learned from."""
    highest = attributes[learned].amax(dim=0)
    return 1 / torch.where(highest > 0, highest, 1.0)


def _head(network: Network, attributes: Tensor, outputs: Tensor, aside: Tensor, checked: Tensor) -> ConceptHead:
    """The convex refit: the linear map of attributes that is nearest to the model's outputs."""
    goal = goal_of(outputs, network.outputs, None)
    weight, bias, _ = fit_linear(attributes, goal, ~aside & ~checked, checked)
    return ConceptHead(weight, bias)


def _rebuilt(hidden: HiddenOfInputs, encoder: NonnegativeEncoder | SparseEncoder, held: Tensor) -> float:
    """R² of the layer's features at each position, as the codes there and the directions give them."""
    guess: list[Tensor] = []
    truth: list[Tensor] = []
    centre = encoder.centre[None, :, None] if isinstance(encoder, SparseEncoder) else 0.0
    with torch.no_grad():
        for some in torch.split(held, 512):
            value = hidden.rows(some)[0]
            truth.append(places_last(value, encoder.pool))
            guess.append(centre + torch.einsum("bjp,jf->bfp", encoder.maps(value), encoder.directions))
    return r_squared(torch.cat(guess), torch.cat(truth)) if guess else float("nan")
