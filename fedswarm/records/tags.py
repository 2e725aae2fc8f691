"""The tags of all records."""

from __future__ import annotations

from typing import Final

from fedswarm.records.peer_schema import PeerCaughtUp, PeerModels, PeerReady, PeerRefused, PeerRound, PeerTestResult
from fedswarm.records.schema import (
    CheckpointSaved,
    ClientInfo,
    DevicesExcluded,
    ExecutorJoin,
    ExecutorLost,
    Federation,
    JobConfig,
    LeasesOverdue,
    RoundBegin,
    RoundSkipped,
    RoundSummary,
    SelectionMetrics,
    Shutdown,
    TestResult,
)

TAGS: Final = tuple(
    kind.tag
    for kind in (
        JobConfig,
        DevicesExcluded,
        PeerReady,
        Federation,
        ExecutorJoin,
        ExecutorLost,
        LeasesOverdue,
        RoundBegin,
        RoundSummary,
        ClientInfo,
        SelectionMetrics,
        TestResult,
        RoundSkipped,
        CheckpointSaved,
        PeerRound,
        PeerTestResult,
        PeerCaughtUp,
        PeerRefused,
        PeerModels,
        Shutdown,
    )
)
"""Of every record there is, in the order in which a run first writes them."""
