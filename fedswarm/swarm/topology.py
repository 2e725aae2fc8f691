"""Who exchanges with whom: an undirected, connected graph of peers, and what makes and maintains one.

A :class:`Family` is a form (ring, tree, random regular graph, ...). It builds a topology for peers known at the start
and keeps the form, as well as it can, when a peer joins or leaves, changing few edges: links that stay keep what is in
flight. :mod:`fedswarm.swarm.topologies` lists the families.

A topology in pieces cannot be made: the constructor refuses it. FLTorrent's random meshes could be, and a piece then
waits for chunks that never come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from fedswarm.errors import TopologyError

Edge = tuple[str, str]


@dataclass(frozen=True)
class Topology:
    """Peers and their links. ``names`` are in the order that the family gives a meaning; of an edge, the lesser first.

    Raises :class:`TopologyError` for no peers, a name twice, an edge to a stranger or to itself, and for a graph that
    is not connected. Building one costs time in proportion to its edges.
    """

    names: tuple[str, ...]
    edges: frozenset[Edge]

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise TopologyError(fault)

    @classmethod
    def of(cls, names: Iterable[str], pairs: Iterable[Edge]) -> Topology:
        """A topology of pairs in either direction, each perhaps more than once."""
        return cls(tuple(names), frozenset((a, b) if a < b else (b, a) for a, b in pairs))

    def neighbours(self, name: str) -> tuple[str, ...]:
        """The peers linked to ``name``, in alphabetical order; raises :class:`TopologyError` for a stranger."""
        if name not in self.adjacency:
            raise TopologyError(f"no peer {name!r} among these {len(self.names)}")
        return self.adjacency[name]

    @cached_property
    def adjacency(self) -> Mapping[str, tuple[str, ...]]:
        """Every peer's neighbours, in alphabetical order."""
        found: dict[str, list[str]] = {name: [] for name in self.names}
        for a, b in self.edges:
            found[a].append(b)
            found[b].append(a)
        return {name: tuple(sorted(others)) for name, others in found.items()}

    def _faults(self) -> Iterable[str]:
        known = set(self.names)
        if not self.names:
            yield "a topology needs at least one peer"
        if len(known) != len(self.names):
            twice = next(name for index, name in enumerate(self.names) if name in self.names[:index])
            yield f"peer {twice!r} is there twice: names must differ"
        for a, b in self.edges:
            if a not in known or b not in known:
                yield f"an edge links {a!r} and {b!r}, of which one is no peer: name it, or drop the edge"
            if not a < b:
                yield f"an edge links {a!r} and {b!r}: give two different peers, the lesser first"
        parts = connected_parts(self.adjacency)
        if len(parts) > 1:
            yield (
                f"the topology falls into {len(parts)} pieces; {min(parts[0])!r} cannot reach {min(parts[1])!r}: "
                "add an edge between them"
            )


class Family(Protocol):
    """A form of topology. Pure functions: equal arguments give equal topologies, on any machine."""

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """The topology of these peers; raises :class:`TopologyError` when the form does not fit their number."""
        ...

    def join(self, topology: Topology, name: str, seed: int) -> Topology:
        """The topology with one peer more; raises :class:`TopologyError` when it is there already."""
        ...

    def leave(self, topology: Topology, name: str, seed: int) -> Topology:
        """The topology without that peer; raises :class:`TopologyError` for a stranger and for the last peer."""
        ...


def default_degree(peers: int) -> int:
    """How many neighbours suffice for swarming: ``max(4, ceil(log2 peers) + 1)``.

    A random regular graph of such a degree is connected, with a diameter near ``log peers / log degree``. Uber's Kraken
    links its peers like this, and FedLay (Hua et al. 2024, arXiv:2409.05331) argues for it in decentralised learning.
    """
    return max(4, math.ceil(math.log2(peers)) + 1)


def check_newcomer(topology: Topology, name: str) -> None:
    """Raises :class:`TopologyError` when ``name`` is there already."""
    if name in topology.adjacency:
        raise TopologyError(f"peer {name!r} is there already: a newcomer needs a name of its own")


def check_leaver(topology: Topology, name: str) -> None:
    """Raises :class:`TopologyError` when ``name`` is not there, or nobody else is."""
    topology.neighbours(name)
    if len(topology.names) == 1:
        raise TopologyError(f"{name!r} is the last peer: a topology needs at least one")


def connected_parts(adjacency: Mapping[str, AbstractSet[str] | Sequence[str]]) -> list[set[str]]:
    """The pieces that a graph falls into, each as the names in it, in the order of their first names."""
    parts: list[set[str]] = []
    seen: set[str] = set()
    for start in adjacency:
        if start in seen:
            continue
        part, frontier = {start}, [start]
        while frontier:
            reached = [other for other in adjacency[frontier.pop()] if other not in part]
            part.update(reached)
            frontier += reached
        seen |= part
        parts.append(part)
    return parts
