"""Word of what is published, from neighbour to neighbour."""

from fedswarm.swarm.events import Forgotten
from fedswarm.swarm.instructions import Ban, Offered
from fedswarm.swarm.messages import Offer
from tests.unit.swarm.lone_peer import LonePeer, Weights, done, said


def test_whoever_publishes_tells_all_neighbours_and_those_who_come_later():
    alone, weights = LonePeer(), Weights("me")
    alone.link("a")
    assert said(alone.publish(weights, offer=True), "a") == [Offer(weights.manifest)]
    assert said(alone.link("late"), "late") == [Offer(weights.manifest)]


def test_weights_published_without_an_offer_are_told_of_to_nobody():
    alone = LonePeer()
    alone.link("a")
    assert alone.publish(Weights("me")) == []


def test_an_offer_reaches_the_application_and_all_other_neighbours_once():
    alone, weights = LonePeer(), Weights("source")
    alone.link("a", "b", "source")
    out = alone.hear("a", Offer(weights.manifest))
    assert done(out, Offered) == [Offered(weights.manifest, "a")]
    assert [said(out, peer) for peer in ("a", "b", "source")] == [[], [Offer(weights.manifest)], []]
    assert alone.hear("b", Offer(weights.manifest)) == []


def test_a_publisher_is_not_told_of_its_own_offer_when_it_links():
    alone, weights = LonePeer(), Weights("source")
    alone.link("a")
    alone.hear("a", Offer(weights.manifest))
    assert said(alone.link("source"), "source", Offer) == []


def test_nobody_is_believed_about_what_we_publish():
    alone = LonePeer()
    alone.link("a")
    assert alone.hear("a", Offer(Weights("me").manifest)) == []


def test_newcomers_are_not_told_of_forgotten_weights():
    alone, weights = LonePeer(), Weights("source")
    alone.link("a")
    alone.hear("a", Offer(weights.manifest))
    alone.tell(Forgotten(weights.key))
    assert said(alone.link("late"), "late", Offer) == []


def test_whoever_offers_weights_of_another_job_is_banned():
    alone = LonePeer()
    alone.link("a")
    out = alone.hear("a", Offer(Weights("source", job="another").manifest))
    assert [ban.peer for ban in done(out, Ban)] == ["a"]


def test_when_too_many_are_known_the_oldest_round_gives_way_and_does_not_come_back():
    alone = LonePeer(most_offers=3)
    alone.link("a")
    rounds = [Weights("source", round_index=number).manifest for number in range(5)]
    for manifest in rounds:
        assert len(done(alone.hear("a", Offer(manifest)), Offered)) == 1
    assert alone.hear("a", Offer(rounds[0])) == []
    assert [offer.manifest.round for offer in said(alone.link("late"), "late", Offer)] == [2, 3, 4]


def test_an_offer_for_neighbours_reaches_the_application_and_goes_no_further():
    alone, weights = LonePeer(), Weights("source/model")
    alone.link("source", "a")
    assert alone.hear("source", Offer(weights.manifest)) == [Offered(weights.manifest, "source")]
    assert said(alone.link("late"), "late", Offer) == []


def test_ones_own_offer_for_neighbours_reaches_those_who_come_later():
    alone, weights = LonePeer(), Weights("me/model")
    alone.publish(weights, offer=True)
    assert said(alone.link("late"), "late", Offer) == [Offer(weights.manifest)]


def test_whoever_passes_on_an_offer_for_neighbours_is_banned():
    alone = LonePeer()
    alone.link("a")
    out = alone.hear("a", Offer(Weights("source/model").manifest))
    assert [ban.peer for ban in done(out, Ban)] == ["a"]
