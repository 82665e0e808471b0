"""The command line: the shell, scripts, one-liners, the demo, and the laws of a user's own models.

In: arguments, statements and a setup file that registers models and inputs. Out: what a Printer shows, and an exit code
(0, 1 after an error, 130 after Ctrl-C; `verify`: 1 where a law fails, 2 after an error). It knows only the session's
public methods.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ..errors import IalgebraError
from ..system import runtime
from ..version import __version__
from .printer import Printer, shown_warnings
from .shell import AskedSession, interact

if TYPE_CHECKING:
    from ..results.relation import Relation


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Not the parser's own defaults: a command's would overwrite an option that stands before it.
    defaults = argparse.Namespace(out="ialgebra-out", setup=None, seed=None)
    arguments = _parser().parse_args(argv, defaults)
    runtime.tune_process()
    interactive = arguments.command is None and arguments.statement is None and sys.stdin.isatty()
    name = Path(arguments.script).stem if arguments.command == "run" else "query"
    printer = Printer(Path(arguments.out), name, keep=interactive)
    try:
        if arguments.command == "demo":
            from .demo import main as run_demo

            return run_demo(Path(arguments.out))
        if arguments.command == "verify":
            return _verify(arguments, printer)
        script = None if interactive else _script(arguments)
        with _session(arguments.setup) as con, shown_warnings(printer):
            if script is None:
                interact(con, printer, seed=arguments.seed)
            else:
                for relation in con.run(script, seed=arguments.seed):
                    printer.answer(relation)
    except IalgebraError as error:
        printer.error(error)
        return 2 if arguments.command == "verify" else 1
    except KeyboardInterrupt:
        printer.note("cancelled")
        return 130
    return 0


def replay(analysis: Callable[..., Iterator[Relation]], *, threads: int | None = None) -> None:
    """Run a script that `Session.history.export` wrote, with the models that a setup file registers, and leave.

    `threads` are those of the session's torch, for they may decide a last digit.
    """
    parser = argparse.ArgumentParser(description="Take the steps of a session again.")
    parser.add_argument("setup", help="registers the models: setup(con), or a global con")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep every answer that has maps, in a file each")
    arguments = parser.parse_args()
    runtime.tune_process()
    printer = Printer(Path(), "", keep=False)
    try:
        with _session(arguments.setup) as con, shown_warnings(printer):
            import torch

            torch.set_num_threads(threads or torch.get_num_threads())
            given = {kind: _Arguments(found) for kind, found in con.registered().items()}
            for number, relation in enumerate(analysis(**given)):
                printer.console.print(Text(relation.text), soft_wrap=True)
                if arguments.save is not None and len(relation):
                    arguments.save.mkdir(parents=True, exist_ok=True)
                    relation.save(arguments.save / f"{number:04}.ialgebra")
    except IalgebraError as error:
        printer.error(error)
        sys.exit(1)


class _Arguments(dict[str, object]):
    """What a setup file registered, by name."""

    def __missing__(self, name: str) -> object:
        raise IalgebraError(f"the setup file registers nothing as '{name}', which this script needs")


def _verify(arguments: argparse.Namespace, printer: Printer) -> int:
    """Check the laws of what a factory makes, and print and write what became of them."""
    from .. import testing

    laws = None if arguments.laws is None else [each.strip() for each in arguments.laws.split(",") if each.strip()]
    results = testing.verify(arguments.factory, laws, arguments.examples, arguments.seed or 0, arguments.using)
    testing.report.show(results, printer.console)
    if arguments.json is not None:
        testing.report.write(testing.report.as_json(results, arguments.factory), arguments.json)
    if arguments.junit is not None:
        testing.report.write(testing.report.as_junit(results, arguments.factory), arguments.junit)
    return 1 if any(each.passed is False for each in results) else 0


@contextmanager
def _session(setup: str | None) -> Iterator[AskedSession]:
    """A session in which the setup file has registered its models and inputs; closed at the end."""
    from ..session.session import connect  # brings torch, which must come after `tune_process`

    con: AskedSession = connect()
    try:
        if setup is not None:
            _set_up(con, Path(setup))
        yield con
    finally:
        con.close()


def _set_up(con: AskedSession, path: Path) -> None:
    """Run a setup file with a global `con`; if it defines `setup(con)`, call that too."""
    if not path.is_file():
        raise IalgebraError(f"no setup file '{path}'; it is a Python file that registers models and inputs with con")
    sys.path.insert(0, str(path.resolve().parent))  # as `python setup.py` would: a setup may import its neighbours
    try:
        setup = runpy.run_path(str(path), init_globals={"con": con}, run_name="ialgebra_setup").get("setup")
        if callable(setup):
            setup(con)
    except IalgebraError:
        raise
    except Exception as cause:
        traceback.print_exc()  # the user's own code: its traceback is what helps
        raise IalgebraError(f"the setup file '{path}' failed: {type(cause).__name__}: {cause}") from cause


def _script(arguments: argparse.Namespace) -> str:
    if arguments.command == "run":
        try:
            return Path(arguments.script).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as cause:
            reason = getattr(cause, "strerror", None) or cause
            raise IalgebraError(f"cannot read the script '{arguments.script}': {reason}") from cause
    return sys.stdin.read() if arguments.statement is None else str(arguments.statement)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--out", metavar="DIR", help="where pictures are written (default ./ialgebra-out)")
    session = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    session.add_argument("--setup", metavar="FILE", help="registers models and inputs: setup(con), or a global con")
    session.add_argument(
        "--seed", type=int, metavar="N", help="the seed of every statement; default 0, or what SET seed says"
    )
    about = "Ask neural networks why, in SQL. Without a command: a shell."
    parser = argparse.ArgumentParser(prog="ialgebra", parents=[common, session], description=about)
    parser.add_argument("-c", dest="statement", metavar="SQL", help="run these statements and leave")
    parser.add_argument("--version", action="version", version=f"ialgebra {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    run = commands.add_parser("run", parents=[common, session], help="run a file of statements")
    run.add_argument("script", help="statements, each ending with a semicolon")
    verify = commands.add_parser("verify", help="check the laws of the algebra on your own model or interpreter")
    verify.add_argument("factory", metavar="package.module:factory", help="makes a session, or a model and its inputs")
    verify.add_argument("--examples", type=int, default=50, metavar="N", help="cases a law (default 50)")
    verify.add_argument("--laws", metavar="L1,L2", help="only these laws (default: all)")
    verify.add_argument("--using", metavar="METHOD", help="what queries say after USING, such as permutations()")
    verify.add_argument("--seed", type=int, default=argparse.SUPPRESS, metavar="N", help="of the cases; default 0")
    verify.add_argument("--json", metavar="FILE", help="write the results as JSON")
    verify.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML")
    commands.add_parser("demo", parents=[common], help="the paper's queries on a real network and real photos")
    return parser


if __name__ == "__main__":
    sys.exit(main())
