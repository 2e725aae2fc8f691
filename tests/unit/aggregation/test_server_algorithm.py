from __future__ import annotations

import numpy as np

from fedswarm.aggregation.server_algorithm import FedAvg, server_algorithm


def test_fedavg_adds_the_mean_update() -> None:
    state = FedAvg().init(np.asarray([1.0, -2.0], dtype=np.float32))
    following = FedAvg().apply(state, np.asarray([0.5, 0.25]))
    assert following.weights.tolist() == [1.5, -1.75]
    assert following.weights.dtype == np.float32


def test_fedavg_rounds_to_float32_only_once() -> None:
    state = FedAvg().init(np.asarray([16777216.0], dtype=np.float32))  # 2**24: float32 cannot add 1 to it
    assert FedAvg().apply(state, np.asarray([3.0])).weights.tolist() == [16777220.0]


def test_the_state_before_is_left_alone() -> None:
    """Peers may still be fetching the version before."""
    state = FedAvg().init(np.zeros(2, dtype=np.float32))
    FedAvg().apply(state, np.ones(2))
    assert state.weights.tolist() == [0.0, 0.0]


def test_algorithms_are_found_by_name() -> None:
    assert isinstance(server_algorithm("fedavg"), FedAvg)
