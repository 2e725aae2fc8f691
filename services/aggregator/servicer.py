"""The Aggregator service: sessions, status and stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc

from fedswarm.errors import FedswarmError, WireError
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import aggregator_pb2_grpc
from services.aggregator.conductor import Conductor
from services.aggregator.executor_session import ExecutorSession

log = logging.getLogger(__name__)

FIRST_MESSAGE_S = 30.0

Context: TypeAlias = "grpc.aio.ServicerContext[pb.ExecutorMessage, pb.AggregatorMessage]"


class AggregatorServicer(aggregator_pb2_grpc.AggregatorServicer):
    """Carries messages between gRPC and the conductor."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def Session(
        self, request_iterator: AsyncIterator[pb.ExecutorMessage], context: Context
    ) -> AsyncIterator[pb.AggregatorMessage]:
        """One executor's session, from its registration to its end."""
        try:
            registration = await self._register(request_iterator)
        except (FedswarmError, TimeoutError, StopAsyncIteration) as error:
            log.error("a registration was refused: %s", error)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error) or "no registration came")
        session = self._conductor.connect(registration)
        reader = asyncio.create_task(self._read(session, request_iterator))
        try:
            async for message in session.outgoing(self._conductor.job.cluster.heartbeat_s):
                yield message
        finally:
            reader.cancel()
            self._conductor.disconnect(session, "its session ended")

    async def _register(self, requests: AsyncIterator[pb.ExecutorMessage]) -> wire.Registration:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            first = await anext(aiter(requests))
        registration = wire.read_registration(first)
        job = self._conductor.job
        if registration.job_name != job.job_name:
            raise WireError(f"this aggregator runs job {job.job_name!r}, not {registration.job_name!r}")
        if registration.job_digest != self._conductor.job_digest:
            raise WireError("the executor's job.yml differs from the aggregator's; give both the same resolved file")
        return registration

    async def _read(self, session: ExecutorSession, requests: AsyncIterator[pb.ExecutorMessage]) -> None:
        try:
            async for message in requests:
                self._conductor.receive(session, message)
            self._conductor.disconnect(session, "it ended its session")
        except FedswarmError as error:
            self._conductor.disconnect(session, str(error))
        except Exception as error:  # one session's trouble must not pass unseen, nor end the others
            log.exception("the session of executor %s broke", session.executor)
            self._conductor.disconnect(session, f"{type(error).__name__}: {error}")

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusReply:
        """Where the run stands."""
        machine = self._conductor.machine
        return pb.StatusReply(
            job=machine.job.job_name,
            round=machine.round_index,
            rounds=machine.job.rounds,
            phase=machine.phase,
            clock_s=machine.clock_s,
            executors=len(machine.roster),
        )

    async def Stop(self, request: pb.StopRequest, context: Context) -> pb.StopReply:
        """Ends the run early."""
        self._conductor.deliver(msg.StopRequested(request.reason or "asked to stop"))
        return pb.StopReply()
