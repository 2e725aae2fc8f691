"""Where a run stands: the states of the round machine."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a run stands."""

    GATHERING = "gathering"
    STARTING = "starting"
    ROUND = "round"
    STEPPING = "stepping"
    WAITING = "waiting"
    DONE = "done"
