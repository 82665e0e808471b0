"""A gallery of a dictionary of concepts: what each attribute is, by the inputs that show most and least of it.

In: the inputs, maps and pictures that a session found for each attribute. Out: a picture, a page of HTML that fetches
nothing, or text. May not know: networks, sessions, queries.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BindError, IalgebraError, did_you_mean, in_lines
from ..system import disk
from ..system.markup import preformatted
from .attribute_rows import AttributeRow, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Gallery(Sequence[AttributeRow]):
    """A row for each attribute of a dictionary: `plot()`, `save("page.html")`, and the picture in a notebook."""

    def __init__(
        self, title: str, kind: str, scale: tuple[float, float], rows: Sequence[AttributeRow], about: str = ""
    ) -> None:
        self.title, self.kind, self.scale, self.about = title, kind, scale, about
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[AttributeRow]:
        return iter(self._rows)

    def __getitem__(self, which: int | str | slice) -> AttributeRow | Sequence[AttributeRow]:  # type: ignore[override]
        """A row by its place or the name of its attribute; BindError for an unknown name."""
        if not isinstance(which, str):
            return self._rows[which]
        names = [row.name for row in self._rows]
        if which not in names:
            raise BindError(f"the gallery has no attribute '{which}'{did_you_mean(which, names)}")
        return self._rows[names.index(which)]

    def __str__(self) -> str:
        lines = [self.title, *(f"  {line}" for line in self.about.splitlines())]
        for row in self._rows:
            extra = ""
            if row.words:
                extra = f"; words {', '.join(word for word, _, _ in row.words)}"
            if row.profile:
                extra = f"; {', '.join(f'{name} {signed(value)} sd' for name, value in row.profile)}"
            lines.append(f"  {row.name:<10} {row.meaning}; active for {row.live:.0%}, at most {row.largest:.3g}{extra}")
        return in_lines(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        try:
            return self._body()
        except IalgebraError:
            return preformatted(str(self))

    def plot(self, path: str | Path | None = None) -> Figure:
        """The gallery as one picture. `path`: a file to write, whose ending says the format. IalgebraError where
        matplotlib is not installed."""
        from . import plots
        from .plots import gallery_plots

        found = gallery_plots.gallery_picture(self.title, self._rows, self.kind, self.scale)
        if path is not None:
            plots.save(found, Path(path))
        return found

    def save(self, path: str | Path) -> Path:
        """Write the gallery as one page of HTML that fetches nothing, and return its path. IalgebraError where that is
        impossible."""
        path, title = Path(path), html.escape(self.title)
        page = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{title}</title>\n</head>\n<body style="margin:1.5rem;background:#fff;color:#1d1e22">\n'
            f"{self._body()}\n</body>\n</html>\n"
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.write(path, page.encode())
        except (OSError, ValueError) as cause:
            reason = getattr(cause, "strerror", None) or cause
            raise IalgebraError(f"cannot write the page '{path}': {reason}") from cause
        return path

    def _body(self) -> str:
        from .plots import gallery_plots

        return gallery_plots.gallery_html(self.title, self.about, self._rows, self.kind, self.scale)
