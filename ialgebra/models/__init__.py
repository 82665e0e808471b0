"""Registered models: their layers, their classes, and the heads that make a model of every layer."""

from ..kernels.forward import is_out_of_memory
from .heads import Head, HeadReport, fit_heads, load_heads, save_heads
from .layers import Layer
from .network import Network

__all__ = [
    "Head",
    "HeadReport",
    "Layer",
    "Network",
    "fit_heads",
    "is_out_of_memory",
    "load_heads",
    "save_heads",
]
