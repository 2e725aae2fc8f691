"""Peers that emulate slower links than they have. What is tested is that they are no faster, not how fast they are."""

from __future__ import annotations

from typing import Any

from fedswarm.clock import WallClock
from fedswarm.jobs.exchange_sections import ShapingSection
from fedswarm.swarm.shaping import MIN_BURST_BYTES, LinkShape

CHUNK_BYTES = 16 * 1024


def shape(**settings: Any) -> LinkShape:
    return LinkShape.of_executor(ShapingSection.model_validate(settings))


async def seconds_to_fetch(town: Any, data: Any, source: str, peer: str) -> float:
    manifest = town.publish(source, data, chunk_bytes=CHUNK_BYTES)
    begin_s = WallClock().now_s()
    await town.nodes[peer].fetch(manifest, town.targets[source], swarm=True)
    return WallClock().now_s() - begin_s


def least_s(data: Any, mbps: float) -> float:
    """What the link takes, but for the burst and the frame that a bucket gives in advance."""
    return (data.nbytes - MIN_BURST_BYTES - CHUNK_BYTES) * 8 / (mbps * 1e6)


async def test_a_laptop_uploads_as_a_phone_of_5_mbit_a_second(town: Any, vector: Any) -> None:
    await town.node("phone", shape=shape(link="smartphone_low"))
    await town.node("fast")
    data = vector(100_000)
    assert await seconds_to_fetch(town, data, "phone", "fast") >= least_s(data, 5)


async def test_a_laptop_downloads_as_a_phone_of_20_mbit_a_second(town: Any, vector: Any) -> None:
    await town.node("fast")
    await town.node("phone", shape=shape(link="smartphone_low"))
    data = vector(400_000)
    assert await seconds_to_fetch(town, data, "fast", "phone") >= least_s(data, 20)


async def test_a_limit_for_each_peer_holds_for_one(town: Any, vector: Any) -> None:
    await town.node("source", shape=shape(peer_up_mbps=5, up_mbps=50))
    await town.node("peer")
    data = vector(100_000)
    assert await seconds_to_fetch(town, data, "source", "peer") >= least_s(data, 5)
