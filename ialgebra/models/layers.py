"""The layers of a network: one traced pass of one row in, the ordered layers 1..n out.

`trace` records which modules ran inside which, in what order and with what outputs; execution order counts, since
modules may be registered in any order and called several times. `find_layers` finds the layers in this record;
`chosen_layers` takes the layers that the user named. Knows modules and shapes: no heads, no classes, no queries.

What counts as a layer, if the user names none:
- an `nn.Sequential`: each of its children, as they stand;
- any other network: its stages, that is the modules that its own `forward` calls. Convolutions, linear maps,
  embeddings and whole blocks begin a layer; norms, activations, pooling and dropout belong to the layer before them;
  what collapses space (global pooling, flatten) belongs to the layer after it. A layer is named for its first module
  with weights and cut after its last module, so a ResNet has conv1 (with bn1, relu, maxpool), layer1 … layer4, fc
  (with avgpool);
- a module that merely wraps the network, and one that holds more than half of it (`features`, `encoder.layers`), is
  opened.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..errors import BindError, did_you_mean
from ..kernels.forward import Tap, eagerly, first_tensor, hooked

LayerChoice = str | nn.Module | tuple[str, nn.Module | Tap]

_SMALL_OUTPUT = 1 << 16  # numbers of a module's output up to which it is kept, to be compared with the model's output


@dataclass(frozen=True)
class Layer:
    """Layer `index` (from 1): where to tap it, its output's shape and spatial dimensions.

    `shape` has no batch dimension; `pool` are the dimensions (batch counted) over which a head averages; `is_output`
    says that the tap is the model's own output.
    """

    index: int
    name: str
    tap: Tap
    shape: tuple[int, ...]
    is_output: bool
    pool: tuple[int, ...]

    @property
    def features(self) -> int:
        """The length of the pooled output, which a head reads."""
        return math.prod(size for dim, size in enumerate(self.shape, start=1) if dim not in self.pool)


@dataclass(eq=False)
class ModuleCall:
    """One call of one module in the traced pass, with the calls inside it in the order in which they began."""

    name: str
    module: nn.Module
    children: list[ModuleCall] = field(default_factory=list)
    number: int = -1  # among the calls of its module; -1 until it has ended
    order: int = -1  # among all calls, by their ends
    shape: tuple[int, ...] | None = None  # without the batch dimension; None if no tensor with one row came out
    output: Tensor | None = None  # the tensor itself, if small, and its content at that time
    content: Tensor | None = None
    inputs: dict[int, int] = field(default_factory=dict)  # bytes of the tensors that came in, by identity
    ended: float = math.nan  # when, by `time.perf_counter`
    live: int = 0  # bytes of its output and of what it and the calls around it were given

    @property
    def tap(self) -> Tap:
        return Tap(self.module, self.number)

    @property
    def leaves(self) -> int:
        return sum(child.leaves for child in self.children) or 1

    @property
    def weighted(self) -> bool:
        """Whether anything in it is learned."""
        return next(self.module.parameters(), None) is not None

    @property
    def begins(self) -> bool:
        """Whether a layer begins here: with a block, or a leaf that mixes features. Norms and PReLU do not mix."""
        if self.children:
            return self.weighted
        return not isinstance(self.module, nn.LayerNorm) and any(p.dim() > 1 for p in self.module.parameters())

    def all(self) -> Iterator[ModuleCall]:
        """This call and all inside it."""
        yield self
        for child in self.children:
            yield from child.all()


def trace(model: nn.Module, row: Tensor, called: Callable[[Tensor], object] | None = None) -> tuple[ModuleCall, object]:
    """One pass of `row` (1, …), or of copies of it, with hooks on every module: the call tree, and the raw output.
    The model is called by `called`, if that is given.

    It runs eagerly, and modules that `torch.jit` made, which take no hooks, are not in the tree.
    """
    names = {id(module): name for name, module in model.named_modules()}
    counts: Counter[nn.Module] = Counter()
    outermost: list[ModuleCall] = []
    open_calls: list[ModuleCall] = []
    ended: list[ModuleCall] = []

    def enter(module: nn.Module, arguments: tuple[object, ...]) -> None:
        call = ModuleCall(names[id(module)], module)
        call.inputs = {id(each): _bytes(each) for each in arguments if isinstance(each, Tensor)}
        if open_calls:
            above = open_calls[-1]
            call.name = _name_within(above, module) or call.name
            above.children.append(call)
        else:
            outermost.append(call)
        open_calls.append(call)

    def leave(module: nn.Module, _arguments: object, result: object) -> None:
        while (call := open_calls.pop()).module is not module:
            pass  # the call raised an error, and its caller caught it
        call.number, call.order = counts[module], len(ended)
        counts[module] += 1
        tensor = first_tensor(result)
        held = {key: size for each in (*open_calls, call) for key, size in each.inputs.items()}
        call.live = sum((held if tensor is None else held | {id(tensor): _bytes(tensor)}).values())
        if row.is_cuda:
            torch.cuda.synchronize(row.device)
        call.ended = time.perf_counter()
        if tensor is not None and _readable(tensor) and tensor.dim() > 0 and len(tensor) == len(row):
            call.shape = tuple(tensor.shape[1:])
            if tensor.numel() <= _SMALL_OUTPUT:
                call.output, call.content = tensor, tensor.clone()
        ended.append(call)

    modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    with hooked(modules, leave, enter), eagerly():
        raw = (called or model)(row)
    for call in ended:
        call.children = [child for child in call.children if child.order >= 0]
    if len(outermost) == 1 and outermost[0].module is model:
        return outermost[0], raw
    return ModuleCall("", model, outermost), raw  # a model with a `__call__` of its own


def _readable(tensor: Tensor) -> bool:
    """Whether a tensor has memory of its own. Inside the transforms of `torch.func` it is a part of a larger one."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def cost(
    root: ModuleCall | None, layers: Sequence[Layer], row: Tensor, started: float, ended: float
) -> tuple[int, float, tuple[float, ...]]:
    """What the traced pass of `row`, from `started` to `ended`, took: bytes a row at most, seconds a row, and each
    layer's share."""
    calls = [] if root is None else list(root.all())
    times = {call.tap: call.ended for call in calls}
    seconds = ended - started
    shares = tuple((times[layer.tap] - started) / seconds for layer in layers)
    most = max([_bytes(row), *(call.live for call in calls)])
    return most // len(row), seconds / len(row), shares


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def find_layers(root: ModuleCall, output: Tensor | None) -> tuple[Layer, ...]:
    """The layers of a traced network, in order of execution; `output` is the tensor that its raw output holds.

    Calls that return no tensor with the batch dimension first are no layers.
    """
    units, literal = _unwrapped(root)
    groups = [[unit] for unit in units] if literal else _merged(_opened(units, root.leaves))
    found: list[tuple[str, ModuleCall]] = []
    names: Counter[str] = Counter()
    for group in groups or [[root]]:
        ends = [call for call in group if call.shape is not None]
        if ends:
            name = next((call for call in group if call.begins), ends[-1]).name or type(root.module).__name__
            names[name] += 1
            found.append((name if names[name] == 1 else f"{name}_{names[name]}", ends[-1]))
    return _layers(root, found, output)


def resolve(model: nn.Module, choices: Sequence[LayerChoice]) -> list[tuple[str, Tap | nn.Module]]:
    """Names and taps, or modules, for layers that the user chose; raises BindError for what is not in `model`."""
    modules = dict(model.named_modules(remove_duplicate=False))
    found: list[tuple[str, Tap | nn.Module]] = []
    for choice in choices:
        if isinstance(choice, str):
            if choice not in modules:
                raise BindError(f"unknown layer '{choice}'{did_you_mean(choice, filter(None, modules))}")
            found.append((choice, modules[choice]))
            continue
        name, place = choice if isinstance(choice, tuple) and not isinstance(choice, Tap) else (None, choice)
        module = place.module if isinstance(place, Tap) else place
        own = next((key for key, value in modules.items() if value is module), None)
        if not isinstance(module, nn.Module) or own is None or not isinstance(name, str | None):
            raise BindError(
                f"layer {choice!r:.80} is no module of the model; give its module's name, the module or (name, module)"
            )
        found.append((name or own, place))
    for name, place in found:
        if isinstance(place.module if isinstance(place, Tap) else place, torch.jit.ScriptModule):
            raise BindError(
                f"layer '{name}' cannot be read, since torch.jit compiled it; register the torch.nn.Module itself"
            )
    repeated = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
    if repeated:
        raise BindError(f"layer '{repeated[0]}' is listed twice; give (name, module) to tell them apart")
    if not found:
        raise BindError("layers is an empty list; leave it out to have them found")
    return found


def chosen_layers(
    root: ModuleCall, choices: Sequence[tuple[str, Tap | nn.Module]], output: Tensor | None
) -> tuple[Layer, ...]:
    """The layers that the user chose (see `resolve`).

    Raises BindError for those that cannot be tapped or are out of order.
    """
    found: list[tuple[str, ModuleCall]] = []
    for name, place in choices:
        module = place.module if isinstance(place, Tap) else place
        calls = sorted((call for call in root.all() if call.module is module), key=lambda call: call.order)
        if not calls:
            raise BindError(f"layer '{name}' never runs in a forward pass")
        if isinstance(place, Tap):
            if not 0 <= place.call < len(calls):
                raise BindError(
                    f"layer '{name}' runs {len(calls)} times in a pass; call {place.call} is none of 0…{len(calls) - 1}"
                )
            call = calls[place.call]
        elif len(calls) > 1:
            raise BindError(
                f"layer '{name}' runs {len(calls)} times in a pass; say which call: (name, Tap(module, call))"
            )
        else:
            call = calls[0]
        if call.shape is None:
            raise BindError(f"layer '{name}' returns no tensor with the batch dimension first")
        if found and call.order < found[-1][1].order:
            raise BindError(f"layer '{name}' runs before '{found[-1][0]}'; list layers in the order in which they run")
        found.append((name, call))
    return _layers(root, found, output)


def _name_within(above: ModuleCall, module: nn.Module) -> str | None:
    """The name of a Sequential's child by its position, so that a module at two positions has two names."""
    if not isinstance(above.module, nn.Sequential):
        return None
    children = list(above.module._modules.items())
    place = len(above.children)
    if place >= len(children) or children[place][1] is not module:
        return None
    return f"{above.name}.{children[place][0]}" if above.name else children[place][0]


def _unwrapped(root: ModuleCall) -> tuple[list[ModuleCall], bool]:
    """The calls of the outermost module with more than one module to train, and whether it is a Sequential."""
    before: list[ModuleCall] = []
    after: list[ModuleCall] = []
    body = root
    while True:
        working = [place for place, child in enumerate(body.children) if child.weighted]
        if len(working) != 1 or not body.children[working[0]].children:
            return [*before, *body.children, *after], isinstance(body.module, nn.Sequential)
        before += body.children[: working[0]]
        after = body.children[working[0] + 1 :] + after
        body = body.children[working[0]]


def _opened(units: list[ModuleCall], leaves: int) -> list[ModuleCall]:
    """Replaces a unit that holds half of the network's leaf calls by the calls inside it. Sequentials beside it are
    replaced as well."""
    if not any(_is_body(unit) and 2 * unit.leaves >= leaves for unit in units):
        return units
    opened: list[ModuleCall] = []
    for unit in units:
        if _is_body(unit) and 2 * unit.leaves >= leaves:
            opened += _opened(unit.children, leaves)
        elif isinstance(unit.module, nn.Sequential) and _is_body(unit):
            opened += unit.children
        else:
            opened.append(unit)
    return opened


def _is_body(call: ModuleCall) -> bool:
    """Whether a module strings stages together, unlike a block, whose parts are not stages."""
    if isinstance(call.module, nn.Sequential):
        return sum(child.begins for child in call.children) > 1
    parts = list(call.module.children())
    if any(isinstance(part, nn.ModuleList) and len(part) > 1 for part in parts):
        return True
    if sum(isinstance(part, nn.Sequential) for part in parts) > 1:
        return True
    return any(
        _is_body(child)
        and (not isinstance(child.module, nn.Sequential) or sum(bool(c.children) for c in child.children) > 1)
        for child in call.children
    )


def _merged(units: list[ModuleCall]) -> list[list[ModuleCall]]:
    groups: list[list[ModuleCall]] = []
    waiting: list[ModuleCall] = []  # for the layer that begins next
    extent = 1
    for unit in units:
        before, extent = extent, math.prod((unit.shape or (1,))[1:])
        if unit.begins:
            groups.append([*waiting, unit])
            waiting = []
        elif waiting or not groups or extent == 1 < before:
            waiting.append(unit)
        else:
            groups[-1].append(unit)
    if waiting:
        groups = [*groups[:-1], [*(groups[-1] if groups else []), *waiting]]
    return groups


def _layers(root: ModuleCall, found: list[tuple[str, ModuleCall]], output: Tensor | None) -> tuple[Layer, ...]:
    mixing = sorted((call for call in root.all() if call.weighted and not call.children), key=lambda call: call.order)
    layers: list[Layer] = []
    for index, (name, call) in enumerate(found, start=1):
        last = next((each.module for each in reversed(mixing) if each.order <= call.order), None)
        shape = call.shape or ()
        layers.append(Layer(index, name, call.tap, shape, _is_output(call, output), _pool(shape, last)))
    return tuple(layers)


def _is_output(call: ModuleCall, output: Tensor | None) -> bool:
    """Whether the call's output, as it was then, is what the model returned: the same memory, nothing changed since."""
    if output is None or call.output is None or call.content is None:
        return False
    same = call.output.data_ptr() == output.data_ptr() and call.output.numel() == output.numel()
    return same and torch.equal(call.content.flatten(), output.flatten())


def _pool(shape: tuple[int, ...], last: nn.Module | None) -> tuple[int, ...]:
    """The dimensions other than batch and channels; the last module with weights tells where the channels are.

    Without it (B, C, H, W) is taken for images and (B, T, E) for tokens.
    """
    dims = tuple(range(1, len(shape) + 1))
    first = next(
        (getattr(last, name) for name in ("out_channels", "num_features", "num_channels") if hasattr(last, name)), None
    )
    width = next(
        (getattr(last, name) for name in ("out_features", "embedding_dim", "normalized_shape") if hasattr(last, name)),
        None,
    )
    if isinstance(width, tuple):
        width = width[-1]
    if len(shape) < 2:
        return ()
    channels_first = first == shape[0] if len(shape) == 2 else width is None or width != shape[-1]
    return dims[1:] if channels_first else dims[:-1]
