"""A fetch under way: where its chunks go, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import WireError
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.store import Holding

Sink = Callable[[int, memoryview], None]
"""Takes a verified chunk: its index and its bytes, which are only lent during the call."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought.

    Attributes:
        vector: the flat weights, zero where chunks are missing; ``None`` if a sink took them. Read only when this peer
            serves them to others.
        held: which chunks are there, a boolean for each.
        complete: whether that is every chunk wanted.
    """

    vector: NDArray[Any] | None
    held: NDArray[np.bool_]
    complete: bool


class Fetch:
    """One running fetch.

    Args:
        manifest: of what.
        holding: the buffer for its chunks, with those that are there already; ``None`` if only the sink takes them.
        indices: the chunks wanted; ``None`` is all. Raises :class:`WireError` for chunks that do not exist.
        sink: is given each chunk once, those that are there already at once.
    """

    def __init__(
        self, manifest: Manifest, holding: Holding | None, indices: Sequence[int] | None, sink: Sink | None
    ) -> None:
        self.manifest = manifest
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends the fetch, by an error if need be."""
        self._holding = holding
        self._sink = sink
        self._held = np.zeros(manifest.chunks, dtype=np.bool_)
        self._wanted = np.arange(manifest.chunks) if indices is None else np.unique(np.asarray(indices, dtype=np.intp))
        if indices is not None and len(indices) and not (0 <= min(indices) <= max(indices) < manifest.chunks):
            raise WireError(f"{manifest.key} has chunks 0 to {manifest.chunks - 1}, wanted are {sorted(indices)}")
        for index in self._wanted.tolist():
            payload = None if holding is None else holding.payload(index)
            if payload is not None:
                self._take(index, payload)
        if self._complete:
            self.end()

    def put(self, index: int, payload: bytes | memoryview) -> None:
        """A verified chunk came."""
        if self.done.done():
            return  # failed a moment ago; its caller has not resumed yet
        if self._holding is not None:
            self._holding.put(index, payload)
        self._take(index, memoryview(payload))

    def end(self) -> None:
        """The fetch is over, with what is there."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """The fetch cannot be finished."""
        if not self.done.done():
            self.done.set_exception(error)

    def result(self, *, writable: bool) -> Fetched:
        """What was brought."""
        vector = None if self._holding is None or self._sink else self._holding.vector(writable=writable)
        return Fetched(vector, self._held, self._complete)

    @property
    def _complete(self) -> bool:
        return bool(self._held[self._wanted].all())

    def _take(self, index: int, payload: memoryview) -> None:
        self._held[index] = True
        if self._sink is not None:
            try:
                self._sink(index, payload)
            except Exception as error:  # the caller's own code: it hears of its error where it waits
                self.fail(error)
