"""The sum of a run of chunks over several contributors, made as chunks arrive.

Contributions are told apart by (contributor, chunk), so whatever is delivered twice counts once. Sums are float64 on an
exact grid (:mod:`fedswarm.aggregation.grid`), so no order of arrival changes a bit of them. Raw chunks are not kept: a
slice costs its own size in memory, however many contribute.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.manifest import Manifest


class SliceSum:
    """Adds up chunks ``run`` of the vectors of ``contributors``, each as large as ``shape`` says.

    Args:
        shape: the manifest of any contribution; all are cut alike.
        run: the chunks to be summed, consecutive.
        contributors: whose chunks are awaited.
    """

    def __init__(self, shape: Manifest, run: range, contributors: Iterable[str]) -> None:
        self._shape = shape
        self._run = run
        self._awaited = {index: set(contributors) for index in run}
        start, end = shape.range(run[0]).start, shape.range(run[-1]).stop
        self._start_bytes = start
        self._total = np.zeros((end - start) // 8, dtype=np.float64)

    @property
    def vector(self) -> NDArray[np.float64]:
        """The slice, as far as it is summed."""
        return self._total

    @property
    def complete(self) -> bool:
        """Whether everything awaited was added."""
        return not any(self._awaited.values())

    def add(self, contributor: str, index: int, payload: bytes | memoryview) -> NDArray[np.float64] | None:
        """Adds a verified chunk; returns the sum of that chunk once all contributed to it, else ``None``.

        A chunk that was added already, or is not awaited, changes nothing.
        """
        awaited = self._awaited.get(index, set())
        if contributor not in awaited:
            return None
        awaited.discard(contributor)
        where = self._shape.range(index)
        part = self._total[(where.start - self._start_bytes) // 8 : (where.stop - self._start_bytes) // 8]
        np.add(part, np.frombuffer(payload, dtype=np.float64), out=part)
        return None if awaited else part
