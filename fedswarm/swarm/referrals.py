"""What a peer makes of several trackers: whom any of them names is to be linked with, until none does any more.

Trackers need not agree, and one that comes back after a loss knows few at first. So what a tracker does not say means
nothing; only that it says of a peer that it left counts, and only if no other tracker names that peer.

Whom the topology does *not* link with this peer is known when every tracker that can be heard says that it knows the
whole job. Trackers that are lost do not count then, nor does what they named: should another peer still hear one of
them, it holds on to its links by itself (:mod:`~fedswarm.swarm.parting`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fedswarm.swarm.events import Arranged, Departed, Introduced
from fedswarm.swarm.messages import Address

MAX_NAMED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Word:
    """What a tracker says: whom to dial, whom to link with no longer, by whom to be dialled; whether it knows all."""

    joined: tuple[Address, ...] = ()
    left: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    whole: bool = False


@dataclass(slots=True)
class _Tracker:
    """Whom a tracker names, whether it can be heard, and whether it knows the whole job."""

    named: set[str] = field(default_factory=set)
    heard: bool = True
    whole: bool = False


class Referrals:
    """Whom each tracker names to the peer ``me``; no tracker names more than :data:`MAX_NAMED`."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._trackers: dict[str, _Tracker] = {}
        self._arranged: frozenset[str] | None = None

    def begin(self, tracker: str) -> None:
        """A tracker begins anew: what it said before is forgotten, without anybody having left."""
        self._trackers[tracker] = _Tracker()

    def hear(self, tracker: str, word: Word) -> list[Introduced | Departed | Arranged]:
        """What the state machine is to hear of a tracker's news."""
        known = self._trackers.setdefault(tracker, _Tracker())
        known.whole = word.whole
        lost = [peer for peer in word.left if peer in known.named]
        known.named.difference_update(lost)
        events: list[Introduced | Departed | Arranged] = [Departed(peer) for peer in lost if not self._is_named(peer)]
        for peer in word.expected:
            self._name(known, peer)
        fresh = tuple(address for address in word.joined if self._name(known, address.peer))
        events += self._arrange()
        if fresh:
            events.append(Introduced(fresh))
        return events

    def lose(self, tracker: str) -> list[Introduced | Departed | Arranged]:
        """A tracker cannot be heard any more."""
        if tracker in self._trackers:
            self._trackers[tracker].heard = False
        return self._arrange()

    def _name(self, tracker: _Tracker, peer: str) -> bool:
        """Notes that a tracker names a peer; false for ourselves, and if it names too many."""
        if peer == self._me or (len(tracker.named) >= MAX_NAMED and peer not in tracker.named):
            return False
        tracker.named.add(peer)
        return True

    def _is_named(self, peer: str) -> bool:
        return any(peer in tracker.named for tracker in self._trackers.values())

    def _arrange(self) -> list[Introduced | Departed | Arranged]:
        """Whom the topology links us with, if that changed."""
        heard = [tracker for tracker in self._trackers.values() if tracker.heard]
        known = bool(heard) and all(tracker.whole for tracker in heard)
        arranged = frozenset[str]().union(*(tracker.named for tracker in heard)) if known else None
        changed, self._arranged = arranged != self._arranged, arranged
        return [Arranged(arranged)] if changed else []
