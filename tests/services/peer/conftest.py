"""A swarm of nodes on loopback, all on the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from fedswarm.clock import WallClock
from fedswarm.swarm.manifest import Manifest, build_manifest
from services.peer.node import PeerNode
from services.process.server import Server
from services.tracker.servicer import SERVICE_NAME, TrackerServicer

JOB = "test-job"


class Town:
    """Starts nodes and trackers, and stops whatever still runs at the end."""

    def __init__(self) -> None:
        self.nodes: dict[str, PeerNode] = {}
        self.targets: dict[str, str] = {}
        self.servers: dict[str, Server] = {}

    async def tracker(self, name: str = "tracker", lease_s: float = 10.0, port: int = 0) -> str:
        servicer, server = TrackerServicer(WallClock(), lease_s), Server()
        server.add(SERVICE_NAME, servicer.add_to)
        self.targets[name] = f"127.0.0.1:{await server.start('127.0.0.1', port)}"
        self.servers[name] = server
        return self.targets[name]

    async def node(self, name: str, tracker: str | None = None, job: str = JOB) -> PeerNode:
        node, server = PeerNode(name, job), Server()
        node.register(server)
        self.targets[name] = f"127.0.0.1:{await server.start('127.0.0.1', 0)}"
        self.nodes[name], self.servers[name] = node, server
        await node.start(self.targets[name], tracker)
        return node

    async def kill(self, name: str) -> None:
        """As abrupt as it gets inside one process: connections break, nothing is said."""
        await self.servers.pop(name).stop(0)
        node = self.nodes.pop(name, None)
        if node is not None:
            await node.close()

    async def linked(self, *names: str) -> None:
        pairs = [(one, other) for one in names for other in names if one != other]
        await self.until(lambda: all(self.nodes[one]._links.get(other) for one, other in pairs))

    async def until(self, true: Callable[[], object]) -> None:
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)

    def publish(self, name: str, data: np.ndarray, round_index: int = 1, **fields: object) -> Manifest:
        manifest = build_manifest(
            data,
            job=JOB,
            round_index=round_index,
            source=name,
            schema_hash="ab",
            **fields,  # type: ignore[arg-type]
        )
        self.nodes[name].publish(manifest, data)
        return manifest

    async def close(self) -> None:
        await asyncio.gather(*(node.close() for node in self.nodes.values()))
        await asyncio.gather(*(server.stop(0) for server in self.servers.values()))


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    try:
        yield town
    finally:
        await town.close()


@pytest.fixture
def vector() -> Callable[[int], np.ndarray]:
    def draw(size: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).random(size, dtype=np.float32)

    return draw
