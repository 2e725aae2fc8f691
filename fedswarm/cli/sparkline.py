"""A series as one line of ASCII, so that every terminal and every log shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

RAMP: Final = " .:-=+*#%@"


def sparkline(values: Sequence[float], most: float) -> str:
    """One character a value, the darker the nearer to ``most``; only nothing at all is a space."""
    return "".join(_character(value / most if most > 0 else 0.0) for value in values)


def _character(share: float) -> str:
    if share <= 0:
        return RAMP[0]
    steps = len(RAMP) - 1
    return RAMP[min(max(1, round(share * steps)), steps)]
