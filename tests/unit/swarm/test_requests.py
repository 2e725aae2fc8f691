"""What a peer asks of whom: interest, requests, holders that are slow, the end game."""

from itertools import chain

import pytest

from fedswarm.swarm.chunks import MIB
from fedswarm.swarm.events import LinkDown
from fedswarm.swarm.instructions import Ban, Completed, Expired, Failed
from fedswarm.swarm.messages import (
    Bitfield,
    Cancel,
    Choke,
    Forget,
    Have,
    Interested,
    Lack,
    NotInterested,
    Unchoke,
    Verdict,
)
from tests.unit.swarm.lone_peer import CHUNK_BYTES, SOON_S, LonePeer, Weights, answer_all, asked, done, said, verdicts


def test_every_neighbour_is_told_that_weights_are_of_interest():
    """Defect B6: INTERESTED was never sent."""
    alone, weights = LonePeer(), Weights()
    alone.link("a")
    assert said(alone.fetch(weights), "a") == [Interested(weights.key)]
    assert said(alone.link("b"), "b", Interested) == [Interested(weights.key)]


def test_neighbours_are_told_when_nothing_more_is_wanted():
    """Defect B6: NOT_INTERESTED did not exist."""
    alone, weights = LonePeer(), Weights(chunks=1)
    alone.fetch(weights)
    alone.holders(weights, "a", "b")
    out = answer_all(alone, weights, alone.wait(SOON_S), "a") or answer_all(alone, weights, alone.wait(SOON_S), "b")
    assert [said(out, peer, NotInterested) for peer in "ab"] == [[NotInterested(weights.key)]] * 2


def test_of_a_fetch_from_the_publisher_alone_only_the_publisher_is_told():
    alone, weights = LonePeer(), Weights("source")
    alone.link("a", "source")
    out = alone.fetch(weights, swarm=False)
    assert said(out, "a") == []
    assert said(out, "source") == [Interested(weights.key)]


def test_nothing_is_asked_of_a_neighbour_that_chokes():
    """Defect B5: one set stood for those we choke and those that choke us."""
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.link("a")
    alone.hear("a", weights.bits())
    assert asked(alone.wait(SOON_S), "a") == []
    assert sorted(asked(alone.hear("a", Unchoke()), "a")) == [0, 1, 2, 3]


def test_only_chunks_that_a_neighbour_told_of_are_asked_of_it():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.link("a", "b")
    alone.hear("a", Unchoke(), weights.bits([1, 3]))
    alone.hear("b", Unchoke(), Have(weights.key, ((0, 1), (2, 1))))
    out = alone.wait(SOON_S)
    assert (sorted(asked(out, "a")), sorted(asked(out, "b"))) == ([1, 3], [0, 2])


def test_each_chunk_is_asked_of_one_holder_and_the_holders_share_the_work():
    """Defect B7: the first holder in order of names was asked for everything."""
    alone, weights = LonePeer(), Weights(chunks=12)
    alone.fetch(weights)
    alone.holders(weights, "a", "b", "c")
    out = alone.wait(SOON_S)
    shares = [asked(out, peer) for peer in "abc"]
    assert sorted(chain(*shares)) == list(range(12))
    assert [len(share) for share in shares] == [4, 4, 4]


def test_what_is_announced_first_is_not_asked_for_first():
    """Defect B8: requests followed announcements, past the sorting by rarity."""
    alone, weights = LonePeer(), Weights(chunks=40)
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.link("b")
    alone.hear("b", weights.bits(range(39)))
    assert asked(alone.wait(SOON_S), "a")[0] == 39


def test_importance_is_the_publishers_word_and_breaks_ties_of_rarity():
    """Defect B9: relays announced no importance, and the first neighbour's word counted."""
    alone, weights = LonePeer(), Weights(chunks=4, importance=bytes([1, 9, 5, 7]))
    alone.fetch(weights)
    alone.holders(weights, "a")
    assert asked(alone.wait(SOON_S), "a") == [1, 3, 2, 0]


def test_many_requests_are_under_way_at_once_within_the_pipeline():
    """Defect B22: one batch was in flight a neighbour."""
    alone, weights = LonePeer(pipeline_bytes=2 * CHUNK_BYTES), Weights(chunks=8)
    alone.fetch(weights)
    alone.holders(weights, "a")
    out = alone.wait(SOON_S)
    assert len(asked(out, "a")) == 2
    assert len(asked(alone.frame("a", weights, asked(out, "a")[0]), "a")) == 1


def test_a_neighbour_that_answers_fast_is_asked_for_more_at_a_time():
    alone, weights = LonePeer(pipeline_bytes=8 * MIB), Weights(chunks=64)
    alone.fetch(weights)
    alone.holders(weights, "a")
    first = asked(alone.wait(SOON_S), "a")
    more = [asked(alone.frame("a", weights, index), "a") for index in first]
    assert len(list(chain(*more))) > len(first)


def test_a_choke_voids_requests_and_the_chunks_are_asked_of_others():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.holders(weights, "a")
    assert len(asked(alone.wait(SOON_S), "a")) == 4
    alone.holders(weights, "b")
    alone.wait(SOON_S)
    assert sorted(asked(alone.hear("a", Choke()), "b")) == [0, 1, 2, 3]


def test_after_a_choke_an_unchoke_has_a_neighbour_asked_again():
    alone, weights = LonePeer(), Weights()
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    alone.hear("a", Choke())
    assert sorted(asked(alone.hear("a", Unchoke()), "a")) == [0, 1, 2, 3]


def test_what_a_neighbour_lacks_is_asked_of_another():
    alone, weights = LonePeer(), Weights(chunks=1)
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    alone.holders(weights, "b")
    assert asked(alone.hear("a", Lack(weights.key, (0,))), "b") == [0]


def test_weights_that_a_neighbour_forgets_are_asked_of_another():
    alone, weights = LonePeer(), Weights(chunks=1)
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    alone.holders(weights, "b")
    assert asked(alone.hear("a", Forget(weights.key)), "b") == [0]


def test_the_requests_of_a_lost_link_are_made_elsewhere():
    alone, weights = LonePeer(), Weights(chunks=2)
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    alone.holders(weights, "b")
    assert sorted(asked(alone.tell(LinkDown("a", "gone")), "b")) == [0, 1]


@pytest.mark.parametrize(
    "message",
    [
        lambda key: Have(key, ((3, 2),)),
        lambda key: Have(key, ((2, 1), (1, 1))),
        lambda key: Bitfield(key, b"\xff"),
        lambda key: Bitfield(key, b"\x01\x00"),
    ],
    ids=["chunks beyond the last", "runs out of order", "bits beyond the last", "too many bytes"],
)
def test_whoever_announces_what_cannot_be_is_banned(message):
    """Defect B20: announcements were unbounded lists."""
    alone, weights = LonePeer(), Weights(chunks=4)
    alone.fetch(weights)
    alone.link("a")
    assert [ban.peer for ban in done(alone.hear("a", message(weights.key)), Ban)] == ["a"]


def stalled(weights, **limits):
    """A peer whose neighbour ``a`` was asked for everything and has answered nothing for long; ``b`` has it too."""
    alone = LonePeer(dead_after_s=1000.0, **limits)
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(1.0)
    alone.holders(weights, "b")
    return alone, alone.wait(2.5)


def test_what_a_stalled_neighbour_owes_is_asked_of_others():
    """Defect B11: time-outs were fixed; here they follow response times."""
    _, out = stalled(Weights())
    assert sorted(asked(out, "b")) == [0, 1, 2, 3]


def test_a_stalled_neighbour_whose_answer_comes_after_all_is_asked_again():
    weights = Weights(chunks=64)
    alone, _ = stalled(weights, pipeline_bytes=4 * CHUNK_BYTES)
    late = [index for _, index in alone.peer._state.neighbours["a"].asked]
    assert asked([one for index in late for one in alone.frame("a", weights, index)], "a") != []


def test_a_stalled_neighbour_that_chokes_and_unchokes_is_asked_again():
    weights = Weights(chunks=64)
    alone, _ = stalled(weights, pipeline_bytes=4 * CHUNK_BYTES)
    alone.hear("a", Choke())
    assert asked(alone.hear("a", Unchoke()), "a") != []


def test_a_neighbour_that_stalled_in_one_fetch_is_asked_again_in_the_next():
    weights = Weights()
    alone, out = stalled(weights)
    answer_all(alone, weights, out, "b")
    later = Weights(round_index=1)
    alone.fetch(later)
    alone.hear("a", later.bits())
    assert asked(alone.wait(0.2), "a") != []


def test_the_publisher_that_stalled_in_one_fetch_is_asked_again_in_the_next_from_it_alone():
    alone, weights = LonePeer(dead_after_s=1000.0), Weights("source")
    alone.fetch(weights, swarm=False, deadline_s=5.0)
    alone.holders(weights, "source")
    assert len(done(alone.wait(6.0), Expired)) == 1
    later = Weights("source", round_index=1)
    alone.fetch(later, swarm=False)
    alone.hear("source", later.bits())
    assert len(asked(alone.wait(0.2), "source")) == 4


def test_whoever_answered_nothing_for_long_is_given_up():
    alone, weights = LonePeer(dead_after_s=1000.0, silence_s=10.0), Weights("source")
    alone.fetch(weights)
    alone.holders(weights, "source")
    out = alone.wait(30.0)
    assert [failed.corrupt for failed in done(out, Failed)] == [False]
    assert "answered nothing for 10 s" in done(out, Failed)[0].reason


def end_game():
    """Neighbour ``a`` answers within 10 ms, but one chunk it keeps; ``b`` has it too."""
    alone, weights = LonePeer(), Weights(chunks=6)
    alone.fetch(weights)
    alone.holders(weights, "a")
    indices = asked(alone.wait(SOON_S), "a")
    for index in indices[:-1]:
        alone.now_s += 0.01
        alone.frame("a", weights, index)
    alone.holders(weights, "b", "c")
    return alone, weights, indices[-1]


def test_in_the_end_game_one_other_is_asked_for_what_is_late():
    alone, _, late = end_game()
    out = alone.wait(0.6)
    assert sorted(asked(out, "b") + asked(out, "c")) == [late]


def test_whoever_loses_the_end_game_is_told_to_cancel():
    """Defect: no CANCEL was ever sent."""
    alone, weights, late = end_game()
    winner = "b" if asked(alone.wait(0.6), "b") else "c"
    out = alone.frame(winner, weights, late)
    assert said(out, "a", Cancel) == [Cancel(weights.key, (late,))]
    assert len(done(out, Completed)) == 1


def test_a_frame_that_a_cancel_comes_too_late_for_is_no_stray():
    alone, weights, late = end_game()
    winner = "b" if asked(alone.wait(0.6), "b") else "c"
    alone.frame(winner, weights, late)
    assert verdicts(alone.frame("a", weights, late)) == [Verdict.DUPLICATE]
    assert alone.peer._state.neighbours["a"].strays == 0


def test_what_is_pushed_is_not_asked_for_until_it_is_overdue():
    alone, weights = LonePeer(push_quiet_s=0.5), Weights("source")
    alone.fetch(weights)
    alone.link("source")
    alone.hear("source", Unchoke(), Interested(weights.key))
    alone.holders(weights, "a")
    assert asked(alone.wait(0.3), "a") == []
    assert sorted(asked(alone.wait(0.5), "a")) == [0, 1, 2, 3]
