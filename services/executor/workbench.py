"""Where an executor computes: one thread that owns the :class:`~fedswarm.rounds.executor_core.ExecutorCore`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from fedswarm.aggregation.grid import Sum
from fedswarm.models.layout import Vector
from fedswarm.rounds.executor_core import ExecutorCore
from fedswarm.rounds.messages import ClientReport
from fedswarm.rounds.plan import PlannedTask
from fedswarm.training.task import BlockResult

T = TypeVar("T")


class Workbench:
    """Runs the core off the event loop, one task after the other.

    The core never sees two threads, so it needs no locks; the loop stays free for heartbeats and chunks.
    """

    def __init__(self, core: ExecutorCore) -> None:
        self._core = core
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="training")

    async def initial_weights(self) -> Vector:
        """As :meth:`ExecutorCore.initial_weights`."""
        return await self._run(self._core.initial_weights)

    async def train(
        self, lease_id: int, version: int, learning_rate: float, weights: Vector, tasks: list[PlannedTask]
    ) -> list[ClientReport]:
        """As :meth:`ExecutorCore.train`."""
        return await self._run(partial(self._core.train, lease_id, version, learning_rate, weights, tasks))

    async def test(self, version: int, weights: Vector, blocks: list[int]) -> list[BlockResult]:
        """As :meth:`ExecutorCore.test`."""
        return await self._run(partial(self._core.test, version, weights, blocks))

    async def weighted_sum(self, round_index: int, lease_ids: list[int], shares: dict[int, float]) -> Sum:
        """As :meth:`ExecutorCore.weighted_sum`."""
        return await self._run(partial(self._core.weighted_sum, round_index, lease_ids, shares))

    def close_round(self, round_index: int) -> None:
        """As :meth:`ExecutorCore.close_round`, after the work in hand."""
        self._thread.submit(self._core.close_round, round_index)

    def close(self) -> None:
        """Lets the thread end after the task in hand, without waiting for it."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
