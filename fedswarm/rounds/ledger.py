"""The ledger of leases: which piece of work is waiting, out with whom, or done.

A *piece* is a cohort to train or a set of test blocks; a *lease* is one issue of a piece to one executor. A piece whose
executor dies, fails it or keeps it too long is issued again under a new lease; the first report wins and any later one
is ignored, so duplicates never count twice. No clock and no sockets: instants come in as arguments.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Lease(Generic[Piece]):
    """One issue of a piece of work."""

    lease_id: int
    executor: str
    piece: Piece
    issued_s: float


class LeaseLedger(Generic[Piece]):
    """Pieces of one kind in one round."""

    def __init__(self, pieces: Iterable[Piece], lease_ids: Iterator[int] | None = None) -> None:
        self._waiting: deque[Piece] = deque(pieces)
        self._issued: dict[int, Lease[Piece]] = {}
        self._done: dict[int, Lease[Piece]] = {}
        self._ids = itertools.count(1) if lease_ids is None else lease_ids

    @property
    def finished(self) -> bool:
        """Whether every piece is done."""
        return not self._waiting and not self._issued

    @property
    def done(self) -> tuple[Lease[Piece], ...]:
        """The leases that did the work, in no particular order."""
        return tuple(self._done.values())

    def issue(
        self, executor: str, executors: int, now_s: float, mine: Callable[[Piece], bool] | None = None
    ) -> list[Lease[Piece]]:
        """Leases for an executor that can take work; with ``mine``, of pieces that are its own, all at once.

        Guided self-scheduling (Polychronopoulos and Kuck, IEEE Trans. Computers C-36(12), 1987): each takes its fair
        share of *half* of what is left, so early messages are few and late pieces go to whoever is free. An executor
        gets more only when it has at most one lease in hand, which keeps it busy while its report travels.
        """
        if mine is not None:
            pieces = [piece for piece in self._waiting if mine(piece)]
            self._waiting = deque(piece for piece in self._waiting if not mine(piece))
        else:
            pieces = self._fair_share(executor, executors)
        leases = [Lease(next(self._ids), executor, piece, now_s) for piece in pieces]
        self._issued.update((lease.lease_id, lease) for lease in leases)
        return leases

    def _fair_share(self, executor: str, executors: int) -> list[Piece]:
        in_hand = sum(lease.executor == executor for lease in self._issued.values())
        if in_hand > 1 or not self._waiting:
            return []
        count = max(1, math.ceil(len(self._waiting) / (2 * max(1, executors))))
        return [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]

    def complete(self, lease_id: int) -> Lease[Piece] | None:
        """Marks a lease done; None when it was withdrawn or is done already, and its report must be ignored."""
        lease = self._issued.pop(lease_id, None)
        if lease is not None:
            self._done[lease_id] = lease
        return lease

    def withdraw(self, lease_id: int) -> bool:
        """Puts an issued or done piece back at the head of the queue; False when there is no such lease."""
        lease = self._issued.pop(lease_id, None) or self._done.pop(lease_id, None)
        if lease is None:
            return False
        self._waiting.appendleft(lease.piece)
        return True

    def held_by(self, executor: str) -> list[Lease[Piece]]:
        """Leases that are out with an executor."""
        return [lease for lease in self._issued.values() if lease.executor == executor]

    def drop(self, lease_id: int) -> Lease[Piece] | None:
        """Gives a lease up for good: its piece is not issued again."""
        return self._issued.pop(lease_id, None) or self._done.pop(lease_id, None)

    def overdue(self, now_s: float, timeout_s: float) -> list[Lease[Piece]]:
        """Leases issued longer ago than ``timeout_s``."""
        return [lease for lease in self._issued.values() if now_s - lease.issued_s > timeout_s]
