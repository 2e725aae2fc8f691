"""Who is introduced to whom: a tracker that knows all peers, gives each some neighbours, and can die.

Real trackers keep leases that peers renew. Here nobody renews; a peer that stops is missed when its lease would end.
"""

from __future__ import annotations

from typing import Protocol

from fedswarm.swarm.events import Arranged, Departed, Introduced
from fedswarm.swarm.messages import Address
from fedswarm.swarm.simulator.draws import Draws
from fedswarm.swarm.simulator.host import Host
from fedswarm.swarm.simulator.timeline import Timeline


class Overlay(Protocol):
    """Who should be linked with whom, as peers come and go."""

    def join(self, peer: str) -> list[str]:
        """Takes a newcomer in; returns those it is introduced to."""
        ...

    def leave(self, peer: str) -> list[tuple[str, str]]:
        """Takes a peer out; returns the pairs that are introduced to close the gap."""
        ...

    def neighbours(self, peer: str) -> frozenset[str] | None:
        """All whom it links a peer with; ``None`` if no link is ever one too many."""
        ...


class Everyone:
    """All are linked with all."""

    def __init__(self) -> None:
        self._peers: dict[str, None] = {}

    def join(self, peer: str) -> list[str]:
        """Everybody who is there."""
        others = [other for other in self._peers if other != peer]
        self._peers[peer] = None
        return others

    def leave(self, peer: str) -> list[tuple[str, str]]:
        """Leaves no gap."""
        self._peers.pop(peer, None)
        return []

    def neighbours(self, peer: str) -> frozenset[str] | None:
        """No link is one too many."""
        return None


class RandomRegular:
    """A random regular graph: the union of ``degree / 2`` random rings, which stays one as peers come and go.

    Law and Siu, "Distributed Construction of Random Expander Networks", INFOCOM 2003: a newcomer is put into each ring
    at a random place, and a gap is closed by joining its two sides. Connected always, and an expander almost surely.
    """

    def __init__(self, degree: int, seed: int) -> None:
        if degree < 2 or degree % 2:
            raise ValueError(f"degree {degree} cannot be made of rings: give an even number from 2 on")
        self._rings = [_Ring(Draws(seed, f"ring {number}")) for number in range(degree // 2)]

    def join(self, peer: str) -> list[str]:
        """Both neighbours in each ring."""
        found = dict.fromkeys(neighbour for ring in self._rings for neighbour in ring.insert(peer))
        return [neighbour for neighbour in found if neighbour != peer]

    def leave(self, peer: str) -> list[tuple[str, str]]:
        """The two sides of each gap."""
        gaps = dict.fromkeys(ring.remove(peer) for ring in self._rings)
        return [gap for gap in gaps if gap is not None and gap[0] != gap[1]]

    def neighbours(self, peer: str) -> frozenset[str] | None:
        """Both neighbours in each ring."""
        return frozenset(neighbour for ring in self._rings for neighbour in ring.beside(peer)) - {peer}


class _Ring:
    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._after: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self._peers: list[str] = []
        self._place: dict[str, int] = {}

    def insert(self, peer: str) -> list[str]:
        if peer in self._after:
            return self.beside(peer)
        before = self._peers[self._draws.below(len(self._peers))] if self._peers else peer
        after = self._after.get(before, peer)
        self._after[before] = self._before[after] = peer
        self._after[peer], self._before[peer] = after, before
        self._place[peer] = len(self._peers)
        self._peers.append(peer)
        return [before, after]

    def beside(self, peer: str) -> list[str]:
        return [self._before[peer], self._after[peer]]

    def remove(self, peer: str) -> tuple[str, str] | None:
        if peer not in self._after:
            return None
        before, after = self._before.pop(peer), self._after.pop(peer)
        last = self._peers.pop()
        place = self._place.pop(peer)
        if last != peer:
            self._peers[place], self._place[last] = last, place
        if before == peer:
            return None
        self._after[before], self._before[after] = after, before
        return before, after


class Tracker:
    """Introduces hosts along an overlay, ``delay_s`` after they come; tells of those who are missed for ``lease_s``."""

    def __init__(self, timeline: Timeline, overlay: Overlay, *, lease_s: float = 10.0, delay_s: float = 0.02) -> None:
        self._timeline = timeline
        self._overlay = overlay
        self._lease_s = lease_s
        self._delay_s = delay_s
        self._present: dict[str, Host] = {}
        self._introduced: dict[str, dict[str, None]] = {}
        self._arranged: dict[str, frozenset[str]] = {}
        self.alive = True

    def announce(self, host: Host) -> None:
        """A host says that it is here."""
        self._timeline.after(self._delay_s, self._introduce, host)

    def depart(self, host: Host) -> None:
        """A host says goodbye."""
        self._timeline.after(self._delay_s, self._miss, host)

    def lose(self, host: Host) -> None:
        """A host stops saying that it is here."""
        self._timeline.after(self._lease_s, self._miss, host)

    def die(self) -> None:
        """Says nothing any more, as all peers notice at once."""
        self.alive = False
        for name in self._arranged:
            self._present[name].tell(Arranged(None))

    def _introduce(self, host: Host) -> None:
        if not (self.alive and host.alive):
            return
        self._present[host.name] = host
        self._arranged.pop(host.name, None)  # it may be another one of that name
        found = self._overlay.join(host.name)
        self._arrange(host.name, *found)
        self._name(host, *(self._present[name] for name in found))

    def _miss(self, host: Host) -> None:
        if not self.alive or self._present.get(host.name) is not host or host.running:
            return
        del self._present[host.name]
        self._arranged.pop(host.name, None)
        acquainted = [name for name in self._introduced.pop(host.name, {}) if name in self._present]
        for name in acquainted:
            self._present[name].tell(Departed(host.name))
        gaps = self._overlay.leave(host.name)
        self._arrange(*acquainted)
        for one, other in gaps:
            self._name(self._present[one], self._present[other])

    def _arrange(self, *names: str) -> None:
        """Tells hosts whom the overlay links them with now, if it is others than before."""
        for name in names:
            neighbours = self._overlay.neighbours(name)
            if neighbours is not None and neighbours != self._arranged.get(name):
                self._arranged[name] = neighbours
                self._present[name].tell(Arranged(neighbours))

    def _name(self, host: Host, *others: Host) -> None:
        for other in others:
            self._introduced.setdefault(host.name, {})[other.name] = None
            self._introduced.setdefault(other.name, {})[host.name] = None
        addresses: tuple[Address, ...] = tuple(other.address for other in others)
        if addresses:
            host.tell(Introduced(addresses))
