"""Sums of vectors: bit for bit the same whatever goes wrong, and near the fluid bound when nothing does."""

from __future__ import annotations

from math import inf

import pytest

from fedswarm.swarm.bounds import Links, all_reduce_s, reduce_s
from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.faults import Fault, Injection
from fedswarm.swarm.simulator.outcome import Outcome
from fedswarm.swarm.simulator.reductions import COLLECTOR, all_reduce, reduce
from fedswarm.swarm.simulator.scenarios import Setting

EQUAL = [Rates(20e6, 20e6)] * 6
MIXED = [Rates(up_mbps * 1e6, 50e6) for up_mbps in (10, 15, 20, 25, 30, 40)]
CHUNKS, CHUNK_BYTES = 160, 32 * KIB
SIZE_BYTES = CHUNKS * CHUNK_BYTES - 24


def links(peers: list[Rates]) -> Links:
    return Links(tuple(peer.up_bps for peer in peers), tuple(peer.down_bps for peer in peers))


@pytest.mark.parametrize(("peers", "most"), [(EQUAL, 1.2), (MIXED, 1.15)])
def test_an_all_reduce_comes_near_the_fluid_bound(peers: list[Rates], most: float) -> None:
    outcome = all_reduce(peers, chunks=CHUNKS, chunk_bytes=CHUNK_BYTES)
    assert set(outcome.completed_s) == {f"p{number}" for number in range(len(peers))}
    assert 1 < outcome.last_s / all_reduce_s(SIZE_BYTES, links(peers)) < most
    assert outcome.wasted == 0


@pytest.mark.parametrize(("collector_bps", "peers", "most"), [(20e6, EQUAL, 1.35), (50e6, MIXED, 1.1)])
def test_a_reduce_comes_near_the_fluid_bound(collector_bps: float, peers: list[Rates], most: float) -> None:
    collector = Rates(collector_bps, collector_bps)
    outcome = reduce(collector, peers, chunks=CHUNKS, chunk_bytes=CHUNK_BYTES)
    bound_s = reduce_s(SIZE_BYTES, collector_bps, links(peers))
    assert 1 < outcome.completed_s[COLLECTOR] / bound_s < most
    assert outcome.wasted == 0


def all_reduce_with(*plan: Injection, patience_s: float = 60.0) -> Outcome:
    """About half a second when nothing goes wrong."""
    setting = Setting(checked=True, plan=plan)
    return all_reduce(EQUAL, chunks=30, chunk_bytes=16 * KIB, setting=setting, patience_s=patience_s)


@pytest.mark.parametrize("died_s", [0.15, 0.3, 0.45])
def test_an_owner_that_comes_back_costs_nobody_the_sum(died_s: float) -> None:
    outcome = all_reduce_with(Injection(died_s, Fault.CRASH, ("p2",), 0.5))
    assert len(outcome.completed_s) == len(EQUAL)


def test_chunks_of_an_owner_that_names_wrong_digests_are_never_in_a_sum() -> None:
    outcome = all_reduce_with(Injection(0.05, Fault.FALSE_FINALS, ("p2",), inf))
    assert outcome.failures
    assert all("p2 was banned" in reason for name, reason in outcome.failures.items() if name != "p2")


def test_a_sum_whose_contributor_is_gone_for_good_fails_and_says_why() -> None:
    outcome = all_reduce_with(Injection(0.1, Fault.CRASH, ("p2",), inf))
    assert set(outcome.failures) == {"p0", "p1", "p3", "p4", "p5"}
    assert all("p2 cannot be reached" in reason for reason in outcome.failures.values())


def test_what_an_owner_does_not_add_up_in_time_the_others_add_up_themselves() -> None:
    """1. p2 freezes when it has sent its contribution to some, and its slice is not final. 2. The others wait for the
    slice until their patience ends. 3. By then p2 serves its contribution again, of which they add up the slice.
    """
    outcome = all_reduce_with(Injection(0.3, Fault.FREEZE, ("p2",), 3.0), patience_s=2.0)
    assert set(outcome.completed_s) | set(outcome.failures) == {f"p{number}" for number in range(len(EQUAL))}


def test_the_same_seed_adds_up_in_the_same_way() -> None:
    plan = [Injection(0.2, Fault.CRASH, ("p1",), 1.0), Injection(0.3, Fault.CORRUPTION, ("p3",), 0.2)]
    assert all_reduce_with(*plan) == all_reduce_with(*plan)
