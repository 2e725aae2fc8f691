"""What a peer makes of several trackers: whom any of them names is to be linked with, until none does any more.

Trackers need not agree, and one that comes back after a loss knows few at first. So what a tracker does not say means
nothing; only that it says of a peer that it left counts, and only if no other tracker names that peer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fedswarm.swarm.events import Departed, Introduced
from fedswarm.swarm.messages import Address

MAX_NAMED: Final = 20_000


class Referrals:
    """Whom each tracker names to the peer ``me``; no tracker names more than :data:`MAX_NAMED`."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._named: dict[str, dict[str, str]] = {}

    def begin(self, tracker: str) -> None:
        """A tracker begins anew: what it said before is forgotten, without anybody having left."""
        self._named[tracker] = {}

    def hear(self, tracker: str, joined: Iterable[Address], left: Iterable[str]) -> list[Introduced | Departed]:
        """What the state machine is to hear of a tracker's news."""
        named = self._named.setdefault(tracker, {})
        departed = [peer for peer in left if named.pop(peer, None) is not None and not self._is_named(peer)]
        fresh = []
        for address in joined:
            if address.peer == self._me or (len(named) >= MAX_NAMED and address.peer not in named):
                continue
            named[address.peer] = address.target
            fresh.append(address)
        events: list[Introduced | Departed] = [Departed(peer) for peer in departed]
        if fresh:
            events.append(Introduced(tuple(fresh)))
        return events

    def _is_named(self, peer: str) -> bool:
        return any(peer in named for named in self._named.values())
