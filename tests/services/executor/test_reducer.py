from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import common_pb2
from services.executor.reducer import Reducer

VALUES = 4 * MIN_CHUNK_BYTES // 8
ORDER, ROUND = 7, 3
NAMES = ("a", "b")


def part(name: str) -> np.ndarray:
    return np.full(VALUES, NAMES.index(name) + 1.0)


class Site:
    """Executors ``a``, with a reducer, and ``b``; each publishes its part of a sum."""

    def __init__(self, town: Any) -> None:
        self.town = town
        self.said: asyncio.Queue[pb.ExecutorMessage] = asyncio.Queue()

    async def open(self) -> None:
        node, _ = await self.town.linked_nodes(*NAMES)
        self.reducer = Reducer("a", node, self.said.put_nowait)
        self.parts = [self.publish(name) for name in NAMES]

    def publish(self, name: str) -> pb.Part:
        manifest = self.town.publish(name, part(name), ROUND, source=f"{name}/{ORDER}", chunk_bytes=MIN_CHUNK_BYTES)
        address = common_pb2.PeerAddress(peer_id=name, target=self.town.targets[name])
        return pb.Part(manifest=manifest_to_proto(manifest), publisher=address)

    def order(self, *chunks: int) -> pb.ReduceOrder:
        return pb.ReduceOrder(order_id=ORDER, round=ROUND, chunks=chunks, parts=self.parts)

    async def reduced(self) -> Manifest:
        message = await self.said.get()
        assert message.WhichOneof("body") == "reduced", message
        return manifest_from_proto(message.reduced.manifest)

    async def fetched(self, manifest: Manifest) -> np.ndarray:
        vector: np.ndarray = (await self.town.nodes["b"].fetch(manifest, swarm=False)).vector
        return vector

    async def failure(self) -> pb.Failure:
        message = await self.said.get()
        assert message.WhichOneof("body") == "failure", message
        return message.failure


@pytest.fixture
async def site(town: Any) -> AsyncIterator[Site]:
    made = Site(town)
    await made.open()
    yield made
    await made.reducer.close()


async def test_an_owner_publishes_the_sum_of_its_chunks(site: Site) -> None:
    site.reducer.begin(site.order(1, 3))
    manifest = await site.reduced()
    assert (manifest.publisher, manifest.round, manifest.chunks) == ("a", ROUND, 2)
    np.testing.assert_array_equal(await site.fetched(manifest), np.full(VALUES // 2, 3.0))


async def test_it_adds_its_own_part_without_fetching_it(site: Site) -> None:
    site.reducer.keep(pb.UploadOrder(order_id=ORDER, round=ROUND), part("a"))
    site.reducer.begin(site.order(0, 1, 2, 3))
    np.testing.assert_array_equal(await site.fetched(await site.reduced()), np.full(VALUES, 3.0))
    assert site.town.nodes["a"].traffic.received == part("b").nbytes


@pytest.mark.parametrize("chunks", [(), (2, 1), (4,)])
async def test_an_order_that_makes_no_sense_is_refused(site: Site, chunks: tuple[int, ...]) -> None:
    site.reducer.begin(site.order(*chunks))
    failure = await site.failure()
    assert failure.slice.order_id == ORDER
    assert "chunks" in failure.error


async def test_a_contributor_that_is_gone_fails_the_slice(site: Site) -> None:
    await site.town.kill("b")
    site.reducer.begin(site.order(2))
    await site.reduced()
    failure = await site.failure()
    assert (failure.slice.order_id, failure.slice.first_chunk) == (ORDER, 2)
    assert "b" in failure.error


async def test_an_error_of_our_own_is_reported_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(site.town.nodes["a"], "grow", broken)
    site.reducer.begin(site.order(0))
    await site.reduced()
    assert "MemoryError: no room" in (await site.failure()).error


async def test_the_end_of_a_round_ends_its_sums_without_a_word(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def never(*_: Any, **__: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(site.town.nodes["a"], "fetch", never)
    site.reducer.begin(site.order(0))
    await site.reduced()
    site.reducer.close_round(ROUND - 1)
    await asyncio.sleep(0)
    assert not ended.is_set()
    site.reducer.close_round(ROUND)
    await ended.wait()
    assert site.said.empty()


async def test_the_end_of_a_round_drops_the_executors_own_part(site: Site) -> None:
    kept = part("a") + 100
    site.reducer.keep(pb.UploadOrder(order_id=ORDER, round=ROUND), kept)
    site.reducer.close_round(ROUND)
    site.reducer.begin(site.order(0))
    manifest = await site.reduced()
    np.testing.assert_array_equal(await site.fetched(manifest), np.full(VALUES // 4, 3.0))  # the published one
