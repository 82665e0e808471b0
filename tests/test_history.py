"""What a session did: listed, asked again, and exported as a script that meets the same bits in another process."""

from __future__ import annotations

import enum
import os
import random
import runpy
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import BindError, IalgebraError, IalgebraWarning, ModelError, Strategy
from ialgebra.planner.physical import Run
from ialgebra.session.steps import HistoryStep
from tests import worlds
from tests.faults import held_memory

ROOT = Path(__file__).parent.parent


def bits(answer: ialgebra.Relation) -> list[bytes]:
    return [each.map.tobytes() + each.stderr.tobytes() for each in answer]


def nets() -> dict[str, nn.Module]:
    """Networks that torch runs by other kernels in batches of other sizes."""
    torch.manual_seed(7)
    made = {}
    for name in ("f", "g"):
        made[name] = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1176, 5),
        ).eval()
    return made


SETUP = """
import sys
sys.path.insert(0, {root!r})
from tests.test_history import nets

def setup(con):
    for name, net in nets().items():
        con.register_model(name, net)
"""

STATEMENTS = [
    "select * from f(x) budget 60",
    "select 1, 3, 4, * from f(x) budget 60",
    "create window hot as top(20 percent, select 3 from f(x) budget 60)",
    "select 3 from f(x, players => grid(3, 3)) where hot budget 90",
    "select 9 from f(x)",
    "set output = probability; select * from f(y) join g(them) using permutations() budget 40",
    "create view v as select * from f(x) where m; explain select * from v; show windows",
    "select * from v left join (select * from g(x, target => 1)) budget 50",
    "explain analyze select * from f(y) left join (select * from g(y)) error within 30%",
    "select 2 from f(them) where not hot budget 40",
]


def session(models: dict[str, nn.Module]) -> ialgebra.Session:
    """Everything that can be registered, in forms that scripts must find words for."""
    torch.manual_seed(8)
    con = ialgebra.connect(progress=False)
    con.register_model("f", models["f"])
    con.register_model("g", models["g"])
    con.register_input("x", torch.randn(3, 16, 16), baseline=torch.randn(3, 16, 16))
    con.register_input("them", list(torch.randn(3, 3, 16, 16)), baseline="mean(them)", players="grid(3, 3)")
    con.register_input("y", torch.randn(3, 16, 16), baseline=0.25, players=torch.arange(256).reshape(1, 16, 16) // 64)
    con.fit_heads("f", torch.randn(20, 3, 16, 16))
    con.register_window("m", torch.rand(16, 16) < 0.7)
    con.register_window("w", "row > 2 and m")
    return con


def asked(con: ialgebra.Session, statements: list[str]) -> list[ialgebra.Relation]:
    """The answers to all statements; errors are passed over."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IalgebraWarning)
        for text in statements:
            with suppress(IalgebraError):
                found += list(con.run(text, seed=3))
    return found


def repeated(script: Path, models: dict[str, nn.Module]) -> list[ialgebra.Relation]:
    """The answers of an exported script, run in this process; a warning of `same` is an error."""
    analysis = runpy.run_path(str(script))["analysis"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "this (anti-)?join")
        warnings.filterwarnings("ignore", "window .* is empty")
        return list(analysis(models))


# --- the list


def test_every_step_is_listed_with_what_became_of_it() -> None:
    con = worlds.case(seed=2).con
    before = len(con.history)
    con.register_input("z", torch.randn(2, 6, 6).double())
    with pytest.raises(BindError):
        con.register_input("bad", torch.randn(2, 6, 6), baseline="mean(nobody)")
    first = con.sql("select * from f(z) budget 9; set seed = 4; select * from f(z, players => pixels) budget 30")
    with pytest.raises(BindError):
        con.sql("select 99 from f(z)", seed=5)
    con.explain("select * from g(z)", strategy="LAWS")
    *_, last = con.stream("select * from g(z, players => pixels) error within 40%", seed=6)
    steps = list(con.history)[before:]
    assert [step.text for step in steps] == [
        "register input z: image, (2, 6, 6), torch.float64",
        "register input bad",
        "select * from f(z) budget 9",
        "set seed = 4",
        "select * from f(z, players => pixels) budget 30",
        "select 99 from f(z)",
        "explain select * from g(z)",
        "select * from g(z, players => pixels) error within 40%",
    ]
    assert [step.number for step in steps] == list(range(before, before + 8))
    assert [step.error is not None for step in steps] == [False, True, False, False, False, True, False, False]
    assert "has no layer 99" in steps[5].error
    assert (steps[4].seed, steps[5].seed, steps[7].seed) == (4, 5, 6)
    assert steps[4].rows == first.stats.rows > 0
    assert steps[7].rows == last.stats.rows
    assert steps[7].rounds >= 2
    assert steps[4].strategy.dual is True, "open decisions are listed as they were taken"
    assert sum(count * rows for rows, _, count in steps[4].strategy.batches) >= steps[4].rows
    assert all(step.seconds > 0 for step in steps)
    for text in (str(con.history), con.sql("show history").text):
        lines = text.splitlines()
        assert lines[before].startswith(f"{before:>4}  register input z")
        assert f"{first.stats.rows} rows" in lines[before + 4]
        assert "error: " in lines[before + 5]
    assert con.history[-1].text == "show history"
    assert con.history[before + 4] is steps[4]


def test_a_step_is_asked_again_of_what_the_names_mean_now() -> None:
    con = worlds.case(seed=2).con
    con.sql("select * from f(x, players => pixels) using permutations() budget 90", seed=11, strategy="FUSED")
    number = con.history[-1].number
    again = con.history.run(number)
    assert bits(again) == bits(con.sql(con.history[number].text, seed=11, strategy="FUSED"))
    assert (again.provenance["seed"], again.provenance["strategy"]) == (11, "FUSED")
    con.register_input("x", torch.zeros(2, 6, 6).double())
    assert not con.history.run(number)[0].map.any()
    with pytest.raises(BindError, match="step 0 is no statement that can be asked again: register input x"):
        con.history.run(0)
    last = con.history[-1].number
    with pytest.raises(BindError, match=f"there is no step {last + 9}; the steps are 0 to {last}"):
        con.history.run(last + 9)
    for none in ("3", 1.5, None, True, slice(0, 2)):
        with pytest.raises(BindError, match=r"argument 'number' of (run|__getitem__) must be a whole number, not"):
            con.history.run(none)  # type: ignore[arg-type]


def test_a_closed_session_has_no_history() -> None:
    con = worlds.case(seed=2).con
    con.close()
    assert str(con.history) == "no steps"
    with pytest.raises(BindError, match="there is no step 0; there is none yet"):
        con.history.run(0)


def test_an_interruption_and_a_failing_model_are_listed() -> None:
    faults: list[BaseException] = []

    def fails(batch: torch.Tensor) -> torch.Tensor:
        if faults:
            raise faults.pop()
        return batch.sum((1, 2, 3))

    con = ialgebra.connect(progress=False)
    con.register_model("f", fails)
    con.register_input("x", torch.ones(2, 6, 6))
    con.sql("explain select * from f(x)")
    for error, said in ((KeyboardInterrupt(), "interrupted"), (ValueError("no luck"), "no luck")):
        faults.append(error)
        with pytest.raises((KeyboardInterrupt, ModelError)):
            con.sql("select * from f(x)")
        assert said in con.history[-1].error


# --- what is kept


def test_steps_take_no_memory_and_what_still_means_something_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ialgebra.session.history._MOST_STEPS", 100)
    monkeypatch.setattr("ialgebra.session.history._MOST_IDLE_BYTES", 1 << 20)
    con = worlds.case("tabular", seed=2).con
    con.register_input("kept", torch.randn(5).double())
    con.sql(
        "create window hot as top(2, select * from f(kept, target => 0));"
        "create view v as select * from f(kept) where hot"
    )
    number = con.history[-1].number
    big = torch.randn(40_000)
    with held_memory(30):  # three thousand times 160 KB are 480 MB
        for turn in range(3000):
            con.register_input("photo", big + turn)
            if turn % 10 == 0:
                con.sql("show inputs")
    assert len(con.history) < 400
    kept = {step.call.name for step in con.history if step.call}
    assert {"f", "g", "x", "kept", "photo"} <= kept
    assert con.history[number].text.startswith("create view v"), "it has a meaning still"
    forgotten = next(k for k in range(number + 1, 10_000) if k not in {step.number for step in con.history})
    with pytest.raises(BindError, match=f"step {forgotten} is forgotten"):
        con.history.run(forgotten)


# --- the script


def test_an_exported_script_meets_every_bit_in_another_process(tmp_path: Path) -> None:
    models = nets()
    con = session(models)
    answers = [answer for answer in asked(con, STATEMENTS) if len(answer)]
    assert len(answers) == 8
    con.history.export(tmp_path / "analysis.py")
    con.close()
    (tmp_path / "setup.py").write_text(SETUP.format(root=str(ROOT)))
    told = subprocess.run(
        [sys.executable, "analysis.py", "setup.py", "--save", "found"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "bit for bit" not in told.stderr
    found = [ialgebra.load(path) for path in sorted((tmp_path / "found").iterdir())]
    assert [each.query for each in found] == [each.query for each in answers]
    assert [bits(each) for each in found] == [bits(each) for each in answers]


def test_batches_that_a_clock_chose_are_met_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits hang on the sizes of batches, which are written down as they were run."""
    models, rng = nets(), random.Random(1)
    with monkeypatch.context() as patch:
        patch.setattr(
            "ialgebra.execution.pace.Pace.next", lambda pace, left: Run(rng.choice([1, 3, 8]), "channels-last")
        )
        con = session(models)
        answers = asked(con, STATEMENTS)
    found = repeated(con.history.export(tmp_path / "a.py"), models)
    assert [bits(each) for each in found] == [bits(each) for each in answers]
    other = [each for each in asked(session(models), STATEMENTS) if len(each)]
    assert [bits(each) for each in other] != [bits(each) for each in answers if len(each)], "or batches decided nothing"


def test_a_script_says_where_a_map_is_not_the_same(tmp_path: Path) -> None:
    models = nets()
    con = session(models)
    con.sql("select * from f(x) budget 60")
    script = con.history.export(tmp_path / "a.py")
    with torch.no_grad():
        models["f"][0].weight[0, 0, 0, 0] += 1e-4
    with pytest.warns(IalgebraWarning, match=r"maps of `select \* from f\(x\) budget 60` are not, bit for bit"):
        repeated(script, models)


def test_a_script_leaves_out_what_was_asked_of_inputs_that_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ialgebra.session.history._MOST_IDLE_BYTES", 1 << 14)
    models = nets()
    con = ialgebra.connect(progress=False)
    con.register_model("f", models["f"])
    answers = []
    for image in torch.randn(20, 3, 16, 16):  # of 3 KiB each
        con.register_input("x", image)
        answers.append(con.sql("select * from f(x) budget 20"))
    script = con.history.export(tmp_path / "a.py")
    assert "with of_what_is_kept" in script.read_text()
    with pytest.warns(IalgebraWarning) as told:
        found = repeated(script, models)
    missing = [each for each in told if "20` asks of what is forgotten, and is left out" in str(each.message)]
    assert len(found) >= 2
    assert len(found) + len(missing) == len(answers)
    for one, other in zip(found, answers[-len(found) :], strict=True):
        assert np.allclose(one[0].map, other[0].map, rtol=1e-4, atol=1e-7)


def test_streams_models_of_one_name_layers_and_interpreters_are_repeated(tmp_path: Path) -> None:
    from ialgebra.interpreters.banzhaf import Banzhaf

    models = nets()
    torch.manual_seed(8)
    con = ialgebra.connect(progress=False, store_bytes=1 << 20)
    mine = Banzhaf()
    chosen = ["1", models["f"][2], ("last", models["f"][4])]
    con.register_interpreter("mine", mine)
    con.register_model("f", models["f"], layers=chosen, classes={1: "a cat's"}, batch_size=9)
    con.register_input("x", torch.randn(3, 16, 16))
    con.fit_heads("f", torch.randn(20, 3, 16, 16))
    answers = [con.sql("select 2, last from f(x, target => 'a cat''s') using mine() budget 60")]
    answers += [list(con.stream("select * from f(x, players => grid(5, 5)) error within 9%"))[-1]]
    for answer in con.stream("select * from f(x, players => grid(6, 6)) error within 1%"):
        answers.append(answer)
        break
    con.register_model("f", models["f"])
    con.register_model("f", models["g"])
    answers += [con.sql("select * from f(x) budget 70", strategy=Strategy("mine", batch_size=11))]
    script = con.history.export(tmp_path / "a.py")
    analysis: Any = runpy.run_path(str(script))["analysis"]
    found = list(analysis({"f": models["f"], "f 2": models["g"]}, {"mine": mine}))
    assert [bits(each) for each in found if len(each)] == [bits(each) for each in answers]


def test_a_query_is_repeated_with_what_the_names_meant_when_it_began(tmp_path: Path) -> None:
    """What was registered and set before it ended comes after it in the script."""
    models = nets()
    con = session(models)
    rounds = con.stream("select * from f(x, players => grid(5, 5)) error within 9%")
    first = next(rounds)
    torch.manual_seed(9)
    con.register_input("x", torch.randn(3, 16, 16))
    con.sql("set players = grid(3, 3)")
    stream = [first, *rounds][-1]
    answers = [stream, con.sql("select * from f(x)")]
    assert [step.text.split()[0] for step in con.history][-4:] == ["register", "set", "select", "select"]
    analysis: Any = runpy.run_path(str(con.history.export(tmp_path / "a.py")))["analysis"]
    assert [bits(each) for each in analysis(models) if len(each)] == [bits(each) for each in answers]


def test_names_and_texts_are_literals_whatever_they_hold(tmp_path: Path) -> None:
    """Nothing that a user or an error said is run."""
    models = nets()
    odd = 'x"""; raise SystemExit(7) #\\'
    con = ialgebra.connect(progress=False)
    con.register_model(odd, models["f"])
    con.register_input("{evil}", torch.randn(3, 16, 16))
    quoted = odd.replace('"', '""')
    asked(
        con, [f'select * from "{quoted}"("{{evil}}") budget 20 -- """ \n', f'select """)" from "{quoted}"("{{evil}}")']
    )
    with suppress(IalgebraError):
        con.sql("select *\nfrom nobody(x) -- '''\r\n\u2028raise SystemExit(8)")
    script = con.history.export(tmp_path / "an odd'name.py")
    assert len(repeated(script, {odd: models["f"]})) == 1


def test_inputs_are_registered_as_they_were_with_what_they_were_then(tmp_path: Path) -> None:
    """With a tensor, a name and a number for a baseline, one after the other; with elements of two kinds of numbers."""
    models, (one, other, away) = nets(), torch.randn(3, 3, 16, 16)
    mask = torch.arange(256).reshape(16, 16) % 3
    con = ialgebra.connect(progress=False)
    con.register_model("f", models["f"])
    con.register_input("y", other)
    con.register_input("single", [other])
    con.register_input("m", mask // 2)
    answers = []
    for baseline, players in ((away, mask), ("y", "m"), ([away], None), ("single", mask), (0.5, "grid(2, 2)")):
        con.register_input("x", one, baseline=baseline, players=players)
        answers.append(con.sql("select * from f(x) budget 30"))
    con.register_input("both", [one, other.double()], baseline="nullify(single, row < 9, baseline => single)")
    answers += [con.sql("set baseline = single"), con.sql("select * from f(both) budget 30")]
    found = repeated(con.history.export(tmp_path / "a.py"), models)
    assert [bits(each) for each in found] == [bits(each) for each in answers]
    assert [each.provenance.get("inputs") for each in found] == [each.provenance.get("inputs") for each in answers]


def test_what_was_interrupted_or_timed_is_said_in_the_script(tmp_path: Path) -> None:
    models = nets()
    con = session(models)
    with con.history.step(HistoryStep("select 1 from f(x)")) as step:
        step.timed = True
    con.sql("select * from f(y) within 9 seconds")
    con.history[-2].interrupted = True
    with pytest.raises(BindError):
        con.register_input("bad", torch.zeros(3, 16, 16), baseline="mean(nobody)")
    with pytest.raises(BindError):
        con.sql("select * from f(y)", seed="not a number")
    con.sql("select * from f(y) budget 20", seed=np.int64(5))
    text = con.history.export(tmp_path / "a.py").read_text()
    assert "'select 1 from f(x)' was interrupted; rows that it had paid for are not here" in text
    assert "which a clock may have stopped" in text
    assert "sql('register" not in text
    repeated(tmp_path / "a.py", models)


def test_an_export_that_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = nets()
    con = session(models)
    script = con.history.export(tmp_path / "a.py")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(BindError, match="a script is a Python file"):
        con.history.export(tmp_path / "a.txt")
    with pytest.raises(IalgebraError, match="cannot export to"):
        con.history.export(tmp_path / "nowhere" / "a.py")
    con.sql("select * from f(x) budget 60", strategy=Strategy("mine", rules=()))
    with pytest.raises(BindError, match="was planned by rules of its own"):
        con.history.export(script)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("harm", ["missing", "cut", "changed", "longer"])
def test_a_script_refuses_tensors_that_are_not_those_of_its_export(tmp_path: Path, harm: str) -> None:
    con = ialgebra.connect(progress=False)
    con.register_input("x", [1.0, 2.0])
    script = con.history.export(tmp_path / "a.py")
    data = tmp_path / "a.safetensors"
    content = data.read_bytes()
    data.write_bytes({"cut": content[:-1], "longer": content + b"x"}.get(harm, content[:-1] + b"\1"))
    if harm == "missing":
        data.unlink()
    with pytest.raises(IalgebraError, match=r"a\.safetensors"):
        repeated(script, {})


def test_an_empty_history_is_a_script_too(tmp_path: Path) -> None:
    con = ialgebra.connect(progress=False)
    assert repeated(con.history.export(tmp_path / "a.py"), {}) == []


@pytest.mark.parametrize("left", ["a registration", "an error", "an interruption", "a forgotten step"])
def test_a_history_without_an_answer_is_a_script_too(left: str, tmp_path: Path) -> None:
    models = nets()
    con = ialgebra.connect(progress=False)
    con.register_model("f", models["f"])
    if left == "an error":
        with suppress(IalgebraError):
            con.sql("select * from f(x)")
    elif left == "an interruption":
        models["f 2"] = Stopping()
        con.register_model("f", models["f 2"])
        con.register_input("x", torch.ones(3))
        with suppress(KeyboardInterrupt):
            con.sql("select * from f(x)")
    elif left == "a forgotten step":
        con.history._steps.clear()
    assert repeated(con.history.export(tmp_path / "a.py"), models) == []


class Stopping(nn.Module):
    """A model that the user interrupts."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt


class Word(enum.StrEnum):
    """Texts that are members of an enumeration."""

    CAT = "cat"
    DOG = "dog"


def test_arguments_of_other_types_than_pythons_own_are_written_as_pythons_own(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).eval()
    con = ialgebra.connect(progress=False)
    con.register_model(
        np.str_("f"),
        net,
        classes=np.array(["cat", "dog"]),
        output=np.str_("probability"),
        batch_size=np.int64(7),
        device=torch.device("cpu"),
    )
    mapping: Any = {np.int64(0): np.str_("a"), 1: Word.DOG}
    con.register_model(Word.CAT, net, layers=[np.str_("0"), ("second", net[1])], classes=mapping)
    con.register_input(
        np.str_("x"),
        np.arange(4.0),
        feature_names=np.array(list("abcd")),
        baseline=np.float32(0.25),
        players=np.str_("features"),
    )
    con.register_input("y", np.arange(4.0), baseline=np.float64(1) / 3)
    con.register_input("xs", np.random.rand(4, 4), labels=[np.str_("cat"), "dog", np.str_("cat"), "dog"])
    con.register_input("ys", np.random.rand(3, 4), labels=np.array([0, 1, 1], np.uint8))
    con.register_window(np.str_("w"), np.str_("feature < 2"))
    con.register_window("m", np.array([1, 0, 1, 0]))
    queries = [
        np.str_("select * from f(x) where w or m"),
        "select * from f(y) using regression budget 10",
        "select * from cat(x, target => 'dog')",
        "select * from f(xs) having label = 'cat'",
        "select * from f(ys) having label = 1",
    ]
    for seed, query in zip((np.int64(3), np.uint8(200), True + 1, 0, 2), queries, strict=True):
        con.sql(query, seed=seed, strategy=np.str_("laws"))
    next(iter(con.stream(np.str_("select * from f(x) error within 20%"), seed=np.int32(4))))
    script = con.history.export(tmp_path / "a.py")
    assert "np." not in script.read_text()
    assert len(repeated(script, {"f": net, "cat": net})) == len(queries) + 1
    fresh = tmp_path / "setup.py"
    torch.save(net.state_dict(), tmp_path / "net.pt")
    fresh.write_text(
        "import torch\nfrom torch import nn\n"
        "net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).eval()\n"
        f"net.load_state_dict(torch.load({str(tmp_path / 'net.pt')!r}))\n"
        "con.register_model('f', net)\ncon.register_model('cat', net)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(fresh)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
