"""A swarm of nodes on loopback, all on the test's event loop, and strangers who keep to no rule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
import pytest

from fedswarm.swarm.events import Introduced, Spreading
from fedswarm.swarm.handshake import PROTOCOL
from fedswarm.swarm.manifest import Manifest, build_manifest
from fedswarm.swarm.messages import Address, Hello
from fedswarm.swarm.wire import encode_letter
from services.peer.deliveries import CALLER_KEY, DELIVER_METHOD
from services.peer.links import LINK_METHOD
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
        node = await self.register(name, job, **settings)
        await node.start(self.targets[name])
        return node

    async def register(self, name: str, job: str = JOB, **settings: Any) -> PeerNode:
        """A node whose server answers, but that has not started."""
        node, server = PeerNode(name, job, **settings), Server()
        node.register(server)
        self.targets[name] = f"127.0.0.1:{await server.start('127.0.0.1', 0)}"
        self.nodes[name], self.servers[name] = node, server
        return node

    async def restart_server(self, name: str) -> None:
        """All connections to a node break; it answers again at the same address."""
        await self.servers[name].stop(0)
        server = self.servers[name] = Server()
        self.nodes[name].register(server)
        await server.start("127.0.0.1", int(self.targets[name].rpartition(":")[2]))

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


class Stranger:
    """A peer by hand: links, says what the test tells it to, and never reads a frame."""

    def __init__(self, name: str, target: str) -> None:
        self.name = name
        self.streams = 0
        self._channel = grpc.aio.insecure_channel(target)
        self._server = grpc.aio.server()
        self.call: Any = None

    async def link(self, *messages: Any) -> None:
        handlers = {"Deliver": grpc.stream_stream_rpc_method_handler(self._never_read)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("fedswarm.v1.Peer", handlers),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.call = self._channel.stream_stream(LINK_METHOD)()
        await self.say(Hello(PROTOCOL, JOB, Address(self.name, f"127.0.0.1:{port}")))
        await self.call.read()
        for message in messages:
            await self.say(message)

    async def say(self, message: Any) -> None:
        await self.call.write(encode_letter([message]))

    def deliver(self) -> Any:
        return self._channel.stream_stream(DELIVER_METHOD)(metadata=((CALLER_KEY, self.name),))

    async def _never_read(self, _: Any, context: Any) -> None:
        self.streams += 1
        await asyncio.Event().wait()

    async def close(self) -> None:
        await self._channel.close()
        await self._server.stop(0)


@pytest.fixture
async def make_stranger() -> AsyncIterator[Callable[[str, str], Stranger]]:
    strangers: list[Stranger] = []

    def make(name: str, target: str) -> Stranger:
        strangers.append(Stranger(name, target))
        return strangers[-1]

    yield make
    for one in strangers:
        await one.close()


@pytest.fixture
def stranger(make_stranger: Any) -> Any:
    """Makes a stranger that is linked and has said these messages."""

    async def make(name: str, target: str, *messages: Any) -> Stranger:
        made: Stranger = make_stranger(name, target)
        await made.link(*messages)
        return made

    return make
