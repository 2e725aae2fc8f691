from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
import numpy as np
import pytest

from fedswarm.clock import WallClock
from fedswarm.errors import IntegrityError, RunFailedError
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.frame import encode_frame
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Bitfield, Interested, Receipt, Unchoke, Verdict, Want
from fedswarm.swarm.shaping import Caps, LinkShape
from fedswarm.swarm.token_bucket import ConstantRate
from fedswarm.swarm.wire import MAX_MESSAGES

MIB = 1024 * 1024


# ---- bytes ----------------------------------------------------------------------------------------------------------


def corrupt(node: Any) -> None:
    """From now on the last byte of each chunk it sends is wrong."""
    honest_frame = node._store.frame

    def wrong_frame(key: Key, index: int, relay: bool) -> bytes | None:
        frame = honest_frame(key, index, relay)
        return None if frame is None else frame[:-1] + bytes([frame[-1] ^ 1])

    node._store.frame = wrong_frame


async def test_a_corrupt_relay_is_banned_and_the_rest_finish(town: Any, vector: Any, caplog: Any) -> None:
    _, *peers = await town.linked_nodes("source", "p0", "p1", "p2", "p3")
    corrupt(peers[0])
    data = vector(3 * MIB)
    manifest = town.publish("source", data, spreading=Spreading.PUSH)
    with caplog.at_level(logging.WARNING):
        copies = await asyncio.gather(*(peer.fetch(manifest, swarm=True) for peer in peers))
    assert all(np.array_equal(copy.vector, data) for copy in copies)
    assert "peer p0 is banned" in caplog.text
    assert any("p0" not in peer.links and peer.traffic.wasted for peer in peers[1:])


@pytest.mark.parametrize("swarm", [True, False])
async def test_a_corrupt_publisher_is_an_integrity_error(town: Any, vector: Any, swarm: bool) -> None:
    source, peer = await town.linked_nodes("source", "p0")
    corrupt(source)
    manifest = town.publish("source", vector(1_000))
    with pytest.raises(IntegrityError, match="was banned"):
        await peer.fetch(manifest, town.targets["source"], swarm=swarm)
    assert not peer.links


@pytest.mark.parametrize("frame", [b"\xff" * 40, b"\x0a\x04\x12\x02\xff\xfe"])
async def test_a_frame_that_is_none_bans_its_sender(town: Any, stranger: Any, frame: bytes) -> None:
    node = await town.node("p0")
    odd = await stranger("odd", town.targets["p0"])
    await odd.deliver().write(frame)
    await town.until(lambda: not node.links)
    assert not node._welcomes("odd")


async def test_a_letter_that_is_none_bans_its_sender(town: Any, stranger: Any) -> None:
    node = await town.node("p0")
    odd = await stranger("odd", town.targets["p0"])
    await odd.call.write(b"\xff" * 10)
    await town.until(lambda: not node.links)
    assert not node._welcomes("odd")


async def test_a_caller_that_is_not_linked_delivers_nothing(town: Any, make_stranger: Any) -> None:
    node = await town.node("p0")
    unlinked = make_stranger("unlinked", town.targets["p0"])
    call = unlinked.deliver()
    with pytest.raises(grpc.aio.AioRpcError, match="link first") as refused:  # as soon as one of both hears of it
        await call.write(encode_frame(Key(1, "unlinked"), 0, False, b"payload"))
        await call.read()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert node.traffic.wasted == 0


async def test_chunks_that_nobody_wanted_are_not_kept(town: Any, stranger: Any) -> None:
    node = await town.node("p0")
    odd = await stranger("odd", town.targets["p0"])
    call = odd.deliver()
    await call.write(encode_frame(Key(1, "odd"), 0, False, b"payload"))
    await call.read()
    assert node.traffic.wasted == 7
    assert node._store.keys() == []


# ---- peers that go, stall or come back ------------------------------------------------------------------------------


async def test_a_relay_that_dies_midway_is_replaced(town: Any, vector: Any) -> None:
    _, *peers = await town.linked_nodes("source", "p0", "p1", "p2", "p3")
    data = vector(5 * MIB)
    manifest = town.publish("source", data, spreading=Spreading.PUSH)
    fetches = [asyncio.create_task(peer.fetch(manifest, swarm=True)) for peer in peers]
    await town.until(lambda: peers[0].traffic.received)
    await town.kill("p0")
    with pytest.raises(RunFailedError, match="shutting down"):
        await fetches[0]
    for fetch in fetches[1:]:
        np.testing.assert_array_equal((await fetch).vector, data)


async def test_a_publisher_that_is_gone_is_said_so(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0", limits=Limits(publisher_attempts=1))
    manifest = town.publish("source", vector(1_000))
    await town.kill("source")
    with pytest.raises(RunFailedError, match="cannot be reached"):
        await peer.fetch(manifest, town.targets["source"], swarm=False)


async def test_what_a_dead_publisher_gave_to_one_all_can_have(town: Any, vector: Any) -> None:
    _, first, second = await town.linked_nodes("source", "p0", "p1")
    data = vector(MIB)
    manifest = town.publish("source", data)
    await first.fetch(manifest, swarm=True)
    await town.kill("source")
    np.testing.assert_array_equal((await second.fetch(manifest, swarm=True)).vector, data)


async def test_a_restarted_publisher_is_found_at_its_new_address(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    await peer.fetch(town.publish("source", vector(1_000), 1), town.targets["source"], swarm=False)
    await town.kill("source")
    await town.until(lambda: not peer.links)
    await town.node("source")
    fetched = await peer.fetch(town.publish("source", vector(2_000), 2), town.targets["source"], swarm=False)
    np.testing.assert_array_equal(fetched.vector, vector(2_000))


async def test_a_holder_that_never_sends_is_not_waited_for(town: Any, vector: Any, stranger: Any) -> None:
    _, peer = await town.linked_nodes("source", "p0")
    data = vector(2 * MIB)
    manifest = town.publish("source", data)
    everything = Bitfield(manifest.key, np.packbits(np.ones(manifest.chunks, dtype=bool), bitorder="little").tobytes())
    await stranger("mute", town.targets["p0"], Unchoke())
    fetch = asyncio.create_task(peer.fetch(manifest, swarm=True))
    await (await stranger("mute too", town.targets["p0"], Unchoke())).say(everything)
    np.testing.assert_array_equal((await fetch).vector, data)


async def test_closing_a_node_ends_its_fetches(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0")
    manifest = town.publish("source", vector(1_000))
    await town.kill("source")
    fetch = asyncio.create_task(peer.fetch(manifest, town.targets["source"], swarm=True))
    await asyncio.sleep(0.01)
    await peer.close()
    with pytest.raises(RunFailedError, match="shutting down"):
        await fetch


async def test_who_leaves_is_not_sought(town: Any) -> None:
    one, two = await town.linked_nodes("one", "two")
    await two.close()
    await town.until(lambda: not one.links)
    assert one._links._dials == {}


async def test_a_broken_data_stream_is_opened_again(town: Any, vector: Any) -> None:
    source, peer = await town.linked_nodes("source", "p0")
    data = vector(8 * MIB)
    manifest = town.publish("source", data)
    fetch = asyncio.create_task(peer.fetch(manifest, swarm=True))
    await town.until(lambda: peer.traffic.received)
    peer._arrivals.end("source")
    np.testing.assert_array_equal((await fetch).vector, data)
    assert source.links == ("p0",)


# ---- links ----------------------------------------------------------------------------------------------------------


async def test_peers_of_another_job_do_not_link(town: Any) -> None:
    one, other = await town.node("one"), await town.node("other", job="other-job")
    town.introduce("other", "one")
    await town.until(lambda: other._links._dials)
    await town.until(lambda: not other._links._dials)
    assert one.links == other.links == ()


async def test_who_answers_under_another_name_is_not_linked(town: Any) -> None:
    one, _ = await town.node("one"), await town.node("two")
    town.targets["three"] = town.targets["two"]
    town.introduce("one", "three")
    await town.until(lambda: one._links._dials)
    await town.until(lambda: not one._links._dials)
    assert one.links == ()


async def test_two_that_dial_each_other_at_once_keep_one_link(town: Any) -> None:
    one, two = await town.node("one"), await town.node("two")
    town.introduce("one", "two")
    town.introduce("two", "one")
    await town.linked("one", "two")
    await town.until(lambda: not (one._links._dials or two._links._dials))
    await town.linked("one", "two")
    assert one._links.get("two").dialled
    assert not two._links.get("one").dialled


async def test_a_lost_link_is_dialled_again(town: Any) -> None:
    one, _ = await town.node("one"), await town.node("two")
    town.introduce("one", "two")
    await town.linked("one", "two")
    first = one._links.get("two")
    await town.restart_server("two")
    await town.until(lambda: one._links.get("two") not in (None, first))


async def test_a_node_takes_a_bounded_number_of_links(town: Any) -> None:
    hub = await town.node("hub", limits=Limits(most_links=1))
    for name in ("p0", "p1"):
        await town.node(name)
        town.introduce(name, "hub")
        await town.until(lambda: hub.links and not town.nodes[name]._links._dials)  # noqa: B023
    assert hub.links == ("p0",)


async def test_a_node_that_has_not_started_sends_peers_away(town: Any) -> None:
    early = await town.node("early")
    await town.register("late")
    town.introduce("early", "late")
    await town.until(lambda: early._links._dials)
    await town.until(lambda: not early._links._dials)
    assert early.links == ()
    await town.nodes["late"].start(town.targets["late"])
    await town.linked("early", "late")


# ---- readers --------------------------------------------------------------------------------------------------------


async def test_a_slow_reader_does_not_hold_others_up(town: Any, vector: Any) -> None:
    await town.node("source")
    fast = await town.node("fast")
    slow = await town.node("slow", shape=LinkShape(down=Caps(total=ConstantRate(1e6))))
    manifest = town.publish("source", vector(4 * MIB))
    crawl = asyncio.create_task(slow.fetch(manifest, town.targets["source"], swarm=False))
    await town.until(lambda: "slow" in town.nodes["source"].links)
    assert (await fast.fetch(manifest, town.targets["source"], swarm=False)).complete
    assert slow.traffic.received < manifest.total_bytes / 2
    crawl.cancel()
    await asyncio.gather(crawl, return_exceptions=True)


async def test_a_reader_that_never_reads_costs_bounded_memory(town: Any, vector: Any, stranger: Any) -> None:
    limits = Limits(most_inflight_bytes=2 * MIB)
    source = await town.node("source", limits=limits, uplink_bps=10**9)
    manifest = town.publish("source", vector(16 * MIB))
    greedy = await stranger("greedy", town.targets["source"], Interested(manifest.key))
    await greedy.say(Want(manifest.key, tuple(range(manifest.chunks))))
    await town.until(lambda: greedy.streams)
    await asyncio.sleep(0.5)
    delivery = source._deliveries._open["greedy"]
    waiting = sum(size for _, size in delivery._waiting)
    assert source.traffic.sent + waiting <= limits.most_inflight_bytes
    peer = await town.node("p0")
    assert (await peer.fetch(manifest, town.targets["source"], swarm=False)).complete


async def test_a_sender_that_reads_no_receipts_is_cut_off(town: Any, stranger: Any) -> None:
    node = await town.node("p0")
    odd = await stranger("odd", town.targets["p0"])
    await odd.deliver().write(encode_frame(Key(1, "odd"), 0, False, b""))
    await town.until(lambda: "odd" in node._arrivals._open)
    for _ in range(MAX_MESSAGES + 1):
        node._arrivals.acknowledge("odd", Receipt(Key(1, "odd"), 0, Verdict.UNWANTED))
    await town.until(lambda: "odd" not in node._arrivals._open)


async def test_downloads_keep_to_their_rate(town: Any, vector: Any) -> None:
    await town.node("source")
    peer = await town.node("p0", shape=LinkShape(down=Caps(total=ConstantRate(40e6))))
    manifest = town.publish("source", vector(MIB))
    start_s = WallClock().now_s()
    await peer.fetch(manifest, town.targets["source"], swarm=False)
    assert WallClock().now_s() - start_s > 0.8 * manifest.total_bytes * 8 / 40e6
