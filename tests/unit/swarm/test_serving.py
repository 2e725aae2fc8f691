"""Whom a peer answers, what it announces and to whom, what it relays."""

import pytest

from fedswarm.swarm.bitfield import Bitfield as Bits
from fedswarm.swarm.events import DeliveryLost, LinkDown, Spreading
from fedswarm.swarm.instructions import Deliver
from fedswarm.swarm.messages import (
    Bitfield,
    Cancel,
    Choke,
    Have,
    Interested,
    Lack,
    NotInterested,
    Relieve,
    Unchoke,
    Want,
)
from tests.unit.swarm.lone_peer import (
    SOON_S,
    LonePeer,
    Weights,
    asked,
    delivered,
    done,
    relay,
    said,
    told_to_hold,
)

SLOW_BPS = 1_000_000
"""An uplink on which two frames may be under way."""


def publisher(weights, *neighbours, spreading=Spreading.ANSWER, **how):
    """A peer that publishes weights and whose neighbours are interested in them."""
    alone = LonePeer(**how)
    alone.publish(weights, spreading)
    alone.link(*neighbours)
    for peer in neighbours:
        alone.hear(peer, Interested(weights.key))
    return alone


# ---- who is answered -------------------------------------------------------------------------------------------------


def test_a_link_has_four_flags_and_begins_choked_and_without_interest():
    """Defect B5: one set stood for both directions."""
    alone, weights = LonePeer(), Weights("me")
    alone.link("a")
    link = alone.peer._state.neighbours["a"]
    flags = ["am_choking", "peer_choking", "am_interested", "peer_interested"]
    assert [getattr(link, flag) for flag in flags] == [True, True, False, False]
    alone.publish(weights)
    alone.hear("a", Interested(weights.key))
    assert [getattr(link, flag) for flag in flags] == [False, True, False, True]
    alone.hear("a", Unchoke(), Choke())
    alone.fetch(Weights("other"))
    assert [getattr(link, flag) for flag in flags] == [False, True, True, True]


def test_whoever_is_interested_hears_what_there_is_and_is_answered():
    alone, weights = LonePeer(), Weights("me")
    alone.publish(weights)
    alone.link("a")
    out = alone.hear("a", Interested(weights.key))
    assert said(out, "a") == [weights.bits(), Unchoke()]


def test_requests_are_answered_once_each_in_their_order():
    """Defect B1: each requested chunk went out twice."""
    weights = Weights("me", chunks=6)
    alone = publisher(weights, "a")
    out = alone.hear("a", Want(weights.key, (4, 1, 3)), Want(weights.key, (1,)))
    assert delivered(out, "a") == [4, 1, 3]
    assert not any(one.relay for one in done(out, Deliver))


def test_requests_of_a_choked_neighbour_are_void():
    weights = Weights("me")
    alone = publisher(weights, "a", "b", upload_slots=1)
    assert alone.peer._state.neighbours["b"].am_choking
    assert delivered(alone.hear("b", Want(weights.key, (0,))), "b") == []


def test_what_waits_for_a_neighbour_is_void_once_it_is_choked():
    weights = Weights("me", chunks=8)
    alone = publisher(weights, "a", upload_slots=1, uplink_bps=SLOW_BPS)
    alone.hear("a", Want(weights.key, tuple(range(8))))
    alone.hear("a", NotInterested(weights.key))
    assert delivered(alone.receipt("a", weights, 0, 1), "a") == []


def test_a_neighbour_that_wants_nothing_more_gives_its_slot_to_another():
    weights = Weights("me")
    alone = publisher(weights, "a", "b", upload_slots=1)
    out = alone.hear("a", NotInterested(weights.key))
    assert said(out, "a", Choke) == [Choke()]
    assert said(out, "b", Unchoke) == [Unchoke()]


def test_a_slot_goes_round_among_those_who_wait():
    """Defect B5: nobody was ever choked or unchoked."""
    weights = Weights("me")
    alone = publisher(weights, *"abcdef", upload_slots=2, rechoke_s=1.0, dead_after_s=1000.0)
    out = alone.wait(60.0)
    assert all(said(out, peer, Unchoke) for peer in "cdef")
    assert sum(not link.am_choking for link in alone.peer._state.neighbours.values()) == 2


def test_what_is_scattered_is_answered_to_all_at_the_same_time():
    weights = Weights("me")
    alone = publisher(weights, *"abc", spreading=Spreading.SCATTER, upload_slots=1)
    alone.wait(5.0)
    assert all(delivered(alone.hear(peer, Want(weights.key, (0,))), peer) == [0] for peer in "abc")


def test_whoever_wants_scattered_weights_takes_no_slot_from_others():
    scattered, others = Weights("me"), Weights("me", round_index=1)
    alone = publisher(scattered, "a", spreading=Spreading.SCATTER, upload_slots=1)
    alone.publish(others)
    alone.link("b")
    assert said(alone.hear("b", Interested(others.key)), "b", Unchoke)


def test_whoever_asked_for_scattered_weights_too_early_is_answered_once_they_are_here():
    weights, others = Weights("me"), Weights("me", round_index=1)
    alone = publisher(others, "a", upload_slots=1)
    alone.link("b")
    alone.hear("b", Interested(weights.key))
    assert said(alone.publish(weights, Spreading.SCATTER), "b", Unchoke)


def test_what_is_not_held_is_said_to_be_lacking():
    weights = Weights("source")
    alone = relay(weights, "a")
    alone.frame("source", weights, 1)
    out = alone.hear("a", Want(weights.key, (0, 1, 2)))
    assert delivered(out, "a") == [1]
    assert said(out, "a", Lack) == [Lack(weights.key, (0, 2))]


def test_chunks_of_weights_never_heard_of_are_lacking():
    alone, weights = LonePeer(), Weights("source")
    alone.link("a")
    alone.hear("a", Interested(weights.key))
    assert said(alone.hear("a", Want(weights.key, (0,))), "a") == [Lack(weights.key, (0,))]


def test_weights_fetched_from_their_publisher_alone_are_served_to_nobody():
    alone, weights = LonePeer(), Weights("source")
    alone.link("source", "a")
    alone.fetch(weights, swarm=False)
    alone.frame("source", weights, 0)
    out = alone.hear("a", Interested(weights.key), Want(weights.key, (0,)))
    assert said(out, "a", Bitfield) == []
    assert said(out, "a", Lack) == [Lack(weights.key, (0,))]


def test_a_cancelled_request_is_not_answered():
    weights = Weights("me", chunks=4)
    alone = publisher(weights, "a", uplink_bps=SLOW_BPS)
    assert delivered(alone.hear("a", Want(weights.key, (0, 1, 2, 3))), "a") == [0, 1]
    alone.hear("a", Cancel(weights.key, (2,)))
    assert delivered(alone.receipt("a", weights, 0, 1), "a") == [3]


def test_frames_that_a_broken_stream_lost_are_sent_again():
    weights = Weights("me")
    alone = publisher(weights, "a")
    alone.hear("a", Want(weights.key, (0, 1)))
    alone.receipt("a", weights, 0)
    assert delivered(alone.tell(DeliveryLost("a", "reset")), "a") == [1]


def test_whoever_asked_before_the_weights_were_here_is_answered_once_they_are():
    alone, weights = LonePeer(), Weights("me")
    alone.link("a")
    alone.hear("a", Interested(weights.key))
    assert said(alone.publish(weights), "a") == [weights.bits()]


# ---- relaying --------------------------------------------------------------------------------------------------------


def test_a_chunk_to_be_relayed_goes_to_all_who_want_it_but_the_publisher_and_holders():
    weights = Weights("source")
    alone = relay(weights, "a", "holder")
    alone.link("stranger")
    alone.hear("holder", weights.bits([0]))
    out = alone.frame("source", weights, 0, relay=True)
    assert [(one.peer, one.relay) for one in done(out, Deliver)] == [("a", False)]


def test_whoever_joins_later_gets_what_is_ours_to_relay():
    weights = Weights("source")
    alone = relay(weights)
    alone.frame("source", weights, 0, relay=True)
    alone.frame("source", weights, 1)
    alone.link("late")
    assert delivered(alone.hear("late", Interested(weights.key)), "late") == [0]


def test_nobody_but_the_publisher_makes_us_relay():
    weights = Weights("source")
    alone = relay(weights, "a", "b")
    assert done(alone.frame("b", weights, 0, relay=True), Deliver) == []


def test_a_chunk_that_is_ours_to_relay_is_relayed_although_it_was_here_already():
    weights = Weights("source")
    alone = relay(weights, "a", "b")
    alone.frame("b", weights, 0)
    assert delivered(alone.frame("source", weights, 0, relay=True), "a") == [0]


def test_an_owner_that_is_relieved_does_not_send():
    weights = Weights("source", chunks=4)
    alone = relay(weights, "a", uplink_bps=SLOW_BPS)
    for index in range(4):
        alone.frame("source", weights, index, relay=True)
    alone.hear("source", Relieve(weights.key, "a", (2,)))
    assert delivered(alone.receipt("a", weights, 0, 1), "a") == [3]


def test_nobody_but_the_publisher_relieves():
    weights = Weights("source", chunks=4)
    alone = relay(weights, "a", "liar", uplink_bps=SLOW_BPS)
    for index in range(3):
        alone.frame("source", weights, index, relay=True)
    alone.hear("liar", Relieve(weights.key, "a", (0, 1, 2)))
    sent = [one for _, one in alone.did if isinstance(one, Deliver)]
    alone.receipt(sent[0].peer, weights, sent[0].index)
    assert len([one for _, one in alone.did if isinstance(one, Deliver)]) > len(sent)


def test_what_waits_for_somebody_who_has_it_meanwhile_is_not_sent():
    weights = Weights("source", chunks=3)
    alone = relay(weights, "a", uplink_bps=SLOW_BPS)
    for index in range(3):
        alone.frame("source", weights, index, relay=True)
    alone.hear("a", Have(weights.key, ((2, 1),)))
    assert delivered(alone.receipt("a", weights, 0, 1), "a") == []


@pytest.mark.parametrize("end", [lambda key: NotInterested(key), lambda key: None], ids=["not interested", "gone"])
def test_what_is_ours_to_relay_is_not_sent_to_whoever_wants_it_no_longer(end):
    weights = Weights("source", chunks=8)
    alone = relay(weights, "a", uplink_bps=SLOW_BPS)
    for index in range(8):
        alone.frame("source", weights, index, relay=True)
    if message := end(weights.key):
        alone.hear("a", message)
    else:
        alone.tell(LinkDown("a", "gone"))
    assert delivered([*alone.receipt("a", weights, 0, 1), *alone.wait(1.0)], "a") == []


# ---- pushing and super-seeding ---------------------------------------------------------------------------------------


def test_a_push_hands_each_chunk_to_one_owner():
    weights = Weights("me", chunks=2)
    alone = LonePeer()
    alone.publish(weights, Spreading.PUSH)
    alone.link("a", "b", uplink_bps=10_000_000)
    out = [*alone.hear("a", Interested(weights.key)), *alone.hear("b", Interested(weights.key))]
    assert said(out, "a", Interested | Bitfield) == [Interested(weights.key)]
    given = [one for one in done(out, Deliver) if one.relay]
    assert sorted(one.index for one in given) == [0, 1]


def test_whoever_wants_pushed_weights_again_is_pushed_to_again():
    weights = Weights("me", chunks=2)
    alone = publisher(weights, "a", spreading=Spreading.PUSH)
    alone.receipt("a", weights, *delivered([one for _, one in alone.did], "a"))
    alone.hear("a", NotInterested(weights.key))
    out = [*alone.hear("a", Interested(weights.key)), *alone.wait(1.0)]
    assert sorted(delivered(out, "a")) == [0, 1]


def test_a_super_seeding_publisher_shows_different_chunks_to_different_neighbours_first():
    weights = Weights("me", chunks=16)
    alone = LonePeer()
    alone.publish(weights, Spreading.SEED)
    alone.link("a", "b")
    shown = [told_to_hold(alone.hear(peer, Interested(weights.key)), peer) for peer in "ab"]
    assert sorted(shown[0] + shown[1]) == list(range(16))


def test_a_super_seeding_publisher_shows_all_once_everything_was_taken():
    weights = Weights("me", chunks=2)
    alone = publisher(weights, "a", spreading=Spreading.SEED)
    alone.link("b")
    alone.hear("b", Interested(weights.key))
    alone.hear("a", Want(weights.key, (0, 1)))
    assert said(alone.receipt("a", weights, 0, 1), "b", Bitfield) == [weights.bits()]


def test_with_nobody_to_serve_nothing_is_left_to_do_but_heartbeats():
    weights = Weights("me")
    alone = publisher(weights, "a")
    alone.hear("a", NotInterested(weights.key))
    assert done(alone.wait(5.0), Deliver) == []
    assert asked(alone.wait(SOON_S), "a") == []


def test_a_bitfield_is_packed():
    """Defect B20: bitfields were lists of dictionaries."""
    weights = Weights("me", chunks=17)
    alone, held = LonePeer(), Bits(17)
    held.add_run(0, 17)
    alone.publish(weights)
    alone.link("a")
    (told,) = said(alone.hear("a", Interested(weights.key)), "a", Bitfield)
    assert told.bits == held.packed() == b"\xff\xff\x01"
