"""Properties of the command line, the shell and the notebook magic, against a session that only plays back answers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

import pytest

from ialgebra.apps import cli, magics
from ialgebra.apps import shell as shells
from ialgebra.errors import BindError, IalgebraError, IalgebraWarning, Span
from ialgebra.results.relation import Relation
from ialgebra.session.statements.registry import STATEMENTS
from tests.relations import attribution, relation

pytest.importorskip("matplotlib").use("agg")
prompt_toolkit = pytest.importorskip("prompt_toolkit")
from prompt_toolkit.application import create_app_session  # noqa: E402 - the shell's library is optional here
from prompt_toolkit.completion import CompleteEvent  # noqa: E402
from prompt_toolkit.document import Document  # noqa: E402
from prompt_toolkit.input import create_pipe_input  # noqa: E402
from prompt_toolkit.output import DummyOutput  # noqa: E402


class FakeSession:
    """Answers by the first word of a statement: select, show, oops (an error), warn, stop (Ctrl-C) or bug."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, int | None]] = []
        self.registered: list[str] = []
        self.closed = False

    def register_model(self, name: str) -> None:
        self.registered.append(name)

    def names(self) -> dict[str, list[str]]:
        return {"models": ["f", "f'"], "inputs": ["espresso"], "windows": [], "views": []}

    def close(self) -> None:
        self.closed = True

    def run(self, script: str, seed: int | None = None) -> Iterator[Relation]:
        for statement in filter(None, map(str.strip, script.split(";"))):
            self.ran.append((statement, seed))
            match statement.split()[0]:
                case "select":
                    yield relation(attribution([1.0, 2.0], label="f(x)"), query=statement)
                case "show":
                    yield relation(text="models: [red]f[/red]", query=statement)
                case "oops":
                    raise BindError("no model named 'g'; did you mean 'f'?", Span(5, 9), statement)
                case "warn":
                    warnings.warn("a join of different classes", IalgebraWarning, stacklevel=1)
                    yield relation(text="warned", query=statement)
                case "stop":
                    raise KeyboardInterrupt
                case _:
                    raise ZeroDivisionError("a bug in the engine")


@pytest.fixture
def con(monkeypatch) -> FakeSession:
    con = FakeSession()
    monkeypatch.setattr("ialgebra.session.session.connect", lambda: con)
    monkeypatch.setattr(cli.runtime, "tune_process", dict)  # the tests' own process is left as it is
    return con


@pytest.fixture
def run(con, tmp_path, capsys, monkeypatch):
    """Run the command line in an empty folder: its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


# --- one-shot commands


def test_a_script_prints_its_answers_and_writes_its_pictures(run, con, tmp_path):
    (tmp_path / "tour.sql").write_text("select * from f(x); show models;\nselect 2 from f(x);")
    code, out, err = run("run", "tour.sql", "--seed", "7")
    assert code == 0
    assert err == ""
    assert con.closed
    assert out.count("f(x)") == 2
    assert "models: [red]f[/red]" in out
    assert "picture: ialgebra-out/tour-01.png" in out
    assert "picture: ialgebra-out/tour-02.png" in out
    assert con.ran == [("select * from f(x)", 7), ("show models", 7), ("select 2 from f(x)", 7)]
    for name in ("tour-01.png", "tour-02.png"):
        assert (tmp_path / "ialgebra-out" / name).read_bytes().startswith(b"\x89PNG")


def test_a_script_that_runs_again_writes_the_same_files(run, tmp_path):
    (tmp_path / "tour.sql").write_text("select * from f(x);")
    assert run("run", "tour.sql", "--out", "pictures")[1] == run("--out", "pictures", "run", "tour.sql")[1]
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["tour-01.png"]


def test_an_error_is_its_sentence_and_caret_on_stderr_and_exit_code_1(run, con):
    code, out, err = run("-c", "show models; oops from g(x); show models")
    assert code == 1
    assert out == "models: [red]f[/red]\n"
    assert con.closed
    assert err == "error: no model named 'g'; did you mean 'f'? (line 1, column 6)\n  oops from g(x)\n       ^^^^\n"


def test_a_caret_stays_under_its_word_in_a_narrow_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(FakeSession, "run", lambda self, script, seed=None: (_ for _ in ()).throw(
        BindError("no model named 'g'", Span(40, 41), "x" * 40 + "g")))  # fmt: skip
    assert run("-c", "whatever")[2].split("\n")[1:3] == ["  " + "x" * 40 + "g", "  " + " " * 40 + "^"]


def test_ctrl_c_ends_a_script_with_130_and_no_traceback(run, con):
    assert run("-c", "stop") == (130, "", "cancelled\n")
    assert con.closed


def test_a_warning_is_a_sentence_every_time(run):
    code, out, err = run("-c", "warn; warn")
    assert (code, out) == (0, "warned\nwarned\n")
    assert err == 2 * "warning: a join of different classes\n"


def test_statements_come_from_a_pipe(run, con, monkeypatch):
    monkeypatch.setattr(sys, "stdin", __import__("io").StringIO("show models; show inputs"))
    assert run()[0] == 0
    assert [statement for statement, _ in con.ran] == ["show models", "show inputs"]


@pytest.mark.parametrize(
    "setup",
    [
        "def setup(con):\n    con.register_model('net')",
        "con.register_model('net')",
        "from neighbour import name\ncon.register_model(name)",
        "NAME = 'net'\ndef helper():\n    return NAME\ndef setup(con):\n    con.register_model(helper())",
    ],
)
def test_a_setup_file_registers_through_a_function_or_a_global(run, con, tmp_path, monkeypatch, setup):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "neighbour.py").write_text("name = 'net'")
    (tmp_path / "there" / "setup.py").write_text(setup)
    assert run("--setup", "there/setup.py", "-c", "show models")[0] == 0
    assert con.registered == ["net"]
    sys.modules.pop("neighbour", None)


def test_a_setup_file_that_fails_shows_where_and_exits_with_1(run, con, tmp_path):
    (tmp_path / "setup.py").write_text("import math\nmath.sqrt(-1)")
    code, out, err = run("-c", "show models", "--setup", "setup.py")
    assert code == 1
    assert out == ""
    assert con.ran == []
    assert con.closed
    assert "line 2" in err
    assert err.splitlines()[-1].startswith("error: the setup file 'setup.py' failed: ValueError: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "none.sql"), "error: cannot read the script 'none.sql': No such file or directory\n"),
        (("-c", "show", "--setup", "none.py"), "error: no setup file 'none.py'; it is a Python file that"),
    ],
)
def test_a_missing_file_is_named(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 1
    assert out == ""
    assert err.startswith(message)


def test_the_version_is_printed(run, capsys):
    with pytest.raises(SystemExit) as done:
        run("--version")
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith("ialgebra ")


def test_an_answer_stands_without_its_picture(run, monkeypatch):
    monkeypatch.setattr(Relation, "plot", lambda self: (_ for _ in ()).throw(IalgebraError("this needs matplotlib")))
    code, out, _ = run("-c", "select * from f(x)")
    assert code == 0
    assert "espresso" in out
    assert "no picture: this needs matplotlib" in out


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = run("-c", "select * from f(x)", "--out", "file")
    assert (code, err) == (1, "error: cannot write the picture 'file/query-01.png': File exists\n")
    assert "espresso" in out


# --- the shell


@pytest.fixture
def shell(con, tmp_path, monkeypatch, capsys):
    """Type keys into the shell: what it printed to stdout and stderr."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def shell(keys: str) -> tuple[str, str]:
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text(keys)
            cli.interact(con, cli.Printer(tmp_path / "out", "query", keep=True), seed=3)
        return capsys.readouterr()

    return shell


QUIT = "\\q\r"


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True),
        ("   \n", True),
        ("\\q", True),
        ("select 1", False),
        ("select 1;", True),
        ("select *\nfrom f(x);  ", True),
        ("select 1; -- done", True),
        ("select 1; /* done; */ ", True),
        ("select 1 -- not yet;", False),
        ("select 1 /* not; */", False),
        ("-- only a comment", True),
        ("select * from f(x')", False),
        ("select * from f(x');", True),
    ],
)
def test_enter_sends_what_ends_with_a_semicolon(text, complete):
    assert shells.is_complete(text) is complete


def test_a_statement_may_take_several_lines(shell, con):
    shell("select *\rfrom f(x)\r;\r" + QUIT)
    assert con.ran == [("select *\nfrom f(x)", 3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("desc", ["describe"]),
        ("describe es", ["espresso"]),
        ("SELECT * FROM F", ["f", "f'", "from", "feature", "frame", "format"]),
        ("select * from f'", ["f'"]),
        ("select * from f(es", ["espresso"]),
    ],
)
def test_tab_completes_registered_names_then_keywords(con, text, words):
    found = shells.completer(con.names).get_completions(Document(text), CompleteEvent(completion_requested=True))
    assert [completion.text for completion in found] == words


def test_the_session_goes_on_after_an_error_a_cancelled_query_and_a_bug(shell, con):
    out, err = shell("oops f(x);\rstop;\rbug;\r\\nonsense\rshow models;\r" + QUIT)
    assert [statement for statement, _ in con.ran] == ["oops f(x)", "stop", "bug", "show models"]
    assert "error: no model named 'g'" in err
    assert "       ^^^^" in err
    assert "cancelled; rows already computed are kept" in err
    assert "no command '\\nonsense'" in err
    assert err.count("Traceback") == 1
    assert "ZeroDivisionError: a bug in the engine" in err
    assert out == "models: [red]f[/red]\n"


def test_ctrl_c_clears_the_line_and_ctrl_d_leaves(shell, con):
    _, err = shell("select 1\x03show models;\r\x04")
    assert con.ran == [("show models", 3)]
    assert "cancelled" not in err


def test_pictures_of_earlier_sessions_are_kept(shell, tmp_path):
    out, _ = shell("select 1;\r" + QUIT)
    assert "query-01.png" in out
    first = (tmp_path / "out" / "query-01.png").stat()
    out, _ = shell("select 1;\r" + QUIT)
    assert "query-02.png" in out
    assert (tmp_path / "out" / "query-01.png").stat().st_mtime_ns == first.st_mtime_ns


def test_history_is_kept_in_the_users_state_directory(shell, con, tmp_path):
    shell("show models;\r" + QUIT)
    assert "show models;" in (tmp_path / "state" / "ialgebra" / "history").read_text()
    shell("\x1b[A\x1b[A\r" + QUIT)  # two up: the last entry is \q
    assert con.ran == [("show models", 3), ("show models", 3)]


def test_a_home_that_cannot_be_written_still_has_a_shell(shell, con, tmp_path):
    (tmp_path / "state").write_text("a file, not a folder")
    shell("show models;\r" + QUIT)
    assert con.ran == [("show models", 3)]


def test_help_shows_examples(shell):
    out, _ = shell("\\help\r" + QUIT)
    assert "left join" in out
    assert "\\q" in out
    assert all(example in out for kind in STATEMENTS for example, _ in kind.help)


# --- the notebook


class Notebook:
    def __init__(self, **names: object) -> None:
        self.user_ns: dict[str, object] = names
        self.magics: dict[tuple[str, str], object] = {}

    def register_magic_function(self, func, magic_kind, magic_name):
        self.magics[magic_kind, magic_name] = func


def test_a_cell_runs_its_statements_shows_all_answers_and_is_the_last(monkeypatch):
    displayed = []
    monkeypatch.setattr(sys, "displayhook", displayed.append)
    notebook = Notebook(con=FakeSession(), other=FakeSession())
    magics.load_ipython_extension(notebook)
    cell = notebook.magics["cell", "ialgebra"]
    last = cell("", "show models; select 2 from f(x)")
    assert last.query == "select 2 from f(x)"
    assert [answer.query for answer in displayed] == ["show models"]
    assert cell("other", "show models").query == "show models"
    assert len(notebook.user_ns["other"].ran) == 1
    assert cell("", "") is None


def test_a_cells_error_is_short_and_a_missing_session_is_named():
    with pytest.raises(BindError) as caught:
        magics.run_cell({"con": FakeSession()}, "", "oops from g(x)")
    assert caught.value._render_traceback_() == [
        "BindError: no model named 'g'; did you mean 'f'? (line 1, column 6)",
        "  oops from g(x)",
        "       ^^^^",
    ]
    with pytest.raises(IalgebraError, match=r"no session named 'db' .* db = ialgebra.connect\(\)"):
        magics.run_cell({"con": FakeSession()}, "db", "show models")
