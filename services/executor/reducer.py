"""An executor's share in a sum that executors add up among themselves: its own part, and the chunks it owns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from fedswarm import events
from fedswarm.aggregation.grid import Sum
from fedswarm.errors import FedswarmError
from fedswarm.rounds import wire
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from services.peer.node import PeerNode
from services.peer.summing import Part, check_parts, publish_slice, slice_manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Kept:
    """This executor's part of a sum."""

    round_index: int
    vector: Sum


class Reducer:
    """Obeys reduce orders in the background and reports by ``send``."""

    def __init__(self, executor_id: str, node: PeerNode, send: Callable[[pb.ExecutorMessage], None]) -> None:
        self._executor_id = executor_id
        self._node = node
        self._send = send
        self._kept: dict[int, _Kept] = {}  # by order
        self._running: dict[asyncio.Task[None], int] = {}  # and the round

    def keep(self, order: pb.UploadOrder, vector: Sum) -> None:
        """Remembers this executor's own part until its round is closed."""
        self._kept[order.order_id] = _Kept(order.round, vector)

    def begin(self, order: pb.ReduceOrder) -> None:
        """Starts to add up the chunks that an order makes this executor's."""
        task = asyncio.create_task(self._obey(order), name=f"reduction {order.order_id}")
        self._running[task] = order.round
        task.add_done_callback(self._running.pop)

    def close_round(self, round_index: int) -> None:
        """Sums of this round and of earlier ones are not needed any more."""
        for task, of_round in list(self._running.items()):
            if of_round <= round_index:
                task.cancel()
        self._kept = {order: kept for order, kept in self._kept.items() if kept.round_index > round_index}

    async def close(self) -> None:
        """Stops whatever runs."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _obey(self, order: pb.ReduceOrder) -> None:
        try:
            await self._reduce(order)
        except FedswarmError as error:
            self._fail(order, str(error))
        except Exception as error:  # the aggregator must hear of it, whatever it is
            log.exception("sum %d failed", order.order_id)
            self._fail(order, f"{type(error).__name__}: {error}")

    def _fail(self, order: pb.ReduceOrder, reason: str) -> None:
        log.warning("%d chunks of sum %d cannot be added up: %s", len(order.chunks), order.order_id, reason)
        failure = pb.Failure(slice=_slice(order), error=reason[: wire.LONGEST_ERROR])
        self._send(pb.ExecutorMessage(event=events.UPLOAD_MODEL, failure=failure))

    async def _reduce(self, order: pb.ReduceOrder) -> None:
        parts = [Part(manifest_from_proto(part.manifest), part.publisher.target) for part in order.parts]
        chunks = list(order.chunks)
        shape = check_parts(parts, chunks)
        manifest = slice_manifest(shape, chunks, f"{self._executor_id}/{order.order_id}-sum-{chunks[0]}")
        reduced = pb.Reduced(slice=_slice(order), manifest=manifest_to_proto(manifest))
        self._send(pb.ExecutorMessage(event=events.UPLOAD_MODEL, reduced=reduced))
        kept = self._kept.get(order.order_id)
        own = {} if kept is None else {self._executor_id: kept.vector}
        await publish_slice(self._node, manifest, parts, chunks, own=own)


def _slice(order: pb.ReduceOrder) -> pb.Slice:
    return pb.Slice(order_id=order.order_id, first_chunk=order.chunks[0] if order.chunks else 0)
