from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from fedswarm.errors import IntegrityError, RunFailedError
from fedswarm.swarm.manifest import Key
from services.peer.data_stream import FETCH_METHOD

MIB = 1024 * 1024


async def test_a_holder_that_dies_midway_is_replaced(town: Any, vector: Any) -> None:
    tracker = await town.tracker()
    await town.node("source")
    peers = {name: await town.node(name, tracker) for name in ("p0", "p1", "p2", "p3")}
    data = vector(5 * MIB)
    manifest = town.publish("source", data)
    fetches = {
        name: asyncio.create_task(peer.fetch(manifest, town.targets["source"], True)) for name, peer in peers.items()
    }
    await town.until(lambda: peers["p0"].traffic.received)
    await town.kill("p0")
    assert isinstance((await asyncio.gather(fetches["p0"], return_exceptions=True))[0], RunFailedError)
    for name in ("p1", "p2", "p3"):
        np.testing.assert_array_equal(await fetches[name], data)


async def test_a_corrupt_holder_is_banned_and_the_rest_finish(town: Any, vector: Any, caplog: Any) -> None:
    tracker = await town.tracker()
    await town.node("source")
    peers = [await town.node(f"p{i}", tracker) for i in range(4)]
    corrupt = peers[0]
    honest_frame = corrupt._store.frame

    def wrong_frame(key: Key, index: int) -> bytes | None:
        frame = honest_frame(key, index)
        return None if frame is None else frame[:-1] + bytes([frame[-1] ^ 1])

    corrupt._servicer.frame = wrong_frame
    data = vector(3 * MIB)
    manifest = town.publish("source", data)
    with caplog.at_level(logging.WARNING):
        copies = await asyncio.gather(*(peer.fetch(manifest, town.targets["source"], True) for peer in peers))
    assert all(np.array_equal(copy, data) for copy in copies)
    assert "peer p0 is banned" in caplog.text
    assert any(peer._exchange.banned("p0") for peer in peers[1:])


async def test_a_corrupt_source_is_an_integrity_error(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    data = vector(1_000)
    manifest = town.publish("source", data)
    data[5] = -1.0
    with pytest.raises(IntegrityError, match="wrong digest"):
        await peer.fetch(manifest, town.targets["source"], True)


async def test_a_source_that_is_gone_is_said_so(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(1_000))
    await town.kill("source")
    with pytest.raises(RunFailedError, match="cannot be reached"):
        await peer.fetch(manifest, town.targets["source"], False)


async def test_closing_a_node_ends_its_fetches(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(1_000))
    await town.kill("source")
    fetch = asyncio.create_task(peer.fetch(manifest, town.targets["source"], True))
    await asyncio.sleep(0.01)
    await peer.close()
    with pytest.raises(RunFailedError, match="shutting down"):
        await fetch


async def test_a_restarted_source_is_found_at_its_new_address(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    await peer.fetch(town.publish("source", vector(1_000), 1), town.targets["source"], False)
    await town.kill("source")
    await town.node("source")
    copy = await peer.fetch(town.publish("source", vector(2_000), 2), town.targets["source"], False)
    np.testing.assert_array_equal(copy, vector(2_000))


async def test_peers_of_another_job_do_not_link(town: Any) -> None:
    tracker = await town.tracker()
    one = await town.node("one", tracker)
    other = await town.node("other", None, job="other-job")
    tried = other._links.dial("one", town.targets["one"])
    await tried.wait()
    assert one._links.get("other") is None
    assert other._links.get("one") is None


async def test_two_that_dial_each_other_at_once_keep_one_link(town: Any) -> None:
    one, two = await town.node("one"), await town.node("two")
    one._links.dial("two", town.targets["two"])
    two._links.dial("one", town.targets["one"])
    await town.linked("one", "two")
    await asyncio.sleep(0.2)
    assert one._links.get("two").dialled != two._links.get("one").dialled


async def test_a_lost_tracker_is_missed_by_nobody_and_found_again(town: Any, vector: Any) -> None:
    tracker = await town.tracker()
    source = await town.node("source")
    peers = [await town.node(name, tracker) for name in ("p0", "p1")]
    await town.linked("p0", "p1")
    await town.kill("tracker")
    data = vector(2 * MIB)
    manifest = town.publish("source", data)
    await asyncio.gather(*(peer.fetch(manifest, town.targets["source"], True) for peer in peers))
    assert source.traffic.sent < 1.5 * data.nbytes
    await town.tracker(port=int(tracker.rpartition(":")[2]))
    await town.node("p2", tracker)
    await town.linked("p0", "p1", "p2")


async def test_a_tracker_that_is_away_does_not_hold_a_peer_up(town: Any, vector: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.peer.node.INTRODUCTION_TIMEOUT_S", 0.1)
    await town.node("source")
    peer = await town.node("p0", "127.0.0.1:1")
    copy = await peer.fetch(town.publish("source", vector(100)), town.targets["source"], True)
    np.testing.assert_array_equal(copy, vector(100))


async def test_a_node_takes_a_bounded_number_of_links(town: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.peer.links.MAX_LINKS", 1)
    hub = await town.node("hub")
    for name in ("p0", "p1"):
        node = await town.node(name)
        await node._links.dial("hub", town.targets["hub"]).wait()
        await town.until(lambda: hub._links.get("p0"))
    assert hub._links.get("p1") is None


async def test_a_lost_link_is_dialled_again(town: Any) -> None:
    one, _ = await town.node("one"), await town.node("two")
    one._links.dial("two", town.targets["two"])
    await town.linked("one", "two")
    first = one._links.get("two")
    first.close()
    await town.until(lambda: one._links.get("two") not in (None, first))
    await town.linked("one", "two")


@pytest.mark.parametrize("answer", [b"\xff" * 40, b"", b"\x08\x01\x12\x06source\x18\x00\x7a\x01x"])
async def test_garbage_on_a_data_stream_bans_the_sender(town: Any, vector: Any, answer: bytes) -> None:
    async def garbage(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield answer

    await town.node("source")
    manifest = town.publish("source", vector(1_000))
    server = grpc.aio.server()
    handlers = {"Fetch": grpc.stream_stream_rpc_method_handler(garbage)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("fedswarm.v1.Peer", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    peer = await town.node("p0")
    with pytest.raises(IntegrityError):
        await peer.fetch(manifest, f"127.0.0.1:{port}", True)
    await server.stop(0)


async def test_a_broken_request_is_refused_politely(town: Any) -> None:
    await town.node("p0")
    async with grpc.aio.insecure_channel(town.targets["p0"]) as channel:
        call: Any = channel.stream_stream(FETCH_METHOD)()
        await call.write(b"\xff" * 10)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
