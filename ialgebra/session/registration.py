"""The work of `Session.register_…` and of the methods for trained heads.

In: Python objects as a caller gives them, the catalog and the history. Out: the changed catalog, and the call with
which a script registers the same again. Nothing here takes locks or lists steps; `session` does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Real

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..algebra.baselines import Baseline, Constant, Given, check_baseline
from ..algebra.kinds import KINDS, kind_of
from ..algebra.labelling import check_partition
from ..algebra.packings import agreed, packing_of
from ..algebra.packings.frames import FramePacking
from ..algebra.players import Labels, Partition
from ..algebra.sources import Source
from ..algebra.windows import Mask
from ..catalog import derived
from ..catalog.catalog import Catalog
from ..catalog.encodings import is_encoding
from ..catalog.forms import form, pictures
from ..catalog.frames import is_frame
from ..catalog.inputs import Element, Entry, entry, hidden, labels_of, snapshot
from ..catalog.parts import SaidOfParts, is_composite
from ..catalog.reading import is_folder
from ..catalog.texts import is_text
from ..errors import BindError, IalgebraError, ShapeError, did_you_mean
from ..interpreters.checked import known_interpreter
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHIPPED
from ..kernels.estimators.registry import METHODS
from ..language import reader
from ..language.bind.inputs import bind_baselines, for_input
from ..language.bind.options import bind_players
from ..language.bind.predicates import bind_window
from ..language.printer import baseline_text
from ..models.adapters.reducing import Reduce
from ..models.calls import Preprocess
from ..models.head_files import weights_digest
from ..models.layers import LayerChoice
from ..models.network import Network
from ..models.output_evidence import AUTO
from ..results.assemble import say
from ..system.checks import number
from .history import History
from .names import valid_name
from .steps import Heads, PythonCall, PythonValue

Wish = str | float | ArrayLike | Tensor  # a baseline or players: text as in a query, a number, or a tensor


def network_of(
    name: str,
    module: object,
    layers: Sequence[LayerChoice] | None,
    classes: Sequence[str] | Mapping[int, str] | None,
    output: str,
    device: str | torch.device | None,
    batch_size: int | None,
    example: ArrayLike | Tensor | None,
    outputs: str,
    train_mode: bool,
    version: str | None,
    reduce: Reduce | None,
    preprocess: Preprocess | None,
) -> Network:
    """A model that can be registered; see `Session.register_model`. With an `example`, which takes a turn at the model,
    its layers and classes are known."""
    name = valid_name("model", name)
    said = (layers, classes, output, device, batch_size)
    network = Network(
        *(name, module, *said),
        outputs=outputs,
        train_mode=train_mode,
        version=version,
        reduce=reduce,
        preprocess=preprocess,
    )
    if example is not None:
        network.meet(_example(network, example))
    return network


def _example(network: Network, value: object) -> Tensor:
    """An example as the model is given it. A picture, a frame, named parts or what a tokenizer returns are read as an
    input would be; any other array is one row as it is, unless it is plainly a picture whose channels come last."""
    name = f"example of {network.name}"
    if is_encoding(value) or is_frame(value) or is_composite(value) or pictures(name, value, None)[0] is not value:
        element = entry(name, value).elements[0]
        return element.tensor if network.tokens is None else element.packed(network.tokens, element).tensor
    row = snapshot(name, value)
    with suppress(ShapeError):
        if row.dim() == 3:
            row = form(name, row).tensors[0]
    return network.whole(row.unsqueeze(0))[0]


def register_model(
    catalog: Catalog,
    history: History,
    network: Network,
    classes: Sequence[str] | Mapping[int, str] | None,
    device: str | torch.device | None,
) -> PythonCall:
    """Give a model its name; `classes` and `device` are what the caller said of them."""
    if isinstance(classes, Mapping):
        words: PythonValue = {int(k): str(word) for k, word in classes.items()}
    else:
        words = None if classes is None else tuple(map(str, classes))
    derived.check_own(catalog, network.name)
    call = history.model(
        network,
        catalog.models.get(network.name),
        classes=words,
        output=network.output,
        outputs=None if network.said_outputs == AUTO else network.said_outputs,
        device=None if device is None else str(device),
        batch_size=network.batch_size,
        train_mode=network.train_mode or None,
        version=network.version,
        reduce=history.part_of(network, "reduce", network.said[0]),
        preprocess=history.part_of(network, "preprocess", network.said[1]),
    )
    catalog.models[network.name] = network
    network.tabling.keep_in(catalog.tables)
    for told in derived.registered_again(catalog, network):
        say(told)
    return call


def register_input(
    catalog: Catalog,
    name: str,
    tensor: object,
    baseline: Wish | None,
    players: Wish | None,
    feature_names: Sequence[object] | Mapping[int, str] | None,
    labels: Sequence[int] | Sequence[str] | ArrayLike | None,
    kind: SaidOfParts,
    layout: SaidOfParts,
    tokenizer: object = None,
) -> PythonCall:
    """See `Session.register_input`. If anything does not fit, the catalog stays as it was."""
    name = valid_name("input", name)
    if tokenizer is None and is_text(tensor) and not is_folder(tensor):
        tokenizer = _tokenizer_of_models(catalog)
    made = entry(name, tensor, feature_names, kind, layout, tokenizer)
    if labels is not None:
        made = dataclasses.replace(made, labels=labels_of(made, labels))
    draft = catalog.snapshot()
    draft.inputs[name] = made  # so that a baseline may name the collection itself: mean(xs)
    baselines = None if baseline is None else for_input(_baselines(draft, made, baseline), made, draft)
    partition = None if players is None else _players(draft, made, players)
    made = _of_the_baseline(draft, made, baselines or ())
    draft.inputs[name] = made
    for each in baselines or ():
        check_baseline(each, made.kind, made.example.tensor, lambda source: draft.element(source).tensor)
    if partition is not None:
        check_partition(partition, made.kind, made.shape, draft.mask, made.feature_names)
    draft.inputs[name] = made = dataclasses.replace(made, baselines=baselines, players=partition or made.players)
    call = PythonCall("register_input", name, _as_registered(draft, made))
    catalog.inputs = draft.snapshot().inputs  # in one step, so that a query that begins meanwhile sees all or nothing
    return call


def register_window(catalog: Catalog, name: str, mask_or_predicate: object) -> PythonCall:
    """See `Session.register_window`."""
    name = valid_name("window", name)
    given: PythonValue
    if isinstance(mask_or_predicate, str):
        given = mask_or_predicate
        try:
            window = bind_window(reader.parse_predicate(mask_or_predicate), catalog.windows, None)
        except IalgebraError as error:
            raise error.at(mask_or_predicate) from error.__cause__
        catalog.windows[name] = window
    else:
        mask = mask_or_predicate
        if isinstance(mask, Tensor):  # NumPy knows neither bfloat16 nor sparse tensors
            dense = mask.detach().cpu().to_dense()
            mask = (dense.float() if dense.is_floating_point() else dense).numpy()
        given = catalog.windows[name] = Mask.of(name, np.asarray(mask))
    return PythonCall("register_window", name, {"mask_or_predicate": given})


def register_interpreter(
    catalog: Catalog, history: History, name: str, interpreter: GameInterpreter | ModelInterpreter
) -> PythonCall:
    """See `Session.register_interpreter`."""
    name = valid_name("interpreter", name)
    if name.lower() in {each.lower() for each in (*METHODS, *SHIPPED)}:
        raise BindError(f"'{name}' is an interpreter that is shipped; choose another name")
    again = catalog.interpreters.get(name) is interpreter
    catalog.interpreters[name] = known_interpreter(name, interpreter)
    return PythonCall("register_interpreter", name, {"interpreter": history.given("interpreters", name, again)})


def meet(network: Network) -> None:
    """Learn of a model that has run what its first query would learn."""
    if network.example is not None:
        network.meet(network.example)


def heads_of(network: Network) -> PythonCall:
    """The call that loads the heads that a model has now, whether they were trained or loaded."""
    return PythonCall("load_heads", network.name, {"path": Heads(network.named_heads, weights_digest(network))})


def example_of(catalog: Catalog, network: Network) -> str:
    """The name of an input that a model can be run on; BindError if there is none, or more than one."""
    inputs = catalog.visible
    fitting = [name for name, each in inputs.items() if not network.probed or network.row_shape == each.shape]
    if not fitting or not (network.probed or len(fitting) == 1):
        raise BindError(f"name an input to run model '{network.name}' on{did_you_mean('', inputs)}")
    return fitting[0]


def _tokenizer_of_models(catalog: Catalog) -> object:
    """The tokenizer that a registered model brings, if just one does; None otherwise."""
    found = {id(each.tokenizer): each.tokenizer for each in catalog.models.values() if each.tokenizer is not None}
    return next(iter(found.values())) if len(found) == 1 else None


def _baselines(catalog: Catalog, x: Entry, wish: object) -> tuple[Baseline, ...]:
    if isinstance(wish, str):
        return bind_baselines(reader.parse_value(wish), catalog)
    if isinstance(wish, Real) or (isinstance(wish, (Tensor, np.ndarray)) and wish.ndim == 0):
        return (Constant(number(f"the baseline of '{x.name}'", wish if isinstance(wish, Real) else wish.item())),)
    kind: SaidOfParts = x.kind if KINDS[x.kind].quantities else None
    if parts := KINDS[x.kind].parts:
        kind = {part.name: part.kind for part in parts if part.shape}
    own = entry(hidden(x.name, "baseline"), wish, kind=kind, layout=x.layout_of(wish))
    catalog.inputs[own.name] = own
    return tuple(Given(source) for source in own.sources)


def _of_the_baseline(catalog: Catalog, made: Entry, baselines: Sequence[Baseline]) -> Entry:
    """A Series, which holds values without the dtypes of its columns, and a row of numbers, with those of the frame
    that is its baseline."""
    packing = packing_of(made.example.tensor)
    given = [each for each in baselines if isinstance(each, Given)]
    inferred = packing is None or (isinstance(packing, FramePacking) and packing.is_inferred)
    if (
        made.block is not None
        or not inferred
        or not given
        or made.kind != "tabular"
        or packing_of(catalog.element(given[0].source).tensor) is None
    ):
        return made
    elements = tuple(Element(agreed(x.tensor, catalog.element(given[0].source).tensor)[0]) for x in made.elements)
    return dataclasses.replace(made, elements=elements)


def _players(catalog: Catalog, x: Entry, wish: object) -> Partition:
    if isinstance(wish, str):
        return bind_players(reader.parse_value(wish), catalog)
    if isinstance(wish, list | tuple):  # a tokenizer's word_ids() have None for special tokens
        wish = [-1 if each is None else each for each in wish]
    own = entry(hidden(x.name, "players"), wish, layout=x.layout_of(wish))
    catalog.inputs[own.name] = own
    return Labels(Source(own.name))


def _as_registered(catalog: Catalog, made: Entry) -> dict[str, PythonValue]:
    """The arguments that register an input again as it is."""
    baseline: PythonValue = made.baselines and baseline_text(made.baselines)
    players: PythonValue = None if made.players is None else str(made.players)
    inputs = catalog.inputs  # an earlier registration's tensors may still be in it; nothing reads them
    own = {name: inputs[name] for what in ("baseline", "players") if (name := hidden(made.name, what)) in inputs}
    if made.baselines and isinstance(first := made.baselines[0], Given):
        baseline = own.get(first.source.name, baseline)
    if isinstance(made.players, Labels):
        players = own.get(made.players.source.name, players)
    return {
        "tensor": made,
        "baseline": baseline,
        "players": players,
        "feature_names": made.feature_names,
        "labels": made.labels,
        **_as_read(made),
    }


def _as_read(made: Entry) -> dict[str, PythonValue]:
    """What `kind=` and `layout=` must say for the tensors of an entry to be read as they are held, or as they lie in
    their file."""
    kind = KINDS[made.kind]
    if made.origin is not None:
        return {"kind": made.kind, "layout": made.layout}
    if kind.parts:
        said = {part.name: part.kind for part in kind.parts if part.kind != "tabular" or part.names is None}
        lies = {name: KINDS[of].layouts[0] for name, of in said.items() if KINDS[of].layouts}
        return {"kind": said or None, "layout": lies or None}
    if isinstance(packing_of(made.example.tensor), FramePacking):
        return {"feature_names": None}
    told = kind_of(made.shape, made.example.tensor.dtype)
    held = kind.layouts[0] if kind.layouts else None
    try:
        plain = told is kind and form(made.name, made.example.tensor).layout == held
    except ShapeError:
        plain = False
    return {} if plain else {"kind": made.kind, "layout": held}
