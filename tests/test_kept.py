"""What is kept within a bound on its bytes, and parts of a computation that run on several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from ialgebra.system.kept import Kept
from ialgebra.system.threads import _openblas, blas_threads, in_parts


def test_what_was_used_least_recently_is_forgotten_first() -> None:
    kept: Kept[str] = Kept(10)
    kept.keep("a", "A", 4)
    kept.keep("b", "B", 4)
    assert kept.find("a") == "A"
    kept.keep("c", "C", 4)
    assert (kept.find("a"), kept.find("b"), kept.find("c")) == ("A", None, "C")
    assert kept.nbytes == 8


def test_a_value_takes_the_place_of_one_that_has_its_key() -> None:
    kept: Kept[str] = Kept(10)
    kept.keep("a", "A", 6)
    kept.keep("a", "B", 7)
    assert kept.find("a") == "B"
    assert kept.nbytes == 7
    assert len(kept) == 1


def test_a_value_beyond_the_limit_is_not_kept_and_drives_nothing_out() -> None:
    kept: Kept[str] = Kept(10)
    kept.keep("a", "A", 10)
    kept.keep("b", "B", 11)
    assert (kept.find("a"), kept.find("b")) == ("A", None)
    kept.clear()
    assert kept.nbytes == len(kept) == 0


def test_the_limit_holds_whatever_threads_do() -> None:
    kept: Kept[int] = Kept(100)

    def work(seed: int) -> None:
        for key in np.random.default_rng(seed).integers(0, 40, size=500).tolist():
            if kept.find(key) is None:
                kept.keep(key, key, 7)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert kept.nbytes == 7 * len(kept) == 98


@pytest.mark.usefixtures("two_threads")
def test_parts_come_back_in_their_order_from_two_threads() -> None:
    met = threading.Barrier(2, timeout=30)  # passes only if two parts run at once

    def part(k: int) -> int:
        met.wait()
        return k * k

    assert in_parts(part, range(4)) == [0, 1, 4, 9]
    assert in_parts(lambda k: threading.current_thread(), [0]) == [threading.current_thread()]


@pytest.mark.usefixtures("two_threads")
def test_a_part_that_fails_leaves_out_those_that_have_not_begun() -> None:
    begun = []

    def part(k: int) -> None:
        begun.append(k)
        if k == 0:
            raise ArithmeticError("of part 0")
        time.sleep(0.01)

    with pytest.raises(ArithmeticError, match="of part 0"):
        in_parts(part, range(400))
    assert len(begun) < 400


@pytest.mark.usefixtures("two_threads")
def test_parts_handle_floating_point_errors_as_their_caller_does() -> None:
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        in_parts(lambda k: np.ones(2) / np.zeros(2), range(2))


@pytest.fixture
def blas_of_two() -> Iterator[None]:
    library = _openblas()
    if library is None:
        pytest.skip("NumPy's BLAS is not OpenBLAS")
    before = library.threads()
    library.limit(2)
    if library.threads() != 2:
        pytest.skip("NumPy's BLAS has one thread here")
    yield
    library.limit(before)


@pytest.mark.usefixtures("two_threads", "blas_of_two")
def test_blas_has_one_thread_while_parts_run_and_then_as_many_as_before() -> None:
    assert in_parts(lambda k: blas_threads(), range(3)) == [1] * 3
    assert blas_threads() == 2
    with pytest.raises(ArithmeticError):
        in_parts(lambda k: [][k] if k else (_ for _ in ()).throw(ArithmeticError), range(2))
    assert blas_threads() == 2


@pytest.mark.usefixtures("two_threads", "blas_of_two")
def test_blas_gets_its_threads_back_after_the_last_of_two_callers() -> None:
    first_in, second_done = threading.Event(), threading.Event()

    def part(k: int) -> None:
        first_in.set()
        second_done.wait(30)

    thread = threading.Thread(target=lambda: in_parts(part, [0]))
    thread.start()
    assert first_in.wait(30)
    in_parts(lambda k: k, range(2))
    assert blas_threads() == 1
    second_done.set()
    thread.join()
    assert blas_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_parts_of_a_part_run_one_after_the_other() -> None:
    def name(k: int) -> str:
        time.sleep(0.01)
        return threading.current_thread().name

    assert len(set(in_parts(name, range(4)))) == 2
    assert all(len(set(names)) == 1 for names in in_parts(lambda k: in_parts(name, range(3)), range(2)))
