"""What executors upload: initial models and sums, fetched from one executor or added up among several."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fedswarm import events
from fedswarm.aggregation.grid import Sum
from fedswarm.aggregation.sum_encoding import decode_sum
from fedswarm.clock import Clock
from fedswarm.errors import FedswarmError, RunFailedError
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.swarm.bitfield import runs_of
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.slices import UNKNOWN_RATES, Rates, ReductionPlan, plan_reduce
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import common_pb2
from services.peer.node import PeerNode
from services.peer.summing import Part, check_parts, sum_slice

log = logging.getLogger(__name__)


class Errand(NamedTuple):
    """Something an executor was asked to publish: an order, or (``first_chunk`` not None) its slice of a sum."""

    executor: str
    order_id: int
    first_chunk: int | None = None


class UploadFailedError(RunFailedError):
    """An executor did not deliver what it was asked for."""

    def __init__(self, executor: str, reason: str) -> None:
        super().__init__(f"executor {executor}: {reason}")
        self.executor = executor


class Executors(Protocol):
    """The sessions, as far as uploads need them."""

    def target_of(self, executor: str) -> str | None:
        """Where an executor's peer answers, ``None`` if it is gone."""
        ...

    def rates_of(self, executor: str) -> Rates:
        """What its link bears, as far as it told."""
        ...

    def send(self, executor: str, message: pb.AggregatorMessage) -> None:
        """Says something to an executor that may be gone."""
        ...


@dataclass(frozen=True)
class Fetched:
    """What was fetched, and how many seconds it was on its way."""

    vector: NDArray[Any]
    upload_s: float


class Uploads:
    """All uploads of a run. Each raises :class:`UploadFailedError` where one executor is to blame."""

    def __init__(self, executors: Executors, node: PeerNode, clock: Clock, timeout_s: float) -> None:
        self._executors = executors
        self._node = node
        self._clock = clock
        self._timeout_s = timeout_s
        self._waiting: dict[Errand, asyncio.Future[Manifest]] = {}

    # What executors say

    def published(self, errand: Errand, message: common_pb2.Manifest) -> None:
        """An executor published what it was asked for; what nobody waits for any more is ignored."""
        waiting = self._waiting.get(errand)
        if waiting is None or waiting.done():
            return
        try:
            waiting.set_result(manifest_from_proto(message))
        except FedswarmError as error:
            waiting.set_exception(error)

    def failed(self, errand: Errand, reason: str) -> None:
        """An executor could not do it."""
        waiting = self._waiting.get(errand)
        if waiting is not None and not waiting.done():
            waiting.set_exception(RunFailedError(reason))

    # What is fetched

    async def fetch(self, executor: str, order_id: int) -> Fetched:
        """What one executor publishes for an order that it was sent just now."""
        with _blaming(executor):
            manifest = await self._answer(Errand(executor, order_id))
            return await self._fetch(executor, manifest)

    async def fetch_sum(self, order: msg.OrderSum, weights: int) -> tuple[Sum, float]:
        """The sum that an order asks for, of ``weights`` weights, and how many seconds it was on its way."""
        if len(order.parts) == 1:
            fetched = await self.fetch(order.parts[0].executor, order.order_id)
            with _blaming(order.parts[0].executor):
                return decode_sum(fetched.vector, weights), fetched.upload_s
        start_s = self._clock.now_s()
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._part(part.executor, order.order_id)) for part in order.parts]
        except* UploadFailedError as errors:
            failure = errors.exceptions[0]
        else:
            total = await self._reduce(order, [task.result() for task in asked])
            return total, self._clock.now_s() - start_s
        raise failure

    async def _part(self, executor: str, order_id: int) -> Part:
        with _blaming(executor):
            manifest = await self._answer(Errand(executor, order_id))
            target = self._executors.target_of(executor)
            if target is None or manifest.publisher != executor:
                raise RunFailedError("it is gone, or published somebody else's weights")
            return Part(manifest, target)

    async def _reduce(self, order: msg.OrderSum, parts: list[Part]) -> Sum:
        """Has the owners of a plan add up their chunks; what an owner cannot do, its backups are asked for."""
        shape = check_parts(parts, range(1))
        rates = {part.contributor: self._executors.rates_of(part.contributor) for part in parts}
        plan = plan_reduce(rates, shape.chunks, shape.root, (wire.SOURCE, UNKNOWN_RATES))
        total: Sum = np.empty(shape.total_bytes // 8, dtype=np.float64)
        alive = {part.contributor for part in parts} | {wire.SOURCE}
        due = {owner: [plan.run(owner)] for owner in plan.owners if plan.run(owner)}
        while due:
            slices = [(owner, run) for owner, runs in due.items() for run in runs]
            results = await asyncio.gather(
                *(self._slice(order, parts, owner, run) for owner, run in slices), return_exceptions=True
            )
            failed: set[str] = set()
            for (owner, run), result in zip(slices, results, strict=True):
                if isinstance(result, BaseException):
                    self._note(owner, run, result)
                    failed.add(owner)
                else:
                    total[shape.range(run[0]).start // 8 : shape.range(run[-1]).stop // 8] = result
            alive -= failed
            due = _inherited(plan, [run for owner, run in slices if owner in failed], alive)
        return total

    def _note(self, owner: str, run: range, problem: BaseException) -> None:
        """Lets pass what only costs a slice."""
        if isinstance(problem, ExceptionGroup):
            problem = problem.exceptions[0]
        if not isinstance(problem, FedswarmError | TimeoutError):
            raise problem
        log.warning("chunks %d to %d cannot be had from their owner %s: %s", run[0], run[-1], owner, problem)

    async def _slice(self, order: msg.OrderSum, parts: list[Part], owner: str, run: range) -> Sum:
        async with asyncio.timeout(self._timeout_s):
            if owner == wire.SOURCE:
                return await sum_slice(self._node, parts, run)
            body = pb.ReduceOrder(
                order_id=order.order_id,
                round=order.round_index,
                first_chunk=run[0],
                chunks=len(run),
                parts=[_part_message(part) for part in parts],
            )
            self._executors.send(owner, pb.AggregatorMessage(event=events.UPLOAD_MODEL, reduce=body))
            manifest = await self._answer(Errand(owner, order.order_id, run[0]))
            fetching = asyncio.create_task(self._fetch(owner, manifest))
            return await self._unless_it_fails(Errand(owner, order.order_id, run[0]), fetching)

    async def _unless_it_fails(self, errand: Errand, fetching: asyncio.Task[Fetched]) -> Sum:
        """The fetched slice; its owner may still say that it cannot finish it."""
        failure = asyncio.ensure_future(self._answer(errand))
        try:
            await asyncio.wait([fetching, failure], return_when=asyncio.FIRST_COMPLETED)
            if not fetching.done():
                failure.result()
            return (await fetching).vector
        finally:
            for task in (fetching, failure):
                task.cancel()
            await asyncio.gather(fetching, failure, return_exceptions=True)

    async def _answer(self, errand: Errand) -> Manifest:
        answer: asyncio.Future[Manifest] = asyncio.get_running_loop().create_future()
        self._waiting[errand] = answer
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        finally:
            del self._waiting[errand]

    async def _fetch(self, executor: str, manifest: Manifest) -> Fetched:
        target = self._executors.target_of(executor)
        if target is None:
            raise RunFailedError("it is gone")
        start_s = self._clock.now_s()
        async with asyncio.timeout(self._timeout_s):
            fetched = await self._node.fetch(manifest, target, swarm=False)
        assert fetched.vector is not None, "no sink was given"
        return Fetched(fetched.vector, self._clock.now_s() - start_s)


@contextmanager
def _blaming(executor: str) -> Iterator[None]:
    """Turns whatever goes wrong with one executor into an error that names it."""
    try:
        yield
    except (FedswarmError, TimeoutError) as error:
        raise UploadFailedError(executor, str(error) or "it took too long") from error


def _part_message(part: Part) -> pb.Part:
    address = common_pb2.PeerAddress(peer_id=part.contributor, target=part.target)
    return pb.Part(manifest=manifest_to_proto(part.manifest), publisher=address)


def _inherited(plan: ReductionPlan, lost: Iterable[range], alive: set[str]) -> dict[str, list[range]]:
    """Which runs of lost chunks go to whom of those alive; raises :class:`RunFailedError` when nobody is."""
    chunks = sorted(index for run in lost for index in run)
    if chunks and not alive:
        raise RunFailedError("none of the executors can add up what the others hold")
    heirs = plan.backups(alive) if chunks else {}
    return {
        heir: [range(first, first + count) for first, count in runs_of(inherited)]
        for heir in alive
        if (inherited := [index for index in chunks if heirs[index] == heir])
    }
