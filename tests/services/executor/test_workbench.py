"""The bench with an engine whose updates are made to order."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest

from fedswarm.aggregation.grid import Grid
from fedswarm.devices.static import StaticDevices
from fedswarm.errors import WireError
from fedswarm.jobs.schema import DevicesSection
from fedswarm.models.layout import Layout, TensorSpec, Vector
from fedswarm.models.sparse_update import SparseUpdate, Update, top_k
from fedswarm.rounds.executor_core import ExecutorCore
from fedswarm.rounds.plan import PlannedTask
from fedswarm.training.task import BlockResult, ClientTask, ClientUpdate
from services.executor.workbench import Workbench

LAYOUT = Layout((TensorSpec("w", (50,)),))
IDS = np.arange(8, dtype=np.int64)


class Engine:
    """Trains client ``c`` to a random update of its own; ``special`` clients bring what they are given."""

    layout = LAYOUT
    test_blocks = 2

    def __init__(self) -> None:
        self.special: dict[int, Update] = {}
        self.loads: list[float] = []
        self.tasks: list[ClientTask] = []
        self.threads: set[str] = set()

    def clients(self) -> tuple[np.ndarray, np.ndarray]:
        return IDS, np.full(len(IDS), 10, dtype=np.int64)

    def initial_weights(self) -> Vector:
        return np.zeros(LAYOUT.size, dtype=np.float32)

    def load(self, version: Vector) -> None:
        self.loads.append(float(version[0]))

    def train(self, task: ClientTask) -> ClientUpdate:
        self.tasks.append(task)
        self.threads.add(threading.current_thread().name)
        if task.steps == 0:
            return ClientUpdate(task.client_id, False, "no data", went_away=True, compute_s=3.0)
        delta = self.special.get(task.client_id, update_of(task.client_id))
        values = delta.values if isinstance(delta, SparseUpdate) else delta
        norm = float(np.linalg.norm(values))
        return ClientUpdate(task.client_id, True, "", delta, 1.5, 2.5, norm, task.steps, 16 * task.steps)

    def evaluate(self, blocks: Sequence[int]) -> list[BlockResult]:
        return [BlockResult(block, 10, 3, 5, 1.0) for block in blocks]


def update_of(client: int) -> Vector:
    draws = np.random.default_rng(client).standard_normal(LAYOUT.size)
    return draws.astype(np.float32)


def version(number: int) -> Vector:
    return np.full(LAYOUT.size, number, dtype=np.float32)


def tasks(*clients: int, steps: int = 4) -> list[PlannedTask]:
    return [PlannedTask(client, steps) for client in clients]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def bench(engine: Engine) -> AsyncIterator[Workbench]:
    bench = Workbench(ExecutorCore(engine, StaticDevices.draw(IDS, 1, DevicesSection()), Grid()))
    yield bench
    bench.close()


async def test_the_weighted_sum_is_that_of_the_grid(bench: Workbench) -> None:
    shares = {1: 0.25, 2: 0.5, 5: 0.25}
    await bench.train(10, 0, 0.1, version(0), tasks(1, 2))
    await bench.train(11, 0, 0.1, version(0), tasks(5))
    expected = np.zeros(LAYOUT.size)
    for client, share in shares.items():
        Grid().add_weighted(expected, update_of(client), share)
    np.testing.assert_array_equal(await bench.weighted_sum(0, [11, 10], shares), expected)


async def test_clients_without_a_share_do_not_count(bench: Workbench) -> None:
    await bench.train(10, 0, 0.1, version(0), tasks(1, 2))
    total = await bench.weighted_sum(0, [10], {2: 1.0})
    np.testing.assert_allclose(total, update_of(2), atol=Grid().quantum)


async def test_a_client_trained_under_two_leases_counts_under_those_ordered(bench: Workbench) -> None:
    await bench.train(10, 0, 0.1, version(0), tasks(1))
    await bench.train(11, 0, 0.1, version(0), tasks(1))
    total = await bench.weighted_sum(0, [10, 11], {1: 1.0})
    np.testing.assert_allclose(total, update_of(1), atol=Grid().quantum)


async def test_a_sparse_update_counts_as_its_dense_form(bench: Workbench, engine: Engine) -> None:
    sparse = top_k(update_of(3), 0.2, LAYOUT.size)
    engine.special[3] = sparse
    await bench.train(10, 0, 0.1, version(0), tasks(3, 4))
    expected = np.zeros(LAYOUT.size)
    for delta, share in ((sparse.dense(), 0.75), (update_of(4), 0.25)):
        Grid().add_weighted(expected, delta, share)
    np.testing.assert_array_equal(await bench.weighted_sum(0, [10], {3: 0.75, 4: 0.25}), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e10])
async def test_a_diverged_update_fails_its_client_alone(bench: Workbench, engine: Engine, bad: float) -> None:
    diverged = update_of(1)
    diverged[7] = bad
    engine.special[1] = diverged
    reports = await bench.train(10, 0, 0.1, version(0), tasks(1, 2))
    assert [report.success for report in reports] == [False, True]
    assert "learning rate too high" in reports[0].error
    with pytest.raises(WireError, match=r"no update held for clients \[1\]"):
        await bench.weighted_sum(0, [10], {1: 0.5, 2: 0.5})


async def test_a_diverged_sparse_update_fails_its_client(bench: Workbench, engine: Engine) -> None:
    engine.special[1] = SparseUpdate(50, np.array([4], dtype=np.uint32), np.array([np.inf], dtype=np.float32))
    (report,) = await bench.train(10, 0, 0.1, version(0), tasks(1))
    assert not report.success


@pytest.mark.parametrize(("round_index", "leases"), [(0, [99]), (1, [10]), (0, [])])
async def test_updates_not_held_are_a_wire_error(bench: Workbench, round_index: int, leases: list[int]) -> None:
    await bench.train(10, 0, 0.1, version(0), tasks(1))
    with pytest.raises(WireError, match="no update held"):
        await bench.weighted_sum(round_index, leases, {1: 1.0})


async def test_closing_a_round_drops_its_updates_and_earlier_ones(bench: Workbench) -> None:
    for number in (0, 1, 2):
        await bench.train(10 + number, number, 0.1, version(number), tasks(1))
    bench.close_round(1)
    assert (await bench.weighted_sum(2, [12], {1: 1.0})).any()
    for number in (0, 1):
        with pytest.raises(WireError):
            await bench.weighted_sum(number, [10 + number], {1: 1.0})
    assert list(bench._core._updates) == [(2, 12)]


async def test_a_version_is_loaded_once(bench: Workbench, engine: Engine) -> None:
    await bench.train(1, 4, 0.1, version(4), tasks(1))
    await bench.test(4, version(4), [0])
    await bench.train(2, 5, 0.1, version(5), tasks(1))
    await bench.test(4, version(4), [0])
    assert engine.loads == [4, 5, 4]


async def test_the_engine_sees_one_thread_and_not_the_loops(bench: Workbench, engine: Engine) -> None:
    await bench.train(1, 0, 0.1, version(0), tasks(1))
    await bench.train(2, 0, 0.1, version(0), tasks(2))
    assert len(engine.threads) == 1 and threading.current_thread().name not in engine.threads


async def test_a_failed_client_keeps_its_reason_and_times(bench: Workbench) -> None:
    (report,) = await bench.train(1, 0, 0.1, version(0), tasks(1, steps=0))
    assert (report.success, report.error, report.went_away, report.compute_s) == (False, "no data", True, 3.0)


async def test_a_task_reaches_the_engine_whole(bench: Workbench, engine: Engine) -> None:
    await bench.train(1, 6, 0.03, version(6), [PlannedTask(2, 5), PlannedTask(3, 0, start_s=40.0, budget_s=60.0)])
    steps, timed = engine.tasks
    assert steps == ClientTask(2, 6, 5, 0.03)
    assert timed.budget is not None and (timed.budget.start_s, timed.budget.budget_s) == (40.0, 60.0)
    device: Any = timed.budget.device
    assert device.active_throughout(40.0, 100.0)


async def test_blocks_are_tested_as_asked(bench: Workbench) -> None:
    assert [result.block for result in await bench.test(0, version(0), [1, 0])] == [1, 0]
