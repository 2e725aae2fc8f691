import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.models.sparse_update import SparseUpdate, kept_weights, top_k, top_norm

# Small whole numbers, so that many magnitudes are equal.
DELTAS = st.lists(st.integers(-4, 4), min_size=1, max_size=60).map(lambda v: np.asarray(v, dtype=np.float32))
KEEPS = st.floats(0.001, 1)


def by_sorting(delta, count):
    """The definition: by falling magnitude, then by index."""
    order = sorted(range(delta.size), key=lambda i: (-abs(delta[i]), i))
    return sorted(order[:count])


@given(DELTAS, KEEPS)
def test_exactly_the_largest_are_kept_and_ties_go_to_the_lower_index(delta, keep):
    update = top_k(delta, keep, delta.size)
    assert update.indices.tolist() == by_sorting(delta, max(1, math.floor(delta.size * keep)))
    np.testing.assert_array_equal(update.values, delta[update.indices])


@given(DELTAS)
def test_keeping_all_changes_nothing(delta):
    np.testing.assert_array_equal(top_k(delta, 1.0, delta.size).dense(), delta)


@given(DELTAS, KEEPS, st.integers(0, 60))
def test_what_is_not_trainable_always_stays(delta, keep, trainable):
    trainable = min(trainable, delta.size)
    update = top_k(delta, keep, trainable)
    np.testing.assert_array_equal(update.dense()[trainable:], delta[trainable:])
    assert np.count_nonzero(update.indices < trainable) == kept_weights(trainable, keep)


@given(DELTAS, KEEPS)
def test_the_norm_of_the_largest_is_the_norm_of_what_is_kept(delta, keep):
    kept = top_k(delta, keep, delta.size)
    assert top_norm(delta, keep) == pytest.approx(float(np.linalg.norm(kept.values.astype(np.float64))))


@pytest.mark.parametrize(
    ("size", "keep", "kept"), [(10, 0.3, 3), (7, 0.3, 2), (100, 0.001, 1), (5, 1.0, 5), (0, 0.5, 0)]
)
def test_how_many_are_kept(size, keep, kept):
    assert kept_weights(size, keep) == kept


def test_kinds_of_numbers_are_those_of_the_wire():
    update = top_k(np.asarray([0, -3, 1], dtype=np.float32), 0.4, 3)
    assert (update.size, update.indices.dtype, update.values.dtype) == (3, np.uint32, np.float32)
    assert (update.indices.tolist(), update.values.tolist()) == ([1], [-3.0])


def test_dense_has_zeros_where_nothing_is_kept():
    update = SparseUpdate(4, np.asarray([1, 3], dtype=np.uint32), np.asarray([5, 6], dtype=np.float32))
    assert update.dense().tolist() == [0, 5, 0, 6]
