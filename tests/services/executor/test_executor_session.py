"""An executor's session over loopback, with an aggregator that says exactly what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from fedswarm import events
from fedswarm.errors import RunFailedError
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import aggregator_pb2_grpc
from services.executor import session as session_module
from services.executor.session import Session
from services.process.server import Server


class Visit:
    """One session, from the aggregator's side."""

    def __init__(self, requests: AsyncIterator[pb.ExecutorMessage]) -> None:
        self._requests = aiter(requests)
        self.orders: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(self) -> pb.ExecutorMessage:
        return await anext(self._requests)

    def say(self, message: pb.AggregatorMessage) -> None:
        self.orders.put_nowait(message)

    def welcome(self, heartbeat_ms: int = 10_000, dead_after_ms: int = 60_000) -> None:
        body = pb.Welcome(heartbeat_ms=heartbeat_ms, dead_after_ms=dead_after_ms)
        self.say(pb.AggregatorMessage(event=events.CLIENT_CONNECT, welcome=body))

    def close_round(self, number: int) -> None:
        self.say(pb.AggregatorMessage(event=events.START_ROUND, round_closed=pb.RoundClosed(round=number)))

    def shut_down(self, *, refused: bool = False) -> None:
        body = pb.Shutdown(reason="because", refused=refused)
        self.say(pb.AggregatorMessage(event=events.SHUT_DOWN, shutdown=body))

    def hang_up(self) -> None:
        self.orders.put_nowait(None)

    def abort(self, code: grpc.StatusCode, detail: str) -> None:
        self.orders.put_nowait((code, detail))


class ScriptedAggregator(aggregator_pb2_grpc.AggregatorServicer):
    """Hands each session to the test."""

    def __init__(self) -> None:
        self.visits: asyncio.Queue[Visit] = asyncio.Queue()

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.AggregatorMessage]:
        visit = Visit(request_iterator)
        self.visits.put_nowait(visit)
        while (order := await visit.orders.get()) is not None:
            if isinstance(order, tuple):
                await context.abort(*order)
            yield order


class StepClock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.looks = 0

    def now_s(self) -> float:
        self.looks += 1
        return float(self.looks)


class Executor:
    """A session with a handler that keeps what it hears."""

    def __init__(self, target: str, rejoin_timeout_s: float) -> None:
        self.heard: asyncio.Queue[pb.AggregatorMessage] = asyncio.Queue()
        self.traffic = (0, 0)
        self.clock = StepClock()
        self.session = Session(target, self, rejoin_timeout_s, lambda: self.traffic, self.clock)
        self.running = asyncio.create_task(self.session.run())

    def registration(self) -> pb.ExecutorMessage:
        return pb.ExecutorMessage(event=events.CLIENT_CONNECT, registration=pb.Registration(executor_id="1"))

    def receive(self, message: pb.AggregatorMessage) -> None:
        self.heard.put_nowait(message)

    def say(self, lease_id: int) -> None:
        body = pb.TrainReport(lease_id=lease_id)
        self.session.send(pb.ExecutorMessage(event=events.CLIENT_TRAIN, train_report=body))


class Stage:
    """The aggregator on its server, and the executors started so far."""

    def __init__(self) -> None:
        self.aggregator, self.server = ScriptedAggregator(), Server()
        self.target = ""
        self.executors: list[Executor] = []

    async def open(self) -> None:
        self.server.add(
            "fedswarm.v1.Aggregator",
            lambda server: aggregator_pb2_grpc.add_AggregatorServicer_to_server(self.aggregator, server),
        )
        self.target = f"127.0.0.1:{await self.server.start('127.0.0.1', 0)}"

    def executor(self, rejoin_timeout_s: float = 1e6) -> Executor:
        self.executors.append(Executor(self.target, rejoin_timeout_s))
        return self.executors[-1]

    async def visit(self) -> Visit:
        visit = await self.aggregator.visits.get()
        assert (await visit.hear()).registration.executor_id == "1", "a session begins with the registration"
        return visit

    async def close(self) -> None:
        for executor in self.executors:
            executor.running.cancel()
        await asyncio.gather(*(executor.running for executor in self.executors), return_exceptions=True)
        await self.server.stop(0)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(session_module, "RETRY_S", 0.01)
    stage = Stage()
    await stage.open()
    try:
        async with asyncio.timeout(30):
            yield stage
    finally:
        await stage.close()


async def report_of(visit: Visit) -> pb.ExecutorMessage:
    """The next message that is no heartbeat."""
    while True:
        message = await visit.hear()
        if message.event != events.DUMMY_EVENT:
            return message


async def test_messages_reach_the_handler_in_order_and_heartbeats_do_not(stage: Stage) -> None:
    executor = stage.executor()
    visit = await stage.visit()
    visit.welcome()
    visit.close_round(1)
    visit.say(pb.AggregatorMessage(event=events.DUMMY_EVENT))
    visit.close_round(2)
    assert [(await executor.heard.get()).round_closed.round for _ in range(2)] == [1, 2]
    assert executor.heard.empty()


async def test_reports_go_out_in_order(stage: Stage) -> None:
    executor = stage.executor()
    visit = await stage.visit()
    for lease_id in (1, 2, 3):
        executor.say(lease_id)
    assert [(await report_of(visit)).train_report.lease_id for _ in range(3)] == [1, 2, 3]


async def test_heartbeats_follow_the_rhythm_of_the_welcome_from_the_start(stage: Stage) -> None:
    """They used to begin a whole second late: an aggregator with less patience dropped every newcomer."""
    executor = stage.executor()
    executor.session._heartbeat_s = 3600.0
    visit = await stage.visit()
    visit.welcome(heartbeat_ms=10)
    assert [(await visit.hear()).event for _ in range(3)] == [events.DUMMY_EVENT] * 3


async def test_the_aggregators_shutdown_ends_the_session_well(stage: Stage) -> None:
    executor = stage.executor()
    visit = await stage.visit()
    visit.welcome()
    visit.shut_down()
    await executor.running


async def test_being_sent_away_is_a_failure_with_the_reason(stage: Stage) -> None:
    """A refused executor used to exit with 0."""
    executor = stage.executor()
    visit = await stage.visit()
    visit.shut_down(refused=True)
    with pytest.raises(RunFailedError, match="sent this executor away: because"):
        await executor.running


@pytest.mark.parametrize("code", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT])
async def test_a_refused_registration_is_not_tried_again(stage: Stage, code: grpc.StatusCode) -> None:
    executor = stage.executor()
    visit = await stage.visit()
    visit.abort(code, "another job")
    with pytest.raises(RunFailedError, match="refused this executor: another job"):
        await executor.running
    assert stage.aggregator.visits.empty()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_a_session_that_breaks_is_begun_anew(stage: Stage, code: grpc.StatusCode) -> None:
    executor = stage.executor()
    visit = await stage.visit()
    visit.abort(code, "trouble")
    visit = await stage.visit()
    visit.close_round(3)
    assert (await executor.heard.get()).round_closed.round == 3


async def test_a_session_that_just_ends_is_begun_anew(stage: Stage) -> None:
    stage.executor()
    (await stage.visit()).hang_up()
    await stage.visit()


async def test_a_silent_aggregator_is_sought_again(stage: Stage) -> None:
    stage.executor()
    visit = await stage.visit()
    visit.welcome(dead_after_ms=30)
    await stage.visit()


async def test_an_aggregator_that_never_answers_is_sought_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "FIRST_ANSWER_S", 0.05)
    stage.executor()
    await stage.visit()
    await stage.visit()


async def test_reports_of_a_lost_session_are_not_sent_in_the_next(stage: Stage) -> None:
    executor = stage.executor()
    visit = await stage.visit()
    visit.close_round(0)
    await executor.heard.get()
    visit.hang_up()
    second = asyncio.create_task(stage.visit())
    await asyncio.sleep(0)
    executor.say(1)  # the old session is over for the aggregator, and the executor cannot know yet
    visit = await second
    visit.close_round(1)
    await executor.heard.get()
    executor.say(2)
    assert (await report_of(visit)).train_report.lease_id == 2


async def test_an_aggregator_that_stays_away_is_a_failure(stage: Stage) -> None:
    await stage.server.stop(0)
    executor = stage.executor(rejoin_timeout_s=3.0)
    with pytest.raises(RunFailedError, match=r"is gone \(UNAVAILABLE"):
        await executor.running
    assert executor.clock.looks == 4  # lost at 1 s, and given up 3 s later


async def test_patience_starts_anew_whenever_the_aggregator_is_heard(stage: Stage) -> None:
    executor = stage.executor(rejoin_timeout_s=2.0)
    for number in range(5):
        visit = await stage.visit()
        visit.close_round(number)
        visit.hang_up()
    assert not executor.running.done()
    assert executor.heard.qsize() >= 4


async def test_traffic_counts_from_the_sessions_start(stage: Stage) -> None:
    executor = stage.executor()
    executor.traffic = (100, 10)
    visit = await stage.visit()
    visit.close_round(0)
    await executor.heard.get()
    executor.traffic = (150, 12)
    executor.say(1)
    assert (await report_of(visit)).traffic == pb.Traffic(received_bytes=50, wasted_bytes=2)
    visit.hang_up()
    visit = await stage.visit()
    visit.close_round(1)
    await executor.heard.get()
    executor.traffic = (157, 12)
    executor.say(2)
    assert (await report_of(visit)).traffic == pb.Traffic(received_bytes=7, wasted_bytes=0)
