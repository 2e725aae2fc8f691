"""What peers tell of each round, and when nobody who lives has still to tell of it. No clock decides that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LEEWAY_ROUNDS: Final = 3
"""A living peer that hangs is no longer waited for when more than half of the living are this many rounds further."""


class Gathering(Generic[T]):
    """Collects what peers tell, one ``T`` a peer and round (from 0).

    A round is complete when every living peer has told of it or of a later one: who fell behind goes on with the
    others' round and never tells of those between. Each round comes out once; who tells of it later is not in it.
    """

    def __init__(self, living: Iterable[str]) -> None:
        self._passed = dict.fromkeys(living, -1)  # the last round each is done with
        self._told: dict[int, dict[str, T]] = {}
        self.closed = -1
        """The last round that came out."""

    def tell(self, index: int, peer: str, told: T) -> None:
        """What a peer tells of a round; a stranger's counts, too, but strangers are not waited for."""
        if index > self.closed:
            self._told.setdefault(index, {})[peer] = told
        self.pass_by(index, peer)

    def pass_by(self, index: int, peer: str) -> None:
        """The peer will tell of this round and of those before no more than it has."""
        if peer in self._passed:
            self._passed[peer] = max(self._passed[peer], index)

    def leave(self, peer: str) -> None:
        """The peer is gone; what it told stays."""
        self._passed.pop(peer, None)

    def take_complete(self, last: int | None = None) -> list[tuple[int, Mapping[str, T]]]:
        """The rounds that have become complete, ascending, none after ``last``, with what was told by peer."""
        complete = [
            index for index in sorted(self._told) if self._is_complete(index) and (last is None or index <= last)
        ]
        self.closed = max([self.closed, *complete])
        return [(index, self._told.pop(index)) for index in complete]

    def _is_complete(self, index: int) -> bool:
        if not self._passed:
            return True
        rounds = sorted(self._passed.values(), reverse=True)
        return index <= max(rounds[-1], rounds[len(rounds) // 2] - LEEWAY_ROUNDS)
