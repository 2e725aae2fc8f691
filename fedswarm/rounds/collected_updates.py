"""The updates of one exchange as they arrive: summed chunk by chunk, none of them kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedswarm.aggregation.partial import CompletionRule, PartialMean
from fedswarm.models.layout import Vector


@dataclass(frozen=True)
class Arrivals:
    """What had arrived when an exchange ended.

    ``complete``, ``partial`` and ``missing`` count the other peers of whose weights all, some or no chunks came.
    ``chunk_share`` is the part of all peers' chunks that is there, one's own included, ``weight_share`` the same with
    every peer counting as much as it weighs in the mean.
    """

    complete: int
    partial: int
    missing: int
    chunk_share: float
    weight_share: float


class CollectedUpdates:
    """A partial mean that begins with one's own weights and ends when it is closed.

    Args:
        mean: empty yet.
        peer: this one.
        own: its weights, float32 ``(P,)``.
        weight: what they count.
    """

    def __init__(self, mean: PartialMean, peer: str, own: Vector, weight: int) -> None:
        self._mean = mean
        self._peer = peer
        self._is_open = True
        self._held: dict[str, NDArray[np.bool_]] = {}
        mean.add_whole(peer, own, weight)

    def sink(self, peer: str, weight: int) -> Callable[[int, memoryview], None]:
        """Takes the chunks of a peer's weights, in any order; what comes after the end is ignored.

        The sink raises :class:`~fedswarm.errors.NumericRangeError` for weights beyond the range of sums.
        """
        held = self._held.setdefault(peer, np.zeros(self._mean.chunks, dtype=np.bool_))

        def take(index: int, payload: memoryview) -> None:
            if self._is_open:
                self._mean.add(peer, index, np.frombuffer(payload, dtype="<f4"), weight)
                held[index] = True

        return take

    def missing(self, peer: str) -> list[int] | None:
        """The chunks of a peer that are not there yet; ``None`` for all of them."""
        held = self._held.get(peer)
        return None if held is None or not held.any() else np.flatnonzero(~held).tolist()

    def close(self) -> None:
        """The exchange is over: nothing is added any more."""
        self._is_open = False

    def arrivals(self, others: Iterable[str], total_weight: int) -> Arrivals:
        """What is there of these other peers' weights and one's own, which weigh ``total_weight`` together."""
        others = tuple(others)
        there = [int(self._held[peer].sum()) if peer in self._held else 0 for peer in others]
        chunks = self._mean.chunks
        return Arrivals(
            complete=sum(count == chunks for count in there),
            partial=sum(0 < count < chunks for count in there),
            missing=there.count(0),
            chunk_share=(sum(there) + chunks) / (chunks * (len(others) + 1)),
            weight_share=self._mean.coverage.share(self._at_least_arrived(total_weight)),
        )

    def result(self, rule: CompletionRule, total_weight: int) -> Vector:
        """The mean by a rule, with ``total_weight`` expected; float32 ``(P,)``."""
        return self._mean.result(rule, self._at_least_arrived(total_weight))

    def _at_least_arrived(self, total_weight: int) -> int:
        """A peer may have claimed less later than when it sent its weights."""
        return max(total_weight, int(self._mean.coverage.arrived_samples.max()))
