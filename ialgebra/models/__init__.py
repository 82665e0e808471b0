"""Registered models: their layers, their classes, and the heads that make a model of every layer."""

from .heads import Head, HeadReport, fit_heads, load_heads, save_heads
from .layers import Layer
from .network import Network, is_out_of_memory

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
