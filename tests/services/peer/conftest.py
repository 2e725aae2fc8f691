"""A swarm of nodes on loopback, all on the test's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from fedswarm.swarm.events import Introduced, Spreading
from fedswarm.swarm.manifest import Manifest, build_manifest
from fedswarm.swarm.messages import Address
from services.peer.node import PeerNode
from services.process.server import Server

JOB = "test-job"


class Town:
    """Starts nodes, and stops whatever still runs at the end."""

    def __init__(self) -> None:
        self.nodes: dict[str, PeerNode] = {}
        self.targets: dict[str, str] = {}
        self.servers: dict[str, Server] = {}

    async def node(self, name: str, job: str = JOB, **settings: Any) -> PeerNode:
        node, server = PeerNode(name, job, **settings), Server()
        node.register(server)
        self.targets[name] = f"127.0.0.1:{await server.start('127.0.0.1', 0)}"
        self.nodes[name], self.servers[name] = node, server
        await node.start(self.targets[name])
        return node

    async def linked_nodes(self, *names: str) -> list[PeerNode]:
        """New nodes, each linked with all that run."""
        nodes = [await self.node(name) for name in names]
        for name in names:
            self.introduce(name, *(other for other in self.nodes if other != name))
        await self.linked(*self.nodes)
        return nodes

    def introduce(self, name: str, *others: str) -> None:
        self.nodes[name].feed(Introduced(tuple(Address(other, self.targets[other]) for other in others)))

    async def kill(self, name: str) -> None:
        """As abrupt as it gets inside one process: connections break, nothing is said."""
        await self.servers.pop(name).stop(0)
        node = self.nodes.pop(name)
        node._stepper.stop()
        await node.close()

    async def linked(self, *names: str) -> None:
        pairs = [(one, other) for one in names for other in names if one != other]
        await self.until(lambda: all(other in self.nodes[one].links for one, other in pairs))

    async def until(self, true: Callable[[], object]) -> None:
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)

    def publish(
        self,
        name: str,
        data: np.ndarray,
        round_index: int = 1,
        *,
        spreading: Spreading = Spreading.ANSWER,
        **fields: Any,
    ) -> Manifest:
        manifest = build_manifest(
            data, job=JOB, round_index=round_index, source=fields.pop("source", name), schema_hash="ab", **fields
        )
        self.nodes[name].publish(manifest, data, spreading=spreading)
        return manifest

    async def close(self) -> None:
        await asyncio.gather(*(node.close() for node in self.nodes.values()))
        await asyncio.gather(*(server.stop(0) for server in self.servers.values()))


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    try:
        async with asyncio.timeout(60):
            yield town
    finally:
        await town.close()


@pytest.fixture
def vector() -> Callable[[int], np.ndarray]:
    def draw(size: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).random(size, dtype=np.float32)

    return draw
