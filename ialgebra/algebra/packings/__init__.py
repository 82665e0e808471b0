"""Packings: how rows of numbers become what a model expects: a DataFrame, or tensors by name.

What lives here: the tensor that carries a packing, and one module for each kind of packing. In: numbers as they are
held, (B, *shape). Out: what the model is called with. Hybrids, edits, stores and names know numbers only. It may not
know models, the catalog or queries; pandas is imported only when there is a frame.
"""

from .packing import PackedTensor, Packing, agreed, carrying, packing_of, plain

__all__ = ["PackedTensor", "Packing", "agreed", "carrying", "packing_of", "plain"]
