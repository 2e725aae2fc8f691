"""What a peer makes of chunks, and how fetches end."""

import pytest

from fedswarm.swarm.events import DialFailed, Forgotten, LinkDown, Misbehaved
from fedswarm.swarm.instructions import Accept, Acknowledge, Ban, Completed, Dial, Expired, Failed, HangUp
from fedswarm.swarm.messages import (
    Bitfield,
    Cancel,
    Forget,
    Interested,
    NotInterested,
    Unchoke,
    Verdict,
)
from fedswarm.swarm.strays import STRAYS_FORGIVEN
from tests.unit.swarm.lone_peer import SOON_S, LonePeer, Weights, answer_all, asked, done, said, verdicts


def test_a_right_chunk_is_accepted_and_acknowledged():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    out = alone.frame("a", weights, 2)
    assert done(out, Acknowledge) == [Acknowledge("a", weights.key, 2, Verdict.ACCEPTED)]
    assert done(out, Accept) == [Accept(weights.key, 2)]
    assert alone.peer.held(weights.key).bits.tolist() == [False, False, True, False]


def test_a_second_copy_is_acknowledged_but_not_accepted():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.link("a")
    alone.frame("a", weights, 0)
    out = alone.frame("a", weights, 0)
    assert (verdicts(out), done(out, Accept)) == ([Verdict.DUPLICATE], [])


@pytest.mark.parametrize(
    "payload",
    [lambda good: bytes(len(good)), lambda good: good[:-1], lambda good: good + b"\x00", lambda good: b""],
    ids=["other bytes", "too few", "too many", "none"],
)
def test_whoever_sends_a_wrong_chunk_is_banned_at_once_and_the_chunk_asked_of_another(payload):
    """Defect B3: whoever sent a chunk computed its checksum."""
    alone, weights = LonePeer(), Weights(chunks=1)
    alone.fetch(weights)
    alone.holders(weights, "liar")
    alone.wait(SOON_S)
    alone.holders(weights, "b")
    out = alone.frame("liar", weights, 0, payload=payload(weights.chunk(0)))
    assert [ban.peer for ban in done(out, Ban)] == ["liar"]
    assert done(out, Accept) == []
    assert asked(out, "b") == [0]


def test_a_chunk_is_stored_under_the_source_it_names_whoever_brings_it():
    """Defect B2: a relayed chunk was stored under the relay."""
    alone, weights, of_relay = LonePeer(), Weights("source"), Weights("relay")
    alone.fetch(weights)
    alone.fetch(of_relay)
    alone.link("relay")
    assert done(alone.frame("relay", weights, 1), Accept) == [Accept(weights.key, 1)]
    assert alone.peer.held(of_relay.key).count == 0


def test_a_chunk_that_does_not_exist_bans_whoever_sends_it():
    alone, weights = LonePeer(), Weights(chunks=4)
    alone.fetch(weights)
    alone.link("a")
    assert [ban.peer for ban in done(alone.frame("a", weights, 4, payload=b"x", relay=True), Ban)] == ["a"]


def test_frames_that_nobody_wants_ban_whoever_sends_many():
    alone, weights = LonePeer(), Weights(chunks=STRAYS_FORGIVEN + 1)
    alone.link("a")
    for index in range(STRAYS_FORGIVEN):
        assert verdicts(alone.frame("a", weights, index)) == [Verdict.UNWANTED]
    assert [ban.peer for ban in done(alone.frame("a", weights, STRAYS_FORGIVEN), Ban)] == ["a"]


@pytest.mark.parametrize("forgotten", [False, True])
def test_frames_that_were_under_way_when_a_fetch_ended_ban_nobody(forgotten):
    alone, weights = LonePeer(), Weights("source", chunks=2 * STRAYS_FORGIVEN)
    alone.fetch(weights, deadline_s=1.0)
    alone.link("source")
    alone.hear("source", Interested(weights.key))
    alone.wait(1.0)
    if forgotten:
        alone.tell(Forgotten(weights.key))
    for index in range(2 * STRAYS_FORGIVEN):
        out = alone.frame("source", weights, index)
        assert (verdicts(out), done(out, Ban)) == ([Verdict.UNWANTED], [])


def test_long_after_a_fetch_ended_its_frames_are_strays():
    alone, weights = LonePeer(dead_after_s=1000.0), Weights("source", chunks=2 * STRAYS_FORGIVEN)
    alone.fetch(weights, deadline_s=1.0)
    alone.link("source")
    alone.wait(100.0)
    out = [one for index in range(2 * STRAYS_FORGIVEN) for one in alone.frame("source", weights, index)]
    assert [ban.peer for ban in done(out, Ban)] == ["source"]


def test_a_fetch_is_complete_when_every_chunk_is_there():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.holders(weights, "a")
    out = answer_all(alone, weights, alone.wait(SOON_S), "a")
    assert done(out, Completed) == [Completed(weights.key)]
    assert len(done(out, Accept)) == 4


def test_weights_that_are_here_already_need_no_fetch():
    alone, weights = LonePeer(), Weights("me")
    alone.publish(weights)
    assert done(alone.fetch(weights), Completed) == [Completed(weights.key)]


def test_of_a_partial_fetch_only_the_chunks_wanted_are_asked_for():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights, indices=(1, 2))
    alone.holders(weights, "a")
    out = alone.wait(SOON_S)
    assert sorted(asked(out, "a")) == [1, 2]
    assert len(done(answer_all(alone, weights, out, "a"), Completed)) == 1


def test_a_chunk_outside_a_partial_fetch_is_unwanted():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights, indices=(1,))
    alone.link("a")
    assert verdicts(alone.frame("a", weights, 0)) == [Verdict.UNWANTED]


def test_at_its_deadline_a_fetch_ends_with_what_is_there():
    """Defect B12: only a server's clock ended an exchange, and a peer could not."""
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights, deadline_s=2.0)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    alone.frame("a", weights, 0)
    assert done(alone.wait(1.9), Expired) == []
    out = alone.wait(0.2)
    assert done(out, Expired) == [Expired(weights.key)]
    assert said(out, "a", NotInterested) == [NotInterested(weights.key)]
    assert [sorted(cancel.indices) for cancel in said(out, "a", Cancel)] == [[1, 2, 3]]
    assert alone.peer.held(weights.key).count == 1


def test_what_was_fetched_from_the_publisher_alone_until_a_deadline_is_not_served():
    alone, weights = LonePeer(), Weights("source")
    alone.holders(weights, "source")
    alone.fetch(weights, swarm=False, deadline_s=1.0)
    alone.frame("source", weights, 0)
    assert done(alone.wait(1.5), Expired) == [Expired(weights.key)]
    alone.link("a")
    assert said(alone.hear("a", Interested(weights.key)), "a", Bitfield) == []


def test_a_fetch_wanted_anew_without_a_deadline_has_none():
    alone, weights = LonePeer(), Weights()
    alone.link("a")
    alone.fetch(weights, deadline_s=2.0)
    alone.fetch(weights)
    assert done(alone.wait(3.0), Expired) == []


def test_a_forgotten_fetch_ends_without_a_word_to_the_application():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    out = alone.tell(Forgotten(weights.key))
    assert done(out, (Completed, Expired, Failed)) == []
    assert said(out, "a", NotInterested) == [NotInterested(weights.key)]
    assert alone.peer.held(weights.key) is None


def test_a_late_joiner_gets_everything_from_those_who_have_it():
    """Defect B19: nobody could join late."""
    alone, weights = LonePeer(), Weights("source")
    alone.holders(weights, "a", "b")
    out = alone.fetch(weights)
    out += [*alone.hear("a", weights.bits([0, 1])), *alone.hear("b", weights.bits([2, 3])), *alone.wait(SOON_S)]
    out += [*answer_all(alone, weights, out, "a"), *answer_all(alone, weights, out, "b")]
    assert len(done(out, Completed)) == 1


def gone(alone, publisher="source"):
    """The publisher's link breaks and it cannot be reached any more."""
    out = alone.tell(LinkDown(publisher, "gone"))
    for _ in range(3):
        out += alone.tell(DialFailed(publisher, "refused"))
    return out


def test_with_the_publisher_gone_peers_finish_a_fetch():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, publisher_target="source:1")
    alone.holders(weights, "source", "a")
    alone.wait(SOON_S)
    out = gone(alone)
    assert done(out, Failed) == []
    for index in range(4):
        out += alone.frame("a", weights, index)
    assert len(done(out, Completed)) == 1


def test_a_fetch_that_nobody_can_finish_fails_with_the_true_reason():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, publisher_target="source:1")
    alone.holders(weights, "source")
    alone.wait(SOON_S)
    alone.frame("source", weights, 0)
    (failed,) = done(gone(alone), Failed)
    assert failed.reason == ("round 0 of 'source': 3 of 4 chunks are missing and source cannot be reached: refused")
    assert not failed.corrupt


def test_a_fetch_from_a_publisher_that_lies_fails_as_corrupt():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights, swarm=False, publisher_target="source:1")
    alone.holders(weights, "source")
    alone.wait(SOON_S)
    (failed,) = done(alone.frame("source", weights, 0, payload=b"x"), Failed)
    assert failed.corrupt
    assert "wrong digest" in failed.reason


@pytest.mark.parametrize("swarm", [True, False])
def test_a_fetch_from_a_banned_publisher_fails(swarm):
    alone, weights = LonePeer(starvation_s=1.0), Weights("source")
    alone.link("source", "a")
    alone.tell(Misbehaved("source", "sent nonsense"))
    out = alone.fetch(weights, swarm=swarm, publisher_target="source:1", deadline_s=50.0)
    out += alone.wait(3.0)
    assert [failed.corrupt for failed in done(out, Failed)] == [True]
    assert done(out + alone.wait(100.0), Expired) == []


def test_a_lost_publisher_is_dialled_again_by_those_who_fetch_from_it_alone():
    alone, weights = LonePeer(), Weights("source")
    alone.link("source")
    alone.fetch(weights, swarm=False, publisher_target="source:7")
    assert done(alone.tell(LinkDown("source", "gone")), Dial) == [Dial("source", "source:7")]


def test_a_publisher_found_silent_is_dialled_again_once_its_link_is_ended():
    """Ending a link ends any attempt to open one: the order decides whether the new dial lives."""
    alone, weights = LonePeer(), Weights("source")
    alone.link("source")
    alone.fetch(weights, swarm=False, publisher_target="source:7")
    out = alone.wait(10.0)
    assert done(out, (HangUp, Dial)) == [HangUp("source", "silent for 8 s"), Dial("source", "source:7")]


def test_a_publisher_that_forgets_one_round_still_publishes_the_next():
    alone, old, new = LonePeer(), Weights("source"), Weights("source", round_index=1)
    alone.link("source")
    for weights in (old, new):
        alone.fetch(weights, swarm=False)
        alone.hear("source", Unchoke(), weights.bits())
    alone.wait(SOON_S)
    out = alone.hear("source", Forget(old.key))
    assert ["round 0" in failed.reason for failed in done(out, Failed)] == [True]
    assert new.key in {content.key for content in alone.peer._state.fetching()}
