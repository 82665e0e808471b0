"""Checksums of numbers: a tensor or an array in; a number of 128 bits that changes whenever a number in it does, out.

Numbers are always read in full, because writes through `.data` or a NumPy view change no version that torch counts. A
tensor has the same checksum on every device, in every memory layout and in every process. Knows tensors and arrays: no
modules and no models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

_SPARSE_ROWS = (torch.sparse_csr, torch.sparse_bsr)
_SPARSE_COLUMNS = (torch.sparse_csc, torch.sparse_bsc)
_ORDINARY = (torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.uint8, torch.int8, torch.bool)


class UnreadableNumbers(Exception):
    """The numbers of a tensor cannot be read."""


def checksum(tensor: Tensor) -> int:
    """A checksum of a tensor's numbers. Raises UnreadableNumbers where the tensor does not give them away."""
    if tensor.layout == torch.strided and tensor.dtype in _ORDINARY and tensor.device.type == "cpu":
        try:
            # Shares the memory; `detach` because a tensor that takes gradients refuses to become an array.
            return xxhash.xxh3_128_intdigest(tensor.detach().numpy().data)
        except (RuntimeError, TypeError, ValueError, BufferError):  # not contiguous, negated, a view of another kind
            pass
    try:
        parts, words = _dense(tensor)
        digest = xxhash.xxh3_128(words.encode())
        for part in parts:
            digest.update(_bytes(part).data)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableNumbers(str(error)) from error
    # An ordinary tensor has the checksum of its bytes alone, however it is held.
    return digest.intdigest() if words else xxhash.xxh3_128_intdigest(_bytes(parts[0]).data)


class TensorMemory:
    """Where a tensor's numbers lie, looked up once: to read a small tensor again then takes a quarter of the time.

    The memory is looked up anew wherever the tensor has other memory, or lies in it otherwise; until then it is kept.
    """

    __slots__ = ("_dtype", "_memory", "_pointer", "_shape", "_strides", "_words", "name", "tensor")

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name, self.tensor = name, tensor
        self._memory: memoryview | None = None
        self._words: tuple[str, tuple[int, ...], str] = (name, (), "")

    def read(self) -> tuple[str, tuple[int, ...], str, int]:
        """The name, shape, dtype and checksum of the tensor as it is now. Raises UnreadableNumbers."""
        tensor, memory = self.tensor, self._memory
        if memory is not None and tensor.layout is torch.strided and tensor.data_ptr() == self._pointer:
            alike = tensor.shape == self._shape and tensor.stride() == self._strides and tensor.dtype is self._dtype
            if alike and not tensor.is_neg() and tensor.is_cpu:
                return *self._words, xxhash.xxh3_128_intdigest(memory)
        self._memory = None
        self._words = self.name, tuple(tensor.shape), str(tensor.dtype)
        if tensor.layout is torch.strided and tensor.dtype in _ORDINARY and tensor.is_cpu and not tensor.is_neg():
            self._look_up()
        return *self._words, checksum(tensor)

    def _look_up(self) -> None:
        tensor = self.tensor
        try:
            memory = tensor.detach().numpy().data
        except (RuntimeError, TypeError, ValueError, BufferError):  # a view of another kind
            return
        if memory.c_contiguous:
            self._memory, self._pointer, self._dtype = memory, tensor.data_ptr(), tensor.dtype
            self._shape, self._strides = tensor.shape, tensor.stride()


def array_checksum(array: NDArray[np.generic] | np.generic) -> int:
    """A checksum of an array's bytes in order of index; of an array without Python objects."""
    return xxhash.xxh3_128_intdigest(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _dense(tensor: Tensor) -> tuple[Sequence[Tensor], str]:
    """The ordinary tensors in which a tensor's numbers lie, and what else decides its values, in words."""
    if tensor.is_meta:
        return [], "meta"  # holds no numbers; its shape and dtype are read elsewhere
    if tensor.is_nested:
        return list(tensor.unbind()), f"nested {[tuple(part.shape) for part in tensor.unbind()]}"
    if tensor.layout == torch.sparse_coo:
        return [tensor._indices(), tensor._values()], "sparse"
    if tensor.layout in _SPARSE_ROWS:
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()], str(tensor.layout)
    if tensor.layout in _SPARSE_COLUMNS:
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()], str(tensor.layout)
    if tensor.layout != torch.strided:
        return [tensor.to_dense()], str(tensor.layout)
    if tensor.is_quantized:
        scheme = tensor.qscheme()
        if scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            return [tensor.int_repr()], f"{scheme} {tensor.q_scale()!r} {tensor.q_zero_point()!r}"
        scales = [tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()]
        return [tensor.int_repr(), *scales], f"{scheme} {tensor.q_per_channel_axis()}"
    return [tensor], ""


def _bytes(tensor: Tensor) -> NDArray[np.uint8]:
    plain = tensor.detach().resolve_conj().resolve_neg().reshape(-1).contiguous().cpu()
    found: NDArray[np.uint8] = plain.view(torch.uint8).numpy() if plain.numel() else np.zeros(0, np.uint8)
    return found
