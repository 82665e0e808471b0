"""`ialgebra studio` and `con.studio()`: the address on the first line, Ctrl-C, ports that are taken, what a page begins
with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ialgebra
from ialgebra.apps import cli, studio
from ialgebra.apps.studio import opening
from ialgebra.errors import IalgebraError

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from tests.studio import serving

SETUP = """
import torch
def setup(con):
    con.register_model("net", torch.nn.Linear(4, 2), classes=["no", "yes"])
    con.register_input("row", torch.ones(4))
"""


def test_the_first_line_is_the_address_and_ctrl_c_ends_it_cleanly(tmp_path, request):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    (tmp_path / "setup.py").write_text(SETUP)
    command = [sys.executable, "-m", "ialgebra.apps.cli", "studio", "--setup", "setup.py", "--no-open"]
    place = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", "IALGEBRA_CACHE": str(tmp_path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | place, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert serving.get(url, "/").status == 403
        with serving.page(url) as page:
            page.hello()
            assert page.until_status("done", "error")["state"] == "done"
            assert page.of("document")[0]["text"] == "select * from net(row)"
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=serving.PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0
    assert out == ""
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "closed"


@pytest.fixture
def run(capsys, monkeypatch):
    """The command line in this process, with a studio that is closed at once."""
    opened: list[str] = []

    def browse(self) -> bool:
        opened.append(self.url)
        return True

    monkeypatch.setattr(cli.runtime, "tune_process", dict)
    monkeypatch.setattr("ialgebra.apps.studio.studio.Studio.wait", lambda self: self.close())
    monkeypatch.setattr("ialgebra.apps.studio.studio.Studio.browse", browse)

    def run(*arguments: str) -> tuple[int, str, str, list[str]]:
        code = cli.main(["studio", *arguments])
        return code, *capsys.readouterr(), opened

    return run


@pytest.fixture
def setup(tmp_path) -> str:
    path = tmp_path / "setup.py"
    path.write_text(SETUP)
    return str(path)


def test_the_browser_is_opened_unless_it_is_not_wanted(run, setup):
    code, out, _, opened = run("--setup", setup)
    assert (code, opened) == (0, [out.strip()])
    code, _, errors, opened = run("--setup", setup, "--no-open")
    assert (code, len(opened)) == (0, 1)
    assert "open the address in a browser" in errors


def test_a_port_that_is_taken_is_a_sentence(run, setup):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, errors, _ = run("--setup", setup, "--port", str(port))
    assert (code, out) == (1, "")
    assert f"error: cannot listen on port {port} of '127.0.0.1': it is taken" in errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--port", "70000"), "70000 is no port"),
        (("--port", "-1"), "-1 is no port"),
        (("--host", "no.such.host.invalid"), "there is no such host"),
        (("--host", ""), "the host is empty"),
        (("--host", "a\0b"), "there is no such host"),
        (("--host", "x" * 80), "is no name of a host"),
        (("--host", "203.0.113.7"), "cannot listen on port 0 of '203.0.113.7'"),
    ],
)
def test_a_place_that_cannot_be_had_is_a_sentence(run, setup, options, words):
    code, out, errors, _ = run("--setup", setup, *options)
    assert (code, out) == (1, "")
    assert words in errors


def test_another_host_than_this_machine_is_warned_of(run, setup):
    code, out, errors, _ = run("--setup", setup, "--host", "0.0.0.0")
    assert code == 0
    assert out.startswith("http://127.0.0.1:")
    assert "warning: the studio listens on 0.0.0.0, which other machines can reach" in errors


def test_a_missing_package_is_a_sentence(monkeypatch):
    found = studio.needed.__globals__["importlib"].util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "uvicorn" else found(name))
    with pytest.raises(IalgebraError, match=r'the studio needs uvicorn.*pip install "ialgebra\[studio\]"'):
        studio.started(ialgebra.connect())
    with pytest.raises(IalgebraError, match="the studio needs uvicorn"):
        studio.example(ialgebra.connect())


# --- con.studio()


def test_a_session_s_own_studio_serves_in_the_background(capsys):
    with serving.session() as con:
        served = con.studio(open=False, block=False)
        with served, serving.page(served.url) as page:
            page.hello()
            page.until_status("done")
            assert served.url in repr(served)
            assert f'href="{served.url}"' in served._repr_html_()
        assert capsys.readouterr().out == ""
        assert repr(served) == "Studio, closed"
        with pytest.raises(OSError, match="refused"):
            serving.get(served.url, "/")
        with con.studio(open=False, block=False) as again:
            assert serving.get(again.url, "/").status == 403


def test_a_studio_that_blocks_says_where_it_is_and_ends_with_ctrl_c(capsys, monkeypatch):
    def interrupted(self) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ialgebra.apps.studio.studio.Studio.wait", interrupted)
    with serving.session() as con:
        served = con.studio(open=False)
        assert capsys.readouterr().out.startswith(f"the studio is at {served.url}\n")
        assert not served.open
        monkeypatch.setattr("ialgebra.session.session.in_notebook", lambda: True)
        with con.studio(open=False) as served:
            assert served.open


# --- what a page begins with


def test_the_first_query_fits_what_is_registered():
    con = ialgebra.connect(progress=False)
    assert opening.first_query(con) == ""
    con.register_input("rows", torch.ones(30, 5))
    assert opening.first_query(con) == ""
    con.register_model("wide", torch.nn.Linear(5, 2))
    con.register_model("narrow", torch.nn.Linear(3, 2))
    assert opening.first_query(con) == "select * from wide(rows) having index = 0"
    con.register_input("a row", torch.ones(3))
    assert opening.first_query(con) == 'select * from narrow("a row")'
    assert len(con.sql(opening.first_query(con))) == 1


def test_digits_are_handwritten_where_they_are_installed():
    pytest.importorskip("sklearn")
    pictures, labels, whence = opening._handwritten()
    assert pictures.shape == (1797, 1, 8, 8)
    assert (float(pictures.min()), float(pictures.max()), whence) == (0.0, 1.0, "digits")
    assert labels.shape == (1797,)


def test_without_the_demo_a_net_learns_digits(monkeypatch):
    monkeypatch.setattr(opening, "_handwritten", lambda: None)
    before = torch.random.get_rng_state()
    with ialgebra.connect(progress=False) as con:
        told = opening._digits(con)
        assert torch.equal(torch.random.get_rng_state(), before)
        share = float(told["title"].partition("% right")[0].split()[-1])
        assert share > 90
        assert told["title"].startswith("a small net, ")
        network = con.catalog().model("f")
        entry = con.catalog().input("digits")
        with torch.no_grad():
            right = [
                int(network.module(each.tensor[None]).argmax()) == label
                for each, label in zip(entry.elements, entry.labels, strict=True)
            ]
        assert sum(right) >= 0.9 * len(right)
        assert not network.needs_head(1)
        assert opening.first_query(con) == "select * from f(zero)"


def test_the_demo_s_layers_get_heads_when_nobody_waits_and_keep_them(monkeypatch):
    for module in opening._DEMO:
        pytest.importorskip(module)
    monkeypatch.setattr(opening, "_CROPS", 1)
    monkeypatch.setattr(opening.zoo, "LAYERS", (17,))
    monkeypatch.setattr(opening.zoo, "PHOTOS", {name: opening.zoo.PHOTOS[name] for name in ("cat", "coffee", "jeep")})
    with ialgebra.connect(progress=False) as con:
        example = opening.register_example(con)
        assert example.about["demo"] is True
        assert list(con.names()["inputs"]) == ["cat", "coffee", "jeep"]
        assert not con.catalog().model("f").named_heads
        example.afterwards()
        assert list(con.catalog().model("f").named_heads) == ["_blocks.15"]
    with ialgebra.connect(progress=False) as con:
        assert opening.register_example(con).afterwards is None
        assert list(con.catalog().model("f").named_heads) == ["_blocks.15"]
    opening._kept_heads().write_bytes(b"damaged")
    with ialgebra.connect(progress=False) as con:
        assert opening.register_example(con).afterwards is not None
