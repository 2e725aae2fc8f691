"""The executor's foreman: turns the aggregator's messages into work on the bench, in order, and reports."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from fedswarm import events
from fedswarm.aggregation.grid import Sum
from fedswarm.aggregation.sum_encoding import encode_sum
from fedswarm.clock import Clock
from fedswarm.errors import FedswarmError
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, Vector
from fedswarm.rounds import wire
from fedswarm.rounds.exchange_choice import chosen_chunk_bytes
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.manifest import Manifest, build_manifest
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from services.executor.reducer import Reducer
from services.executor.session import Session
from services.executor.workbench import Workbench
from services.peer.node import PeerNode

log = logging.getLogger(__name__)

# A model that could not be fetched is tried again after these pauses before the leases that need it fail.
FETCH_PAUSES_S = (0.2, 1.0)


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
        self._download_s = 0.0
        self._reducer = Reducer(executor_id, node, self._send)
        self._work: asyncio.Queue[pb.AggregatorMessage] = asyncio.Queue()
        self._offered: Manifest | None = None
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
                self._take_offer(message.model)
            case "round_closed":
                self._drop_leases(message.round_closed.round)
                self._bench.close_round(message.round_closed.round)
                self._reducer.close_round(message.round_closed.round)
                self._node.forget_before(message.round_closed.round + 1)
            case "reduce":
                self._reducer.begin(message.reduce)
            case "train" | "test" | "upload":
                self._work.put_nowait(message)
            case other:
                log.warning("ignored a message of unknown kind %r", other)

    def _drop_leases(self, round_index: int) -> None:
        """Forgets training that waits for a round decided without it; the same round may be drawn anew later."""
        waiting = [self._work.get_nowait() for _ in range(self._work.qsize())]
        for message in waiting:
            if not (message.HasField("train") and message.train.round <= round_index):
                self._work.put_nowait(message)

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
        """Stops what is in progress."""
        await self._reducer.close()
        if self._model is not None:
            self._model.cancel()
            await asyncio.gather(self._model, return_exceptions=True)

    def _send(self, message: pb.ExecutorMessage) -> None:
        assert self._session is not None
        self._session.send(message)

    # Models

    def _take_offer(self, offer: pb.ModelOffer) -> None:
        """Starts fetching a version. An offer of what is held or under way already (a rejoin) changes nothing."""
        manifest = manifest_from_proto(offer.manifest)
        known = self._offered is not None and self._offered.root == manifest.root
        if known and self._model is not None and not _has_failed(self._model):
            return
        if self._model is not None:
            self._model.cancel()
        self._offered = manifest
        self._model = asyncio.create_task(self._fetch(manifest, offer.source.target, offer.swarm))
        self._model.add_done_callback(_note_failure)

    async def _fetch(self, manifest: Manifest, source_target: str, swarm: bool) -> Vector:
        start_s = self._clock.now_s()
        for pause_s in (*FETCH_PAUSES_S, None):
            try:
                fetched = await self._node.fetch(manifest, source_target, swarm=swarm)
                break
            except FedswarmError as error:
                if pause_s is None:
                    raise
                log.warning("fetching model version %d failed, trying again: %s", manifest.round, error)
                await asyncio.sleep(pause_s)
        self._download_s = self._clock.now_s() - start_s
        weights: Vector | None = fetched.vector
        assert weights is not None, "no sink was given"
        self._layout.check(weights)
        return weights

    async def _weights(self, version: int) -> Vector:
        model, offered = self._model, self._offered
        if model is None or offered is None or version != offered.round:
            newest = "none" if offered is None else offered.round
            raise FedswarmError(f"model version {version} was asked for, but the newest offered is {newest}")
        try:
            return await asyncio.shield(model)
        except asyncio.CancelledError:
            if model.cancelled():
                raise FedswarmError(f"model version {version} was superseded while it was fetched") from None
            raise

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
        weights = await self._weights(lease.round)
        tasks = wire.read_tasks(lease)
        reports = await self._bench.train(lease.lease_id, lease.round, lease.learning_rate, weights, tasks)
        if self._job.experiment_mode == "deployment":
            reports = [replace(report, download_s=self._download_s) for report in reports]
        self._send(wire.train_report_message(lease.lease_id, reports))

    async def _test(self, lease: pb.TestLease) -> None:
        weights = await self._weights(lease.round)
        scores = await self._bench.test(lease.round, weights, list(lease.blocks))
        self._send(wire.model_test_report_message(lease.lease_id, scores))

    async def _upload(self, order: pb.UploadOrder) -> None:
        if order.initial_model:
            vector: Vector | Sum = await self._bench.initial_weights()
        else:
            shares = {client.client_id: client.weight for client in order.clients}
            total = await self._bench.weighted_sum(order.round, list(order.lease_ids), shares)
            vector = total if order.is_part else encode_sum(total)
            if order.is_part:
                self._reducer.keep(order, total)
        manifest = build_manifest(
            vector,
            job=self._job.job_name,
            round_index=order.round,
            source=f"{self._executor_id}/{order.order_id}",
            schema_hash=self._layout.schema_hash,
            chunk_bytes=chosen_chunk_bytes(self._job.exchange, vector.nbytes),
        )
        self._node.publish(manifest, vector, spreading=Spreading.SCATTER)
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


def _has_failed(fetch: asyncio.Task[Vector]) -> bool:
    return fetch.done() and (fetch.cancelled() or fetch.exception() is not None)


def _note_failure(fetch: asyncio.Task[Vector]) -> None:
    """Logs a failed fetch once, even when no lease waits for it."""
    if not fetch.cancelled() and fetch.exception() is not None:
        log.warning("fetching the model failed: %s", fetch.exception())
