"""An aggregator's conductor on loopback, and guests that speak the executor's protocol by hand."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from fedswarm import events
from fedswarm.clock import ManualClock
from fedswarm.devices.worlds import open_world
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.records.reader import read_records
from fedswarm.records.writer import RecordWriter
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.swarm.manifest import build_manifest
from fedswarm.swarm.wire import manifest_to_proto
from fedswarm.training.task import BlockResult
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import aggregator_pb2_grpc
from services.aggregator import conductor as conductor_module
from services.aggregator.conductor import Conductor
from services.aggregator.servicer import AggregatorServicer
from services.peer.node import PeerNode
from services.process.server import Server

JOB = "toy"
DIGEST = "d1"
LAYOUT = Layout((TensorSpec("w", (4,)),))
CLIENTS = {0: 10, 1: 10, 2: 10, 3: 10}
INITIAL = np.array([1, 2, 3, 4], dtype=np.float32)
UPDATE = np.array([0.5, 0.25, 0, -1])


class Guest:
    """One executor's end of a session; it does only what the test says."""

    def __init__(self, name: str, stub: Any) -> None:
        self.name = name
        self.target = ""
        self.node, self.server = PeerNode(name, JOB), Server()
        self.call = stub.Session()

    async def open(self) -> None:
        self.node.register(self.server)
        self.target = f"127.0.0.1:{await self.server.start('127.0.0.1', 0)}"
        await self.node.start(self.target)

    async def register(self, *, clients: dict[int, int] | None = None, digest: str = DIGEST, job: str = JOB) -> None:
        held = CLIENTS if clients is None else clients
        await self.say(wire.registration_message(self.name, self.target, LAYOUT, held, 1, job, digest))

    async def say(self, message: pb.ExecutorMessage) -> None:
        await self.call.write(message)

    async def hear(self, kind: str) -> Any:
        """The next message of this kind; those in between are not wanted."""
        while True:
            message = await self.call.read()
            assert message is not grpc.aio.EOF, f"the session ended before a message of kind {kind}"
            if message.WhichOneof("body") == kind:
                return getattr(message, kind)

    async def ended(self) -> None:
        """Waits for the end of the session."""
        while await self.call.read() is not grpc.aio.EOF:
            pass

    async def deliver(self, order: pb.UploadOrder, vector: np.ndarray) -> None:
        """Publishes what an order asks for."""
        manifest = build_manifest(
            vector, job=JOB, round_index=order.round, source=f"{self.name}/{order.order_id}", schema_hash="ab"
        )
        self.node.publish(manifest, vector)
        upload = pb.Upload(order_id=order.order_id, manifest=manifest_to_proto(manifest))
        await self.say(pb.ExecutorMessage(event=events.UPLOAD_MODEL, upload=upload))

    async def fail(self, **task: int) -> None:
        await self.say(pb.ExecutorMessage(failure=pb.Failure(error="disk full", **task)))

    async def start_model(self) -> None:
        """Delivers the initial model."""
        order = await self.hear("upload")
        assert order.initial_model
        await self.deliver(order, INITIAL)

    async def test(self) -> None:
        lease = await self.hear("test")
        blocks = [BlockResult(block, 10, 5, 7, 1.0) for block in lease.blocks]
        await self.say(wire.model_test_report_message(lease.lease_id, blocks))

    async def train(self, leases: int = 2) -> None:
        """Reports two clients, a lease each."""
        for _ in range(leases):
            lease = await self.hear("train")
            tasks = wire.read_tasks(lease)
            reports = [msg.ClientReport(task.client_id, True, trained_samples=10) for task in tasks]
            await self.say(wire.train_report_message(lease.lease_id, reports))

    async def sum_up(self) -> None:
        await self.deliver(await self.hear("upload"), UPDATE)

    async def play(self) -> None:
        """A whole run of one round."""
        await self.start_model()
        await self.test()
        await self.train()
        await self.sum_up()
        await self.test()
        assert (await self.hear("shutdown")).reason == "the run is over"
        await self.leave()

    async def leave(self) -> None:
        self.call.cancel()

    async def close(self) -> None:
        self.call.cancel()
        await self.node.close()
        await self.server.stop(0)


class House:
    """The conductor at work in one process with its guests."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        settings: dict[str, Any] = {
            "job_name": JOB,
            "rounds": 1,
            "cluster": {"executors": 1, **changes.pop("cluster", {})},
            "selection": {"participants": 2, "overcommitment": 1.0},
            **changes,
        }
        self.folder = folder
        self.clock = ManualClock()
        job = Job.model_validate(settings)
        self.records = RecordWriter(folder / "rounds.jsonl", folder / "text.log", now=lambda: 0.0)
        self.node, self.server = PeerNode(wire.SOURCE, JOB), Server()
        self.conductor = Conductor(job, DIGEST, open_world(job), self.node, self.records, folder, self.clock)
        self.guests: list[Guest] = []

    async def open(self) -> None:
        self.node.register(self.server)
        servicer = AggregatorServicer(self.conductor)
        register = functools.partial(aggregator_pb2_grpc.add_AggregatorServicer_to_server, servicer)
        self.server.add("fedswarm.v1.Aggregator", register)
        self.conductor.target = f"127.0.0.1:{await self.server.start('127.0.0.1', 0)}"
        await self.node.start(self.conductor.target)
        self.channel = grpc.aio.insecure_channel(self.conductor.target)
        self.stub: Any = aggregator_pb2_grpc.AggregatorStub(self.channel)
        self.running = asyncio.create_task(self.conductor.run())

    async def guest(self, name: str = "1", **registration: Any) -> Guest:
        """Somebody who opened a session and registered."""
        guest = Guest(name, self.stub)
        self.guests.append(guest)
        await guest.open()
        await guest.register(**registration)
        return guest

    def tagged(self, tag: str) -> list[dict[str, Any]]:
        return [record for record in read_records(self.folder / "rounds.jsonl") if record["tag"] == tag]

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await asyncio.gather(*(guest.close() for guest in self.guests))
        await self.channel.close()
        await self.node.close()
        await self.server.stop(0)
        self.records.close()


@pytest.fixture
async def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Makes a house with the given changes to its job."""
    monkeypatch.setattr(conductor_module, "TICK_S", 0.01)
    monkeypatch.setattr(conductor_module, "FAREWELL_S", 0.2)
    (tmp_path / "checkpoints").mkdir()
    houses: list[House] = []

    async def make(**changes: Any) -> House:
        houses.append(House(tmp_path, **changes))
        await houses[-1].open()
        return houses[-1]

    try:
        async with asyncio.timeout(30):
            yield make
    finally:
        for house in houses:
            await house.close()


@pytest.fixture
async def house(build: Any) -> House:
    made: House = await build()
    return made
