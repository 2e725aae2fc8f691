"""The aggregator's end of one executor's session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fedswarm import events
from fedswarm.swarm.slices import Rates
from fedswarm.v1 import aggregator_pb2 as pb


class ExecutorSession:
    """Messages queued for one executor, when it was last heard, and how many bytes it says it moved."""

    def __init__(self, executor: str, target: str, rates: Rates, now_s: float) -> None:
        self.executor = executor
        self.target = target
        self.rates = rates
        self.heard_s = now_s
        self.traffic = pb.Traffic()
        self._outbox: asyncio.Queue[pb.AggregatorMessage | None] = asyncio.Queue()

    def send(self, message: pb.AggregatorMessage) -> None:
        """Queues a message."""
        self._outbox.put_nowait(message)

    def end(self) -> None:
        """Ends the session once everything queued is out."""
        self._outbox.put_nowait(None)

    async def outgoing(self, heartbeat_s: float) -> AsyncIterator[pb.AggregatorMessage]:
        """What goes to the executor: queued messages, a heartbeat whenever there are none, until :meth:`end`."""
        while True:
            try:
                async with asyncio.timeout(heartbeat_s):
                    message = await self._outbox.get()
            except TimeoutError:
                message = pb.AggregatorMessage(event=events.DUMMY_EVENT)
            if message is None:
                return
            yield message
