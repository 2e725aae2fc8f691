import numpy as np
import pytest

from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import build_manifest
from fedswarm.swarm.relay_push import RelayPush

CHUNK = 16 * 1024
MBPS = 1_000_000


def manifest(chunks):
    data = np.zeros(chunks * CHUNK // 4, dtype=np.float32)
    return build_manifest(data, job="j", round_index=0, source="s", schema_hash="x", chunk_bytes=CHUNK)


def pushing(chunks=20, limits=None, order=None, **uplinks):
    push = RelayPush(manifest(chunks), order or list(range(chunks)), limits or Limits())
    for peer, mbps in uplinks.items():
        push.join(peer, mbps * MBPS, 0.0)
    return push


def take(push, able=None, now_s=0.0, audience=None, own_mbps=50):
    """What is to be sent next, one chunk at a time."""
    members = push.members
    own_bps = int(own_mbps * MBPS)
    return push.next(set(able or members), own_bps, len(members) if audience is None else audience, 1, now_s)


def index_of(one):
    """The chunk that is sent alone."""
    (index,) = one.indices
    return index


def everything(push, peer, chunks):
    push.holds(peer, np.arange(chunks))


def test_each_new_chunk_goes_to_one_owner_in_order_of_importance():
    push = pushing(order=[7, 3, 5, *range(8, 20), 0, 1, 2, 4, 6], a=10, b=10)
    sent = [take(push) for _ in range(3)]
    assert [index_of(one) for one in sent] == [7, 3, 5]
    assert all(one.relay and one.relieved is None for one in sent)
    assert [one.peer for one in sent[:2]] == ["a", "b"]


def test_owners_are_charged_in_proportion_to_their_uplinks():
    push = pushing(200, a=5, b=20, c=10)
    owned = {"a": 0, "b": 0, "c": 0}
    while (one := take(push)) is not None and one.relay:
        owned[one.peer] += 1
    assert owned["b"] == pytest.approx(4 * owned["a"], rel=0.35)
    assert owned["c"] == pytest.approx(2 * owned["a"], rel=0.35)


def test_with_all_owners_busy_the_publisher_sends_a_chunk_to_all_itself():
    push = pushing(200, a=1, b=1, c=1)
    while (one := take(push)).relay:
        pass
    same = [one, take(push), take(push)]
    assert {index_of(each) for each in same} == {index_of(one)}
    assert {each.peer for each in same} == {"a", "b", "c"} and not any(each.relay for each in same)


def test_what_somebody_holds_already_is_not_sent_to_it():
    push = pushing(4, a=10, b=10)
    push.holds("a", np.array([0, 1, 2, 3]))
    assert {take(push).peer for _ in range(4)} == {"b"}
    assert take(push) is None


def test_the_first_to_come_are_not_charged_as_if_they_were_the_last():
    alone = pushing(200, a=10)
    first_of_many = pushing(200, a=10)
    charged = {}
    for name, push, audience in (("alone", alone, 1), ("first", first_of_many, 9)):
        charged[name] = 0
        while (one := take(push, audience=audience)) is not None and one.relay:
            charged[name] += 1
    assert charged["first"] < charged["alone"] / 4


def test_nothing_is_sent_to_all_before_the_audience_is_there():
    push = pushing(200, limits=Limits(owner_backlog_s=0.0), a=1)
    assert take(push, audience=3).relay  # an idle owner is always given a chunk
    assert take(push, audience=3) is None
    assert not take(push, audience=3, now_s=1.0).relay  # nor waited for for ever


def test_the_audience_is_waited_for_from_the_first_who_comes_however_long_ago_the_weights_were_published():
    push = pushing(200, limits=Limits(owner_backlog_s=0.0))
    assert take(push, audience=3, now_s=99.9) is None
    push.join("a", MBPS, 100.0)
    assert take(push, audience=3, now_s=100.0).relay
    assert take(push, audience=3, now_s=100.0) is None


def test_a_peer_that_does_not_know_its_uplink_is_given_little_until_it_says_that_it_idles():
    push = pushing(200, unknown=0, known=10)
    owned = {"unknown": 0, "known": 0}
    while (one := take(push)) is not None and one.relay:
        owned[one.peer] += 1
    assert owned["unknown"] == 2 < owned["known"]
    push.hears_load("unknown", 0, 0)
    assert take(push).relay


def given_away(chunks=4, **uplinks):
    """A push whose every chunk has an owner who holds it, for so far its publisher was slow."""
    push = pushing(chunks, limits=Limits(owner_backlog_s=1e9), **uplinks)
    owned = {}
    for _ in range(chunks):
        one = take(push, own_mbps=0.001)
        owned.setdefault(one.peer, []).append(index_of(one))
        push.holds(one.peer, np.array([index_of(one)]))
    return push, owned


def test_in_the_end_the_publisher_relieves_the_owner_with_the_longest_backlog_of_what_it_would_send_last():
    push, owned = given_away(8, slow=0.1, fast=1000, other=1000)
    everything(push, "fast", 7)  # chunk 7 is the slow one's last
    owned_last = owned["slow"][-1]
    one = take(push)
    assert one.relieved == "slow" and index_of(one) == owned_last and one.peer in ("fast", "other") and not one.relay


def test_the_last_chunks_are_the_publishers_own_if_it_is_through_with_them_before_an_owner():
    push = pushing(4, a=0.1, b=0.1)
    assert not any(take(push, own_mbps=50).relay for _ in range(8))
    push = pushing(4, a=0.1, b=0.1)
    assert take(push, own_mbps=0.1).relay


def test_owners_who_will_be_done_soon_are_left_alone():
    push, _ = given_away(4, a=1000, b=1000)
    assert take(push) is None


def test_a_late_joiner_counts_as_a_duty_of_every_owner():
    push, owned = given_away(4, a=0.1, b=0.1)
    everything(push, "a", 4)
    everything(push, "b", 4)
    assert take(push) is None
    push.join("late", MBPS, 0.0)
    one = take(push)
    assert one.peer == "late" and one.relieved in owned


def test_what_only_a_lost_owner_was_given_is_given_away_again():
    push = pushing(3, a=10, b=10)
    first = take(push)
    push.leave(first.peer)
    again = [take(push) for _ in range(3)]
    assert index_of(first) in {index_of(one) for one in again}


def test_a_neglected_chunk_is_sent_by_the_publisher():
    push, owned = given_away(2, a=1000, b=1000)
    index = owned["a"][0]
    due_s = push.next_term_s(0.0)
    assert take(push) is None and due_s > 0
    one = take(push, now_s=due_s + 1.0)
    assert one is not None and not one.relay and one.peer == "b" and index_of(one) == index
