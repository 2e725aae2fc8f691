from __future__ import annotations

from functools import partial

import pytest

from fedswarm.swarm.bounds import Links, broadcast_s
from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.faults import Fault, Injection
from fedswarm.swarm.simulator.scenarios import Setting, Swarm, all_to_all, broadcast, growing_broadcast, late_join
from fedswarm.swarm.simulator.tracker import RandomRegular
from fedswarm.swarm.simulator.world import random_weights

SOURCE, PEER = Rates(50e6, 50e6), Rates(20e6, 50e6)
CHUNKS, CHUNK_BYTES = 60, 16 * KIB
CHECKED = Setting(checked=True)


@pytest.mark.parametrize("spreading", list(Spreading))
def test_a_broadcast_reaches_everybody_not_before_the_bound(spreading: Spreading) -> None:
    outcome = broadcast(
        SOURCE, [PEER] * 6, chunks=CHUNKS, chunk_bytes=CHUNK_BYTES, spreading=spreading, setting=CHECKED
    )
    bound_s = broadcast_s(CHUNKS * CHUNK_BYTES - 12, SOURCE.up_bps, Links.alike(6, PEER.up_bps, PEER.down_bps))
    assert set(outcome.completed_s) == {f"p{number}" for number in range(6)}
    assert outcome.last_s > bound_s
    assert outcome.useful_bytes == 6 * (CHUNKS * CHUNK_BYTES - 12)
    assert outcome.frame_bytes > outcome.useful_bytes + outcome.duplicate_bytes + outcome.unwanted_bytes
    assert 0 < outcome.control < 0.2


def test_a_late_peer_gets_everything_too() -> None:
    outcome = late_join(SOURCE, [PEER] * 4, PEER, chunks=CHUNKS, chunk_bytes=CHUNK_BYTES, at_s=2.0, setting=CHECKED)
    assert len(outcome.completed_s) == 5
    assert outcome.completed_s["late"] > 2.0
    assert outcome.took_s["late"] == pytest.approx(outcome.completed_s["late"] - 2.0)


def test_weights_travel_while_they_are_made() -> None:
    bound_s = broadcast_s(CHUNKS * CHUNK_BYTES - 12, SOURCE.up_bps, Links.alike(6, PEER.up_bps, PEER.down_bps))
    made_s = 2 * bound_s
    outcome = growing_broadcast(
        SOURCE, [PEER] * 6, chunks=CHUNKS, chunk_bytes=CHUNK_BYTES, chunk_every_s=made_s / CHUNKS, setting=CHECKED
    )
    assert len(outcome.completed_s) == 6
    assert made_s < outcome.last_s < 2 * made_s


def test_a_maker_of_weights_that_dies_and_comes_back_makes_them_again() -> None:
    setting = Setting(checked=True, plan=[Injection(0.3, Fault.CRASH, ("source",), 1.0)])
    outcome = growing_broadcast(
        SOURCE, [PEER] * 6, chunks=CHUNKS, chunk_bytes=CHUNK_BYTES, chunk_every_s=0.01, setting=setting
    )
    assert len(outcome.completed_s) == 6


def test_all_get_the_weights_of_all_by_offers_along_the_overlay() -> None:
    setting = Setting(checked=True, overlay=partial(RandomRegular, 4, 1))
    outcome = all_to_all([PEER] * 8, chunks=4, chunk_bytes=CHUNK_BYTES, setting=setting)
    assert len(outcome.completed_s) == 8
    assert outcome.useful_bytes == 8 * 7 * (4 * CHUNK_BYTES - 12)


def test_a_fetch_with_a_deadline_ends_with_what_is_there() -> None:
    outcome = broadcast(
        Rates(1e6, 1e6), [PEER] * 3, chunks=CHUNKS, chunk_bytes=CHUNK_BYTES, setting=CHECKED, deadline_s=1.0
    )
    assert outcome.unfinished == 3
    assert 0 < outcome.useful_bytes < CHUNKS * CHUNK_BYTES * 3


def test_the_same_seed_tells_the_same_story_byte_for_byte() -> None:
    def story(seed: int) -> str:
        plan = [Injection(0.2, Fault.CRASH, ("p1",), 1.0), Injection(0.3, Fault.WRONG_BYTES, ("p2",))]
        swarm = Swarm(Setting(seed=seed, checked=True, plan=plan))
        weights = random_weights("source", 30, CHUNK_BYTES, seed=seed)
        swarm.add("source", SOURCE, swarm.publisher(weights, Spreading.PUSH))
        swarm.add_all([(f"p{number}", PEER) for number in range(5)], swarm.fetcher(weights.manifest))
        swarm.run()
        return str(swarm.story)

    assert story(3) == story(3)
    assert story(3) != story(4)
