from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.errors import DataError
from fedswarm.selection.oort.testing_by_deviation import clients_for_deviation, select_by_deviation


def test_the_bound_by_hand() -> None:
    """1001 / (1 + 2000 / ln 5 x 0.1^2) = 74.6 of 1000 clients."""
    assert clients_for_deviation(10.0, 100.0, 1000, confidence=0.8) == 75


def test_for_many_clients_it_is_hoeffdings() -> None:
    assert clients_for_deviation(0.05, 1.0, 10**9, confidence=0.95) == math.ceil(math.log(20) / (2 * 0.05**2))


@given(st.floats(0.001, 10), st.floats(0.001, 10), st.integers(1, 10**7), st.floats(0.01, 0.99))
def test_less_tolerance_and_more_confidence_need_more_clients(
    deviation: float, span: float, clients: int, confidence: float
) -> None:
    """A published implementation ignores the confidence."""
    needed = clients_for_deviation(deviation, span, clients, confidence)
    assert 1 <= needed <= clients
    assert needed <= clients_for_deviation(deviation / 2, span, clients, confidence)
    assert needed <= clients_for_deviation(deviation, span, clients, (1 + confidence) / 2)


def test_the_bound_holds() -> None:
    values = np.random.default_rng(0).exponential(1.0, 500).clip(0, 4)
    needed = clients_for_deviation(0.5, 4.0, 500, confidence=0.9)
    draws = np.random.default_rng(1)
    means = [values[draws.choice(500, needed, replace=False)].mean() for _ in range(500)]
    assert np.mean(np.asarray(means) - values.mean() > 0.5) < 0.1


def test_the_draw_follows_from_seed_and_draw_and_has_reserves() -> None:
    ids = np.arange(1000, 2000)
    chosen = select_by_deviation(ids, 10.0, 100.0, seed=1, draw=2, confidence=0.8, overcommitment=1.2)
    assert len(set(chosen.tolist())) == 90
    assert set(chosen.tolist()) <= set(ids.tolist())
    assert np.array_equal(chosen, select_by_deviation(ids, 10.0, 100.0, 1, 2, 0.8, 1.2))
    assert not np.array_equal(chosen, select_by_deviation(ids, 10.0, 100.0, 1, 3, 0.8, 1.2))


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 5, 0.9), (1.0, -1.0, 5, 0.9), (1.0, 1.0, 0, 0.9), (1.0, 1.0, 5, 1.0)])
def test_senseless_wishes_are_told(wrong: tuple[float, float, int, float]) -> None:
    with pytest.raises(DataError, match="must be above 0"):
        clients_for_deviation(*wrong)
