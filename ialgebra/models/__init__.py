"""Registered models: their layers, their classes, and the heads that make a model of every layer.

In comes a `torch.nn.Module` or any callable. Out come `Network` (probed layers, and checked logits of any set of layers
from one pass), trained heads and their files, fingerprints of what the model computes, and profiles of what its passes
cost. Nothing here knows a query, a registered input, a coalition or a plan.
"""

from .fitting import HeadReport, fit_heads
from .head import Head
from .head_files import load_heads, save_heads
from .layers import Layer
from .network import Network

__all__ = [
    "Head",
    "HeadReport",
    "Layer",
    "Network",
    "fit_heads",
    "load_heads",
    "save_heads",
]
