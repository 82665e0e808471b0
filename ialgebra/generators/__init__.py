"""Generators: what draws inputs from codes, and directions in the space of the codes (Kirchler et al. 2021).

In come models that draw, and collections of inputs. Out come `LinearGenerator` and `StyleGenerator` fitted to a
collection, `RegisteredGenerator` (codes of inputs, and inputs of codes, in blocks of one size), and axes. Nothing here
knows a query, a catalog, a coalition or a plan.
"""

from .axes import Axis
from .linear import LinearGenerator
from .protocol import Generator
from .registered import RegisteredGenerator

__all__ = ["Axis", "Generator", "LinearGenerator", "RegisteredGenerator"]
