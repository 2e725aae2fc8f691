from __future__ import annotations

import pytest

from fedswarm.swarm.events import Departed, Introduced
from fedswarm.swarm.simulator.host import Life
from fedswarm.swarm.simulator.tracker import Everyone, RandomRegular, Tracker


def introduced(host) -> set[str]:
    return {address.peer for event in host.machine.events(Introduced) for address in event.addresses}


def test_a_newcomer_is_introduced_to_those_who_are_there(stage) -> None:
    play = stage()
    tracker = Tracker(play.timeline, Everyone())
    a, b, c = (play.add(name) for name in "abc")
    for host in (a, b, c):
        tracker.announce(host)
    play.run(1.0)
    assert (introduced(a), introduced(b), introduced(c)) == (set(), {"a"}, {"a", "b"})


def test_who_is_missed_for_a_lease_is_told_to_those_who_know_it(stage) -> None:
    play = stage()
    tracker = Tracker(play.timeline, Everyone(), lease_s=5.0)
    a, b = play.add("a"), play.add("b")
    tracker.announce(a)
    tracker.announce(b)
    play.run(1.0)
    a.end(Life.DARK)
    tracker.lose(a)
    play.run(10.0)
    assert b.machine.times(Departed) == [6.0]


def test_who_comes_back_within_its_lease_is_not_missed(stage) -> None:
    play = stage()
    tracker = Tracker(play.timeline, Everyone(), lease_s=5.0)
    a, b = play.add("a"), play.add("b")
    tracker.announce(a)
    tracker.announce(b)
    play.run(1.0)
    a.end(Life.DARK)
    tracker.lose(a)
    again = play.add("a")
    tracker.announce(again)
    play.run(10.0)
    assert not b.machine.times(Departed)
    assert introduced(again) == {"b"}


def test_a_dead_tracker_says_nothing(stage) -> None:
    play = stage()
    tracker = Tracker(play.timeline, Everyone())
    a, b = play.add("a"), play.add("b")
    tracker.announce(a)
    play.run(1.0)
    tracker.die()
    tracker.announce(b)
    play.run(1.0)
    assert not introduced(b)


def edges(overlay: RandomRegular) -> dict[str, set[str]]:
    """Neighbours of each peer, as the overlay would name them to it again."""
    peers = overlay._rings[0]._peers
    return {peer: set(overlay.join(peer)) for peer in peers}


def is_connected(graph: dict[str, set[str]]) -> bool:
    seen, frontier = set(), [next(iter(graph))]
    while frontier:
        peer = frontier.pop()
        if peer not in seen:
            seen.add(peer)
            frontier += graph[peer]
    return seen == set(graph)


@pytest.mark.parametrize("seed", range(5))
def test_a_random_regular_overlay_stays_one_as_peers_come_and_go(seed: int) -> None:
    overlay = RandomRegular(4, seed)
    for number in range(100):
        overlay.join(f"p{number}")
    for number in range(0, 100, 3):
        gaps = overlay.leave(f"p{number}")
        assert all(f"p{number}" not in gap for gap in gaps)
    graph = edges(overlay)
    assert len(graph) == 66
    assert is_connected(graph)
    assert max(len(neighbours) for neighbours in graph.values()) <= 4
    assert all(peer in graph[other] for peer, neighbours in graph.items() for other in neighbours)


def test_the_last_two_of_an_overlay_may_leave() -> None:
    overlay = RandomRegular(4, 1)
    overlay.join("a")
    assert overlay.join("b") == ["a"]
    assert overlay.leave("a") == []
    assert overlay.leave("b") == []
    assert overlay.leave("b") == []


@pytest.mark.parametrize("degree", [0, 3, -2])
def test_a_degree_that_is_not_made_of_rings_is_refused(degree: int) -> None:
    with pytest.raises(ValueError, match=f"degree {degree}"):
        RandomRegular(degree, 0)
