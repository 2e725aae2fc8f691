"""The shell of a peer without an aggregator: carries out what its state machine says, and tells it what happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fedswarm.clock import Clock
from fedswarm.jobs.schema import Job
from fedswarm.models.checkpoint import save_safetensors
from fedswarm.models.layout import Layout, Vector
from fedswarm.records.peer_schema import PeerCaughtUp, PeerRefused
from fedswarm.records.schema import CheckpointSaved
from fedswarm.rounds.decentralized import DecentralizedPeer
from fedswarm.rounds.exchange_schedule import ExchangeSchedule, Kind
from fedswarm.rounds.peer_core import PeerCore
from fedswarm.rounds.peer_manifests import PeerManifests
from fedswarm.rounds.peer_steps import (
    Aggregate,
    Aggregated,
    Begin,
    CatchUp,
    Departed,
    Evaluate,
    Evaluated,
    EvaluateOwn,
    FetchModel,
    FetchUpdate,
    Finish,
    LinksChanged,
    PeerEvent,
    PeerInstruction,
    Publish,
    RecordRound,
    Refused,
    Started,
    Tick,
    Train,
    Trained,
)
from fedswarm.rounds.story import evaluation_result
from fedswarm.swarm.manifest import Manifest
from services.executor.round_diary import RoundDiary
from services.executor.update_exchange import UpdateExchange
from services.peer.node import PeerNode

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class DecentralizedExecutor:
    """One peer on the running event loop; whatever computes runs on one thread of its own.

    Args:
        job: the job.
        machine: says what to do.
        core: computes.
        layout: of the model.
        manifests: how weights are named.
        node: this peer's; not started yet, for offers are heard but once.
        diary: for its records.
        clock: the node's.
        run_folder: where the final model goes.
    """

    def __init__(
        self,
        job: Job,
        machine: DecentralizedPeer,
        core: PeerCore,
        layout: Layout,
        manifests: PeerManifests,
        node: PeerNode,
        diary: RoundDiary,
        clock: Clock,
        run_folder: Path,
    ) -> None:
        self._job = job
        self._machine = machine
        self._core = core
        self._layout = layout
        self._manifests = manifests
        self._node = node
        self._diary = diary
        self._clock = clock
        self._run_folder = run_folder
        self._schedule = ExchangeSchedule(job.rounds, job.aggregation.consensus_every)
        self._exchange = UpdateExchange(node, manifests, self._schedule.farewell, core.weight_of, self._refuse)
        self._events: asyncio.Queue[PeerEvent | Exception] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="training")
        self._model: Vector = core.initial_weights()
        self._trained: Vector = self._model
        self._fetched_model: Vector = self._model
        self._model_fetch: asyncio.Task[None] | None = None
        self._own_test: asyncio.Task[None] | None = None
        self._importance = b""
        self._started_s = clock.now_s()
        self.has_finished = False
        node.on_offer = self._take_offer
        node.on_leave = lambda peer: self._post(Departed(peer))
        node.on_links = self._tell_links

    async def run(self) -> None:
        """Returns when the job is over for this peer; raises what went wrong, such as training that diverges."""
        self._post(Started())
        while not self.has_finished:
            event = await self._next_event()
            for instruction in self._machine.handle(event, self._clock.now_s()):
                await self._obey(instruction)

    async def close(self) -> None:
        """Stops what is in progress; the training thread ends after the task in hand."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    # ---- events ---------------------------------------------------------------------------------------------------

    async def _next_event(self) -> PeerEvent:
        wake_s = self._machine.wake_s
        timeout_s = None if wake_s is None else max(0.0, wake_s - self._clock.now_s())
        try:
            async with asyncio.timeout(timeout_s):
                event = await self._events.get()
        except TimeoutError:
            return Tick()
        if isinstance(event, Exception):
            raise event
        return event

    def _post(self, event: PeerEvent) -> None:
        self._events.put_nowait(event)

    def _take_offer(self, manifest: Manifest, _: str) -> None:
        event = self._exchange.heard(manifest)
        if event is not None:
            self._post(event)

    def _tell_links(self) -> None:
        self._post(LinksChanged(frozenset(self._node.links)))

    def _refuse(self, peer: str, reason: str) -> None:
        log.warning("peer %s is not listened to: %s", peer, reason)
        self._diary.write(PeerRefused(self._manifests.peer, peer, reason))
        self._post(Refused(peer))

    # ---- instructions ---------------------------------------------------------------------------------------------

    async def _obey(self, instruction: PeerInstruction) -> None:
        match instruction:
            case Begin(exchange, lasting):
                await self._begin(exchange, lasting)
            case Train(round_index):
                self._spawn(self._train(round_index))
            case Publish(exchange):
                await self._publish(exchange)
            case FetchUpdate(peer, exchange, deadline_s):
                self._spawn(self._fetch_update(peer, exchange, deadline_s))
            case Aggregate():
                await self._aggregate(instruction)
            case Evaluate(rounds):
                self._spawn(self._evaluate(rounds))
            case EvaluateOwn(round_index):
                self._own_test = self._spawn(self._evaluate_own(round_index))
            case FetchModel(peer, exchange, deadline_s):
                self._stop_fetching_models()
                self._model_fetch = self._spawn(self._fetch_model(peer, exchange, deadline_s))
            case RecordRound(round_index):
                self._diary.end_round(round_index, self._node.traffic, len(self._node.links))
            case CatchUp():
                self._catch_up(instruction)
            case Finish():
                self.has_finished = True

    async def _begin(self, exchange: int, lasting: frozenset[int]) -> None:
        self._exchange.forget_before(exchange - 1, lasting)
        model = self._model
        manifest = await self._compute(self._manifests.model, exchange, model, lasts=exchange in lasting)
        self._exchange.offer_model(manifest, model)

    async def _train(self, round_index: int) -> None:
        with self._diary.timing("train"):
            update = await self._compute(self._core.train, round_index, self._model)
        self._trained, self._importance = update.weights, update.importance
        self._diary.trained(update.loss)
        self._post(Trained())

    async def _publish(self, exchange: int) -> None:
        kind = self._schedule.step(exchange).kind
        own = self._trained if kind is Kind.UPDATES else self._model
        importance = self._importance if kind is Kind.UPDATES else b""
        manifest = await self._compute(self._manifests.update, exchange, own, self._core.samples, importance)
        collected = None
        if kind is Kind.FAREWELL:
            await self._save(self._schedule.rounds)
        elif kind is Kind.UPDATES:
            collected = await self._compute(self._core.collect_updates, self._model, own)
        else:
            collected = await self._compute(self._core.collect_models, own)
        self._diary.exchange_begins()
        self._exchange.publish(manifest, own, collected)

    async def _fetch_update(self, peer: str, exchange: int, deadline_s: float) -> None:
        weight = 1 if self._schedule.step(exchange).kind is Kind.MODELS else None
        self._post(await self._exchange.fetch_update(peer, exchange, weight, deadline_s))

    async def _aggregate(self, order: Aggregate) -> None:
        collected = self._exchange.collected
        assert collected is not None, "what is aggregated was collected"
        collected.close()
        averages_updates = self._schedule.step(order.exchange).kind is Kind.UPDATES
        self._diary.exchange_ends(collected.arrivals(order.others, order.total_weight) if averages_updates else None)
        if self._own_test is not None:
            await self._own_test  # it holds the thread that averages, and its time is not the averaging's
        with self._diary.timing("aggregate"):
            if averages_updates:
                self._model = await self._compute(self._core.mean_of_updates, collected, order.total_weight)
            else:
                self._model = await self._compute(self._core.mean_of_models, collected)
        self._post(Aggregated())

    async def _evaluate(self, rounds: int) -> None:
        with self._diary.timing("evaluate"):
            scores = await self._compute(self._core.test, self._model)
        self._diary.write(evaluation_result(rounds, self._clock.now_s() - self._started_s, scores))
        self._post(Evaluated())

    async def _evaluate_own(self, round_index: int) -> None:
        with self._diary.timing("evaluate"):
            scores = await self._compute(self._core.test, self._trained)
        self._diary.own_test(evaluation_result(round_index, self._clock.now_s() - self._started_s, scores))

    async def _fetch_model(self, peer: str, exchange: int, deadline_s: float) -> None:
        event, model = await self._exchange.fetch_model(peer, exchange, deadline_s)
        if model is not None:
            self._fetched_model = model
        self._post(event)

    def _stop_fetching_models(self) -> None:
        if self._model_fetch is not None:
            self._model_fetch.cancel()

    def _catch_up(self, order: CatchUp) -> None:
        self._stop_fetching_models()
        if order.source:
            self._model = self._fetched_model
        log.info("going on at round %d, with the model of %s", order.round, order.source or "its own")
        self._diary.write(PeerCaughtUp(self._manifests.peer, order.source, order.left_round, order.round))

    async def _save(self, rounds: int) -> None:
        path = self._run_folder / "checkpoints" / f"peer-{self._manifests.peer}.safetensors"
        metadata = {
            "job": self._job.job_name,
            "version": str(rounds),
            "peer": self._manifests.peer,
            "schema_hash": self._layout.schema_hash,
        }
        await self._compute(save_safetensors, path, self._layout, self._model, metadata)
        self._diary.write(CheckpointSaved(rounds, str(path.relative_to(self._run_folder))))

    # ---- work beside the loop -------------------------------------------------------------------------------------

    async def _compute(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Does something in the background; its failure ends :meth:`run`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._events.put_nowait(error)
