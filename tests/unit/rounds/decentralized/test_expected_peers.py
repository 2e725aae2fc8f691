from __future__ import annotations

from fedswarm.rounds.expected_peers import ExpectedPeers


def test_founders_are_awaited_until_a_whole_exchange_passed_in_silence() -> None:
    expected = ExpectedPeers(10, ["b", "c"])
    assert expected.awaited(0) == {"b", "c"}
    expected.offered("b", 0, 20)
    assert expected.awaited(0) == {"c"}
    expected.drop_silent(0)
    assert expected.awaited(1) == {"b"}


def test_who_offers_again_is_alive_again() -> None:
    expected = ExpectedPeers(10, ["b"])
    expected.drop_silent(0)
    expected.offered("b", 3, 20)
    assert expected.awaited(4) == {"b"} and expected.newest == 3


def test_who_skipped_an_exchange_is_not_awaited_in_it() -> None:
    expected = ExpectedPeers(10)
    expected.offered("b", 5, 20)
    assert expected.awaited(4) == set()


def test_a_refused_peer_is_not_listened_to() -> None:
    expected = ExpectedPeers(10, ["b"])
    expected.refuse("b")
    assert not expected.offered("b", 0, 20)
    expected.met("b")
    assert expected.alive == set() and expected.newest == -1


def test_who_takes_leave_is_not_awaited() -> None:
    expected = ExpectedPeers(10, ["b"])
    expected.left("b")
    assert expected.awaited(0) == set()


def test_a_peer_never_heard_of_weighs_as_much_as_peers_usually_do() -> None:
    expected = ExpectedPeers(10, ["b", "c"])
    expected.offered("b", 0, 30)
    assert expected.weight({"b"}) == 40
    assert expected.weight({"b", "c"}) == 60


def test_a_silent_peer_weighs_what_it_did() -> None:
    expected = ExpectedPeers(10, ["b"])
    expected.offered("b", 0, 30)
    expected.drop_silent(1)
    assert expected.weight({"b"}) == 40


def test_a_latecomer_forgets_founders_it_never_heard_of() -> None:
    expected = ExpectedPeers(10, ["b", "c", "d"])
    expected.offered("b", 7, 30)
    expected.drop_unheard({"c"})
    assert expected.alive == {"b", "c"}
