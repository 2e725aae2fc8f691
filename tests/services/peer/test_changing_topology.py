"""Nodes on loopback whose tracker changes their topology."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedswarm.clock import WallClock
from fedswarm.swarm import introductions
from fedswarm.swarm.limits import Limits
from services.peer.node import PeerNode
from services.process.server import Server
from services.tracker.servicer import SERVICE_NAME, TrackerServicer

RING = '{"kind":"ring"}'
QUICK = Limits(part_after_s=0.2, errand_s=0.5)


class Swarm:
    """Nodes of a ring, and their tracker."""

    def __init__(self, town: Any) -> None:
        self.town = town
        self.left: list[str] = []
        self.server = Server()
        self.servicer = TrackerServicer(WallClock(), lease_s=0.6)
        self.tracker = ""

    async def begin(self, *names: str) -> None:
        self.server.add(SERVICE_NAME, self.servicer.add_to)
        self.tracker = f"127.0.0.1:{await self.server.start('127.0.0.1', 0)}"
        await asyncio.gather(*(self.join(name, founders=len(names)) for name in names))

    async def join(self, name: str, founders: int = 0) -> PeerNode:
        node: PeerNode = await self.town.register(name, limits=QUICK)
        node.on_leave = self.left.append
        await node.start(self.town.targets[name], [self.tracker], topology=RING, founders=founders)
        return node

    async def until_linked(self, *ring: str) -> None:
        """Waits until links are those of a ring of these peers, in this order, and nothing else."""
        wanted = {name: {ring[at - 1], ring[(at + 1) % len(ring)]} for at, name in enumerate(ring)}
        async with asyncio.timeout(20):
            while {name: set(self.town.nodes[name].links) for name in ring} != wanted:  # noqa: ASYNC110 - links tell nobody
                await asyncio.sleep(0.02)


@pytest.fixture
async def swarm(town: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(introductions, "FOUNDING_S", 0.3)
    swarm = Swarm(town)
    timekeeper = asyncio.create_task(swarm.servicer.keep_time())
    yield swarm
    timekeeper.cancel()
    await swarm.server.stop(0)


async def test_links_follow_a_ring_that_peers_join_and_leave(swarm: Swarm) -> None:
    await swarm.begin("1", "2", "3", "4")
    await swarm.until_linked("1", "2", "3", "4")
    await swarm.join("5")
    await swarm.until_linked("1", "2", "3", "4", "5")
    assert swarm.left == []
    await swarm.town.nodes["2"].close()
    await swarm.until_linked("1", "3", "4", "5")
    assert set(swarm.left) == {"2"}


async def test_who_fetches_from_far_gets_it_all_and_is_linked_as_before(swarm: Swarm, vector: Any) -> None:
    await swarm.begin("1", "2", "3", "4", "5")
    await swarm.until_linked("1", "2", "3", "4", "5")
    data = vector(500_000)
    manifest = swarm.town.publish("1", data)
    fetched = await swarm.town.nodes["3"].fetch(manifest, swarm.town.targets["1"], swarm=False)
    assert np.array_equal(fetched.vector, data)
    assert "1" in swarm.town.nodes["3"].links
    await swarm.until_linked("1", "2", "3", "4", "5")
    assert swarm.left == []
