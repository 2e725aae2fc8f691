from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedswarm.clock import WallClock
from fedswarm.errors import RunFailedError, WireError
from fedswarm.launch.processes import thread_count
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.manifest import Manifest, build_manifest, growing_manifest
from fedswarm.swarm.shaping import Caps, LinkShape
from fedswarm.swarm.token_bucket import ConstantRate

MIB = 1024 * 1024


async def test_four_peers_cost_the_source_far_less_than_four_copies(town: Any, vector: Any) -> None:
    source, *peers = await town.linked_nodes("source", "p0", "p1", "p2", "p3")
    data = vector(45 * MIB // 4)
    manifest = town.publish("source", data, spreading=Spreading.PUSH)
    copies = await asyncio.gather(*(peer.fetch(manifest, swarm=True) for peer in peers))
    assert all(np.array_equal(copy.vector, data) for copy in copies)
    assert source.traffic.sent < 2.5 * data.nbytes
    assert all(peer.traffic.received == data.nbytes for peer in peers)


async def test_threads_do_not_grow_with_neighbours(town: Any, vector: Any) -> None:
    """Defect B24: four threads a neighbour, and fifty a server: 528 and 600 for these twelve."""
    source, *peers = await town.linked_nodes("source", *(f"p{number}" for number in range(11)))
    manifest = town.publish("source", vector(MIB // 4), spreading=Spreading.PUSH)
    await asyncio.gather(*(peer.fetch(manifest, swarm=True) for peer in peers))
    assert len(source.links) == 11
    assert thread_count() < 60


@pytest.mark.parametrize("spreading", Spreading)
async def test_however_they_are_spread_everybody_gets_them(town: Any, vector: Any, spreading: Spreading) -> None:
    _, *peers = await town.linked_nodes("source", "p0", "p1")
    data = vector(3 * MIB // 4)
    manifest = town.publish("source", data, spreading=spreading)
    for copy in await asyncio.gather(*(peer.fetch(manifest, swarm=True) for peer in peers)):
        np.testing.assert_array_equal(copy.vector, data)


async def test_a_direct_fetch_comes_from_the_publisher_alone(town: Any, vector: Any) -> None:
    source, peer = await town.node("source"), await town.node("p0")
    data = vector(1_000_000)
    manifest = town.publish("source", data)
    fetched = await peer.fetch(manifest, town.targets["source"], swarm=False)
    np.testing.assert_array_equal(fetched.vector, data)
    assert fetched.complete and fetched.held.all()
    assert (source.traffic.sent, peer.traffic.received, peer.traffic.wasted) == (data.nbytes, data.nbytes, 0)


async def test_what_comes_from_its_publisher_alone_comes_in_order(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(MIB // 4), chunk_bytes=MIB // 16)
    order: list[int] = []
    target = town.targets["source"]
    await peer.fetch(manifest, target, swarm=False, indices=range(2, 12), sink=lambda index, _: order.append(index))
    assert order == list(range(2, 12))


async def test_what_is_fetched_alone_belongs_to_the_caller(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(1_000))
    (await peer.fetch(manifest, town.targets["source"], swarm=False)).vector[:] = 0
    again = await peer.fetch(manifest, town.targets["source"], swarm=False)
    np.testing.assert_array_equal(again.vector, vector(1_000))


async def test_what_is_shared_with_peers_cannot_be_written(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    fetched = await peer.fetch(town.publish("source", vector(1_000)), town.targets["source"], swarm=True)
    with pytest.raises(ValueError, match="read-only"):
        fetched.vector[0] = 0


async def test_what_is_held_wholly_is_there_at_once(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(1_000))
    await peer.fetch(manifest, town.targets["source"], swarm=True)
    await town.kill("source")
    again = await peer.fetch(manifest, swarm=True)
    np.testing.assert_array_equal(again.vector, vector(1_000))
    assert peer.traffic.received == 4_000


async def test_a_source_can_fetch_its_own_weights(town: Any, vector: Any) -> None:
    source = await town.node("source")
    manifest = town.publish("source", vector(5_000))
    for swarm in (True, False):
        fetched = await source.fetch(manifest, town.targets["source"], swarm=swarm)
        np.testing.assert_array_equal(fetched.vector, vector(5_000))
    assert source.traffic == (0, 0, 0, 0, 0)


async def test_one_publisher_may_offer_several_sets_a_round(town: Any, vector: Any) -> None:
    await town.node("p0")
    sink = await town.node("sink")
    for order in (1, 2):
        data = vector(2_000, order)
        manifest = town.publish("p0", data, source=f"p0/{order}")
        fetched = await sink.fetch(manifest, town.targets["p0"], swarm=False)
        np.testing.assert_array_equal(fetched.vector, data)


async def test_a_sink_gets_every_chunk_once_and_nothing_is_kept(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    data = vector(MIB)
    manifest = town.publish("source", data)
    taken: dict[int, bytes] = {}

    def sink(index: int, payload: memoryview) -> None:
        assert index not in taken
        taken[index] = bytes(payload)

    fetched = await peer.fetch(manifest, town.targets["source"], swarm=False, sink=sink)
    assert fetched.vector is None and fetched.complete
    assert b"".join(taken[index] for index in range(manifest.chunks)) == data.tobytes()
    assert peer._store.keys() == []


async def test_a_sink_is_given_what_is_held_already(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(MIB))
    await peer.fetch(manifest, town.targets["source"], swarm=True, indices=[1, 2])
    taken: list[int] = []
    await peer.fetch(manifest, town.targets["source"], swarm=True, sink=lambda index, _: taken.append(index))
    assert sorted(taken) == list(range(manifest.chunks))
    assert peer.traffic.received == manifest.total_bytes


async def test_an_error_in_a_sink_fails_its_fetch_only(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(MIB))

    def sink(index: int, payload: memoryview) -> None:
        raise KeyError("a bug of the caller's")

    with pytest.raises(KeyError, match="caller's"):
        await peer.fetch(manifest, town.targets["source"], swarm=True, sink=sink)
    assert (await peer.fetch(manifest, town.targets["source"], swarm=True)).complete


async def test_only_the_chunks_wanted_are_fetched(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    data = vector(MIB)
    manifest = town.publish("source", data)
    fetched = await peer.fetch(manifest, town.targets["source"], swarm=True, indices=[3, 1])
    assert fetched.complete
    assert np.flatnonzero(fetched.held).tolist() == [1, 3]
    assert peer.traffic.received == 2 * manifest.chunk_bytes
    chunk = manifest.range(1)
    assert fetched.vector.tobytes()[chunk] == data.tobytes()[chunk]
    with pytest.raises(WireError, match="has chunks 0 to"):
        await peer.fetch(manifest, town.targets["source"], swarm=True, indices=[manifest.chunks])


async def test_at_the_deadline_a_fetch_ends_with_what_is_there(town: Any, vector: Any) -> None:
    await town.node("source")
    slow = LinkShape(down=Caps(total=ConstantRate(20e6)))
    peer = await town.node("p0", shape=slow)
    data = vector(2 * MIB)
    manifest = town.publish("source", data)
    deadline_s = WallClock().now_s() + 1.0
    fetched = await peer.fetch(manifest, town.targets["source"], swarm=True, deadline_s=deadline_s)
    assert not fetched.complete
    assert 0 < fetched.held.sum() < manifest.chunks
    for index in np.flatnonzero(fetched.held).tolist():
        chunk = manifest.range(index)
        assert fetched.vector.tobytes()[chunk] == data.tobytes()[chunk]


async def test_weights_can_be_fetched_while_they_grow(town: Any, vector: Any) -> None:
    await town.linked_nodes("source", "p0")
    data = vector(MIB)
    manifest = growing_manifest(
        data.size,
        "float32",
        job="test-job",
        round_index=1,
        source="source",
        schema_hash="ab",
        chunk_bytes=MIB,
    )
    growing = town.nodes["source"].grow(manifest)
    taken: list[int] = []
    fetch = asyncio.create_task(town.nodes["p0"].fetch(manifest, swarm=True, sink=lambda index, _: taken.append(index)))
    for index in (2, 0, 3, 1):
        growing.finish(index, data.tobytes()[manifest.range(index)])
        await town.until(lambda index=index: index in taken)
    assert (await fetch).complete
    assert taken == [2, 0, 3, 1]


async def test_a_chunk_becomes_final_once_and_whole(town: Any) -> None:
    source = await town.node("source")
    manifest = growing_manifest(100, "float32", job="test-job", round_index=1, source="source", schema_hash="ab")
    growing = source.grow(manifest)
    for index, size in ((0, 399), (1, 400), (-1, 400)):
        with pytest.raises(WireError, match="are not chunk"):
            growing.finish(index, bytes(size))
    growing.finish(0, bytes(400))
    with pytest.raises(WireError, match="is final already"):
        growing.finish(0, bytes(400))
    with pytest.raises(WireError, match="publish it as a whole"):
        source.grow(build_manifest(np.zeros(3), job="test-job", round_index=2, source="source", schema_hash=""))


async def test_offers_pass_from_neighbour_to_neighbour(town: Any, vector: Any) -> None:
    for name in ("source", "middle", "end"):
        await town.node(name)
    town.introduce("source", "middle")
    town.introduce("middle", "end")
    await town.until(lambda: len(town.nodes["middle"].links) == 2)
    heard: list[tuple[Manifest, str]] = []
    town.nodes["end"].on_offer = lambda manifest, peer: heard.append((manifest, peer))
    manifest = build_manifest(vector(10), job="test-job", round_index=1, source="source", schema_hash="")
    town.nodes["source"].publish(manifest, vector(10), offer=True)
    await town.until(lambda: heard)
    assert heard == [(manifest, "middle")]


async def test_forgotten_weights_cannot_be_fetched(town: Any, vector: Any) -> None:
    source, peer = await town.node("source"), await town.node("p0")
    old, new = town.publish("source", vector(1_000), 1), town.publish("source", vector(1_000), 2)
    source.forget_before(2)
    deadline_s = WallClock().now_s() + 0.5
    fetched = await peer.fetch(old, town.targets["source"], swarm=True, deadline_s=deadline_s)
    assert not fetched.held.any()
    assert (await peer.fetch(new, town.targets["source"], swarm=True)).complete


async def test_a_fetch_from_a_publisher_that_forgot_says_so_at_once(town: Any, vector: Any) -> None:
    source, peer = await town.node("source"), await town.node("p0")
    manifest = town.publish("source", vector(1_000), 1)
    source.forget(1, "source")
    with pytest.raises(RunFailedError, match="no longer publishes them"):
        await peer.fetch(manifest, town.targets["source"], swarm=False)


async def test_forgetting_ends_a_fetch_of_them(town: Any, vector: Any) -> None:
    _, peer = await town.linked_nodes("source", "p0")
    manifest = build_manifest(vector(10), job="test-job", round_index=1, source="source", schema_hash="")
    fetch = asyncio.create_task(peer.fetch(manifest, swarm=True))
    await asyncio.sleep(0)
    peer.forget(1, "source")
    with pytest.raises(RunFailedError, match="forgotten while"):
        await fetch


async def test_a_manifest_of_another_job_is_refused(town: Any, vector: Any) -> None:
    peer = await town.node("p0")
    manifest = build_manifest(vector(10), job="other", round_index=1, source="s", schema_hash="")
    with pytest.raises(WireError, match="belongs to job 'other'"):
        await peer.fetch(manifest, "127.0.0.1:1", swarm=True)


async def test_two_fetches_of_the_same_weights_do_not_mix(town: Any, vector: Any) -> None:
    _, peer = await town.linked_nodes("source", "p0")
    manifest = town.publish("source", vector(MIB))
    first = asyncio.create_task(peer.fetch(manifest, swarm=True))
    await asyncio.sleep(0)
    with pytest.raises(WireError, match="being fetched already"):
        await peer.fetch(manifest, swarm=True)
    assert (await first).complete


async def test_a_late_joiner_is_served_by_peers(town: Any, vector: Any) -> None:
    source, *early = await town.linked_nodes("source", "p0", "p1")
    data = vector(3 * MIB)
    manifest = town.publish("source", data, spreading=Spreading.PUSH)
    await asyncio.gather(*(peer.fetch(manifest, swarm=True) for peer in early))
    sent = source.traffic.sent
    (late,) = await town.linked_nodes("late")
    fetched = await late.fetch(manifest, swarm=True)
    np.testing.assert_array_equal(fetched.vector, data)
    assert source.traffic.sent - sent < data.nbytes


async def test_a_cancelled_fetch_can_be_started_anew(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(4 * MIB))
    first = asyncio.create_task(peer.fetch(manifest, town.targets["source"], swarm=True))
    await town.until(lambda: peer.traffic.received)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert peer._store.keys() == []
    again = await peer.fetch(manifest, town.targets["source"], swarm=True)
    np.testing.assert_array_equal(again.vector, vector(4 * MIB))
