from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.errors import DataError
from fedswarm.selection.oort.testing_by_category import TestingClients as Clients
from fedswarm.selection.oort.testing_by_category import select_by_category

# Two slow hosts of everything, and a fast one for each class.
COUNTS = np.asarray([[50, 50], [50, 50], [20, 0], [0, 20]])
CLIENTS = Clients(COUNTS, np.asarray([1.0, 1.0, 0.1, 0.1]), np.asarray([5.0, 5.0, 1.0, 1.0]))


def checked(clients: Clients, request: np.ndarray, *options: int) -> float:
    """Duration of the plan, which must hold to the request and to what clients hold."""
    plan = select_by_category(clients, request, *options)
    assert np.array_equal(plan.quantities.sum(axis=0), request)
    assert np.all((plan.quantities >= 0) & (plan.quantities <= clients.counts))
    assert plan.duration_s == clients.duration_s(plan.quantities)
    return plan.duration_s


def test_fast_clients_do_what_they_can() -> None:
    assert checked(CLIENTS, np.asarray([20, 20])) == pytest.approx(3.0)


def test_slow_clients_share_the_rest() -> None:
    """24 of 64 samples are left to two clients: 12 each, at a second a sample."""
    assert checked(CLIENTS, np.asarray([32, 32])) == pytest.approx(5.0 + 12.0)


def test_a_small_budget_takes_the_large_clients() -> None:
    assert checked(CLIENTS, np.asarray([32, 32]), 1) == pytest.approx(5.0 + 64.0)


def test_nothing_requested_is_nothing_done() -> None:
    assert checked(CLIENTS, np.asarray([0, 0])) == 0.0


def test_more_than_there_is_is_told_with_the_class() -> None:
    with pytest.raises(DataError, match="class 1: 121 samples requested, all clients together hold 120"):
        select_by_category(CLIENTS, np.asarray([1, 121]))


def test_a_budget_that_cannot_do_is_told() -> None:
    with pytest.raises(DataError, match="no 1 clients were found"):
        select_by_category(CLIENTS, np.asarray([60, 60]), 1)


def shortest_s(clients: Clients, request: int, budget: int) -> float:
    """By trying everything: one class, few samples."""
    shares = itertools.product(*(range(int(count) + 1) for count in clients.counts[:, 0]))
    fitting = (np.asarray(share)[:, None] for share in shares if sum(share) == request)
    return min(clients.duration_s(share) for share in fitting if np.count_nonzero(share) <= budget)


@given(st.integers(0, 1000), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_plans_are_as_short_as_can_be(seed: int, budget: int) -> None:
    draws = np.random.default_rng(seed)
    clients = Clients(draws.integers(0, 6, (4, 1)), draws.uniform(0.1, 2, 4), draws.uniform(0, 3, 4))
    request = int(np.sort(clients.counts[:, 0])[-budget:].sum()) // 2
    best_s = shortest_s(clients, request, budget)
    assert best_s <= checked(clients, np.asarray([request]), budget) <= best_s * 1.02 + 1e-9
