"""`predict model, … from input` asks what models answer for inputs, without maps. In: its tree; out: `Scores`."""

from __future__ import annotations

from ...language import tree
from ...results.scores import Scores
from .kind import StatementContext, StatementKind


def _run(statement: tree.Predict, context: StatementContext) -> Scores:
    return context.scored(context.prediction(statement))


PREDICT = StatementKind(
    tree.Predict,
    _run,
    keywords="predict score steps each",
    help=(
        ("predict f from x;", "what f predicts for x, and the scores of its classes; no map"),
        ("predict f(output => 'probability') from rotate(x, 15);", "of an edited input, as probabilities"),
    ),
)
