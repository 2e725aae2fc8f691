"""A control link between two peers: whatever waits to be said goes out in one letter."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import grpc

from fedswarm.errors import WireError
from fedswarm.swarm.messages import Goodbye, Hello, Message
from fedswarm.swarm.wire import MAX_MESSAGES, decode_letter, encode_letter
from services.peer.spacing import Spacing
from services.peer.traffic import Meter

FAREWELL_S: Final = 0.2
_LETTER_BYTES: Final = 1024 * 1024
_MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""The manifest of very large weights has a few MiB; a peer for whom more than this waits has stopped reading."""


class Wire(Protocol):
    """One end of a ``Peer.Link`` call, as the side that dialled and the side that answered both have it."""

    async def read(self) -> object:
        """The next letter, or something else at the end."""
        ...

    async def write(self, letter: bytes) -> None:
        """Sends a letter."""
        ...


class Link:
    """One open link to the peer that said ``hello``."""

    def __init__(self, hello: Hello, dialled: bool, meter: Meter) -> None:
        self.hello = hello
        self.dialled = dialled
        self.closed = asyncio.Event()
        """Set by whoever carries it when it is over."""
        self._meter = meter
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._closing = ""
        self._ending = asyncio.Event()
        self._said_goodbye = False

    @property
    def peer(self) -> str:
        """Who is at the other end."""
        return self.hello.address.peer

    def send(self, message: Message) -> None:
        """Says something, after what was said before; never waits."""
        if self._closing:
            return
        letter = encode_letter([message])
        self._waiting.append(letter)
        self._waiting_bytes += len(letter)
        self._said_goodbye = isinstance(message, Goodbye)
        self._wake.set()
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            self._waiting.clear()
            self.close("it has stopped reading")

    def close(self, reason: str) -> None:
        """Says goodbye, if that was not the last word, and ends the link."""
        if self._closing:
            return
        if not self._said_goodbye:
            self.send(Goodbye(reason))
        self._closing = reason
        self._ending.set()
        self._wake.set()

    async def run(
        self, wire: Wire, hear: Callable[[Message], None], last_word: Callable[[], Awaitable[None]] | None = None
    ) -> str:
        """Carries messages until either side ends the link; returns why it ended.

        ``last_word`` tells the other side that no letter follows; then it may end the call from there. Raises
        :class:`WireError` when the other side breaks the protocol.
        """
        transmitter = asyncio.create_task(self._transmit(wire))
        receiver = asyncio.create_task(self._receive(wire, hear))
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((receiver, transmitter, ending), return_when=asyncio.FIRST_COMPLETED)
            if self._closing:
                await self._part(transmitter, receiver, last_word)
            if receiver.done():
                return receiver.result()
            return self._closing or "it cannot be written to"
        finally:
            self._closing = self._closing or "it is over"
            self._waiting.clear()
            self._wake.set()
            await let_finish(transmitter)
            for task in (receiver, ending):
                task.cancel()
            await asyncio.gather(receiver, ending, return_exceptions=True)

    async def _part(
        self,
        transmitter: asyncio.Task[None],
        receiver: asyncio.Task[str],
        last_word: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """Lets the goodbye out, and the other side hear it, for a moment."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await asyncio.wait((transmitter,))
                if last_word is not None:
                    await last_word()
                    await asyncio.wait((receiver,))
        except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return

    async def _receive(self, wire: Wire, hear: Callable[[Message], None]) -> str:
        try:
            while isinstance(letter := await wire.read(), bytes):
                self._meter.control_received += len(letter)
                for message in decode_letter(letter):
                    if isinstance(message, Hello):
                        raise WireError("said hello twice")
                    hear(message)
                    if isinstance(message, Goodbye):
                        return f"it said goodbye: {message.reason}"
        except grpc.aio.AioRpcError as error:
            return f"its connection broke ({error.code().name})"
        return "it ended the link"

    async def _transmit(self, wire: Wire) -> None:
        spacing = Spacing()
        try:
            while True:
                self._wake.clear()
                while self._waiting:
                    if not self._closing:
                        await spacing.wait()
                    if letter := self._next_letter():
                        await wire.write(letter)
                        self._meter.control_sent += len(letter)
                if self._closing:
                    return
                await self._wake.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            return

    def _next_letter(self) -> bytes:
        """Everything that waits, as far as one letter goes."""
        parts: list[bytes] = []
        size = 0
        while self._waiting and len(parts) < MAX_MESSAGES and size < _LETTER_BYTES:
            parts.append(self._waiting.popleft())
            size += len(parts[-1])
        self._waiting_bytes -= size
        return b"".join(parts)


async def let_finish(writer: asyncio.Task[None]) -> None:
    """Waits, a moment at most, for a task that ends after the write in hand.

    gRPC cannot end a call while a write is under way: the other side would not hear of the end.
    """
    await asyncio.wait((writer,), timeout=FAREWELL_S)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
