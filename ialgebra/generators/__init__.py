"""Generators: what draws inputs from codes, and directions in the space of the codes (Kirchler et al. 2021).

In come models that draw, and collections of inputs. Out come `LinearGenerator` and `StyleGenerator` fitted to a
collection, `RegisteredGenerator` (codes of inputs, and inputs of codes, in blocks of one size), and axes. Nothing here
knows a query, a catalog, a coalition or a plan.
"""

from .adapters import Autoencoder, StyleNetwork
from .axes import Axis
from .files import load_generator, save_generator
from .linear import LinearGenerator
from .protocol import Generator
from .registered import RegisteredGenerator
from .style import DrawingFigures, StyleGenerator

__all__ = [
    "Autoencoder",
    "Axis",
    "DrawingFigures",
    "Generator",
    "LinearGenerator",
    "RegisteredGenerator",
    "StyleGenerator",
    "StyleNetwork",
    "load_generator",
    "save_generator",
]
