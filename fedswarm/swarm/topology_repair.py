"""Small changes to a graph that keep it connected and its degrees near what they were.

Both ways in and out come down to one step. A peer that should have one more neighbour has a *stub*. Two stubs of
different peers become an edge. Where that is not possible, since they are linked already or are of the same peer, a
random edge is split in two, and its ends take one stub each. A newcomer to a ``k``-regular graph has ``k`` stubs and
so splits ``k / 2`` random edges; a leaver leaves each of its neighbours with one. Whatever is in pieces afterwards is
bridged. Repeated, such steps keep a random regular graph a random regular graph (C. Law and K.-Y. Siu, *Distributed
construction of random expander networks*, INFOCOM 2003, do the same with Hamiltonian cycles).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fedswarm.swarm.topology import Topology, check_leaver, check_newcomer, connected_parts


class Repair:
    """A topology being changed; it may be in pieces until :meth:`done`."""

    def __init__(self, topology: Topology) -> None:
        self._neighbours = {name: set(others) for name, others in topology.adjacency.items()}

    @classmethod
    def with_newcomer(cls, topology: Topology, name: str) -> Repair:
        """The topology with ``name`` in it, not yet linked; raises :class:`TopologyError` when it is there already."""
        check_newcomer(topology, name)
        repair = cls(topology)
        repair._neighbours[name] = set()
        return repair

    @classmethod
    def without(cls, topology: Topology, name: str) -> Repair:
        """The topology without ``name`` and its edges; raises :class:`TopologyError` when it cannot leave."""
        check_leaver(topology, name)
        repair = cls(topology)
        for other in repair._neighbours.pop(name):
            repair._neighbours[other].remove(name)
        return repair

    @property
    def names(self) -> tuple[str, ...]:
        """Peers in order; a newcomer is the last."""
        return tuple(self._neighbours)

    def degree(self, name: str) -> int:
        """How many neighbours ``name`` has now."""
        return len(self._neighbours[name])

    def connect(self, one: str, other: str) -> None:
        """Adds an edge; no harm if it is there."""
        self._neighbours[one].add(other)
        self._neighbours[other].add(one)

    def mend(self, stubs: Iterable[str], draws: np.random.Generator) -> None:
        """Gives each peer one more neighbour for each time that ``stubs`` names it, where that is possible."""
        listed = list(stubs)
        waiting = [listed[i] for i in draws.permutation(len(listed))]
        while len(waiting) > 1:
            one = waiting.pop()
            direct = next((i for i, other in enumerate(waiting) if self._may_connect(one, other)), None)
            other = waiting.pop(direct or 0)
            if direct is None:
                self._split_edge(one, other, draws)
            else:
                self.connect(one, other)

    def done(self) -> Topology:
        """The topology, its pieces bridged by an edge between those peers of each that have the fewest neighbours."""
        first, *rest = connected_parts(self._neighbours)
        for part in rest:
            self.connect(min(first, key=self._fewest), min(part, key=self._fewest))
            first |= part
        edges = ((name, other) for name, others in self._neighbours.items() for other in others if name < other)
        return Topology(self.names, frozenset(edges))

    def _fewest(self, name: str) -> tuple[int, str]:
        return self.degree(name), name

    def _may_connect(self, one: str, other: str) -> bool:
        return one != other and other not in self._neighbours[one]

    def _split_edge(self, one: str, other: str, draws: np.random.Generator) -> None:
        """Replaces a random edge (a, b) by (one, a) and (other, b); nothing changes when no edge is free for that."""
        names = self.names
        for i in draws.permutation(len(names)):
            a = names[i]
            if not self._may_connect(one, a):
                continue
            for b in sorted(self._neighbours[a]):
                if self._may_connect(other, b):
                    self._neighbours[a].remove(b)
                    self._neighbours[b].remove(a)
                    self.connect(one, a)
                    self.connect(other, b)
                    return
