"""Server algorithms: how the mean update becomes the next model.

The shape is FedJAX's: an algorithm is a pair of pure functions, ``init`` and ``apply``, over an immutable state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedswarm.aggregation.grid import Sum
from fedswarm.models.layout import Vector


@dataclass(frozen=True)
class ServerState:
    """What the server carries from round to round: the model, and later an optimizer's moments."""

    weights: Vector


class ServerAlgorithm(Protocol):
    """Makes model version ``r + 1`` from version ``r`` and the mean update of round ``r``."""

    def init(self, weights: Vector) -> ServerState:
        """The state before the first round."""
        ...

    def apply(self, state: ServerState, mean_update: Sum) -> ServerState:
        """The state after a round; ``mean_update`` has the shape of the weights."""
        ...


class FedAvg:
    """Federated averaging: the next model is the weighted mean of the clients' models.

    H. B. McMahan, E. Moore, D. Ramage, S. Hampson, B. Agüera y Arcas, *Communication-Efficient Learning of Deep
    Networks from Decentralized Data*, AISTATS 2017, arXiv:1602.05629, Algorithm 1. Written with updates instead of
    weights, ``w + sum_k (n_k / n) (w_k - w)``: the same mean, and sums stay on the exact grid.
    """

    def init(self, weights: Vector) -> ServerState:
        """The state before the first round."""
        return ServerState(weights)

    def apply(self, state: ServerState, mean_update: Sum) -> ServerState:
        """Adds the mean update in float64 and rounds to float32 once."""
        moved = np.add(state.weights, mean_update, dtype=np.float64)
        return ServerState(moved.astype(np.float32))


def server_algorithm(name: str) -> ServerAlgorithm:
    """The algorithm of that name in ``aggregation.algorithm``."""
    return {"fedavg": FedAvg}[name]()
