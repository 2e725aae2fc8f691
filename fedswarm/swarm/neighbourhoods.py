"""Who is linked with whom in a job, as a tracker arranges it while peers come and go: each time few links change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from fedswarm.errors import TopologyError
from fedswarm.randomness import generator
from fedswarm.swarm.topology import Edge, Family, Topology

DEFAULT_WANTED: Final = 50
MAX_WANTED: Final = 200


@dataclass(frozen=True, slots=True)
class Change:
    """Links that came and went; of each the lesser name first."""

    added: frozenset[Edge] = frozenset()
    removed: frozenset[Edge] = frozenset()


class Neighbourhoods(Protocol):
    """The links of one job."""

    def join(self, peer: str, wanted: int) -> Change:
        """Links a peer that was not there; it wishes for ``wanted`` neighbours. Raises :class:`TopologyError`."""
        ...

    def leave(self, peer: str) -> Change:
        """Takes a peer and its links away, and repairs what that tears apart. Raises :class:`TopologyError`."""
        ...

    def settle(self) -> Change:
        """Links those who still wait for others to come."""
        ...

    def neighbours(self, peer: str) -> tuple[str, ...]:
        """Who is linked with a peer that is there, in alphabetical order."""
        ...

    def topology(self) -> Topology | None:
        """The graph as it is; ``None`` while nobody is linked."""
        ...


class ArrangedNeighbourhoods:
    """The links of a form of topology; a join or leave costs time in proportion to all links.

    Its founders are linked when all of them are there, in an order of names and not of arrival: so all trackers of a
    job arrange the same graph, before and after a loss. Whoever comes later joins what is there.
    """

    def __init__(self, family: Family, founders: int, seed: int) -> None:
        self._family = family
        self._founders = founders
        self._seed = seed
        self._waiting: set[str] = set()
        self._topology: Topology | None = None

    def join(self, peer: str, wanted: int) -> Change:
        """Links a newcomer as the form has it, or has it wait for the other founders; its wish has no say."""
        if self._topology is not None:
            return self._become(self._family.join(self._topology, peer, self._seed))
        present = self._waiting | {peer}
        if len(present) < self._founders:
            self._waiting = present
            return Change()
        return self._become(self._family.build(sorted(present, key=_by_number), self._seed))

    def leave(self, peer: str) -> Change:
        """Closes the gap as the form has it."""
        if self._topology is None:
            self._waiting.remove(peer)
            return Change()
        if self._topology.names == (peer,):
            self._topology = None
            return Change()
        return self._become(self._family.leave(self._topology, peer, self._seed))

    def settle(self) -> Change:
        """Waits for founders no longer: those who are there are linked, joining one by one if the form needs others."""
        names = sorted(self._waiting, key=_by_number)
        if not names:
            return Change()
        try:
            topology = self._family.build(names, self._seed)
        except TopologyError:
            topology = Topology((names[0],), frozenset())
            for name in names[1:]:
                topology = self._family.join(topology, name, self._seed)
        return self._become(topology)

    def neighbours(self, peer: str) -> tuple[str, ...]:
        """Who is linked with a peer."""
        return () if self._topology is None else self._topology.neighbours(peer)

    def topology(self) -> Topology | None:
        """The graph as it is."""
        return self._topology

    def _become(self, topology: Topology) -> Change:
        edges = frozenset[Edge]() if self._topology is None else self._topology.edges
        self._topology = topology
        self._waiting = set()
        return Change(topology.edges - edges, edges - topology.edges)


class OpenNeighbourhoods:
    """Everybody with everybody, or in a large swarm each newcomer with a random subset of as many as it wishes for.

    A peer that others left with fewer than half of what it wished for gets new ones, so the swarm stays a random graph
    of such degrees, which is connected but for an accident that peer exchange heals.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._links: dict[str, set[str]] = {}
        self._names: list[str] = []  # of the same peers, to draw from
        self._wanted: dict[str, int] = {}
        self._draws = 0

    def join(self, peer: str, wanted: int) -> Change:
        """Links a newcomer; a wish of 0 is one for :data:`DEFAULT_WANTED`, none is for more than :data:`MAX_WANTED`."""
        self._links[peer] = set()
        self._names.append(peer)
        self._wanted[peer] = min(wanted or DEFAULT_WANTED, MAX_WANTED)
        return Change(added=frozenset(self._link(peer, self._wanted[peer])))

    def leave(self, peer: str) -> Change:
        """Takes a peer away; its neighbours find new ones if they are short of some."""
        lost = self._links.pop(peer)
        self._names.remove(peer)
        del self._wanted[peer]
        for other in lost:
            self._links[other].remove(peer)
        added: set[Edge] = set()
        for other in sorted(lost):
            missing = self._wanted[other] - len(self._links[other])
            if missing > self._wanted[other] / 2:
                added.update(self._link(other, missing))
        return Change(frozenset(added), frozenset(_edge(peer, other) for other in lost))

    def settle(self) -> Change:
        """Nobody waits here."""
        return Change()

    def neighbours(self, peer: str) -> tuple[str, ...]:
        """Who is linked with a peer."""
        return tuple(sorted(self._links[peer]))

    def topology(self) -> Topology | None:
        """The graph as it is; raises :class:`TopologyError` should it have fallen apart."""
        if not self._links:
            return None
        return Topology.of(self._links, ((peer, other) for peer, others in self._links.items() for other in others))

    def _link(self, peer: str, number: int) -> Iterable[Edge]:
        """Links a peer with up to ``number`` more."""
        linked = self._links[peer]
        if len(self._links) - 1 - len(linked) <= number:
            chosen = [other for other in self._names if other != peer and other not in linked]
        else:
            chosen = self._strangers(peer, number)
        for other in chosen:
            linked.add(other)
            self._links[other].add(peer)
        return [_edge(peer, other) for other in chosen]

    def _strangers(self, peer: str, number: int) -> list[str]:
        """``number`` random peers that are not linked with this one; there are more than that."""
        known = {peer, *self._links[peer]}
        draw = generator(self._seed, self._draws, f"introductions of {peer}")
        self._draws += 1
        drawn = draw.choice(len(self._names), size=number + len(known), replace=False)
        strangers = (self._names[index] for index in drawn.tolist())
        return [other for other in strangers if other not in known][:number]


def _by_number(name: str) -> tuple[int, str]:
    """Names that are numbers come in the order of these."""
    return len(name), name


def _edge(one: str, other: str) -> Edge:
    return (one, other) if one < other else (other, one)
