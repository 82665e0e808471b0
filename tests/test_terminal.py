"""Names and texts of others steer no terminal: whatever reaches one shows control characters, line breaks, characters
without width and broken surrogates as escapes. The walk goes through everything that the package prints or whose `repr`
or `str` a prompt would print.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra import IalgebraError, IalgebraWarning
from ialgebra.apps import cli, printer
from ialgebra.errors import BindError, Span, visible

MARK = "INJECTED"
HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link",
    "\x1bP1$r\x1b\\",
    "\x1b[2J\x1b[H",
    "\x1b[1A\x1b[2K",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "bell\x07",
    "back\x08\x08\x08",
    "return\rover",
    f"line\n{MARK}",
    f"line\r\n{MARK}",
    f"feed\x0b{MARK}\x0c{MARK}",
    f"next\x85{MARK}",
    f"separators\u2028{MARK}\u2029{MARK}",
    "nul\x00",
    "delete\x7f",
    "tab\tstop",
    "\u202egnp.exe",
    "\u2066\u2067isolates\u2069",
    "zero\u200bwidth\u200d\ufeff\u2060",
    "broken \ud800 \udfff surrogates",
]
assert len(HOSTILE) == 24


def wrong(text: str) -> str:
    """What of a text a terminal must not get."""
    odd = sorted(
        {char for char in text if not char.isprintable() and char != "\n" and unicodedata.category(char) != "Zs"}
    )
    lines = [line for line in text.split("\n") if line.startswith(MARK)]
    return " ".join([*(f"U+{ord(char):04X}" for char in odd), *lines])


class Net(nn.Module):
    """Three linear layers of hostile names."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)
        self.middle = nn.Tanh()
        self.add_module(name.replace(".", "_"), self.middle)

    def forward(self, batch: Tensor) -> Tensor:
        found: Tensor = self.last(self.middle(self.first(batch)))
        return found


class Broken(nn.Module):
    """A model whose error has a hostile text."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, batch: Tensor) -> Tensor:
        raise ValueError(self.name)


def failure(act: Callable[[], object]) -> Iterator[str]:
    """What an error shows."""
    with pytest.raises(IalgebraError) as caught:
        act()
    yield str(caught.value)
    yield repr(caught.value)
    yield caught.value.message


def shown(name: str, folder: Path) -> Iterator[str]:
    """Every text of a session in which everything has a hostile name."""
    con = ialgebra.connect(progress=False)
    net = Net(name)
    kind = type(f"Kind {name.encode('utf-8', 'replace').decode()}".replace("\0", ""), (Net,), {})
    con.register_model("f", kind(name).eval(), classes=[name, f"{name} 2", "plain"])
    con.register_model("g", net.eval(), layers=[(name, net.middle)], classes={1: name})
    con.register_model("broken", Broken(name))
    con.register_input("x", torch.ones(4), feature_names=[name, f"{name}b", "c", "d"])
    con.register_input("xs", torch.rand(6, 4), labels=[name, name, "a", "b", "c", "d"])
    con.register_input("words", torch.tensor([0, 1, 2]), feature_names=[name, f"{name}{name}", "plain"])
    con.register_model("t", lambda batch: batch.float(), classes=[name, "b", "c"])
    quoted = "'" + name.replace("'", "''") + "'"
    con.register_window("w", f"feature = {quoted} or feature = 'c'")
    yield str(con.fit_heads("f", torch.rand(20, 4)))
    yield repr(con.fit_heads("g", torch.rand(20, 4)))

    queries = [
        f"select * as {quoted} from f(x, target => {quoted}) where w",
        f"select {quoted}, * from g(x, target => {quoted})",
        "select * from f(x, target => 0) left join (select * from f(x, target => 1))",
        f"select * from f(xs, target => 0) having label = {quoted} order by mass(feature = 1) desc",
        f"select * from t(words, target => {quoted}) where token = {quoted}",
        f"select * from f(nullify(x, feature = {quoted}), target => 0)",
        "select * from f(x) /* " + name.replace("*/", "") + " */",
    ]
    for query in queries:
        answer = con.sql(query)
        yield from (answer.text, repr(answer), str(answer), answer.explain(), repr(answer.stats), str(answer.stats))
        yield from (repr(answer.provenance), repr(answer.details), con.explain(query))
        for a in answer:
            yield from (repr(a), str(a), *a.player_names(), a.label, a.target_name, a.input, a.baseline)
        yield answer.to_pandas().to_string()
    for form in ("text", "json", "dot"):
        yield con.sql(f"explain (analyze, format {form}) {queries[0]}").text
    con.sql(f"create view v as {queries[0]}")
    for statement in ("show models", "show inputs", "show windows", "show views", "show history"):
        yield con.sql(statement).text
    for described in ("f", "g", "x", "xs", "words", "w", "v"):
        yield con.sql(f"describe {described}").text
    yield from (str(con.history), repr(con.history), *(repr(step.text) for step in con.history), repr(con))

    wide = '"' + name.replace('"', '""') + '"'
    for text in (
        f"select * from f(x, target => 'no{name}')",
        f"select * from f(x) where feature = 'no{name}'",
        f"select * from f(x) where {wide}",
        f"select * from {wide}(x)",
        f"select * from f({wide})",
        f"select {wide} from f(x)",
        f"select * from f(x) using {wide}",
        f"select * from f(x, {wide} => 1)",
        f"select {name} from",
        f"/* {name} */ select nothing {name}",
        f"create view {wide} as select * from f(x)",
        f"create window {wide} as true",
        f"set {wide} = 3",
        f"describe {wide}",
        "select * from broken(x)",
    ):
        yield from failure(lambda text=text: con.sql(text))  # type: ignore[misc]
    yield from failure(lambda: con.register_model(name, net))
    yield from failure(lambda: con.register_input(name, torch.ones(4)))
    yield from failure(lambda: con.register_window(name, "true"))
    yield from failure(lambda: con.register_window("u", f"feature = 1 {name}"))
    yield from failure(lambda: con.register_input("u", torch.ones(4), baseline=f"no{name}"))
    yield from failure(lambda: con.register_model("u", net, output=name))
    yield from failure(lambda: con.register_model("u", net, device=name))
    yield from failure(lambda: con.sql("select * from f(x)", strategy=name))
    path = folder / name.replace("/", "_").replace("\0", "_")
    yield from failure(lambda: con.history.export(path))
    yield from failure(lambda: con.history.export(path / "missing.py"))
    yield from failure(lambda: con.sql("select * from f(x)").save(path / "missing" / "x"))
    yield from failure(lambda: con.save_heads("f", path / "missing" / "x"))
    yield from failure(lambda: con.load_heads("f", path))
    yield from failure(lambda: ialgebra.load(path))


@pytest.mark.parametrize("name", ["".join(HOSTILE[first::3]) for first in range(3)], ids=("first", "second", "third"))
def test_no_text_of_a_session_steers_a_terminal(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", IalgebraWarning)
        texts = list(shown(name, tmp_path))
    assert len(texts) > 200
    texts += [str(each.message) for each in caught]
    found = [f"{wrong(text)}: {text!r}" for text in texts if wrong(text)]
    assert found == []


SETUP = """
import torch, warnings
from ialgebra import IalgebraWarning
HOSTILE = {hostile!r}

def setup(con):
    con.register_model("f", torch.nn.Linear(4, len(HOSTILE)), classes=HOSTILE)
    con.register_input("x", torch.ones(4), feature_names=HOSTILE[:4])
    warnings.warn("".join(HOSTILE), IalgebraWarning)
    if {fails}:
        raise ValueError("".join(HOSTILE))
"""


@pytest.mark.parametrize("fails", [False, True])
def test_the_command_line_steers_no_terminal(fails: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup, script = tmp_path / "setup.py", tmp_path / "script.sql"
    hostile = HOSTILE[:-1]  # a file that is saved as UTF-8 holds no surrogates
    setup.write_text(SETUP.format(hostile=hostile, fails=fails), "utf-8")
    statements = [f"select * as '{k} {name}' from f(x, target => {k})" for k, name in enumerate(hostile)]
    script.write_text(";\n".join([*statements, "describe x", "show models", f"nonsense {hostile[0]}"]), "utf-8")
    assert cli.main(["run", str(script), "--setup", str(setup), "--out", str(tmp_path / "a\x1b[31m")]) == 1
    assert cli.main(["run", f"no{HOSTILE[0]}{HOSTILE[-1]}", "--setup", f"no{HOSTILE[0]}"]) == 1
    assert cli.main(["-c", f"describe {HOSTILE[-1]}"]) == 1
    with pytest.raises(SystemExit):
        cli.main(["verify", "--no\x1b[31m"])
    screen = printer.Printer(tmp_path, "picture", keep=False)
    for name in HOSTILE:
        screen.note(name)
        screen.warning(name)
        screen.error(BindError(name, Span(0, 1), name))
        screen.say(name)
    out, err = capsys.readouterr()
    assert out
    assert err
    assert "U+" not in wrong(out + err), "lines that were said stay lines; nothing else passes"


def test_escapes_are_the_usual_ones_and_other_text_stays() -> None:
    assert visible("\x1b[31m\n\u202e\ud800\U000e0001") == "\\x1b[31m\\n\\u202e\\ud800\\U000e0001"
    for text in ("déjà vu", "日本語", "naïve\u00a0space", "emoji 🙂", "c:\\new", "φ(x; x′)", ""):
        assert visible(text) == text
        assert visible(visible(text)) == text
    assert visible("a\nb\tc", keep="\n") == "a\nb\\tc"


def test_a_caret_stands_under_its_word_also_behind_escapes() -> None:
    error = BindError("no such name", Span(9, 12), "select \x1b\x07bad from f(x)")
    first, source, caret = str(error).split("\n")
    assert first == "no such name (line 1, column 10)"
    assert source == "  select \\x1b\\x07bad from f(x)"
    assert source[caret.index("^") :].startswith("bad")
    assert caret.count("^") == 3


def test_json_and_arrays_keep_their_meaning() -> None:
    import json

    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch, classes=["\x1b[0m", "\u202e", "c", "\x9b"])
    con.register_input("x", torch.ones(4))
    read = json.loads(con.sql("explain (format json) select * from f(x, target => 3)").text)
    assert "\x9b" in json.dumps(read, ensure_ascii=False)
    assert con.sql("select * from f(x, target => '\x1b[0m')")[0].target == 0
    np.testing.assert_array_equal(con.sql("select * from f(x, target => '\u202e')")[0].values, [0, 1, 0, 0])
