"""Faults: whatever breaks, at whatever step, ends in a clear error or a right answer, and the session goes on.

Right means as the oracle says, or as a session says that met no fault. Nothing that was saved is lost or half written,
and the memory that a fault held is free again.
"""

from __future__ import annotations

import ast
import errno
import json
import os
import pickle
import resource
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import BindError, IalgebraError, IalgebraWarning, ModelError, ResourceError
from ialgebra.execution.store import Origin, Store
from ialgebra.models.head import Head
from ialgebra.models.profile import Profile
from ialgebra.system import disk
from tests import oracle, worlds
from tests.faults import FAILING, Faulty, Steps, fault_at, held_memory, in_child, raising, same
from tests.oracle import Call
from tests.relations import attribution, relation
from tests.worlds import close

QUERY = "select * from f(x, target => 0) using exact()"
NOTHING_ELSE: dict[str, list[str]] = {"views": [], "generators": [], "axes": []}
BATCHES = 1 + 2**6 // 16  # the first row, then the other 63

DEFAULT_ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4294967296 bytes. Error code 12 (Cannot allocate memory)"
)


def faulty() -> tuple[ialgebra.Session, Faulty, Tensor]:
    model = Faulty(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)).double()).train()
    con, x = ialgebra.connect(progress=False), torch.randn(6).double()
    con.register_model("f", model, batch_size=16)
    con.register_input("x", x)
    return con, model, x


def right(model: Faulty, x: Tensor) -> np.ndarray:
    world = oracle.World({"f": oracle.Net(model.net.eval())}, {"x": x}, {}, {None: oracle.features})
    (found,) = world.maps(Call("f", "x", target=0))
    model.net.train()
    return found


# --- a batch that fails


def test_these_are_all_batches():
    con, _, _ = faulty()
    with fault_at(-1, raising(ValueError())):
        con.sql(QUERY)
        assert FAILING.value.passes == BATCHES + 2  # two that examine the model


@pytest.mark.parametrize("at", range(1, BATCHES + 2))
@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(DEFAULT_ALLOCATOR)],
    ids=["host", "device", "allocator"],
)
def test_out_of_memory_once_at_any_batch(at, error):
    con, model, x = faulty()
    with fault_at(at, raising(error)):
        try:
            (answer,) = con.sql(QUERY)
        except ResourceError:
            assert at <= 2, "only a batch of one row has no smaller one"
            (answer,) = con.sql(QUERY)
    assert close(answer.map, right(model, x))
    assert model.training
    assert model.net[2].training


@pytest.mark.parametrize("at", range(1, BATCHES + 1))
def test_out_of_memory_for_good_at_any_batch(at):
    con, model, x = faulty()
    FAILING.value.rows = 0
    with fault_at(at, raising(MemoryError()), lasting=True), pytest.raises(ResourceError, match="model 'f'"):
        con.sql(QUERY)
    (answer,) = con.sql(QUERY)
    assert close(answer.map, right(model, x))
    assert FAILING.value.rows <= 2**6 + 1 + 6, "finished rows are not evaluated again; four to six examine the model"


def holes(value: float) -> Callable[[Tensor], Tensor]:
    def fault(logits: Tensor) -> Tensor:
        logits[len(logits) // 2, 0] = value
        return logits

    return fault


FAULTS: list[tuple[Callable[[Tensor], Tensor], type[BaseException], str]] = [
    (raising(ValueError("the sky fell")), ModelError, "raised ValueError: the sky fell"),
    (raising(StopIteration()), ModelError, "raised StopIteration"),
    (raising(AssertionError()), ModelError, "raised AssertionError"),
    (raising(KeyboardInterrupt()), KeyboardInterrupt, ""),
    (raising(SystemExit(3)), SystemExit, "3"),
    (holes(float("nan")), ModelError, "returned NaN"),
    (holes(float("inf")), ModelError, "returned infinity"),
    (lambda logits: logits[:0], ModelError, "rows"),
    (lambda logits: logits[:, :2], ModelError, "classes"),
]


@pytest.mark.parametrize("at", range(1, BATCHES + 1))
@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS)
def test_a_fault_at_any_batch_is_named_and_the_rows_before_it_are_kept(at, fault, kind, words):
    con, model, x = faulty()
    FAILING.value.rows = 0
    if words == "classes" and at == 1:
        pytest.skip("which classes a model has, its first pass says")
    examining = 0 if at == 1 else 2  # passes after the first, of four rows; what fails there, fails in no query
    with fault_at(at + examining, fault), pytest.raises(kind, match=words or None) as caught:
        con.sql(QUERY)
    if isinstance(caught.value, IalgebraError):
        assert "model 'f'" in str(caught.value)
    assert model.training
    assert model.net[2].training
    (answer,) = con.sql(QUERY)
    assert close(answer.map, right(model, x))
    filled = 1 + 16 if at == 1 else 0  # a model that fails on one row is tried with a full batch, then with one again
    assert FAILING.value.rows <= 2**6 + 1 + 4 + filled, "finished rows are not evaluated again"


@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.parametrize("error", [MemoryError(), ValueError("no"), KeyboardInterrupt()], ids=["memory", "model", "^C"])
def test_a_fault_at_any_batch_of_fitting_leaves_the_heads_as_they_were(at, error):
    con, model, _ = faulty()
    inputs = torch.randn(80, 6).double()
    con.fit_heads("f", inputs[:40], layers=[1], seed=1)
    heads = dict(con._catalog.model("f").heads)
    with fault_at(at, raising(error)):
        if isinstance(error, MemoryError):
            con.fit_heads("f", inputs, layers=[1])
            return  # in smaller batches
        with pytest.raises((ModelError, KeyboardInterrupt)):
            con.fit_heads("f", inputs, layers=[1])
    assert con._catalog.model("f").heads == heads
    assert model.training
    assert con.sql("select 1 from f(x, target => 0)")[0].values.any()


@pytest.mark.parametrize("place", ["estimate", "design", "names", "store", "lowering"])
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(DEFAULT_ALLOCATOR),
        RuntimeError("std::bad_alloc"),
        ValueError("std::bad_alloc"),
        np.linalg.LinAlgError("odd"),
    ],
)
def test_out_of_memory_beside_the_batches_is_a_resource_error(place, error, monkeypatch):
    """Of anything else than memory the cause is shown as it is."""
    con, model, x = faulty()
    where = {
        "estimate": "ialgebra.estimation.maps.estimated",
        "design": "ialgebra.execution.execution.designed",
        "names": "ialgebra.execution.memory.hybrid_names",
        "store": "ialgebra.execution.store.Store.keep",
        "lowering": "ialgebra.planner.boards.labels",
    }[place]

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        expected = type(error) if isinstance(error, np.linalg.LinAlgError) else ResourceError
        with pytest.raises(expected):
            con.sql(QUERY)
    assert close(con.sql(QUERY)[0].map, right(model, x))


@pytest.mark.parametrize("error", [MemoryError("std::bad_alloc"), RuntimeError("std::bad_alloc")])
@pytest.mark.parametrize(
    ("place", "act"),
    [
        ("ialgebra.session.registration.entry", lambda con, _: con.register_input("x", torch.ones(6))),
        ("ialgebra.session.registration.Network", lambda con, _: con.register_model("f", nn.Linear(6, 3))),
        ("ialgebra.session.registration.Mask.of", lambda con, _: con.register_window("w", np.ones(6, bool))),
        ("ialgebra.session.session.fit_heads", lambda con, _: con.fit_heads("f", torch.rand(9, 6))),
        ("ialgebra.session.session.calibrate", lambda con, _: con.calibrate("f")),
        ("ialgebra.language.reader.read", lambda con, _: con.sql("select * from f(x)")),
        ("ialgebra.language.reader.read", lambda con, _: list(con.stream("select * from f(x)"))),
        ("ialgebra.answering.explaining.written_as", lambda con, _: con.explain("select * from f(x)")),
        ("ialgebra.algebra.baselines.gaussian_blur", lambda con, _: con.sql("select * from g(im, baseline => blur)")),
        ("ialgebra.session.script.save", lambda con, folder: con.history.export(folder / "a.py")),
        ("ialgebra.results.files.disk.write", lambda con, folder: con.sql(QUERY).save(folder / "a")),
        ("ialgebra.results.plots.of_kind", lambda con, _: con.sql(QUERY).plot()),
        ("ialgebra.results.plots.of_kind", lambda con, _: con.sql(QUERY)[0].plot()),
        ("ialgebra.results.exports.frame", lambda con, _: con.sql(QUERY).to_pandas()),
        ("ialgebra.results.exports.explanation", lambda con, _: con.sql(QUERY)[0].to_shap()),
        ("safetensors.safe_open", lambda con, folder: ialgebra.load(folder / "kept")),
    ],
)
def test_out_of_memory_anywhere_is_a_resource_error_and_leaves_all_as_it_was(place, act, error, tmp_path, monkeypatch):
    con, model, x = faulty()
    con.register_model("g", lambda batch: batch.sum((1, 2, 3))[:, None])
    con.register_input("im", torch.rand(3, 4, 4))
    before = con.sql(QUERY)
    before.save(tmp_path / "kept")

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        with pytest.raises(ResourceError, match=r"out of memory .*; .*") as caught:
            act(con, tmp_path)
    assert caught.value.__cause__ is error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    assert close(con.sql(QUERY)[0].map, right(model, x))
    assert con.names() == NOTHING_ELSE | {"models": ["f", "g"], "inputs": ["x", "im"], "windows": []}


def test_what_a_fault_held_is_free_again():
    """40 faults, each of a batch of 25 MiB."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 3)

        def forward(self, batch: Tensor) -> Tensor:
            return self.net(batch) + batch.repeat(1, 70_000).sum(1, keepdim=True)

    con = ialgebra.connect(progress=False)
    con.register_model("f", Faulty(Wide()), batch_size=16)
    con.register_input("x", torch.randn(6))
    con.sql(QUERY)
    faults = [raising(ValueError("no")), raising(MemoryError()), raising(KeyboardInterrupt()), holes(float("nan"))]
    with held_memory():
        for turn in range(40):
            con.register_input("x", torch.randn(6))
            fault = fault_at(1 + turn % 4, faults[turn % len(faults)], lasting=True)
            with fault, pytest.raises((IalgebraError, KeyboardInterrupt)):
                con.sql(QUERY)
    assert con.sql(QUERY)[0].values.any()


# --- Ctrl-C, and no memory, at any step

SMALL = [
    "select 1, * from f(x, target => 0) where feature < 5 using exact()",
    "select * from f(x) left join (select * from f(y)) budget 40",
    "select * from f(x) error within 50%",
]


def world(store_bytes: int = 256 << 20) -> ialgebra.Session:
    """A model in train mode, with dropout, on another device than a query asks for: there is much to put back."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)).double().train()
    con = ialgebra.connect(progress=False, store_bytes=store_bytes)
    con.register_model("f", model, batch_size=16, device="cpu")
    for name in ("x", "y"):
        con.register_input(name, torch.randn(6).double())
    con._catalog.model("f").probe(torch.zeros(6).double())
    con._catalog.model("f").attach({"0": Head(torch.randn(3, 8).double(), torch.randn(3).double(), ())})
    return con


def as_it_was(con: ialgebra.Session) -> bool:
    model = con._catalog.model("f").module
    modules = list(model.modules())
    return (
        all(module.training for module in modules)
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
        and all(parameter.requires_grad for parameter in model.parameters())
        and torch.is_grad_enabled()
        and not torch.is_inference_mode_enabled()
    )


def strike(error: type[BaseException], part: str, share: float) -> None:
    """One fault in a small world at a `share` of its steps: then all answers are those of a world without faults."""
    wanted = [world().sql(text) for text in SMALL]
    con = world(store_bytes=6000)
    with Steps(part) as steps:
        for text in SMALL:
            con.sql(text)
    con, struck, swallowed = world(store_bytes=6000), False, []
    with (
        Steps(part, at=1 + int(0.9 * share * steps.count), error=error),
        # Python can only ignore what is raised while a generator is closed.
        mock.patch.object(sys, "unraisablehook", lambda fault: swallowed.append(fault.exc_type)),
    ):
        for text in SMALL:
            try:
                con.sql(text)
            except (KeyboardInterrupt, ResourceError):
                struck = True
    assert struck or swallowed == [error] or error is MemoryError, "a smaller batch may do"
    assert as_it_was(con)
    for text, one in zip(SMALL, wanted, strict=True):
        assert same(con.sql(text), one), text
    assert as_it_was(con)
    for table in con._store.tables.values():
        assert all(len(array) >= len(table.rows) for array in table._arrays)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("share", np.random.default_rng(0).random(20).round(4))
def test_a_fault_at_any_step(error, share):
    strike(error, "", share)


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("part", ["", "execution/", "models/", "kernels/forward.py", "answering/query.py"])
def test_a_fault_at_many_steps(error, part):
    for share in np.random.default_rng(1).random(60):
        strike(error, part, share)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_fault_at_every_step_of_the_store_leaves_it_true(error):
    """What a table says of a row is what was kept of it, or nothing."""
    rng = np.random.default_rng(0)
    blocks = []
    for number in range(6):
        names = [rng.bytes(16) for _ in range(12)]
        columns = {("deep", number % 2): rng.normal(size=(12, 4)), "all": rng.normal(size=(12, 2)).astype(np.float32)}
        blocks.append((names, columns, Origin(str(number), b"", b"")))
    truth = {
        (name, column): values[k]
        for names, columns, _ in blocks
        for column, values in columns.items()
        for k, name in enumerate(names)
    }

    def fill(store: Store, at: int) -> int:
        with Steps("execution/store.py", at, error) as steps:
            for names, columns, origin in blocks:
                try:
                    store.begin()
                    store.keep("model", names, columns, 1.0, origin)
                except error:
                    pass
        return steps.count

    for at in range(1, fill(Store(8000), -1) + 1):
        store = Store(8000)
        fill(store, at)
        for place, (names, columns, origin) in enumerate(blocks[::-1]):  # other rows come to lie where some broke off
            few = {column: values[:6] for column, values in columns.items()}
            store.keep("model", names[:6], few | {"late": np.ones((6, 1))}, 1.0, origin)
            if place in (0, len(blocks) - 1):
                table, known = store.table("model"), 0
                for (name, column), value in truth.items():
                    _, values = table.read(table.places([name]), column)
                    known += len(values)
                    assert not len(values) or np.array_equal(values[0], value), at
                assert known
        assert sum(table.nbytes for table in store.tables.values()) <= store.limit


# --- files


def heads_of(con: ialgebra.Session, seed: int) -> ialgebra.Session:
    torch.manual_seed(seed)
    worlds.with_random_heads(con, "f", torch.zeros(6).double())
    return con


def saved(kind: str, folder: Path, number: int) -> Callable[[], object]:
    """Something that saves the `number`-th content of a kind to `folder`, all that comes before the saving done."""
    if kind == "relation":
        answer = relation(attribution([float(number), 2.0], content=np.full((3, 8, 8), float(number))))
        return lambda: answer.save(folder / "file")
    if kind == "heads":
        con = heads_of(world(), number)
        return lambda: con.save_heads("f", folder / "file")
    profile = Profile("key", 1000 + number, 0.5, (0.5, 1.0))
    return profile.save


def content(kind: str, folder: Path) -> object:
    """What a reader finds there."""
    if kind == "relation":
        return ialgebra.load(folder / "file")[0].values[0]
    if kind == "heads":
        con = world()
        con.load_heads("f", folder / "file")
        return float(con._catalog.model("f").heads[1].weight[0, 0])
    profile = Profile.load("key", 2)
    return None if profile is None else profile.bytes_per_row


KINDS = ["relation", "heads", "profile"]


@pytest.fixture
def folder(own_cache: Path) -> Path:
    """Where profiles are kept, and in these tests all else."""
    return own_cache


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", ["chmod", "write", "flush", "fsync", "replace", "unlink"])
def test_a_kill_at_any_step_of_saving_leaves_the_old_file_or_the_new_one(kind, step, folder, monkeypatch):
    saved(kind, folder, 1)()
    old = content(kind, folder)
    save = saved(kind, folder, 2)
    if (kind, step) == ("profile", "fsync"):
        pytest.skip("a query does not wait for the disk")

    class Dying:
        """A file that lets half of its content through."""

        def __init__(self, file: object) -> None:
            self.file = file

        def __enter__(self) -> Dying:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[: len(content) // 2] if step == "write" else content)
            if step == "write":
                self.file.flush()
                os.kill(os.getpid(), signal.SIGKILL)

        def flush(self) -> None:
            if step == "flush":
                os.kill(os.getpid(), signal.SIGKILL)
            self.file.flush()

        def fileno(self) -> int:
            return self.file.fileno()

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def task() -> None:
        opened = Path.open
        if step in ("write", "flush"):
            monkeypatch.setattr(Path, "open", lambda path, mode="r", **more: Dying(opened(path, mode, **more)))
        else:
            monkeypatch.setattr(*{"unlink": (Path, "unlink"), "chmod": (Path, "chmod")}.get(step, (os, step)), die)
        save()

    assert in_child(task) == -signal.SIGKILL
    found = content(kind, folder)
    assert found == old if step != "unlink" else found != old
    saved(kind, folder, 3)()
    assert content(kind, folder) not in (old, found)
    litter = [path.name for path in folder.iterdir() if path.name.endswith(".unfinished")]
    assert len(litter) == (step != "unlink"), "a killed process cannot clean up"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_moment_of_saving_leaves_the_old_file_or_the_new_one(kind, folder):
    saves = [saved(kind, folder, number) for number in (1, 2)]
    saves[0]()
    whole = {content(kind, folder)}
    saves[1]()
    whole.add(content(kind, folder))
    assert len(whole) == 2

    def forever() -> None:
        while True:
            for save in saves:
                save()

    rng = np.random.default_rng(0)
    for _ in range(60):
        child = os.fork()
        if child == 0:
            forever()
        threading.Event().wait(rng.uniform(0.001, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert content(kind, folder) in whole


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
def test_a_disk_that_fails_leaves_the_old_file_and_nothing_else(kind, code, folder, monkeypatch):
    saved(kind, folder, 1)()
    old, names = content(kind, folder), sorted(path.name for path in folder.iterdir())
    save = saved(kind, folder, 2)

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    for place in ((os, "replace"), (Path, "open"), (os, "fsync")):
        with monkeypatch.context() as patch:
            patch.setattr(*place, fail)
            if kind == "profile":
                save()
            else:
                with pytest.raises(IalgebraError, match=f"cannot .* to '.*file': {os.strerror(code)}"):
                    save()
        if (kind, place[1]) != ("profile", "fsync"):
            assert content(kind, folder) == old
        assert sorted(path.name for path in folder.iterdir()) == names
    save()
    assert content(kind, folder) != old


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_named(kind, folder):
    """The kernel itself refuses: no file of this process may be longer than 100 bytes."""
    saved(kind, folder, 1)()
    old, names = content(kind, folder), sorted(path.name for path in folder.iterdir())
    save = saved(kind, folder, 2)

    def task() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        if kind == "profile":
            save()
        else:
            with pytest.raises(IalgebraError, match=r"cannot .* to '.*file': File too large"):
                save()

    assert in_child(task) == 0
    assert content(kind, folder) == old
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_may_not_be_written_to(kind, folder):
    saved(kind, folder, 1)()
    old = content(kind, folder)
    save = saved(kind, folder, 2)
    for part in (folder, *folder.parents):  # a child that is nobody must get there
        if part.owner() == Path.home().owner() and part not in Path.home().parents and part != Path("/tmp"):
            part.chmod(part.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    folder.chmod(0o555)

    def task() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)
        if kind == "profile":
            save()
        else:
            with pytest.raises(IalgebraError, match=r"cannot .* to '.*file': Permission denied"):
                save()
        os.seteuid(os.getuid())

    assert in_child(task) == 0
    folder.chmod(0o755)
    assert content(kind, folder) == old


def test_threads_that_save_to_one_place_leave_one_whole_file(tmp_path):
    answers = [relation(attribution([float(k)], content=np.full((3, 8, 8), k))) for k in range(4)]
    wrong: list[BaseException] = []

    def save(answer: ialgebra.Relation) -> None:
        try:
            for _ in range(10):
                answer.save(tmp_path / "answer")
                ialgebra.load(tmp_path / "answer")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=save, args=(answer,)) for answer in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [path.name for path in tmp_path.iterdir()] == ["answer"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    answer = relation(attribution([1.0]))
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/full"), Path("/dev/null"), tmp_path):
        kind = stat.S_IFMT(place.stat().st_mode)
        with pytest.raises(IalgebraError, match="cannot save to"):
            answer.save(place)
        assert stat.S_IFMT(place.stat().st_mode) == kind


def test_a_link_stays_a_link_and_a_private_file_private(tmp_path):
    answer = relation(attribution([1.0]))
    real = answer.save(tmp_path / "real")
    real.chmod(0o600)
    (tmp_path / "link").symlink_to(real)
    relation(attribution([2.0])).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert ialgebra.load(real)[0].values[0] == 2.0
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 20, 200, 255])
def test_names_as_long_as_a_folder_takes(kind, length, tmp_path):
    if kind == "profile":
        disk.write(tmp_path / ("p" * length), b"profile")
    elif kind == "heads":
        heads_of(world(), 0).save_heads("f", tmp_path / ("h" * length))
    else:
        relation(attribution([1.0])).save(tmp_path / ("r" * length))
    assert len(list(tmp_path.iterdir())) == 1


# --- files that rotted, or are of others


def bits(whole: bytes, count: int) -> list[bytes]:
    """The file with one bit turned over, in so many places."""
    rng, found = np.random.default_rng(0), []
    for place in rng.choice(len(whole), size=min(count, len(whole)), replace=False).tolist():
        harmed = bytearray(whole)
        harmed[place] ^= 1 << int(rng.integers(8))
        found.append(bytes(harmed))
    return found


@pytest.mark.parametrize("kind", ["relation", "heads"])
def test_no_bit_that_was_turned_over_goes_unnoticed(kind, folder):
    saved(kind, folder, 1)()
    path, right_ = folder / "file", content(kind, folder)
    whole = path.read_bytes()
    silent = 0
    for harmed in bits(whole, 300):
        path.write_bytes(harmed)
        try:
            assert content(kind, folder) == right_
            silent += 1
        except (IalgebraError, IalgebraWarning):
            pass
    assert silent <= 3, "space between the words of a header means nothing"
    for length in range(0, len(whole), max(1, len(whole) // 100)):
        path.write_bytes(whole[:length])
        with pytest.raises(IalgebraError):
            content(kind, folder)
    path.write_bytes(whole + b"\0" * 8)
    with pytest.raises(IalgebraError):
        content(kind, folder)


def test_a_profile_that_rotted_is_none_or_a_profile(folder):
    saved("profile", folder, 1)()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for harmed in (*bits(whole, 300), *(whole[:length] for length in range(len(whole)))):
        path.write_bytes(harmed)
        found = Profile.load("key", 2)
        assert found is None or (found.key == "key" and found.seconds(8, 8) > 0)
    for format_ in ("ialgebra profile 0", "ialgebra profile 2", "other"):
        path.write_text(json.dumps(json.loads(whole) | {"format": format_}))
        assert Profile.load("key", 2) is None


def test_heads_of_older_and_newer_versions(folder):
    saved("heads", folder, 1)()
    path = folder / "file"
    right_ = content("heads", folder)
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = safetensors.torch.load_file(path)
    for version, message in (("0", "newer"), ("3", "newer ialgebra .heads of format 3"), ("x", "is no file of heads")):
        safetensors.torch.save_file(tensors, path, header | {"format": f"ialgebra heads {version}"})
        with pytest.raises(BindError, match=message):
            content("heads", folder)
    safetensors.torch.save_file(
        tensors, path, {key: header[key] for key in ("heads", "weights")} | {"format": "ialgebra heads 1"}
    )
    assert content("heads", folder) == right_


class Bomb:
    """Says so when it is unpickled."""

    exploded = False

    def __reduce__(self) -> tuple[object, ...]:
        return (setattr, (Bomb, "exploded", True))


@pytest.mark.parametrize("write", [pickle.dumps, None], ids=["pickle", "torch"])
def test_nothing_is_unpickled(write, folder, monkeypatch):
    path = folder / "file"
    if write is None:
        torch.save({"weight": Bomb()}, path)
    else:
        path.write_bytes(write(Bomb()))
    (folder / "profile-key.json").write_bytes(path.read_bytes())

    def never(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    for name in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "numpy.load"):
        monkeypatch.setattr(name, never)
    for kind in ("relation", "heads"):
        with pytest.raises(IalgebraError):
            content(kind, folder)
    assert content("profile", folder) is None
    saved("heads", folder, 1)()
    content("heads", folder)
    saved("relation", folder, 1)()
    content("relation", folder)
    assert not Bomb.exploded


def test_no_module_reads_what_could_run():
    """But for what a person at the command line, or the demo, names as their own."""
    running = {"eval", "exec", "torch.load", "np.load", "numpy.load"}
    unpickling = {"pickle", "marshal", "shelve", "dill", "joblib"}
    for path in Path(ialgebra.__file__).parent.rglob("*.py"):
        if "demo" in path.parts or path.name in ("zoo.py", "cli.py"):
            continue
        for part in ast.walk(ast.parse(path.read_text())):
            if isinstance(part, ast.Call):
                assert ast.unparse(part.func) not in running, path
            if isinstance(part, ast.Import | ast.ImportFrom):
                names = {each.name for each in part.names} | {getattr(part, "module", None)}
                assert not names & unpickling, path
