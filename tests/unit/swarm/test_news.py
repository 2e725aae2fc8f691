"""Who is told of what arrived, and when."""

from fedswarm.swarm.events import BecameFinal
from fedswarm.swarm.messages import Bitfield, Final, Have, Interested, Load
from tests.unit.swarm.lone_peer import LonePeer, Weights, relay, said, told_to_hold


def test_chunks_that_arrive_within_a_moment_are_announced_together():
    """Defect B20: each chunk was announced at once by a message of its own."""
    weights = Weights("source", chunks=6)
    alone = relay(weights, "a", have_pushed_every_s=0.1)
    for index in (0, 1, 4):
        assert said(alone.frame("source", weights, index), "a") == []
        alone.wait(0.02)
    out = alone.wait(0.1)
    assert said(out, "a", Have) == [Have(weights.key, ((0, 2), (4, 1)))]


def test_the_publisher_hears_at_once_when_what_it_charged_us_with_is_sent():
    weights = Weights("source")
    alone = relay(weights, "a", uplink_bps=7_000_000)
    alone.frame("source", weights, 0, relay=True)
    assert said(alone.receipt("a", weights, 0), "source", Load) == [Load(7_000_000, 0)]
    alone.frame("source", weights, 1)
    assert said(alone.wait(0.01), "source", Load) == []


def test_each_publisher_that_charged_us_hears_how_fast_we_are():
    mine, other = Weights("source"), Weights("other")
    alone = relay(mine, "a", uplink_bps=7_000_000)
    alone.fetch(other)
    alone.link("other")
    for peer in ("other", "a"):
        alone.hear(peer, Interested(other.key))
    alone.frame("source", mine, 0, relay=True)
    alone.frame("other", other, 0, relay=True)
    out = alone.receipt("a", mine, 0)
    assert said(out, "source", Load) == said(out, "other", Load) != []


def test_nobody_is_told_of_chunks_that_it_holds_or_sent():
    weights = Weights("source")
    alone = relay(weights, "holder", "sender", "other")
    alone.hear("holder", Have(weights.key, ((0, 1),)))
    alone.frame("sender", weights, 0)
    out = alone.wait(1.1)
    assert [told_to_hold(out, peer) for peer in ("holder", "sender", "other")] == [[], [], [0]]


def test_nobody_is_told_of_weights_it_is_not_interested_in():
    weights = Weights("source")
    alone = relay(weights)
    alone.link("stranger")
    alone.frame("source", weights, 0)
    assert said(alone.wait(0.2), "stranger", Have) == []


def test_a_publisher_that_pushes_hears_sooner_and_of_the_uplink_too():
    weights = Weights("source")
    alone = relay(weights, "a", have_every_s=0.1, have_publisher_every_s=0.05, uplink_bps=7_000_000)
    alone.frame("source", weights, 0)
    out = alone.wait(0.06)
    assert (told_to_hold(out, "source"), told_to_hold(out, "a")) == ([0], [])
    assert said(out, "source", Load) == [Load(7_000_000, 0)]


def test_digests_of_growing_weights_are_told_as_they_become_final_and_to_late_comers_together():
    alone, weights = LonePeer(), Weights("me")
    alone.publish(weights, growing=True)
    alone.link("early", "late")
    assert said(alone.hear("early", Interested(weights.key)), "early", Bitfield | Final) == []
    for index in (2, 1):
        out = alone.tell(BecameFinal(weights.key, index, weights.digest(index)))
        assert said(out, "early") == [Final(weights.key, index, (weights.digest(index),))]
    out = alone.hear("late", Interested(weights.key))
    assert said(out, "late", Final) == [Final(weights.key, 1, (weights.digest(1), weights.digest(2)))]


def test_of_other_weights_under_an_old_name_everything_is_told_anew():
    old, new = Weights("source", chunks=6), Weights("source", chunks=6, sample_count=1)
    alone = relay(old, "a")
    for index in (0, 1):
        alone.frame("source", old, index)
        alone.wait(1.1)
    alone.frame("source", old, 2)
    alone.fetch(new)
    alone.frame("source", new, 3)
    assert told_to_hold(alone.wait(1.1), "a") == [3]
