"""The foreman between a scripted aggregator and a bench and a node that only note what they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import numpy as np
import pytest

from fedswarm import events
from fedswarm.aggregation.sum_encoding import decode_sum
from fedswarm.clock import ManualClock
from fedswarm.errors import RunFailedError, WireError
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.rounds.plan import PlannedTask
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.manifest import Key, Manifest, build_manifest
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.training.task import BlockResult
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import common_pb2
from services.executor import foreman as foreman_module
from services.executor.foreman import Foreman
from services.peer.fetches import Fetched

LAYOUT = Layout((TensorSpec("w", (4,)),))


def weights(version: int) -> np.ndarray:
    return np.full(LAYOUT.size, version, dtype=np.float32)


def whole(vector: np.ndarray) -> Fetched:
    return Fetched(vector, np.ones(1, dtype=np.bool_), complete=True)


class Node:
    """Delivers a version when :meth:`arrive` says so, or fails as often as it was told to."""

    def __init__(self, clock: ManualClock) -> None:
        self.fetches: list[Key] = []
        self.published: dict[Key, np.ndarray] = {}
        self.forgotten_before = 0
        self.fails: list[Exception] = []
        self.download_s = 0.0
        self._clock = clock
        self._arrived: dict[int, asyncio.Event] = {}

    async def fetch(self, manifest: Manifest, source_target: str, swarm: bool) -> Fetched:
        self.fetches.append(manifest.key)
        if self.fails:
            raise self.fails.pop(0)
        await self._arrived.setdefault(manifest.round, asyncio.Event()).wait()
        self._clock.advance(self.download_s)
        return whole(weights(manifest.round))

    def arrive(self, version: int) -> None:
        self._arrived.setdefault(version, asyncio.Event()).set()

    def publish(self, manifest: Manifest, data: np.ndarray, *, spreading: Spreading) -> None:
        self.published[manifest.key] = data

    def forget_before(self, round_index: int) -> None:
        self.forgotten_before = round_index


class Bench:
    """Notes its work; a version of which it is told to ``fail`` does."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fail: Exception | None = None
        self.closed: list[int] = []
        self.busy = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def train(
        self, lease_id: int, version: int, learning_rate: float, given: np.ndarray, tasks: list[PlannedTask]
    ) -> list[msg.ClientReport]:
        self.busy.set()
        await self.go_on.wait()
        if self.fail is not None:
            raise self.fail
        assert np.array_equal(given, weights(version))
        self.done.append(f"train {lease_id}")
        return [msg.ClientReport(task.client_id, True, trained_samples=8) for task in tasks]

    async def test(self, version: int, given: np.ndarray, blocks: list[int]) -> list[BlockResult]:
        assert np.array_equal(given, weights(version))
        self.done.append(f"test {version}")
        return [BlockResult(block, 10, 1, 2, 0.5) for block in blocks]

    async def weighted_sum(self, round_index: int, lease_ids: list[int], shares: dict[int, float]) -> np.ndarray:
        if self.fail is not None:
            raise self.fail
        self.done.append(f"sum {round_index}")
        return np.arange(LAYOUT.size) * sum(shares.values())

    async def initial_weights(self) -> np.ndarray:
        return weights(7)

    def close_round(self, round_index: int) -> None:
        self.closed.append(round_index)


class Session:
    """Keeps the reports."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[pb.ExecutorMessage] = asyncio.Queue()

    def send(self, message: pb.ExecutorMessage) -> None:
        self.sent.put_nowait(message)


class Shop:
    """A foreman at work, with everybody it talks to."""

    def __init__(self, **changes: Any) -> None:
        self.clock = ManualClock()
        self.node, self.bench, self.session = Node(self.clock), Bench(), Session()
        job = Job.model_validate({"job_name": "shop", **changes})
        self.foreman = Foreman(job, "3", LAYOUT, cast(Any, self.bench), cast(Any, self.node), self.clock)
        self.foreman.attach(cast(Any, self.session), pb.ExecutorMessage(event=events.CLIENT_CONNECT))
        self.running = asyncio.create_task(self.foreman.run())

    def offer(self, version: int, content: int | None = None) -> None:
        manifest = build_manifest(
            weights(version if content is None else content),
            job="shop",
            round_index=version,
            source=wire.SOURCE,
            schema_hash=LAYOUT.schema_hash,
        )
        source = common_pb2.PeerAddress(peer_id=wire.SOURCE, target="host:1")
        body = pb.ModelOffer(manifest=manifest_to_proto(manifest), source=source)
        self.foreman.receive(pb.AggregatorMessage(event=events.UPDATE_MODEL, model=body))

    def train(self, lease_id: int, version: int) -> None:
        self.foreman.receive(wire.train_message(msg.SendTrain("3", lease_id, version, 0.1, (PlannedTask(5, 2),))))

    def test(self, lease_id: int, version: int) -> None:
        self.foreman.receive(wire.model_test_message(msg.SendTest("3", lease_id, version, (0, 1))))

    def order_sum(self, order_id: int, round_index: int) -> None:
        part = msg.SumPart("3", (1,), ((5, 0.5),))
        self.foreman.receive(wire.upload_message(msg.OrderSum(order_id, round_index, (part,)), part))

    def close_round(self, round_index: int) -> None:
        body = pb.RoundClosed(round=round_index)
        self.foreman.receive(pb.AggregatorMessage(event=events.START_ROUND, round_closed=body))

    async def report(self) -> pb.ExecutorMessage:
        return await self.session.sent.get()

    async def close(self) -> None:
        self.running.cancel()
        await self.foreman.close()


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setattr(foreman_module, "FETCH_PAUSES_S", (0.0, 0.0))
    shop = Shop()
    async with asyncio.timeout(20):
        yield shop
    await shop.close()


async def settle() -> None:
    """Lets everything that can go on without outside help do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_lease_waits_for_its_model_and_is_then_reported(shop: Shop) -> None:
    shop.offer(0)
    shop.train(1, 0)
    await settle()
    assert shop.session.sent.empty()
    shop.node.arrive(0)
    report = (await shop.report()).train_report
    assert report.lease_id == 1 and [client.client_id for client in report.clients] == [5]


async def test_work_is_done_in_the_order_it_came(shop: Shop) -> None:
    shop.offer(0)
    shop.node.arrive(0)
    shop.test(1, 0)
    shop.train(2, 0)
    shop.order_sum(3, 0)
    shop.train(4, 0)
    for _ in range(4):
        await shop.report()
    assert shop.bench.done == ["test 0", "train 2", "sum 0", "train 4"]


async def test_the_same_offer_again_changes_nothing(shop: Shop) -> None:
    shop.offer(0)
    await settle()
    shop.offer(0)
    shop.node.arrive(0)
    await settle()
    shop.offer(0)
    shop.train(1, 0)
    assert (await shop.report()).HasField("train_report")
    assert shop.node.fetches == [Key(0, wire.SOURCE)]


async def test_other_weights_of_the_same_version_are_fetched(shop: Shop) -> None:
    shop.offer(0)
    await settle()
    shop.offer(0, content=9)
    await settle()
    assert len(shop.node.fetches) == 2


async def test_a_newer_offer_fails_the_lease_that_waited_for_the_older_and_work_goes_on(shop: Shop) -> None:
    """The executor used to die of a raw CancelledError here."""
    shop.offer(0)
    shop.train(1, 0)
    await settle()
    shop.offer(1)
    failure = (await shop.report()).failure
    assert failure.lease_id == 1 and "superseded" in failure.error
    shop.train(2, 1)
    shop.node.arrive(1)
    assert (await shop.report()).train_report.lease_id == 2
    assert not shop.running.done()


async def test_a_lease_of_another_version_than_the_newest_is_refused(shop: Shop) -> None:
    shop.train(1, 0)
    assert "newest offered is none" in (await shop.report()).failure.error
    shop.offer(1)
    shop.train(2, 0)
    assert "newest offered is 1" in (await shop.report()).failure.error


async def test_a_fetch_that_fails_is_tried_again(shop: Shop) -> None:
    shop.node.fails = [RunFailedError("reset"), WireError("odd")]
    shop.node.arrive(0)
    shop.offer(0)
    shop.train(1, 0)
    assert (await shop.report()).HasField("train_report")
    assert len(shop.node.fetches) == 3


async def test_a_model_that_cannot_be_had_fails_its_leases_until_it_is_offered_again(shop: Shop) -> None:
    shop.node.fails = [RunFailedError("reset")] * 3
    shop.node.arrive(0)
    shop.offer(0)
    shop.train(1, 0)
    shop.test(2, 0)
    failures = [(await shop.report()).failure for _ in range(2)]
    assert [(failure.lease_id, failure.error) for failure in failures] == [(1, "reset"), (2, "reset")]
    shop.offer(0)
    shop.train(3, 0)
    assert (await shop.report()).train_report.lease_id == 3


async def test_a_model_of_another_size_fails_its_leases(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(manifest: Manifest, source_target: str, swarm: bool) -> Fetched:
        return whole(np.zeros(LAYOUT.size + 1, dtype=np.float32))

    monkeypatch.setattr(shop.node, "fetch", fetch)
    shop.offer(0)
    shop.train(1, 0)
    assert "does not fit a layout of 4" in (await shop.report()).failure.error


async def test_training_still_waiting_when_its_round_closes_is_forgotten(shop: Shop) -> None:
    shop.offer(0)
    shop.node.arrive(0)
    shop.bench.go_on.clear()
    for lease_id in (1, 2, 3):
        shop.train(lease_id, 0)
    shop.test(4, 0)
    await shop.bench.busy.wait()
    shop.close_round(0)
    shop.bench.go_on.set()
    assert (await shop.report()).train_report.lease_id == 1
    assert (await shop.report()).test_report.lease_id == 4
    assert (shop.bench.closed, shop.node.forgotten_before) == ([0], 1)


async def test_a_closed_round_that_is_drawn_anew_is_trained(shop: Shop) -> None:
    """A skipped round is closed and then begun again under the same number."""
    shop.offer(0)
    shop.node.arrive(0)
    shop.close_round(0)
    shop.train(9, 0)
    assert (await shop.report()).train_report.lease_id == 9


async def test_failed_work_is_reported_and_the_next_is_done(shop: Shop) -> None:
    shop.offer(0)
    shop.node.arrive(0)
    shop.bench.fail = ZeroDivisionError("a bug of ours")
    shop.train(1, 0)
    assert (await shop.report()).failure == pb.Failure(lease_id=1, error="ZeroDivisionError: a bug of ours")
    shop.bench.fail = WireError("no update held")
    shop.order_sum(2, 0)
    assert (await shop.report()).failure == pb.Failure(order_id=2, error="no update held")
    shop.bench.fail = None
    shop.train(3, 0)
    assert (await shop.report()).train_report.lease_id == 3


async def test_a_long_error_is_cut(shop: Shop) -> None:
    shop.bench.fail = WireError("x" * 10_000)
    shop.order_sum(2, 0)
    assert len((await shop.report()).failure.error) == wire.LONGEST_ERROR


async def test_a_sum_is_published_under_its_order(shop: Shop) -> None:
    shop.order_sum(12, 4)
    upload = (await shop.report()).upload
    manifest = manifest_from_proto(upload.manifest)
    assert (upload.order_id, manifest.key, manifest.publisher) == (12, Key(4, "3/12"), "3")
    words = shop.node.published[manifest.key]
    np.testing.assert_array_equal(decode_sum(words, LAYOUT.size), np.arange(4) * 0.5)


async def test_the_initial_model_is_published_on_request(shop: Shop) -> None:
    shop.foreman.receive(wire.initial_model_message(msg.RequestInitialModel("3", 1)))
    manifest = manifest_from_proto((await shop.report()).upload.manifest)
    np.testing.assert_array_equal(shop.node.published[manifest.key], weights(7))
    assert manifest.schema_hash == LAYOUT.schema_hash


async def test_a_new_session_starts_with_an_empty_queue(shop: Shop) -> None:
    shop.offer(0)
    shop.node.arrive(0)
    shop.bench.go_on.clear()
    shop.train(1, 0)
    shop.train(2, 0)
    await shop.bench.busy.wait()
    assert shop.foreman.registration().event == events.CLIENT_CONNECT
    shop.train(3, 0)
    shop.bench.go_on.set()
    assert [(await shop.report()).train_report.lease_id for _ in range(2)] == [1, 3]


async def test_in_deployment_reports_carry_the_measured_download() -> None:
    shop = Shop(experiment_mode="deployment")
    shop.node.download_s = 2.5
    shop.node.arrive(0)
    shop.offer(0)
    shop.train(1, 0)
    async with asyncio.timeout(20):
        report = (await shop.report()).train_report
    assert [client.download_s for client in report.clients] == [2.5]
    await shop.close()


async def test_in_simulation_the_plan_knows_the_download(shop: Shop) -> None:
    shop.node.download_s = 2.5
    shop.node.arrive(0)
    shop.offer(0)
    shop.train(1, 0)
    assert [client.download_s for client in (await shop.report()).train_report.clients] == [0.0]


async def test_closing_ends_a_fetch_under_way(shop: Shop) -> None:
    shop.offer(0)
    await settle()
    await shop.foreman.close()
    shop.train(1, 0)
    assert "superseded" in (await shop.report()).failure.error
