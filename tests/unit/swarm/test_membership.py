"""Whom a peer is linked with: introductions, patience, heartbeats, peer exchange, bans."""

from itertools import pairwise

import pytest

from fedswarm.swarm.events import Departed, DialFailed, Introduced, Leaving, LinkDown, Misbehaved
from fedswarm.swarm.instructions import Ban, CloseDelivery, Dial, HangUp, TookLeave
from fedswarm.swarm.membership import MOST_REMEMBERED, REDIALS
from fedswarm.swarm.messages import Acquaintances, Alive, Goodbye
from tests.unit.swarm.lone_peer import LonePeer, Weights, address, done, said


def dialled(instructions):
    return [dial.peer for dial in done(instructions, Dial)]


def introduced(*peers):
    return Introduced(tuple(map(address, peers)))


def acquaintances(*peers, dropped=()):
    return Acquaintances(tuple(map(address, peers)), dropped)


def test_an_introduced_peer_is_dialled():
    assert done(LonePeer().tell(introduced("a")), Dial) == [Dial("a", "a:1")]


def test_a_peer_does_not_dial_itself():
    assert LonePeer().tell(introduced("me")) == []


def test_whoever_is_linked_or_being_dialled_is_not_dialled_again():
    alone = LonePeer()
    alone.link("a")
    assert dialled(alone.tell(introduced("a", "b"))) == ["b"]
    assert dialled(alone.tell(introduced("a", "b"))) == []


def test_a_link_that_breaks_is_sought_again():
    alone = LonePeer()
    alone.tell(introduced("a"))
    alone.link("a")
    assert dialled(alone.tell(LinkDown("a", "gone"))) == []
    assert dialled(alone.wait(2.0)) == ["a"]


def test_an_unreachable_peer_is_dialled_ever_more_patiently_and_given_up_in_the_end():
    alone = LonePeer()
    dials_s = []
    alone.tell(introduced("a"))
    for _ in range(REDIALS):
        dials_s.append(alone.now_s)
        alone.tell(DialFailed("a", "refused"))
        before = len(alone.did)
        alone.wait(40.0)
        again = [at_s for at_s, one in alone.did[before:] if isinstance(one, Dial)]
        if again:
            alone.now_s = again[0]
    pauses_s = [later - earlier for earlier, later in pairwise(dials_s)]
    assert len(dials_s) == REDIALS
    assert pauses_s[-1] > 3 * pauses_s[0]
    assert alone.wait(100.0) == []


def test_whoever_said_goodbye_is_not_dialled_again():
    alone = LonePeer()
    alone.tell(introduced("a"))
    alone.link("a")
    alone.hear("a", Goodbye("done"))
    alone.tell(LinkDown("a", "gone"))
    assert dialled(alone.wait(100.0)) == []


def test_a_goodbye_is_told_to_the_application():
    alone = LonePeer()
    alone.link("a")
    assert done(alone.hear("a", Goodbye("done")), TookLeave) == [TookLeave("a")]


def test_whoever_a_tracker_says_has_left_is_not_dialled_again_and_an_open_link_is_kept():
    alone = LonePeer()
    alone.tell(introduced("a"))
    alone.link("a")
    assert alone.tell(Departed("a")) == []
    assert alone.peer.neighbours == ("a",)
    alone.tell(LinkDown("a", "gone"))
    assert dialled(alone.wait(100.0)) == []


def test_a_silent_link_carries_heartbeats():
    alone = LonePeer(heartbeat_s=1.0, acquaintances_every_s=100.0)
    alone.link("a")
    assert said(alone.wait(5.5), "a", Alive) == [Alive()] * 5


def test_a_neighbour_that_is_silent_for_too_long_counts_as_dead():
    alone = LonePeer(dead_after_s=8.0)
    alone.link("a", "b")
    out = alone.wait_and_hear(12, "b", message=Alive())
    assert done(out, HangUp) == [HangUp("a", "silent for 8 s")]
    assert done(out, CloseDelivery) == [CloseDelivery("a")]
    assert alone.peer.neighbours == ("b",)


def test_neighbours_are_told_of_one_another_once():
    alone = LonePeer(acquaintances_every_s=2.0)
    alone.link("a", "b")
    first = alone.wait(2.5)
    assert said(first, "a", Acquaintances) == [acquaintances("b")]
    assert said(first, "b", Acquaintances) == [acquaintances("a")]
    assert said(alone.wait(2.0), "a", Acquaintances) == []


def test_neighbours_are_told_who_is_no_longer_linked():
    alone = LonePeer()
    alone.link("a", "b")
    alone.wait(2.5)
    alone.tell(LinkDown("b", "gone"))
    assert said(alone.wait(2.0), "a", Acquaintances) == [acquaintances(dropped=("b",))]


def test_whoever_told_of_a_peer_is_not_told_of_it():
    alone = LonePeer()
    alone.link("a", "b")
    alone.hear("a", acquaintances("b"))
    assert said(alone.wait(2.5), "a", Acquaintances) == []


def test_peers_that_were_only_heard_of_are_not_reported_as_lost():
    alone = LonePeer()
    alone.link("a")
    alone.hear("a", acquaintances("stranger"))
    assert said(alone.wait(4.5), "a", Acquaintances) == []


def test_a_message_of_peer_exchange_names_a_bounded_number_of_peers():
    alone = LonePeer(acquaintances_at_once=3)
    alone.link(*"abcdefgh")
    first, second, third = (said(alone.wait(2.0), "a", Acquaintances) for _ in range(3))
    assert [len(message.added) for message in (*first, *second, *third)] == [3, 3, 1]


def test_what_is_remembered_of_peers_heard_of_is_bounded():
    alone = LonePeer()
    alone.link("a")
    for first in range(0, 2 * MOST_REMEMBERED, 1000):
        alone.hear("a", acquaintances(*(f"p{number}" for number in range(first, first + 1000))))
    membership = alone.peer._membership
    assert len(membership._acquaintances) <= MOST_REMEMBERED
    assert len(membership._told["a"]) < 10


def test_with_its_links_lost_a_peer_dials_those_it_heard_of():
    """Defect B19: with the server gone there was no way to find others."""
    alone = LonePeer()
    alone.tell(introduced("a", "b"))
    alone.link("a", "b")
    alone.hear("a", acquaintances("c"))
    alone.hear("b", Goodbye("done"))
    assert dialled(alone.tell(LinkDown("b", "gone"))) == ["c"]


def test_a_peer_that_was_dialled_by_all_its_neighbours_keeps_company_too():
    alone = LonePeer()
    alone.link("a", "b")
    alone.hear("a", acquaintances("c"))
    assert dialled(alone.tell(LinkDown("b", "gone"))) == ["c"]


def test_a_peer_of_a_ring_dials_nobody_it_was_not_introduced_to():
    """Defect B18: links beyond the topology would make it another one."""
    alone = LonePeer(fewest_links=3)
    alone.tell(introduced("left", "right"))
    alone.link("left", "right")
    assert dialled(alone.hear("left", acquaintances("further left"))) == []
    assert dialled(alone.wait(2.0)) == []


def test_a_link_sought_for_a_fetch_is_no_company_to_be_kept():
    alone = LonePeer()
    alone.tell(introduced("left", "right"))
    alone.link("left", "right")
    alone.fetch(Weights("source"), publisher_target="source:1")
    alone.link("source")
    alone.hear("left", acquaintances("further left"))
    alone.hear("source", Goodbye("done"))
    assert dialled(alone.tell(LinkDown("source", "gone"))) == []


def test_a_banned_peer_is_neither_welcome_nor_dialled():
    alone = LonePeer()
    alone.link("a")
    out = alone.tell(Misbehaved("a", "sent nonsense"))
    assert done(out, Ban) == [Ban("a", "sent nonsense")]
    assert not alone.peer.welcomes("a")
    assert done(alone.link("a"), HangUp) == [HangUp("a", "not welcome")]
    assert alone.tell(introduced("a")) == []
    alone.link("b")
    assert dialled(alone.hear("b", acquaintances("a"))) == []


def test_a_peer_is_banned_once():
    alone = LonePeer()
    assert done(alone.tell(Misbehaved("a", "sent nonsense")), Ban) != []
    assert alone.tell(Misbehaved("a", "sent nonsense again")) == []


def test_who_was_banned_first_is_forgotten_when_too_many_are():
    """A name costs its bearer nothing: whoever errs under ever new ones must not fill our memory."""
    alone = LonePeer(most_banned=2)
    for peer in ("a", "b", "c"):
        alone.tell(Misbehaved(peer, "sent nonsense"))
    assert [alone.peer.welcomes(peer) for peer in ("a", "b", "c")] == [True, False, False]


def test_a_full_house_sends_newcomers_away():
    alone = LonePeer(most_links=2)
    alone.link("a", "b")
    assert not alone.peer.welcomes("c")
    assert alone.peer.welcomes("a")
    assert done(alone.link("c"), HangUp) == [HangUp("c", "not welcome")]
    assert alone.peer.neighbours == ("a", "b")


def test_a_new_link_of_a_neighbour_replaces_the_old_one():
    alone = LonePeer(most_links=2)
    alone.link("a", "b")
    assert done(alone.link("a"), HangUp) == []
    assert set(alone.peer.neighbours) == {"a", "b"}


def test_whoever_leaves_says_goodbye_to_all_and_seeks_nobody():
    alone = LonePeer()
    alone.tell(introduced("a", "b", "c"))
    alone.link("a", "b")
    out = alone.tell(Leaving("done"))
    assert [said(out, peer, Goodbye) for peer in "ab"] == [[Goodbye("done")]] * 2
    assert {hang_up.peer for hang_up in done(out, HangUp)} == {"a", "b"}
    assert not alone.peer.welcomes("d")
    assert alone.tell(introduced("d")) == []


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_failed_dial_of_a_peer_that_dialled_us_meanwhile_does_not_count(failures):
    alone = LonePeer(publisher_attempts=1)
    weights = Weights("source")
    alone.fetch(weights, publisher_target="source:1")
    alone.link("source")
    alone.tell(Departed("source"))
    for _ in range(failures):
        assert alone.tell(DialFailed("source", "refused")) == []
    assert alone.peer._state.contents[weights.key].fetch.publisher_fault is None
