from __future__ import annotations

import pytest

from fedswarm.swarm import referrals
from fedswarm.swarm.events import Departed, Introduced
from fedswarm.swarm.messages import Address
from fedswarm.swarm.referrals import Referrals

A, B = Address("a", "h:1"), Address("b", "h:2")


@pytest.fixture
def heard() -> Referrals:
    return Referrals("me")


def test_whom_any_tracker_names_is_introduced(heard: Referrals) -> None:
    assert heard.hear("t1", [A], []) == [Introduced((A,))]
    assert heard.hear("t2", [A, B], []) == [Introduced((A, B))]


def test_a_peer_departs_when_no_tracker_names_it_any_more(heard: Referrals) -> None:
    heard.hear("t1", [A], [])
    heard.hear("t2", [A], [])
    assert heard.hear("t1", [], ["a"]) == []
    assert heard.hear("t2", [], ["a"]) == [Departed("a")]
    assert heard.hear("t2", [], ["a"]) == []


def test_a_tracker_that_comes_back_and_knows_few_has_not_seen_anybody_leave(heard: Referrals) -> None:
    heard.hear("t1", [A, B], [])
    heard.begin("t1")
    assert heard.hear("t1", [B], []) == [Introduced((B,))]
    assert heard.hear("t1", [], ["b"]) == [Departed("b")]


def test_a_lost_tracker_still_speaks_for_those_it_named(heard: Referrals) -> None:
    heard.hear("dead", [A], [])
    heard.hear("t2", [A], [])
    assert heard.hear("t2", [], ["a"]) == []


def test_nobody_is_introduced_to_itself(heard: Referrals) -> None:
    assert heard.hear("t1", [Address("me", "h:3")], []) == []


def test_a_tracker_names_no_end_of_peers_in_vain(heard: Referrals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrals, "MAX_NAMED", 2)
    flood = [Address(f"p{number}", "h:1") for number in range(5)]
    assert heard.hear("t1", flood, []) == [Introduced(tuple(flood[:2]))]
    assert heard.hear("t1", [Address("p0", "h:9")], []) == [Introduced((Address("p0", "h:9"),))]
