"""The command line: an interactive shell, scripts, one-liners, the demo, and the laws of a user's own models.

Comes in: arguments, statements and a setup file that registers models and inputs. Goes out: answers as text, pictures
as PNG files, errors with their caret on stderr, and an exit code (0, 1 after an error, 130 after Ctrl-C; `verify`: 1
where a law fails, 2 after an error). Knows only the session's surface.
"""

from __future__ import annotations

import argparse
import os
import re
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.text import Text

from ..errors import IalgebraError, IalgebraWarning
from ..system import runtime
from ..version import __version__

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import History

    from ..results.relation import Relation

KEYWORDS = re.findall(
    r"\w+",
    "select from where join left anti on weight as and or not in between using budget error within at confidence "
    "seconds milliseconds explain analyze format create replace window view top percent above drop show models inputs "
    "windows views history describe set target baseline players output box circle row col channel value feature "
    "position token",
)
HELP = """\
A statement ends with a semicolon and may take several lines; Tab completes keywords and registered names.

  show models;   show inputs;   show windows;   show views;   show history;   describe x;
  select * from f(x);                                   the map of x under f
  select 2, * from f(x) where row < 112 budget 2000;    layer 2 and the whole model, inside a window
  create window hot as top(10 percent, select * from f(x));   where the map is highest, for `where hot`
  select * from f(x) left join (select * from f(y));    what tells x from y, and y from x
  explain analyze select * from f(x);                   the plan, its estimates and what was measured

  \\help  this text     \\q  leave (Ctrl-D)     Ctrl-C  cancel a query; rows already computed are kept"""


class Shell(Protocol):
    """What the command line needs of a session."""

    def run(self, script: str, seed: int | None = None) -> Iterator[Relation]: ...
    def names(self) -> dict[str, list[str]]: ...
    def registered(self) -> dict[str, dict[str, object]]: ...
    def close(self) -> None: ...


class Printer:
    """Puts answers on the terminal and pictures into a folder; `name` is the stem of the pictures' file names."""

    def __init__(self, out: Path, name: str, *, keep: bool) -> None:
        self.out, self.name, self.keep = out, name, keep
        self.console = Console(highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        self._pictures = 0

    def answer(self, relation: Relation) -> None:
        self.console.print(Text(relation.text), soft_wrap=True)
        if relation.is_text:
            return
        path = self._next_path()
        try:
            picture = relation.plot()
        except IalgebraError as error:  # the answer stands without its picture
            self.console.print(Text(f"no picture: {error.message}", "dim"), soft_wrap=True)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.savefig(path, dpi=150)
        except OSError as cause:
            raise IalgebraError(f"cannot write the picture '{path}': {cause.strerror or cause}") from cause
        self.console.print(Text(f"picture: {path}", "dim"), soft_wrap=True)

    def error(self, error: IalgebraError) -> None:
        sentence, *place = str(error).split("\n")
        self.errors.print(Text.assemble(("error: ", "bold red"), sentence), soft_wrap=True)
        for line in place:
            self.errors.print(Text(line, "red" if set(line) <= set(" ^") else ""), soft_wrap=True)

    def warning(self, message: Warning | str) -> None:
        self.errors.print(Text.assemble(("warning: ", "bold yellow"), str(message)), soft_wrap=True)

    def note(self, text: str) -> None:
        self.errors.print(Text(text, "dim"), soft_wrap=True)

    def _next_path(self) -> Path:
        """The next free file of an interactive session; a script overwrites its own, so that reruns are alike."""
        while True:
            self._pictures += 1
            path = self.out / f"{self.name}-{self._pictures:02d}.png"
            if not (self.keep and path.exists()):
                return path


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
        with _session(arguments.setup) as con, _warnings(printer):
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
        with _session(arguments.setup) as con, _warnings(printer):
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


def interact(
    con: Shell, printer: Printer, *, seed: int | None = None, prompt: PromptSession[str] | None = None
) -> None:
    """Read statements until `\\q` or Ctrl-D; errors and Ctrl-C end a statement, never the session."""
    prompt = prompt or _prompt(con.names)
    printer.note("ialgebra: statements end with ;   \\help   \\q")
    while True:
        try:
            text = prompt.prompt("ialgebra> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            match text.rstrip(";").strip():
                case "":
                    continue
                case "\\q" | "\\quit" | "quit" | "exit":
                    return
                case "\\help" | "\\h" | "\\?" | "help":
                    printer.console.print(Text(HELP), soft_wrap=True)
                case word if word.startswith("\\"):
                    printer.error(IalgebraError(f"no command '{word.split()[0]}'; there are \\help and \\q"))
                case _:
                    for relation in con.run(text, seed=seed):
                        printer.answer(relation)
        except IalgebraError as error:
            printer.error(error)
        except KeyboardInterrupt:
            printer.note("cancelled; rows already computed are kept")
        except Exception:  # a bug in us, or a picture that could not be written, must not cost the user's session
            traceback.print_exc(file=printer.errors.file)


def is_complete(text: str) -> bool:
    """Whether Enter sends what was typed: a backslash command, or text that ends with a semicolon, comments aside."""
    bare = re.sub(r"(/\*([^*]|\*(?!/))*\*/|--[^\n]*)\s*\Z", "", text).strip()
    return not bare or bare.startswith("\\") or bare.endswith(";") or bare in ("quit", "exit", "help")


def history_path() -> Path:
    """The shell's history, in the user's state directory (XDG_STATE_HOME, or ~/.local/state)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "ialgebra" / "history"


def completer(names: Callable[[], dict[str, list[str]]]) -> WordCompleter:
    """Completes registered names, then keywords; `names` is asked anew each time."""
    from prompt_toolkit.completion import WordCompleter

    def words() -> list[str]:
        return [*(name for kind in names().values() for name in kind), *KEYWORDS]

    return WordCompleter(words, ignore_case=True, pattern=re.compile(r"[\w'\u2032.]+"))  # names have primes


def _prompt(names: Callable[[], dict[str, list[str]]]) -> PromptSession[str]:
    """A multi-line prompt whose Enter sends complete statements, with history and Tab completion."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return PromptSession(
        history=_history(),
        completer=completer(names),
        complete_while_typing=False,
        key_bindings=keys,
        multiline=True,
        prompt_continuation=lambda width, line, wrapped: "...> ".rjust(width),
    )


def _history() -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    path = history_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:  # a read-only home is no reason to have no shell
        return InMemoryHistory()
    return FileHistory(path)


@contextmanager
def _session(setup: str | None) -> Iterator[Shell]:
    """A session in which the setup file has registered its models and inputs; closed at the end."""
    from ..session.session import connect  # brings torch, which must come after `tune_process`

    con: Shell = connect()
    try:
        if setup is not None:
            _set_up(con, Path(setup))
        yield con
    finally:
        con.close()


def _set_up(con: Shell, path: Path) -> None:
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


@contextmanager
def _warnings(printer: Printer) -> Iterator[None]:
    """Show the engine's warnings as sentences instead of source lines, each time that they apply."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", IalgebraWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
            if issubclass(category, IalgebraWarning):
                printer.warning(message)
            else:
                usual(message, category, *place, **more)  # type: ignore[arg-type]  # passed on as it came

        warnings.showwarning = show
        yield


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
