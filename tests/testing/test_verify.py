"""`ialgebra verify`: what factories may make, what is printed and written for CI, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from ialgebra.apps import cli

FACTORIES = """
import torch
from torch import nn
import ialgebra

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))

def pair():
    return net(), [torch.randn(4), torch.randn(4)]

def session():
    con = ialgebra.connect(progress=False)
    con.register_model("g", net())
    con.register_input("a", torch.ones(4))
    con.register_input("b", torch.randn(4))
    return con

def named():
    con = session()
    con.register_model("h", net())
    return con, "h", ["a", "b"]

def function():
    return (lambda batch: batch.prod(1)), [torch.ones(4), torch.randn(4)]

def two():
    return named()[0]

def number():
    return 3

def failing():
    raise RuntimeError("no weights")

def random():
    return (lambda batch: torch.rand(len(batch), 2)), [torch.ones(4), torch.randn(4)]

word = "not a function"
"""


@pytest.fixture
def verify(tmp_path, capsys, monkeypatch):
    """Run `ialgebra verify` in a folder with a module of factories: its exit code, stdout and stderr."""
    (tmp_path / "factories_of_mine.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(cli.runtime, "tune_process", dict)

    def run(name: str, *arguments: str) -> tuple[int, str, str]:
        code = cli.main(["verify", name if ":" in name else f"factories_of_mine:{name}", *arguments])
        return code, *capsys.readouterr()

    yield run
    sys.modules.pop("factories_of_mine", None)


@pytest.mark.parametrize("name", ["pair", "session", "named"])
def test_a_factory_makes_a_session_or_a_model_and_inputs(verify, name):
    code, out, err = verify(name, "--laws", "L3,l15", "--examples", "2")
    assert (code, err) == (0, "")
    assert out.count("holds") == 2
    assert "Π_w Π_w' = Π_{w∩w'}" in out


def test_a_law_that_fails_is_exit_code_1_with_its_counterexample_in_every_format(verify, tmp_path):
    code, out, _ = verify("random", "--laws", "L4,L7", "--json", "laws.json", "--junit", "laws.xml", "--examples", "5")
    assert code == 1
    assert "fails" in out
    assert "not applicable" in out
    assert "largest difference" in out
    assert "con.sql(" in out
    found = {each["id"]: each for each in json.loads((tmp_path / "laws.json").read_text())["laws"]}
    assert (found["L4"]["passed"], found["L7"]["passed"]) == (False, None)
    assert found["L4"]["verdict"] == "fails"
    assert found["L4"]["counterexample"]["difference"] > 0
    assert len(found["L4"]["counterexample"]["sides"]) == 2
    assert "no layers" in found["L7"]["reason"]
    suite = ElementTree.parse(tmp_path / "laws.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped"), suite.get("errors")) == (
        "2",
        "1",
        "1",
        "0",
    )
    first, second = suite.findall("testcase")
    assert first.get("name").startswith("L4 ")
    assert "con.sql(" in first.find("failure").text
    assert second.find("skipped").get("message") == found["L7"]["reason"]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("pair", ["--laws", "L99"], "unknown law 'L99'"),
        ("pair", ["--laws", ","], "no law is named"),
        ("pair", ["--examples", "0"], "examples must be at least 1, not 0"),
        ("pair", ["--laws", "L3", "--examples", "1", "--json", "nowhere/laws.json"], "cannot write the report"),
        ("pair", ["--laws", "L3", "--using", "magic()"], "unknown method 'magic'"),
        ("nothing", [], "has no 'nothing'"),
        ("word", [], "is a str; a function without arguments is needed"),
        ("two", [], "has 2 models"),
        ("number", [], "returned a int"),
        ("failing", [], "failed: RuntimeError: no weights"),
        ("function", ["--laws", "L1"], "none of the laws could be checked"),
        ("no_such_module:f", [], "cannot import 'no_such_module'"),
        (":", [], "names no factory"),
    ],
)
def test_what_cannot_be_checked_is_an_error_and_exit_code_2(verify, name, arguments, said):
    code, _, err = verify(name, *arguments)
    assert code == 2
    assert f"error: {said}" in err or said in err.replace("\n", " ")


def test_without_hypothesis_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['hypothesis'] = None; import ialgebra.testing\n"
        "try: ialgebra.testing.check_laws\n"
        "except ialgebra.IalgebraError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 'pip install "ialgebra[testing]"' in said
