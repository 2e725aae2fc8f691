from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.errors import FedswarmError, RunFailedError, WireError
from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from services.peer.summing import Part, check_parts, slice_manifest, sum_slice

VALUES = 6 * MIN_CHUNK_BYTES // 8 - 5
NAMES = ("a", "b", "c")


def whole_numbers(name: str, values: int = VALUES) -> np.ndarray:
    return np.random.default_rng(ord(name)).integers(-99, 99, values).astype(np.float64)


def contribute(town: Any, name: str, vector: np.ndarray | None = None, **fields: Any) -> Part:
    data = whole_numbers(name) if vector is None else vector
    return Part(town.publish(name, data, **{"chunk_bytes": MIN_CHUNK_BYTES, **fields}), town.targets[name])


async def contributions(town: Any) -> list[Part]:
    for name in NAMES:
        await town.node(name)
    return [contribute(town, name) for name in NAMES]


def true_sum() -> np.ndarray:
    total: np.ndarray = sum(whole_numbers(name) for name in NAMES)
    return total


async def test_a_stranger_to_the_sum_fetches_every_part(town: Any) -> None:
    parts, node = await contributions(town), await town.node("owner")
    total = await sum_slice(node, parts, range(6))
    assert total.tobytes() == true_sum().tobytes()


async def test_a_contributor_does_not_fetch_its_own_part(town: Any) -> None:
    parts = await contributions(town)
    total = await sum_slice(town.nodes["b"], parts, range(6), own={"b": whole_numbers("b")})
    assert total.tobytes() == true_sum().tobytes()
    assert town.nodes["b"].traffic.received == 2 * total.nbytes


async def test_alone_a_contributor_has_the_sum_at_once(town: Any) -> None:
    node = await town.node("a")
    finals: list[int] = []
    total = await sum_slice(
        node, [contribute(town, "a")], [2, 3], own={"a": whole_numbers("a")}, on_final=lambda i, _: finals.append(i)
    )
    assert finals == [2, 3]
    assert total.tobytes() == whole_numbers("a").data.cast("B")[2 * MIN_CHUNK_BYTES : 4 * MIN_CHUNK_BYTES]


async def test_only_the_chunks_asked_for_travel_and_each_is_final_once(town: Any) -> None:
    parts, node = await contributions(town), await town.node("owner")
    finals: dict[int, bytes] = {}

    def note(index: int, chunk: np.ndarray) -> None:
        assert index not in finals
        finals[index] = chunk.tobytes()

    total = await sum_slice(node, parts, [1, 5], on_final=note)
    assert node.traffic.received == 3 * total.nbytes
    assert total.tobytes() == finals[1] + finals[5]
    assert finals[5] == true_sum().tobytes()[5 * MIN_CHUNK_BYTES :]


async def test_a_contribution_that_is_gone_fails_the_sum(town: Any) -> None:
    parts, node = await contributions(town), await town.node("owner")
    await town.kill("b")
    with pytest.raises(RunFailedError, match="b"):
        await sum_slice(node, parts, range(6))


async def test_after_a_failure_the_same_parts_can_be_fetched_again(town: Any) -> None:
    parts, node = await contributions(town), await town.node("owner")
    gone = Part(slice_manifest(parts[0].manifest, range(6), "gone"), "127.0.0.1:1")
    with pytest.raises(FedswarmError):
        await sum_slice(node, [*parts, gone], range(6))
    assert (await sum_slice(node, parts, range(6))).tobytes() == true_sum().tobytes()


async def test_parts_that_cannot_be_added_up_are_refused(town: Any) -> None:
    parts = await contributions(town)
    cases = {
        "they differ": contribute(town, "a", whole_numbers("a", VALUES + 1), source="a/longer"),
        "differ in type": contribute(town, "a", np.zeros(2 * VALUES, np.float32), source="a/float32"),
        "or chunks": contribute(town, "a", source="a/coarse", chunk_bytes=2 * MIN_CHUNK_BYTES),
        "one contribution of each": contribute(town, "a", source="a/again"),
    }
    for words, part in cases.items():
        with pytest.raises(WireError, match=words):
            check_parts([*parts, part], range(6))


@pytest.mark.parametrize("chunks", [[], [6], [-1, 0], [1, 0], [2, 2]])
async def test_chunks_are_ascending_and_exist(town: Any, chunks: list[int]) -> None:
    await town.node("a")
    with pytest.raises(WireError, match="chunks"):
        check_parts([contribute(town, "a")], chunks)


def test_there_is_no_sum_of_nothing() -> None:
    with pytest.raises(WireError, match="no contributions"):
        check_parts([], [0])
