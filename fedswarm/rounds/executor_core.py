"""What an executor does with its leases, thread and socket apart: trains, tests, keeps updates until the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fedswarm.aggregation.grid import Grid, Sum
from fedswarm.aggregation.sparse_encoding import decode, encode
from fedswarm.devices.world import DeviceWorld
from fedswarm.errors import NumericRangeError, WireError
from fedswarm.models.layout import Vector
from fedswarm.models.sparse_update import SparseUpdate
from fedswarm.rounds.messages import ClientReport
from fedswarm.rounds.plan import PlannedTask
from fedswarm.training.task import BlockResult, ClientTask, ClientUpdate, Engine, TimeBudget


class ExecutorCore:
    """One engine, and the updates it made, by round and lease. Not for use by two threads at a time."""

    def __init__(self, engine: Engine, world: DeviceWorld, grid: Grid) -> None:
        self._engine = engine
        self._world = world
        self._grid = grid
        self._loaded: int | None = None
        self._updates: dict[tuple[int, int], dict[int, Vector | bytes]] = {}

    def initial_weights(self) -> Vector:
        """Version 0 of the model, from the job's seed."""
        return self._engine.initial_weights()

    def train(
        self, lease_id: int, version: int, learning_rate: float, weights: Vector, tasks: Sequence[PlannedTask]
    ) -> list[ClientReport]:
        """Trains the clients of a lease from these weights; their updates stay here until the round is closed."""
        self._load(version, weights)
        kept: dict[int, Vector | bytes] = {}
        trained = (self._engine.train(self._client_task(task, version, learning_rate)) for task in tasks)
        reports = [self._report(update, kept) for update in trained]
        self._updates[version, lease_id] = kept
        return reports

    def test(self, version: int, weights: Vector, blocks: Sequence[int]) -> list[BlockResult]:
        """Scores blocks of the test set with these weights."""
        self._load(version, weights)
        return self._engine.evaluate(blocks)

    def weighted_sum(self, round_index: int, lease_ids: Sequence[int], shares: Mapping[int, float]) -> Sum:
        """The partial sum of the updates of these leases; raises :class:`WireError` when one is not held."""
        total = np.zeros(self._engine.layout.size, dtype=np.float64)
        left = dict(shares)
        for lease_id in lease_ids:
            for client, held in self._updates.get((round_index, lease_id), {}).items():
                if client in left:
                    delta = decode(held, total.size) if isinstance(held, bytes) else held
                    self._grid.add_weighted(total, delta, left.pop(client))
        if left:
            raise WireError(f"round {round_index}: no update held for clients {sorted(left)[:5]}")
        return total

    def close_round(self, round_index: int) -> None:
        """Drops the updates of this round and of earlier ones."""
        self._updates = {key: held for key, held in self._updates.items() if key[0] > round_index}

    def _client_task(self, task: PlannedTask, version: int, learning_rate: float) -> ClientTask:
        budget = None
        if task.budget_s is not None:
            device = self._world.client_time(task.client_id, version)
            budget = TimeBudget(task.start_s, task.budget_s, device)
        return ClientTask(task.client_id, version, task.steps, learning_rate, budget, task.dropout_fraction)

    def _load(self, version: int, weights: Vector) -> None:
        if self._loaded != version:
            self._engine.load(weights)
            self._loaded = version

    def _report(self, update: ClientUpdate, kept: dict[int, Vector | bytes]) -> ClientReport:
        success, error = update.success, update.error
        if success and update.delta is not None:
            try:
                self._grid.check(update.delta, update.delta_norm)
                # A compressed update is kept as the bytes that its client would send.
                kept[update.client_id] = (
                    encode(update.delta) if isinstance(update.delta, SparseUpdate) else update.delta
                )
            except NumericRangeError as problem:
                success, error = False, str(problem)
        return ClientReport(
            client_id=update.client_id,
            success=success,
            error=error,
            moving_loss=update.moving_loss,
            utility=update.utility,
            delta_norm=update.delta_norm,
            steps=update.steps,
            trained_samples=update.trained_samples,
            compute_s=update.compute_s,
            upload_s=update.upload_s,
            steps_phase1=update.steps_phase1,
            steps_phase2=update.steps_phase2,
            dropout_fraction=update.dropout_fraction,
            went_away=update.went_away,
        )
