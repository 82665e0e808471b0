"""Properties of the process settings: they are made where they can be, help, and never happen by themselves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ialgebra.system import runtime

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")


def child(code: str, **environment: str) -> str:
    """What a fresh Python prints that runs `code` without the settings of this process, but with `environment`."""
    inherited = {key: value for key, value in os.environ.items() if key not in runtime.environment()}
    # runtime.py is run by its path: it needs nothing of the package, and this way nothing else is imported
    load = f"import runpy, sys; runtime = runpy.run_path({runtime.__file__!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", load + code], capture_output=True, text=True, check=True, env=inherited | environment
    )
    return done.stdout.strip()


FAULTS = """
import ctypes, resource
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def faults(size=40 << 20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        block = libc.malloc(size)
        ctypes.memset(block, 1, size)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""


@LINUX
def test_tuning_stops_the_page_faults_of_big_activations():
    before, after = map(
        int, child(FAULTS + "print(faults()); runtime['tune_process'](); faults(); print(faults())").split()
    )
    assert before > 90
    assert after < before / 10


@LINUX
def test_the_variables_do_the_same_for_a_child():
    code = FAULTS + "faults(); print(faults())"
    assert int(child(code, **runtime.environment())) < int(child(code)) / 10


@LINUX
def test_what_was_set_is_returned_and_agrees_with_the_variables():
    report = "import os; print(runtime['tune_process'](), os.environ['OMP_WAIT_POLICY'])"
    assert child(report) == (
        "{'M_MMAP_THRESHOLD': 1073741824, 'M_TRIM_THRESHOLD': 2147483647, 'M_TOP_PAD': 67108864, "
        "'OMP_WAIT_POLICY': 'PASSIVE'} PASSIVE"
    )
    assert runtime.environment() == {
        "MALLOC_MMAP_THRESHOLD_": "1073741824",
        "MALLOC_TRIM_THRESHOLD_": "2147483647",
        "MALLOC_TOP_PAD_": "67108864",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def test_importing_changes_nothing():
    assert child("import os; print(os.environ.get('OMP_WAIT_POLICY'))") == "None"


def test_a_wait_policy_of_the_users_own_is_kept():
    code = "import os; print('OMP_WAIT_POLICY' in runtime['tune_process'](), os.environ['OMP_WAIT_POLICY'])"
    assert child(code, OMP_WAIT_POLICY="ACTIVE") == "False ACTIVE"


def test_after_torch_the_wait_policy_is_left_alone_because_it_would_do_nothing():
    code = "sys.modules['torch'] = sys; import os; print(runtime['tune_process'](), os.environ.get('OMP_WAIT_POLICY'))"
    answer = child(code)
    assert "OMP_WAIT_POLICY" not in answer
    assert answer.endswith("None")


def test_without_glibc_the_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert runtime.tune_process() == {}
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda _: object())  # musl: no gnu_get_libc_version
    assert runtime.tune_process() == {}
