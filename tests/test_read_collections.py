"""Collections that are read when they are needed: arrays over files, datasets, folders of pictures."""

from __future__ import annotations

import runpy
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import ialgebra
from ialgebra import BindError, ShapeError, Strategy
from ialgebra.catalog import reading
from ialgebra.execution import families
from tests.oracle import shapley
from tests.test_families import FEATURES, Stops, rows

COUNT, SHAPE = 11, (3, 6, 6)


class Data:
    """A dataset that counts how often each of its elements is read. With `labels` its items are pairs."""

    def __init__(self, values: NDArray[np.float32], labels: list[object] | None = None) -> None:
        self.values, self.labels = values, labels
        self.reads = np.zeros(len(values), dtype=int)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> object:
        self.reads[index] += 1
        value = torch.from_numpy(self.values[index])
        return value if self.labels is None else (value, self.labels[index])


def values(count: int = COUNT, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


def net(shape: tuple[int, ...] = SHAPE) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 8), nn.Tanh(), nn.Linear(8, 3)).eval()


def session(value: object, shape: tuple[int, ...] = SHAPE, **options: object) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", net(shape))
    con.register_input("xs", value, **options)  # type: ignore[arg-type]
    con.register_input("bg", values(3, shape, seed=5))
    return con


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_IN_A_BLOCK", 4)


@pytest.fixture
def as_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """All jobs but the first are evaluated as a family."""
    monkeypatch.setattr(families, "_MANY_ROWS", 1)
    monkeypatch.setattr(families, "_PILOT_ROWS", 1)
    monkeypatch.setattr(families, "_WORTH_KEEPING", float("inf"))


def memory_mapped(path: Path) -> object:
    np.save(path / "xs.npy", values())
    return np.load(path / "xs.npy", mmap_mode="r")


def over_a_file(path: Path) -> object:
    values().tofile(path / "xs.raw")
    found = torch.from_file(str(path / "xs.raw"), shared=True, size=values().size, dtype=torch.float32)
    return found.reshape(COUNT, *SHAPE)


READ = {
    "memmap": memory_mapped,
    "part of a memmap": lambda path: np.concatenate([values()[:2], values()]) is None or memory_mapped(path)[:],
    "torch over a file": over_a_file,
    "dataset": lambda path: Data(values()),
    "dataset of pairs": lambda path: Data(values(), [k % 3 for k in range(COUNT)]),
    "torch dataset": lambda path: torch.utils.data.TensorDataset(torch.from_numpy(values())),
}

QUERIES = [
    "select * from f(xs, players => grid(2, 2))",
    "select * from f(xs, players => grid(2, 2), baseline => bg) where row < 4",
    "select * from f(xs, target => 1, players => grid(2, 2), baseline => mean(xs)) where value > -1",
    "select * from f(shift(xs, 1, 0), players => grid(2, 2), baseline => blur(1))",
    "select * from f(xs, players => grid(3, 3)) error within 40%",
    "select * from f(xs, players => grid(2, 2)) having prediction <> 9 order by mass(row < 3) desc limit 3",
]


@pytest.mark.parametrize("form", READ)
def test_a_collection_that_is_read_answers_as_one_that_is_held(form: str, tmp_path: Path, small_blocks: None):
    held, read = session(values()), session(READ[form](tmp_path))
    for query in QUERIES:
        a, b = held.sql(query, seed=1), read.sql(query, seed=1)
        assert len(a) == len(b) > 0
        assert a.stats.rows == b.stats.rows
        for one, other in zip(a, b, strict=True):
            assert (one.label, one.target_name) == (other.label, other.target_name)
            np.testing.assert_allclose(one.values, other.values, rtol=1e-4, atol=1e-6)
            np.testing.assert_array_equal(one.content, other.content)


def test_it_is_right_by_enumeration(small_blocks: None, as_arrays: None):
    data = Data(values(shape=(4,)))
    con = session(data, shape=(4,))
    for row, found in zip(data.values, con.sql("select * from f(xs, target => 2, baseline => 0)"), strict=True):

        def value(players: frozenset[int], row: NDArray[np.float32] = row) -> float:
            present = np.isin(np.arange(4), list(players))
            hybrid = torch.from_numpy(np.where(present, row, 0).astype(np.float32))
            return net((4,))(hybrid[None])[0, 2].item()

        np.testing.assert_allclose(found.values, shapley(value, value, 4), atol=1e-5)


@pytest.mark.parametrize(
    ("query", "plans"),
    [
        ("select * from f(xs, players => grid(2, 2))", 1),
        ("select * from f(xs, players => grid(2, 2)) where row < 3", 1),
        (QUERIES[1], 2),  # with and without duals
    ],
)
@pytest.mark.parametrize("arrays", [False, True])
def test_each_element_is_read_once_to_plan_and_once_to_run(
    query: str, plans: int, arrays: bool, small_blocks: None, request: pytest.FixtureRequest
):
    if arrays:
        request.getfixturevalue("as_arrays")
    data = Data(values(40))
    con = session(data)
    for _ in range(2):
        data.reads[:] = 0
        con.sql(query)
        assert data.reads[1:].max() <= plans + 1


def test_print_tables_and_plots_read_what_they_show(small_blocks: None):
    data = Data(values(60))
    answer = session(data).sql("select * from f(xs, players => grid(2, 2))")
    data.reads[:] = 0
    assert len(answer.to_pandas()) == 4 * 60
    assert "f(xs[0])" in str(answer)
    assert len(answer.importance()) == 4
    assert data.reads.sum() <= 1
    answer.plot()
    assert data.reads.sum() < 30
    data.reads[:] = 0
    np.testing.assert_array_equal(answer[50].content, data.values[50])
    assert data.reads.sum() == data.reads[50] == 1


def test_few_elements_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "MOST_IN_A_BLOCK", 8)
    shape, count = (3, 96, 96), 150  # 17 MB; two blocks are 1.8 MB

    class Made(Data):
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> object:
            return np.full(shape, index + 1, dtype=np.float32)

    con = session(Made(values(1)), shape)
    con.sql("select * from f(xs, target => 0, players => grid(1, 1)) budget 2")
    tracemalloc.start()
    answer = con.sql("select * from f(xs, target => 1, players => grid(1, 2))")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(answer) == count
    assert peak < 8e6


def test_a_file_that_changes_is_never_answered_from_memory(tmp_path: Path):
    made = np.lib.format.open_memmap(tmp_path / "xs.npy", "w+", np.float32, (COUNT, *SHAPE))
    made[:] = values()
    con, query = session(np.load(tmp_path / "xs.npy", mmap_mode="r")), "select * from f(xs, players => grid(2, 2))"
    before = con.sql(query)
    assert con.sql(query).stats.rows == 0
    made[4] = values(seed=7)[4]
    made.flush()
    with pytest.raises(BindError, match="element 4 was read twice and was not the same"):
        before[4].content  # noqa: B018
    after = con.sql(query)
    assert 0 < after.stats.rows <= 16
    np.testing.assert_array_equal(after[4].content, values(seed=7)[4])
    fresh = session(np.array(made)).sql(query)
    for one, other in zip(after, fresh, strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-6)
    assert np.abs(after[4].values - before[4].values).max() > 1e-3
    assert after.provenance["inputs"] != before.provenance["inputs"]


def test_other_answers_are_kept_whole_beside_it():
    con = session(Data(values()))
    for name, kept in (("bg", True), ("xs", False)):
        query = f"select * from f({name}, players => grid(2, 2))"
        con.sql(query)
        again = con.sql(query)
        assert again.stats.rows == 0
        assert ("the same question" in again.plan) is kept


def test_an_element_that_is_never_the_same_is_refused(small_blocks: None):
    class Noisy(Data):
        def __getitem__(self, index: int) -> object:
            return torch.randn(SHAPE) if index == 7 else torch.from_numpy(self.values[index])

    con = session(Noisy(values()))
    with pytest.raises(BindError, match=r"element 7 was read twice and was not the same: a dataset must give"):
        con.sql("select * from f(xs, players => grid(2, 2))")


class Failing(Data):
    def __getitem__(self, index: int) -> object:
        if index == 9:
            raise OSError("no such disk")
        return super().__getitem__(index)


class OtherShape(Data):
    def __getitem__(self, index: int) -> object:
        return torch.zeros(3, 6, 7) if index == 9 else super().__getitem__(index)


class OtherType(Data):
    def __getitem__(self, index: int) -> object:
        return torch.zeros(SHAPE, dtype=torch.float64) if index == 9 else super().__getitem__(index)


class Unpaired(Data):
    def __getitem__(self, index: int) -> object:
        return super().__getitem__(index)[0] if index == 9 else super().__getitem__(index)


class Texts(Data):
    def __getitem__(self, index: int) -> object:
        return "a text" if index == 9 else super().__getitem__(index)


LATE = [
    (Failing(values()), BindError, "element 9 of 'xs' could not be read: OSError: no such disk"),
    (OtherShape(values()), ShapeError, r"element 9 of 'xs' is torch.float32 of shape \(3, 6, 7\), while the first is"),
    (OtherType(values()), ShapeError, "element 9 of 'xs' is torch.float64"),
    (Unpaired(values(), list(range(COUNT))), BindError, "element 9 of 'xs' is a Tensor, while the first is a pair"),
    (Texts(values()), ShapeError, "element 9: "),
]


@pytest.mark.parametrize(("data", "error", "words"), LATE, ids=lambda each: type(each).__name__)
def test_an_element_that_fails_is_named(data: Data, error: type[Exception], words: str, small_blocks: None):
    con = session(data)
    for query in ("select * from f(xs, players => grid(2, 2))", "select * from f(xs) error within 50%"):
        with pytest.raises(error, match=words):
            con.sql(query)


class Mapped(Data):
    def __getitem__(self, index: int) -> object:
        return {"image": self.values[index]}


AT_ONCE = [
    (Data(values(0)), ShapeError, "collection 'xs' is empty: its dataset has length 0"),
    (Data(values(3, (0,))), ShapeError, "element 0 of 'xs' is empty"),
    (Mapped(values()), ShapeError, "element 0 of 'xs' is a dict; a dataset gives an array, or a pair"),
    (Data(values(4, (5, 6))), ShapeError, r"has shape \(4, 5, 6\); register an image"),
]


@pytest.mark.parametrize(("data", "error", "words"), AT_ONCE)
def test_what_cannot_be_read_is_refused(data: object, error: type[Exception], words: str):
    con = ialgebra.connect(progress=False)
    with pytest.raises(error, match=words):
        con.register_input("xs", data)
    assert con.names()["inputs"] == []


# Folders of pictures.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = pytest.importorskip("PIL.Image")
    for number, name in enumerate(["cat/b.png", "cat/a.png", "dog/c.png", "dog/.hidden.png", "notes.txt"]):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no picture")
        else:
            pixels = np.random.default_rng(number).integers(0, 255, (8, 10, 3), dtype=np.uint8)
            images.fromarray(pixels).save(path)
    return tmp_path / "pets"


def pixels(numbers: tuple[int, ...] = (1, 0, 2)) -> Iterator[NDArray[np.uint8]]:
    for number in numbers:  # in the order of their names
        yield np.random.default_rng(number).integers(0, 255, (8, 10, 3), dtype=np.uint8)


def test_a_folder_of_pictures_is_read_with_its_labels(folder: Path):
    con = ialgebra.connect(progress=False)
    con.register_model("f", net((3, 8, 10)))
    con.register_input("pets", folder)
    answer = con.sql("select * from f(pets, players => grid(2, 2))")
    for each, picture in zip(answer, pixels(), strict=True):
        np.testing.assert_array_equal(each.content, picture.transpose(2, 0, 1))
    some = con.sql("select * from f(pets, players => grid(2, 2)) having label = 'dog'")
    assert [each.label for each in some] == ["f(pets[2])"]
    assert "cat × 2, dog × 1" in con.sql("describe pets").text
    con.register_input("pets", str(folder) + "/")
    assert len(con.sql("select * from f(pets, players => grid(2, 2))")) == 3


def test_a_picture_of_another_size_is_named(folder: Path):
    images = pytest.importorskip("PIL.Image")
    images.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(folder / "dog" / "z.png")
    con = ialgebra.connect(progress=False)
    con.register_model("f", net((3, 8, 10)))
    con.register_input("pets", folder)
    with pytest.raises(ShapeError, match=r"picture 'dog/z.png' of 'pets' is .* resize it, or register a dataset"):
        con.sql("select * from f(pets)")
    (folder / "dog" / "z.png").write_bytes(b"broken")
    with pytest.raises(BindError, match=r"picture 'dog/z.png' of 'pets' could not be read: UnidentifiedImageError"):
        con.sql("select * from f(pets)")
    (folder / "dog" / "z.png").unlink()
    with pytest.raises(BindError, match=r"picture 'dog/z.png' of 'pets' could not be read: FileNotFoundError"):
        con.sql("select * from f(pets)")


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    with pytest.raises(ShapeError, match=r"holds no pictures \(\.bmp"):
        ialgebra.connect(progress=False).register_input("pets", tmp_path)


def test_labels_of_pairs_are_read_when_a_query_asks_for_them():
    data = Data(values(), ["odd" if k % 2 else "even" for k in range(COUNT)])
    con = session(data)
    answer = con.sql("select * from f(xs, players => grid(2, 2)) having label = 'odd'")
    assert [each.input for each in answer] == [f"xs[{k}]" for k in range(1, COUNT, 2)]
    mixed = session(Data(values(), [*range(COUNT - 1), "last"]))
    assert len(mixed.sql("select * from f(xs, players => grid(2, 2))")) == COUNT
    with pytest.raises(BindError, match="the label of element 10 of 'xs' is 'last', and that of the first is 0"):
        mixed.sql("select * from f(xs) having label = 3")
    boxes = session(Data(values(), [{"box": k} for k in range(COUNT)]))
    with pytest.raises(BindError, match="was registered without labels"):
        boxes.sql("select * from f(xs) having label = 3")


# Blocks.


def test_the_size_of_a_block_is_decided_by_the_planner_and_written_down(small_blocks: None, as_arrays: None):
    con, query = session(Data(values())), "select * from f(xs, players => grid(2, 2))"
    answer = con.sql(query)
    assert answer.provenance["decisions"]["block"] == 4
    assert "3 blocks of 4 games" in con.explain(query)
    assert "block" not in session(values()).sql(query).provenance["decisions"]
    larger = replace(Strategy.BEST, block=7)
    for strategy in (larger, replace(larger, batches=tuple(map(tuple, answer.provenance["batches"])))):
        other = session(Data(values())).sql(query, strategy=strategy)
        assert other.provenance["decisions"]["block"] == 7
        for one, two in zip(answer, other, strict=True):
            np.testing.assert_allclose(one.values, two.values, atol=1e-5)
    again = session(values()).sql(query, strategy=replace(Strategy.BEST, block=4))
    assert [each.values.tobytes() for each in again] == [each.values.tobytes() for each in answer]
    with pytest.raises(BindError, match="block"):
        replace(Strategy.BEST, block=0)


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("at", [12, 20, 31])
def test_after_an_interrupt_no_row_is_paid_twice(
    at: int, arrays: bool, small_blocks: None, request: pytest.FixtureRequest
):
    if arrays:
        request.getfixturevalue("as_arrays")
    query, held = "select * from f(xs, target => 0)", rows().numpy()

    def asked(model: Stops) -> ialgebra.Session:
        con = ialgebra.connect(progress=False)
        con.register_model("f", model, batch_size=8, version="1")
        con.register_input("xs", Data(held))
        return con

    def twice(model: Stops) -> int:
        paid = [row for row in model.log.rows if row != np.zeros(FEATURES).tobytes()]
        return len(paid) - len(set(paid))

    model, whole = Stops(at), Stops(1000)
    expected, con = asked(whole).sql(query), asked(model)
    with pytest.raises(KeyboardInterrupt):
        con.sql(query)
    for one, other in zip(con.sql(query), expected, strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-9)
    assert twice(model) == twice(whole)  # those that tell whether the model is a function of its row


def test_a_session_is_exported_by_path_and_by_copy(folder: Path, tmp_path: Path, small_blocks: None):
    def models() -> dict[str, nn.Module]:
        return {"f": net(), "g": net((3, 8, 10))}

    con = ialgebra.connect(progress=False)
    for name, model in models().items():
        con.register_model(name, model)
    np.save(tmp_path / "xs.npy", values())
    con.register_input("a", np.load(tmp_path / "xs.npy", mmap_mode="r"))
    con.register_input("b", Data(values(seed=2), [k % 2 for k in range(COUNT)]))
    con.register_input("pets", folder)
    answers = [
        con.sql(query)
        for query in (
            "select * from f(a, players => grid(2, 2))",
            "select * from f(b, players => grid(2, 2)) having label = 1",
            "select * from g(pets, players => grid(2, 2))",
        )
    ]
    script = con.history.export(tmp_path / "steps.py")
    text = script.read_text()
    assert f"FileArray(path={str(tmp_path / 'xs.npy')!r}" in text
    assert repr(str(folder)) in text
    assert (tmp_path / "steps.safetensors").stat().st_size < 3 * values().nbytes  # b alone is copied
    found = list(runpy.run_path(str(script))["analysis"](models()))
    for one, other in zip(answers, found, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.values.tobytes() == b.values.tobytes()
