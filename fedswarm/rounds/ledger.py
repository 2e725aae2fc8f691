"""The ledger of leases: which piece of work is waiting, out with whom, or done.

A *piece* is a cohort to train or a set of test blocks; a *lease* is one issue of a piece to one executor. A piece goes
out again under a new lease when its executor is lost or fails it (the old lease is *void*: nothing of it counts any
more), or when it takes too long (the old lease is *overdue*: whoever reports first wins). So work is never lost, never
counted twice, and a slow executor is never worked for in vain. No clock and no sockets: instants come in as arguments.
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
    """Pieces of one kind in one round; pieces are distinct and hashable."""

    def __init__(self, pieces: Iterable[Piece], lease_ids: Iterator[int] | None = None) -> None:
        self._waiting: deque[Piece] = deque(pieces)
        self._issued: dict[int, Lease[Piece]] = {}
        self._overdue: dict[int, Lease[Piece]] = {}
        self._done: dict[int, Lease[Piece]] = {}
        self._tried: dict[Piece, str] = {}  # who had the piece last and did not deliver
        self._heard_s: dict[str, float] = {}
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
        gets more only when it has at most one lease in hand, which keeps it busy while its report travels. A piece that
        came back from an executor goes to another one, if there is one.
        """
        if mine is not None:
            pieces = [piece for piece in self._waiting if mine(piece)]
        else:
            pieces = self._fair_share(executor, executors)
        for piece in pieces:
            self._waiting.remove(piece)
        leases = [Lease(next(self._ids), executor, piece, now_s) for piece in pieces]
        self._issued.update((lease.lease_id, lease) for lease in leases)
        return leases

    def _fair_share(self, executor: str, executors: int) -> list[Piece]:
        if len(self.held_by(executor)) > 1:
            return []
        eligible = [piece for piece in self._waiting if executors == 1 or self._tried.get(piece) != executor]
        count = max(1, math.ceil(len(eligible) / (2 * max(1, executors))))
        return eligible[:count]

    def complete(self, lease_id: int, executor: str, now_s: float) -> Lease[Piece] | None:
        """Marks a lease done; None when its report must be ignored: void, done already, or somebody else's."""
        lease = self._issued.get(lease_id) or self._overdue.get(lease_id)
        if lease is None or lease.executor != executor:
            return None
        self._heard_s[executor] = now_s
        if self._issued.pop(lease_id, None) is None:
            del self._overdue[lease_id]
            if not self._withdraw_piece(lease.piece):
                return None  # another executor was faster
        self._done[lease_id] = lease
        return lease

    def _withdraw_piece(self, piece: Piece) -> bool:
        """Takes a piece out of the queue, or from whoever works on it now; False when it is done."""
        if piece in self._waiting:
            self._waiting.remove(piece)
            return True
        for lease in self._issued.values():
            if lease.piece == piece:
                del self._issued[lease.lease_id]
                return True
        return False

    def belongs(self, lease_id: int, executor: str) -> bool:
        """Whether a lease, out or done, is this executor's."""
        lease = self._issued.get(lease_id) or self._overdue.get(lease_id) or self._done.get(lease_id)
        return lease is not None and lease.executor == executor

    def void(self, lease_id: int) -> bool:
        """Puts an issued or done piece back into the queue, and nothing of this lease counts any more.

        False when there is no such lease.
        """
        overdue = self._overdue.pop(lease_id, None)
        lease = self.drop(lease_id)
        if lease is not None:
            self._tried[lease.piece] = lease.executor
            self._waiting.appendleft(lease.piece)
        return lease is not None or overdue is not None

    def drop(self, lease_id: int) -> Lease[Piece] | None:
        """Gives a lease up for good: its piece is not issued again."""
        return self._issued.pop(lease_id, None) or self._done.pop(lease_id, None)

    def held_by(self, executor: str) -> list[Lease[Piece]]:
        """Leases that are out with an executor, those that count."""
        return [lease for lease in self._issued.values() if lease.executor == executor]

    def forget(self, executor: str) -> None:
        """An executor is gone: it will not report its overdue leases any more."""
        self._overdue = {key: lease for key, lease in self._overdue.items() if lease.executor != executor}

    def expire(self, now_s: float, timeout_s: float) -> list[Lease[Piece]]:
        """Puts back the pieces of executors that have not reported for ``timeout_s`` seconds though they hold leases.

        An executor works one lease after the other, so the time counts from its last report or its oldest lease.
        """
        oldest: dict[str, Lease[Piece]] = {}
        for lease in self._issued.values():
            oldest.setdefault(lease.executor, lease)
        slow = {
            executor
            for executor, lease in oldest.items()
            if now_s - max(lease.issued_s, self._heard_s.get(executor, lease.issued_s)) > timeout_s
        }
        late = [lease for lease in self._issued.values() if lease.executor in slow]
        for lease in late:
            self._overdue[lease.lease_id] = self._issued.pop(lease.lease_id)
            self._tried[lease.piece] = lease.executor
            self._waiting.append(lease.piece)
        return late
