"""Frames that leave together: how many there are, for whom, and what a relay does with those that came together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.events import DeliveryLost, FrameArrived, Misbehaved
from fedswarm.swarm.instructions import Deliver
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Interested, Verdict
from fedswarm.swarm.token_bucket import ConstantRate, TokenBucket
from fedswarm.swarm.uplink import KnownUplink
from fedswarm.swarm.uploads import FEWEST_FRAMES, MOST_TRAIN_BYTES, TRAIN_S, Chunk, Uploads
from tests.unit.swarm.lone_peer import LonePeer, Weights, delivered, done, verdicts

KEY = Key(0, "s")
SIZE = 10_000
IN_TRAIN = 4
FRAMES_A_SECOND = round(IN_TRAIN / TRAIN_S)


def chunk(index):
    return Chunk(KEY, index)


def uploads(window=1000, frames_a_second=FRAMES_A_SECOND, *, behind=None, **caps):
    """A peer whose trains hold four frames and whose window holds so many."""
    limits, uplink = Limits(inflight_s=window / frames_a_second), KnownUplink(frames_a_second * SIZE * 8)
    return Uploads(limits, uplink, lambda peer, _: (behind or {}).get(peer, 0), **caps)


def put(sending, peer, indices, size_bytes=SIZE):
    for index in indices:
        sending.put(peer, chunk(index), size_bytes)


def departing(sending, now_s=0.0):
    """The trains that leave now: for whom, and what."""
    trains = []
    while train := sending.next(now_s):
        (peer,) = {departure.peer for departure in train}
        trains.append((peer, [departure.chunk.index for departure in train]))
    return trains


# ---- how many -------------------------------------------------------------------------------------------------------


def test_a_train_holds_as_much_as_a_moment_of_our_uplink():
    sending = uploads()
    put(sending, "a", range(10))
    assert departing(sending) == [("a", [0, 1, 2, 3]), ("a", [4, 5, 6, 7]), ("a", [8, 9])]


def test_a_train_of_a_fast_uplink_is_bounded_in_bytes():
    sending = uploads(frames_a_second=1_000_000)
    put(sending, "a", range(40))
    most = MOST_TRAIN_BYTES // SIZE
    assert [len(indices) for _, indices in departing(sending)] == [most, most, most, 40 - 3 * most]


def test_who_does_not_know_its_uplink_sends_frame_by_frame():
    sending = uploads()
    sending.uplink = KnownUplink(0)
    put(sending, "a", range(2))
    assert departing(sending) == [("a", [0]), ("a", [1])]


def test_a_chunk_that_is_larger_than_a_train_leaves_alone():
    sending = uploads(frames_a_second=1_000_000)
    put(sending, "a", range(3), size_bytes=MOST_TRAIN_BYTES + 1)
    assert departing(sending) == [("a", [0]), ("a", [1]), ("a", [2])]


def test_a_frame_that_does_not_fit_waits_for_the_next_train():
    sending = uploads()
    put(sending, "a", [0, 1])
    put(sending, "a", [2], size_bytes=2 * SIZE + 1)
    put(sending, "a", [3])
    assert departing(sending) == [("a", [0, 1]), ("a", [2, 3])]


def test_a_train_holds_only_what_waits_for_one_neighbour():
    sending = uploads()
    for index in range(IN_TRAIN):
        put(sending, "a", [index])
        put(sending, "b", [index])
    assert sorted(departing(sending)) == [("a", [0, 1, 2, 3]), ("b", [0, 1, 2, 3])]


def test_equals_take_turns_train_by_train():
    sending = uploads()
    for peer in "ab":
        put(sending, peer, range(3 * IN_TRAIN))
    assert [peer for peer, _ in departing(sending)] in (list("ababab"), list("bababa"))


def test_a_train_that_a_broken_stream_lost_leaves_again_as_one():
    sending = uploads()
    put(sending, "a", range(IN_TRAIN))
    before = departing(sending)
    sending.lost("a")
    assert departing(sending) == before == [("a", [0, 1, 2, 3])]


# ---- window and share -----------------------------------------------------------------------------------------------


def test_a_train_leaves_when_the_window_has_room_for_all_of_it():
    sending = uploads(window=10)
    put(sending, "a", range(20))
    assert departing(sending) == [("a", [0, 1, 2, 3]), ("a", [4, 5, 6, 7])]
    sending.receipt("a", chunk(0), 0.1)
    assert departing(sending) == []
    sending.receipt("a", chunk(1), 0.1)
    assert departing(sending) == [("a", [8, 9, 10, 11])]


def test_what_fits_into_the_window_does_not_wait_for_a_train_that_does_not():
    sending = uploads(window=10, behind={"ahead": 100})
    put(sending, "served", range(IN_TRAIN))
    put(sending, "behind", range(20))
    assert [peer for peer, _ in departing(sending)] == ["served", "behind"]
    put(sending, "ahead", range(2))
    assert departing(sending) == [("ahead", [0, 1])]


def test_no_neighbour_has_more_under_way_than_its_share():
    sending = uploads(window=42)
    put(sending, "a", range(40))
    for peer in "bcde":
        put(sending, peer, [0])
    share = 2 * 42 / 5
    assert sum(len(indices) for peer, indices in departing(sending) if peer == "a") == share // IN_TRAIN * IN_TRAIN


def test_a_neighbour_may_always_have_two_trains_under_way():
    sending = uploads(window=0)
    put(sending, "a", range(20))
    assert [len(indices) for _, indices in departing(sending)] == [IN_TRAIN] * FEWEST_FRAMES


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3 * SIZE), st.booleans()), max_size=80),
)
def test_whatever_waits_neither_window_nor_share_nor_train_is_exceeded(window, steps):
    sending, now_s = uploads(window=window, behind={"b": 20, "c": 40}), 0.0
    waiting, flying = {"a": {}, "b": {}, "c": {}}, {"a": {}, "b": {}, "c": {}}
    for index, (peer, size_bytes, is_receipted) in enumerate(steps):
        put(sending, peer, [index], size_bytes)
        waiting[peer][index] = size_bytes
        if is_receipted and flying[peer]:
            oldest = next(iter(flying[peer]))
            sending.receipt(peer, chunk(oldest), now_s)
            del flying[peer][oldest]
        largest = max(IN_TRAIN * SIZE, 3 * SIZE)
        most = max(window * SIZE, FEWEST_FRAMES * largest)
        while train := sending.next(now_s):
            (to,) = {departure.peer for departure in train}
            busy = sum(bool(waiting[one] or flying[one]) for one in flying)
            sizes = {departure.chunk.index: waiting[to].pop(departure.chunk.index) for departure in train}
            flying[to].update(sizes)
            assert sum(sizes.values()) <= IN_TRAIN * SIZE
            assert sum(flying[to].values()) <= max(FEWEST_FRAMES * largest, 2 * most / busy)
            assert sum(sum(one.values()) for one in flying.values()) <= most
    assert sending.backlog_bytes == sum(sum(one.values()) for one in waiting.values())


# ---- capped peers ---------------------------------------------------------------------------------------------------


def bucket():
    return TokenBucket(ConstantRate(FRAMES_A_SECOND * SIZE * 8), 10 * SIZE)


@pytest.mark.parametrize("make", [lambda: uploads(cap=bucket()), lambda: uploads(cap_each=bucket)])
def test_a_capped_peer_sends_one_frame_at_a_time(make):
    sending = make()
    put(sending, "a", range(20))
    assert {len(indices) for _, indices in departing(sending)} == {1}


# ---- what came together ---------------------------------------------------------------------------------------------


def relay(weights, *neighbours):
    """A peer that fetches weights, linked with their publisher, which pushes them, and with others that want them."""
    alone = LonePeer()
    alone.fetch(weights)
    alone.link("source", *neighbours)
    for peer in ("source", *neighbours):
        alone.hear(peer, Interested(weights.key))
    return alone


def together(alone, weights, relays, peer="source"):
    """Frames come in one message, chunk 0 first, each to be relayed or not; what the peer does on each."""
    last = len(relays) - 1
    return [
        alone.tell(FrameArrived(peer, weights.key, index, weights.chunk(index), is_relayed, more=index < last))
        for index, is_relayed in enumerate(relays)
    ]


def test_what_is_ours_to_relay_leaves_after_the_last_frame_that_came_with_it():
    weights = Weights("source")
    *before, last = together(relay(weights, "a"), weights, [True, True, True])
    assert [done(out, Deliver) for out in before] == [[], []]
    assert delivered(last, "a") == [0, 1, 2]


def test_what_came_together_leaves_together_for_each_neighbour():
    weights = Weights("source")
    *_, last = together(relay(weights, "a", "b"), weights, [True, True, True])
    assert [one.peer for one in done(last, Deliver)] in (list("aaabbb"), list("bbbaaa"))


def test_what_is_ours_to_relay_leaves_although_the_last_frame_that_came_with_it_is_not():
    """The publisher gives an owner chunks to relay, then some of those that it sends to all itself, in one message."""
    weights = Weights("source")
    *_, last = together(relay(weights, "a"), weights, [True, True, False])
    assert delivered(last, "a") == [0, 1]


def test_frames_that_are_not_ours_to_relay_are_relayed_neither_alone_nor_together():
    weights = Weights("source")
    assert [done(out, Deliver) for out in together(relay(weights, "a"), weights, [False, False])] == [[], []]


def test_each_of_the_frames_that_came_together_is_acknowledged_at_once():
    weights = Weights("source")
    outs = together(relay(weights, "a"), weights, [True, True, False])
    assert [verdicts(out) for out in outs] == [[Verdict.ACCEPTED]] * 3


def test_what_is_ours_to_relay_leaves_although_the_publisher_is_gone_before_the_last_frame():
    weights = Weights("source")
    alone = relay(weights, "a")
    alone.tell(FrameArrived("source", weights.key, 0, weights.chunk(0), relay=True, more=True))
    assert delivered(alone.tell(Misbehaved("source", "a test")), "a") == [0]


def test_frames_of_a_relay_that_a_broken_stream_lost_leave_again_together():
    weights = Weights("source")
    alone = relay(weights, "a")
    together(alone, weights, [True, True])
    assert delivered(alone.tell(DeliveryLost("a", "reset")), "a") == [0, 1]
