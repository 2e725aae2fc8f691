from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from fedswarm.errors import FedswarmError, WireError
from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from fedswarm.swarm.manifest import build_manifest
from fedswarm.swarm.slices import Rates, ReductionPlan, plan_all_reduce
from services.peer.all_reduce import AllReduce
from services.peer.summing import Part

CHUNKS = 13
VALUES = CHUNKS * MIN_CHUNK_BYTES // 8 - 9
NAMES = ("a", "b", "c", "d")


def contribution(name: str) -> np.ndarray:
    return np.random.default_rng(ord(name)).integers(-99, 99, VALUES).astype(np.float64)


def true_sum(names: tuple[str, ...] = NAMES) -> bytes:
    total: np.ndarray = sum(contribution(name) for name in names)
    return total.tobytes()


async def contributions(town: Any, names: tuple[str, ...] = NAMES) -> list[Part]:
    await town.linked_nodes(*names)
    return [
        Part(town.publish(name, contribution(name), chunk_bytes=MIN_CHUNK_BYTES), town.targets[name]) for name in names
    ]


def plan(names: tuple[str, ...] = NAMES, **mbps: float) -> ReductionPlan:
    return plan_all_reduce({name: Rates(1e6 * mbps.get(name, 10), 1e7) for name in names}, CHUNKS, b"key")


def part_in(town: Any, name: str, parts: list[Part], shares: ReductionPlan, patience_s: float = 20.0) -> AllReduce:
    return AllReduce(town.nodes[name], parts, contribution(name), shares, label="sum", patience_s=patience_s)


async def run(town: Any, names: tuple[str, ...], parts: list[Part], shares: ReductionPlan, **settings: Any) -> Any:
    sums = await asyncio.gather(*(part_in(town, name, parts, shares, **settings).run() for name in names))
    return {total.tobytes() for total in sums}


async def test_everybody_ends_with_the_same_sum(town: Any) -> None:
    parts = await contributions(town)
    assert await run(town, NAMES, parts, plan()) == {true_sum()}


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c")])
async def test_few_peers_can_do_it_too(town: Any, names: tuple[str, ...]) -> None:
    parts = await contributions(town, names)
    assert await run(town, names, parts, plan(names)) == {true_sum(names)}


async def test_a_peer_that_owns_nothing_sends_its_own_vector_and_nothing_else(town: Any) -> None:
    parts, shares = await contributions(town), plan(a=1)
    assert not shares.run("a")
    assert await run(town, NAMES, parts, shares) == {true_sum()}
    assert town.nodes["a"].traffic.sent == town.nodes["a"].traffic.received == len(true_sum())


async def test_what_an_owner_does_not_deliver_everybody_adds_up_alone(town: Any) -> None:
    """``d`` serves its contribution, and sums nothing."""
    parts = await contributions(town)
    assert await run(town, ("a", "b", "c"), parts, plan(), patience_s=1.0) == {true_sum()}


async def test_a_contributor_that_is_gone_fails_the_sum(town: Any) -> None:
    parts = await contributions(town)
    await town.kill("d")
    with pytest.raises(FedswarmError, match="d"):
        await part_in(town, "a", parts, plan()).run()


async def test_a_contributor_that_forgot_its_part_fails_the_sum(town: Any) -> None:
    parts = await contributions(town)
    town.nodes["d"].forget(1, "d")
    with pytest.raises(FedswarmError, match="d no longer publishes them"):
        await part_in(town, "a", parts, plan()).run()


async def test_a_contributor_that_is_silent_fails_the_sum_in_time(town: Any) -> None:
    parts = await contributions(town, ("a", "b", "c"))
    await town.node("d")
    never = build_manifest(
        contribution("d"),
        job="test-job",
        round_index=1,
        source="d",
        schema_hash=parts[0].manifest.schema_hash,
        chunk_bytes=MIN_CHUNK_BYTES,
    )
    parts.append(Part(never, town.targets["d"]))
    with pytest.raises(FedswarmError, match=r"not added up within 0.5 s"):
        await part_in(town, "a", parts, plan(), patience_s=0.5).run()


async def test_a_plan_for_other_vectors_is_refused(town: Any) -> None:
    parts = await contributions(town)
    with pytest.raises(WireError, match="chunks"):
        part_in(town, "a", parts, plan_all_reduce(dict.fromkeys(NAMES, Rates()), CHUNKS + 1, b"key"))
