"""Doors for frames, pictures, series, signals, volumes, videos and inputs of several parts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.doors import Door, door

_N = 120
Floats = NDArray[np.float64]


def people() -> Any:
    """A table of texts, categories, missing values, whole numbers, truths and dates."""
    pd = importlib.import_module("pandas")
    draw = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "age": pd.array(draw.integers(18, 80, _N), dtype="Int64"),
            "job": draw.choice(["clerk", "baker", "judge", None], _N),
            "city": pd.Categorical(draw.choice(["A", "B", "C"], _N), categories=["C", "A", "B"]),
            "debt": np.where(draw.random(_N) < 0.2, np.nan, draw.normal(size=_N) * 10),
            "own": draw.random(_N) < 0.5,
        }
    )
    frame.loc[1, "age"] = None
    return frame


def risky(frame: Any) -> NDArray[np.str_]:
    score = frame["debt"].fillna(3).to_numpy() + 9 * (frame["job"] == "clerk") - 6 * (frame["city"] == "B")
    return np.where(score > 0, "risky", "safe")


def columns(names: Iterable[str]) -> Any:
    """What a pipeline does to texts, categories and numbers before it predicts."""
    of = importlib.import_module
    compose, pre, impute = of("sklearn.compose"), of("sklearn.preprocessing"), of("sklearn.impute")
    make = of("sklearn.pipeline").make_pipeline
    numbers = [name for name in names if name in ("age", "debt", "own")]
    words = [name for name in names if name in ("job", "city")]
    return compose.make_column_transformer(
        (make(impute.SimpleImputer(), pre.StandardScaler()), numbers),
        (make(impute.SimpleImputer(strategy="most_frequent"), pre.OneHotEncoder(handle_unknown="ignore")), words),
    )


def of_frame(
    make: Callable[[], Any], method: str, change: Callable[[Any], Any] = lambda frame: frame, target: object = None
) -> Door:
    """An estimator of a frame, of which one row is explained against one of another prediction; by hand, hybrids are
    rows of pandas."""
    frame = change(people())
    model = make().fit(frame, risky(people()) if target is None else target)
    others = np.flatnonzero(model.predict(frame) != model.predict(frame)[2])  # rows with another prediction
    x, background = frame.iloc[[2]], frame.iloc[[int(others[-1])]]

    def outputs(present: frozenset[int]) -> Floats:
        row = background.copy()
        for place, name in enumerate(frame.columns):
            if place in present:
                row[name] = x[name].set_axis(row.index)
        return np.asarray(getattr(model, method)(row), dtype=np.float64).reshape(-1)

    said = str(model.predict(x)[0]) if method != "predict" else None
    return Door(
        model=model,
        value=x,
        players=len(frame.columns),
        outputs=outputs,
        prediction=said,
        input_options={"baseline": background},
        names=list(frame.columns),
    )


def pipeline(module: str, name: str, **options: object) -> Callable[[], Any]:
    def make() -> Any:
        last = getattr(importlib.import_module(module), name)(**options)
        return importlib.import_module("sklearn.pipeline").make_pipeline(columns(people().columns), last)

    return make


@door("a pipeline over texts, categories and missing values", "sklearn", "pandas")
def _() -> Door:
    return of_frame(pipeline("sklearn.linear_model", "LogisticRegression"), "predict_proba")


@door("a pipeline with a random forest over a frame", "sklearn", "pandas")
def _() -> Door:
    forest = pipeline("sklearn.ensemble", "RandomForestClassifier", n_estimators=5, random_state=0)
    return of_frame(forest, "predict_proba")


@door("a pipeline that ends in a regressor", "sklearn", "pandas")
def _() -> Door:
    amount = people()["debt"].fillna(1.0).to_numpy()
    return of_frame(pipeline("sklearn.linear_model", "Ridge"), "predict", target=amount)


@door("histogram boosting, which reads categories from the dtypes", "sklearn", "pandas")
def _() -> Door:
    def make() -> Any:
        boosting = importlib.import_module("sklearn.ensemble").HistGradientBoostingClassifier
        return boosting(categorical_features="from_dtype", max_iter=8, min_samples_leaf=5)

    return of_frame(make, "predict_proba", lambda frame: frame.astype({"job": "category", "age": "float64"}))


@door("LightGBM, which reads categories from the dtypes", "lightgbm", "pandas")
def _() -> Door:
    def make() -> Any:
        return importlib.import_module("lightgbm").LGBMClassifier(
            n_estimators=8, min_child_samples=5, verbose=-1, n_jobs=1
        )

    return of_frame(make, "predict_proba", lambda frame: frame.astype({"job": "category", "age": "float64"}))


@door("a forest over a frame of numbers", "sklearn", "pandas")
def _() -> Door:
    def make() -> Any:
        return importlib.import_module("sklearn.ensemble").RandomForestClassifier(n_estimators=5, random_state=0)

    return of_frame(make, "predict_proba", lambda frame: frame[["debt", "own"]].fillna(0.0))


@door("a torch net over a frame of numbers", "pandas")
def _() -> Door:
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).eval()
    pd = importlib.import_module("pandas")
    x = pd.DataFrame({"age": [39], "debt": [2.5], "own": [True]})

    def outputs(present: frozenset[int]) -> Floats:
        row = [float(x.iloc[0, k]) if k in present else 0.0 for k in range(3)]
        return array(net(torch.tensor([row])))

    return Door(model=net, value=x, players=3, outputs=outputs, names=["age", "debt", "own"])


def array(outputs: Tensor) -> Floats:
    """The outputs of one row as numbers."""
    return outputs.detach().double().numpy().reshape(-1)


def of_tensor(
    model: Callable[[Tensor], Tensor],
    value: object,
    held: Tensor,
    players: Tensor,
    options: str = "",
    *,
    tolerance: float = 1e-5,
    **said: object,
) -> Door:
    """A model of tensors: `held` is the input as the model is given it, `players` (broadcastable) numbers its
    features; by hand, features of absent players are zero."""

    def outputs(present: frozenset[int]) -> Floats:
        here = torch.zeros(held.shape, dtype=torch.bool)
        for player in present:
            here |= players == player
        with torch.no_grad():
            return array(model(torch.where(here, held, torch.zeros_like(held))[None]))

    count = int(players.max()) + 1
    return Door(
        model=model, value=value, players=count, outputs=outputs, options=options, tolerance=tolerance,
        input_options=said,
    )  # fmt: skip


class Walk(nn.Module):
    """An LSTM over (B, T, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.lstm(x)[0][:, -1])
        return found


def spans(length: int, count: int) -> Tensor:
    return torch.arange(length) * count // length


@door("an LSTM over a series (T, C)")
def _() -> Door:
    torch.manual_seed(3)
    x = torch.randn(12, 3)
    return of_tensor(Walk().eval(), x.numpy(), x, spans(12, 6)[:, None], ", players => spans(6)", kind="series")


@door("a 1-D CNN over a signal (C, L)")
def _() -> Door:
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv1d(2, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(5, 3)).eval()
    x = torch.randn(2, 24)
    return of_tensor(net, x.numpy(), x, spans(24, 6)[None], ", players => spans(6)", kind="signal")


@door("a 1-D CNN over a signal of one channel, given as (L,)")
def _() -> Door:
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv1d(1, 5, 3), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(5, 3)).eval()
    x = torch.randn(1, 24)
    return of_tensor(net, x[0].tolist(), x, spans(24, 6)[None], ", players => spans(6)", kind="signal", layout="T")


def blocks(*sides: int) -> Tensor:
    """Players of a grid of two cells along each of these sides."""
    found = torch.zeros(sides, dtype=torch.int64)
    for axis, side in enumerate(sides):
        found = found * 2 + spans(side, 2).reshape([-1 if k == axis else 1 for k in range(len(sides))])
    return found[None]


@door("a 3-D CNN over a volume (C, D, H, W)")
def _() -> Door:
    torch.manual_seed(6)
    net = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    x = torch.randn(1, 6, 5, 8)
    return of_tensor(net, x.numpy(), x, blocks(6, 5, 8), ", players => grid(2, 2, 2)", kind="volume")


@door("a 3-D CNN over a volume without channels, (D, H, W)")
def _() -> Door:
    torch.manual_seed(7)
    net = nn.Sequential(nn.Conv3d(1, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    x = torch.randn(1, 6, 5, 8)
    return of_tensor(net, x[0].numpy(), x, blocks(6, 5, 8), ", players => grid(2, 2, 2)", layout="DHW")


@door("a 3-D CNN over a video (T, C, H, W)")
def _() -> Door:
    torch.manual_seed(8)
    net = nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    x = torch.randn(3, 6, 5, 8)
    given = x.permute(1, 0, 2, 3)
    return of_tensor(net, given, x, blocks(6, 5, 8), ", players => grid(2, 2, 2)", layout="TCHW")


def photo_net() -> nn.Module:
    torch.manual_seed(9)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3)).eval()


@door("a photo of Pillow", "PIL")
def _() -> Door:
    picture = importlib.import_module("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    net = photo_net()
    held = torch.from_numpy(pixels).permute(2, 0, 1)

    def scaled(batch: Tensor) -> Tensor:
        found: Tensor = net(batch.float() / 255)
        return found

    return of_tensor(scaled, picture.fromarray(pixels), held, blocks(10, 12), ", players => grid(2, 2)")


@door("a photo whose channels come last")
def _() -> Door:
    x = torch.rand(3, 10, 12, generator=torch.Generator().manual_seed(1))
    given = x.permute(1, 2, 0).numpy()
    return of_tensor(photo_net(), given, x, blocks(10, 12), ", players => grid(2, 2)")


@door("a photo of int8")
def _() -> Door:
    x = torch.randint(-128, 128, (3, 8, 8), dtype=torch.int8, generator=torch.Generator().manual_seed(2))
    net = photo_net()
    return of_tensor(lambda batch: net(batch.float() / 64), x, x, blocks(8, 8), ", players => grid(2, 2)")


@door("a net and a photo of bfloat16")
def _() -> Door:
    x = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(3)).bfloat16()
    return of_tensor(photo_net().bfloat16(), x, x, blocks(8, 8), ", players => grid(2, 2)", tolerance=2e-2)


class Two(nn.Module):
    """A model of a photo and a row of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.photo = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(7, 2)

    def forward(self, photo: Tensor, row: Tensor) -> Tensor:
        found: Tensor = self.head(torch.cat([self.photo(photo), row.float()], dim=1).tanh())
        return found


def of_two(
    model: Callable[..., Tensor], row: Tensor, given: object, background: dict[str, object] | None = None
) -> Door:
    torch.manual_seed(11)
    photo = torch.rand(1, 8, 8)

    def outputs(present: frozenset[int]) -> Floats:
        here = sum(((blocks(8, 8) == k) for k in present if k < 4), torch.zeros(1, 8, 8, dtype=torch.bool))
        some = torch.tensor([float(row[k]) if k + 4 in present else 0.0 for k in range(3)])
        with torch.no_grad():
            return array(model(photo=torch.where(here > 0, photo, torch.zeros(()))[None], row=some[None]))

    mask = np.concatenate([np.broadcast_to(blocks(8, 8)[0], (8, 8)).reshape(-1), [4, 5, 6]])
    said: dict[str, object] = {"players": mask}
    return Door(model=model, value={"photo": photo, "row": given}, players=7, outputs=outputs, input_options=said)


@door("a model of two inputs")
def _() -> Door:
    torch.manual_seed(10)
    row = torch.tensor([0.5, -1.0, 2.0])
    return of_two(Two().eval(), row, row)


@door("a model of two inputs, in doubles and whole numbers")
def _() -> Door:
    torch.manual_seed(10)
    row = torch.tensor([3, -1, 2])
    door = of_two(Two().eval(), row, row)
    return Door(**{**vars(door), "input_options": {**door.input_options, "kind": {"row": "table"}}})


@door("a function of one mapping")
def _() -> Door:
    torch.manual_seed(10)
    net, row = Two().eval(), torch.tensor([0.5, -1.0, 2.0])
    found = of_two(net, row, row)

    def of_mapping(parts: dict[str, Tensor]) -> Tensor:
        both: Tensor = net(**parts)
        return both

    return Door(**{**vars(found), "model": of_mapping})
