from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedswarm.errors import RunFailedError, WireError
from fedswarm.swarm.manifest import build_manifest

MIB = 1024 * 1024


async def test_four_peers_cost_the_source_far_less_than_four_copies(town: Any, vector: Any) -> None:
    tracker = await town.tracker()
    source = await town.node("source")
    peers = [await town.node(f"p{i}", tracker) for i in range(4)]
    data = vector(45 * MIB // 4)
    manifest = town.publish("source", data)
    copies = await asyncio.gather(*(peer.fetch(manifest, town.targets["source"], True) for peer in peers))
    assert all(np.array_equal(copy, data) for copy in copies)
    assert source.traffic.sent < 2.5 * data.nbytes
    assert all(peer.traffic.received == data.nbytes for peer in peers)


async def test_a_direct_fetch_comes_from_the_source_alone(town: Any, vector: Any) -> None:
    source, peer = await town.node("source"), await town.node("p0")
    data = vector(1_000_000)
    manifest = town.publish("source", data)
    copy = await peer.fetch(manifest, town.targets["source"], False)
    np.testing.assert_array_equal(copy, data)
    assert source.traffic.sent >= data.nbytes
    assert peer.traffic[1:] == (data.nbytes, 0)


async def test_what_is_fetched_belongs_to_the_caller(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(1_000))
    copy = await peer.fetch(manifest, town.targets["source"], True)
    copy[:] = 0
    again = await peer.fetch(manifest, town.targets["source"], True)
    np.testing.assert_array_equal(again, vector(1_000))
    assert peer.traffic.received == 4_000


async def test_a_source_can_fetch_its_own_weights(town: Any, vector: Any) -> None:
    source = await town.node("source")
    manifest = town.publish("source", vector(5_000))
    np.testing.assert_array_equal(await source.fetch(manifest, town.targets["source"], True), vector(5_000))
    assert source.traffic == (0, 0, 0)


async def test_one_publisher_may_offer_several_sets_a_round(town: Any, vector: Any) -> None:
    node = await town.node("p0")
    sink = await town.node("sink")
    for order in (1, 2):
        data = vector(2_000, order)
        manifest = build_manifest(data, job="test-job", round_index=1, source=f"p0/{order}", schema_hash="ab")
        node.publish(manifest, data)
        np.testing.assert_array_equal(await sink.fetch(manifest, town.targets["p0"], False), data)


async def test_forgotten_weights_cannot_be_fetched(town: Any, vector: Any) -> None:
    source, peer = await town.node("source"), await town.node("p0")
    old, new = town.publish("source", vector(1_000), 1), town.publish("source", vector(1_000), 2)
    source.forget_before(2)
    with pytest.raises(RunFailedError, match="no longer publishes"):
        await peer.fetch(old, town.targets["source"], True)
    assert len(await peer.fetch(new, town.targets["source"], True)) == 1_000


async def test_a_manifest_of_another_job_is_refused(town: Any, vector: Any) -> None:
    peer = await town.node("p0")
    manifest = build_manifest(vector(10), job="other", round_index=1, source="s", schema_hash="")
    with pytest.raises(WireError, match="belongs to job 'other'"):
        await peer.fetch(manifest, "127.0.0.1:1", True)


async def test_a_late_joiner_is_served_by_peers(town: Any, vector: Any) -> None:
    tracker = await town.tracker()
    source = await town.node("source")
    early = [await town.node(f"p{i}", tracker) for i in range(2)]
    data = vector(3 * MIB)
    manifest = town.publish("source", data)
    await asyncio.gather(*(peer.fetch(manifest, town.targets["source"], True) for peer in early))
    sent = source.traffic.sent
    late = await town.node("late", tracker)
    await town.linked("p0", "p1", "late")
    await late.fetch(manifest, town.targets["source"], True)
    assert source.traffic.sent - sent < data.nbytes / 2


async def test_a_cancelled_fetch_can_be_started_anew(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(4 * MIB))
    first = asyncio.create_task(peer.fetch(manifest, town.targets["source"], True))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    np.testing.assert_array_equal(await peer.fetch(manifest, town.targets["source"], True), vector(4 * MIB))
