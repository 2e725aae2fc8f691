from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.aggregation.grid import BLOCK, Grid, shares
from fedswarm.errors import NumericRangeError
from fedswarm.models.sparse_update import SparseUpdate, top_k

GRID = Grid()


def updates(count: int, size: int, seed: int = 0) -> list[np.ndarray]:
    draws = np.random.default_rng(seed)
    return [(draws.standard_normal(size) * 10.0 ** draws.integers(-6, 2)).astype(np.float32) for _ in range(count)]


def weighted_sum(deltas: list[np.ndarray], weights: list[float], order: list[int]) -> np.ndarray:
    total = np.zeros(deltas[0].size)
    for k in order:
        GRID.add_weighted(total, deltas[k], weights[k])
    return total


@given(st.permutations(range(7)), st.integers(0, 1000))
def test_sums_do_not_depend_on_order(order: list[int], seed: int) -> None:
    deltas, weights = updates(7, 50, seed), [1 / 7] * 7
    expected = weighted_sum(deltas, weights, list(range(7)))
    assert np.array_equal(weighted_sum(deltas, weights, order), expected)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_sums_do_not_depend_on_grouping(cut: int, seed: int) -> None:
    deltas, weights = updates(7, 50, seed), [1 / 7] * 7
    whole = weighted_sum(deltas, weights, list(range(7)))
    parts = weighted_sum(deltas, weights, list(range(cut))) + weighted_sum(deltas, weights, list(range(cut, 7)))
    assert np.array_equal(parts, whole)


def test_plain_float_sums_do_depend_on_order() -> None:
    """Guards the two tests above: with these updates, addition without the grid is visibly not associative."""
    deltas = updates(7, 50)
    forward = sum((delta.astype(np.float64) / 7 for delta in deltas), np.zeros(50))
    backward = sum((delta.astype(np.float64) / 7 for delta in reversed(deltas)), np.zeros(50))
    assert not np.array_equal(forward, backward)


@given(
    st.lists(st.floats(-2047, 2047, width=32), min_size=1, max_size=30),
    st.floats(0, 1, allow_subnormal=False),
)
def test_addends_are_rounded_to_the_nearest_multiple_of_the_quantum(values: list[float], share: float) -> None:
    delta = np.asarray(values, dtype=np.float32)
    total = np.zeros(delta.size)
    GRID.add_weighted(total, delta, share)
    exact = delta.astype(np.float64) * share
    assert np.array_equal(total, np.rint(exact / GRID.quantum) * GRID.quantum)


def test_updates_longer_than_a_block_are_summed_whole() -> None:
    delta = np.ones(2 * BLOCK + 3, dtype=np.float32)
    total = np.zeros(delta.size)
    GRID.add_weighted(total, delta, 0.5)
    assert np.all(total == 0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2048.0, -5000.0])
def test_a_coordinate_out_of_range_is_refused_by_its_value(bad: float) -> None:
    delta = np.asarray([0.0, bad], dtype=np.float32)
    with pytest.raises(NumericRangeError, match="magnitude"):
        GRID.check(delta)


def test_a_norm_in_range_vouches_for_all_coordinates() -> None:
    GRID.check(np.asarray([3.0, 4.0], dtype=np.float32), norm=5.0)


def test_a_nan_norm_vouches_for_nothing() -> None:
    with pytest.raises(NumericRangeError):
        GRID.check(np.asarray([np.nan], dtype=np.float32), norm=float("nan"))


def test_a_sum_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        GRID.add_weighted(np.zeros(3), np.zeros(4, dtype=np.float32), 1.0)


def test_shares_follow_samples_and_add_up() -> None:
    given_shares = shares({7: 480, 3: 240}, "samples")
    assert given_shares == {3: 1 / 3, 7: 2 / 3}


def test_uniform_shares_ignore_samples() -> None:
    assert shares({7: 480, 3: 240}, "uniform") == {3: 0.5, 7: 0.5}


def test_the_golden_weighted_average_of_the_reference() -> None:
    """Reference appendix A.4: weights 480 and 240 of uploads 1.0 and 4.0 give 2.0."""
    given_shares = shares({1: 480, 2: 240}, "samples")
    total = np.zeros(1)
    GRID.add_weighted(total, np.asarray([1.0], dtype=np.float32), given_shares[1])
    GRID.add_weighted(total, np.asarray([4.0], dtype=np.float32), given_shares[2])
    assert total[0] == pytest.approx(2.0, abs=GRID.quantum)


@given(st.integers(1, 3 * BLOCK), st.floats(0, 1), st.floats(0.01, 1), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_a_sparse_update_adds_the_same_bits_as_its_dense_vector(
    size: int, share: float, keep: float, seed: int
) -> None:
    first, second = updates(2, size, seed)
    sparse = top_k(second, keep, size)
    totals = [np.zeros(size), np.zeros(size)]
    for total, update in zip(totals, (sparse, sparse.dense()), strict=True):
        GRID.add_weighted(total, first, 0.3)
        GRID.add_weighted(total, update, share)
    assert totals[0].tobytes() == totals[1].tobytes()


def test_a_sparse_update_is_checked_by_the_values_it_has() -> None:
    update = SparseUpdate(5, np.asarray([2], dtype=np.uint32), np.asarray([3000.0], dtype=np.float32))
    with pytest.raises(NumericRangeError, match="magnitude 3000"):
        GRID.check(update)


def test_a_sparse_update_of_another_size_is_refused() -> None:
    update = SparseUpdate(5, np.asarray([2], dtype=np.uint32), np.asarray([1.0], dtype=np.float32))
    with pytest.raises(ValueError, match="cannot take an update of 5 weights"):
        GRID.add_weighted(np.zeros(4), update, 1.0)
