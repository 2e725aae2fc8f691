"""Frames that travel together as one message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fedswarm.swarm.events import FrameArrived
from fedswarm.swarm.frame import MAX_FRAMES, decode_frames, encode_frame
from fedswarm.swarm.manifest import Key, build_manifest
from fedswarm.swarm.messages import Verdict
from fedswarm.swarm.wire import decode_receipts
from services.peer import arrivals, deliveries
from services.peer.deliveries import Delivery
from services.peer.traffic import Meter

KIB = 1024
FAST_BPS = 10**9


def spied(monkeypatch: pytest.MonkeyPatch, module: Any, decode: Callable[[bytes], Any]) -> list[int]:
    """How much was in each message that a module decodes, as it comes."""
    sizes: list[int] = []

    def spy(buffer: bytes) -> Any:
        decoded = decode(buffer)
        sizes.append(len(decoded))
        return decoded

    monkeypatch.setattr(module, decode.__name__, spy)
    return sizes


CHUNK_BYTES = 16 * KIB
CHUNKS = 8
"""As many as are asked for at once at first."""


async def fetch_all(town: Any, data: np.ndarray) -> None:
    """One node fetches what another publishes."""
    await town.node("source", uplink_bps=FAST_BPS)
    await town.node("p0")
    town.introduce("p0", "source")
    await town.linked("source", "p0")
    manifest = town.publish("source", data, chunk_bytes=CHUNK_BYTES)
    copy = await town.nodes["p0"].fetch(manifest, town.targets["source"], swarm=False)
    np.testing.assert_array_equal(copy.vector, data)


async def test_frames_that_leave_together_travel_as_one_message(town: Any, vector: Any, monkeypatch: Any) -> None:
    frames = spied(monkeypatch, arrivals, decode_frames)
    await fetch_all(town, vector(CHUNKS * CHUNK_BYTES // 4))
    assert frames == [CHUNKS]


async def test_receipts_for_what_came_together_travel_as_one_letter(town: Any, vector: Any, monkeypatch: Any) -> None:
    receipts = spied(monkeypatch, deliveries, decode_receipts)
    await fetch_all(town, vector(CHUNKS * CHUNK_BYTES // 4))
    await town.until(lambda: receipts)
    assert receipts == [CHUNKS]


@pytest.mark.parametrize(
    ("chunk_kib", "together"), [(256, [1, 1, 1, 1]), (128, [1, 1, 1, 1]), (120, [2, 2]), (80, [3, 1])]
)
async def test_a_message_holds_as_many_frames_as_the_joined_size_allows(
    town: Any, stranger: Any, monkeypatch: Any, chunk_kib: int, together: list[int]
) -> None:
    """Two chunks of 128 KiB are a little longer than that once they are frames."""
    frames = spied(monkeypatch, arrivals, decode_frames)
    await town.node("p0")
    await stranger("odd", town.targets["p0"])
    meter = Meter()
    delivery = Delivery("p0", town.targets["p0"], "odd", meter, lambda _: None)
    for index in range(4):
        delivery.send(encode_frame(Key(1, "odd"), index, False, bytes(chunk_kib * KIB)), chunk_kib * KIB)
    await town.until(lambda: sum(frames) == 4 and meter.sent == 4 * chunk_kib * KIB)
    assert frames == together
    await asyncio.gather(delivery.close(), return_exceptions=True)


async def test_frames_that_came_as_one_message_are_all_accepted(town: Any, vector: Any, stranger: Any) -> None:
    node = await town.node("p0")
    publisher = await stranger("publisher", town.targets["p0"])
    data = vector(5 * 16 * KIB // 4)
    manifest = build_manifest(
        data, job="test-job", round_index=1, source="publisher", schema_hash="ab", chunk_bytes=16 * KIB
    )
    fetch = asyncio.create_task(node.fetch(manifest, swarm=True))
    call = publisher.deliver()
    chunks = [data.tobytes()[manifest.range(index)] for index in range(5)]
    await call.write(b"".join(encode_frame(manifest.key, index, False, chunk) for index, chunk in enumerate(chunks)))
    np.testing.assert_array_equal((await fetch).vector, data)
    receipts = decode_receipts(await call.read())
    assert [(receipt.index, receipt.verdict) for receipt in receipts] == [(i, Verdict.ACCEPTED) for i in range(5)]
    assert node.traffic.received == data.nbytes


async def test_all_frames_of_a_message_but_the_last_say_that_others_follow(town: Any, stranger: Any) -> None:
    node = await town.node("p0")
    odd = await stranger("odd", town.targets["p0"])
    arrived: list[FrameArrived] = []
    node._arrivals._feed = arrived.append
    call = odd.deliver()
    await call.write(b"".join(encode_frame(Key(1, "odd"), index, True, b"payload") for index in range(3)))
    await call.write(encode_frame(Key(1, "odd"), 3, True, b"payload"))
    await town.until(lambda: len(arrived) == 4)
    assert [(event.index, event.more) for event in arrived] == [(0, True), (1, True), (2, False), (3, False)]


@pytest.mark.parametrize("message", [b"", b"\xba\x06\x02hi"], ids=["empty", "of a later version"])
async def test_a_message_without_frames_is_harmless(town: Any, stranger: Any, message: bytes) -> None:
    node = await town.node("p0")
    odd = await stranger("odd", town.targets["p0"])
    call = odd.deliver()
    await call.write(message)
    await call.write(encode_frame(Key(1, "odd"), 7, False, b"payload"))
    assert [receipt.index for receipt in decode_receipts(await call.read())] == [7]
    assert node.links == ("odd",)


async def test_a_message_with_too_many_frames_bans_its_sender(town: Any, stranger: Any) -> None:
    node = await town.node("p0")
    odd = await stranger("odd", town.targets["p0"])
    await odd.deliver().write(encode_frame(Key(1, "odd"), 0, False, b"") * (MAX_FRAMES + 1))
    await town.until(lambda: not node.links)
    assert not node._welcomes("odd")
    assert node.traffic.wasted == 0


async def test_of_small_frames_no_more_travel_together_than_are_taken() -> None:
    delivery = Delivery("p0", "127.0.0.1:1", "me", Meter(), lambda _: None)
    for index in range(MAX_FRAMES + 5):
        delivery.send(encode_frame(Key(1, "me"), index, False, b"xyz"), 3)
    messages = [delivery._next_frames() for _ in range(2)]
    assert [len(decode_frames(message)) for message, _ in messages] == [MAX_FRAMES, 5]
    assert [payload_bytes for _, payload_bytes in messages] == [3 * MAX_FRAMES, 15]
    await asyncio.gather(delivery.close(), return_exceptions=True)
