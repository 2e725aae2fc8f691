"""The seam between the round machine and the ways a round can go.

=============  ====================  =====================  ============================  ==========================
rules          who trains            whose time counts      decided when                  clock advances by
=============  ====================  =====================  ============================  ==========================
fixed step     the K fastest by the  simulated beforehand,  all of them reported          the slowest of the K
               time model            by the aggregator
adaptive       all sampled           simulated while it     all of them reported          the slowest that counts
                                     trains, by executors
deployment     all sampled           measured               K succeeded, or all reported  the longest that counts
=============  ====================  =====================  ============================  ==========================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fedswarm.rounds.messages import ClientReport
from fedswarm.rounds.plan import RoundPlan

Reports = Mapping[int, ClientReport]


@dataclass(frozen=True)
class Verdict:
    """Who counts. Every sampled client is in exactly one of the three groups."""

    kept: tuple[int, ...]
    stragglers: tuple[int, ...]
    dropped: tuple[int, ...]
    duration_s: float


class RoundRules(Protocol):
    """How rounds are planned and judged."""

    @property
    def pinned(self) -> bool:
        """Whether a client can train on its own executor only."""
        ...

    def plan(self, round_index: int, clock_s: float, draw: int) -> RoundPlan:
        """Decides round ``round_index``, which starts at ``clock_s``; ``draw`` counts the selections before."""
        ...

    def decided(self, plan: RoundPlan, reports: Reports, all_reported: bool) -> bool:
        """Whether these reports suffice for a verdict."""
        ...

    def verdict(self, plan: RoundPlan, reports: Reports) -> Verdict:
        """Who counts, once :meth:`decided`."""
        ...


def succeeded(reports: Reports) -> set[int]:
    """Clients that trained at least one sample and hold a usable update."""
    return {client for client, report in reports.items() if report.success and report.trained_samples > 0}
