"""Sparse updates as bytes: a header, a bitmap of which weights are sent, and their float32 values.

::

    offset  bytes          content, little-endian
    0       4              b"FSU1"
    4       4              n, weights of the model
    8       4              k, values that follow
    12      ceil(n / 8)    bitmap, weight i in bit i mod 8 of byte i // 8; absent when k = n
    ...     4 k            values by ascending weight, float32

A bitmap costs one bit a weight, 1/32 of the dense vector whatever is kept; a list of 32-bit indices costs as much as
the values, so it is the better one only below a share of 1/32.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from fedswarm.errors import WireError
from fedswarm.models.sparse_update import SparseUpdate

_HEADER: Final = struct.Struct("<4sII")
_MAGIC: Final = b"FSU1"


def encoded_bytes(size: int, kept: int) -> int:
    """Length of the encoding of ``kept`` out of ``size`` weights."""
    return _HEADER.size + _bitmap_bytes(size, kept) + 4 * kept


def encode(update: SparseUpdate) -> bytes:
    """The update as :func:`encoded_bytes` bytes."""
    kept = update.indices.size
    bitmap = b""
    if kept < update.size:
        chosen = np.zeros(update.size, dtype=np.bool_)
        chosen[update.indices] = True
        bitmap = np.packbits(chosen, bitorder="little").tobytes()
    return _HEADER.pack(_MAGIC, update.size, kept) + bitmap + update.values.astype("<f4").tobytes()


def decode(data: bytes, size: int) -> SparseUpdate:
    """The inverse of :func:`encode` for a model of ``size`` weights.

    Raises :class:`~fedswarm.errors.WireError` unless every byte is as an honest sender would write it. Values may be
    any float32: whether they are finite and in range is for :meth:`fedswarm.aggregation.grid.Grid.check` to say.
    """
    kept = _checked_header(data, size)
    values_start = _HEADER.size + _bitmap_bytes(size, kept)
    values = np.frombuffer(data, dtype="<f4", offset=values_start).astype(np.float32)
    if kept == size:
        return SparseUpdate(size, np.arange(size, dtype=np.uint32), values)
    bits = np.unpackbits(np.frombuffer(data[_HEADER.size : values_start], dtype=np.uint8), bitorder="little")
    indices = np.flatnonzero(bits)
    if indices.size != kept or (kept and indices[-1] >= size):
        raise WireError(f"a sparse update's bitmap marks {indices.size} weights, {kept} of the first {size} expected")
    return SparseUpdate(size, indices.astype(np.uint32), values)


def _checked_header(data: bytes, size: int) -> int:
    """The number of values, once the header and the length are right."""
    if len(data) < _HEADER.size:
        raise WireError(f"a sparse update of {len(data)} bytes is shorter than its header of {_HEADER.size}")
    magic, declared, kept = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise WireError(f"a sparse update begins with {magic!r}, expected {_MAGIC!r}")
    if declared != size or kept > size:
        raise WireError(f"a sparse update of {kept} out of {declared} weights does not fit a model of {size}")
    expected = encoded_bytes(size, kept)
    if len(data) != expected:
        raise WireError(f"a sparse update of {kept} out of {size} weights takes {expected} bytes, got {len(data)}")
    return int(kept)


def _bitmap_bytes(size: int, kept: int) -> int:
    return 0 if kept == size else -(-size // 8)
