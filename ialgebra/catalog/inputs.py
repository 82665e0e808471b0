"""Registered inputs: tensors, their kinds, and the defaults of queries over them.

In: tensors, arrays and lists of a caller. Out: an Entry, whose elements are copies on the CPU, or a ShapeError or
BindError that says what to register. It may not know models, windows or queries.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import cast, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..algebra.baselines import Baseline, Constant, materialise
from ..algebra.edits import picture_scale
from ..algebra.kinds import KINDS, InputKind, forms
from ..algebra.kinds.composite import composite_name
from ..algebra.kinds.kind import PartKind
from ..algebra.kinds.naming import TextNames
from ..algebra.packings import carrying, packing_of, plain
from ..algebra.packings.parts import InputPart, PartsPacking, packed_parts
from ..algebra.players import Partition, Words
from ..algebra.sources import Source
from ..errors import BindError, ShapeError
from ..models.adapters.strings import SPELLING
from ..models.tokens import TokenReader
from ..system.checks import whole
from ..system.tensors import array_of
from .encodings import Encoding, encoding, is_encoding
from .forms import form, pictures, shape_reading
from .frames import is_frame, read_frame
from .parts import SaidOfParts, is_composite, is_rider, is_scalar, one_word, together, words_of_parts
from .reading import FileArray, Folder, RawItems, ReadElements, is_folder, item_labels, raw_items
from .texts import AbsentTokens, is_picture_file, is_text, names_its_tokens, no_tokenizer, read_texts, said_absent

_HIDDEN_MARK = "\0"  # a query cannot contain it, so a name with it is hidden from queries
_MOST_WORDS = 1 << 24  # of a vocabulary that is given by token
_LABEL_LIMIT = 1 << 53  # below it, different whole numbers are different floats
_PICTURES_LOOKED_AT = 64  # of a collection, to tell its scale
_FORMS = forms()


@dataclass(frozen=True, eq=False)
class Element:
    """One registered input: a copy on the CPU, which does not change if the caller changes the original tensor.

    Of a token sequence, `attention` (T,) is the mask that was registered with it, and `types` (T,) are the types of its
    tokens, and `names` what its tokenizer calls them; None where none were.
    """

    tensor: Tensor
    attention: Tensor | None = None
    types: Tensor | None = None
    names: TextNames | None = None

    @cached_property
    def array(self) -> NDArray[np.generic]:
        """The same values as a NumPy array; bfloat16 as float32."""
        return array_of(plain(self.tensor))

    @cached_property
    def digest(self) -> str:
        """A digest of the content: dtype, shape and bytes."""
        riders = [content_digest(each) for each in (self.attention, self.types) if each is not None]
        return "+".join([content_digest(self.tensor), *riders])

    def packed(self, reader: TokenReader, as_registered: Element) -> Element:
        """These tokens as a model that reads attention masks is given them. Masks and types are those of the input
        `as_registered`, of which this one may be an edit; what is hidden stays as it was registered."""
        return _packed(self, reader, as_registered)


@lru_cache(maxsize=256)
def _packed(element: Element, reader: TokenReader, as_registered: Element) -> Element:
    hidden = reader.hidden(as_registered.tensor, as_registered.attention)
    ids, types = as_registered.tensor, as_registered.types
    if (more := len(element.tensor) - len(ids)) > 0:  # a text at the length of another one
        hidden = torch.nn.functional.pad(hidden, (0, more), value=True)
        ids = torch.nn.functional.pad(ids, (0, more), value=reader.pad or 0)
        types = None if types is None else torch.nn.functional.pad(types, (0, more))
    return Element(reader.packed(torch.where(hidden, ids, element.tensor), hidden, types))


@lru_cache(maxsize=32)
def constant_element(baseline: Constant, kind: str, shape: torch.Size, dtype: torch.dtype) -> Element:
    """The constant baseline of inputs of this shape and dtype; cached, because most queries use the same one."""
    return Element(materialise(baseline, kind, torch.empty(shape, dtype=dtype), lambda _: torch.empty(0), lambda _: ()))


def content_digest(tensor: Tensor) -> str:
    """A name for a tensor's content: equal tensors of one dtype, shape and packing have equal digests."""
    raw = tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
    packing, tensor = packing_of(tensor), plain(tensor)
    head = f"{tensor.dtype}{tuple(tensor.shape)}{'' if packing is None else packing.key}".encode()
    return hashlib.blake2b(raw.numpy().tobytes(), digest_size=12, key=head[-64:]).hexdigest()


def digest_together(elements: Sequence[Element], tensors: Tensor) -> None:
    """Compute the digests of elements without packings, whose `tensors` are given on a first axis, in one go."""
    unknown = [k for k, each in enumerate(elements) if "digest" not in each.__dict__]
    if not unknown:
        return
    head = f"{tensors.dtype}{tuple(tensors.shape[1:])}".encode()[-64:]
    rows = tensors.reshape(len(elements), -1).contiguous().view(torch.uint8).numpy()
    for k in unknown:
        if elements[k].attention is None and elements[k].types is None:
            own = hashlib.blake2b(rows[k].tobytes(), digest_size=12, key=head).hexdigest()
            elements[k].__dict__["digest"] = own  # where the cached property keeps it


@dataclass(frozen=True, eq=False)
class Entry:
    """A registered input or collection, with the baseline and the players that its queries use by default."""

    name: str
    elements: Sequence[Element]
    collection: bool
    kind: str  # one of `algebra.kinds.KINDS`, or a composite of them
    feature_names: tuple[str, ...] | None
    baselines: tuple[Baseline, ...] | None = None
    players: Partition | None = None
    labels: Sequence[int] | Sequence[str] | None = None  # one per element
    layout: str | None = None  # how the axes lay when it was registered; None for kinds of one order of axes
    how: str = ""  # how it was read, in words
    absent: AbsentTokens | None = None  # what may stand for absent tokens, of texts whose tokenizer is known
    tokenizer: object = None
    origin: FileArray | Folder | None = None  # where it is read from, if it is read when it is needed
    first: Element | None = None  # of a collection that is read when it is needed, as it was when it was registered

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.example.tensor.shape)

    @property
    def example(self) -> Element:
        """An element that tells the form of all."""
        return self.elements[0] if self.first is None else self.first

    @property
    def held(self) -> Sequence[Element]:
        """The elements that are in memory: all, or none of a collection that is read when it is needed."""
        return () if isinstance(self.elements, ReadElements) else self.elements

    @property
    def block(self) -> int | None:
        """How many elements are planned and run together, if they are read when they are needed; else None."""
        return self.elements.block if isinstance(self.elements, ReadElements) else None

    def opened(self, *, again: bool = False) -> Entry:
        """This entry as a query uses it: what is read when it is needed is read anew, and with `again` must be as this
        entry found it."""
        if not isinstance(self.elements, ReadElements):
            return self
        return dataclasses.replace(self, elements=self.elements.opened(again=again))

    def digest(self, index: int) -> str:
        """The digest of an element's content."""
        return self.elements.digest(index) if isinstance(self.elements, ReadElements) else self.elements[index].digest

    def layout_of(self, value: object) -> str | None:
        """The layout of a baseline or a mask: this input's, if it lies as the input lay when it was registered; None if
        it must tell by itself."""
        held = KINDS[self.kind].layouts
        if self.layout is None or not held:
            return None
        lengths = dict(zip(held[0], self.shape, strict=True))
        first = value[0] if isinstance(value, list | tuple) and value else value
        axes = tuple(getattr(first, "shape", ()))[-len(self.layout) :]
        lay = len(axes) == len(self.layout) and all(
            n in (1, lengths[axis]) for n, axis in zip(axes, self.layout, strict=True)
        )
        return self.layout if lay else None

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Black and white of a picture, or of the pictures of a collection; the first ones tell it."""
        some = self.held[:_PICTURES_LOOKED_AT] or [self.example]
        return picture_scale(plain(each.tensor) for each in some)

    @cached_property
    def token_names(self) -> dict[int, str]:
        """The names of the tokens that its texts hold, by id; empty where no tokenizer named them."""
        named = [each for each in self.held if each.names is not None]
        return {
            token: name
            for each in reversed(named)
            for token, name in zip(each.tensor.tolist(), each.names.tokens if each.names else (), strict=True)
        }

    @cached_property
    def word_names(self) -> tuple[str, ...]:
        """The words and tokens that its texts hold, each once; empty where no tokenizer named them."""
        named = [each.names for each in self.held if each.names is not None]
        return tuple(dict.fromkeys(word for each in named for word in (*each.word_names, *each.tokens)))

    @property
    def known_words(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """The words that a predicate may compare tokens with, and the names that it may compare features with; None
        where there are none, or any will do."""
        return (self.word_names or self.vocabulary), self.feature_names

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """The words that token ids stand for; None if the names of a token input are one per position."""
        names = self.feature_names
        return names if KINDS[self.kind].vocabulary and names is not None and len(names) != self.shape[0] else None

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """One reference for each element."""
        if not self.collection:
            return (Source(self.name),)
        return tuple(Source(self.name, index) for index in range(len(self.elements)))


class ReadTensors(Sequence[Tensor]):
    """The tensors of elements that are read when they are needed."""

    def __init__(self, elements: Sequence[Element]) -> None:
        self._elements = elements

    def __len__(self) -> int:
        return len(self._elements)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return [each.tensor for each in self._elements[index]]
        return self._elements[index].tensor


def hidden(name: str, what: str) -> str:
    """The name under which the baseline or the players of input `name` are registered, if they are tensors. A query
    cannot contain this name."""
    return f"{name}{_HIDDEN_MARK}{what}"


def is_hidden(name: str) -> bool:
    """Whether `hidden` made a name."""
    return _HIDDEN_MARK in name


def entry(
    name: str,
    value: object,
    feature_names: Iterable[object] | None = None,
    kind: SaidOfParts = None,
    layout: SaidOfParts = None,
    tokenizer: object = None,
) -> Entry:
    """A registered input from a tensor, array, nested list, picture, frame, or a list or batch of them (a collection),
    read as `forms.form` says; or from a mapping of named parts, for each of which `kind` and `layout` may say its own.

    Raises ShapeError for anything else, and for a list whose elements differ in shape; BindError for names, a kind or a
    layout that do not fit.
    """
    if is_picture_file(value) and tokenizer in (None, "words"):
        raise BindError(
            f"input '{name}' is the path of a picture; open it: register_input({name!r}, "
            "PIL.Image.open(path).convert('RGB'))"
        )
    if isinstance(value, list | tuple) and value and all(map(is_composite, value)):
        value = together(name, cast("Sequence[Mapping[str, object]]", value))
    folder = is_folder(value, bare=tokenizer is None)
    if not folder and (is_text(value) or tokenizer is not None or names_its_tokens(value)):
        return _of_texts(name, value, feature_names, kind, layout, tokenizer)
    if is_frame(value):
        return _of_frame(name, value, feature_names, one_word(name, "kind", kind), one_word(name, "layout", layout))
    if is_composite(value):
        return _of_parts(name, cast("Mapping[str, object]", value), feature_names, kind, layout)
    kind, layout = one_word(name, "kind", kind), one_word(name, "layout", layout)
    items = raw_items(name, value)
    if items is not None and (lazy := _of_items(items, kind, layout, feature_names)) is not None:
        return lazy
    value, lies = pictures(name, value, layout)
    riders: Encoding | None = None
    if is_encoding(value):
        riders = encoding(name, value)
        value, kind = riders.ids, kind or "tokens"
    given: Tensor | list[Tensor]
    if isinstance(value, (list, tuple)) and value and all(_is_array(each) for each in value):
        given = [snapshot(name, each) for each in value]
        if given[0].dim() == 0:
            raise ShapeError(f"input '{name}' is a list of scalars; register {_FORMS}")
    else:
        given = snapshot(name, value)
    read = form(name, given, kind, lies)
    first, of_kind = read.tensors[0], read.kind
    names = _feature_names(name, feature_names, of_kind, first)
    elements = tuple(Element(each) for each in read.tensors)
    if riders is not None:
        elements = tuple(_riding(each, riders, k if read.collection else None) for k, each in enumerate(elements))
    return Entry(name, elements, read.collection, of_kind.name, names, layout=read.layout, how=read.how)


def _feature_names(
    name: str, feature_names: Iterable[object] | None, kind: InputKind, first: Tensor
) -> tuple[str, ...] | None:
    """The names of features as a registration says them, checked against the `first` element."""
    if feature_names is None:
        return None
    if kind.named is None or isinstance(feature_names, str) or not isinstance(feature_names, Iterable):
        raise BindError(f"feature names of input '{name}' must be a list of names, for tabular inputs or tokens")
    if isinstance(feature_names, Mapping):  # from token to word
        tokens = [whole(f"a token in the feature names of '{name}'", k, 0, _MOST_WORDS) for k in feature_names]
        feature_names = [feature_names.get(k, k) for k in range(max(tokens, default=-1) + 1)]
    names = tuple(map(str, feature_names))
    if not kind.vocabulary and len(names) != first.numel():
        raise ShapeError(f"input '{name}' has {first.numel()} features and {len(names)} feature names")
    return names


def _of_items(
    items: RawItems, kind: str | None, layout: str | None, feature_names: Iterable[object] | None
) -> Entry | None:
    """A collection that is read when it is needed; None for an array that is one input."""
    name, words = items.name, kind

    def tensor_of(index: int) -> tuple[Tensor, str | None]:
        raw = items.read(index)
        if isinstance(raw, Mapping) or raw is None:
            raise ShapeError(
                f"{items.said(index)} of '{name}' is a {type(raw).__name__}; a dataset gives an array, or a pair of an "
                "array and its label: wrap it in one that does"
            )
        value, lies = pictures(name, raw, layout)
        try:
            return snapshot(name, value), lies
        except ShapeError as error:
            raise ShapeError(f"{items.said(index)}: {error.message}") from error.__cause__

    first, lies = tensor_of(0)
    if first.numel() == 0:
        raise ShapeError(f"{items.said(0)} of '{name}' is empty; register {_FORMS}")
    read = shape_reading(name, (items.count, *first.shape), first.dtype, items.listed, words, lies)
    if not read.collection:
        return None
    example = Element(read.held(first))

    def element(index: int) -> Element:
        found, _ = tensor_of(index)
        if (found.shape, found.dtype) != (first.shape, first.dtype):
            picture = "resize it, or " if isinstance(items.origin, Folder) else ""
            raise ShapeError(
                f"{items.said(index)} of '{name}' is {found.dtype} of shape {tuple(found.shape)}, while the first is "
                f"{first.dtype} of shape {tuple(first.shape)}; {picture}register a dataset that makes all of one form"
            )
        return Element(read.held(found))

    names = _feature_names(name, feature_names, read.kind, example.tensor)
    elements = ReadElements(items.count, example.tensor.nbytes, items.said, element)
    return Entry(
        *(name, elements, True, read.kind.name, names),
        labels=item_labels(items),
        layout=read.layout,
        how=read.how,
        origin=items.origin,
        first=example,
    )


def _of_parts(
    name: str,
    value: Mapping[str, object],
    feature_names: Iterable[object] | None,
    kind: SaidOfParts,
    layout: SaidOfParts,
) -> Entry:
    """A composite of named parts, each read by its own rules; a collection, if its parts are collections."""
    if feature_names is not None:
        raise BindError(f"the parts of input '{name}' have names of their own; leave feature_names out")
    said = {"kind": words_of_parts(name, "kind", kind, value), "layout": words_of_parts(name, "layout", layout, value)}
    entries = {}
    for key, each in value.items():
        words = said["kind"].get(key), said["layout"].get(key)
        entries[key] = _part(f"{name}.{key}", each, *words)
    counts = {key: len(each.elements) if each.collection else None for key, each in entries.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"'{key}' {'one input' if n is None else f'{n} inputs'}" for key, n in counts.items())
        raise ShapeError(
            f"the parts of input '{name}' are not of one number: {shown}; give each part one input, or each a batch of "
            "as many, and say the kind of a part that was read otherwise: kind={'part': 'series'}"
        )
    parts, kinds = [], []
    for key, each in entries.items():
        tensor = each.elements[0].tensor
        shape = () if is_scalar(value[key]) else each.shape
        names = (key,) if is_scalar(value[key]) else each.feature_names if KINDS[each.kind].named == "feature" else None
        rides = is_rider(key)
        parts.append(InputPart(key, shape, tensor.dtype, packing_of(tensor), rides))
        kinds.append(PartKind(key, each.kind, each.shape, names, rides))
    packing = PartsPacking(tuple(parts))
    elements = tuple(
        Element(carrying(packed_parts({key: plain(each.elements[k].tensor) for key, each in entries.items()}), packing))
        for k in range(len(next(iter(entries.values())).elements))
    )
    of_kind = KINDS[composite_name(kinds)]
    how = (
        f"was read as {of_kind.article}; a model is called with these names, as in its forward, or with one mapping; "
        f"kind={{'{kinds[0].name}': …}} in register_input reads a part otherwise"
    )
    return Entry(name, elements, counts[kinds[0].name] is not None, of_kind.name, None, how=how)


def _part(name: str, value: object, kind: str | None, layout: str | None) -> Entry:
    """One part of a composite; a number is a table of one feature."""
    if isinstance(value, str) or value is None:
        raise BindError(
            f"part '{name}' is {value!r:.40}, a single value that is no number; a row of such values is a table: "
            "register pandas.DataFrame([values])"
        )
    if is_scalar(value):
        return entry(name, snapshot(name, value).reshape(1), kind=kind or "tabular")
    return entry(name, value, kind=kind, layout=layout)


def _of_frame(name: str, value: object, feature_names: object, kind: str | None, layout: str | None) -> Entry:
    """The rows of a DataFrame as a collection; one row, or a Series, is one input."""
    if kind not in (None, "tabular", "table"):
        raise BindError(f"input '{name}' is a frame, whose rows are of a table; kind={kind!r} does not fit it")
    if layout is not None:
        raise BindError(f"layout={layout!r} of input '{name}' means nothing for a frame; leave it out")
    if feature_names is not None:
        raise BindError(f"the columns of frame '{name}' name its features; rename them, or leave feature_names out")
    held, packing = read_frame(name, value)
    rows = [Element(carrying(row, packing)) for row in torch.from_numpy(held)]
    rows_read = "a row" if len(rows) == 1 else f"{len(rows)} rows"
    how = f"was read as {rows_read} of a table of {len(packing.columns)} columns, which a model gets as a DataFrame"
    if any(column.inferred for column in packing.columns):
        how += "; a Series has lost the types of its frame's columns: register frame.iloc[[0]] instead of frame.iloc[0]"
    if lacking := packing.without_numbers:
        how += f"; {lacking} hold{'' if 'columns' in lacking else 's'} no numbers: a model that takes numbers needs an "
        how += "encoder before it, as in register_model('f', lambda frame: net(encode(frame)))"
    return Entry(name, tuple(rows), len(rows) > 1, "tabular", packing.names, how=how)


def _of_texts(
    name: str, value: object, feature_names: object, kind: SaidOfParts, layout: SaidOfParts, tokenizer: object
) -> Entry:
    """Texts, or what a tokenizer returned for them, as token sequences of one length."""
    if kind not in (None, "tokens") or layout is not None:
        raise BindError(f"input '{name}' is a text, which is of kind 'tokens' and has no layout; leave them out")
    if feature_names is not None:
        raise BindError(f"the tokenizer of text '{name}' names its tokens; leave feature_names out")
    if tokenizer is None and is_text(value):
        raise no_tokenizer(name)
    tokenizer = SPELLING if tokenizer == "words" else tokenizer
    texts, collection, known = read_texts(name, value, tokenizer)
    absent = said_absent(value) if tokenizer is None else known
    elements = tuple(Element(each.ids, each.attention, each.types, each.names) for each in texts)
    how = f"was read as {len(texts)} texts" if collection else f"was read as a text of {len(texts[0].ids)} tokens"
    made = Entry(name, elements, collection, "tokens", None, how=how, absent=absent, tokenizer=tokenizer)
    if tokenizer is not SPELLING:
        return made
    how = "was read as words, for a model that takes texts themselves; tokenizer=… reads them for another model"
    return dataclasses.replace(made, players=Words(), how=how)


def _riding(element: Element, riders: Encoding, index: int | None) -> Element:
    parts = [each if each is None or index is None else each[index] for each in (riders.attention, riders.types)]
    return dataclasses.replace(element, attention=parts[0], types=parts[1])


def labels_of(entry: Entry, given: object) -> tuple[int, ...] | tuple[str, ...]:
    """The labels of a collection's elements: all whole numbers, or all names. BindError for other values, ShapeError
    for too few or too many labels."""
    if not entry.collection:
        raise BindError(f"labels are for collections; '{entry.name}' is one input")
    values = given.tolist() if isinstance(given, Tensor | np.ndarray) else given
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise BindError(f"the labels of '{entry.name}' must be a list, one an element, not {type(given).__name__}")
    labels = [each.item() if isinstance(each, Tensor | np.generic) and np.ndim(each) == 0 else each for each in values]
    if len(labels) != len(entry.elements):
        raise ShapeError(f"collection '{entry.name}' has {len(entry.elements)} elements and {len(labels)} labels")
    kinds = {type(each) for each in labels}
    if kinds not in ({int}, {str}):
        shown = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise BindError(f"the labels of '{entry.name}' must be all whole numbers or all names, not {shown}")
    for position, label in enumerate(labels):
        if isinstance(label, int) and abs(label) >= _LABEL_LIMIT:
            raise BindError(
                f"label {position} of '{entry.name}' is not below 2^53 in size; register such numbers as names"
            )
    return cast("tuple[int, ...] | tuple[str, ...]", tuple(labels))


def _is_array(value: object) -> bool:
    return isinstance(value, (Tensor, np.ndarray)) or hasattr(value, "__array_interface__")


def snapshot(name: str, value: object) -> Tensor:
    """A copy of `value` as a tensor on the CPU; ShapeError if `value` is not a dense tensor of real numbers."""
    try:
        if isinstance(value, Tensor):
            tensor = value
        else:
            array = np.array(
                cast("ArrayLike", value), order="C"
            )  # torch needs writable arrays without negative strides
            tensor = torch.as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError) as error:
        objects = "object_" in str(error) or "str_" in str(error)
        table = "texts and values of several types are a table, pandas.DataFrame(values); " if objects else ""
        raise ShapeError(f"input '{name}' is no tensor ({error}); {table}register {_FORMS}") from None
    if tensor.is_complex() or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise ShapeError(
            f"input '{name}' is {tensor.layout} {tensor.dtype} on {tensor.device}; register real, dense numbers"
        )
    tensor = tensor.detach().to("cpu", copy=True).contiguous()
    eight_bits = tensor.is_floating_point() and tensor.itemsize == 1  # torch computes nothing in float8
    return tensor.float() if eight_bits else tensor
