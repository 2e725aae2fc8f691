"""Weights that are fetched while they are made: their publisher names the digests one by one."""

from fedswarm.swarm.events import DialFailed, LinkDown
from fedswarm.swarm.instructions import Accept, Ban, Failed
from fedswarm.swarm.messages import (
    Bitfield,
    Cancel,
    Final,
    Interested,
    Unchoke,
    Verdict,
)
from tests.unit.swarm.lone_peer import SOON_S, LonePeer, Weights, asked, done, said, verdicts


def test_chunks_of_growing_weights_are_asked_for_once_their_publisher_named_the_digest():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, growing=True)
    alone.link("source")
    alone.hear("source", Unchoke())
    assert asked(alone.wait(SOON_S), "source") == []
    alone.hear("source", Final(weights.key, 1, (weights.digest(1), weights.digest(2))))
    assert sorted(asked(alone.wait(SOON_S), "source")) == [1, 2]
    assert done(alone.frame("source", weights, 1), Accept) == [Accept(weights.key, 1)]


def test_nobody_but_the_publisher_is_believed_about_digests():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, growing=True)
    alone.holders(weights, "liar")
    alone.hear("liar", Final(weights.key, 0, (weights.digest(1),)))
    assert asked(alone.wait(SOON_S), "liar") == []
    assert verdicts(alone.frame("liar", weights, 0)) == [Verdict.UNWANTED]


def test_a_digest_once_named_stays():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, growing=True)
    alone.link("source")
    alone.hear("source", Final(weights.key, 0, (weights.digest(0),)), Final(weights.key, 0, (weights.digest(1),)))
    assert done(alone.frame("source", weights, 0), Accept) == [Accept(weights.key, 0)]


def test_digests_of_chunks_that_do_not_exist_ban_the_publisher_and_harm_nobody():
    alone, weights = LonePeer(), Weights("source", chunks=4)
    alone.fetch(weights, growing=True)
    alone.holders(weights, "a")
    alone.link("source")
    out = alone.hear("source", Final(weights.key, 3, (weights.digest(3), weights.digest(0))))
    assert [ban.peer for ban in done(out, Ban)] == ["source"]
    alone.wait(1.0)
    assert alone.peer._state.contents[weights.key].digests == {}


def test_who_fetched_growing_weights_tells_what_it_holds_of_them_and_no_digests():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, growing=True)
    alone.link("source", "late")
    alone.hear("source", Unchoke(), Final(weights.key, 1, (weights.digest(1), weights.digest(2))))
    alone.wait(SOON_S)
    alone.frame("source", weights, 1)
    told = alone.hear("late", Interested(weights.key))
    assert said(told, "late", Bitfield) == [weights.bits([1])]
    assert said(told, "late", Final) == []


def test_a_fetch_fails_without_its_publisher_when_neighbours_hold_only_chunks_whose_digests_it_did_not_name():
    alone, weights = LonePeer(publisher_attempts=1), Weights("source")
    alone.fetch(weights, growing=True)
    alone.holders(weights, "a")
    alone.link("source")
    alone.hear("source", Final(weights.key, 0, (weights.digest(0),)))
    alone.frame("a", weights, 0)
    alone.tell(LinkDown("source", "reset"))
    alone.wait(1.0)
    alone.tell(DialFailed("source", "refused"))
    out = alone.wait_and_hear(8, "a", message=Unchoke())
    assert [failed.key for failed in done(out, Failed)] == [weights.key]


def test_who_sends_other_bytes_than_the_publisher_named_is_asked_for_no_more_of_these_weights_but_not_banned():
    alone, weights, others = LonePeer(), Weights("source"), Weights("other")
    alone.fetch(weights, growing=True)
    alone.holders(weights, "a")
    alone.link("source")
    alone.hear("source", Final(weights.key, 0, (weights.digest(1), weights.digest(1), weights.digest(2))))
    assert sorted(asked(alone.wait(SOON_S), "a")) == [0, 1, 2]
    out = alone.frame("a", weights, 0)
    assert (done(out, Ban), verdicts(out)) == ([], [Verdict.UNWANTED])
    assert [sorted(cancel.indices) for cancel in said(out, "a", Cancel)] == [[1, 2]]
    alone.hear("a", weights.bits())
    assert asked(alone.wait(1.0), "a") == []
    alone.fetch(others)
    alone.hear("a", others.bits())
    assert sorted(asked(alone.wait(1.0), "a")) == [0, 1, 2, 3]


def test_a_publisher_that_does_not_keep_its_word_is_banned():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, growing=True)
    alone.link("source")
    alone.hear("source", Final(weights.key, 0, (weights.digest(1),)))
    assert [ban.peer for ban in done(alone.frame("source", weights, 0), Ban)] == ["source"]
