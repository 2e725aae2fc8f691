"""A model's weights as **one flat float32 vector plus a layout**: the common currency of the whole cluster.

The layout lists the floating-point tensors (parameters, then float buffers such as running means) with their shapes;
tensor *i* occupies ``vector[offset_i : offset_i + size_i]`` in row-major order. Integer buffers are not weights: they
count steps and stay where they are. No torch here: the aggregator works on vectors and must not pay for its import.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import ModelError

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a model: its state-dict name, shape, and whether the optimizer trains it."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The order, names and shapes of the tensors in a flat vector."""

    tensors: tuple[TensorSpec, ...]

    @cached_property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(spec.size for spec in self.tensors)

    @cached_property
    def trainable_size(self) -> int:
        """How many elements of the vector the optimizer trains."""
        return sum(spec.size for spec in self.tensors if spec.trainable)

    @property
    def nbytes(self) -> int:
        """Bytes of the flat float32 vector."""
        return 4 * self.size

    @cached_property
    def schema_hash(self) -> str:
        """Hex digest that two processes compare before they exchange weights."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=16).hexdigest()

    def slices(self) -> Iterator[tuple[TensorSpec, slice]]:
        """Each tensor with its range in the flat vector."""
        start = 0
        for spec in self.tensors:
            yield spec, slice(start, start + spec.size)
            start += spec.size

    def split(self, vector: Vector) -> dict[str, Vector]:
        """Named views (no copies) of a flat vector of length :attr:`size`."""
        self.check(vector)
        return {spec.name: vector[where].reshape(spec.shape) for spec, where in self.slices()}

    def join(self, tensors: Mapping[str, NDArray[np.floating]]) -> Vector:
        """The flat vector of named arrays; every tensor of the layout must be there in its shape."""
        vector = np.empty(self.size, dtype=np.float32)
        for spec, where in self.slices():
            if spec.name not in tensors:
                raise ModelError(f"weights lack tensor {spec.name!r} of shape {spec.shape}")
            if tensors[spec.name].shape != spec.shape:
                raise ModelError(f"tensor {spec.name!r} has shape {tensors[spec.name].shape}, expected {spec.shape}")
            vector[where] = tensors[spec.name].ravel()
        return vector

    def check(self, vector: NDArray[np.generic]) -> None:
        """Raises :class:`ModelError` unless ``vector`` is flat and of this layout's length."""
        if vector.shape != (self.size,):
            raise ModelError(f"a vector of shape {vector.shape} does not fit a layout of {self.size} weights")

    def to_json(self) -> str:
        """A canonical JSON text (also what :attr:`schema_hash` covers)."""
        rows = [[spec.name, list(spec.shape), spec.trainable] for spec in self.tensors]
        return json.dumps(rows, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The inverse of :meth:`to_json`; raises :class:`ModelError` on anything else."""
        try:
            rows = json.loads(text)
            specs = tuple(TensorSpec(str(name), tuple(int(n) for n in shape), bool(t)) for name, shape, t in rows)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ModelError(f"not a weight layout: {text[:80]!r}") from error
        if any(n < 0 for spec in specs for n in spec.shape):
            raise ModelError(f"a weight layout with a negative dimension: {text[:80]!r}")
        return cls(specs)
