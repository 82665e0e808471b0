"""The command line: the shell, scripts, one-liners, the studio, the demo, and the laws of a user's own models.

In: arguments, statements and a setup file that registers models and inputs. Out: what a Printer shows, and an exit code
(0, 1 after an error, 130 after Ctrl-C; `verify`: 1 where a law fails, 2 after an error). It calls only the
session's public methods.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..errors import IalgebraError, visible
from ..system import runtime
from ..version import __version__
from .printer import Printer, print_traceback, shown_warnings
from .shell import interact

if TYPE_CHECKING:
    from ..results.relation import Relation
    from ..session.session import Session


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # The defaults are not given to the parser: those of a command would overwrite an option written before the command.
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
        if arguments.command == "studio":
            return _studio(arguments, printer)
        script = None if interactive else _script(arguments)
        told = printer if interactive or sys.stderr.isatty() else None
        with _session(arguments.setup, told) as con, shown_warnings(printer):
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
    """Run a script that `Session.history.export` wrote, with the models that a setup file registers.

    `threads` is the number of torch threads in the recorded session: it may change the last digit of an answer.
    """
    parser = argparse.ArgumentParser(description="Replay the steps of a session.")
    parser.add_argument("setup", help="registers the models: setup(con), or a global con")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save every answer that has maps to a file")
    arguments = parser.parse_args()
    runtime.tune_process()
    printer = Printer(Path(), "", keep=False)
    try:
        with _session(arguments.setup) as con, shown_warnings(printer):
            import torch

            torch.set_num_threads(threads or torch.get_num_threads())
            arguments_by_kind = {kind: _Arguments(by_name) for kind, by_name in con.registered().items()}
            for number, relation in enumerate(analysis(**arguments_by_kind)):
                printer.say(relation.text)
                if arguments.save is not None and len(relation):
                    arguments.save.mkdir(parents=True, exist_ok=True)
                    relation.save(arguments.save / f"{number:04}.ialgebra")
    except IalgebraError as error:
        printer.error(error)
        sys.exit(1)


class _Arguments(dict[str, object]):
    """What a setup file registered, by name; an IalgebraError for a name that it did not register."""

    def __missing__(self, name: str) -> object:
        raise IalgebraError(f"the setup file registers nothing as '{name}', which this script needs")


def _verify(arguments: argparse.Namespace, printer: Printer) -> int:
    """Check the laws on what a factory makes; print the results, and write them to files where asked."""
    from .. import testing

    laws = None if arguments.laws is None else [law.strip() for law in arguments.laws.split(",") if law.strip()]
    results = testing.verify(arguments.factory, laws, arguments.examples, arguments.seed or 0, arguments.using)
    testing.report.show(results, printer.console)
    if arguments.json is not None:
        testing.report.write(testing.report.as_json(results, arguments.factory), arguments.json)
    if arguments.junit is not None:
        testing.report.write(testing.report.as_junit(results, arguments.factory), arguments.junit)
    return 1 if any(result.passed is False for result in results) else 0


def _studio(arguments: argparse.Namespace, printer: Printer) -> int:
    """Serve the studio until Ctrl-C. The first line on stdout is its address, with the token that lets a browser in."""
    from . import studio

    with shown_warnings(printer), _session(arguments.setup, printer) as con:
        shown = studio.example(con) if arguments.setup is None else None
        with studio.started(con, host=arguments.host, port=arguments.port, shown=shown) as served:
            print(served.url, flush=True)
            browsed = arguments.open and served.browse()
            printer.note(("" if browsed else "open the address in a browser; ") + "Ctrl-C ends the studio")
            try:
                served.wait()
            except KeyboardInterrupt:
                printer.note("closed")
    return 0


@contextmanager
def _session(setup: str | None, told: Printer | None = None) -> Iterator[Session]:
    """A session in which the setup file has registered its models and inputs. It is closed at the end.

    `told` says that the file runs, and what it has registered.
    """
    from ..session.session import connect  # imports torch, which must happen after `tune_process`

    con = connect()
    try:
        if setup is not None:
            with _setting_up(con, setup, told):
                _set_up(con, Path(setup))
        yield con
    finally:
        con.close()


@contextmanager
def _setting_up(con: Session, setup: str, told: Printer | None) -> Iterator[None]:
    if told is None:
        yield
        return
    started = time.perf_counter()
    told.note(f"running {setup} …")
    yield
    found = [f"{kind} {', '.join(names)}" for kind, names in con.names().items() if names]
    said = "; ".join(found) or "nothing"
    told.note(f"registered in {time.perf_counter() - started:.1f} s: {said}")


def _set_up(con: Session, path: Path) -> None:
    """Run a setup file with a global `con`; if it defines `setup(con)`, call that too."""
    if not path.is_file():
        raise IalgebraError(f"no setup file '{path}'; it is a Python file that registers models and inputs with con")
    sys.path.insert(0, str(path.resolve().parent))  # as `python FILE` does, so that it can import modules beside it
    try:
        setup = runpy.run_path(str(path), init_globals={"con": con}, run_name="ialgebra_setup").get("setup")
        if callable(setup):
            setup(con)
    except IalgebraError:
        raise
    except Exception as cause:
        print_traceback(sys.stderr)  # the error is in the user's code, so the traceback helps
        raise IalgebraError(f"the setup file '{path}' failed: {type(cause).__name__}: {cause}") from cause


def _script(arguments: argparse.Namespace) -> str:
    if arguments.command == "run":
        try:
            return Path(arguments.script).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as cause:  # such as a name that no file can have, or bytes that are no text
            reason = getattr(cause, "strerror", None) or cause
            raise IalgebraError(f"cannot read the script '{arguments.script}': {reason}") from cause
    return sys.stdin.read() if arguments.statement is None else str(arguments.statement)


class _Parser(argparse.ArgumentParser):
    """Its errors quote arguments, which may hold control characters."""

    def error(self, message: str) -> NoReturn:
        super().error(visible(message))


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--out", metavar="DIR", help="where pictures are written (default ./ialgebra-out)")
    session = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    session.add_argument("--setup", metavar="FILE", help="registers models and inputs: setup(con), or a global con")
    session.add_argument(
        "--seed", type=int, metavar="N", help="the seed of every statement; default 0, or what SET seed says"
    )
    about = "Ask neural networks why, in SQL. Without a command: a shell."
    parser = _Parser(prog="ialgebra", parents=[common, session], description=about)
    parser.add_argument("-c", dest="statement", metavar="SQL", help="run these statements and leave")
    parser.add_argument("--version", action="version", version=f"ialgebra {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    run = commands.add_parser("run", parents=[common, session], help="run a file of statements")
    run.add_argument("script", help="statements, each ending with a semicolon")
    verify = commands.add_parser("verify", help="check the laws of the algebra on your own model or interpreter")
    verify.add_argument(
        "factory",
        metavar="module:factory",
        help="package.module:factory or path/to/file.py:factory; makes a session, or a model and its inputs",
    )
    verify.add_argument("--examples", type=int, default=50, metavar="N", help="cases a law (default 50)")
    verify.add_argument("--laws", metavar="L1,L2", help="only these laws (default: all)")
    verify.add_argument("--using", metavar="METHOD", help="what queries say after USING, such as permutations()")
    verify.add_argument("--seed", type=int, default=argparse.SUPPRESS, metavar="N", help="of the cases; default 0")
    verify.add_argument("--json", metavar="FILE", help="write the results as JSON")
    verify.add_argument("--junit", metavar="FILE", help="write the results as JUnit XML")
    page = commands.add_parser(
        "studio", parents=[session], help="a page in the browser: draw, drag and ask; without --setup, of the demo"
    )
    page.add_argument("--port", type=int, default=0, metavar="N", help="the port (default: a free one)")
    page.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1: this machine only)")
    page.add_argument("--no-open", dest="open", action="store_false", help="do not show it in the browser")
    commands.add_parser("demo", parents=[common], help="the paper's queries on a real network and real photos")
    return parser


if __name__ == "__main__":
    sys.exit(main())
