"""Uniform random selection: the baseline that everything is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedswarm.randomness import generator
from fedswarm.selection.contract import ClientIds, Moment, Policy


class RandomSelector(Policy):
    """Draws uniformly, without replacement, from the clients online."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        """At most ``count`` of those online; everybody when there are no more."""
        online = moment.online
        if len(online) <= count:
            return np.sort(online)
        return np.sort(generator(self._seed, moment.draw, "selection").choice(online, count, replace=False))

    def describe(self) -> dict[str, Any]:
        """A random policy has no pacer."""
        return {"algo": "random", "note": "no pacer state"}
