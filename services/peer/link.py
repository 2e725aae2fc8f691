"""A control link between two peers: small messages both ways, merged while the other side is slow to read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc

from fedswarm.errors import WireError
from fedswarm.swarm.manifest import MAX_NAME_BYTES, Key
from fedswarm.swarm.wire import PROTOCOL
from fedswarm.v1 import common_pb2, peer_pb2

HELLO_TIMEOUT_S: Final = 5.0
_MAX_WAITING_MESSAGES: Final = 1024

Runs: TypeAlias = tuple[tuple[int, int], ...]
Read: TypeAlias = Callable[[], Awaitable[object]]
Write: TypeAlias = Callable[[peer_pb2.PeerMessage], Awaitable[None]]


class Link:
    """One open link to the peer ``peer_id``, which answers requests for chunks at ``target``."""

    def __init__(self, peer_id: str, target: str, dialled: bool) -> None:
        self.peer_id = peer_id
        self.target = target
        self.dialled = dialled
        self._waiting: list[peer_pb2.PeerMessage] = []
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()

    def interested(self, key: Key) -> None:
        """Says that we fetch these weights."""
        self._send(peer_pb2.PeerMessage(interested=peer_pb2.Interested(round=key.round, source=key.source)))

    def forget(self, key: Key) -> None:
        """Says that we hold nothing of these weights any more."""
        self._send(peer_pb2.PeerMessage(forget=peer_pb2.Forget(round=key.round, source=key.source)))

    def have(self, key: Key, runs: Runs) -> None:
        """Says which chunks we hold; joins an announcement that still waits to be sent."""
        last = self._waiting[-1] if self._waiting else None
        if last is None or not last.HasField("have") or (last.have.round, last.have.source) != key:
            self._send(peer_pb2.PeerMessage(have=peer_pb2.Have(round=key.round, source=key.source)))
            last = self._waiting[-1]
        last.have.runs.extend(peer_pb2.Run(first=first, count=count) for first, count in runs)

    def close(self, reason: str = "") -> None:
        """Says goodbye if there is a reason, and ends the link."""
        if reason:
            self._send(peer_pb2.PeerMessage(goodbye=peer_pb2.Goodbye(reason=reason)))
        self._closing.set()

    async def run(self, read: Read, write: Write, on_message: Callable[[peer_pb2.PeerMessage], None]) -> None:
        """Carries messages until either side ends the link."""
        tasks = [
            asyncio.create_task(self._receive(read, on_message)),
            asyncio.create_task(self._transmit(write)),
            asyncio.create_task(self._closing.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.is_set():
                await asyncio.wait(tasks[:2], timeout=0.05)  # lets a goodbye out
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _send(self, message: peer_pb2.PeerMessage) -> None:
        if len(self._waiting) >= _MAX_WAITING_MESSAGES:
            self._closing.set()  # a peer that stopped reading
            return
        self._waiting.append(message)
        self._wake.set()

    async def _receive(self, read: Read, on_message: Callable[[peer_pb2.PeerMessage], None]) -> None:
        try:
            while isinstance(message := await read(), peer_pb2.PeerMessage):
                if message.HasField("goodbye"):
                    return
                on_message(message)
        except grpc.aio.AioRpcError:
            return

    async def _transmit(self, write: Write) -> None:
        try:
            while True:
                while self._waiting:
                    await write(self._waiting.pop(0))
                self._wake.clear()
                await self._wake.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            return


def hello_message(job: str, peer_id: str, target: str) -> peer_pb2.PeerMessage:
    """What both sides say first."""
    address = common_pb2.PeerAddress(peer_id=peer_id, target=target)
    return peer_pb2.PeerMessage(hello=peer_pb2.Hello(protocol=PROTOCOL, job=job, peer=address))


def check_hello(message: object, job: str, me: str) -> common_pb2.PeerAddress:
    """The other side's address; raises :class:`WireError` if we cannot talk to it."""
    if not isinstance(message, peer_pb2.PeerMessage) or not message.HasField("hello"):
        raise WireError("a link must begin with hello")
    hello = message.hello
    if hello.protocol != PROTOCOL:
        raise WireError(f"peer {hello.peer.peer_id!r} speaks protocol {hello.protocol}, this is {PROTOCOL}")
    if hello.job != job:
        raise WireError(f"peer {hello.peer.peer_id!r} belongs to job {hello.job!r}, this is {job!r}")
    if not hello.peer.peer_id or hello.peer.peer_id == me or not hello.peer.target:
        raise WireError(f"a peer says it is {hello.peer.peer_id!r} at {hello.peer.target!r}")
    if len(hello.peer.peer_id) > MAX_NAME_BYTES or len(hello.peer.target) > MAX_NAME_BYTES:
        raise WireError(f"a peer's name or target is longer than {MAX_NAME_BYTES} characters")
    return hello.peer
