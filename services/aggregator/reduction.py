"""A sum that executors add up among themselves: each owns some chunks, and the aggregator fetches their sums.

What an owner cannot do, its backups are asked for (:meth:`~fedswarm.swarm.slices.ReductionPlan.backups`), until all
chunks are there or nobody is left. The aggregator itself is among the backups.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from fedswarm import events
from fedswarm.aggregation.grid import Sum
from fedswarm.errors import FedswarmError, RunFailedError
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.slice_sum import slice_bytes
from fedswarm.swarm.slices import Rates, plan_reduce
from fedswarm.swarm.wire import manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import common_pb2
from services.aggregator.errands import Errand, Errands
from services.peer.node import PeerNode
from services.peer.summing import SUM_DTYPE, Part, check_parts, sum_slice

log = logging.getLogger(__name__)

HERE: Final = wire.SOURCE


class Reduction:
    """One sum. Raises :class:`WireError` for parts that cannot be added up.

    Args:
        order: what is to be summed.
        parts: what executors published for it.
        rates: what the link of each bears.
        node: fetches.
        errands: are told what executors answer.
        send: says something to an executor that may be gone.
        step_s: how long an owner may take.
    """

    def __init__(
        self,
        order: msg.OrderSum,
        parts: Sequence[Part],
        rates: Mapping[str, Rates],
        *,
        node: PeerNode,
        errands: Errands,
        send: Callable[[str, pb.AggregatorMessage], None],
        step_s: float,
    ) -> None:
        self._order = order
        self._parts = parts
        self._shape = check_parts(parts, [0])
        self._plan = plan_reduce(rates, self._shape.chunks, self._shape.root)
        self._alive = {part.contributor for part in parts} | {HERE}
        self._total: Sum = np.empty(self._shape.total_bytes // 8, dtype=np.float64)
        self._node = node
        self._errands = errands
        self._send = send
        self._step_s = step_s

    async def run(self) -> Sum:
        """The whole sum; raises :class:`RunFailedError` when nobody is left who can add up some of it."""
        due = {owner: list(self._plan.run(owner)) for owner in self._plan.owners}
        while due := {owner: chunks for owner, chunks in due.items() if chunks}:
            results = await asyncio.gather(*(self._try_slice(owner, chunks) for owner, chunks in due.items()))
            lost = [chunk for chunks in results for chunk in chunks]
            due = self._inherited(lost) if lost else {}
        return self._total

    def _inherited(self, lost: Sequence[int]) -> dict[str, list[int]]:
        if not self._alive:
            raise RunFailedError(f"nobody is left who can add up {len(lost)} of {self._plan.chunks} chunks")
        heirs = self._plan.backups(self._alive)
        due = defaultdict(list)
        for chunk in sorted(lost):
            due[heirs[chunk]].append(chunk)
        return due

    async def _try_slice(self, owner: str, chunks: Sequence[int]) -> Sequence[int]:
        """Puts an owner's chunks in their places; returns those that cannot be had: none or all."""
        try:
            async with asyncio.timeout(self._step_s):
                total = await (self._add_up(chunks) if owner == HERE else self._ask(owner, chunks))
        except (FedswarmError, TimeoutError) as error:
            reason = str(error) or f"it took longer than {self._step_s:g} s"
            log.warning("%d chunks of a sum cannot be had from %s: %s", len(chunks), owner, reason)
            self._alive.discard(owner)
            return chunks
        start = 0
        for chunk in chunks:
            where = self._shape.range(chunk)
            place = self._total[where.start // 8 : where.stop // 8]
            place[:] = total[start : start + place.size]
            start += place.size
        return ()

    async def _add_up(self, chunks: Sequence[int]) -> Sum:
        return await sum_slice(self._node, self._parts, chunks)

    async def _ask(self, owner: str, chunks: Sequence[int]) -> Sum:
        order_id = self._order.order_id
        body = pb.ReduceOrder(order_id=order_id, round=self._order.round_index, chunks=chunks)
        body.parts.extend(_part_message(part) for part in self._parts)
        with self._errands.awaited(Errand(owner, order_id, chunks[0])) as answer:
            self._send(owner, pb.AggregatorMessage(event=events.UPLOAD_MODEL, reduce=body))
            manifest = await answer.manifest()
            return await answer.unless_it_fails(self._fetch(owner, manifest, slice_bytes(self._shape, chunks)))

    async def _fetch(self, owner: str, manifest: Manifest, size_bytes: int) -> Sum:
        if (manifest.publisher, manifest.dtype, manifest.total_bytes) != (owner, SUM_DTYPE, size_bytes):
            raise RunFailedError(f"it published {manifest.total_bytes} bytes instead of a slice of {size_bytes}")
        (target,) = (part.target for part in self._parts if part.contributor == owner)
        fetched = await self._node.fetch(manifest, target, swarm=False)
        assert fetched.vector is not None, "no sink was given"
        return fetched.vector


def _part_message(part: Part) -> pb.Part:
    address = common_pb2.PeerAddress(peer_id=part.contributor, target=part.target)
    return pb.Part(manifest=manifest_to_proto(part.manifest), publisher=address)
