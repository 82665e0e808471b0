"""Concepts: a small dictionary of attributes that explains a network (FLINT, Parekh et al., NeurIPS 2021).

In come a network and inputs. Out come a `Dictionary` (an encoder of hidden outputs to attributes, and a linear head),
the models that are made of it (attributes of an input; the surrogate g), its file, and a report on it. Nothing here
knows a query, a registered input, a coalition or a plan.
"""

from .composed import DerivedNetwork, Surrogate, activations_of, surrogate_of
from .dictionary import ConceptHead, Dictionary
from .fitting import Fitted, fit
from .played import PlayedHead, PlayedNetwork, head_of
from .register import check, registered

__all__ = [
    "ConceptHead",
    "DerivedNetwork",
    "Dictionary",
    "Fitted",
    "PlayedHead",
    "PlayedNetwork",
    "Surrogate",
    "activations_of",
    "check",
    "fit",
    "head_of",
    "registered",
    "surrogate_of",
]
