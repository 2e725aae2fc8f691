"""What a selection policy is: it hears of clients, picks some of those online, and learns what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ClientIds = NDArray[np.int64]


@dataclass(frozen=True)
class Feedback:
    """What became of one sampled client; each gets exactly one a round.

    ``duration_s`` is None when the client failed: how long a failure took says nothing about its speed.
    """

    client_id: int
    round_index: int
    success: bool
    utility: float
    duration_s: float | None


class Selector(Protocol):
    """A policy. Its choices are a function of what it was told and of ``(seed, draw)``."""

    def register_clients(self, client_ids: ClientIds, samples: NDArray[np.int64]) -> None:
        """Adds clients with their numbers of training samples."""
        ...

    def select_participants(self, count: int, online: ClientIds, draw: int) -> ClientIds:
        """At most ``count`` distinct ids out of ``online``, ascending; ``draw`` counts the selections made before."""
        ...

    def register_feedback(self, feedback: Feedback) -> None:
        """Learns the outcome of a client it chose."""
        ...

    def describe(self) -> dict[str, Any]:
        """The ``pacer`` object of ROUND_BEGIN."""
        ...
