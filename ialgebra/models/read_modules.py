"""What modules of torch hold: a module or a script in; its line in a walk out.

Hooks count as code of the model, but for those of which it can be proven that they only look. Gradients, train flags
and what torch keeps for saving and loading are not read. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import nn

from . import guards
from .observers import observation
from .read_objects import slots_of
from .walk import Walk, words_of

_UNREAD_OF_MODULES = words_of(
    "training _parameters _buffers _modules _forward_hooks _forward_pre_hooks _forward_hooks_with_kwargs "
    "_forward_pre_hooks_with_kwargs _forward_hooks_always_called _backward_hooks _backward_pre_hooks "
    "_is_full_backward_hook _non_persistent_buffers_set _state_dict_hooks _state_dict_pre_hooks "
    "_load_state_dict_pre_hooks _load_state_dict_post_hooks _compiled_call_impl _flat_weight_refs"
)
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_HOLDERS = ("_parameters", "_buffers", "_modules", *_HOOKS)


def read_module(walk: Walk, module: nn.Module) -> str:
    """The line of a module: its attributes, parameters, buffers, parts and hooks."""
    held = vars(module)
    walk.guards.append(guards.items(held, but="training"))
    for each in [cast("Mapping[str, object] | None", held.get(name)) for name in _HOLDERS]:
        if each:
            walk.guards.append(guards.items(each))
        elif each is not None:
            walk.empty.append(each)
    words = [f"{key}={walk.ref(part)}" for key, part in list(held.items()) if key not in _UNREAD_OF_MODULES]
    for name in ("_parameters", "_buffers", "_modules"):
        words += [f"{key}={walk.ref(part)}" for key, part in list(held.get(name, {}).items())]
    for name in _HOOKS:
        mapping, flags = held.get(name) or {}, held.get(f"{name}_with_kwargs") or {}
        if hooks := _hooks(walk, mapping.values()):
            walk.guards.append(guards.items(flags))
            words.append(f"{name}={hooks} {[key in flags for key in mapping]}")
    return f"{walk.ref(type(module))}{{{','.join(words)}}}{slots_of(walk, module)}"


def read_hooks_of_all_modules(walk: Walk) -> None:
    """Hooks that torch calls for every module there is."""
    for name in ("_global_forward_pre_hooks", "_global_forward_hooks"):
        hooks: Mapping[object, object] = getattr(torch.nn.modules.module, name, {})
        walk.guards.append(guards.items(hooks))
        walk.lines.append(f"{name} {_hooks(walk, hooks.values())}")


def _hooks(walk: Walk, hooks: Iterable[object]) -> str:
    """Hooks, but for those that only look."""
    words = []
    for hook in list(hooks):
        looks = None if walk.every_hook else observation(hook)
        if looks is None:
            words.append(walk.ref(hook))
        else:
            walk.guards += looks.guards
            walk.written += looks.written
    return ",".join(words)


def read_script(walk: Walk, script: torch.jit.ScriptModule) -> str:
    """A module from torch.jit: its code, and its attributes beside its weights."""
    walk.guarded = False
    weights = set(walk.weight_names.values())
    words = []
    for path, each in script.named_modules():
        part = each._c if isinstance(each, torch.jit.ScriptModule) else None
        if part is None:
            continue
        graphs = [str(part._get_method(method).graph) for method in part._method_names()]
        words.append(f"{path} {_without_places(graphs)}")
        told = part.dump_to_str(False, True, False).splitlines()
        for name in dict.fromkeys(line.split("=")[0].strip() for line in told):
            if name.isidentifier() and name != "training" and part.hasattr(name):
                inner = part.getattr(name)
                if f"{path}.{name}".lstrip(".") not in weights and not isinstance(inner, torch._C.ScriptModule):
                    walk.kept.append(inner)
                    words.append(f"{path}.{name}={walk.ref(inner)}")
    hooks = [hook for each in script.modules() for name in _HOOKS for hook in getattr(each, name, {}).values()]
    return f"script {words} {_hooks(walk, hooks)}"


def read_script_function(function: torch.jit.ScriptFunction) -> str:  # type: ignore[type-arg]
    """The line of a function from torch.jit."""
    return f"script {_without_places([str(function.graph)])}"


def _without_places(graphs: Iterable[str]) -> str:
    """The text of graphs without the places in files that stand behind operations."""
    return "\n".join(line.split(" # ")[0] for graph in graphs for line in graph.splitlines())
