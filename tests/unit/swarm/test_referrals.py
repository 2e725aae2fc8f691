from __future__ import annotations

from collections.abc import Sequence

import pytest

from fedswarm.swarm import referrals
from fedswarm.swarm.events import Arranged, Departed, Introduced
from fedswarm.swarm.messages import Address
from fedswarm.swarm.referrals import Referrals, Word

A, B = Address("a", "h:1"), Address("b", "h:2")


def word(joined: Sequence[Address] = (), left: Sequence[str] = (), *expected: str, whole: bool = False) -> Word:
    return Word(tuple(joined), tuple(left), expected, whole)


def arranged(*peers: str) -> Arranged:
    return Arranged(frozenset(peers))


@pytest.fixture
def heard() -> Referrals:
    return Referrals("me")


def test_whom_any_tracker_names_is_introduced(heard: Referrals) -> None:
    assert heard.hear("t1", word([A], [])) == [Introduced((A,))]
    assert heard.hear("t2", word([A, B], [])) == [Introduced((A, B))]


def test_a_peer_departs_when_no_tracker_names_it_any_more(heard: Referrals) -> None:
    heard.hear("t1", word([A], []))
    heard.hear("t2", word([A], []))
    assert heard.hear("t1", word([], ["a"])) == []
    assert heard.hear("t2", word([], ["a"])) == [Departed("a")]
    assert heard.hear("t2", word([], ["a"])) == []


def test_a_tracker_that_comes_back_and_knows_few_has_not_seen_anybody_leave(heard: Referrals) -> None:
    heard.hear("t1", word([A, B], []))
    heard.begin("t1")
    assert heard.hear("t1", word([B], [])) == [Introduced((B,))]
    assert heard.hear("t1", word([], ["b"])) == [Departed("b")]


def test_a_lost_tracker_still_speaks_for_those_it_named(heard: Referrals) -> None:
    heard.hear("dead", word([A], []))
    heard.hear("t2", word([A], []))
    assert heard.hear("t2", word([], ["a"])) == []


def test_nobody_is_introduced_to_itself(heard: Referrals) -> None:
    assert heard.hear("t1", word([Address("me", "h:3")], [])) == []


def test_a_tracker_names_no_end_of_peers_in_vain(heard: Referrals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrals, "MAX_NAMED", 2)
    flood = [Address(f"p{number}", "h:1") for number in range(5)]
    assert heard.hear("t1", word(flood, [])) == [Introduced(tuple(flood[:2]))]
    assert heard.hear("t1", word([Address("p0", "h:9")], [])) == [Introduced((Address("p0", "h:9"),))]


def test_the_topology_is_known_once_a_tracker_knows_the_whole_job(heard: Referrals) -> None:
    assert heard.hear("t1", word([A])) == [Introduced((A,))]
    assert heard.hear("t1", word(whole=True)) == [arranged("a")]
    assert heard.hear("t1", word(whole=True)) == []


def test_who_is_to_dial_us_is_a_neighbour_that_need_not_be_dialled(heard: Referrals) -> None:
    assert heard.hear("t1", word([], [], "b", whole=True)) == [arranged("b")]
    assert heard.hear("t1", word([], ["b"], whole=True)) == [Departed("b"), arranged()]


def test_a_tracker_that_is_new_itself_leaves_open_who_is_no_neighbour(heard: Referrals) -> None:
    heard.hear("t1", word([A], whole=True))
    heard.begin("t2")
    assert heard.hear("t2", word([B])) == [Arranged(None), Introduced((B,))]
    assert heard.hear("t2", word(whole=True)) == [arranged("a", "b")]


def test_whom_only_a_lost_tracker_named_is_not_known_as_a_neighbour(heard: Referrals) -> None:
    heard.hear("t1", word([A], whole=True))
    heard.hear("t2", word([B], whole=True))
    assert heard.lose("t1") == [arranged("b")]
    assert heard.lose("t2") == [Arranged(None)]
    assert heard.lose("t3") == []


def test_a_tracker_that_can_be_heard_again_counts_again(heard: Referrals) -> None:
    heard.hear("t1", word([A], whole=True))
    heard.lose("t1")
    heard.begin("t1")
    assert heard.hear("t1", word([A], whole=True)) == [arranged("a"), Introduced((A,))]
