from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.swarm.dialogue import (
    AnnounceHave,
    AnnounceInterest,
    ChunkArrived,
    ChunkMissing,
    Completed,
    DropPeer,
    DropStream,
    Failed,
    FetchWanted,
    Forgotten,
    HaveReceived,
    InterestReceived,
    Misbehaved,
    PeerDown,
    PeerUp,
    Request,
    StreamLost,
    Tick,
)
from fedswarm.swarm.exchange import Exchange, Limits

PUBLISHER = "publisher"


# ---- whole swarms -----------------------------------------------------------------------------------------------


@given(peers=st.integers(1, 6), chunks=st.integers(1, 40), seed=st.integers(0, 2**32), swarm=st.booleans())
@settings(max_examples=40, deadline=None)
def test_everybody_gets_every_byte(miniature: Any, peers: int, chunks: int, seed: int, swarm: bool) -> None:
    world = miniature(peers, chunks, seed)
    world.start(swarm)
    world.run()
    assert world.done == set(world.names)
    for name in world.names:
        world.assert_whole(name)


@pytest.mark.parametrize("seed", range(5))
def test_the_publisher_uploads_about_one_copy(miniature: Any, seed: int) -> None:
    world = miniature(4, 100, seed)
    world.start()
    world.run()
    assert 100 <= world.uploads[PUBLISHER] <= 120


@pytest.mark.parametrize("seed", range(5))
def test_hardly_any_chunk_comes_twice(miniature: Any, seed: int) -> None:
    world = miniature(6, 100, seed)
    world.start()
    world.run()
    assert sum(world.uploads.values()) <= 1.03 * 6 * 100


@given(seed=st.integers(0, 2**32), when_s=st.floats(0.0, 1.0), victims=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_dead_owners_do_not_stop_the_rest(miniature: Any, seed: int, when_s: float, victims: int) -> None:
    world = miniature(5, 60, seed)
    world.start()
    for victim in world.names[:victims]:
        world.at(when_s, lambda name=victim: world.kill(name))
    world.run()
    assert not world.failed
    for name in world.names[victims:]:
        world.assert_whole(name)
    assert world.uploads[PUBLISHER] <= 60 * (1.5 + victims)


@given(seed=st.integers(0, 2**32), liars=st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_liars_are_dropped_and_nothing_wrong_is_accepted(miniature: Any, seed: int, liars: int) -> None:
    world = miniature(5, 60, seed)
    world.corrupt.update(world.names[:liars])
    world.start()
    world.run()
    assert world.done == set(world.names)
    for name in world.names:
        world.assert_whole(name)
    assert {peer for _, peer in world.dropped} <= world.corrupt
    assert world.dropped


@pytest.mark.parametrize("seed", range(3))
def test_a_peer_that_falls_silent_is_worked_around(miniature: Any, seed: int) -> None:
    world = miniature(4, 60, seed)
    world.at(0.3, lambda: world.silent.add("p0"))
    world.start()
    world.run()
    assert world.done == set(world.names)
    assert world.now_s < 20.0


def test_a_linked_peer_that_does_not_fetch_owns_nothing(miniature: Any) -> None:
    world = miniature(3, 40, 1)
    for name in world.names:
        world.tell(name, PeerUp("bystander"))
    world.start()
    world.run()
    assert world.done == set(world.names)
    assert world.now_s < 3.0


def test_late_joiners_get_everything_from_peers_when_the_publisher_is_dead(miniature: Any) -> None:
    world = miniature(4, 40, 1)
    world.start(late=("p2", "p3"), late_s=10.0)
    world.at(9.0, lambda: world.dead.add(PUBLISHER))
    world.run()
    assert world.done == set(world.names)
    assert world.uploads[PUBLISHER] == 40


@pytest.mark.parametrize("swarm", [True, False])
def test_a_publisher_that_dies_too_early_fails_the_fetch(miniature: Any, swarm: bool) -> None:
    world = miniature(3, 60, 1)
    world.start(swarm)
    world.at(0.2, lambda: world.dead.add(PUBLISHER))
    world.run()
    assert set(world.failed) == set(world.names)
    assert all("cannot be reached" in failed.reason and not failed.corrupt for failed in world.failed.values())


def test_a_lying_publisher_fails_the_fetch(miniature: Any) -> None:
    world = miniature(1, 10, 1)
    world.corrupt.add(PUBLISHER)
    world.start()
    world.run()
    assert world.failed["p0"].corrupt
    assert world.dropped == [("p0", PUBLISHER)]


def test_the_same_seed_gives_the_same_story(miniature: Any) -> None:
    stories = []
    for _ in range(2):
        world = miniature(4, 50, 9)
        world.start()
        world.run()
        stories.append((world.now_s, world.uploads))
    assert stories[0] == stories[1]


# ---- one exchange -----------------------------------------------------------------------------------------------


class Alone:
    """One exchange whose instructions are looked at one by one."""

    def __init__(self, toy_weights: Any, chunks: int = 4, limits: Limits | None = None) -> None:
        self.data, self.manifest = toy_weights(chunks)
        self.key = self.manifest.key
        self.exchange = Exchange("me", limits=limits)

    def tell(self, event: Any, now_s: float = 0.0) -> list[Any]:
        return self.exchange.handle(event, now_s)

    def chunk(self, peer: str, index: int, now_s: float = 0.0) -> list[Any]:
        payload = memoryview(self.data.tobytes()[self.manifest.range(index)])
        return self.tell(ChunkArrived(peer, self.key, index, payload), now_s)

    def fetch(self, swarm: bool = True, now_s: float = 0.0) -> list[Any]:
        return self.tell(FetchWanted(self.manifest, swarm), now_s)


@pytest.fixture
def alone(toy_weights: Any) -> Alone:
    return Alone(toy_weights)


def kinds(instructions: list[Any], kind: type) -> list[Any]:
    return [instruction for instruction in instructions if isinstance(instruction, kind)]


def test_without_peers_everything_is_asked_of_the_publisher(alone: Alone) -> None:
    asked = kinds(alone.fetch(), Request)
    assert sorted(request.index for request in asked) == [0, 1, 2, 3]
    assert {request.peer for request in asked} == {PUBLISHER}


def test_the_window_bounds_what_is_asked_ahead(toy_weights: Any) -> None:
    alone = Alone(toy_weights, chunks=50, limits=Limits(pipeline_bytes=3 * 16384))
    assert len(kinds(alone.fetch(), Request)) == 3


def test_the_last_chunk_completes_the_fetch(alone: Alone) -> None:
    alone.fetch()
    for index in range(3):
        assert not kinds(alone.chunk(PUBLISHER, index), Completed)
    assert kinds(alone.chunk(PUBLISHER, 3), Completed) == [Completed(alone.key)]
    assert not alone.exchange.active


def test_an_unrequested_chunk_bans_its_sender(alone: Alone) -> None:
    alone.tell(PeerUp("a"))
    alone.fetch()
    (drop,) = kinds(alone.chunk("a", 0), DropPeer)
    assert "nobody asked" in drop.reason
    assert alone.exchange.banned("a")


def test_an_answer_twice_bans_its_sender(alone: Alone) -> None:
    alone.fetch()
    alone.chunk(PUBLISHER, 0)
    assert kinds(alone.chunk(PUBLISHER, 0), DropPeer)


def test_a_banned_peer_is_not_let_in_again(alone: Alone) -> None:
    alone.tell(PeerUp("a"))
    alone.tell(Misbehaved("a", "spoke nonsense"))
    assert kinds(alone.tell(PeerUp("a")), DropPeer)


def test_announcing_chunks_that_do_not_exist_is_misbehaviour(alone: Alone) -> None:
    alone.tell(PeerUp("a"))
    alone.fetch()
    assert kinds(alone.tell(HaveReceived("a", alone.key, ((3, 9),))), DropPeer)


def test_interest_is_told_to_everybody_linked_now_and_later(alone: Alone) -> None:
    alone.tell(PeerUp("a"))
    assert kinds(alone.fetch(), AnnounceInterest) == [AnnounceInterest("a", alone.key)]
    assert kinds(alone.tell(PeerUp("b")), AnnounceInterest) == [AnnounceInterest("b", alone.key)]


def test_a_direct_fetch_is_nobody_elses_business(alone: Alone) -> None:
    alone.tell(PeerUp("a"))
    assert not kinds(alone.fetch(swarm=False), AnnounceInterest)
    alone.tell(InterestReceived("a", alone.key))
    assert not kinds(alone.chunk(PUBLISHER, 0), AnnounceHave)


def test_new_chunks_are_announced_to_the_interested_who_lack_them(alone: Alone) -> None:
    for peer in ("a", "b", "c"):
        alone.tell(PeerUp(peer))
    alone.fetch()
    alone.tell(Tick(), 1.0)  # nobody joined in: all chunks are ours to take
    alone.tell(InterestReceived("a", alone.key), 1.0)
    alone.tell(InterestReceived("b", alone.key), 1.0)
    alone.tell(HaveReceived("b", alone.key, ((2, 1),)), 1.0)
    (announced,) = kinds(alone.chunk(PUBLISHER, 2, 1.0), AnnounceHave)
    assert announced == AnnounceHave("a", alone.key, ((2, 1),))


def test_the_interested_hear_what_is_held_already(alone: Alone) -> None:
    alone.fetch()
    for index in range(4):
        alone.chunk(PUBLISHER, index)
    alone.tell(PeerUp("late"))
    assert alone.tell(InterestReceived("late", alone.key)) == [AnnounceHave("late", alone.key, ((0, 4),))]


def test_a_publisher_that_forgot_ends_a_direct_fetch(alone: Alone) -> None:
    alone.fetch(swarm=False)
    (failed,) = kinds(alone.tell(ChunkMissing(PUBLISHER, alone.key, 0)), Failed)
    assert "no longer publishes" in failed.reason
    assert "4 of 4 chunks are missing" in failed.reason


def test_a_broken_stream_is_tried_again_ever_later_then_given_up(alone: Alone) -> None:
    asked, now_s, failed = kinds(alone.fetch(), Request), 0.0, []
    waits = []
    for _ in range(5):
        assert len(asked) == 4
        failed = kinds(alone.tell(StreamLost(PUBLISHER, "refused"), now_s), Failed)
        lost_s, asked = now_s, []
        while not asked and not failed:
            now_s += 0.01
            asked = kinds(alone.tell(Tick(), now_s), Request)
        waits.append(now_s - lost_s)
    assert waits[:4] == pytest.approx([0.05, 0.1, 0.2, 0.4], abs=0.011)
    assert "cannot be reached: refused" in failed[0].reason


def test_a_dead_silent_stream_is_dropped(alone: Alone) -> None:
    alone.fetch()
    assert not kinds(alone.tell(Tick(), 29.0), DropStream)
    assert kinds(alone.tell(Tick(), 31.0), DropStream) == [DropStream(PUBLISHER)]


def test_an_answer_that_comes_after_all_is_taken(alone: Alone) -> None:
    alone.fetch()
    alone.tell(Tick(), 10.0)  # stalled by now
    alone.chunk(PUBLISHER, 0, 11.0)
    for index in (1, 2, 3):
        out = alone.chunk(PUBLISHER, index, 11.0)
    assert kinds(out, Completed)


def test_a_forgotten_fetch_leaves_no_ban_behind(alone: Alone) -> None:
    alone.fetch()
    alone.tell(Forgotten(alone.key))
    assert not alone.exchange.active
    assert alone.chunk(PUBLISHER, 0) == []
    assert len(kinds(alone.fetch(), Request)) == 1  # the other three are still due from before
    for index in range(4):
        out = alone.chunk(PUBLISHER, index)
    assert kinds(out, Completed)


def test_strangers_are_ignored(alone: Alone) -> None:
    alone.fetch()
    for event in (
        HaveReceived("x", alone.key, ((0, 4),)),
        InterestReceived("x", alone.key),
        PeerDown("x"),
        StreamLost("x", "gone"),
        ChunkMissing("x", alone.key, 0),
    ):
        assert alone.tell(event) == []


def test_interests_of_a_hostile_peer_are_bounded(alone: Alone) -> None:
    alone.tell(PeerUp("a"))
    for round_index in range(1_000):
        alone.tell(InterestReceived("a", alone.key._replace(round=round_index)))
    assert len(alone.exchange._holders["a"].interests) == 64
