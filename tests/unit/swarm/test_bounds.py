"""Golden numbers of the reference's table 7.4, and what must hold for all links."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm import bounds
from fedswarm.swarm.bounds import Links

SIZE_BYTES = 46.8e6
MBPS = 1e6
rates = st.floats(1e5, 1e9)
sizes = st.floats(1.0, 1e10)


def mix(*mbps: tuple[float, float]) -> Links:
    return Links(tuple(up * MBPS for up, _ in mbps), tuple(down * MBPS for _, down in mbps))


# Reference 3.2(b): phones of two kinds, single-board computers, an edge server, a sensor.
HIGH, LOW, BOARD, EDGE, SENSOR = (50, 100), (5, 20), (10, 50), (100, 1000), (0.128, 0.512)
README_MIX = (HIGH, HIGH, LOW, LOW, LOW, LOW, BOARD, BOARD, EDGE)


@st.composite
def peer_links(draw: st.DrawFn, smallest: int = 1) -> Links:
    peers = draw(st.integers(smallest, 12))
    up, down = (draw(st.lists(rates, min_size=peers, max_size=peers)) for _ in range(2))
    return Links(tuple(up), tuple(down))


@pytest.mark.parametrize(
    ("links", "up", "down", "expected"),
    [
        (Links.alike(50, 176.61 * MBPS, 241.75 * MBPS), 1000, 1000, (18.72, 1.90, 18.72, 2.12, 4.16, 103.9)),
        (Links.alike(50, 50 * MBPS, 100 * MBPS), 50, 100, (374.4, 7.49, 187.2, 7.49, 14.68, 366.9)),
        (mix(*README_MIX), 50, 50, (67.4, 18.7, 74.9, 74.9, 74.9, 149.8)),
        (mix(*README_MIX, SENSOR), 50, 50, (731, 731, 2925, 2925, 2925, 6581)),
    ],
)
def test_the_references_table(links: Links, up: float, down: float, expected: tuple[float, ...]) -> None:
    measured = (
        bounds.client_server_broadcast_s(SIZE_BYTES, up * MBPS, links),
        bounds.broadcast_s(SIZE_BYTES, up * MBPS, links),
        bounds.gather_s(SIZE_BYTES, down * MBPS, links),
        bounds.reduce_s(SIZE_BYTES, down * MBPS, links),
        bounds.all_reduce_s(SIZE_BYTES, links),
        bounds.all_to_all_s(SIZE_BYTES, links),
    )
    assert measured == pytest.approx(expected, rel=3e-3)


def test_whole_chunks_cost_a_chunk_for_each_doubling() -> None:
    assert bounds.discrete_broadcast_s(1e6, 8e6, 50, 100) == pytest.approx(1.05)
    assert bounds.discrete_broadcast_s(1e6, 8e6, 1, 100) == 1.0


@given(sizes, peer_links(2))
def test_slices_by_bandwidth_suffice_at_the_all_reduce_time_and_not_before(size: float, links: Links) -> None:
    """Bisection on the condition itself, reference 7.3."""
    bits, others = 8 * size, links.peers - 2

    def suffices(time_s: float) -> bool:
        spare = [time_s * rate / bits - 1 for rate in links.narrower_bps]
        if min(spare) < 0:
            return False
        return others == 0 or sum(min(s / others, 1.0) for s in spare) >= 1

    low, high = 0.0, links.peers * bits / min(links.narrower_bps)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    assert bounds.all_reduce_s(size, links) == pytest.approx(high, rel=1e-9)


@given(sizes, rates, peer_links())
def test_peers_that_pass_on_are_never_slower_than_a_server(size: float, hub: float, links: Links) -> None:
    assert bounds.broadcast_s(size, hub, links) <= bounds.client_server_broadcast_s(size, hub, links) * (1 + 1e-12)
    assert bounds.reduce_s(size, hub, links) <= bounds.gather_s(size, hub, links) * (1 + 1e-12)


@given(sizes, peer_links())
def test_no_all_reduce_beats_its_lower_bound(size: float, links: Links) -> None:
    assert bounds.all_reduce_s(size, links) >= bounds.all_reduce_lower_bound_s(size, links) * (1 - 1e-12)


@given(sizes, st.lists(rates, min_size=1, max_size=12))
def test_with_symmetric_links_the_all_reduce_meets_its_lower_bound(size: float, both: list[float]) -> None:
    links = Links(tuple(both), tuple(both))
    assert bounds.all_reduce_s(size, links) == pytest.approx(bounds.all_reduce_lower_bound_s(size, links))


@given(sizes, st.integers(2, 100), rates)
def test_with_equal_links_all_to_all_takes_half_n_all_reduces(size: float, peers: int, rate: float) -> None:
    links = Links.alike(peers, rate, rate)
    ratio = bounds.all_to_all_s(size, links) / bounds.all_reduce_s(size, links)
    assert ratio == pytest.approx(peers / 2)


@given(sizes, rates, peer_links(), st.floats(1.0, 10.0))
def test_times_grow_in_proportion_to_the_size(size: float, hub: float, links: Links, factor: float) -> None:
    for bound in (bounds.broadcast_s, bounds.reduce_s, bounds.gather_s, bounds.client_server_broadcast_s):
        assert bound(factor * size, hub, links) == pytest.approx(factor * bound(size, hub, links))


def test_alone_there_is_nothing_to_reduce() -> None:
    alone = Links.alike(1, 1e6, 1e6)
    assert bounds.all_reduce_s(1e6, alone) == bounds.all_to_all_s(1e6, alone) == 0.0
    assert bounds.all_reduce_lower_bound_s(1e6, alone) == 0.0


@given(st.floats(1e-4, 1.0), st.floats(1e-9, 0.99))
def test_gossip_reaches_the_tolerance_after_its_steps_and_not_before(gap: float, tolerance: float) -> None:
    steps = bounds.gossip_steps(gap, tolerance)
    assert (1 - gap) ** steps <= tolerance * (1 + 1e-9)
    assert (1 - gap) ** (steps - 1) > tolerance * (1 - 1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused_by_its_value(bad: float) -> None:
    with pytest.raises(ValueError, match=f"a link of {bad} bit/s"):
        Links((1.0, bad), (1.0, 1.0))
    with pytest.raises(ValueError, match="finite and positive"):
        bounds.broadcast_s(1.0, bad, Links.alike(2, 1.0, 1.0))


def test_links_need_both_directions_of_each_peer() -> None:
    with pytest.raises(ValueError, match="2 uplinks and 1 downlinks"):
        Links((1.0, 1.0), (1.0,))
    with pytest.raises(ValueError, match="0 uplinks"):
        Links((), ())


@pytest.mark.parametrize(("gap", "tolerance"), [(0.0, 0.1), (1.5, 0.1), (0.5, 0.0), (0.5, 1.0)])
def test_gossip_that_never_converges_is_refused(gap: float, tolerance: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        bounds.gossip_steps(gap, tolerance)


def test_no_peers_or_chunks_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        bounds.discrete_broadcast_s(1.0, 1.0, 0, 10)
