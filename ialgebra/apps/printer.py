"""Answers, errors and warnings on the terminal, and pictures as PNG files.

In: relations, errors, warnings. Out: text on stdout and stderr, and one picture for each answer that has maps. It does
not know sessions.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ..errors import IalgebraError, IalgebraWarning, visible

if TYPE_CHECKING:
    from ..results.relation import Relation


class Printer:
    """Puts answers on the terminal and pictures into a folder; `name` is the stem of the pictures' file names."""

    def __init__(self, out: Path, name: str, *, keep: bool) -> None:
        self.out, self.name, self.keep = out, name, keep
        self.console = Console(highlight=False)
        self.errors = Console(stderr=True, highlight=False)
        self._pictures = 0

    def answer(self, relation: Relation) -> None:
        self.say(relation.text)
        if relation.is_text:
            return
        path = self._next_path()
        try:
            picture = relation.plot()
        except IalgebraError as error:  # the answer is shown without its picture
            self.say(f"no picture: {error.message}", "dim")
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.savefig(path, dpi=150)
        except (OSError, ValueError) as cause:
            reason = getattr(cause, "strerror", None) or cause
            raise IalgebraError(f"cannot write the picture '{path}': {reason}") from cause
        self.say(f"picture: {path}", "dim")

    def error(self, error: IalgebraError) -> None:
        sentence, *place = visible(str(error), keep="\n").split("\n")
        self.errors.print(Text.assemble(("error: ", "bold red"), sentence), soft_wrap=True)
        for line in place:
            self.errors.print(Text(line, "red" if set(line) <= set(" ^") else ""), soft_wrap=True)

    def warning(self, message: Warning | str) -> None:
        self.errors.print(Text.assemble(("warning: ", "bold yellow"), visible(str(message))), soft_wrap=True)

    def note(self, text: str) -> None:
        self.errors.print(Text(visible(text), "dim"), soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """Print a text on stdout, as it is but for control characters."""
        self.console.print(Text(visible(text, keep="\n"), style), soft_wrap=True)

    def _next_path(self) -> Path:
        """The file for the next picture. An interactive session takes a free name; a script overwrites the pictures of
        its last run, so that every run gives the same files."""
        while True:
            self._pictures += 1
            path = self.out / f"{self.name}-{self._pictures:02d}.png"
            if not (self.keep and path.exists()):
                return path


def print_traceback(file: IO[str]) -> None:
    """Print the traceback of the error that is being handled."""
    file.write(visible(traceback.format_exc(), keep="\n"))


@contextmanager
def shown_warnings(printer: Printer) -> Iterator[None]:
    """Within this, warnings of this package are printed as sentences, without a source line, every time they occur."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", IalgebraWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
            if issubclass(category, IalgebraWarning):
                printer.warning(message)
            else:
                usual(message, category, *place, **more)  # type: ignore[arg-type]  # passed on unchanged

        warnings.showwarning = show
        yield
