"""Sums that executors add up among themselves, and what becomes of them when some cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from fedswarm import events
from fedswarm.clock import WallClock
from fedswarm.errors import RunFailedError
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from fedswarm.swarm.manifest import growing_manifest
from fedswarm.swarm.slices import UNKNOWN_RATES, Rates
from fedswarm.swarm.wire import manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from services.aggregator.errands import Errand
from services.aggregator.uploads import UploadFailedError, Uploads
from services.executor.reducer import Reducer

VALUES = 24 * MIN_CHUNK_BYTES // 8 - 7
NAMES = ("a", "b", "c")
ORDER = 5
ORDER_SUM = msg.OrderSum(ORDER, 2, tuple(msg.SumPart(name, (i,), ((i, 0.25),)) for i, name in enumerate(NAMES)))


def part(name: str) -> np.ndarray:
    return np.random.default_rng(ord(name)).integers(-99, 99, VALUES).astype(np.float64)


def true_sum() -> np.ndarray:
    total: np.ndarray = sum(part(name) for name in NAMES)
    return total


class Executors:
    """Executors on nodes of their own. ``habits`` are what each does with the orders of a slice: ``"work"``,
    ``"refuse"``, ``"give up"`` once it has published, ``"lie"`` about the size, or ``"ignore"``."""

    def __init__(self, town: Any) -> None:
        self.town = town
        self.habits = dict.fromkeys(NAMES, "work")
        self.asked: dict[str, list[list[int]]] = {name: [] for name in NAMES}
        self.rates: dict[str, Rates] = {}

    async def open(self, timeout_s: float = 20.0) -> None:
        await self.town.linked_nodes(wire.SOURCE, *NAMES)
        self.node = self.town.nodes[wire.SOURCE]
        self.uploads = Uploads(self, self.node, WallClock(), timeout_s)
        self.reducers = {name: Reducer(name, self.town.nodes[name], self.hears_from(name)) for name in NAMES}

    def target_of(self, executor: str) -> str | None:
        return self.town.targets.get(executor)

    def rates_of(self, executor: str) -> Rates:
        return self.rates.get(executor, UNKNOWN_RATES)

    def send(self, executor: str, message: pb.AggregatorMessage) -> None:
        assert message.event == events.UPLOAD_MODEL
        order = message.reduce
        self.asked[executor].append(list(order.chunks))
        match self.habits[executor]:
            case "work":
                self.reducers[executor].begin(order)
            case "refuse":
                self.fail(executor, order.chunks[0])
            case "give up":
                self.publish_slice(executor, order, VALUES)
                asyncio.get_running_loop().call_soon(self.fail, executor, order.chunks[0])
            case "lie":
                self.publish_slice(executor, order, 1)

    def fail(self, executor: str, first_chunk: int | None = None) -> None:
        self.uploads.errands.failed(Errand(executor, ORDER, first_chunk), "disk full")

    def publish_slice(self, executor: str, order: pb.ReduceOrder, values: int) -> None:
        """Announces a sum of which no chunk ever becomes final."""
        manifest = growing_manifest(
            min(values, len(order.chunks) * MIN_CHUNK_BYTES // 8),
            "float64",
            job=order.parts[0].manifest.job,
            round_index=order.round,
            source=f"{executor}/sum",
            schema_hash="ab",
            chunk_bytes=MIN_CHUNK_BYTES,
        )
        self.uploads.errands.published(Errand(executor, ORDER, order.chunks[0]), manifest_to_proto(manifest))

    def hears_from(self, executor: str) -> Any:
        def hear(message: pb.ExecutorMessage) -> None:
            if message.WhichOneof("body") == "reduced":
                errand = Errand(executor, ORDER, message.reduced.slice.first_chunk)
                self.uploads.errands.published(errand, message.reduced.manifest)
            else:
                errand = Errand(executor, ORDER, message.failure.slice.first_chunk)
                self.uploads.errands.failed(errand, message.failure.error)

        return hear

    def publish(self, name: str, vector: np.ndarray | None = None, publisher: str = "") -> None:
        manifest = self.town.publish(
            publisher or name,
            part(name) if vector is None else vector,
            2,
            source=f"{publisher or name}/{ORDER}",
            chunk_bytes=MIN_CHUNK_BYTES,
        )
        self.uploads.errands.published(Errand(name, ORDER), manifest_to_proto(manifest))

    async def sum_up(self, *publishers: str) -> np.ndarray:
        """Fetches the sum once the named executors (all, if none is) have published their parts."""
        fetching = asyncio.create_task(self.uploads.fetch_sum(ORDER_SUM, VALUES))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for name in publishers or NAMES:
            self.publish(name)
        total, upload_s = await fetching
        assert upload_s > 0
        return total

    async def close(self) -> None:
        for reducer in self.reducers.values():
            await reducer.close()


@pytest.fixture
async def executors(town: Any) -> AsyncIterator[Executors]:
    made = Executors(town)
    await made.open()
    yield made
    await made.close()


async def test_executors_add_up_and_the_aggregator_fetches_one_sum(executors: Executors) -> None:
    total = await executors.sum_up()
    assert total.tobytes() == true_sum().tobytes()
    assert sorted(chunk for slices in executors.asked.values() for run in slices for chunk in run) == list(range(24))
    assert executors.node.traffic.received == total.nbytes


async def test_slices_follow_the_downlinks_that_executors_told_of(executors: Executors) -> None:
    executors.rates = {name: Rates(1e6, down) for name, down in zip(NAMES, (1e6, 2e6, 3e6), strict=True)}
    await executors.sum_up()
    assert [len(executors.asked[name][0]) for name in NAMES] == [4, 8, 12]


@pytest.mark.parametrize("habit", ["refuse", "give up", "lie"])
async def test_what_one_owner_cannot_do_the_others_do(executors: Executors, habit: str) -> None:
    executors.habits["b"] = habit
    total = await executors.sum_up()
    assert total.tobytes() == true_sum().tobytes()
    (lost,) = executors.asked["b"]
    taken_over = [chunk for name in "ac" for run in executors.asked[name][1:] for chunk in run]
    assert set(taken_over) < set(lost)  # some fell to the aggregator


async def test_an_owner_that_never_answers_is_replaced_when_its_time_is_over(executors: Executors) -> None:
    executors.uploads = Uploads(executors, executors.node, WallClock(), timeout_s=1.5)
    executors.habits["a"] = "ignore"
    assert (await executors.sum_up()).tobytes() == true_sum().tobytes()


async def test_the_aggregator_adds_up_alone_when_no_executor_can(executors: Executors) -> None:
    executors.habits = dict.fromkeys(NAMES, "refuse")
    total = await executors.sum_up()
    assert total.tobytes() == true_sum().tobytes()
    assert executors.node.traffic.received == 3 * total.nbytes


async def test_a_contributor_that_fails_is_to_blame(executors: Executors) -> None:
    fetching = asyncio.create_task(executors.sum_up("a", "c"))
    await asyncio.sleep(0.01)
    executors.fail("b")
    with pytest.raises(UploadFailedError, match="executor b: disk full") as caught:
        await fetching
    assert caught.value.executor == "b"


@pytest.mark.parametrize(
    ("vector", "publisher", "words"),
    [
        (np.zeros(VALUES - 1), "", f"a sum of {VALUES} weights has {VALUES - 1}"),
        (np.zeros(VALUES, np.float32), "", "of float32"),
        (np.zeros(VALUES), "c", "weights of c"),
    ],
)
async def test_a_contributor_of_something_else_is_to_blame(
    executors: Executors, vector: np.ndarray, publisher: str, words: str
) -> None:
    fetching = asyncio.create_task(executors.sum_up("a"))
    await asyncio.sleep(0.01)
    executors.publish("b", vector, publisher)
    with pytest.raises(UploadFailedError, match=words) as caught:
        await fetching
    assert caught.value.executor == "b"


async def test_when_a_contribution_is_gone_nobody_can_add_up_and_nobody_is_blamed(executors: Executors) -> None:
    executors.uploads = Uploads(executors, executors.node, WallClock(), timeout_s=1.0)
    fetching = asyncio.create_task(executors.sum_up())
    await asyncio.sleep(0.01)
    executors.town.nodes["b"].forget(2, f"b/{ORDER}")
    with pytest.raises(RunFailedError, match="nobody is left") as caught:
        await fetching
    assert not isinstance(caught.value, UploadFailedError)


async def test_a_sum_that_is_given_up_leaves_nothing_behind(executors: Executors) -> None:
    executors.habits = dict.fromkeys(NAMES, "ignore")
    fetching = asyncio.create_task(executors.sum_up())
    await executors.town.until(lambda: all(executors.asked.values()))
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not executors.uploads.errands._waiting


async def test_answers_that_nobody_waits_for_are_ignored(executors: Executors) -> None:
    executors.publish("a")
    executors.fail("a")
    executors.fail("b", 3)
    assert not executors.uploads.errands._waiting
