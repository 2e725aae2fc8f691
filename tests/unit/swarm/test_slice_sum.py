from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.aggregation.grid import Grid
from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from fedswarm.swarm.manifest import growing_manifest
from fedswarm.swarm.slice_sum import SliceSum, slice_bytes

VALUES = 5 * MIN_CHUNK_BYTES // 8 - 3  # the last of 5 chunks is short
SHAPE = growing_manifest(
    VALUES, "float64", job="job", round_index=1, source="a", schema_hash="", chunk_bytes=MIN_CHUNK_BYTES
)
NAMES = ("a", "b", "c")


def contribution(name: str) -> np.ndarray:
    """On the grid, as sums are."""
    vector = np.zeros(VALUES)
    update = np.random.default_rng(NAMES.index(name)).normal(size=VALUES).astype(np.float32)
    Grid().add_weighted(vector, update, 0.3)
    return vector


VECTORS = {name: contribution(name) for name in NAMES}


def payload(name: str, index: int) -> memoryview:
    return VECTORS[name].data.cast("B")[SHAPE.range(index)]


def true_sum(chunks: list[int]) -> np.ndarray:
    total = sum(VECTORS.values())
    return np.concatenate([total[SHAPE.range(i).start // 8 : SHAPE.range(i).stop // 8] for i in chunks])


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[int], list[tuple[str, int]]]:
    """Chunks, and every contribution to them at least once, in any order."""
    chunks = sorted(draw(st.sets(st.integers(0, 4), min_size=1)))
    each = [(name, index) for name in NAMES for index in chunks]
    repeated = draw(st.lists(st.sampled_from(each), max_size=10))
    return chunks, draw(st.permutations(each + repeated))


@given(deliveries())
def test_any_order_and_any_repetition_gives_the_same_bits(case: tuple[list[int], list[tuple[str, int]]]) -> None:
    chunks, arrivals = case
    total = SliceSum(SHAPE, chunks, NAMES)
    for name, index in arrivals:
        total.add(name, index, payload(name, index))
    assert total.vector.tobytes() == true_sum(chunks).tobytes()


@given(deliveries())
def test_a_chunk_is_final_exactly_once_when_the_last_contribution_came(
    case: tuple[list[int], list[tuple[str, int]]],
) -> None:
    """Defect B23: every raw contribution was kept until the round was over."""
    chunks, arrivals = case
    total = SliceSum(SHAPE, chunks, NAMES)
    came: dict[int, set[str]] = {index: set() for index in chunks}
    finals = []
    for name, index in arrivals:
        was_complete = len(came[index]) == len(NAMES)
        came[index].add(name)
        final = total.add(name, index, payload(name, index))
        assert (final is not None) == (len(came[index]) == len(NAMES) and not was_complete)
        if final is not None:
            finals.append(index)
            assert final.tobytes() == true_sum([index]).tobytes()
    assert sorted(finals) == chunks


@pytest.mark.parametrize(("name", "index"), [("stranger", 1), ("a", 2)])
def test_what_is_not_awaited_changes_nothing(name: str, index: int) -> None:
    total = SliceSum(SHAPE, [1], NAMES)
    assert total.add(name, index, payload("a", index)) is None
    assert not total.vector.any()


def test_a_slice_has_its_chunks_one_after_the_other() -> None:
    assert slice_bytes(SHAPE, [0, 2, 4]) == 2 * MIN_CHUNK_BYTES + SHAPE.chunk_size(4)
    assert SliceSum(SHAPE, [0, 2, 4], NAMES).vector.nbytes == slice_bytes(SHAPE, [0, 2, 4])
