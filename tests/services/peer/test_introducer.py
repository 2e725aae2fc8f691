"""Peers and their trackers over loopback; only addresses travel, so peers are no more than names here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedswarm.clock import WallClock
from fedswarm.swarm import introductions
from fedswarm.swarm.announcements import Announcement, Progress
from fedswarm.swarm.events import Arranged, Departed, Introduced
from fedswarm.swarm.manifest import build_manifest
from fedswarm.swarm.messages import Address
from services.peer import tracker_session
from services.peer.introductions import Introducer
from services.process.server import Server
from services.tracker.servicer import SERVICE_NAME, TrackerServicer


class Stage:
    """Trackers by number, and who heard of whom."""

    def __init__(self) -> None:
        self.trackers: list[str] = []
        self.servers: dict[str, Server] = {}
        self.servicers: dict[str, TrackerServicer] = {}
        self.peers: dict[str, Introducer] = {}
        self.known: dict[str, set[str]] = {}
        self.departed: dict[str, list[str]] = {}
        self.arranged: dict[str, list[frozenset[str] | None]] = {}

    async def tracker(self, port: int = 0, lease_s: float = 0.9) -> str:
        servicer, server = TrackerServicer(WallClock(), lease_s), Server()
        server.add(SERVICE_NAME, servicer.add_to)
        target = f"127.0.0.1:{await server.start('127.0.0.1', port)}"
        self.servers[target], self.servicers[target] = server, servicer
        if target not in self.trackers:
            self.trackers.append(target)
        return target

    async def kill(self, tracker: str) -> None:
        await self.servers.pop(tracker).stop(0)

    def peer(self, name: str, *, trackers: list[str] | None = None, **fields: Any) -> Introducer:
        self.known[name], self.departed[name], self.arranged[name] = set(), [], []

        def feed(event: Introduced | Departed | Arranged) -> None:
            if isinstance(event, Introduced):
                self.known[name] |= {address.peer for address in event.addresses}
            elif isinstance(event, Departed):
                self.departed[name].append(event.peer)
            else:
                self.arranged[name].append(event.neighbours)

        me = replace(Announcement("j", Address(name, f"host:{name}")), **fields)
        chosen = self.trackers if trackers is None else trackers
        self.peers[name] = Introducer(chosen, me, lambda: Progress(sent_bytes=7), feed)
        return self.peers[name]

    async def leave(self, name: str) -> None:
        await self.peers.pop(name).close()

    def linked(self, one: str, other: str) -> bool:
        return other in self.known[one] or one in self.known[other]

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await asyncio.gather(*(peer.close() for peer in self.peers.values()))
        await asyncio.gather(*(server.stop(0) for server in self.servers.values()))


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(tracker_session, "_FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(tracker_session, "_LAST_RETRY_S", 0.2)
    stage = Stage()
    try:
        yield stage
    finally:
        await stage.close()


async def test_peers_of_different_trackers_meet_through_the_one_they_share(stage: Stage) -> None:
    first, second = await stage.tracker(), await stage.tracker()
    stage.peer("a", trackers=[first])
    stage.peer("b", trackers=[second])
    stage.peer("c")
    await stage.until(lambda: stage.linked("a", "c") and stage.linked("b", "c"))
    assert not stage.linked("a", "b")


async def test_a_peer_has_left_when_all_trackers_say_so(stage: Stage) -> None:
    await stage.tracker()
    await stage.tracker()
    stage.peer("a")
    assert await stage.peers["a"].answered(10.0)
    stage.peer("b")
    await stage.until(lambda: "a" in stage.known["b"])
    await stage.leave("a")
    await stage.until(lambda: stage.departed["b"] == ["a"])


async def test_one_tracker_less_is_not_felt(stage: Stage) -> None:
    first, _ = await stage.tracker(), await stage.tracker()
    stage.peer("a")
    stage.peer("b")
    await stage.until(lambda: stage.linked("a", "b"))
    await stage.kill(first)
    stage.peer("c")
    await stage.until(lambda: stage.linked("a", "c") and stage.linked("b", "c"))
    assert not any(stage.departed.values())


async def test_a_tracker_that_comes_back_learns_everything_anew(stage: Stage) -> None:
    tracker = await stage.tracker()
    stage.peer("a").publish(build_manifest(np.zeros(8, np.float32), job="j", round_index=3, source="a", schema_hash=""))
    stage.peer("b")
    await stage.until(lambda: stage.linked("a", "b"))
    await stage.kill(tracker)
    await asyncio.sleep(0.1)
    await stage.tracker(port=int(tracker.rpartition(":")[2]))
    late = stage.peer("late")
    await stage.until(lambda: stage.linked("a", "late") and stage.linked("b", "late"))
    assert [found.holder.peer for found in await late.find(3)] == ["a"]
    assert not any(stage.departed.values())


async def test_a_silent_tracker_counts_as_lost_and_is_sought_again(stage: Stage) -> None:
    tracker = await stage.tracker(lease_s=0.3)
    servicer = stage.servicers[tracker]
    stage.peer("a")
    assert await stage.peers["a"].answered(10.0)
    leases = {*servicer._outboxes}
    for outbox in servicer._outboxes.values():
        outbox.answer = lambda *, whole: None  # type: ignore[method-assign]
    await stage.until(lambda: servicer._outboxes and leases.isdisjoint(servicer._outboxes))


async def test_the_topology_is_known_as_long_as_a_tracker_can_be_heard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introductions, "FOUNDING_S", 0.1)
    tracker = await stage.tracker(lease_s=0.3)
    timekeeper = asyncio.create_task(stage.servicers[tracker].keep_time())
    stage.peer("a")
    stage.peer("b")
    await stage.until(lambda: stage.arranged["a"][-1:] == [frozenset("b")])
    await stage.until(lambda: stage.arranged["b"][-1:] == [frozenset("a")])
    timekeeper.cancel()
    await stage.kill(tracker)
    await stage.until(lambda: stage.arranged["a"][-1] is None and stage.arranged["b"][-1] is None)
    assert not any(stage.departed.values())


async def test_without_any_tracker_a_peer_lives_on(stage: Stage) -> None:
    lonely = stage.peer("a", trackers=[])
    assert await lonely.find(1) == ()
    lost = stage.peer("b", trackers=["127.0.0.1:1"])
    assert await lost.find(1) == ()
    assert not await lost.answered(0.01)


async def test_who_publishes_what_is_told_at_once_by_all_trackers(stage: Stage) -> None:
    await stage.tracker(lease_s=300.0)
    await stage.tracker(lease_s=300.0)
    publisher, seeker = stage.peer("a"), stage.peer("b")
    assert await publisher.answered(10.0)
    manifest = build_manifest(np.zeros(8, np.float32), job="j", round_index=3, source="a", schema_hash="")
    publisher.publish(manifest)
    found: tuple[Any, ...] = ()
    async with asyncio.timeout(20):
        while not found:
            found = await seeker.find(3)
    (publication,) = found
    assert (publication.reference.key, publication.reference.root) == (manifest.key, manifest.root)
    assert publication.holder == Address("a", "host:a")
    publisher.forget(manifest.key)
    async with asyncio.timeout(20):
        while await seeker.find(3):
            pass


async def test_two_trackers_arrange_the_founders_alike(stage: Stage) -> None:
    await stage.tracker()
    await stage.tracker()
    names = [str(number) for number in range(1, 9)]
    for name in (*names[4:], *names[:4]):
        stage.peer(name, topology='{"kind":"ring"}', founders=8)
    ring = {(names[at - 1], name) for at, name in enumerate(names)}
    await stage.until(lambda: all(stage.linked(*pair) for pair in ring))
    assert sum(stage.linked(one, other) for one in names for other in names if one < other) == 8
