"""What a prompt, a notebook and Ctrl-C show: answers as pictures, texts line by line, and no frames of ours."""

from __future__ import annotations

import base64
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ialgebra
from ialgebra.answering.running import Standing
from ialgebra.apps import cli
from ialgebra.session import progress
from ialgebra.testing import factories
from tests.relations import attribution, relation


def session() -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)), classes=["a", "b", "<c>"])
    con.register_input("x", torch.ones(4))
    return con


def test_a_session_shows_what_it_holds() -> None:
    con = session()
    con.sql("create view v as select * from f(x)")
    con.register_window("w", "feature = 1")
    con.sql("select * from f(x, target => 0)")
    assert repr(con).splitlines() == [
        "Session, 16 rows kept",
        "  model f: Sequential, 3 layers, 3 classes, 0 trained heads",
        "  input x: tabular, (4,), torch.float32",
        "  windows: w",
        "  views: v",
    ]
    assert con._repr_html_().startswith("<pre>Session, 16 rows kept\n")
    for number in range(20):
        con.register_input(f"x{number}", torch.ones(4))
    assert "  … 9 more" in repr(con).splitlines()
    assert repr(ialgebra.connect(progress=False)) == "Session, 0 rows kept\n  nothing is registered yet"


def test_plans_and_reports_are_shown_line_by_line() -> None:
    con = session()
    plan = con.explain("select * from f(x)")
    assert isinstance(plan, str)
    assert repr(plan) == str(plan)
    assert len(repr(plan).splitlines()) > 3
    assert plan._repr_html_() == "<pre>" + plan.replace("<", "&lt;").replace(">", "&gt;") + "</pre>"
    report = con.fit_heads("f", torch.rand(30, 4))
    assert repr(report) == str(report)
    assert "agreement" in report._repr_html_()
    assert repr(con.sql("select * from f(x)").explain()).count("\n") > 3


def test_the_table_says_nothing_of_estimators_but_what_a_model_is() -> None:
    text = relation(attribution([1.0], method="regression smooth, ridge 0.1")).text
    assert "ridge" not in text
    assert text.splitlines()[0].split("  ")[-1] == "error at 95 %"
    noisy = relation(attribution([1.0], method="regression smooth, random")).text
    assert noisy.splitlines()[1].endswith("± 0 %, random")


def test_how_a_map_was_estimated_is_a_detail() -> None:
    pytest.importorskip("pandas")
    answer = relation(attribution([1.0, 2.0], method="regression"))
    assert "method" not in answer.to_pandas()
    assert answer.to_pandas(details=True)["method"].tolist() == ["regression"] * 2
    assert answer[0].to_pandas(details=True)["method"].tolist() == ["regression"] * 2


# --- Ctrl-C


def test_ctrl_c_is_short_and_loses_nothing(request: pytest.FixtureRequest) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    con = ialgebra.connect(progress=False)
    struck = threading.Event()

    def slow(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) > 2 and not struck.is_set():
            struck.set()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return batch.sum(1)

    con.register_model("f", slow, batch_size=8)
    con.register_input("x", torch.ones(6))
    with pytest.raises(KeyboardInterrupt, match="are kept") as caught:
        con.sql("select * from f(x)")
    report = "".join(traceback.format_exception(caught.value))
    assert len(report.splitlines()) < 25
    assert "coalitions.py" not in report
    assert [line for line in caught.value._render_traceback_() if "KeyboardInterrupt: stopped" in line]
    assert all("ialgebra" not in line for line in caught.value._render_traceback_()[:-1])
    assert con.sql("select * from f(x)")[0].values == pytest.approx([1.0] * 6)


# --- progress


def test_a_notebook_s_line_says_how_a_query_stands() -> None:
    line = progress.html_line(Standing(120, 480, 1.0, 0.125, 0.05), 4.2)
    assert "rows 120 of 480 · 4 s · error ≤ 12 %, asked 5 %" in line
    assert "width:25%" in line
    assert "rows 7 · 0 s<" in progress.html_line(Standing(7, None, 0.1, None, None), 0.1)


def test_a_notebook_s_line_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[str] = []

    class Handle:
        def update(self, html: Any) -> None:
            shown.append(html.data)

    def display_line(html: Any, display_id: bool) -> Handle:
        shown.append(html.data)
        return Handle()

    monkeypatch.setattr(display, "display", display_line)
    monkeypatch.setattr(progress, "BAR_AFTER", 0.0)
    monkeypatch.setattr(progress, "_REFRESHED", 0.0)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    with progress.bar(True) as watch:
        assert watch is not None
        watch(Standing(1, 4, 0.0, None, None))
        watch(Standing(3, 4, 0.0, None, None))
    assert len(shown) == 3
    assert "rows 3 of 4" in shown[1]
    assert shown[-1] == ""
    with progress.bar(False) as watch:
        assert watch is None


def test_outside_of_a_notebook_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not progress.in_notebook()


# --- the command line


def test_a_factory_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("SIZE = 3\n")
    (tmp_path / "my_net.py").write_text(
        "import torch\nfrom beside import SIZE\ndef make():\n    return torch.nn.Linear(SIZE, 2), [torch.ones(SIZE)]\n"
    )
    model, inputs = factories.factory(f"{tmp_path}/my_net.py:make")()  # type: ignore[misc]
    assert model.in_features == len(inputs[0]) == 3
    with pytest.raises(ialgebra.BindError, match="there is no file"):
        factories.factory(f"{tmp_path}/other.py:make")
    with pytest.raises(ialgebra.BindError, match="has no 'made'"):
        factories.factory(f"{tmp_path}/my_net.py:made")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ialgebra.IalgebraError, match="ZeroDivisionError"):
        factories.factory(f"{tmp_path}/broken.py:make")


def test_the_shell_says_what_a_setup_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.py").write_text("import torch\ncon.register_input('x', torch.ones(3))\n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # no colours
    assert cli.main(["--setup", str(tmp_path / "s.py"), "-c", "show inputs"]) == 0
    first, last = capsys.readouterr().err.strip().splitlines()
    assert first.startswith("running ")
    assert first.endswith("s.py …")
    assert last.startswith("registered in ")
    assert last.endswith("s: inputs x")


# --- notebooks


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Runs a cell in an IPython shell; gives the value and what is shown of it."""
    shells = pytest.importorskip("IPython.core.interactiveshell")
    made = shells.InteractiveShell()
    monkeypatch.setattr(sys, "displayhook", sys.displayhook)

    def run(cell: str) -> Any:
        return made.run_cell(cell, store_history=False)

    assert run("%load_ext ialgebra").success
    made.user_ns["con"] = session()
    return run


def test_a_line_and_a_cell_of_statements_keep_their_answer_under_a_name(shell: Callable[[str], Any]) -> None:
    line = shell("%ialgebra -o rel select * from f(x, target => 0)")
    assert line.result[0].target == 0
    assert shell("rel is _").success
    assert shell("rel").result is line.result
    cell = shell("%%ialgebra -o last\nselect * from f(x, target => 1);\nselect * from f(x, target => 2)")
    assert cell.result[0].target == 2
    assert shell("last").result is cell.result
    assert shell("other = con\n").success
    assert shell("%ialgebra -s other show models").result.is_text
    assert shell("%%ialgebra other\nshow models").result.is_text
    assert shell("%%ialgebra -s other\nshow models").result.is_text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%ialgebra", "no statement; write %ialgebra"),
        ("%ialgebra -x rel select * from f(x)", "'-x rel' is no option"),
        ("%%ialgebra -o\nselect * from f(x)", "'-o' is no option"),
        ("%%ialgebra select 1\nselect * from f(x)", "no name of a session"),
        ("%%ialgebra db\nselect * from f(x)", "no session named 'db'"),
        ("%ialgebra select * from g(x)", "unknown model 'g'"),
    ],
)
def test_what_is_wrong_in_a_magic_is_a_sentence(
    shell: Callable[[str], Any], capsys: pytest.CaptureFixture[str], cell: str, message: str
) -> None:
    result = shell(cell)
    assert isinstance(result.error_in_exec, ialgebra.IalgebraError)
    out, err = capsys.readouterr()
    assert message in out + err
    assert "Traceback" not in out + err
    assert len((out + err).strip().splitlines()) <= 3


def test_a_notebook_s_outputs_hold_pictures() -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    cells = [
        "%load_ext ialgebra\nimport ialgebra, torch\ncon = ialgebra.connect()\n"
        "con.register_model('f', lambda batch: batch.sum((1, 2, 3)))\n"
        "con.register_input('x', torch.arange(48.0).reshape(3, 4, 4))",
        "con.sql('select * from f(x)').plot()",
        "con.sql('select * from f(x)')[0].plot()",
        "con.sql('select * from f(x)')",
        "%ialgebra select * from f(x) using exact",
        "con",
        "import sys; 'matplotlib.pyplot' in sys.modules",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    _, *shown, con, pyplot = (cell.outputs[-1:] for cell in notebook.cells)
    figures = [output["data"] for (output,) in shown]
    for data in figures[:2]:
        assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    for data in figures:
        assert re.search(r'<img alt="Attribution[^"]+"[^>]* src="data:image/', data["text/html"])
    assert con[0]["data"]["text/plain"].startswith("Session, ")
    assert pyplot[0]["data"]["text/plain"] == "False"
