"""The shell around the round machine: one place that takes events, one task that carries instructions out, in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm import events
from fedswarm.aggregation.grid import Sum
from fedswarm.aggregation.server_algorithm import ServerState, server_algorithm
from fedswarm.clock import Clock
from fedswarm.devices.worlds import JobWorld
from fedswarm.errors import FedswarmError, RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.models.checkpoint import save_safetensors
from fedswarm.models.layout import Layout
from fedswarm.records import fedscale_text
from fedswarm.records.schema import CheckpointSaved, DevicesExcluded, Record
from fedswarm.records.training_rows import TrainingRows
from fedswarm.records.writer import RecordWriter
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.rounds.exchange_choice import chosen_chunk_bytes, spreads_by_peers
from fedswarm.rounds.machine import RoundMachine
from fedswarm.rounds.story import job_config
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.manifest import build_manifest
from fedswarm.swarm.slices import UNKNOWN_RATES, Rates
from fedswarm.swarm.wire import manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import common_pb2
from services.aggregator.errands import Errand
from services.aggregator.executor_session import ExecutorSession
from services.aggregator.uploads import UploadFailedError, Uploads
from services.peer.node import PeerNode

log = logging.getLogger(__name__)

TICK_S: Final = 0.5
FAREWELL_S: Final = 3.0
# Records that are worth a line in the aggregator's own log; the others are long and stand in rounds.jsonl.
LOGGED: Final = frozenset(
    {
        "DEVICES_EXCLUDED",
        "FEDERATION",
        "EXECUTOR_JOIN",
        "EXECUTOR_LOST",
        "LEASES_OVERDUE",
        "ROUND_SKIPPED",
        "TEST_RESULT",
        "SHUTDOWN",
    }
)


class Conductor:
    """Owns the run: the machine, the server's model, the executors' sessions and the records."""

    def __init__(
        self,
        job: Job,
        job_digest: str,
        world: JobWorld,
        node: PeerNode,
        records: RecordWriter,
        folder: Path,
        clock: Clock,
    ) -> None:
        self.job = job
        self.job_digest = job_digest
        self.machine = RoundMachine(job, clock.now_s(), world.make, TrainingRows(folder / "metrics", "bliss"))
        self.target = ""
        self._excluded = world.excluded
        self._node = node
        self._records = records
        self._folder = folder
        self._clock = clock
        self._algorithm = server_algorithm(job.aggregation.algorithm)
        self._state: ServerState | None = None
        self._version = 0
        self._layout: Layout | None = None
        self._total: Sum | None = None
        self._offer: pb.AggregatorMessage | None = None
        self._sessions: dict[str, ExecutorSession] = {}
        self._deserted = asyncio.Event()  # set whenever the last session ends
        self._departed = pb.Traffic()  # of sessions that ended
        self._instructions: asyncio.Queue[msg.Instruction] = asyncio.Queue()
        self._uploads = Uploads(self, node, clock, job.cluster.lease_timeout_s)
        self._fetched: dict[int, NDArray[Any]] = {}
        self._fetches: dict[asyncio.Task[None], tuple[str, ...]] = {}

    # Events in

    def deliver(self, event: msg.Event) -> None:
        """Hands an event to the machine and queues what it asks for."""
        for instruction in self.machine.handle(event, self._clock.now_s()):
            self._instructions.put_nowait(instruction)

    def connect(self, registration: wire.Registration) -> ExecutorSession:
        """An executor registered."""
        joined = registration.joined
        session = ExecutorSession(joined.executor, joined.target, registration.rates, self._clock.now_s())
        former = self._sessions.get(joined.executor)
        if former is not None:
            self.disconnect(former, "it registered again")
        self._sessions[joined.executor] = session
        self._layout = self._layout or joined.layout
        self._deserted.clear()
        self._issue(session, self._welcome())
        self.deliver(joined)
        return session

    def disconnect(self, session: ExecutorSession, reason: str) -> None:
        """A session is over, whoever ended it."""
        if self._sessions.get(session.executor) is not session:
            return
        del self._sessions[session.executor]
        session.end()
        if not self._sessions:
            self._deserted.set()
        self._departed.received_bytes += session.traffic.received_bytes
        self._departed.wasted_bytes += session.traffic.wasted_bytes
        for fetch in [fetch for fetch, executors in self._fetches.items() if session.executor in executors]:
            fetch.cancel()
        self.deliver(msg.ExecutorLost(session.executor, reason))

    def receive(self, session: ExecutorSession, message: pb.ExecutorMessage) -> None:
        """One message of a session."""
        session.heard_s = self._clock.now_s()
        if message.HasField("traffic"):
            session.traffic.CopyFrom(message.traffic)
        match message.WhichOneof("body"):
            case "train_report":
                reports = wire.read_train_report(message.train_report)
                self.deliver(msg.TrainReported(session.executor, message.train_report.lease_id, reports))
            case "test_report":
                scores = wire.read_test_report(message.test_report)
                self.deliver(msg.EvaluationReported(session.executor, message.test_report.lease_id, scores))
            case "upload":
                self._uploads.errands.published(
                    Errand(session.executor, message.upload.order_id), message.upload.manifest
                )
            case "reduced":
                slice_ = message.reduced.slice
                errand = Errand(session.executor, slice_.order_id, slice_.first_chunk)
                self._uploads.errands.published(errand, message.reduced.manifest)
            case "failure":
                self._failed(session, message.failure)

    def _failed(self, session: ExecutorSession, failure: pb.Failure) -> None:
        match failure.WhichOneof("task"):
            case "lease_id":
                self.deliver(msg.LeaseFailed(session.executor, failure.lease_id, failure.error))
            case "slice":
                errand = Errand(session.executor, failure.slice.order_id, failure.slice.first_chunk)
                self._uploads.errands.failed(errand, failure.error)
            case _:
                self._uploads.errands.failed(Errand(session.executor, failure.order_id), failure.error)

    # Executors, as uploads see them

    def target_of(self, executor: str) -> str | None:
        """Where an executor's peer answers, ``None`` if it is gone."""
        session = self._sessions.get(executor)
        return None if session is None else session.target

    def rates_of(self, executor: str) -> Rates:
        """What its link bears, as far as it told."""
        session = self._sessions.get(executor)
        return UNKNOWN_RATES if session is None else session.rates

    def send(self, executor: str, message: pb.AggregatorMessage) -> None:
        """Says something to an executor that may be gone."""
        session = self._sessions.get(executor)
        if session is not None:
            self._issue(session, message)

    def _issue(self, session: ExecutorSession, message: pb.AggregatorMessage) -> None:
        self._records.say(fedscale_text.issue(message.event, session.executor))
        session.send(message)

    # Instructions out

    async def run(self) -> msg.Finish:
        """Carries instructions out until the run is over; returns how it ended."""
        self._write(job_config(self.job))
        if self._excluded:
            self._write(DevicesExcluded(self._excluded))
        ticker = asyncio.create_task(self._tick())
        ticker.add_done_callback(self._note_death)
        try:
            while True:
                instruction = await self._instructions.get()
                if isinstance(instruction, msg.Finish):
                    return instruction
                await self._perform(instruction)
        finally:
            ticker.cancel()
            for fetch in list(self._fetches):
                fetch.cancel()
            await self._say_goodbye()

    async def _perform(self, instruction: msg.Instruction) -> None:
        match instruction:
            case msg.SendTrain(executor):
                self.send(executor, wire.train_message(instruction))
            case msg.SendTest(executor):
                self.send(executor, wire.model_test_message(instruction))
            case msg.SendModel(executor):
                if self._offer is not None:
                    self.send(executor, self._offer)
            case msg.OrderSum(_, _, parts):
                for part in parts:
                    self.send(part.executor, wire.upload_message(instruction, part))
                self._spawn(self._fetch_sum(instruction), *(part.executor for part in parts))
            case msg.RequestInitialModel(executor, order_id):
                self.send(executor, wire.initial_model_message(instruction))
                self._spawn(self._fetch_initial_model(executor, order_id), executor)
            case msg.AdoptModel(order_id):
                self._state = self._algorithm.init(self._fetched.pop(order_id))
            case msg.AddSum(order_id):
                await self._add_sum(self._fetched.pop(order_id))
            case msg.DropFetched(order_id):
                self._fetched.pop(order_id, None)
            case msg.DiscardSums():
                self._total = None
            case msg.StepModel(version):
                await self._step(version)
            case msg.PublishModel(version):
                await self._publish(version)
            case msg.CloseRound(round_index):
                self._close_round(round_index)
            case msg.WriteRecord(record):
                self._write(record)
            case msg.SaveModel():
                await self._save()
            case msg.RefuseExecutor(executor, reason):
                self._refuse(executor, reason)

    def _write(self, record: Record) -> None:
        self._records.write(record)
        if record.tag in LOGGED:
            log.info("%s %s", record.tag, {key: value for key, value in record.payload().items() if value is not None})

    def _welcome(self) -> pb.AggregatorMessage:
        cluster = self.job.cluster
        welcome = pb.Welcome(
            heartbeat_ms=round(cluster.heartbeat_s * 1000), dead_after_ms=round(cluster.dead_after_s * 1000)
        )
        return pb.AggregatorMessage(event=events.CLIENT_CONNECT, welcome=welcome)

    def _refuse(self, executor: str, reason: str) -> None:
        log.error("executor %s is sent away: %s", executor, reason)
        session = self._sessions.get(executor)
        if session is not None:
            self._issue(session, _shutdown(reason, refused=True))
            self.disconnect(session, reason)

    def _close_round(self, round_index: int) -> None:
        message = pb.AggregatorMessage(event=events.START_ROUND, round_closed=pb.RoundClosed(round=round_index))
        for session in self._sessions.values():
            self._issue(session, message)

    # The model

    async def _fetch_initial_model(self, executor: str, order_id: int) -> None:
        try:
            fetched = await self._uploads.fetch(executor, order_id)
            self._known_layout.check(fetched.vector)
            self._fetched[order_id] = fetched.vector.astype(np.float32, copy=False)
        except FedswarmError as error:
            log.warning("executor %s did not deliver the initial model: %s", executor, error)
            self.deliver(msg.InitialModelFailed(order_id, str(error)))
            return
        self.deliver(msg.InitialModelArrived(order_id))

    async def _fetch_sum(self, order: msg.OrderSum) -> None:
        try:
            self._fetched[order.order_id], upload_s = await self._uploads.fetch_sum(order, self._known_layout.size)
        except FedswarmError as error:
            log.warning("sum %d cannot be had: %s", order.order_id, error)
            culprit = error.executor if isinstance(error, UploadFailedError) else ""
            self.deliver(msg.SumFailed(order.order_id, str(error), culprit))
            return
        self.deliver(msg.SumFetched(order.order_id, upload_s))

    @property
    def _known_layout(self) -> Layout:
        assert self._layout is not None, "somebody registered, else nothing could be fetched"
        return self._layout

    async def _add_sum(self, partial: Sum) -> None:
        if self._total is None:
            self._total = partial
        else:
            await asyncio.to_thread(np.add, self._total, partial, self._total)

    async def _step(self, version: int) -> None:
        assert self._state is not None and self._total is not None
        self._state = await asyncio.to_thread(self._algorithm.apply, self._state, self._total)
        self._total = None
        self._version = version
        self.deliver(msg.ModelStepped(version, self._traffic()))

    def _traffic(self) -> msg.Traffic:
        """What executors received came from the aggregator or from each other."""
        own = self._node.traffic
        sessions = [self._departed, *(session.traffic for session in self._sessions.values())]
        taken = sum(traffic.received_bytes for traffic in sessions)
        return msg.Traffic(
            sent=own.sent,
            received=own.received,
            peers=max(0, taken - own.sent),
            wasted=own.wasted + sum(traffic.wasted_bytes for traffic in sessions),
        )

    async def _publish(self, version: int) -> None:
        assert self._state is not None and self._layout is not None
        weights = self._state.weights
        manifest = await asyncio.to_thread(
            build_manifest,
            weights,
            job=self.job.job_name,
            round_index=version,
            source=wire.SOURCE,
            schema_hash=self._layout.schema_hash,
            chunk_bytes=chosen_chunk_bytes(self.job.exchange, weights.nbytes),
        )
        swarm = spreads_by_peers(self.job.exchange, manifest.total_bytes, len(self._sessions))
        self._node.publish(manifest, weights, spreading=Spreading.PUSH if swarm else Spreading.ANSWER)
        self._node.forget_before(version)
        offer = pb.ModelOffer(
            manifest=manifest_to_proto(manifest),
            source=common_pb2.PeerAddress(peer_id=wire.SOURCE, target=self.target),
            swarm=swarm,
        )
        self._offer = pb.AggregatorMessage(event=events.UPDATE_MODEL, model=offer)
        for session in self._sessions.values():
            self._issue(session, self._offer)

    async def _save(self) -> None:
        if self._state is None or self._layout is None:
            return
        version = self._version
        path = self._folder / "checkpoints" / f"model-{version:05d}.safetensors"
        metadata = {"job": self.job.job_name, "version": str(version), "schema_hash": self._layout.schema_hash}
        await asyncio.to_thread(save_safetensors, path, self._layout, self._state.weights, metadata)
        self._write(CheckpointSaved(version, str(path.relative_to(self._folder))))

    # Time and ends

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self._clock.now_s()
            for session in list(self._sessions.values()):
                silence_s = now_s - session.heard_s
                if silence_s > self.job.cluster.dead_after_s:
                    self.disconnect(session, f"silent for {silence_s:.1f} s")
            self.deliver(msg.Tick())

    async def _say_goodbye(self) -> None:
        sessions = list(self._sessions.values())
        for session in sessions:
            self._issue(session, _shutdown("the run is over"))
            session.end()
        if sessions:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._deserted.wait()

    def _spawn(self, work: Coroutine[Any, Any, None], *executors: str) -> None:
        """Runs a fetch from executors; it is cancelled when one of them is lost."""
        task = asyncio.create_task(work)
        self._fetches[task] = executors
        task.add_done_callback(self._note_death)

    def _note_death(self, task: asyncio.Task[None]) -> None:
        """A background task must never end by an error of ours in silence: it ends the run."""
        self._fetches.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected error", exc_info=error)
            failure = f"{type(error).__name__}: {error}"
            try:
                self.deliver(msg.ShellBroke(failure))
            except Exception:  # the machine itself is what broke
                log.exception("the round machine does not answer")
                self._instructions.put_nowait(msg.Finish("failed", RunFailedError(f"internal error: {failure}")))


def _shutdown(reason: str, *, refused: bool = False) -> pb.AggregatorMessage:
    return pb.AggregatorMessage(event=events.SHUT_DOWN, shutdown=pb.Shutdown(reason=reason, refused=refused))
