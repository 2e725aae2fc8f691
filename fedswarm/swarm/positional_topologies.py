"""Topologies in which a peer's position in the order of names says whom it is linked to.

Joining is taking the next position. Leaving either closes the gap (line, ring, star, complete: one or two edges change
besides the leaver's own) or another peer takes the place (tree, hypercube: its edges move as well). Nothing is drawn;
seeds are ignored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fedswarm.errors import TopologyError
from fedswarm.swarm.topology import Topology, check_leaver, check_newcomer

Positions = Iterator[tuple[int, int]]


class PositionalFamily(ABC):
    """What the families of this module share; each says which positions are linked and how a gap is closed."""

    @abstractmethod
    def pairs(self, peers: int) -> Positions:
        """The linked positions, each pair once, for ``peers`` peers at positions 0, 1, ..."""

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """Peers take positions in the order of ``names``."""
        return self._linked(names)

    def join(self, topology: Topology, name: str, seed: int) -> Topology:
        """The newcomer takes the last position."""
        check_newcomer(topology, name)
        return self._linked((*topology.names, name))

    def leave(self, topology: Topology, name: str, seed: int) -> Topology:
        """Closes the gap."""
        check_leaver(topology, name)
        names = list(topology.names)
        self.close_gap(names, names.index(name))
        return self._linked(names)

    def close_gap(self, names: list[str], gap: int) -> None:
        """Removes position ``gap``; here, all behind it move up."""
        del names[gap]

    def _linked(self, names: Sequence[str]) -> Topology:
        return Topology.of(names, ((names[i], names[j]) for i, j in self.pairs(len(names))))


@dataclass(frozen=True)
class Star(PositionalFamily):
    """Everyone is linked to the hub: ``hub`` or, when that is absent, the first peer. If it leaves, the next is hub."""

    hub: str | None = None

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """The hub comes first; raises :class:`TopologyError` when it is no peer."""
        if self.hub is None:
            return self._linked(names)
        if self.hub not in names:
            raise TopologyError(f"hub {self.hub!r} is no peer: choose one of the {len(names)} names, or leave it out")
        return self._linked((self.hub, *(name for name in names if name != self.hub)))

    def pairs(self, peers: int) -> Positions:
        """Each with position 0."""
        return ((0, position) for position in range(1, peers))


@dataclass(frozen=True)
class Line(PositionalFamily):
    """Each is linked to the one before and the one behind."""

    def pairs(self, peers: int) -> Positions:
        """Neighbouring positions."""
        return ((position - 1, position) for position in range(1, peers))


@dataclass(frozen=True)
class Ring(PositionalFamily):
    """A line whose ends are linked; up to two peers, a line."""

    def pairs(self, peers: int) -> Positions:
        """Neighbouring positions, and last with first."""
        yield from ((position - 1, position) for position in range(1, peers))
        if peers > 2:
            yield 0, peers - 1


@dataclass(frozen=True)
class Complete(PositionalFamily):
    """Everyone is linked to everyone: ``N (N - 1) / 2`` edges."""

    def pairs(self, peers: int) -> Positions:
        """All of them."""
        return ((i, j) for j in range(peers) for i in range(j))


@dataclass(frozen=True)
class Tree(PositionalFamily):
    """A complete tree in level order: the children of position ``i`` are ``arity i + 1`` to ``arity i + arity``.

    With ``uplinks_bps``, peers take positions by falling uplink at the start (unknown ones last), so that those who
    send to many have the fast links. A newcomer takes the first free slot. When an inner peer leaves, the first leaf,
    which is the fastest of a sorted tree, takes its place, and the last leaf takes that leaf's: at most
    ``2 arity + 5`` edges change and the depth stays the least possible. ``arity`` 4 is the tree of multi-tier
    aggregation. Raises :class:`TopologyError` for an arity below 1.
    """

    arity: int = 2
    uplinks_bps: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.arity < 1:
            raise TopologyError(f"a tree of arity {self.arity}: each peer needs at least 1 child")

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """Peers take positions by falling uplink, equal ones in the order of ``names``."""
        return self._linked(sorted(names, key=lambda name: -self.uplinks_bps.get(name, 0.0)))

    def pairs(self, peers: int) -> Positions:
        """Each with its parent."""
        return (((position - 1) // self.arity, position) for position in range(1, peers))

    def close_gap(self, names: list[str], gap: int) -> None:
        """The first leaf takes the place of an inner peer, the last peer that of a leaf."""
        first_leaf = (len(names) - 2) // self.arity + 1
        if gap < first_leaf:
            names[gap] = names[first_leaf]
            gap = first_leaf
        names[gap] = names[-1]
        del names[-1]


@dataclass(frozen=True)
class Hypercube(PositionalFamily):
    """Positions are linked when their binary numbers differ in one digit: ``log2 N`` neighbours and as many hops.

    Starts with a power of two of peers. Later the cube may be incomplete: H. P. Katseff, *Incomplete hypercubes*, IEEE
    Trans. Computers 37 (1988). It stays connected, since every position is linked to itself less its highest digit.
    The last peer takes the place of one that leaves.
    """

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """Raises :class:`TopologyError` unless the number of peers is a power of two."""
        peers = len(names)
        if peers & (peers - 1):
            below = 1 << (peers.bit_length() - 1)
            raise TopologyError(f"a hypercube of {peers} peers: take a power of two, such as {below} or {2 * below}")
        return self._linked(names)

    def pairs(self, peers: int) -> Positions:
        """Those one digit apart."""
        digits = range((peers - 1).bit_length())
        return ((i, i | 1 << digit) for i in range(peers) for digit in digits if i < i | 1 << digit < peers)

    def close_gap(self, names: list[str], gap: int) -> None:
        """The last peer takes the place."""
        names[gap] = names[-1]
        del names[-1]
