import pytest

from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.token_bucket import ConstantRate, TokenBucket
from fedswarm.swarm.uplink import KnownUplink
from fedswarm.swarm.uploads import MOST_WAITING, PATIENCE_S, Chunk, Uploads

KEY = Key(0, "s")
SIZE = 10_000


def chunk(index):
    return Chunk(KEY, index)


def uploads(frames=20, *, behind=None, **caps):
    """A peer whose window holds so many frames, few enough for each to leave alone."""
    limits = Limits(inflight_s=1.0)
    return Uploads(limits, KnownUplink(frames * SIZE * 8), lambda peer, _: (behind or {}).get(peer, 0), **caps)


def departures(sending, now_s=0.0):
    out = []
    while train := sending.next(now_s):
        out += [(departure.peer, departure.chunk.index) for departure in train]
    return out


def test_frames_leave_in_the_order_in_which_they_were_asked_for():
    sending = uploads()
    for index in (3, 1, 2):
        sending.put("a", chunk(index), SIZE)
    assert departures(sending) == [("a", 3), ("a", 1), ("a", 2)]


def test_a_frame_that_waits_or_is_under_way_is_not_sent_twice():
    """Defect B1: every requested chunk was transmitted twice."""
    sending = uploads()
    sending.put("a", chunk(0), SIZE)
    sending.put("a", chunk(0), SIZE, duty=True)
    assert departures(sending) == [("a", 0)]
    sending.put("a", chunk(0), SIZE)
    assert departures(sending) == []


def test_no_more_is_under_way_than_the_window_holds():
    sending = uploads(frames=3)
    for index in range(5):
        sending.put("a", chunk(index), SIZE)
    assert len(departures(sending)) == 3
    sending.receipt("a", chunk(0), 0.1)
    assert departures(sending) == [("a", 3)]


def test_two_frames_may_always_be_under_way():
    sending = uploads(frames=0)
    for index in range(5):
        sending.put("a", chunk(index), SIZE)
    assert len(departures(sending)) == 2


def test_whoever_is_furthest_behind_is_served_first():
    sending = uploads(behind={"ahead": 7, "behind": 2})
    for peer in ("ahead", "behind"):
        sending.put(peer, chunk(0), SIZE)
    assert departures(sending) == [("behind", 0), ("ahead", 0)]


def test_equals_take_turns():
    sending = uploads()
    for index in range(3):
        for peer in "ab":
            sending.put(peer, chunk(index), SIZE)
    assert [peer for peer, _ in departures(sending)] in (list("ababab"), list("bababa"))


def test_a_slow_reader_gets_no_more_than_its_share():
    sending = uploads(frames=8)
    for index in range(20):
        for peer in "abcd":
            sending.put(peer, chunk(index), SIZE)
    for _ in range(10):
        for peer, index in departures(sending):
            if peer != "a":
                sending.receipt(peer, chunk(index), 0.1)
    assert sending.receipted_bytes("b") > 10 * SIZE


def test_whoever_gives_no_receipts_for_long_is_sent_nothing_more_and_does_not_count():
    sending = uploads(frames=2)
    for index in range(4):
        sending.put("dead", chunk(index), SIZE)
    assert len(departures(sending)) == 2
    sending.put("alive", chunk(0), SIZE)
    assert departures(sending) == []
    sending.look_for_stalled(PATIENCE_S + 0.1)
    assert departures(sending, PATIENCE_S + 0.1) == [("alive", 0)]
    sending.receipt("alive", chunk(0), PATIENCE_S + 0.2)
    sending.receipt("dead", chunk(0), PATIENCE_S + 0.3)
    assert departures(sending, PATIENCE_S + 0.3) == [("dead", 2)]


def test_what_a_broken_stream_lost_is_sent_again_first_and_still_to_be_relayed():
    sending = uploads()
    sending.depart("a", chunk(0), SIZE, 0.0, relay=True)
    sending.put("a", chunk(1), SIZE)
    sending.lost("a")
    (first,) = sending.next(1.0)
    assert first.chunk == chunk(0) and first.relay
    assert departures(sending, 1.0) == [("a", 1)]


def test_choking_voids_requests_but_not_duties():
    sending = uploads()
    sending.put("a", chunk(0), SIZE)
    sending.put("a", chunk(1), SIZE, duty=True)
    sending.clear_requests("a")
    assert departures(sending) == [("a", 1)]


def test_a_queue_is_bounded():
    sending = uploads(frames=0)
    assert all(sending.put("a", chunk(index), SIZE) for index in range(MOST_WAITING))
    assert not sending.put("a", chunk(MOST_WAITING), SIZE)
    assert sending.put("b", chunk(0), SIZE)


def test_forgotten_weights_are_not_sent():
    sending = uploads()
    sending.put("a", chunk(0), SIZE)
    sending.put("a", Chunk(Key(1, "s"), 0), SIZE)
    sending.forget(KEY)
    assert [departure.chunk.key for departure in sending.next(0.0)] == [Key(1, "s")]
    assert sending.backlog_bytes == 0


def bucket(frames_a_second):
    return TokenBucket(ConstantRate(frames_a_second * SIZE * 8), 0)


def run(sending, seconds):
    """Sends whatever may be sent until then, with receipts at once; returns the bytes each got."""
    now_s = 0.0
    while now_s < seconds:
        for peer, index in departures(sending, now_s):
            sending.receipt(peer, chunk(index), now_s)
        now_s = max(now_s + 1e-6, sending.wake_s(now_s) or seconds)
    return {peer: sending.receipted_bytes(peer) for peer in "ab"}


def test_a_cap_holds_for_all_together():
    sending = uploads(cap=bucket(10))
    for index in range(200):
        for peer in "ab":
            sending.put(peer, chunk(index), SIZE)
    sent = run(sending, 5.0)
    assert sum(sent.values()) == pytest.approx(50 * SIZE, abs=2 * SIZE)
    assert sent["a"] == pytest.approx(sent["b"], abs=2 * SIZE)


def test_a_cap_for_each_does_not_hold_up_the_others():
    sending = uploads(cap_each=lambda: bucket(10))
    for index in range(200):
        for peer in "ab":
            sending.put(peer, chunk(index), SIZE)
    sent = run(sending, 5.0)
    assert sent["a"] == pytest.approx(50 * SIZE, abs=2 * SIZE) == pytest.approx(sent["b"], abs=2 * SIZE)
