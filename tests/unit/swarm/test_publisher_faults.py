"""What peers do when the publisher of what they fetch is in trouble: stories found by the simulator."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.relay_push import RelayPush
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.faults import Fault, Injection
from fedswarm.swarm.simulator.outcome import Outcome
from fedswarm.swarm.simulator.scenarios import Setting, broadcast
from fedswarm.swarm.simulator.world import random_weights
from fedswarm.swarm.super_seeding import SuperSeeding

SOURCE = Rates(20e6, 50e6)
PEERS = [Rates(10e6, 50e6)] * 5


def broadcast_with(spreading: Spreading, *plan: Injection) -> Outcome:
    """About half a second when nothing goes wrong."""
    setting = Setting(plan=plan, checked=True)
    return broadcast(SOURCE, PEERS, chunks=40, chunk_bytes=16 * KIB, spreading=spreading, setting=setting)


@pytest.mark.parametrize("spreading", list(Spreading))
def test_a_publisher_that_comes_back_gives_out_what_is_missing(spreading: Spreading) -> None:
    for died_s in (0.2, 0.3, 0.4):
        outcome = broadcast_with(spreading, Injection(died_s, Fault.POWER_LOSS, ("source",), 1.5))
        assert len(outcome.completed_s) == len(PEERS)


def test_a_push_goes_on_to_others_when_all_hold_the_chunks_it_would_give_away_first() -> None:
    """1. The publisher comes back after its peers shared what its predecessor gave them. 2. It hears that everybody
    holds chunks 0 to 2. 3. Nothing is under way, so nothing would wake it later: it goes on to chunk 3 now.
    """
    manifest = random_weights("source", 4, 16 * KIB, seed=1).manifest
    push = RelayPush(manifest, [0, 1, 2, 3], Limits())
    for peer in ("p0", "p1"):
        push.join(peer, 10_000_000, 0.0)
        push.holds(peer, np.arange(3))
    choice = push.next({"p0", "p1"}, 20_000_000, audience=2, most=1, now_s=0.0)
    assert choice is not None
    assert choice.indices == (3,)


def test_a_chunk_that_its_owner_does_not_pass_on_is_sent_by_the_publisher_in_the_end() -> None:
    """1. Chunk 0 is given to p0, which takes it and relays nothing: it lies, or is not linked with p1. 2. Its backlog
    is short, so nothing is stolen from it. 3. When it is late beyond doubt, the publisher sends chunk 0 to p1.
    """
    manifest = random_weights("source", 1, 16 * KIB, seed=1).manifest
    push = RelayPush(manifest, [0], Limits())
    for peer in ("p0", "p1"):
        push.join(peer, 10_000_000, 0.0)
    given = push.next({"p0", "p1"}, 20_000_000, audience=2, most=1, now_s=0.0)
    assert given is not None and given.relay
    push.holds(given.peer, np.array([0]))
    term_s = push.next_term_s(0.1)
    assert term_s is not None
    assert push.next({"p0", "p1"}, 20_000_000, audience=2, most=1, now_s=term_s - 0.01) is None
    late = push.next({"p0", "p1"}, 20_000_000, audience=2, most=1, now_s=term_s)
    assert late is not None
    assert (late.indices, late.relay, late.peer == given.peer) == ((0,), False, False)


def test_what_a_publisher_hides_is_shown_when_nobody_takes_what_it_shows() -> None:
    """1. Somebody takes chunk 0 and dies before it passed it on. 2. The others were shown chunk 1 and have it from one
    another, so nobody ever acknowledges it. 3. Seeding is never over by itself, and chunk 0 nowhere to be seen.
    """
    seeding = SuperSeeding([0, 1], now_s=0.0)
    assert seeding.join("p0", now_s=0.0) == [0, 1]
    assert seeding.take("p0", 0, now_s=0.1) == []
    seeding.leave("p0")
    assert seeding.join("p1", now_s=0.2) == [1]
    seeding.end_if_idle(2.1, patience_s=2.0)
    before = seeding.over
    seeding.end_if_idle(2.3, patience_s=2.0)
    assert (before, seeding.over) == (False, True)


@pytest.mark.parametrize("spreading", list(Spreading))
def test_a_fetch_from_a_publisher_that_never_sends_fails_in_the_end(spreading: Spreading) -> None:
    outcome = broadcast_with(spreading, Injection(0.01, Fault.MUTE, ("source",), inf))
    assert len(outcome.failures) == len(PEERS)
    assert all("nothing for 3" in reason for reason in outcome.failures.values())
