"""The executor's foreman: turns the aggregator's messages into work on the bench, in order, and reports."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from fedswarm import events
from fedswarm.aggregation.grid import Sum
from fedswarm.clock import Clock
from fedswarm.errors import FedswarmError
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, Vector
from fedswarm.rounds import wire
from fedswarm.rounds.exchange_choice import chosen_chunk_bytes
from fedswarm.swarm.manifest import Manifest, build_manifest
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from services.executor.session import Session
from services.executor.workbench import Workbench
from services.peer.node import PeerNode

log = logging.getLogger(__name__)


class Foreman:
    """Implements :class:`~services.executor.session.Handler`.

    Messages are taken as they come; work waits in one queue, because there is one training thread. A model version is
    fetched in the background as soon as it is offered, while leases that need it wait in the queue.
    """

    def __init__(
        self, job: Job, executor_id: str, layout: Layout, bench: Workbench, node: PeerNode, clock: Clock
    ) -> None:
        self._job = job
        self._executor_id = executor_id
        self._layout = layout
        self._bench = bench
        self._node = node
        self._clock = clock
        self._closed_round = -1
        self._download_s = 0.0
        self._work: asyncio.Queue[pb.AggregatorMessage] = asyncio.Queue()
        self._version = -1
        self._model: asyncio.Task[Vector] | None = None
        self._session: Session | None = None
        self._registration: pb.ExecutorMessage | None = None

    def attach(self, session: Session, registration: pb.ExecutorMessage) -> None:
        """Where reports go, and what to register with."""
        self._session = session
        self._registration = registration

    def registration(self) -> pb.ExecutorMessage:
        """The first message of a session; work of an earlier session is forgotten."""
        assert self._registration is not None
        while not self._work.empty():
            self._work.get_nowait()
        return self._registration

    def receive(self, message: pb.AggregatorMessage) -> None:
        """Takes a message of the session."""
        match message.WhichOneof("body"):
            case "model":
                self._offered(message.model)
            case "round_closed":
                self._closed_round = message.round_closed.round
                self._bench.close_round(message.round_closed.round)
                self._node.forget_before(message.round_closed.round + 1)
            case "train" | "test" | "upload":
                self._work.put_nowait(message)
            case other:
                log.warning("ignored a message of unknown kind %r", other)

    async def run(self) -> None:
        """Does the queued work, for ever."""
        while True:
            message = await self._work.get()
            try:
                await self._do(message)
            except FedswarmError as error:
                log.warning("%s failed: %s", message.event, error)
                self._send(_failure(message, str(error)))
            except Exception as error:  # one broken task must not end the executor
                log.exception("%s failed", message.event)
                self._send(_failure(message, f"{type(error).__name__}: {error}"))

    async def close(self) -> None:
        """Stops a fetch in progress."""
        if self._model is not None:
            self._model.cancel()
            await asyncio.gather(self._model, return_exceptions=True)

    def _send(self, message: pb.ExecutorMessage) -> None:
        assert self._session is not None
        self._session.send(message)

    # Models

    def _offered(self, offer: pb.ModelOffer) -> None:
        manifest = manifest_from_proto(offer.manifest)
        if self._model is not None:
            self._model.cancel()
        self._version = manifest.round
        self._model = asyncio.create_task(self._fetch(manifest, offer.source.target, offer.swarm))
        self._model.add_done_callback(_note_failure)

    async def _fetch(self, manifest: Manifest, source_target: str, swarm: bool) -> Vector:
        start_s = self._clock.now_s()
        weights = await self._node.fetch(manifest, source_target, swarm=swarm)
        self._download_s = self._clock.now_s() - start_s
        self._layout.check(weights)
        return weights

    async def _weights(self, version: int) -> Vector:
        if self._model is None or version != self._version:
            raise FedswarmError(f"model version {version} was asked for, but {self._version} is the newest offered")
        return await asyncio.shield(self._model)

    # Work

    async def _do(self, message: pb.AggregatorMessage) -> None:
        match message.WhichOneof("body"):
            case "train":
                await self._train(message.train)
            case "test":
                await self._test(message.test)
            case "upload":
                await self._upload(message.upload)

    async def _train(self, lease: pb.TrainLease) -> None:
        if lease.round <= self._closed_round:
            return  # the round was decided without it
        weights = await self._weights(lease.round)
        tasks = wire.read_tasks(lease)
        reports = await self._bench.train(lease.lease_id, lease.round, lease.learning_rate, weights, tasks)
        if self._job.experiment_mode == "deployment":
            reports = [replace(report, download_s=self._download_s) for report in reports]
        self._send(wire.train_report_message(lease.lease_id, lease.round, reports))

    async def _test(self, lease: pb.TestLease) -> None:
        weights = await self._weights(lease.round)
        scores = await self._bench.test(lease.round, weights, list(lease.blocks))
        self._send(wire.model_test_report_message(lease.lease_id, lease.round, scores))

    async def _upload(self, order: pb.UploadOrder) -> None:
        if order.order_id == wire.INITIAL_MODEL_ORDER:
            vector: Vector | Sum = await self._bench.initial_weights()
        else:
            shares = {client.client_id: client.weight for client in order.clients}
            vector = await self._bench.weighted_sum(order.round, list(order.lease_ids), shares)
        manifest = build_manifest(
            vector,
            job=self._job.job_name,
            round_index=order.round,
            source=f"{self._executor_id}/{order.order_id}",
            schema_hash=self._layout.schema_hash,
            chunk_bytes=chosen_chunk_bytes(self._job.exchange),
        )
        self._node.publish(manifest, vector)
        upload = pb.Upload(order_id=order.order_id, manifest=manifest_to_proto(manifest))
        self._send(pb.ExecutorMessage(event=events.UPLOAD_MODEL, upload=upload))


def _failure(message: pb.AggregatorMessage, error: str) -> pb.ExecutorMessage:
    body = pb.Failure(error=error[: wire.LONGEST_ERROR])
    match message.WhichOneof("body"):
        case "train":
            body.lease_id = message.train.lease_id
        case "test":
            body.lease_id = message.test.lease_id
        case _:
            body.order_id = message.upload.order_id
    return pb.ExecutorMessage(event=message.event, failure=body)


def _note_failure(fetch: asyncio.Task[Vector]) -> None:
    """Logs a failed fetch once, even when no lease waits for it."""
    if not fetch.cancelled() and fetch.exception() is not None:
        log.warning("fetching the model failed: %s", fetch.exception())
