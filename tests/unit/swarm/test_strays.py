"""Chunks that come unasked and bring nothing: whoever floods is banned, honest peers never are."""

import pytest

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import DeliveryLost, Forgotten
from fedswarm.swarm.instructions import Ban
from fedswarm.swarm.messages import Have, Interested, Lack, Verdict, Want
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.faults import Fault, Injection
from fedswarm.swarm.simulator.scenarios import Setting, broadcast
from fedswarm.swarm.strays import REPEATS_FORGIVEN
from fedswarm.swarm.uploads import MOST_SENT_AGAIN
from tests.unit.swarm.lone_peer import LonePeer, Weights, delivered, done, said, verdicts


def complete(weights):
    """A peer that got everything of ``source``."""
    alone = LonePeer()
    alone.fetch(weights)
    alone.link("source", "a")
    for index in range(weights.manifest.chunks):
        alone.frame("source", weights, index)
    return alone


def flood(alone, weights, peer, times, index=0):
    return [ban for _ in range(times) for ban in done(alone.frame(peer, weights, index), Ban)]


def test_whoever_sends_the_same_chunk_again_and_again_is_banned():
    weights = Weights("source")
    alone = complete(weights)
    assert flood(alone, weights, "a", REPEATS_FORGIVEN) == []
    assert flood(alone, weights, "a", 1) == [
        Ban("a", f"sent chunk 0 of {weights.key} {REPEATS_FORGIVEN + 1} times in vain")
    ]


def test_a_flood_of_chunks_outside_a_partial_fetch_is_no_better():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, indices=(1,))
    alone.link("a")
    assert [ban.peer for ban in flood(alone, weights, "a", REPEATS_FORGIVEN + 1)] == ["a"]


@pytest.mark.parametrize("chunks", [1, 4, 100])
def test_copies_of_all_that_is_held_are_forgiven_however_many_chunks_that_are(chunks):
    weights = Weights("source", chunks)
    alone = complete(weights)
    for index in range(chunks):
        assert flood(alone, weights, "a", REPEATS_FORGIVEN, index) == []


def test_a_chunk_that_was_asked_for_is_not_counted_whoever_was_sooner():
    weights = Weights("source", 1)
    alone = LonePeer()
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(1.0)
    alone.link("b")
    alone.frame("b", weights, 0)
    assert verdicts(alone.frame("a", weights, 0)) == [Verdict.DUPLICATE]
    assert alone.peer._state.neighbours["a"].repeats == {}


def test_a_new_wish_begins_a_new_count():
    weights = Weights("source")
    alone = complete(weights)
    assert flood(alone, weights, "a", REPEATS_FORGIVEN) == []
    alone.tell(Forgotten(weights.key))
    alone.fetch(weights)
    alone.frame("source", weights, 0)
    assert flood(alone, weights, "a", REPEATS_FORGIVEN) == []


def broken_streams(alone, peer, times):
    """Chunks sent again each time that our stream to a neighbour breaks."""
    outs = [alone.tell(DeliveryLost(peer, "reset")) for _ in range(times)]
    return [delivered(out, peer) for out in outs], outs[-1]


def test_what_is_lost_again_and_again_is_told_of_to_be_asked_for():
    weights = Weights("me", 2)
    alone = LonePeer()
    alone.publish(weights)
    alone.link("a")
    alone.hear("a", Interested(weights.key), Want(weights.key, (1,)))
    sent, last = broken_streams(alone, "a", MOST_SENT_AGAIN + 1)
    assert sent == [[1]] * MOST_SENT_AGAIN + [[]]
    assert said(last, "a") == [Lack(weights.key, (1,)), Have(weights.key, ((1, 1),))]
    assert delivered(alone.hear("a", Want(weights.key, (1,))), "a") == [1]


def test_an_honest_relay_stays_within_what_is_forgiven_whatever_breaks():
    """The worst: its duty crosses our wish, we ask besides, and each stream breaks before a receipt is back."""
    weights = Weights("source", 1)
    relay = LonePeer()
    relay.fetch(weights)
    relay.link("source", "a")
    relay.hear("a", Interested(weights.key))
    steps = [
        lambda: relay.frame("source", weights, 0, relay=True),
        lambda: relay.hear("a", Interested(weights.key)),
        lambda: relay.hear("a", Want(weights.key, (0,))),
    ]
    frames = 0
    for step in steps:
        frames += len(delivered(step(), "a"))
        sent, _ = broken_streams(relay, "a", MOST_SENT_AGAIN + 1)
        frames += sum(map(len, sent))
    assert frames == 3 * (1 + MOST_SENT_AGAIN)
    assert frames < REPEATS_FORGIVEN


def test_a_duty_given_twice_is_passed_on_once():
    weights = Weights("source", 1)
    alone = LonePeer()
    alone.fetch(weights)
    alone.link("source", "a")
    alone.hear("a", Interested(weights.key))
    assert delivered(alone.frame("source", weights, 0, relay=True), "a") == [0]
    alone.receipt("a", weights, 0)
    assert delivered(alone.frame("source", weights, 0, relay=True), "a") == []


def test_streams_that_break_all_the_time_ban_nobody_and_hold_nobody_up():
    """Every receipt may be lost: the invariants would tell of a ban."""
    rates, peers = Rates(5e6, 20e6), 6
    everybody = ("source", *(f"p{number}" for number in range(peers)))
    plan = [Injection(0.3 * time, Fault.STREAM_RESET, everybody) for time in range(1, 60)]
    outcome = broadcast(
        rates, [rates] * peers, chunks=60, chunk_bytes=16 * KIB, setting=Setting(checked=True, plan=plan)
    )
    assert outcome.unfinished == 0
    assert outcome.duplicate_bytes > 0
