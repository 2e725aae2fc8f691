from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm import bounds
from fedswarm.swarm.bounds import Links
from fedswarm.swarm.slices import Rates, ReductionPlan, largest_remainders, plan_all_reduce, plan_reduce

KEY = b"job/7"
MBPS = 1e6
# Enough chunks that rounding to whole ones does not hide a wrong fraction.
FINE = 1_000_000
rates = st.floats(1e5, 1e9)


def peers_of(*mbps: tuple[float, float]) -> dict[str, Rates]:
    return {f"p{i:02}": Rates(up * MBPS, down * MBPS) for i, (up, down) in enumerate(mbps)}


@st.composite
def groups(draw: st.DrawFn, smallest: int = 1) -> dict[str, Rates]:
    names = draw(st.lists(st.text("abcde", min_size=1, max_size=4), min_size=smallest, max_size=9, unique=True))
    return {name: Rates(draw(rates), draw(rates)) for name in names}


@st.composite
def partly_known(draw: st.DrawFn) -> dict[str, Rates]:
    maybe = st.none() | rates
    return {name: Rates(draw(maybe), draw(maybe)) for name in draw(groups())}


def fractions(plan: ReductionPlan) -> dict[str, float]:
    return {owner: len(plan.run(owner)) / plan.chunks for owner in plan.owners}


@given(partly_known(), st.integers(1, 300), st.none() | rates)
def test_every_chunk_has_exactly_one_owner(peers: dict[str, Rates], chunks: int, collector: float | None) -> None:
    for plan in (
        plan_reduce(peers, chunks, KEY),
        plan_reduce(peers, chunks, KEY, ("the collector", Rates(None, collector))),
        plan_all_reduce(peers, chunks, KEY),
    ):
        owned = [chunk for owner in plan.owners for chunk in plan.run(owner)]
        assert owned == list(range(chunks))
        assert all(chunk in plan.run(plan.owner(chunk)) for chunk in range(chunks))


@given(groups())
def test_without_a_collector_slices_follow_downlinks(peers: dict[str, Rates]) -> None:
    total = sum(rate.down_bps or 0 for rate in peers.values())
    for owner, fraction in fractions(plan_reduce(peers, FINE, KEY)).items():
        assert fraction == pytest.approx((peers[owner].down_bps or 0) / total, abs=1.1 / FINE)


@given(groups(2), rates)
def test_a_reduction_to_one_meets_its_fluid_bound(peers: dict[str, Rates], collector_bps: float) -> None:
    """Time of the busiest downlink and uplink when the plan is carried out, against the bound."""
    plan = plan_reduce(peers, FINE, KEY, ("the collector", Rates(None, collector_bps)))
    shares, n = fractions(plan), len(peers)
    own = shares.pop("the collector")
    received = [(n - 1) * shares[name] / (peers[name].down_bps or 0) for name in peers]
    sent = [1 / (peers[name].up_bps or 0) for name in peers]
    measured = max(*received, *sent, (n * own + 1 - own) / collector_bps)
    links = Links(tuple(p.up_bps or 0 for p in peers.values()), tuple(p.down_bps or 0 for p in peers.values()))
    rounding = n * 1.1 / FINE / min(*links.down_bps, collector_bps)
    assert measured <= bounds.reduce_s(1 / 8, collector_bps, links) * (1 + 1e-9) + rounding


@given(groups(2))
def test_an_all_reduce_meets_its_fluid_bound(peers: dict[str, Rates]) -> None:
    shares, n = fractions(plan_all_reduce(peers, FINE, KEY)), len(peers)
    links = Links(tuple(p.up_bps or 0 for p in peers.values()), tuple(p.down_bps or 0 for p in peers.values()))
    narrower = [min(p.up_bps or 0, p.down_bps or 0) for p in peers.values()]
    measured = max((1 + (n - 2) * shares[name]) / b for name, b in zip(peers, narrower, strict=True))
    rounding = n * 1.1 / FINE / min(narrower)
    assert measured <= bounds.all_reduce_s(1 / 8, links) * (1 + 1e-9) + rounding


def test_equal_peers_own_equal_slices() -> None:
    plan = plan_all_reduce(peers_of(*[(20, 50)] * 8), 400, KEY)
    assert {len(plan.run(owner)) for owner in plan.owners} == {50}


def test_a_peer_that_is_the_bound_owns_nothing() -> None:
    plan = plan_all_reduce(peers_of((1, 1), (100, 100), (100, 100), (100, 100)), 300, KEY)
    assert [len(plan.run(owner)) for owner in plan.owners] == [0, 100, 100, 100]


def test_the_golden_fractions_of_four_unequal_peers() -> None:
    """b = 10, 20, 30, 40: T = 2 * 3 / 100 of a vector, f = (T b - 1) / 2 with b clipped up to 1 / T."""
    plan = plan_all_reduce(peers_of((10, 10), (20, 20), (30, 30), (40, 40)), FINE, KEY)
    # F / b_min = 0.1 is longer than 0.06, so spare = 0, 1, 2, 3 in all 6.
    assert list(fractions(plan).values()) == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6], abs=1e-5)
    plan = plan_all_reduce(peers_of((20, 20), (20, 20), (30, 30), (30, 30)), FINE, KEY)
    assert list(fractions(plan).values()) == pytest.approx([0.1, 0.1, 0.4, 0.4], abs=1e-5)


def test_a_collector_owns_what_contributors_have_no_downlink_for_and_nothing_else() -> None:
    """A vector takes 1/100; in that time four downlinks of 20 bear 4/15 of it, three contributions each."""
    peers = peers_of(*[(100, 20)] * 4)
    fast = plan_reduce(peers, FINE, KEY, ("collector", Rates(None, 1000 * MBPS)))
    assert fractions(fast)["collector"] == pytest.approx(11 / 15, abs=1e-5)
    slow = plan_reduce(peers, 100, KEY, ("collector", Rates(None, 10 * MBPS)))
    unneeded = plan_reduce(peers_of(*[(20, 50)] * 4), 100, KEY, ("collector", Rates(None, 1000 * MBPS)))
    assert len(slow.run("collector")) == len(unneeded.run("collector")) == 0


def test_unknown_rates_count_as_the_mean_of_the_known() -> None:
    peers = {"a": Rates(10, 10), "b": Rates(None, None), "c": Rates(30, 30)}
    assert plan_reduce(peers, 60, KEY) == plan_reduce(peers | {"b": Rates(20, 20)}, 60, KEY)


def test_where_nothing_is_known_slices_are_equal() -> None:
    plan = plan_all_reduce({name: Rates() for name in "abcd"}, 40, KEY)
    assert [len(plan.run(owner)) for owner in "abcd"] == [10] * 4


def test_the_plan_does_not_depend_on_the_order_of_the_peers() -> None:
    peers = peers_of((1, 9), (5, 7), (3, 3), (8, 2))
    backwards = dict(reversed(peers.items()))
    assert plan_reduce(peers, 77, KEY) == plan_reduce(backwards, 77, KEY)
    assert plan_all_reduce(peers, 77, KEY) == plan_all_reduce(backwards, 77, KEY)


@given(groups(2), st.integers(1, 200), st.data())
def test_backups_cover_just_what_the_dead_owned_and_are_alive(
    peers: dict[str, Rates], chunks: int, data: st.DataObject
) -> None:
    plan = plan_reduce(peers, chunks, KEY)
    alive = data.draw(st.sets(st.sampled_from(sorted(peers)), min_size=1))
    backups = plan.backups(alive)
    assert set(backups) == {chunk for chunk in range(chunks) if plan.owner(chunk) not in alive}
    assert set(backups.values()) <= alive


@given(groups(3), st.data())
def test_a_second_death_moves_only_what_that_peer_had_taken_over(peers: dict[str, Rates], data: st.DataObject) -> None:
    plan = plan_reduce(peers, 100, KEY)
    first, second = data.draw(st.permutations(sorted(peers)))[:2]
    before = plan.backups(peers.keys() - {first})
    after = plan.backups(peers.keys() - {first, second})
    assert all(after[chunk] == heir for chunk, heir in before.items() if heir != second)


def test_other_reductions_have_other_backups() -> None:
    peers = peers_of(*[(1, 1)] * 5)
    alive = sorted(peers)[1:]
    one, other = plan_reduce(peers, 200, b"1"), plan_reduce(peers, 200, b"2")
    assert one.backups(alive) != other.backups(alive)


def test_while_everyone_is_alive_nobody_takes_over() -> None:
    peers = peers_of((1, 1), (2, 2))
    assert plan_reduce(peers, 10, KEY).backups(peers) == {}


def test_the_last_peers_death_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody is alive to take over 10 chunks"):
        plan_reduce(peers_of((1, 1)), 10, KEY).backups([])


def test_a_stranger_owns_nothing() -> None:
    assert list(plan_reduce(peers_of((1, 1)), 10, KEY).run("stranger")) == []


@pytest.mark.parametrize("chunk", [-1, 10])
def test_a_chunk_beyond_the_last_has_no_owner(chunk: int) -> None:
    with pytest.raises(IndexError, match="of 10 chunks"):
        plan_reduce(peers_of((1, 1)), 10, KEY).owner(chunk)


@pytest.mark.parametrize("bad", [0.0, -5.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused_by_peer_and_value(bad: float) -> None:
    with pytest.raises(ValueError, match=f"'a' has a link of {bad}"):
        plan_reduce({"a": Rates(1.0, bad)}, 10, KEY)


def test_a_collector_that_contributes_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' is both"):
        plan_reduce({"a": Rates()}, 10, KEY, ("a", Rates()))


def test_no_peers_or_chunks_are_refused() -> None:
    with pytest.raises(ValueError, match="0 peers"):
        plan_all_reduce({}, 10, KEY)
    with pytest.raises(ValueError, match="0 chunks"):
        plan_all_reduce({"a": Rates()}, 0, KEY)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(any), st.integers(0, 10_000))
def test_largest_remainders_deal_everything_and_are_off_by_less_than_one(weights: list[float], total: int) -> None:
    counts = largest_remainders(np.array(weights), total)
    assert counts.sum() == total
    assert np.all(np.abs(counts - np.array(weights) / sum(weights) * total) < 1 + 1e-6)
