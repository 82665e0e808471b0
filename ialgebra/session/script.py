"""A session's steps as a Python script that takes them again. In: steps; out: a .py file, and its tensors beside it.

A script gets the same bits as the session because it repeats everything that decides them: every step, also failed
ones, since they fill the store; and the batches in which rows were evaluated. Names and texts are written as literals.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from ..algebra.packings import packing_of, plain
from ..algebra.packings.frames import FramePacking, written_frame
from ..algebra.packings.parts import PartsPacking, typed
from ..algebra.windows import Mask
from ..catalog.inputs import Element, Entry
from ..catalog.reading import FileArray, Folder
from ..catalog.texts import AbsentTokens
from ..errors import BindError, IalgebraError
from ..models.concepts.files import file_content as concepts_content
from ..models.head_files import file_content
from ..planner.laws import LAWS
from ..planner.strategy import Strategy
from ..planner.tempo import Tempo
from ..system import disk
from ..system.shortage import enough_memory
from ..version import __version__
from .steps import Concepts, GivenObject, Heads, HistoryStep, Layers, PythonValue

_HEAD = '''"""A session of ialgebra {version}, step by step: the same answers, on the same machine in the same bits.

    python THIS_FILE SETUP_FILE [--save FOLDER]

SETUP_FILE registers the models, as for `ialgebra run --setup`. From Python, `for answer in analysis(models): …`, with a
dictionary of the same modules by name. A map that is not what it was, bit for bit, is warned of.{notes}
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def analysis(models: Mapping[str, Any], interpreters: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Every answer, one after the other."""
    import ialgebra
    from ialgebra import Strategy
    from ialgebra.session.history import of_what_is_kept, same
    from ialgebra.session.script import tensors_of
{imports}
    tensors = tensors_of(HERE / {tensors!r}, {digest!r})
    strategies = [{strategies}]
    with ialgebra.connect(store_bytes={store_bytes}) as con:
'''

_IMPORTS = {
    "frame_of(": """    import datetime, decimal, pandas
    from ialgebra.algebra.packings.frames import frame_of
""",
    "FileArray(": """    from ialgebra.catalog.reading import FileArray
""",
}

_FORGOTTEN = """

The session's first {} steps that meant nothing any more are not here; what was asked of them is left out, with a
warning, and what follows may differ by a last digit."""

_FOOT = """

if __name__ == "__main__":
    from ialgebra.apps.cli import replay

    replay(analysis, threads={threads})
"""


def export(steps: Sequence[HistoryStep], path: Path, *, forgotten: int, store_bytes: int) -> Path:
    """Write the script at `path` and what it reads beside it; a file that cannot be written leaves the old one."""
    if path.suffix != ".py":
        raise BindError(f"a script is a Python file, such as analysis.py, not '{path}'")
    try:
        with enough_memory(f"while exporting to '{path}'", "what the session's inputs hold is needed once more"):
            for name, content in _files(steps, path, forgotten, store_bytes).items():
                disk.write(path.with_name(name), content)
    except IalgebraError:
        raise
    except (OSError, ValueError) as cause:  # also names that no file can hold, of layers or of the file itself
        raise IalgebraError(f"cannot export to '{path}': {getattr(cause, 'strerror', None) or cause}") from cause
    return path


def _files(steps: Sequence[HistoryStep], path: Path, forgotten: int, store_bytes: int) -> dict[str, bytes]:
    """The script and the files that it reads, by name; the script comes last, when what it reads is there."""
    script = _Script(path.stem, gaps=forgotten > 0)
    body = [line for step in steps for line in script.step(step)]
    tensors = save(script.tensors)
    notes = _FORGOTTEN.format(forgotten) if forgotten else ""
    text = _HEAD.format(
        version=__version__,
        notes=notes,
        strategies="".join(f"\n        {each}," for each in script.strategies) + "\n    " * bool(script.strategies),
        tensors=f"{path.stem}.safetensors",
        digest=hashlib.sha256(tensors).hexdigest(),
        store_bytes=store_bytes,
        imports="".join(text for used, text in _IMPORTS.items() if any(used in line for line in body)),
    )
    text += "".join(f"        {line}\n" for line in [*body, "yield from ()"]) + _FOOT.format(
        threads=torch.get_num_threads()
    )
    return {f"{path.stem}.safetensors": tensors} | script.weights | {path.name: text.encode()}


def tensors_of(path: Path, digest: str) -> dict[str, Tensor]:
    """The tensors of the file that `export` wrote beside a script, by name; IalgebraError for any other file."""
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise IalgebraError(f"cannot read '{path}', which this script needs: {cause.strerror or cause}") from cause
    if hashlib.sha256(content).hexdigest() != digest:
        raise IalgebraError(f"'{path}' is not the file that was exported with this script; export both again")
    return load(content)


class _Script:
    """The lines of a script, and what they read: tensors by name, files of weights, strategies without batches.

    `gaps` says that statements may ask of registrations that were forgotten.
    """

    def __init__(self, stem: str, *, gaps: bool) -> None:
        self.stem, self.gaps = stem, gaps
        self.tensors: dict[str, Tensor] = {}
        self.weights: dict[str, bytes] = {}
        self.strategies: list[str] = []

    def step(self, step: HistoryStep) -> Iterator[str]:
        """The lines of one step."""
        if step.interrupted:
            yield f"# {step.number}: {_literal(step.text)} was interrupted; rows that it had paid for are not here"
        elif step.call is None and step.registration:  # it failed, or only measured how long passes take
            yield f"# {step.number}: {_literal(step.text)}"
        elif step.call is not None:
            given = {name: value for name, value in step.call.arguments.items() if value is not None}
            if isinstance(example := given.get("example"), Tensor) and packing_of(example) is not None:
                del given["example"]  # the first query runs the model on it again
            arguments = [f"{name}={self.value(step, name, value)}" for name, value in given.items()]
            yield f"con.{step.call.method}({', '.join([_literal(step.call.name), *arguments])})  # {step.number}"
        else:
            strategy = "" if step.strategy is None else f", strategy={self.strategy(step)}"
            seed = int(step.seed) if isinstance(step.seed, Integral) else None  # a bad seed is an error
            call = f"({_literal(step.text)}, seed={seed}{strategy})"
            if step.rounds is not None:
                call = f"[answer for answer, _ in zip(con.stream{call}, range({step.rounds}))][-1]"
            else:
                call = f"con.sql{call}"
            yield f"# {step.number}{', which a clock may have stopped' if step.timed else ''}"
            if step.error:
                yield "with suppress(ialgebra.IalgebraError):"
                yield f"    {call}  # {_literal(step.error)}"
            else:
                indent = "    " * self.gaps
                if self.gaps:
                    yield f"with of_what_is_kept({_literal(step.text)}):"
                sure = step.maps is not None and not step.timed
                yield f"{indent}yield {f'same({call}, {_literal(step.maps)})' if sure else call}"

    def strategy(self, step: HistoryStep) -> str:
        assert step.strategy is not None
        text = self._written(step, dataclasses.replace(step.strategy, batches=None))
        if text not in self.strategies:
            self.strategies.append(text)
        return f"replace(strategies[{self.strategies.index(text)}], batches={_literal(step.strategy.batches)})"

    def _written(self, step: HistoryStep, strategy: Strategy) -> str:
        fields = {field.name: getattr(strategy, field.name) for field in dataclasses.fields(strategy)}
        if fields.pop("rules") != LAWS:
            raise BindError(f"step {step.number} was planned by rules of its own, which a script cannot say")
        said = [f"{name}={_literal(value)}" for name, value in fields.items() if name != "name" and value is not None]
        return f"Strategy({', '.join([_literal(strategy.name), *said])})"

    def value(self, step: HistoryStep, name: str, value: PythonValue) -> str:
        """An argument as a literal, or as what the script reads or is given."""
        assert step.call is not None
        tensor_name = f"{step.number} {step.call.name} {name}"
        match value:
            case GivenObject(where, key):
                return f"{where}[{_literal(key)}]"
            case Layers(model, chosen):
                return f"[{', '.join(self.layer(model, *each) for each in chosen)}]"
            case Tensor():
                return self.tensor(tensor_name, value)
            case Mask():
                return self.tensor(tensor_name, torch.from_numpy(np.array(value.array)))
            case Entry(origin=Folder(path)):
                return _literal(path)
            case Entry(origin=FileArray() as array):
                return f"{array!r}.array()"
            case Entry(collection=collection, absent=absent):
                elements = value.opened().elements  # of a dataset all are read, and copied
                content = [each.tensor for each in elements]
                if packing_of(content[0]) is not None:
                    return self.packed(tensor_name, content, collection)
                if any(each.attention is not None or each.types is not None for each in elements):
                    return self.encoding(tensor_name, elements, collection, absent)
                if len({each.dtype for each in content}) > 1:  # a stack would give all one type
                    return f"[{', '.join(self.tensor(f'{tensor_name} {k}', each) for k, each in enumerate(content))}]"
                return self.tensor(tensor_name, torch.stack(content) if collection else content[0])
            case Heads(heads, weights):
                file = f"{self.stem}.heads-{step.number}.safetensors"
                self.weights[file] = file_content(heads, weights)
                return f"HERE / {_literal(file)}"
            case Concepts(dictionary, weights):
                file = f"{self.stem}.concepts-{step.number}.safetensors"
                self.weights[file] = concepts_content(dictionary, weights)
                return f"HERE / {_literal(file)}"
            case str() | int() | tuple() | dict():
                return _literal(value)
            case Sequence():
                return _literal(tuple(value))
        raise AssertionError(f"no argument of a script: {value!r}")

    def layer(self, model: GivenObject, name: str, path: str, number: int | None) -> str:
        if name == path and number is None:
            return _literal(name)
        module = f"{model.where}[{_literal(model.key)}].get_submodule({_literal(path)})"
        return f"({_literal(name)}, {module if number is None else f'ialgebra.models.layers.Tap({module}, {number})'})"

    def packed(self, name: str, content: Sequence[Tensor], collection: bool) -> str:
        """Rows of a frame, or of named parts, as their packing tells."""
        packing, rows = packing_of(content[0]), torch.stack([plain(each) for each in content])
        if isinstance(packing, FramePacking):
            return written_frame(packing, rows, self.tensor(name, rows))
        assert isinstance(packing, PartsPacking)
        written = []
        for part, where in packing.slices:
            numbers = rows[:, where].reshape(len(rows), *part.shape)
            if isinstance(part.packing, FramePacking):
                said = written_frame(part.packing, numbers, self.tensor(f"{name} {part.name}", numbers))
            else:
                each = typed(numbers, part.dtype)
                said = self.tensor(f"{name} {part.name}", each if collection else each[0])
            written.append(f"{_literal(part.name)}: {said}")
        return f"{{{', '.join(written)}}}"

    def encoding(self, name: str, elements: Sequence[Element], collection: bool, absent: AbsentTokens | None) -> str:
        """Token sequences with their masks and types, as a tokenizer returns them, and with the names of texts."""
        parts = {"input_ids": [each.tensor for each in elements]}
        parts["attention_mask"] = [each.attention for each in elements if each.attention is not None]
        parts["token_type_ids"] = [each.types for each in elements if each.types is not None]
        written = [
            f"{_literal(key)}: {self.tensor(f'{name} {key}', torch.stack(part) if collection else part[0])}"
            for key, part in parts.items()
            if part
        ]
        names = [each.names for each in elements if each.names is not None]
        if names:
            tokens, words = [each.tokens for each in names], [each.words for each in names]
            written.append(f"{_literal('token_names')}: {_literal(tokens if collection else tokens[0])}")
            written.append(f"{_literal('token_words')}: {_literal(words if collection else words[0])}")
        if absent is not None:
            written.append(f"{_literal('absent_tokens')}: {_literal(dataclasses.asdict(absent))}")
        return f"{{{', '.join(written)}}}"

    def tensor(self, name: str, tensor: Tensor) -> str:
        self.tensors[name] = tensor.clone()
        return f"tensors[{_literal(name)}]"


def _literal(value: object) -> str:
    """A value as Python source. NumPy's numbers and texts, and members of enumerations, are plain numbers and texts."""
    match value:
        case np.generic() if not isinstance(value.item(), np.generic):
            return _literal(value.item())
        case bool():
            return repr(value)
        case str():
            return str.__repr__(value)
        case int():
            return int.__repr__(value)
        case float() if not math.isfinite(value):
            return f"float('{float.__repr__(value)}')"
        case float():
            return float.__repr__(value)
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case tuple() if type(value) is tuple:
            return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
        case Tempo():
            return f"ialgebra.{value!r}"
        case Mapping():
            return f"{{{', '.join(f'{_literal(key)}: {_literal(each)}' for key, each in value.items())}}}"
    return repr(value)
