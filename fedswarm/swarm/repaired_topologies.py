"""Topologies that are drawn or given at the start and repaired locally when a peer joins or leaves.

networkx draws the random ones (and is imported only then: ``--help`` must not wait for it); draws are keyed by the
seed. Repairs are those of :mod:`fedswarm.swarm.topology_repair`, keyed by the seed and the peer's name.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fedswarm.errors import TopologyError
from fedswarm.randomness import generator
from fedswarm.swarm.positional_topologies import Complete, Ring
from fedswarm.swarm.topology import Topology, default_degree
from fedswarm.swarm.topology_repair import Repair

if TYPE_CHECKING:
    import networkx as nx

ATTEMPTS: Final = 100


class SplicedFamily(ABC):
    """Families whose peers have about equally many neighbours: newcomers split edges, a leaver's neighbours pair up."""

    @abstractmethod
    def usual_degree(self, peers: int) -> int:
        """Neighbours that a newcomer gets and a leaver's neighbours keep, if there are so many peers."""

    @property
    @abstractmethod
    def least_degree(self) -> int:
        """Neighbours below which a peer gets more at the next occasion."""

    def join(self, topology: Topology, name: str, seed: int) -> Topology:
        """The newcomer splits random edges."""
        repair = Repair.with_newcomer(topology, name)
        return self._mended(repair, {name}, _draws(seed, f"join/{name}", len(repair.names)))

    def leave(self, topology: Topology, name: str, seed: int) -> Topology:
        """The leaver's neighbours are linked to one another at random."""
        repair = Repair.without(topology, name)
        return self._mended(repair, topology.neighbours(name), _draws(seed, f"leave/{name}", len(repair.names)))

    def _mended(self, repair: Repair, touched: Collection[str], draws: np.random.Generator) -> Topology:
        peers = len(repair.names)
        usual = min(self.usual_degree(peers), peers - 1)
        least = min(self.least_degree, usual)
        lacking = {name: (usual if name in touched else least) - repair.degree(name) for name in repair.names}
        repair.mend((name for name, stubs in lacking.items() for _ in range(stubs)), draws)
        return repair.done()


@dataclass(frozen=True)
class KRegular(SplicedFamily):
    """A random graph in which everyone has ``degree`` neighbours; by default as many as swarming needs.

    After joins and leaves, degrees are ``degree``, one less for a peer if ``N degree`` is odd, and now and then one
    more. The default degree follows the number of peers: newcomers get the present one, others keep theirs.
    """

    degree: int | None = None

    def usual_degree(self, peers: int) -> int:
        """The degree, or the default one for so many peers."""
        return default_degree(peers) if self.degree is None else self.degree

    @property
    def least_degree(self) -> int:
        """The degree, or the least default."""
        return default_degree(1) if self.degree is None else self.degree

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """A random regular graph; raises :class:`TopologyError` when no connected one has this degree and size."""
        peers = _count(names)
        degree = self._exact_degree(peers)
        if degree == peers - 1:
            return Complete().build(names, seed)
        if degree == 2:  # connected, it can only be one cycle
            order = _draws(seed, "regular", peers).permutation(peers)
            return Ring().build([names[i] for i in order], seed)
        fault = f"no connected graph in {ATTEMPTS} draws of {degree} neighbours among {peers} peers: raise the degree"
        return _first_connected(names, lambda key: _regular_graph(degree, peers, key), seed, "regular", fault)

    def _exact_degree(self, peers: int) -> int:
        if self.degree is None:
            degree = min(default_degree(peers), peers - 1)
            return degree + peers * degree % 2
        if not 0 < self.degree < peers:
            raise TopologyError(
                f"{self.degree} neighbours for each of {peers} peers: choose a degree from 1 to {peers - 1}, or none"
            )
        if peers * self.degree % 2:
            raise TopologyError(
                f"{self.degree} neighbours for each of {peers} peers: one of the numbers must be even; "
                f"take degree {self.degree + 1}, or one peer more"
            )
        if self.degree == 1 and peers > 2:
            raise TopologyError(f"1 neighbour for each of {peers} peers: pairs are not connected; take at least 2")
        return self.degree


@dataclass(frozen=True)
class SmallWorld(SplicedFamily):
    """A ring of neighbourhoods with a few long links (D. J. Watts and S. H. Strogatz, Nature 393 (1998)).

    Everyone is linked to the ``degree`` nearest on a ring (an even number); each link is moved to a random peer with
    probability ``rewiring``. Newcomers split random edges, so that over time the rings fade.
    """

    degree: int = 4
    rewiring: float = 0.1

    def usual_degree(self, peers: int) -> int:
        """The mean degree."""
        return self.degree

    @property
    def least_degree(self) -> int:
        """What rewiring leaves everyone."""
        return self.degree // 2

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """Raises :class:`TopologyError` for an odd or too large degree, or a probability outside 0..1."""
        import networkx as nx

        peers = _count(names)
        if self.degree < 2 or self.degree % 2 or self.degree >= peers:
            raise TopologyError(
                f"a small world of degree {self.degree} among {peers} peers: take an even number from 2 to {peers - 1}"
            )
        _check_probability("rewiring", self.rewiring)
        fault = f"no connected graph in {ATTEMPTS} draws of {self}: raise the degree or lower rewiring"
        return _first_connected(
            names,
            lambda key: nx.watts_strogatz_graph(peers, self.degree, self.rewiring, seed=key),
            seed,
            "small_world",
            fault,
        )


@dataclass(frozen=True)
class Torus(SplicedFamily):
    """A grid of ``rows`` whose ends are linked; four neighbours each. By default as square as the number allows.

    Newcomers split random edges, so that with change it becomes a random 4-regular graph, which mixes faster.
    """

    rows: int | None = None

    def usual_degree(self, peers: int) -> int:
        """Four."""
        return 4

    @property
    def least_degree(self) -> int:
        """Four."""
        return 4

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """Peers fill the rows in order; raises :class:`TopologyError` unless both sides are at least 3."""
        import networkx as nx

        peers = _count(names)
        rows = self.rows or max(side for side in range(1, math.isqrt(peers) + 1) if peers % side == 0)
        if peers % rows or min(rows, peers // rows) < 3:
            side = max(3, math.isqrt(peers))
            raise TopologyError(
                f"a torus of {peers} peers in {rows} rows: rows and columns must be at least 3; "
                f"{side * side} or {side * (side + 1)} peers would fit"
            )
        return _named(names, nx.convert_node_labels_to_integers(nx.grid_2d_graph(rows, peers // rows, periodic=True)))


@dataclass(frozen=True)
class ErdosRenyi:
    """Each pair is linked with ``probability``, on condition that the graph is connected.

    P. Erdős and A. Rényi 1959, in E. N. Gilbert's form. Joining and leaving keep the law, but for an edge that bridges
    pieces.
    """

    probability: float

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """Draws until the graph is connected; raises :class:`TopologyError` when that is too unlikely."""
        import networkx as nx

        peers = _count(names)
        _check_probability("probability", self.probability)
        fault = (
            f"no connected graph in {ATTEMPTS} draws of {peers} peers linked with probability {self.probability}: "
            f"raise it above ln N / N = {math.log(peers) / peers:.3g}"
        )
        return _first_connected(
            names, lambda key: nx.gnp_random_graph(peers, self.probability, seed=key), seed, "erdos_renyi", fault
        )

    def join(self, topology: Topology, name: str, seed: int) -> Topology:
        """The newcomer is linked to each peer with the probability, to one at least."""
        repair = Repair.with_newcomer(topology, name)
        linked = _draws(seed, f"join/{name}", len(repair.names)).random(len(topology.names)) < self.probability
        for other, is_linked in zip(topology.names, linked, strict=True):
            if is_linked:
                repair.connect(name, other)
        return repair.done()

    def leave(self, topology: Topology, name: str, seed: int) -> Topology:
        """The others stay as they are; pieces are bridged."""
        return Repair.without(topology, name).done()


@dataclass(frozen=True)
class Custom:
    """The links that ``adjacency`` gives: for each peer, its neighbours.

    A peer that comes back gets its links again; one that is not listed is linked to the peer with the fewest
    neighbours. Pieces that a leaver leaves behind are bridged.
    """

    adjacency: Mapping[str, Collection[str]]

    def build(self, names: Sequence[str], seed: int) -> Topology:
        """Raises :class:`TopologyError` unless it lists just these peers, links from both ends, and is connected."""
        if set(names) != set(self.adjacency):
            unlisted, strangers = set(names) - set(self.adjacency), set(self.adjacency) - set(names)
            fault = f"{min(unlisted)!r} is not listed" if unlisted else f"{min(strangers)!r} is no peer"
            raise TopologyError(f"the custom topology does not fit its {len(names)} peers: {fault}")
        for name, others in self.adjacency.items():
            for other in others:
                if other not in self.adjacency:
                    raise TopologyError(f"the custom topology links {name!r} to {other!r}, which is no peer")
                if name not in self.adjacency[other]:
                    raise TopologyError(
                        f"the custom topology links {name!r} to {other!r} but not back: list both, or neither"
                    )
        return Topology.of(names, ((name, other) for name, others in self.adjacency.items() for other in others))

    def join(self, topology: Topology, name: str, seed: int) -> Topology:
        """The newcomer gets the links listed for it."""
        repair = Repair.with_newcomer(topology, name)
        for other in self.adjacency.get(name, ()):
            if other in topology.adjacency:
                repair.connect(name, other)
        return repair.done()

    def leave(self, topology: Topology, name: str, seed: int) -> Topology:
        """The others stay as they are; pieces are bridged."""
        return Repair.without(topology, name).done()


def _regular_graph(degree: int, peers: int, key: int) -> nx.Graph:
    """A random regular graph; a dense one as the complement of a sparse one, which is drawn far sooner."""
    import networkx as nx

    if 2 * degree < peers:
        return nx.random_regular_graph(degree, peers, seed=key)
    return nx.complement(nx.random_regular_graph(peers - 1 - degree, peers, seed=key))


def _first_connected(
    names: Sequence[str], draw: Callable[[int], nx.Graph], seed: int, purpose: str, fault: str
) -> Topology:
    """The first of :data:`ATTEMPTS` drawn graphs that is connected; raises :class:`TopologyError` with ``fault``."""
    import networkx as nx

    keys = _draws(seed, purpose, len(names)).integers(2**63, size=ATTEMPTS)
    graphs = (draw(int(key)) for key in keys)
    connected = next((graph for graph in graphs if nx.is_connected(graph)), None)
    if connected is None:
        raise TopologyError(fault)
    return _named(names, connected)


def _named(names: Sequence[str], graph: nx.Graph) -> Topology:
    """The topology of a graph whose nodes are positions in ``names``."""
    return Topology.of(names, ((names[i], names[j]) for i, j in graph.edges))


def _count(names: Sequence[str]) -> int:
    if not names:
        raise TopologyError("a topology needs at least one peer")
    return len(names)


def _draws(seed: int, purpose: str, peers: int) -> np.random.Generator:
    return generator(seed, 0, f"topology/{purpose}", peers)


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise TopologyError(f"{name} {value} is no probability: take a number from 0 to 1")
