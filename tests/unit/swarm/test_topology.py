from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.errors import TopologyError
from fedswarm.swarm.topology import Topology, connected_parts, default_degree


def test_neighbours_go_both_ways_and_pairs_may_repeat() -> None:
    topology = Topology.of("abc", [("b", "a"), ("a", "b"), ("b", "c")])
    assert topology.edges == {("a", "b"), ("b", "c")}
    assert topology.neighbours("b") == ("a", "c")
    assert topology.neighbours("c") == ("b",)


def test_equal_graphs_are_equal_however_their_edges_were_given() -> None:
    assert Topology.of("abc", [("a", "b"), ("b", "c")]) == Topology.of("abc", [("c", "b"), ("b", "a")])


def test_one_peer_alone_is_a_topology() -> None:
    assert Topology.of("a", []).neighbours("a") == ()


@pytest.mark.parametrize(
    ("names", "edges", "message"),
    [
        ((), (), "at least one peer"),
        (("a", "b", "a"), (("a", "b"),), "'a' is there twice"),
        (("a", "b"), (("a", "x"),), "links 'a' and 'x', of which one is no peer"),
        (("a", "b"), (("a", "a"),), "two different peers"),
        (("a", "b"), (("b", "a"),), "the lesser first"),
        (("a", "b", "c"), (("a", "b"),), "2 pieces; 'a' cannot reach 'c'"),
        (("a", "b"), (), "falls into 2 pieces"),
    ],
)
def test_what_is_no_connected_graph_is_refused(names, edges, message) -> None:
    with pytest.raises(TopologyError, match=message):
        Topology(names, frozenset(edges))


def test_a_stranger_has_no_neighbours() -> None:
    with pytest.raises(TopologyError, match="no peer 'x' among these 1"):
        Topology.of("a", []).neighbours("x")


def test_parts_of_a_graph_in_pieces() -> None:
    adjacency = {"a": ("b",), "c": (), "b": ("a",), "d": ("e",), "e": ("d",)}
    assert connected_parts(adjacency) == [{"a", "b"}, {"c"}, {"d", "e"}]


@pytest.mark.parametrize(("peers", "degree"), [(1, 4), (8, 4), (9, 5), (100, 8), (1000, 11), (10_000, 15)])
def test_the_default_degree(peers: int, degree: int) -> None:
    assert default_degree(peers) == degree


@given(st.integers(1, 10**6))
def test_the_default_degree_never_falls_as_peers_join(peers: int) -> None:
    assert default_degree(peers) <= default_degree(peers + 1)
