from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.aggregation.sum_encoding import decode_sum, encode_sum
from fedswarm.errors import WireError


@given(st.integers(1, 300), st.floats(0, 1), st.integers(0, 1000))
def test_any_sum_survives_the_round_trip(size: int, density: float, seed: int) -> None:
    draws = np.random.default_rng(seed)
    total = draws.standard_normal(size) * (draws.random(size) < density)
    assert np.array_equal(decode_sum(encode_sum(total), size), total)


@given(st.integers(1, 300), st.integers(0, 1000))
def test_the_encoding_is_never_longer_than_the_sum(size: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    assert encode_sum(draws.standard_normal(size) * (draws.random(size) < 0.9)).size <= size


def test_a_sum_of_few_weights_is_short() -> None:
    total = np.zeros(6400)
    total[[5, 77]] = 1.0
    assert encode_sum(total).size == 100 + 2


@pytest.mark.parametrize("words", [0, 1, 3, 65, 200])
def test_lengths_that_no_sender_would_send_are_refused(words: int) -> None:
    with pytest.raises(WireError, match=r"words|bitmap"):
        decode_sum(np.ones(words), 128)


def test_a_bitmap_that_marks_weights_beyond_the_model_is_refused() -> None:
    bitmap = np.zeros(16, dtype=np.uint8)
    bitmap[15] = 0x80  # weight 127 of a model of 100
    with pytest.raises(WireError, match="bitmap"):
        decode_sum(np.concatenate([bitmap.view(np.float64), [1.0]]), 100)


def test_another_type_is_refused() -> None:
    with pytest.raises(WireError, match="float32"):
        decode_sum(np.zeros(4, dtype=np.float32), 4)  # type: ignore[arg-type]
