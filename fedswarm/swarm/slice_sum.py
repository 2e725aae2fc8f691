"""The sum of some chunks over several contributors, made as chunks arrive.

Contributions are told apart by (contributor, chunk), so whatever is delivered twice counts once. Sums are float64 on an
exact grid (:mod:`fedswarm.aggregation.grid`), so no order of arrival changes a bit of them. Raw chunks are not kept: a
slice costs its own size in memory, however many contribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.manifest import Manifest


class SliceSum:
    """Adds up some chunks of the vectors of ``contributors``, each as large as ``shape`` says.

    Args:
        shape: the manifest of any contribution; all are cut alike.
        chunks: those to be summed, ascending.
        contributors: whose chunks are awaited.
    """

    def __init__(self, shape: Manifest, chunks: Sequence[int], contributors: Iterable[str]) -> None:
        awaited = frozenset(contributors)
        self._awaited = {index: set(awaited) for index in chunks}
        self._parts: dict[int, NDArray[np.float64]] = {}
        self._total = np.zeros(slice_bytes(shape, chunks) // 8, dtype=np.float64)
        start = 0
        for index in chunks:
            stop = start + shape.chunk_size(index) // 8
            self._parts[index] = self._total[start:stop]
            start = stop

    @property
    def vector(self) -> NDArray[np.float64]:
        """The chunks one after the other, as far as they are summed."""
        return self._total

    def add(self, contributor: str, index: int, payload: bytes | memoryview) -> NDArray[np.float64] | None:
        """Adds a verified chunk; returns the sum of that chunk once all contributed to it, else ``None``.

        A chunk that was added already, or is not awaited, changes nothing.
        """
        awaited = self._awaited.get(index, set())
        if contributor not in awaited:
            return None
        awaited.discard(contributor)
        part = self._parts[index]
        np.add(part, np.frombuffer(payload, dtype=np.float64), out=part)
        return None if awaited else part


def slice_bytes(shape: Manifest, chunks: Sequence[int]) -> int:
    """Bytes of these chunks together; only the last one of the whole may be short."""
    return sum(shape.chunk_size(index) for index in chunks)
