"""The sum of all peers' vectors at every peer: reduce-scatter, then all-gather, chunk by chunk without a pause.

Each peer owns a slice (:func:`~fedswarm.swarm.slices.plan_all_reduce`). It fetches that slice of every contribution,
adds up, and publishes each chunk of the sum as soon as it is final; meanwhile it fetches the slices of all others. This
is the butterfly of Rabenseifner's all-reduce without its barriers: ``F (1 + (N - 2) f)`` bytes each way for a peer that
owns the fraction ``f``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import FedswarmError, RunFailedError
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.slices import ReductionPlan
from services.peer.node import PeerNode
from services.peer.summing import Part, check_parts, publish_slice, slice_manifest, sum_slice

log = logging.getLogger(__name__)


class AllReduce:
    """One peer's part in one all-reduce. Raises :class:`WireError` for contributions that cannot be added up.

    Everybody has to be given the same parts, plan and label; nothing else is agreed upon, for an owner's publication
    follows from these.

    Args:
        node: this peer's; it must publish its own contribution by itself.
        parts: the contributions of all peers, on a grid where sums are exact (:mod:`fedswarm.aggregation.grid`).
        own: this peer's contribution; ``None`` for one that only wants the sum.
        plan: who sums what.
        label: tells this sum from others of the round.
        patience_s: how long a slice may take.
    """

    def __init__(
        self,
        node: PeerNode,
        parts: Sequence[Part],
        own: NDArray[np.float64] | None,
        plan: ReductionPlan,
        *,
        label: str,
        patience_s: float,
    ) -> None:
        self._node = node
        self._parts = parts
        self._own = {} if own is None else {node.peer_id: own}
        self._plan = plan
        self._label = label
        self._patience_s = patience_s
        self._shape = check_parts(parts, range(plan.chunks))
        self._total = np.empty(self._shape.total_bytes // 8, dtype=np.float64)
        self._missing = set(range(plan.chunks))

    async def run(self) -> NDArray[np.float64]:
        """The whole sum, the same bits at every peer.

        What an owner does not deliver, this peer adds up by itself from the contributions. That needs no agreement on
        who is gone, which peers may see differently. Afterwards others may still need what is published here: it is
        served until forgotten. Raises :class:`~fedswarm.errors.FedswarmError` when a contribution cannot be had.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._own_slice())
                for part in self._parts:
                    if part.contributor != self._node.peer_id:
                        group.create_task(self._slice_of(part))
        except* FedswarmError as errors:
            failure = errors.exceptions[0]
        else:
            if self._missing:
                await self._add_up(sorted(self._missing))
            return self._total
        raise failure

    async def _own_slice(self) -> None:
        chunks = self._plan.run(self._node.peer_id)
        if not chunks:
            return
        manifest = self._manifest(self._node.peer_id)
        async with self._deadline(chunks):
            await publish_slice(self._node, manifest, self._parts, chunks, own=self._own, on_final=self._place)

    async def _add_up(self, chunks: Sequence[int]) -> None:
        async with self._deadline(chunks):
            await sum_slice(self._node, self._parts, chunks, own=self._own, on_final=self._place)

    async def _slice_of(self, part: Part) -> None:
        chunks = self._plan.run(part.contributor)
        if not chunks:
            return

        def place(position: int, payload: memoryview) -> None:
            self._place(chunks[position], np.frombuffer(payload, dtype=np.float64))

        try:
            async with asyncio.timeout(self._patience_s):
                await self._node.fetch(self._manifest(part.contributor), part.target, swarm=False, sink=place)
        except (FedswarmError, TimeoutError) as error:
            reason = str(error) or f"it took longer than {self._patience_s:g} s"
            log.warning("chunks %d to %d cannot be had from %s: %s", chunks[0], chunks[-1], part.contributor, reason)

    @asynccontextmanager
    async def _deadline(self, chunks: Sequence[int]) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience_s):
                yield
        except TimeoutError as error:
            raise RunFailedError(f"{len(chunks)} chunks were not added up within {self._patience_s:g} s") from error

    def _place(self, index: int, chunk: NDArray[np.float64]) -> None:
        where = self._shape.range(index)
        self._total[where.start // 8 : where.stop // 8] = chunk
        self._missing.discard(index)

    def _manifest(self, owner: str) -> Manifest:
        return slice_manifest(self._shape, self._plan.run(owner), f"{owner}/{self._label}")
