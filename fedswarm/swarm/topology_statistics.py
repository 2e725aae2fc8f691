"""What a topology means for exchange: how far, how many, how fast news becomes common.

Distances are exact. So is the spectral gap up to 1,024 peers; beyond, it may be overestimated where it is tiny (lines,
rings). A random regular graph of 1,000 peers takes about a second of CPU time, one of 10,000 twelve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.randomness import generator
from fedswarm.swarm.topology import Topology

_SOURCES_AT_A_TIME: Final = 1024
LARGEST_DENSE: Final = 1024
_KRYLOV_DIMENSIONS: Final = 200
_EXHAUSTED: Final = 1e-9


@dataclass(frozen=True)
class TopologyStatistics:
    """Figures of one topology.

    ``diameter`` is the largest number of hops between two peers. ``spectral_gap`` is that of the Metropolis-Hastings
    mixing matrix: when everybody averages with their neighbours, disagreement shrinks by at least this share a step
    (0 to 1; :func:`fedswarm.swarm.bounds.gossip_steps`).
    """

    peers: int
    edges: int
    diameter: int
    mean_degree: float
    min_degree: int
    max_degree: int
    spectral_gap: float


def statistics_of(topology: Topology) -> TopologyStatistics:
    """Computes them all."""
    graph = _Graph.of(topology)
    return TopologyStatistics(
        peers=len(topology.names),
        edges=len(topology.edges),
        diameter=_diameter(graph),
        mean_degree=float(graph.degrees.mean()),
        min_degree=int(graph.degrees.min()),
        max_degree=int(graph.degrees.max()),
        spectral_gap=_spectral_gap(graph),
    )


@dataclass(frozen=True)
class _Graph:
    """Neighbours in compressed rows: those of position ``i`` are ``targets[offsets[i] : offsets[i + 1]]``."""

    offsets: NDArray[np.intp]
    targets: NDArray[np.intp]

    @classmethod
    def of(cls, topology: Topology) -> _Graph:
        position = {name: i for i, name in enumerate(topology.names)}
        rows = [[position[other] for other in topology.adjacency[name]] for name in topology.names]
        offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
        return cls(offsets.astype(np.intp), np.array([i for row in rows for i in row], dtype=np.intp))

    @property
    def peers(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def degrees(self) -> NDArray[np.intp]:
        return np.diff(self.offsets)

    @cached_property
    def sources(self) -> NDArray[np.intp]:
        return np.repeat(np.arange(self.peers), self.degrees)

    @cached_property
    def mixing_weights(self) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.maximum(self.degrees[self.sources], self.degrees[self.targets])))


def _diameter(graph: _Graph) -> int:
    """Breadth-first search from many peers at once: one bit a source, one `or` over neighbours a hop."""
    if graph.peers == 1:
        return 0
    return max(_eccentricity(graph, first) for first in range(0, graph.peers, _SOURCES_AT_A_TIME))


def _eccentricity(graph: _Graph, first: int) -> int:
    """The most hops between any peer and one of the sources ``first``, ``first + 1``, ..."""
    sources = min(_SOURCES_AT_A_TIME, graph.peers - first)
    reached = np.zeros((graph.peers, sources), dtype=np.bool_)
    reached[np.arange(first, first + sources), np.arange(sources)] = True
    bits = np.packbits(reached, axis=1)
    everyone = np.packbits(np.ones(sources, dtype=np.bool_))
    hops = 0
    while not np.array_equal(bits, np.broadcast_to(everyone, bits.shape)):
        bits |= np.bitwise_or.reduceat(bits[graph.targets], graph.offsets[:-1], axis=0)
        hops += 1
    return hops


def _spectral_gap(graph: _Graph) -> float:
    """``1 - max(|lambda_2|, |lambda_N|)`` of ``W_ij = 1 / (1 + max(d_i, d_j))`` on edges, rows summing to one.

    L. Xiao, S. Boyd and S.-J. Kim, *Distributed average consensus with least-mean-square deviation*, JPDC 67 (2007),
    equation 8. The eigenvalue 1 of the all-ones vector is left out.
    """
    if graph.peers == 1:
        return 1.0
    if graph.peers <= LARGEST_DENSE:
        magnitudes = np.abs(np.linalg.eigvalsh(_mixing_matrix(graph)))
        return max(0.0, 1.0 - float(np.partition(magnitudes, -2)[-2]))
    return max(0.0, 1.0 - _largest_ritz_value(graph))


def _largest_ritz_value(graph: _Graph) -> float:
    """Magnitude of the largest eigenvalue that the Lanczos method finds orthogonal to the all-ones vector."""
    basis = np.empty((_KRYLOV_DIMENSIONS + 1, graph.peers))
    basis[0] = 1 / math.sqrt(graph.peers)
    vector = generator(0, 0, "topology/spectrum").standard_normal(graph.peers)
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(1, len(basis)):
        for _ in range(2):  # once leaves rounding errors, twice is enough (Kahan and Parlett)
            vector -= basis[:step].T @ (basis[:step] @ vector)
        norm = float(np.linalg.norm(vector))
        if norm < _EXHAUSTED:  # few distinct eigenvalues, as a star has, and all are found
            break
        if diagonal:
            beside.append(norm)
        basis[step] = vector / norm
        vector = _mixed(graph, basis[step])
        diagonal.append(float(basis[step] @ vector))
    tridiagonal = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    return float(np.abs(np.linalg.eigvalsh(tridiagonal)).max())


def _mixed(graph: _Graph, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """One step of averaging with neighbours: the mixing matrix times ``values`` ``(N,)``."""
    flows = graph.mixing_weights * (values[graph.targets] - values[graph.sources])
    mixed: NDArray[np.float64] = values + np.add.reduceat(flows, graph.offsets[:-1])
    return mixed


def _mixing_matrix(graph: _Graph) -> NDArray[np.float64]:
    matrix = np.zeros((graph.peers, graph.peers))
    matrix[graph.sources, graph.targets] = graph.mixing_weights
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    return matrix
