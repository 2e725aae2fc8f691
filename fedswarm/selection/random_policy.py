"""Uniform random selection: the baseline that everything is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.randomness import generator
from fedswarm.selection.contract import ClientIds, Feedback


class RandomSelector:
    """Draws uniformly, without replacement, from the clients online."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def register_clients(self, client_ids: ClientIds, samples: NDArray[np.int64]) -> None:
        """Needs to know nobody in advance."""

    def select_participants(self, count: int, online: ClientIds, draw: int) -> ClientIds:
        """At most ``count`` of ``online``; everybody when there are no more."""
        if len(online) <= count:
            return np.sort(online)
        return np.sort(generator(self._seed, draw, "selection").choice(online, count, replace=False))

    def register_feedback(self, feedback: Feedback) -> None:
        """Learns nothing."""

    def describe(self) -> dict[str, Any]:
        """A random policy has no pacer."""
        return {"algo": "random", "note": "no pacer state"}
