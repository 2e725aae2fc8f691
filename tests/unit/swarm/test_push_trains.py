"""How many chunks a publisher gives out at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import build_manifest
from fedswarm.swarm.relay_push import TAIL_CHUNKS, TRAINS_IN_BACKLOG, RelayPush

CHUNK = 16 * 1024
MBPS = 1_000_000
MOST = 8


def pushing(chunks=200, limits=None, **uplinks):
    data = np.zeros(chunks * CHUNK // 4, dtype=np.float32)
    manifest = build_manifest(data, job="j", round_index=0, source="s", schema_hash="x", chunk_bytes=CHUNK)
    push = RelayPush(manifest, list(range(chunks)), limits or Limits())
    for peer, mbps in uplinks.items():
        push.join(peer, mbps * MBPS, 0.0)
    return push


def take(push, able=None, most=MOST, now_s=0.0, audience=None):
    members = push.members
    return push.next(set(able or members), 50 * MBPS, len(members) if audience is None else audience, most, now_s)


def give_away(push):
    """Everything that owners are given now, and the first thing that is to be sent otherwise."""
    given = []
    while (one := take(push)) is not None and one.relay:
        given.append(one)
    return given, one


def owned(given, peer):
    return [index for one in given if one.peer == peer for index in one.indices]


# ---- owners ---------------------------------------------------------------------------------------------------------


def test_who_has_nothing_waiting_is_given_one_chunk_first():
    push = pushing(a=10, b=10, c=10)
    start = [take(push) for _ in range(3)]
    assert [one.indices for one in start] == [(0,), (1,), (2,)]
    assert {one.peer for one in start} == {"a", "b", "c"}


def test_an_owner_is_given_no_more_at_once_than_it_has_waiting():
    given, _ = give_away(pushing(a=10, b=10, c=10))
    waiting = {"a": 0, "b": 0, "c": 0}
    for one in given:
        assert len(one.indices) <= max(1, waiting[one.peer])
        waiting[one.peer] += len(one.indices)
    assert max(len(one.indices) for one in given) > 1


def test_an_owner_is_given_no_more_at_once_than_may_leave_together():
    given, _ = give_away(pushing(a=1000, b=1000, c=1000))
    assert max(len(one.indices) for one in given) == MOST


def test_chunks_are_given_away_in_order_of_importance():
    given, _ = give_away(pushing(a=10, b=10, c=10))
    indices = [index for one in given for index in one.indices]
    assert indices == list(range(len(indices)))


LIMIT_S = 0.3
WORK_S = 8 * CHUNK * 2 / (10 * MBPS)
"""What an owner with 10 Mb/s needs to pass a chunk on to two others."""


def test_an_owner_is_not_given_more_than_there_is_room_for():
    given, _ = give_away(pushing(limits=Limits(owner_backlog_s=LIMIT_S), a=10, b=10, c=10))
    assert max(len(one.indices) for one in given) == int(LIMIT_S / WORK_S / TRAINS_IN_BACKLOG) > 1
    assert all(len(owned(given, peer)) * WORK_S <= LIMIT_S for peer in "abc")


def test_an_owner_that_is_full_is_given_chunks_when_there_is_room_for_several():
    push = pushing(limits=Limits(owner_backlog_s=LIMIT_S), a=10, b=10, c=10)
    given, one = give_away(push)
    for index in owned(given, "a"):
        assert not one.relay
        for peer in "bc":
            push.holds(peer, np.array([index]))
        one = take(push)
        if one.relay:
            break
    assert one.peer == "a" and len(one.indices) > 1


def test_an_owner_that_idles_is_given_a_chunk_although_others_still_lack_what_it_sent():
    push = pushing(limits=Limits(owner_backlog_s=0.0), a=10, b=10, c=10)
    give_away(push)
    push.hears_load("b", 10 * MBPS, 0)
    one = take(push)
    assert one.relay and one.peer == "b" and len(one.indices) == 1


def test_before_the_audience_is_there_chunks_are_given_one_by_one():
    push = pushing(a=10)
    given = [take(push, audience=3) for _ in range(2)]
    assert [one.indices for one in given] == [(0,), (1,)]
    assert take(push, audience=3) is None


def test_who_does_not_know_its_uplink_is_given_chunks_one_by_one():
    given, _ = give_away(pushing(unknown=0, known=10))
    assert {len(one.indices) for one in given if one.peer == "unknown"} == {1}


def test_what_an_owner_holds_already_is_not_among_what_it_is_given():
    push = pushing(a=10)
    push.holds("a", np.arange(1, 200, 3))
    given, _ = give_away(push)
    assert not set(owned(given, "a")) & set(range(1, 200, 3))


# ---- the end --------------------------------------------------------------------------------------------------------


def test_the_fewer_are_left_the_fewer_go_out_together_and_the_last_ones_alone():
    chunks, peers = 100, 3
    given, _ = give_away(pushing(chunks, a=1000, b=1000, c=1000))
    left = chunks
    for one in given:
        assert len(one.indices) <= 1 + left // (TAIL_CHUNKS * peers)
        left -= len(one.indices)
    assert left == 0
    assert [len(one.indices) for one in given[-(TAIL_CHUNKS * peers - 1) :]] == [1] * (TAIL_CHUNKS * peers - 1)


def test_what_an_owner_is_relieved_of_is_one_chunk_at_a_time():
    push = pushing(60, limits=Limits(owner_backlog_s=1e9), slow=1000, fast=1000, other=1000)
    given, _ = give_away(push)
    for each in given:
        push.holds(each.peer, np.array(each.indices))
    push.hears_load("slow", MBPS // 10, CHUNK)
    one = take(push)
    assert len(owned(given, "slow")) > 1
    assert one.relieved == "slow" and one.indices == (owned(given, "slow")[-1],)


# ---- what the publisher sends to all itself -------------------------------------------------------------------------


def test_own_chunks_go_out_together_and_the_same_ones_to_everybody():
    push = pushing(limits=Limits(owner_backlog_s=0.0), a=1, b=1, c=1)
    _, one = give_away(push)
    same = [one, take(push), take(push)]
    assert {each.peer for each in same} == {"a", "b", "c"}
    assert {each.indices for each in same} == {one.indices}
    assert len(one.indices) == MOST
    assert not any(each.relay for each in same)


def test_own_chunks_that_somebody_holds_are_not_sent_to_it():
    push = pushing(limits=Limits(owner_backlog_s=0.0), a=1, b=1, c=1)
    _, one = give_away(push)
    (other,) = {"a", "b", "c"} - {one.peer, take(push).peer}
    push.holds(other, np.array(one.indices[:3]))
    last = take(push, able={other})
    assert last.peer == other and last.indices == one.indices[3:]


# ---- whatever happens -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.lists(st.integers(0, 50), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_with_trains_of_any_length_everybody_gets_everything_and_nothing_twice_from_the_publisher(
    chunks, uplinks, draws
):
    push = pushing(chunks, **{f"p{number}": mbps for number, mbps in enumerate(uplinks)})
    held = {peer: set() for peer in push.members}
    relays, now_s = [], 0.0
    for _ in range(100_000):
        most = draws.randint(1, 12)
        one = take(push, most=most, now_s=now_s)
        if one is not None:
            assert 1 <= len(one.indices) <= most
            assert not held[one.peer] & set(one.indices)
            held[one.peer].update(one.indices)
            push.holds(one.peer, np.array(one.indices))
            if one.relay:
                relays += [(peer, index) for peer in held if peer != one.peer for index in one.indices]
        elif relays:
            peer, index = relays.pop(draws.randrange(len(relays)))
            held[peer].add(index)
            push.holds(peer, np.array([index]))
        elif all(len(chunks_) == chunks for chunks_ in held.values()):
            return
        now_s += 0.01
    pytest.fail(f"somebody lacks something: {held}")


@given(st.lists(st.tuples(st.sampled_from("jlhct"), st.sampled_from("abcd"), st.integers(0, 19)), max_size=120))
def test_what_owners_of_trains_still_owe_is_what_others_lack_of_their_chunks(steps):
    push = pushing(20)
    for step, peer, index in steps:
        match step:
            case "j":
                push.join(peer, MBPS, 0.0)
            case "l":
                push.leave(peer)
            case "h":
                push.holds(peer, np.array([index]))
            case "c":
                push.complete(peer)
            case "t":
                take(push, most=1 + index)
        members = push._members
        for name, member in members.items():
            others = [other for other in members if other != name]
            owes = sum(not members[other].held.bits[duty] for duty in member.duties for other in others)
            assert member.owed == owes
