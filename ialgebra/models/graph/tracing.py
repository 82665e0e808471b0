"""From a module to its graph: the module's own Python code is run once, with stand-ins for tensors (`torch.fx`).

In: a module, in the frame in which its passes run. Out: its `Graph`, or the reason in words why it has none. The code
runs on copies of the modules, so that nothing that it writes reaches the user's own; whatever keeps state, has hooks or
cannot be followed (branches on numbers, other libraries) is one step that calls the module itself. A graph is of a
module as it is: another mode, other attributes or other code make another graph.
"""

from __future__ import annotations

import operator
from abc import ABCMeta
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import module as torch_module

from ...kernels.forward import Tap
from .form import Argument, Graph, GraphStep, Ref, StepKind, refs, renamed

_MOST_KINDS = 32  # kinds of modules that may turn out not to be followed, before a network is given up
_PLAIN = (
    *(type(None), type(Ellipsis), bool, int, float, complex, str, bytes),
    *(torch.dtype, torch.device, torch.memory_format, torch.layout),
)
_INPLACE = {
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod),
    *(operator.ipow, operator.iand, operator.ior, operator.ixor),
}
_NO_TENSOR = {"shape", "size", "dim", "ndim", "ndimension", "numel", "dtype", "device", "is_cuda", "layout"}
_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks")


def traced(module: nn.Module) -> Graph | str:
    """The graph of a module, or why it has none."""
    if any(getattr(torch_module, name, None) for name in _GLOBAL_HOOKS):
        return "hooks are set on all modules"
    whole: set[type[nn.Module]] = set()  # modules of these classes are called as they are
    while True:
        tracing = _Tracing(module, whole)
        try:
            return tracing.follow()
        except _Unfollowed as found:
            kind = type(found.module)
            if found.module is module or kind in whole or len(whole) >= _MOST_KINDS:
                return f"{kind.__name__}: {found.why}"
            whole.add(kind)


class _Unfollowed(Exception):
    """A module whose code cannot be followed, and why."""

    def __init__(self, module: nn.Module, why: str) -> None:
        super().__init__(why)
        self.module, self.why = module, why


class _Unnoted:
    """Classes made of this one are not told to the classes above it, which may list them."""

    def __init_subclass__(cls) -> None:
        pass


class _StandIn(fx.Proxy):
    """Stands for a tensor while a module's code runs. It must not say that it is one: torch's C++ code would believe
    it, wherever a number may be a tensor (a size, a range), and read memory that is not a tensor's."""

    def __setitem__(self, *_: object) -> None:
        raise TypeError("it writes into a part of a tensor")


def _in_place(function: Callable[..., object]) -> Callable[[_StandIn, object], object]:
    def written(self: _StandIn, other: object) -> object:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return written


for _function in _INPLACE:  # fx itself takes `a += b` for `a = a + b`, and so loses that others hold `a`
    setattr(_StandIn, f"__{_function.__name__}__", _in_place(_function))


class _Tracing(fx.Tracer):
    """One run of a module's code."""

    def __init__(self, module: nn.Module, whole: set[type[nn.Module]]) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.module = module
        self.whole = whole
        self.numbers: Counter[nn.Module] = Counter()
        self.outputs: dict[Tap, tuple[object, int]] = {}  # each with the number of nodes at that time
        self.targets: dict[str, tuple[StepKind, Any, str]] = {}  # by the name of the node's target
        self.within: list[nn.Module] = [module]
        self.originals: dict[int, nn.Module] = {}  # by the id of a copy
        self.copies: dict[int, nn.Module] = {}  # by the id of an original
        self.kinds: dict[type[nn.Module], type[nn.Module]] = {}
        self.held: dict[int, tuple[nn.Module, str]] = {}  # parameters and buffers, by id
        self.before: dict[int, object] = {}

    def follow(self) -> Graph:
        """The graph. Raises _Unfollowed."""
        if why := _opaque(self.module):
            raise _Unfollowed(self.module, why)
        copy = self._copied(self.module)
        self.before = {key: _state(each) for key, each in self.copies.items()}
        given = self.create_proxy("placeholder", "input", (), {})
        try:
            raw = self._called(copy, (given,), {})
            output = self.create_arg(raw)
        except _Unfollowed:
            raise
        except Exception as error:
            raise _Unfollowed(self.within[-1], f"{type(error).__name__}: {error}".split("\n")[0][:200]) from None
        for key, each in self.copies.items():
            if _state(each) != self.before[key]:
                raise _Unfollowed(self.originals[id(each)], "it keeps state between calls")
        return self._formed(output)

    # The copies -------------------------------------------------------------------------------------------------------

    def _copied(self, module: nn.Module) -> nn.Module:
        """A copy of a module and of all inside it, which share its parameters; calls of it are recorded."""
        if id(module) in self.copies:
            return self.copies[id(module)]
        kind = type(module)
        if isinstance(module, torch.jit.ScriptModule) or type(kind) not in (type, ABCMeta):
            raise _Unfollowed(self.module, f"it has a {kind.__name__}, which cannot be copied")
        copy = object.__new__(self._recorded(kind))
        self.copies[id(module)], self.originals[id(copy)] = copy, module
        held: dict[str, Any] = {key: _copy_of(value) for key, value in module.__dict__.items()}
        held["_buffers"] = {name: None if each is None else each.clone() for name, each in module._buffers.items()}
        held["_modules"] = {
            name: None if each is None else self._copied(each) for name, each in module._modules.items()
        }
        object.__setattr__(copy, "__dict__", held)
        for name, each in [*module._parameters.items(), *held["_buffers"].items()]:
            if each is not None:
                self.held.setdefault(id(each), (module, name))
        return copy

    def _recorded(self, kind: type[nn.Module]) -> type[nn.Module]:
        """The class of copies of modules of a class, whose calls are recorded."""
        if kind not in self.kinds:

            def call(copy: Any, *arguments: Any, **keywords: Any) -> object:
                return self.called(copy, arguments, keywords)

            self.kinds[kind] = type(kind.__name__, (_Unnoted, kind), {"__call__": call, "__module__": kind.__module__})
        return self.kinds[kind]

    def called(self, copy: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> object:
        """A call of a copy: a step, or what its code makes of it."""
        if id(copy) not in self.originals:
            raise TypeError("it calls a module that is no part of it")
        module = self.originals[id(copy)]
        if type(module) in self.whole or _is_whole(module):
            name = f"module {len(self.targets)}"
            self.targets[name] = ("module", module, "")
            found: object = self.create_proxy("call_module", name, arguments, keywords)
            self._ended(module, found)
            return found
        self.within.append(module)
        found = self._called(copy, arguments, keywords)
        self.within.pop()
        return found

    def _called(self, copy: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> object:
        module = self.originals[id(copy)]
        found = copy.forward(*arguments, **keywords)
        self._ended(module, found)
        return found

    def _ended(self, module: nn.Module, found: object) -> None:
        with suppress(TypeError):  # an output of another form: only a tap of it needs it
            self.outputs[Tap(module, self.numbers[module])] = self.create_arg(found), len(self.graph.nodes)
        self.numbers[module] += 1

    # What fx asks for -------------------------------------------------------------------------------------------------

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """The stand-in for a node's value."""
        return _StandIn(node, self)

    def create_arg(self, a: Any) -> Any:
        """An argument as nodes hold it. Raises TypeError for what they cannot."""
        if type(a) is _StandIn or type(a) is fx.proxy.Attribute:
            return a.node
        if isinstance(a, fx.Proxy):
            return a.node
        if isinstance(a, Tensor):
            return self._of_tensor(a)
        if type(a) in _PLAIN:
            return a
        if type(a) in (tuple, list):
            return type(a)(self.create_arg(each) for each in a)
        if type(a) is torch.Size:
            return tuple(a)
        if type(a) is dict and all(type(key) in _PLAIN for key in a):
            return {key: self.create_arg(each) for key, each in a.items()}
        if type(a) is slice:
            return slice(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        raise TypeError(f"it uses a {type(a).__name__}")

    def _of_tensor(self, tensor: Tensor) -> fx.Node:
        name = f"tensor {id(tensor)}"
        if name not in self.targets:
            owner = self.held.get(id(tensor))
            self.targets[name] = ("constant", tensor, "") if owner is None else ("attribute", *owner)
        return self.create_node("get_attr", name, (), {})

    # The form ---------------------------------------------------------------------------------------------------------

    def _formed(self, output: Any) -> Graph:
        numbers: dict[fx.Node, int] = {}

        def argument(value: Any) -> Argument:
            if isinstance(value, fx.Node):
                return Ref(numbers[value])
            if isinstance(value, slice):
                return slice(argument(value.start), argument(value.stop), argument(value.step))
            if isinstance(value, dict):
                return {key: argument(each) for key, each in value.items()}
            if isinstance(value, tuple | list):  # of which fx makes its own kinds
                each = [argument(part) for part in value]
                return tuple(each) if isinstance(value, tuple) else each
            return value

        plain: set[int] = set()  # steps whose values are no tensors

        def steps() -> Iterator[GraphStep]:
            paths = {id(module): path for path, module in self.module.named_modules()}
            for number, node in enumerate(self.graph.nodes):
                numbers[node] = number
                arguments, keywords = argument(node.args), argument(dict(node.kwargs))
                if node.op == "placeholder":
                    yield GraphStep(number, "input", "input")
                    continue
                kind: StepKind
                if node.op in ("call_module", "get_attr"):
                    kind, target, attribute = self.targets[str(node.target)]
                    name = paths.get(id(target), "") if kind != "constant" else "constant"
                    name = f"{name}.{attribute}" if attribute else name
                else:
                    kind = "method" if node.op == "call_method" else "function"
                    target, attribute = node.target, ""
                    name = str(getattr(target, "__name__", target))
                writes = _written(kind, target, arguments, keywords)
                read = [*refs(arguments), *refs(keywords)]
                if _asks(kind, target, arguments) or (read and plain.issuperset(read)):
                    plain.add(number)
                    writes = None
                yield GraphStep(number, kind, name, target, attribute, arguments, keywords, writes)

        found = list(steps())
        calls = {tap: (argument(held), end) for tap, (held, end) in self.outputs.items()}
        return renamed(found, argument(output), calls)


def _written(kind: StepKind, target: Any, arguments: tuple[Argument, ...], keywords: dict[str, Argument]) -> int | None:
    """The number of the step whose value an operation overwrites, if any."""
    out = keywords.get("out")
    if isinstance(out, Ref):
        return out.step
    first = arguments[0] if arguments else keywords.get("input")
    if not isinstance(first, Ref):
        return None
    name = target if kind == "method" else getattr(target, "__name__", "") if kind == "function" else ""
    in_place = (
        (kind == "module" and getattr(target, "inplace", False) is True)
        or (kind == "function" and target in _INPLACE)
        or (name.endswith("_") and not name.endswith("__"))
        or keywords.get("inplace") is True
        or (kind == "function" and _inplace_by_position(target, arguments))
    )
    return first.step if in_place else None


def _asks(kind: StepKind, target: Any, arguments: tuple[Argument, ...]) -> bool:
    """Whether an operation asks for the shape, the number type or the device of a tensor."""
    name = arguments[1] if kind == "function" and target is getattr and len(arguments) > 1 else target
    return kind in ("method", "function") and isinstance(name, str) and name in _NO_TENSOR


def _inplace_by_position(target: Callable[..., object], arguments: tuple[Argument, ...]) -> bool:
    """Whether a function of `torch.nn.functional` is told to write in place, by an argument without its name."""
    code = getattr(target, "__code__", None)
    names = () if code is None else code.co_varnames[: code.co_argcount]
    return "inplace" in names and arguments[names.index("inplace") : names.index("inplace") + 1] == (True,)


def _is_whole(module: nn.Module) -> bool:
    """Whether a module is one step: torch's own, but for those that string others together, and what is opaque."""
    own = type(module).__module__.startswith("torch.") and not isinstance(module, nn.Sequential)
    return own or _opaque(module) is not None


def _opaque(module: nn.Module) -> str | None:
    """Why a module's code says too little of what a call of it does; None if it says all."""
    kind = type(module)
    if getattr(module, "_compiled_call_impl", None) is not None:
        return "it is compiled"
    if kind.__call__ is not nn.Module.__call__:
        return "it has a `__call__` of its own"
    if "forward" in module.__dict__:
        return "its `forward` was replaced"
    if module._forward_hooks or module._forward_pre_hooks:
        return "it has hooks"
    return None


def _copy_of(value: object) -> object:
    return value.copy() if type(value) in (list, dict, set) else value  # type: ignore[attr-defined]


def _state(module: nn.Module) -> list[object]:
    """What a copy holds: other objects, or other numbers, make another value."""
    found: list[object] = []
    for name, value in module.__dict__.items():
        parts = list(value.items()) if type(value) is dict else list(value) if type(value) in (list, set) else [value]
        found.append((name, [_identity(each) for each in parts]))
    return found


def _identity(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_identity(each) for each in value)
    if type(value) in _PLAIN:
        return type(value), value
    return id(value), value._version if isinstance(value, Tensor) and not value.is_inference() else None
