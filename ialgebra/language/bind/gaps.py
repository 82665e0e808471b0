"""Whether a generator draws what decides: an edit of codes is refused where its reconstruction alone moves the score.

In: the identities of a model call. Out: nothing, or a BindError that says what to do. The probabilities come from the
models, through `scope.told`; where they are left open, nothing is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...algebra.edits import LatentEdit, Reconstructed
from ...algebra.operators import Identity
from ...algebra.rankings import ModelScore
from ...algebra.sources import Source
from ...errors import BindError
from .models import KnownModel, UnknownScores
from .scope import Scope


def check_gaps(identities: Sequence[Identity], network: KnownModel, scope: Scope) -> None:
    """Raise BindError if the probability of an explained class differs by more than `within` between an input and its
    reconstruction, for an edit of its code that does not keep the residual."""
    if network.outputs.meaning == "values":
        return
    allowed: dict[int | None, dict[Source, float]] = {}
    for identity in identities:
        drawn = allowed.setdefault(identity.target, {})
        for source in identity.inputs:
            for reconstruction, within in _drawn(source):
                drawn[reconstruction] = min(within, drawn.get(reconstruction, within))
    for target, drawn in allowed.items():
        if drawn:
            _check(network, scope, drawn, target)


def _drawn(source: Source) -> Iterator[tuple[Source, float]]:
    """The reconstructions that a source is made by without keeping the residual, and the least gap that is allowed."""
    place = 0
    while place < len(source.edits):
        first, chain = place, []
        while place < len(source.edits) and _continues(source, first, place):
            chain.append(source.edits[place])
            place += 1
        latent = [each for each in chain if isinstance(each, LatentEdit)]
        if latent and not any(each.keep or each.within >= 1 for each in latent):
            plain = Reconstructed(latent[0].generator, "", 1.0)
            yield Source(source.name, source.index, (*source.edits[:first], plain)), min(each.within for each in latent)
        place = max(place, first + 1)


def _continues(source: Source, first: int, place: int) -> bool:
    one, other = source.edits[first], source.edits[place]
    return isinstance(one, LatentEdit) and isinstance(other, LatentEdit) and one.generator == other.generator


def _check(network: KnownModel, scope: Scope, drawn: Mapping[Source, float], target: int | None) -> None:
    name, within = network.name, list(drawn.values())
    bases = [Source(each.name, each.index, each.edits[:-1]) for each in drawn]
    targets: Sequence[float | None] = [target] * len(bases)
    if target is None:
        targets = scope.told(UnknownScores((ModelScore(name, None, None, "logit"),), tuple(bases)))
    for wanted in sorted({int(each) for each in targets if each is not None}):
        chosen = [k for k, each in enumerate(targets) if each == wanted]
        before = [bases[k] for k in chosen]
        after = [list(drawn)[k] for k in chosen]
        score = ModelScore(name, None, wanted, "probability")
        said = scope.told(UnknownScores((score,), (*before, *after)))
        for k, base, one, other in zip(chosen, before, said[: len(before)], said[len(before) :], strict=True):
            if one is not None and other is not None and abs(one - other) > within[k]:
                raise BindError(
                    f"model '{name}' gives '{base}' a probability of {one:.2f} for '{network.class_name(wanted)}', and "
                    f"what the generator draws of it {other:.2f}: it does not draw what decides. Say keep => residual, "
                    f"which changes the input itself, or allow it: within => {min(1, abs(one - other) + 0.01):.2f}"
                )
