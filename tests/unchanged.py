"""What happens to a model between two queries and changes nothing of what it computes: a name in; a model, and what
happens to it, out.

What happens may return another model of equal content, which is then registered in the place of the first.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
import gc
import io
import logging
import pickle
import queue
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.changes import Net, row

Made = tuple[Callable[[Tensor], object], Callable[[], Callable[[Tensor], object] | None]]

STAYS: dict[str, Callable[[], Made]] = {}


def stays(name: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    def listed(make: Callable[[], Made]) -> Callable[[], Made]:
        assert name not in STAYS, name
        STAYS[name] = make
        return make

    return listed


def quiet(act: Callable[[], object]) -> Callable[[], None]:
    def acted() -> None:
        act()

    return acted


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


def on_a_net(name: str, act: Callable[[nn.Sequential], object]) -> None:
    """Something that is done to a net, and gives nothing back."""

    @stays(name)
    def make() -> Made:
        model = mlp()
        return model, quiet(lambda: act(model))


def another(name: str, make_other: Callable[[nn.Sequential], nn.Module]) -> None:
    """Another net of equal content that takes the place of the first."""

    @stays(name)
    def make() -> Made:
        model = mlp()
        return model, lambda: make_other(model)


def through_bytes(model: nn.Module) -> nn.Module:
    saved = io.BytesIO()
    torch.save(model, saved)
    saved.seek(0)
    return torch.load(saved, weights_only=False)  # type: ignore[no-any-return]


def from_state(model: nn.Module) -> nn.Module:
    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)
    saved.seek(0)
    other = mlp()
    other.load_state_dict(torch.load(saved))
    return other


def backward(model: nn.Module) -> None:
    model.eval()
    model(torch.randn(4, 3)).sum().backward()


def there_and_back(model: nn.Sequential) -> None:
    kept = model[0].weight.data.clone()
    model[0].weight.data.zero_()
    model[0].weight.data.copy_(kept)


on_a_net("nothing", lambda m: None)
on_a_net("train mode", lambda m: m.train())
on_a_net("eval mode", lambda m: m.eval())
on_a_net("eval mode of a part", lambda m: m[3].eval())
on_a_net("its own state, loaded", lambda m: m.load_state_dict(copy.deepcopy(m.state_dict())))
on_a_net("its own state, put in place", lambda m: m.load_state_dict(copy.deepcopy(m.state_dict()), assign=True))
on_a_net("the same device", lambda m: m.to("cpu"))
on_a_net("the same dtype", lambda m: m.float())
on_a_net("a wider dtype and back", lambda m: m.double().float())
on_a_net("frozen weights", lambda m: m.requires_grad_(False))
on_a_net("gradients", backward)
on_a_net("gradients that are cleared", lambda m: [act(m) for act in (backward, nn.Module.zero_grad)])
on_a_net("a pass of the user's", lambda m: m.eval()(torch.randn(4, 3)))
on_a_net("a pass under inference mode", lambda m: torch.inference_mode()(m.eval())(torch.randn(4, 3)))
on_a_net("memory that is shared between processes", lambda m: m.share_memory())
on_a_net("a weight, changed and changed back", there_and_back)
on_a_net("a weight, replaced by a copy", lambda m: setattr(m[0], "weight", nn.Parameter(m[0].weight.detach().clone())))
on_a_net(
    "a weight that lies otherwise in memory", lambda m: setattr(m[0].weight, "data", m[0].weight.data.T.contiguous().T)
)
on_a_net("a buffer, replaced by a copy", lambda m: setattr(m[1], "running_mean", m[1].running_mean.clone()))
on_a_net("a hook, put and removed", lambda m: m[0].register_forward_hook(lambda *_: None).remove())
on_a_net("a hook of gradients", lambda m: m[0].register_full_backward_hook(lambda *_: None))
on_a_net("a hook of saving", lambda m: m.register_state_dict_post_hook(lambda *_: None))
on_a_net("a hook of loading", lambda m: m.register_load_state_dict_post_hook(lambda *_: None))
on_a_net("names of its weights", lambda m: [*m.named_parameters(), *m.named_modules(), repr(m)])
on_a_net("a seed of torch", lambda m: torch.manual_seed(7))
on_a_net("threads of torch", lambda m: torch.set_num_threads(torch.get_num_threads()))
on_a_net("casts, on and off", lambda m: torch.autocast("cpu").__enter__().__exit__(None, None, None))
on_a_net("garbage that is collected", lambda m: gc.collect())
another("a deep copy", copy.deepcopy)
another("a copy", copy.copy)
another("itself, registered again", lambda m: m)
another("a pickle", lambda m: pickle.loads(pickle.dumps(m)))
another("a file of the module", through_bytes)
another("a file of its weights, in a new net", from_state)


@stays("a recurrent net, laid out anew")
def _() -> Made:
    net = nn.LSTM(1, 2, batch_first=True)
    model = Net(lambda m, x: m.net(x.float()[..., None])[0][:, -1], net=net)
    return model, quiet(net.flatten_parameters)


@stays("a deep copy of a recurrent net")
def _() -> Made:
    net = nn.LSTM(1, 2, batch_first=True)
    model = Net(lambda m, x: m.net(x.float()[..., None])[0][:, -1], net=net)
    return model, lambda: copy.deepcopy(model)


@stays("weights for convolutions, channels last")
def _() -> Made:
    model = Net(lambda m, x: m.conv(x.float().reshape(-1, 3, 1, 1)).flatten(1), conv=nn.Conv2d(3, 2, 1))
    return model, quiet(lambda: model.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


# --- equal values


def equal(name: str, value: Callable[[], object], read: Callable[[Any], Any] = float) -> None:
    @stays(name)
    def make() -> Made:
        model = Net(lambda m, x: row(x) * float(read(m.kept)), kept=value())
        return model, quiet(lambda: setattr(model, "kept", value()))


equal("an equal number", lambda: float("1.5"))
equal("an equal list", lambda: [[1.0], {"k": 2.0}], lambda c: c[0][0])
equal(
    "an equal set, of another order", lambda: set(np.random.permutation(["a", "b", "c", "d", "e", "f"]).tolist()), len
)
equal("an equal array", lambda: np.ones((2, 3)), lambda c: c.sum())
equal(
    "an equal array, laid out by columns",
    lambda: np.asarray(np.ones((2, 3)), order=np.random.choice(["C", "F"])),
    lambda c: c.sum(),
)
equal("an equal function", lambda: lambda y: y + 1, lambda c: c(1.0))
equal("an equal partial", lambda: functools.partial(max, 1.0), lambda c: c(0.5))
equal("a lock", lambda: [1.0, threading.Lock(), threading.Event(), logging.getLogger("a")], lambda c: c[0])


@stays("an attribute, changed and changed back")
def _() -> Made:
    model = Net(lambda m, x: row(x) * m.k, k=1.0)

    def change() -> None:
        model.k = 2.0
        model.k = 1.0

    return model, change


# --- code


SOURCE = '''
class Model(nn.Module):
    """{}"""
    def __init__(self):
        super().__init__()
        self.k = 2.0
    def forward(self, x):
        return torch.tanh(self.scaled(x))
    def scaled(self, x):
        return helper(x.float().sum(1, keepdim=True)) * self.k
    def fit(self, data):
        return {}
    def __repr__(self):
        return "{}"
def helper(y):
    return y + 1
'''


def defined(doc: str = "A model.", fitted: str = "other", shown: str = "model") -> dict[str, Any]:
    space: dict[str, Any] = {"nn": nn, "torch": torch, "__name__": "a_notebook"}
    exec("\n" * len(doc) + SOURCE.format(doc, fitted, shown), space)
    return space


def redefined(name: str, *words: str) -> None:
    @stays(name)
    def make() -> Made:
        return defined()["Model"](), lambda: defined(*words)["Model"]()


redefined("a class, defined again")
redefined("a class, on other lines and with another docstring", "A model, which is described at length.")
redefined("a method that no forward names", "A model.", "data + 1")
redefined("a representation", "A model.", "other", "another")


@stays("a class whose functions are defined again, as autoreload does")
def _() -> Made:
    space = defined()

    def reload() -> None:
        exec("\n\n" + SOURCE.format("Again.", "None", "model").replace("class Model", "class Again"), space)
        for name, function in vars(space["Again"]).items():
            if callable(function) and name != "__class__":
                vars(space["Model"])[name].__code__ = function.__code__

    return space["Model"](), reload


@stays("globals that no code of the model reads")
def _() -> Made:
    space = defined()
    return space["Model"](), quiet(lambda: space.update(data=np.ones(1000), In=["1"], x=3, fit=len))


# --- hooks that only look


@stays("a hook that observes, in a list")
def _() -> Made:
    model, seen = mlp(), list[Tensor]()
    return model, quiet(lambda: model[0].register_forward_hook(lambda m, a, y: seen.append(y.detach())))


@stays("a hook that observes, in a dictionary")
def _() -> Made:
    model, seen = mlp(), dict[str, Tensor]()

    def keep(module: nn.Module, given: tuple[Tensor, ...], y: Tensor) -> None:
        seen["first"] = y.detach().clone()

    return model, quiet(lambda: model[0].register_forward_hook(keep))


@stays("a hook that prints")
def _() -> Made:
    model, out = mlp(), io.StringIO()
    return model, quiet(lambda: model[2].register_forward_hook(lambda m, a, y: print(y.mean().item(), file=out)))


@stays("hooks that observe, of every part")
def _() -> Made:
    model, shapes = mlp(), collections.Counter[str]()

    def count(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Tensor, ...], y: Tensor) -> None:
            shapes.update([f"{name} {tuple(y.shape)}"])

        return hook

    def put() -> None:
        for name, part in model.named_modules():
            part.register_forward_hook(count(name))

    return model, put


@stays("a hook before forward that observes")
def _() -> Made:
    model, seen = mlp(), list[int]()
    return model, quiet(lambda: model.register_forward_pre_hook(lambda m, a: seen.append(len(a[0]))))


@stays("a hook that observes, a method of an object")
def _() -> Made:
    class Recorder:
        def __init__(self) -> None:
            self.last: Tensor | None = None
            self.calls = 0

        def record(self, module: nn.Module, given: tuple[Tensor, ...], y: Tensor) -> None:
            self.calls += 1
            self.last = y.detach().cpu()

    model, recorder = mlp(), Recorder()
    return model, quiet(lambda: model[0].register_forward_hook(recorder.record))


# --- what is apart from computation


@stays("an event, a logger, a queue and an optimizer that no code of the model reads")
def _() -> Made:
    class Busy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logger, self.event, self.waiting = logging.Logger("of a test"), threading.Event(), queue.Queue()
            self.rate = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)

        def forward(self, x: Tensor) -> Tensor:
            self.logger.debug("a pass of %s rows", len(x))
            return row(x)

    model = Busy()

    def act() -> None:
        model.logger.setLevel(50)
        model.event.set()
        model.waiting.put(1)
        model.rate.param_groups[0]["lr"] = 2.0

    return model, act


# --- what passes write themselves


@stays("what a pass counts")
def _() -> Made:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return row(x)

    return Counting(), quiet(gc.collect)


@stays("what a pass keeps for the next")
def _() -> Made:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memo: dict[int, Tensor] = {}

        @functools.cached_property
        def table(self) -> Tensor:
            return torch.ones(3)

        def forward(self, x: Tensor) -> Tensor:
            return x.float() @ self.table[:, None] + self.memo.setdefault(x.shape[1], torch.ones(1))

    return Cached(), quiet(gc.collect)


@stays("a function that remembers")
def _() -> Made:
    factor = functools.lru_cache(maxsize=None)(lambda n: 2.0**n)
    return lambda x: row(x) * factor(x.shape[1]), quiet(lambda: factor(17))


# --- compiled types


@stays("an estimator that is copied")
def _() -> Made:
    from sklearn.ensemble import RandomForestClassifier

    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(60, 3))
    forest = RandomForestClassifier(n_estimators=3, random_state=0).fit(inputs, inputs[:, 0] > 0)

    def wrapped(estimator: Any) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.from_numpy(estimator.predict_proba(x.numpy()))

    return wrapped(forest), lambda: wrapped(pickle.loads(pickle.dumps(forest)))


@stays("a layer that was quantised and is copied")
def _() -> Made:
    with warnings.catch_warnings(), contextlib.suppress(AttributeError):
        warnings.simplefilter("ignore")
        small = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2)), {nn.Linear}, torch.qint8)
    return small, lambda: copy.deepcopy(small)
