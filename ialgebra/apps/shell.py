"""The interactive shell: a prompt for statements, with completion, help and a history.

In: keys, and a session that answers. Out: what a Printer shows. An error or Ctrl-C ends a statement, never the shell.
It knows only the session's public methods, and the help texts and keywords of the statements.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import IalgebraError
from .printer import Printer, print_traceback

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import History

    from ..results.relation import Relation

_EXAMPLE_WIDTH = 52  # characters of the help's first column, which shows a statement; the second says what it does


class AskedSession(Protocol):
    """The methods of a session that the command line calls."""

    def run(self, script: str, seed: int | None = None) -> Iterator[Relation]: ...
    def names(self) -> dict[str, list[str]]: ...
    def registered(self) -> dict[str, dict[str, object]]: ...
    def close(self) -> None: ...


def help_text() -> str:
    """The text that \\help shows: an example of each statement, and what it does."""
    from ..session.statements.registry import STATEMENTS  # imports torch, as the session does

    lines = ["A statement ends with a semicolon and may take several lines; Tab completes keywords and names.", ""]
    for kind in STATEMENTS:
        lines += [f"  {example:<{_EXAMPLE_WIDTH}}  {meaning}".rstrip() for example, meaning in kind.help]
    commands = "\\help  this text     \\q  leave (Ctrl-D)     Ctrl-C  cancel a query; rows already computed are kept"
    return "\n".join([*lines, "", f"  {commands}"])


def interact(
    con: AskedSession, printer: Printer, *, seed: int | None = None, prompt: PromptSession[str] | None = None
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
                    printer.say(help_text())
                case word if word.startswith("\\"):
                    printer.error(IalgebraError(f"no command '{word.split()[0]}'; there are \\help and \\q"))
                case _:
                    for relation in con.run(text, seed=seed):
                        printer.answer(relation)
        except IalgebraError as error:
            printer.error(error)
        except KeyboardInterrupt:
            printer.note("cancelled; rows already computed are kept")
        except Exception:  # a bug of ours, or a picture that cannot be written, must not end the user's session
            print_traceback(printer.errors.file)


def is_complete(text: str) -> bool:
    """Whether Enter sends the text: a backslash command, or text that ends with a semicolon. A comment at the end is
    ignored."""
    bare = re.sub(r"(/\*([^*]|\*(?!/))*\*/|--[^\n]*)\s*\Z", "", text).strip()
    return not bare or bare.startswith("\\") or bare.endswith(";") or bare in ("quit", "exit", "help")


def history_path() -> Path:
    """The shell's history, in the user's state directory (XDG_STATE_HOME, or ~/.local/state)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "ialgebra" / "history"


def completer(names: Callable[[], dict[str, list[str]]]) -> WordCompleter:
    """Completes registered names, then keywords; `names` is called at each completion."""
    from prompt_toolkit.completion import WordCompleter

    from ..session.statements.registry import keywords  # imports torch, as the session does

    known = keywords()

    def words() -> list[str]:
        return [*(name for kind in names().values() for name in kind), *known]

    return WordCompleter(words, ignore_case=True, pattern=re.compile(r"[\w'\u2032.]+"))  # names have primes: x'


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
    except OSError:  # the home folder is read-only: use a shell without a saved history
        return InMemoryHistory()
    return FileHistory(path)
