"""The inputs of scores once more, for those who look at them, as long as they are what was read.

In: the catalog of an answer, and its inputs. Out: `ScoredInputs`, which keep no input and make them when asked. What a
generator, an axis or a model of a counterfactual draws otherwise by then is refused. It may not know scores.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..algebra.sources import Source, families
from ..catalog.catalog import Catalog
from ..catalog.drawing import read_by
from ..errors import IalgebraError
from ..results.scored_inputs import ScoredInput, ScoredInputs


def inputs_again(catalog: Catalog, sources: Sequence[Source]) -> ScoredInputs:
    """The inputs of an answer, one at least."""
    entry, names = catalog.input(sources[0].name), {read_by(each) for each in families(sources)}
    drawn_by = {each: catalog.readings.content(each) for each in names}

    def read(rows: Sequence[int]) -> list[ScoredInput]:
        if any(catalog.readings.content(each, anew=True) != content for each, content in drawn_by.items()):
            raise IalgebraError("what draws these inputs has changed since they were read; ask again")
        return [ScoredInput(catalog.element(sources[row]).array, _names(catalog, sources[row])) for row in rows]

    return ScoredInputs(entry.kind, lambda: entry.scale, read)


def _names(catalog: Catalog, source: Source) -> Sequence[str] | None:
    names = catalog.names(source)
    return names if names is None or isinstance(names, Sequence) else names.tokens
