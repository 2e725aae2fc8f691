"""Registrations that must be refused, the Status call, and the aggregator process's own server."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fedswarm import events
from fedswarm.errors import StoppedError
from fedswarm.rounds import wire
from fedswarm.swarm.slices import UNKNOWN_RATES
from fedswarm.v1 import aggregator_pb2 as pb
from services.aggregator import main, servicer
from services.aggregator.executor_session import ExecutorSession


async def refusal(stub: Any, *messages: pb.ExecutorMessage) -> tuple[grpc.StatusCode, str]:
    call = stub.Session()
    for message in messages:
        await call.write(message)
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    return refused.value.code(), refused.value.details() or ""


def registration(**changes: Any) -> pb.ExecutorMessage:
    body = pb.Registration(
        protocol=wire.PROTOCOL,
        job="toy",
        executor_id="1",
        layout_json='[["w",[4],true]]',
        job_digest="d1",
        clients=[pb.ClientInfo(client_id=0, samples=10)],
        test_blocks=1,
    )
    body.peer.target = "h:1"
    for field, value in changes.items():
        setattr(body, field, value)
    return pb.ExecutorMessage(event=events.CLIENT_CONNECT, registration=body)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"protocol": 9}, "speaks protocol 9, this aggregator 1"),
        ({"job": "other"}, "runs job 'toy', not 'other'"),
        ({"job_digest": "d2"}, "job.yml differs"),
        ({"executor_id": "../1"}, "'../1' cannot name an executor"),
        ({"executor_id": "aggregator"}, "'aggregator' cannot name an executor"),
        ({"layout_json": "{"}, "not a weight layout"),
    ],
)
async def test_a_registration_that_does_not_fit_is_refused_with_the_reason(
    house: Any, changes: dict[str, Any], detail: str
) -> None:
    code, details = await refusal(house.stub, registration(**changes))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert detail in details
    assert house.conductor._sessions == {}


async def test_a_session_must_begin_with_a_registration(house: Any) -> None:
    code, details = await refusal(house.stub, pb.ExecutorMessage(event=events.DUMMY_EVENT))
    assert (code, "must be a registration" in details) == (grpc.StatusCode.FAILED_PRECONDITION, True)


async def test_a_session_that_ends_before_it_begins_is_refused(house: Any) -> None:
    assert await refusal(house.stub) == (grpc.StatusCode.FAILED_PRECONDITION, "no registration came")


async def test_who_never_registers_is_not_waited_for(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "FIRST_MESSAGE_S", 0.02)
    with pytest.raises(grpc.aio.AioRpcError, match="no registration came"):
        await house.stub.Session().read()


async def test_a_message_that_breaks_the_shell_ends_its_session_alone(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = await house.guest()
    await guest.hear("welcome")

    def receive(session: ExecutorSession, message: pb.ExecutorMessage) -> None:
        raise ArithmeticError("a bug of ours")

    monkeypatch.setattr(house.conductor, "receive", receive)
    await guest.say(pb.ExecutorMessage(event=events.DUMMY_EVENT))
    await guest.ended()
    assert not house.running.done()
    while not (lost := house.tagged("EXECUTOR_LOST")):  # noqa: ASYNC110 - the record tells nobody
        await asyncio.sleep(0.002)
    assert lost[0]["reason"] == "ArithmeticError: a bug of ours"


async def test_status_tells_where_the_run_stands(house: Any) -> None:
    before = await house.stub.Status(pb.StatusRequest())
    assert before == pb.StatusReply(job="toy", round=0, rounds=1, phase="gathering", executors=0)
    guest = await house.guest()
    await guest.start_model()
    await guest.hear("train")
    during = await house.stub.Status(pb.StatusRequest())
    assert (during.phase, during.executors) == ("round", 1)


async def test_an_idle_session_carries_heartbeats_and_ends_when_told() -> None:
    session = ExecutorSession("1", "h:1", UNKNOWN_RATES, 0.0)
    outgoing = session.outgoing(heartbeat_s=0.01)
    assert (await anext(outgoing)).event == events.DUMMY_EVENT
    session.send(pb.AggregatorMessage(event=events.UPDATE_MODEL))
    session.end()
    session.send(pb.AggregatorMessage(event=events.CLIENT_TRAIN))
    assert [message.event async for message in outgoing] == [events.UPDATE_MODEL]


class Process:
    """The aggregator's ``serve`` as its process runs it, with the launcher's end of the status pipe."""

    def __init__(self, folder: Path) -> None:
        (folder / "job.yml").write_text(json.dumps({"job_name": "toy"}))
        (folder / "checkpoints").mkdir()
        self._reader, self._writer = os.pipe()
        flags = ["--job", str(folder / "job.yml"), "--run-folder", str(folder), "--status-fd", str(self._writer)]
        self.stop = asyncio.Event()
        self.running = asyncio.create_task(main.serve(main.parse(flags), self.stop))

    async def ready(self) -> str:
        line = await asyncio.to_thread(os.read, self._reader, 4096)
        status = json.loads(line)
        assert status["ready"] is True
        return str(status["target"])

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


async def test_the_aggregator_answers_health_checks_and_reflection_and_stops_when_told(tmp_path: Path) -> None:
    process = Process(tmp_path)
    async with asyncio.timeout(30), grpc.aio.insecure_channel(await process.ready()) as channel:
        checked = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="fedswarm.v1.Aggregator")
        )
        assert checked.status == health_pb2.HealthCheckResponse.SERVING
        ask = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(ask)
        names = {service.name for service in (await call.read()).list_services_response.service}
        assert {"fedswarm.v1.Aggregator", "fedswarm.v1.Peer", "grpc.health.v1.Health"} <= names
        process.stop.set()
        with pytest.raises(StoppedError, match="the model so far is saved"):
            await process.running
    process.close()
