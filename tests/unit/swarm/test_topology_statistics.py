from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.swarm.bounds import gossip_steps
from fedswarm.swarm.positional_topologies import Complete, Hypercube, Line, Ring, Star, Tree
from fedswarm.swarm.repaired_topologies import ErdosRenyi, KRegular, SmallWorld, Torus
from fedswarm.swarm.topology import Family, Topology
from fedswarm.swarm.topology_statistics import LARGEST_DENSE, statistics_of


def built(family: Family, peers: int, seed: int = 1) -> Topology:
    return family.build([f"p{i:04}" for i in range(peers)], seed)


def mixing_matrix(topology: Topology) -> np.ndarray:
    """By the definition, dense."""
    position = {name: i for i, name in enumerate(topology.names)}
    degree = {name: len(topology.neighbours(name)) for name in topology.names}
    matrix = np.zeros((len(position), len(position)))
    for a, b in topology.edges:
        weight = 1 / (1 + max(degree[a], degree[b]))
        matrix[position[a], position[b]] = matrix[position[b], position[a]] = weight
    return matrix + np.diag(1 - matrix.sum(axis=1))


def dense_gap(topology: Topology) -> float:
    return float(1 - np.sort(np.abs(np.linalg.eigvalsh(mixing_matrix(topology))))[-2])


@given(st.integers(2, 60), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_figures_of_random_graphs_agree_with_networkx_and_a_dense_solver(peers: int, seed: int) -> None:
    topology = built(ErdosRenyi(min(1.0, 4 * np.log(peers + 1) / peers)), peers, seed)
    graph = nx.Graph(list(topology.edges))
    found = statistics_of(topology)
    assert (found.peers, found.edges) == (peers, graph.number_of_edges())
    assert found.diameter == nx.diameter(graph)
    degrees = [degree for _, degree in graph.degree]
    assert (found.min_degree, found.max_degree) == (min(degrees), max(degrees))
    assert found.mean_degree == pytest.approx(np.mean(degrees))
    assert found.spectral_gap == pytest.approx(dense_gap(topology), abs=1e-9)


@pytest.mark.long  # dense eigenvalues of a thousand peers
@pytest.mark.parametrize("family", [KRegular(), SmallWorld(), Star(), Tree(4)], ids=str)
def test_beyond_a_thousand_peers_the_gap_still_agrees_with_a_dense_solver(family: Family) -> None:
    topology = built(family, LARGEST_DENSE + 1)
    assert statistics_of(topology).spectral_gap == pytest.approx(dense_gap(topology), rel=1e-3)


@pytest.mark.parametrize(
    ("family", "peers", "diameter"),
    [(Star(), 50, 2), (Line(), 50, 49), (Ring(), 50, 25), (Complete(), 50, 1), (Hypercube(), 64, 6), (Torus(), 49, 6),
     (Line(), 1030, 1029)],
    ids=str,
)  # fmt: skip
def test_diameters_known_in_closed_form(family: Family, peers: int, diameter: int) -> None:
    assert statistics_of(built(family, peers)).diameter == diameter


@pytest.mark.parametrize(("peers", "gap"), [(2, 1.0), (10, 1.0)])
def test_where_everyone_hears_everyone_one_step_is_enough(peers: int, gap: float) -> None:
    assert statistics_of(built(Complete(), peers)).spectral_gap == pytest.approx(gap)


def test_the_gap_of_a_ring_in_closed_form() -> None:
    """W = I - L / 3, so lambda_2 = 1 - (2 - 2 cos(2 pi / N)) / 3."""
    assert statistics_of(built(Ring(), 40)).spectral_gap == pytest.approx((2 - 2 * np.cos(2 * np.pi / 40)) / 3)


def test_one_peer_alone() -> None:
    found = statistics_of(Topology.of("a", []))
    assert (found.peers, found.edges, found.diameter, found.mean_degree, found.spectral_gap) == (1, 0, 0, 0.0, 1.0)


def test_gossip_agrees_after_the_steps_that_the_gap_promises() -> None:
    topology = built(KRegular(4), 50)
    values = np.random.default_rng(0).standard_normal(50)
    start = np.linalg.norm(values - values.mean())
    steps = gossip_steps(statistics_of(topology).spectral_gap, 1e-3)
    after = np.linalg.matrix_power(mixing_matrix(topology), steps) @ values
    assert np.linalg.norm(after - values.mean()) <= 1e-3 * start
