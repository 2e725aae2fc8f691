"""Peers without an aggregator on one event loop: real nodes over loopback, and an engine that needs no torch."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedswarm.clock import WallClock
from fedswarm.errors import RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.models.checkpoint import load_safetensors
from fedswarm.models.layout import Layout, TensorSpec, Vector
from fedswarm.records.writer import RecordWriter
from fedswarm.rounds.decentralized import DecentralizedPeer, PeerRules
from fedswarm.rounds.peer_core import PeerCore
from fedswarm.rounds.peer_manifests import PeerManifests
from fedswarm.swarm.events import Introduced
from fedswarm.swarm.messages import Address
from fedswarm.training.task import BlockResult, ClientTask, ClientUpdate
from services.executor.decentralized import DecentralizedExecutor
from services.executor.round_diary import RoundDiary, diary_file
from services.peer.node import PeerNode
from services.process.server import Server

SIZE = 20_000  # five chunks of 16 KiB


class HalfWay:
    """Its one client goes half the way to the weight it would like best."""

    def __init__(self, wish: float, start: float) -> None:
        self.layout = Layout((TensorSpec("w", (SIZE,), True),))
        self.test_blocks = 2
        self.failure = ""
        self._wish = np.full(SIZE, wish, dtype=np.float32)
        self._start = np.full(SIZE, start, dtype=np.float32)
        self._model = self._start

    def clients(self) -> Any:
        raise NotImplementedError("the test says who there is")

    def initial_weights(self) -> Vector:
        return self._start.copy()

    def load(self, version: Vector) -> None:
        self._model = version.copy()

    def train(self, task: ClientTask) -> ClientUpdate:
        if self.failure:
            return ClientUpdate(task.client_id, success=False, error=self.failure)
        return ClientUpdate(task.client_id, success=True, delta=(self._wish - self._model) / 2, moving_loss=1.5)

    def evaluate(self, blocks: Any) -> list[BlockResult]:
        return [BlockResult(block, 10, 5, 8, 10 * float(self._model[0])) for block in blocks]

    def loss_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        return weights

    def mean_squared_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        return weights


class Hamlet:
    """Peers ``1`` to ``peers``, everybody linked with everybody unless ``links`` says otherwise."""

    def __init__(self, folder: Path, peers: int, links: Callable[[str, str], bool], job: Job) -> None:
        self.folder = folder
        self.names = [str(number) for number in range(1, peers + 1)]
        self.engines: dict[str, HalfWay] = {}
        self.nodes: dict[str, PeerNode] = {}
        self._links = links
        self._job = job
        self._servers: list[Server] = []
        self._writers: list[RecordWriter] = []
        self._executors: list[DecentralizedExecutor] = []

    async def peer(self, name: str, start: float = 0.0, founders: str = "") -> DecentralizedExecutor:
        """A peer whose node runs; its wish is its number, and so are its samples; all are founders unless named."""
        clock, samples = WallClock(), {int(other): int(other) for other in self.names}
        engine = self.engines[name] = HalfWay(float(name), start)
        manifests = PeerManifests.of(self._job, name, engine.layout, engine.initial_weights())
        core = PeerCore(engine, self._job, name, int(name), samples, manifests.chunk_weights)
        node, server = PeerNode(name, self._job.job_name, clock), Server()
        node.register(server)
        self.nodes[name] = node
        self._servers.append(server)
        others = [other for other in founders or self.names if other != name]
        only_linked = self._job.exchange.reach == "neighbours"
        machine = DecentralizedPeer(PeerRules.of(self._job), core.weight, others, only_linked=only_linked)
        writer = RecordWriter(diary_file(self.folder, name), now=itertools.count(1.0).__next__)
        diary = RoundDiary(writer, name, core.samples, clock, node.traffic)
        executor = DecentralizedExecutor(
            self._job, machine, core, engine.layout, manifests, node, diary, clock, self.folder
        )
        await node.start(f"127.0.0.1:{await server.start('127.0.0.1', 0)}")
        self._writers.append(writer)
        self._executors.append(executor)
        return executor

    def introduce(self) -> None:
        addresses = {name: node._links._hello.address for name, node in self.nodes.items()}  # type: ignore[union-attr]
        for one, other in itertools.combinations(self.nodes, 2):
            if self._links(one, other):
                self.nodes[one].feed(Introduced((Address(other, addresses[other].target),)))

    async def run(self, *executors: DecentralizedExecutor) -> None:
        self.introduce()
        async with asyncio.timeout(60):
            await asyncio.gather(*(executor.run() for executor in executors))

    def records(self, name: str, tag: str) -> list[dict[str, Any]]:
        lines = (self.folder / "peers" / f"{name}.jsonl").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["tag"] == tag]

    def final(self, name: str) -> Vector:
        return load_safetensors(self.folder / "checkpoints" / f"peer-{name}.safetensors")[1]

    async def close(self) -> None:
        for executor in self._executors:
            await executor.close()
        await asyncio.gather(*(node.close() for node in self.nodes.values()))
        await asyncio.gather(*(server.stop(0) for server in self._servers))
        for writer in self._writers:
            writer.close()


@pytest.fixture
async def hamlet(tmp_path: Path) -> AsyncIterator[Callable[..., Hamlet]]:
    made: list[Hamlet] = []

    def make(
        peers: int = 3,
        links: Callable[[str, str], bool] = lambda one, other: True,
        rounds: int = 2,
        before_averaging: bool = False,
        **exchange: Any,
    ) -> Hamlet:
        job = Job.model_validate(
            {
                "rounds": rounds,
                "experiment_mode": "deployment",
                "aggregation": {"mode": "decentralized"},
                "evaluation": {"before_averaging": before_averaging},
                "exchange": {"chunk_kib": 16, "deadline_s": 20.0, **exchange},
            }
        )
        made.append(Hamlet(tmp_path, peers, links, job))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_peers_average_each_other_and_leave_equal_models(hamlet: Any) -> None:
    place = hamlet()
    await place.run(*[await place.peer(name) for name in place.names])
    model = 0.0
    for _ in range(2):
        model = sum(int(name) * (model + int(name)) / 2 for name in place.names) / 6
    for name in place.names:
        assert np.allclose(place.final(name), model, atol=1e-6)
        assert np.array_equal(place.final(name), place.final("1"))


async def test_a_peer_writes_down_what_it_went_through(hamlet: Any) -> None:
    """Defect B26: folders for the logs of peers were made and stayed empty."""
    place = hamlet()
    await place.run(*[await place.peer(name) for name in place.names])
    first, last = place.records("2", "PEER_ROUND")
    assert (first["completed_round"], last["completed_round"], last["round"]) == (0, 1, 2)
    assert (first["peer"], first["samples"], first["loss"], first["links"]) == ("2", 2, 1.5, 2)
    assert (first["sources_complete"], first["sources_partial"], first["sources_missing"]) == (2, 0, 0)
    assert (first["arrived"], first["coverage"]) == (1.0, 1.0)
    assert first["bytes_received"] == 2 * SIZE * 4
    (test,) = place.records("2", "TEST_RESULT")
    assert (test["round"], test["top1"], test["samples"]) == (2, 0.5, 20)
    assert test["loss"] == pytest.approx(place.final("2")[0])
    assert last["own_loss"] is None
    (checkpoint,) = place.records("2", "CHECKPOINT")
    assert checkpoint["path"] == "checkpoints/peer-2.safetensors"


async def test_a_peer_tests_its_own_weights_before_they_are_averaged_if_asked_to(hamlet: Any) -> None:
    place = hamlet(2, rounds=2, before_averaging=True)
    await place.run(*[await place.peer(name) for name in place.names])
    first, last = place.records("2", "PEER_ROUND")
    assert first["own_loss"] is None
    # After one round the mean of 1/2 and 2/2 by samples is 5/6; from there peer 2 goes half the way to its wish.
    assert last["own_loss"] == pytest.approx((5 / 6 + 2) / 2)
    assert (last["own_top1"], last["own_top5"]) == (0.5, 0.8)
    (test,) = place.records("2", "TEST_RESULT")
    assert test["loss"] == pytest.approx(place.final("2")[0]) != pytest.approx(last["own_loss"])


async def test_a_peer_that_is_alone_tests_its_own_weights_too(hamlet: Any) -> None:
    place = hamlet(1, rounds=1, before_averaging=True)
    await place.run(await place.peer("1"))
    (only,) = place.records("1", "PEER_ROUND")
    assert only["own_loss"] == pytest.approx(0.5)


async def test_updates_are_relayed_along_a_line(hamlet: Any) -> None:
    place = hamlet(4, lambda one, other: abs(int(one) - int(other)) == 1)
    await place.run(*[await place.peer(name) for name in place.names])
    assert all(np.array_equal(place.final(name), place.final("1")) for name in place.names)


async def test_neighbours_alone_are_averaged_where_the_job_says_so(hamlet: Any) -> None:
    place = hamlet(4, lambda one, other: abs(int(one) - int(other)) == 1, rounds=1, reach="neighbours")
    await place.run(*[await place.peer(name) for name in place.names])
    assert place.final("1")[0] == pytest.approx((1 * 0.5 + 2 * 1.0) / 3, abs=1e-6)
    assert place.final("2")[0] == pytest.approx((1 * 0.5 + 2 * 1.0 + 3 * 1.5) / 6, abs=1e-6)


async def test_a_peer_with_another_initial_model_is_refused_and_the_others_go_on(hamlet: Any) -> None:
    """Defect B16: peers began with models of their own and averaged them all the same."""
    place = hamlet()
    await place.run(await place.peer("1"), await place.peer("2"), await place.peer("3", start=7.0))
    for name in "12":
        (refused,) = place.records(name, "PEER_REFUSED")
        assert refused["source"] == "3" and "another initial model" in refused["reason"]
        assert place.records(name, "PEER_ROUND")[-1]["sources_complete"] == 1
    assert np.array_equal(place.final("1"), place.final("2"))
    assert place.records("3", "PEER_ROUND")[-1]["sources_complete"] == 0


async def test_who_comes_late_takes_over_a_model_and_goes_on_with_the_others(hamlet: Any) -> None:
    place = hamlet(rounds=40)
    early = [await place.peer(name, founders="12") for name in "12"]
    running = asyncio.create_task(place.run(*early))
    while not place.records("1", "PEER_ROUND")[3:]:  # noqa: ASYNC110 - records tell nobody
        await asyncio.sleep(0.01)
    await place.run(await place.peer("3", founders="12"))
    await running
    assert place.records("3", "PEER_CAUGHT_UP")
    assert place.records("3", "PEER_ROUND")[-1]["completed_round"] == 39
    assert np.allclose(place.final("3"), place.final("1"), atol=1e-5)


async def test_training_that_fails_ends_the_peer_with_its_reason(hamlet: Any) -> None:
    place = hamlet(1)
    executor = await place.peer("1")
    place.engines["1"].failure = "training diverged"
    with pytest.raises(RunFailedError, match="round 0: training diverged"):
        await place.run(executor)
    assert not executor.has_finished
