"""An executor's session with the aggregator: messages in, work done in order, reports out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import grpc

from fedswarm import events
from fedswarm.clock import Clock
from fedswarm.errors import RunFailedError
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import aggregator_pb2_grpc
from services.process.grpc_settings import CONTROL_OPTIONS

log = logging.getLogger(__name__)

FIRST_ANSWER_S = 30.0
RETRY_S = 0.25
REFUSALS = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)


class Handler(Protocol):
    """Takes what the aggregator says."""

    def registration(self) -> pb.ExecutorMessage:
        """The first message of a session."""
        ...

    def receive(self, message: pb.AggregatorMessage) -> None:
        """One message other than a heartbeat; must not block."""
        ...


class Session:
    """Keeps a session open until the aggregator ends it, or is lost for too long.

    ``traffic`` gives the bytes received and wasted so far; what is reported counts from the session's start, so that an
    executor that comes back is not counted twice.
    """

    def __init__(
        self,
        target: str,
        handler: Handler,
        rejoin_timeout_s: float,
        traffic: Callable[[], tuple[int, int]],
        clock: Clock,
    ) -> None:
        self._target = target
        self._handler = handler
        self._rejoin_timeout_s = rejoin_timeout_s
        self._traffic = traffic
        self._clock = clock
        self._outbox: asyncio.Queue[pb.ExecutorMessage] = asyncio.Queue()
        self._heartbeat_s = 1.0
        self._silence_s = FIRST_ANSWER_S

    def send(self, message: pb.ExecutorMessage) -> None:
        """Queues a message."""
        self._outbox.put_nowait(message)

    async def run(self) -> None:
        """Returns when told to shut down; raises :class:`RunFailedError` when the aggregator refuses or stays away."""
        lost_at_s: float | None = None
        while True:
            try:
                async with grpc.aio.insecure_channel(self._target, options=CONTROL_OPTIONS) as channel:
                    async for message in self._converse(channel):
                        lost_at_s = None
                        if message.event == events.SHUT_DOWN:
                            self._leave(message.shutdown)
                            return
                        if message.event != events.DUMMY_EVENT:
                            self._handler.receive(message)
                reason = "the session ended"
            except TimeoutError:
                reason = f"silent for {self._silence_s:g} s"
            except grpc.aio.AioRpcError as error:
                if error.code() in REFUSALS:
                    raise RunFailedError(f"the aggregator refused this executor: {error.details()}") from error
                reason = f"{error.code().name}: {error.details()}"
            now_s = self._clock.now_s()
            if lost_at_s is None:
                lost_at_s = now_s
                log.warning("lost the aggregator at %s (%s); seeking it again", self._target, reason)
            if now_s - lost_at_s >= self._rejoin_timeout_s:
                raise RunFailedError(f"the aggregator at {self._target} is gone ({reason}); its log says why")
            await asyncio.sleep(RETRY_S)

    def _leave(self, shutdown: pb.Shutdown) -> None:
        if shutdown.refused:
            raise RunFailedError(f"the aggregator sent this executor away: {shutdown.reason}")
        log.info("shutting down: %s", shutdown.reason)

    async def _converse(self, channel: grpc.aio.Channel) -> AsyncIterator[pb.AggregatorMessage]:
        self._outbox = asyncio.Queue()  # what was meant for the last session means nothing to this one
        stub = aggregator_pb2_grpc.AggregatorStub(channel)
        call = stub.Session(self._outgoing(self._outbox))
        self._silence_s = FIRST_ANSWER_S
        try:
            while True:
                async with asyncio.timeout(self._silence_s):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                if message.WhichOneof("body") == "welcome":
                    self._heartbeat_s = message.welcome.heartbeat_ms / 1000
                    self._silence_s = message.welcome.dead_after_ms / 1000
                    log.info("registered with the aggregator at %s", self._target)
                    self.send(pb.ExecutorMessage(event=events.DUMMY_EVENT))  # the new rhythm begins here
                    continue
                yield message
        finally:
            call.cancel()

    async def _outgoing(self, outbox: asyncio.Queue[pb.ExecutorMessage]) -> AsyncIterator[pb.ExecutorMessage]:
        yield self._handler.registration()
        received, wasted = self._traffic()
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    message = await outbox.get()
            except TimeoutError:
                message = pb.ExecutorMessage(event=events.DUMMY_EVENT)
            received_now, wasted_now = self._traffic()
            message.traffic.received_bytes = received_now - received
            message.traffic.wasted_bytes = wasted_now - wasted
            yield message
