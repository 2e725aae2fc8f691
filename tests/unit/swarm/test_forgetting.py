"""Weights that their publisher serves no longer."""

from fedswarm.swarm.events import DeliveryLost, Forgotten
from fedswarm.swarm.instructions import Deliver
from fedswarm.swarm.messages import Bitfield, Forget, Interested, Want
from tests.unit.swarm.lone_peer import LonePeer, Weights, done, said

SLOW_BPS = 1_000_000
"""An uplink on which two frames may be under way."""


def publisher(weights, *neighbours, **how):
    """A peer that publishes weights and whose neighbours are interested in them."""
    alone = LonePeer(**how)
    alone.publish(weights)
    alone.link(*neighbours)
    for peer in neighbours:
        alone.hear(peer, Interested(weights.key))
    return alone


def test_those_who_want_forgotten_weights_are_told():
    weights = Weights("me")
    alone = publisher(weights, "a")
    alone.link("stranger")
    out = alone.tell(Forgotten(weights.key))
    assert (said(out, "a"), said(out, "stranger")) == ([Forget(weights.key)], [])


def test_whoever_asks_for_forgotten_weights_of_ours_is_told_that_they_are_gone():
    weights = Weights("me")
    alone = publisher(weights)
    alone.tell(Forgotten(weights.key))
    alone.link("late")
    assert said(alone.hear("late", Interested(weights.key)), "late", Forget) == [Forget(weights.key)]


def test_weights_published_again_are_there_again():
    weights = Weights("me")
    alone = publisher(weights)
    alone.tell(Forgotten(weights.key))
    alone.publish(weights)
    alone.link("late")
    assert said(alone.hear("late", Interested(weights.key)), "late", Bitfield) == [weights.bits()]


def test_forgotten_weights_are_sent_no_more_not_even_when_a_stream_lost_them():
    weights = Weights("me", chunks=4)
    alone = publisher(weights, "a", uplink_bps=SLOW_BPS)
    alone.hear("a", Want(weights.key, (0, 1, 2, 3)))
    alone.tell(Forgotten(weights.key))
    assert done(alone.tell(DeliveryLost("a", "reset")), Deliver) == []
    assert done(alone.wait(5.0), Deliver) == []
