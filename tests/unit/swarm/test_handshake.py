from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.errors import WireError
from fedswarm.swarm.handshake import PROTOCOL, checked_hello, newcomer_stays
from fedswarm.swarm.messages import Address, Alive, Hello, Message

HELLO = Hello(PROTOCOL, "job", Address("b", "host:2"), 7)


def test_a_hello_of_the_same_job_is_taken() -> None:
    assert checked_hello(HELLO, job="job", me="a") is HELLO


@pytest.mark.parametrize(
    ("first", "job", "me", "message"),
    [
        (Alive(), "job", "a", "not with Alive"),
        (Hello(PROTOCOL + 1, "job", Address("b", "t")), "job", "a", f"speaks protocol {PROTOCOL + 1}"),
        (HELLO, "other", "a", "belongs to job 'job', this is 'other'"),
        (HELLO, "job", "b", "says that it is 'b'"),
    ],
)
def test_others_are_told_why_not(first: Message, job: str, me: str, message: str) -> None:
    with pytest.raises(WireError, match=message):
        checked_hello(first, job=job, me=me)


names = st.text("abc", min_size=1, max_size=3)


@given(names, names, st.booleans())
def test_two_that_dial_at_once_keep_the_same_link(one: str, other: str, first_is_ours: bool) -> None:
    """Whatever comes first at either side: the links are A, dialled by one, and B, dialled by other."""
    if one == other:
        return

    def kept(me: str, peer: str, a_first: bool) -> str:
        first, second = ("A", "B") if a_first else ("B", "A")
        ours = {"A": me == one, "B": me == other}
        stays = newcomer_stays(me, peer, moved=False, old_dialled=ours[first], new_dialled=ours[second])
        return second if stays else first

    expected = "A" if one < other else "B"
    assert kept(one, other, first_is_ours) == expected
    assert kept(other, one, not first_is_ours) == expected
    assert kept(other, one, first_is_ours) == expected


@pytest.mark.parametrize("dialled", [True, False])
def test_a_later_link_of_the_same_direction_replaces_a_dead_one(dialled: bool) -> None:
    assert newcomer_stays("a", "b", moved=False, old_dialled=dialled, new_dialled=dialled)
    assert newcomer_stays("b", "a", moved=False, old_dialled=dialled, new_dialled=dialled)


@pytest.mark.parametrize("me", ["a", "c"])
def test_a_peer_that_moved_has_a_new_link(me: str) -> None:
    assert newcomer_stays(me, "b", moved=True, old_dialled=True, new_dialled=False)
    assert newcomer_stays(me, "b", moved=True, old_dialled=False, new_dialled=True)
