"""What executors upload: initial models and sums, fetched from one executor or added up among several."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from fedswarm.aggregation.grid import Sum
from fedswarm.aggregation.sum_encoding import decode_sum
from fedswarm.clock import Clock
from fedswarm.errors import FedswarmError, RunFailedError
from fedswarm.rounds import messages as msg
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.slices import Rates
from fedswarm.v1 import aggregator_pb2 as pb
from services.aggregator.errands import Errand, Errands
from services.aggregator.reduction import Reduction
from services.peer.node import PeerNode
from services.peer.summing import SUM_DTYPE, Part


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
    """All uploads of a run. Each raises :class:`UploadFailedError` where one executor is to blame.

    Args:
        executors: who is asked.
        node: fetches.
        clock: times uploads.
        timeout_s: how long each step of an upload may take.
    """

    def __init__(self, executors: Executors, node: PeerNode, clock: Clock, timeout_s: float) -> None:
        self.errands = Errands()
        """Is told what executors answer."""
        self._executors = executors
        self._node = node
        self._clock = clock
        self._timeout_s = timeout_s

    async def fetch(self, executor: str, order_id: int) -> Fetched:
        """What one executor publishes for an order that it was sent just now."""
        with _blaming(executor):
            manifest = await self._published(Errand(executor, order_id))
            target = self._target(executor)
            start_s = self._clock.now_s()
            async with asyncio.timeout(self._timeout_s):
                fetched = await self._node.fetch(manifest, target, swarm=False)
            assert fetched.vector is not None, "no sink was given"
            return Fetched(fetched.vector, self._clock.now_s() - start_s)

    async def fetch_sum(self, order: msg.OrderSum, weights: int) -> tuple[Sum, float]:
        """The sum that an order asks for, of ``weights`` weights, and how many seconds it was on its way.

        Raises :class:`RunFailedError` when nobody is left who can add up what the executors hold.
        """
        if len(order.parts) == 1:
            fetched = await self.fetch(order.parts[0].executor, order.order_id)
            with _blaming(order.parts[0].executor):
                return decode_sum(fetched.vector, weights), fetched.upload_s
        start_s = self._clock.now_s()
        parts = await self._parts(order, weights)
        rates = {part.contributor: self._executors.rates_of(part.contributor) for part in parts}
        reduction = Reduction(
            order,
            parts,
            rates,
            node=self._node,
            errands=self.errands,
            send=self._executors.send,
            step_s=self._timeout_s,
        )
        return await reduction.run(), self._clock.now_s() - start_s

    async def _parts(self, order: msg.OrderSum, weights: int) -> list[Part]:
        """What each executor of an order publishes, once all have."""
        try:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(self._part(Errand(part.executor, order.order_id), weights))
                    for part in order.parts
                ]
        except* UploadFailedError as errors:
            failure = errors.exceptions[0]
        else:
            return [task.result() for task in asked]
        raise failure

    async def _part(self, errand: Errand, weights: int) -> Part:
        with _blaming(errand.executor):
            manifest = await self._published(errand)
            if manifest.publisher != errand.executor:
                raise RunFailedError(f"it published weights of {manifest.publisher}")
            size = manifest.total_bytes // manifest.element.itemsize
            if (manifest.dtype, size) != (SUM_DTYPE, weights):
                raise RunFailedError(f"its part of a sum of {weights} weights has {size} of {manifest.dtype}")
            return Part(manifest, self._target(errand.executor))

    async def _published(self, errand: Errand) -> Manifest:
        with self.errands.awaited(errand) as answer:
            async with asyncio.timeout(self._timeout_s):
                return await answer.manifest()

    def _target(self, executor: str) -> str:
        target = self._executors.target_of(executor)
        if target is None:
            raise RunFailedError("it is gone")
        return target


@contextmanager
def _blaming(executor: str) -> Iterator[None]:
    """Turns whatever goes wrong with one executor into an error that names it."""
    try:
        yield
    except (FedswarmError, TimeoutError) as error:
        raise UploadFailedError(executor, str(error) or "it took too long") from error
