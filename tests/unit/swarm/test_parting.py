"""Links that the topology has no longer end when both sides can do without them, and not before."""

import pytest

from fedswarm.swarm.events import Arranged, Departed, FetchWanted, Introduced, Leaving, LinkDown
from fedswarm.swarm.instructions import CloseDelivery, Dial, HangUp, TookLeave
from fedswarm.swarm.messages import (
    Acquaintances,
    Alive,
    Goodbye,
    Interested,
    Release,
    Retain,
    Unchoke,
    Want,
)
from tests.unit.swarm.lone_peer import SOON_S, LonePeer, Weights, address, asked, done, said

LONG_S = 20


def arranged(*peers):
    return Arranged(frozenset(peers))


def linked(*peers, named="b", **limits):
    """A peer linked with some that its topology names, and some that it does not."""
    alone = LonePeer(**limits)
    alone.tell(arranged(*named))
    alone.link(*peers)
    return alone


def wait(alone, seconds=LONG_S):
    """Lets time pass among neighbours that live."""
    return alone.wait_and_hear(seconds, *alone.peer.neighbours, message=Alive())


def word(instructions, peer):
    """What a neighbour is told of whether we need the link."""
    return [message for message in said(instructions, peer) if isinstance(message, Release | Retain)]


def test_a_link_ends_when_both_sides_can_do_without_it():
    alone = linked("a", "b")
    assert word(wait(alone), "a") == [Release()]
    out = alone.hear("a", Release())
    assert done(out, HangUp) == [HangUp("a", "the topology does without this link")]
    assert done(out, CloseDelivery) == [CloseDelivery("a")]
    assert alone.peer.neighbours == ("b",)


def test_who_hears_first_that_the_other_can_do_without_it_hangs_up_in_its_turn():
    alone = linked("a", "b")
    assert done(alone.hear("a", Release()), HangUp) == []
    out = wait(alone)
    assert word(out, "a") == [Release()]
    assert [one.peer for one in done(out, HangUp)] == ["a"]


def test_a_link_of_the_topology_is_never_released_whatever_the_other_side_says():
    alone = linked("a", "b", named="ab")
    out = [*alone.hear("a", Release()), *wait(alone)]
    assert (word(out, "a"), done(out, HangUp)) == ([], [])


def test_while_nobody_knows_the_topology_nothing_is_released():
    alone = LonePeer()
    alone.link("a", "b")
    assert word(wait(alone), "a") == []


def test_with_all_trackers_dead_what_was_released_is_retained():
    alone = linked("a", "b")
    wait(alone)
    assert word(alone.tell(Arranged(None)), "a") == [Retain()]
    assert done([*alone.hear("a", Release()), *wait(alone)], HangUp) == []


def test_nothing_is_released_before_all_links_of_the_topology_stand():
    alone = linked("a", "b", named="bc")
    assert word(wait(alone), "a") == []
    alone.link("c")
    assert word(wait(alone), "a") == [Release()]


def test_with_a_link_of_the_topology_lost_what_was_released_is_retained():
    alone = linked("a", "b")
    wait(alone)
    alone.tell(LinkDown("b", "gone"))
    assert word(alone.wait(2.0), "a") == [Retain()]


def test_a_peer_whose_topology_is_empty_keeps_what_it_has():
    assert word(wait(linked("a", named="")), "a") == []


def test_a_change_is_slept_on():
    alone = linked("a", "b", named="ab", part_after_s=3.0)
    wait(alone)
    alone.tell(arranged("b"))
    assert word(alone.wait(2.5), "a") == []
    assert word(alone.wait(1.0), "a") == [Release()]


def test_a_change_that_is_taken_back_is_taken_back_here_too():
    alone = linked("a", "b")
    wait(alone)
    assert word(alone.tell(arranged("a", "b")), "a") == [Retain()]
    assert done(alone.hear("a", Release()), HangUp) == []


def test_what_the_other_side_takes_back_holds_the_link():
    alone = linked("a", "b")
    alone.hear("a", Release())
    alone.hear("a", Retain())
    out = wait(alone)
    assert (word(out, "a"), done(out, HangUp)) == ([Release()], [])


def test_nobody_redials_a_link_that_ended():
    alone = LonePeer()
    alone.tell(Introduced((address("a"), address("b"), address("c"))))
    alone.link("a", "b", "c")
    alone.tell(Departed("a"))
    alone.tell(arranged("b", "c"))
    wait(alone)
    alone.hear("a", Release())
    alone.hear("b", Acquaintances((address("a"),), ()))
    assert done([*alone.tell(LinkDown("a", "gone")), *wait(alone, 100)], Dial) == []


def test_a_topology_of_few_links_has_nobody_look_for_company():
    """Three links were usual before; the two that are named now are enough."""
    alone = LonePeer(fewest_links=3)
    alone.tell(Introduced((address("a"), address("b"), address("c"))))
    alone.link("a", "b", "c")
    alone.tell(arranged("b", "c"))
    alone.hear("b", Acquaintances((address("d"),), ()))
    wait(alone)
    alone.hear("a", Release())
    assert done(wait(alone), Dial) == []


def test_who_ends_a_link_does_not_leave_the_job():
    """Our word that we need it after all came too late."""
    alone = linked("a", "b")
    wait(alone)
    alone.tell(arranged("a", "b"))
    alone.tell(Introduced((address("a"),)))
    out = alone.hear("a", Release(), Goodbye("the topology does without this link"))
    assert done(out, TookLeave) == []
    assert [dial.peer for dial in done([*alone.tell(LinkDown("a", "gone")), *alone.wait(2.0)], Dial)] == ["a"]


def test_who_leaves_the_job_says_so_also_on_links_that_it_released():
    alone = linked("a", "b")
    wait(alone)
    assert said(alone.tell(Leaving("done")), "a") == [Retain(), Goodbye("done")]
    alone = linked("a", "b")
    assert done(alone.hear("a", Release(), Retain(), Goodbye("done")), TookLeave) == [TookLeave("a")]


# ---- reasons of its own ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swarm", [True, False])
def test_a_publisher_is_held_while_its_weights_are_fetched(swarm):
    alone, weights = linked("a", "b"), Weights("a")
    alone.fetch(weights, swarm=swarm)
    assert word(wait(alone), "a") == []
    for index in range(4):
        alone.frame("a", weights, index)
    assert word(wait(alone), "a") == [Release()]


def test_a_fetch_that_begins_takes_the_word_back_at_once():
    alone, weights = linked("a", "b"), Weights("a")
    wait(alone)
    assert word(alone.tell(FetchWanted(weights.manifest, "a:1", swarm=False)), "a") == [Retain()]


def test_a_link_that_was_sought_for_a_fetch_waits_for_another_for_a_while():
    alone = linked("b", errand_s=60.0)
    weights = Weights("a")
    alone.fetch(weights, swarm=False, publisher_target="a:1")
    alone.link("a")
    for index in range(4):
        alone.frame("a", weights, index)
    assert word(wait(alone, 50), "a") == []
    assert word(wait(alone, 20), "a") == [Release()]


def test_who_was_introduced_in_passing_is_held_for_a_while():
    alone = linked("b", errand_s=60.0)
    alone.tell(Introduced((address("a"),), passing=True))
    alone.link("a")
    assert word(wait(alone, 50), "a") == []
    assert word(wait(alone, 20), "a") == [Release()]


def test_who_alone_holds_a_missing_chunk_is_held():
    alone, weights = linked("a", "b"), Weights("source")
    alone.fetch(weights)
    alone.hear("a", weights.bits())
    assert word(wait(alone), "a") == []
    alone.hear("b", weights.bits())
    assert word(wait(alone), "a") == [Release()]


def test_who_owes_chunks_is_held_though_others_have_them():
    alone, weights = linked("a", "b", silence_s=1000.0), Weights("source")
    alone.fetch(weights)
    alone.hear("b", weights.bits())
    alone.hear("a", Unchoke(), weights.bits())
    assert asked(alone.wait(SOON_S), "a") != []
    assert word(wait(alone), "a") == []


def test_who_is_being_sent_chunks_is_held():
    alone, weights = linked("a", "b"), Weights("me")
    alone.publish(weights)
    alone.hear("a", Interested(weights.key), Want(weights.key, (0,)))
    assert word(wait(alone), "a") == []
    alone.receipt("a", weights, 0)
    assert word(wait(alone), "a") == [Release()]
